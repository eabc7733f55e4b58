/**
 * How a contraction is cut: which register tile, which blocks, what is packed.
 *
 * Terms: a *tile* is the part of the result whose sums live in registers (`tileRows` rows by `tileVectors` vectors of columns); a *panel* is
 * the right operand's part for the columns of a tile; a *group* is a number of panels that stay in the second-level cache while row tiles pass,
 * each row tile staying in the first-level cache for all panels of the group. Panels, packing and the outer-product tile in registers follow
 * Goto and van de Geijn, "Anatomy of high-performance matrix multiplication".
 *
 * All numbers depend on the shape, the operands' layout and the vector registers, never on the number of threads.
 */
import { type DeviceFeatures, SCALARS, type ScalarType } from '@proj/kernel';

/** Where an operand is read from: in place, from a copy that the thread packs just before use, or from panels that an earlier launch packed. */
export type OperandSource = 'direct' | 'local' | 'shared';

/** What the planner knows of an operand: strides in elements, or null for one that is only reachable through its `load`. */
export interface OperandLayout {
  readonly outer: number;
  readonly depth: number;
  /** Whether every batch reads the same elements. */
  readonly batchInvariant: boolean;
}

export interface ContractionShape {
  readonly element: ScalarType;
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly features: DeviceFeatures;
  readonly left: OperandLayout | null;
  readonly right: OperandLayout | null;
  /** The caller keeps the packed right operand across runs. */
  readonly prepackRight: boolean;
}

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
  readonly unroll: number;
  readonly left: Exclude<OperandSource, 'shared'>;
  /** Row tiles whose rows are packed together; all of them: once for all panels. */
  readonly rowBlock: number;
  readonly right: OperandSource;
  /** Batches of the right operand that differ. */
  readonly rightBatches: number;
  /** Parts of the depth that are summed apart and combined in pairs. */
  readonly parts: number;
  readonly partDepth: number;
  /** Elements ahead at which the right operand is prefetched, 0 for not. */
  readonly prefetch: number;
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

export type ContractionPlan = OuterPlan | InnerPlan;

const L1_BYTES = 32 * 1024;
/** What a group of panels may take of the second-level cache, for each byte of a vector register. */
const GROUP_BYTES = 16 * 1024;
/** A right operand up to this size is read in place when its columns are contiguous. */
const DIRECT_BYTES = 320 * 1024;
/** Rows, and bytes of them, that are packed together. */
const ROW_BLOCK = 48;
const ROW_BLOCK_BYTES = 256 * 1024;
const INNER_CACHE_BYTES = 512 * 1024;
const FMA_LATENCY = 4;
/** Depth up to which sums stay in registers. */
const DEPTH_BLOCK = 4096;

const up = (x: number, multiple: number): number => Math.ceil(x / multiple) * multiple;

/** Lanes of a vector of `element`: bounded, since wide vectors of small integers are multiplied in many steps. */
export const lanesOf = (element: ScalarType, features: DeviceFeatures): number => Math.min(16, Math.max(1, features.vectorBytes / SCALARS[element].bytes));

export function planContraction(shape: ContractionShape): ContractionPlan {
  const outer = planOuter(shape);
  const inner = planInner(shape);
  return inner !== null && inner.cost < outer.cost ? inner.plan : outer.plan;
}

/** Parts of the depth when there are too few tiles to share out: a function of the shape alone. */
const partsOf = (tiles: number, depth: number): number => (tiles < 32 && depth >= 4096 ? Math.min(16, Math.floor(depth / 1024)) : 1);

/** Register tile with the fewest cycles for a whole product of `rows` by `vectors` vectors, with an estimate of those cycles per depth. */
function chooseTile(rows: number, vectors: number, depth: number, features: DeviceFeatures, streams: boolean): { rows: number; vectors: number; cycles: number } {
  const registers = features.vectorRegisters;
  const most = Math.floor(registers * 0.78);
  let best = { rows: 1, vectors: 1, cycles: Infinity };
  for (let v = 1; v <= Math.min(vectors, 8); v++) {
    for (let r = 1; r <= Math.min(rows, most); r++) {
      if (r * v > most || r * v + v + 1 >= registers) break;
      const tiles = Math.ceil(rows / r) * Math.ceil(vectors / v);
      // Two multiply-adds and two loads a cycle; each sum waits for its last addition; a panel larger than L1 arrives at 40 bytes a cycle.
      const fetch = streams ? (v * features.vectorBytes) / 40 : 0;
      const cycles = tiles * (Math.max((r * v) / 2, (r + v) / 2, FMA_LATENCY, fetch) + 0.05 * (r + v) + (12 + r * v) / depth);
      if (cycles < best.cycles * 0.999) best = { rows: r, vectors: v, cycles };
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
  const streams = Math.min(depth, DEPTH_BLOCK) * 4 * features.vectorBytes > L1_BYTES;
  // Few rows against a right operand that passes once, from main memory: all rows in one tile, so that it passes once through the caches too.
  const once = prepackRight && rows <= 24 && rows <= Math.floor(features.vectorRegisters * 0.78) && rows > 4 && depth * columns * bytes > 4 << 20;
  const tile = once ? { rows, vectors: 1, cycles: vectors * Math.max(rows / 2, (rows + 1) / 2, FMA_LATENCY) } : chooseTile(rows, vectors, depth, features, streams);
  const tileRows = tile.rows;
  const tileVectors = tile.vectors;
  const width = tileVectors * lanes;
  const panels = Math.ceil(vectors / tileVectors);
  const rowTiles = Math.ceil(rows / tileRows);

  const contiguous = right !== null && right.outer === 1 && columns >= lanes;
  const rightBytes = depth * columns * bytes;
  const groupBytes = GROUP_BYTES * features.vectorBytes;
  const inPlace = contiguous && !prepackRight && (rightBytes <= DIRECT_BYTES || rows <= 4 || (rows <= 32 && rightBytes <= groupBytes));
  const rightSource: OperandSource = inPlace ? 'direct' : prepackRight ? 'shared' : 'local';
  // With few rows the right operand streams from memory once: a slice of the depth across all columns is packed as it lies there.
  const slices = rightSource === 'local' && contiguous && rows <= 32 && rightBytes > groupBytes;
  const sliceDepth = Math.max(16, Math.floor(groupBytes / (panels * width * bytes) / 4) * 4);
  const depthBlock = slices && unroll > 1 ? Math.min(sliceDepth, depth) : up(Math.ceil(depth / Math.ceil(depth / DEPTH_BLOCK)), unroll);
  const most = Math.max(1, Math.floor(groupBytes / (Math.min(depth, depthBlock) * width * bytes)));
  const group = Math.ceil(panels / Math.ceil(panels / most));
  // Rows that are far apart along depth touch a page for each step; a copy pays when several panels use it.
  const scattered = left === null || (left.depth !== 1 && left.depth * bytes >= 1024 && panels > 1);
  // So do rows that are a large power of two apart, which compete for the same cache sets, where nothing else would be cached.
  const thrashing = once && tileRows > 8;
  const rowsTogether = Math.max(1, Math.min(Math.ceil(ROW_BLOCK / tileRows), Math.floor(ROW_BLOCK_BYTES / (tileRows * Math.min(depth, depthBlock) * bytes))));
  const rowBlock = rows <= 32 ? rowTiles : Math.min(rowTiles, rowsTogether);
  const tiles = batch * rowTiles * panels;
  const parts = rightSource === 'shared' ? 1 : partsOf(tiles, depth);
  const partDepth = parts === 1 ? depth : up(Math.ceil(depth / parts), unroll);
  const packing = rightSource === 'direct' ? 0 : columns * depth * (right?.outer === 1 ? 0.15 : 0.6);
  const plan: OuterPlan = {
    kind: 'outer', lanes, tileRows, tileVectors, width, panels, rowTiles, group, unroll, left: scattered || thrashing ? 'local' : 'direct', rowBlock, right: rightSource, rightBatches: right?.batchInvariant === true ? 1 : batch,
    parts: Math.ceil(depth / partDepth), partDepth, depthBlock: Math.min(partDepth, depthBlock),
    prefetch: rightSource === 'direct' && rightBytes > 2 * DIRECT_BYTES ? 8 : once ? 16_384 / bytes : 0,
  };
  return { plan, cost: tile.cycles * depth * batch + packing * batch };
}

function planInner({ element, batch, rows, columns, depth, features, left, right, prepackRight }: ContractionShape): { plan: InnerPlan; cost: number } | null {
  const lanes = lanesOf(element, features);
  if (lanes === 1 || prepackRight || left === null || right === null || left.depth !== 1 || right.depth !== 1 || depth < 4 * lanes) return null;
  const most = Math.floor(features.vectorRegisters * 0.78);
  let best = { rows: 1, columns: 1, cycles: Infinity };
  const bytes = SCALARS[element].bytes;
  // All rows of the left operand pass for each column tile; nothing blocks them for the caches.
  const bytesPerCycle = rows * depth * bytes > INNER_CACHE_BYTES ? 8 : 40;
  for (let r = 1; r <= Math.min(rows, 8); r++) {
    for (let c = 1; c <= Math.min(columns, 8); c++) {
      if (r * c > most || r * c + Math.min(r, c) + 1 >= features.vectorRegisters) break;
      const tiles = Math.ceil(rows / r) * Math.ceil(columns / c);
      const cycles = tiles * (Math.max((r * c) / 2, (r + c) / 2, FMA_LATENCY) * (depth / lanes) + r * c * (2 * Math.log2(lanes) + 2) + 20 + (r * depth * bytes) / bytesPerCycle);
      if (cycles < best.cycles) best = { rows: r, columns: c, cycles };
    }
  }
  const tiles = batch * Math.ceil(rows / best.rows) * Math.ceil(columns / best.columns);
  const wanted = partsOf(tiles, depth);
  const partDepth = wanted === 1 ? depth : up(Math.ceil(depth / wanted), 4 * lanes);
  return {
    plan: {
      kind: 'inner', lanes, tileRows: best.rows, tileColumns: best.columns, rowTiles: Math.ceil(rows / best.rows), columnTiles: Math.ceil(columns / best.columns),
      parts: Math.ceil(depth / partDepth), partDepth,
    },
    cost: batch * best.cycles,
  };
}
