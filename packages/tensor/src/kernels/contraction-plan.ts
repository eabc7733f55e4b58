/**
 * How a contraction is cut: which register tile, which blocks, what is packed.
 *
 * Terms: a *tile* is the part of the result whose sums live in registers (`tileRows` rows by `tileVectors` vectors of columns); a *panel* is
 * the right operand's part for the columns of a tile; a *group* is a number of panels that stay in the second-level cache while row tiles pass,
 * each row tile staying in the first-level cache for all panels of the group. Panels, packing and the outer-product tile in registers follow
 * Goto and van de Geijn, "Anatomy of high-performance matrix multiplication".
 *
 * All numbers depend on the shape, the operands' layout and the registers, never on the number of threads; but for the groups of products in
 * tile registers (contraction-split-plan.ts), which change no sum.
 */
import { type DeviceFeatures, SCALARS, type ScalarType } from '@proj/kernel';
import { planSplit, type SplitPlan } from './contraction-split-plan.ts';
import type { ContractionShape } from './contraction-types.ts';

/** Where an operand is read from: in place, from a copy that the thread packs just before use, or from panels that an earlier launch packed. */
export type OperandSource = 'direct' | 'local' | 'shared';

/** Outer products: lanes are columns, an element of the left operand is broadcast. */
export interface OuterPlan {
  readonly kind: 'outer';
  readonly lanes: number;
  readonly tileRows: number;
  readonly tileVectors: number;
  /** Columns of a panel. */
  readonly width: number;
  readonly panels: number;
  readonly rowTiles: number;
  /** Panels of a group; the last group may have fewer. */
  readonly group: number;
  /** Depth that is summed in registers before partial sums go to memory. */
  readonly depthBlock: number;
  /** Depths that a pass of the innermost loop does. */
  readonly unroll: number;
  /** Places of the depth, `streamDepth` apart, that are read in turns: memory answers several streams sooner than one. */
  readonly streams: number;
  readonly streamDepth: number;
  readonly left: Exclude<OperandSource, 'shared'>;
  /** Row tiles whose rows are packed together; all of them: once for all panels. */
  readonly rowBlock: number;
  readonly right: OperandSource;
  /** Batches of the right operand that differ. */
  readonly rightBatches: number;
  /** Parts of the depth that are summed apart and combined in pairs. */
  readonly parts: number;
  readonly partDepth: number;
  /** How far ahead the right operand is prefetched: depths of one in place, elements of packed panels; 0 for not. */
  readonly prefetch: number;
  /** Row tiles that pass over a piece of a panel and share the work of prefetching: each asks for its part of what lies ahead. */
  readonly prefetchTiles: number;
}

/** Inner products: lanes are depth, sums are combined across lanes at the end. For long rows of both operands and few results. */
export interface InnerPlan {
  readonly kind: 'inner';
  readonly lanes: number;
  readonly tileRows: number;
  readonly tileColumns: number;
  readonly rowTiles: number;
  readonly columnTiles: number;
  readonly parts: number;
  readonly partDepth: number;
}

export type ContractionPlan = OuterPlan | InnerPlan | SplitPlan;

const L1_BYTES = 32 * 1024;
/** What a group of panels may take of the second-level cache, for each byte of a vector register: rows and results pass through it too. */
const GROUP_BYTES = 8 * 1024;
/** What the second-level cache holds at least, for each byte of a vector register. */
const NEAR_BYTES = 16 * 1024;
/** A right operand up to this size is read in place when its columns are contiguous. */
const DIRECT_BYTES = 320 * 1024;
/** Rows, and bytes of them, that are packed together. */
const ROW_BLOCK = 48;
const ROW_BLOCK_BYTES = 256 * 1024;
const INNER_CACHE_BYTES = 512 * 1024;
const FMA_LATENCY = 4;
/** Bytes of a panel that arrive from the second-level cache in a cycle, while a tile multiplies. */
const NEAR_BYTES_PER_CYCLE = 24;
/** Depth up to which sums stay in registers. */
const DEPTH_BLOCK = 4096;
const SCATTERED_DEPTH = 128;
/** Few rows: the right operand passes but once. Depths of it that are read together in place; streams of packed panels, and bytes ahead in each. */
const STREAMING_ROWS = 32;
const STREAMING_DEPTH = 16;
const STREAMS = 4;
const STREAMING_AHEAD = 2 * 1024;
/**
 * Of packed panels that several row tiles take turns at: a piece of each panel of a group stays in the first-level cache, with rows and sums.
 * One panel passes at a time where rows of the whole depth stay in the second-level cache beside it. Otherwise it is two, which read rows from
 * farther away half as often.
 */
const PIECE_BYTES = 24 * 1024;
const NEAR_ROWS_BYTES = 256 * 1024;

const up = (x: number, multiple: number): number => Math.ceil(x / multiple) * multiple;

/** Lanes of a vector of `element`: bounded, since wide vectors of small integers are multiplied in many steps. */
export const lanesOf = (element: ScalarType, features: DeviceFeatures): number =>
  Math.min(16, Math.max(1, features.vectorBytes / SCALARS[element].bytes));

/** Vectors of the last panel, where a tile of its own is worth the code: operands that stream wait for memory anyhow. */
export function vectorsOfLastPanel({ panels, tileVectors, lanes, prefetch }: OuterPlan, columns: number): number {
  return prefetch > 0 ? tileVectors : Math.ceil(columns / lanes) - (panels - 1) * tileVectors;
}

export function planContraction(shape: ContractionShape): ContractionPlan {
  const outer = planOuter(shape);
  const inner = planInner(shape);
  const best = inner !== null && inner.cost < outer.cost ? inner : outer;
  const split = planSplit(shape);
  return split !== null && split.cost < best.cost ? split.plan : best.plan;
}

/** Parts of the depth when there are too few tiles to share out: a function of the shape alone. */
const partsOf = (tiles: number, depth: number): number =>
  tiles < 32 && depth >= 4096 ? Math.min(16, Math.floor(depth / 1024)) : 1;

interface Tile {
  readonly rows: number;
  readonly vectors: number;
  /** Estimated cycles of all tiles, for each position of the depth. */
  readonly cycles: number;
}

/** Sums that a tile may hold in registers, beside operands. */
const mostSums = (features: DeviceFeatures): number => Math.floor(features.vectorRegisters * 0.78);

/** The register tile with the fewest cycles for a product of `rows` by `vectors` vectors. */
function chooseTile(rows: number, vectors: number, depth: number, features: DeviceFeatures): Tile {
  const registers = features.vectorRegisters;
  const most = mostSums(features);
  const fromL2 = Math.min(depth, DEPTH_BLOCK) * 4 * features.vectorBytes > L1_BYTES;
  let best: Tile = { rows: 1, vectors: 1, cycles: Infinity };
  for (let v = 1; v <= Math.min(vectors, 8); v++) {
    for (let r = 1; r <= Math.min(rows, most); r++) {
      if (r * v > most || r * v + v + 1 >= registers) break;
      // Two multiply-adds and two loads a cycle; each sum waits for its last addition; a panel larger than L1 has to arrive.
      const cyclesOf = (v: number): number => {
        const fetch = fromL2 ? (v * features.vectorBytes) / NEAR_BYTES_PER_CYCLE : 0;
        return Math.max((r * v) / 2, (r + v) / 2, FMA_LATENCY, fetch) + 0.05 * (r + v) + (12 + r * v) / depth;
      };
      const last = vectors % v;
      const cycles = Math.ceil(rows / r) * (Math.floor(vectors / v) * cyclesOf(v) + (last === 0 ? 0 : cyclesOf(last)));
      if (cycles < best.cycles * 0.999) best = { rows: r, vectors: v, cycles };
    }
  }
  return best;
}

/** WebAssembly can neither prefetch nor hold a larger tile: there, row tiles that take turns at pieces of panels lose 10 %. */
const canTakeTurns = (features: DeviceFeatures): boolean => features.vectorRegisters * features.vectorBytes >= 512;

/**
 * Register tile for few rows against a right operand that passes once, from main memory. Very few rows wait for memory: they are one row tile,
 * so that the operand passes once through the caches too, with no more vectors than hide the latency of additions. So are the rows of an
 * operand in place, as far as they fit. Otherwise, where a tile of one vector would load as many operands as it multiplies, several row tiles
 * may take turns at short pieces of packed panels.
 */
function streamingTile(rows: number, vectors: number, features: DeviceFeatures, isPacked: boolean): Tile {
  const most = mostSums(features);
  const tileOf = (r: number, v: number): Tile => ({
    rows: r,
    vectors: v,
    cycles:
      Math.ceil(rows / r) *
      Math.ceil(vectors / v) *
      Math.max((r * v) / 2, (r + v) / 2, (v * features.vectorBytes) / 8 / (isPacked ? Math.ceil(rows / r) : 1)),
  });
  if (!isPacked || !canTakeTurns(features) || rows * 3 <= most) {
    const r = Math.ceil(rows / Math.ceil(rows / most));
    return tileOf(r, Math.min(vectors, 8, Math.max(1, Math.floor((most * 2) / 3 / r))));
  }
  let best = tileOf(1, 1);
  let least = Infinity;
  for (let v = 1; v <= Math.min(vectors, 8); v++) {
    for (let r = 1; r <= rows && r * v <= most && r * v + v + 1 < features.vectorRegisters; r++) {
      const tiles = Math.ceil(rows / r) * Math.ceil(vectors / v);
      // Vectors are dearer to load than elements to broadcast, and each piece loads and stores the sums.
      const piece = r < rows ? 0.6 : 0;
      const cycles = tiles * (Math.max((r * v) / 2, (r + v) / 2, FMA_LATENCY) + 0.05 * (r + 2 * v) + piece);
      if (cycles < least) [best, least] = [tileOf(r, v), cycles];
    }
  }
  return best;
}

function planOuter(shape: ContractionShape): { plan: OuterPlan; cost: number } {
  const { element, batch, rows, columns, depth, features, left, right, prepackRight } = shape;
  const bytes = SCALARS[element].bytes;
  const lanes = lanesOf(element, features);
  const vectors = Math.ceil(columns / lanes);
  const unroll = depth % 4 === 0 ? 4 : depth % 2 === 0 ? 2 : 1;
  const nearBytes = NEAR_BYTES * features.vectorBytes;
  const rightBytes = depth * columns * bytes;
  const contiguous = right !== null && right.outer === 1 && columns >= lanes;
  const streaming = rows <= STREAMING_ROWS && rightBytes > nearBytes && (prepackRight || contiguous);
  const tile = streaming
    ? streamingTile(rows, vectors, features, prepackRight)
    : chooseTile(rows, vectors, depth, features);
  const { rows: tileRows, vectors: tileVectors } = tile;
  const width = tileVectors * lanes;
  const panels = Math.ceil(vectors / tileVectors);
  const rowTiles = Math.ceil(rows / tileRows);

  const inPieces = streaming && prepackRight && rowTiles > 1 && canTakeTurns(features);
  const piecePanels = Math.min(panels, rows * depth * bytes <= NEAR_ROWS_BYTES ? 1 : 2);
  const inPlace = contiguous && (streaming || rightBytes <= DIRECT_BYTES || rows <= STREAMING_ROWS);
  const rightSource: OperandSource = prepackRight ? 'shared' : inPlace ? 'direct' : 'local';
  // Rows that are far apart along depth touch a page for each step: short pieces of the depth keep those pages at hand, if sums do too.
  const scattered = left === null || (left.depth !== 1 && left.depth * bytes >= 1024);
  const short = scattered && panels > 1 && rows * width * bytes <= nearBytes;
  // A right operand that streams in place is read a few whole rows at a time, which is what the processor fetches ahead; packed panels all along.
  const longest = streaming
    ? rightSource === 'direct'
      ? STREAMING_DEPTH
      : inPieces
        ? Math.max(unroll, Math.floor(PIECE_BYTES / (piecePanels * width * bytes)))
        : depth
    : short
      ? SCATTERED_DEPTH
      : right === null
        ? windowPiece(shape, panels, width)
        : DEPTH_BLOCK;
  const parts = rightSource === 'shared' ? 1 : partsOf(batch * rowTiles * panels, depth);
  const partDepth = up(Math.ceil(depth / parts), parts === 1 ? 1 : unroll);
  const depthBlock = Math.min(partDepth, up(Math.ceil(partDepth / Math.ceil(partDepth / longest)), unroll));
  const group = inPieces
    ? piecePanels
    : groupOf(shape, {
        width,
        panels,
        depthBlock,
        oneBlock: depthBlock >= partDepth,
        isLocal: rightSource === 'local',
      });
  const copyScattered =
    scattered && panels > 1 && ((left?.depth ?? 0) * bytes >= 8192 || (depthBlock >= partDepth && group >= 4));
  // Many rows a large power of two apart compete for the same cache sets.
  const copyRows = left === null || copyScattered || (streaming && rows > 4);
  const rowsTogether = Math.min(
    Math.ceil(ROW_BLOCK / tileRows),
    Math.floor(ROW_BLOCK_BYTES / (tileRows * depthBlock * bytes)),
  );
  const packing = rightSource === 'direct' ? 0 : columns * depth * (right?.outer === 1 ? 0.15 : 0.6);
  const streams = streaming && rightSource === 'shared' && !inPieces && depth % STREAMS === 0 ? STREAMS : 1;
  const plan: OuterPlan = {
    kind: 'outer',
    lanes,
    tileRows,
    tileVectors,
    width,
    panels,
    rowTiles,
    group,
    unroll,
    streams,
    streamDepth: depth / streams,
    left: copyRows ? 'local' : 'direct',
    rowBlock: rows <= STREAMING_ROWS ? rowTiles : Math.min(rowTiles, Math.max(1, rowsTogether)),
    right: rightSource,
    rightBatches: right?.batchInvariant === true ? 1 : batch,
    parts: Math.ceil(depth / partDepth),
    partDepth,
    depthBlock,
    prefetch: inPieces
      ? depthBlock * width
      : !streaming
        ? 0
        : rightSource === 'direct'
          ? STREAMING_DEPTH
          : STREAMING_AHEAD / bytes,
    prefetchTiles: inPieces && lanes % unroll === 0 ? rowTiles : 1,
  };
  return { plan, cost: tile.cycles * depth * batch + packing * batch };
}

/** Windows that few rows pass, which fit the first-level cache by themselves: it pays to multiply what has just been packed while it is there. */
const passesFewRows = ({ element, rows, depth, right }: ContractionShape): boolean =>
  right === null && rows * depth * SCALARS[element].bytes <= L1_BYTES;

/**
 * Depths of windows that are packed at once: what the first-level cache holds, if that is the plan. Where rows come from afar and windows are
 * few, so few that all panels are one group, which rows pass, and threads share, once.
 */
function windowPiece(shape: ContractionShape, panels: number, width: number): number {
  const { element, rows, depth, features } = shape;
  const bytes = SCALARS[element].bytes;
  const near = NEAR_BYTES * features.vectorBytes;
  if (passesFewRows(shape)) return Math.floor(L1_BYTES / (width * bytes));
  const ofDepth = panels * width * bytes;
  const isFar = rows * depth * bytes > near && Math.max(rows, SCATTERED_DEPTH) * ofDepth <= near / 2;
  return isFar && panels > 1 ? Math.floor(near / 2 / ofDepth) : DEPTH_BLOCK;
}

/** Panels of a group: what the cache holds, and unfinished sums with it. */
function groupOf(
  shape: ContractionShape,
  cut: { width: number; panels: number; depthBlock: number; oneBlock: boolean; isLocal: boolean },
): number {
  const { element, rows, features } = shape;
  const { width, panels, depthBlock, oneBlock, isLocal } = cut;
  const inCache = (positions: number): number =>
    Math.max(1, Math.floor((GROUP_BYTES * features.vectorBytes) / (positions * width * SCALARS[element].bytes)));
  const inL1 = Math.floor(L1_BYTES / (depthBlock * width * SCALARS[element].bytes));
  if (passesFewRows(shape)) return oneBlock ? Math.min(Math.max(1, inL1), panels) : 1;
  const most = oneBlock ? inCache(depthBlock) : Math.min(inCache(depthBlock), inCache(rows));
  // Threads that share a group both pack it, which few rows do not repay.
  const shared = isLocal && rows <= 192 ? Math.ceil(panels / 4) : panels;
  return Math.ceil(panels / Math.ceil(panels / Math.min(most, shared)));
}

function planInner({
  element,
  batch,
  rows,
  columns,
  depth,
  features,
  left,
  right,
  prepackRight,
}: ContractionShape): { plan: InnerPlan; cost: number } | null {
  const lanes = lanesOf(element, features);
  if (
    lanes === 1 ||
    prepackRight ||
    left === null ||
    right === null ||
    left.depth !== 1 ||
    right.depth !== 1 ||
    depth < 4 * lanes
  )
    return null;
  const most = mostSums(features);
  let best = { rows: 1, columns: 1, cycles: Infinity };
  const bytes = SCALARS[element].bytes;
  // All rows of the left operand pass for each column tile; nothing blocks them for the caches.
  const bytesPerCycle = rows * depth * bytes > INNER_CACHE_BYTES ? 8 : 40;
  for (let r = 1; r <= Math.min(rows, 8); r++) {
    for (let c = 1; c <= Math.min(columns, 8); c++) {
      if (r * c > most || r * c + Math.min(r, c) + 1 >= features.vectorRegisters) break;
      const tiles = Math.ceil(rows / r) * Math.ceil(columns / c);
      const cycles =
        tiles *
        (Math.max((r * c) / 2, (r + c) / 2, FMA_LATENCY) * (depth / lanes) +
          r * c * (2 * Math.log2(lanes) + 2) +
          20 +
          (r * depth * bytes) / bytesPerCycle);
      if (cycles < best.cycles) best = { rows: r, columns: c, cycles };
    }
  }
  const tiles = batch * Math.ceil(rows / best.rows) * Math.ceil(columns / best.columns);
  const wanted = partsOf(tiles, depth);
  const partDepth = wanted === 1 ? depth : up(Math.ceil(depth / wanted), 4 * lanes);
  return {
    plan: {
      kind: 'inner',
      lanes,
      tileRows: best.rows,
      tileColumns: best.columns,
      rowTiles: Math.ceil(rows / best.rows),
      columnTiles: Math.ceil(columns / best.columns),
      parts: Math.ceil(depth / partDepth),
      partDepth,
    },
    cost: batch * best.cycles,
  };
}
