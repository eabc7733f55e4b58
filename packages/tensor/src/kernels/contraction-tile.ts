/** One register tile of outer products: the loop over depth, and what becomes of its sums. */
import { type KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { fetch, type OperandAt, powersOf, prefetchRow, slice } from './contraction-operand.ts';
import { vectorStart } from './contraction-pack.ts';
import type { OuterPlan } from './contraction-plan.ts';

/** Where the tile finds its rows of the left operand, or its columns of the right one. */
export type PanelSource =
  | { readonly kind: 'direct'; readonly at: OperandAt }
  /** Element (k, j) is at `at` + k · stride + j. */
  | { readonly kind: 'packed'; readonly memory: Memory; readonly at: Value; readonly stride: number };

export interface TileRequest {
  readonly plan: OuterPlan;
  readonly rows: number;
  readonly columns: number;
  /** Row tile and panel. */
  readonly tile: Value;
  readonly panel: Value;
  /** Vectors of the panel: the last one may have fewer than the others. */
  readonly vectors: number;
  readonly begin: Value;
  readonly end: Value;
  readonly left: PanelSource;
  readonly right: PanelSource;
}

/** First row of tile `tile`: the last tile begins early, so that it is whole. */
export const firstRow = (b: KernelBuilder, tile: Value, tileRows: number, rows: number): Value =>
  rows % tileRows === 0 ? b.mul(tile, tileRows) : b.min(b.mul(tile, tileRows), rows - tileRows);

/** First column of vector `v` of a panel. */
const firstColumn = (b: KernelBuilder, panel: Value, v: number, { width, lanes }: OuterPlan, columns: number): Value =>
  vectorStart(b, b.add(b.mul(panel, width), v * lanes), lanes, columns, columns % width === 0);

/** initial + the products of depths `[begin, end)`; sums are in row order, `vectors` for each row. */
export function multiplyTile(b: KernelBuilder, request: TileRequest, initial: readonly Value[]): Value[] {
  const { plan, columns, tile, panel, vectors: count, left, right, rows } = request;
  const { tileRows, width, lanes } = plan;
  const row = firstRow(b, tile, tileRows, rows);
  // Where no vector has to begin early, the columns of a panel differ by constants, which addresses absorb.
  const whole = columns % width === 0;
  const starts = Array.from({ length: count }, (_, v) => firstColumn(b, panel, whole ? 0 : v, plan, columns));
  const offset = (v: number): number => (whole ? v * lanes : 0);
  const { streams, streamDepth } = plan;
  const ahead = right.kind === 'packed' && plan.prefetchTiles > 1 ? sharedPrefetch(b, request, right) : null;
  const end = streams === 1 ? request.end : b.add(request.begin, streamDepth);
  return b.for(request.begin, end, plan.unroll / streams, initial, (k, ...entering) => {
    let sums = entering;
    for (let step = 0; step < plan.unroll; step++) {
      const u = Math.floor(step / streams) + (step % streams) * streamDepth;
      const vectors: Value[] = [];
      for (let v = 0; v < count; v++) {
        if (right.kind === 'packed') {
          const at = b.add(b.add(right.at, b.mul(k, right.stride)), u * right.stride + v * lanes);
          vectors.push(b.load(right.memory, at, lanes));
          if (plan.prefetch > 0 && plan.prefetchTiles === 1) b.prefetch(right.memory, b.add(at, plan.prefetch));
        } else {
          vectors.push(fetch(b, right.at, starts[v], k, 'outer', lanes, { outer: offset(v), depth: u }));
          if (plan.prefetch > 0) prefetchRow(b, right.at, starts[v], k, { outer: offset(v), depth: u + plan.prefetch });
        }
      }
      const next: Value[] = [];
      for (let i = 0; i < tileRows; i++) {
        ahead?.(k, step * tileRows + i);
        const element =
          left.kind === 'packed'
            ? b.load(left.memory, b.add(b.add(left.at, b.mul(k, left.stride)), u * left.stride + i))
            : fetch(b, left.at, row, k, 'depth', 1, { outer: i, depth: u });
        const broadcast = b.splat(element, lanes);
        for (let v = 0; v < count; v++) next.push(b.mulAdd(broadcast, vectors[v], sums[i * count + v]));
      }
      sums = next;
    }
    return sums;
  });
}

/**
 * Prefetches this row tile's part of the piece that lies `prefetch` ahead into the second-level cache, evenly between the multiplications.
 * `slot` counts the rows that a pass of the innermost loop does.
 */
function sharedPrefetch(
  b: KernelBuilder,
  { plan, tile, begin }: TileRequest,
  { memory, at, stride }: PanelSource & { kind: 'packed' },
): (k: Value, slot: number) => void {
  const { lanes, prefetch, prefetchTiles, depthBlock, unroll, tileRows, tileVectors } = plan;
  const vectors = Math.ceil((unroll * tileVectors) / prefetchTiles);
  const slots = unroll * tileRows;
  const perDepth = (vectors * lanes) / unroll;
  const start = b.add(b.add(at, b.mul(begin, stride)), b.add(b.mul(tile, depthBlock * perDepth), prefetch));
  const from = b.sub(start, b.mul(begin, perDepth));
  return (k, slot) => {
    const first = Math.ceil((slot * vectors) / slots);
    if (first < vectors && first * slots < (slot + 1) * vectors)
      b.prefetch(memory, b.add(b.add(from, b.mul(k, perDepth)), first * lanes), 2);
  };
}

/** Receives finished sums: `lanes` columns of one row. */
export type StoreSums = (row: Value, column: Value, value: Value) => void;

/**
 * Hands the sums of a tile to `store`, each element once: rows and columns that a tile repeats because it began early are left out. Small
 * stores are written out for each vector; others are one loop over the tile, held in `spill`, so that their code exists once. Where weights
 * stream past, whole panels have stores of their own, with nothing to ask: questions between them held up reading from main memory.
 */
export function storeTile(
  b: KernelBuilder,
  request: TileRequest,
  sums: readonly Value[],
  store: StoreSums,
  spill: Memory | null,
): void {
  const { plan, columns, vectors } = request;
  const { tileRows, lanes, width } = plan;
  const { storeRow, storeVector, repeated, lastVector, panelColumn } = storesOf(b, { ...plan, ...request }, store);

  if (spill === null) {
    const storeRows = (put: typeof storeVector): void => {
      for (let i = 0; i < tileRows; i++) {
        storeRow(b.index(i), i < repeated, (at) => {
          for (let v = 0; v < vectors; v++)
            put(at, b.add(panelColumn, v * lanes), () => sums[i * vectors + v], v === lastVector);
        });
      }
    };
    const storeWhole = (): void => storeRows((at, column, value) => store(at, column, value()));
    if (columns % width === 0) storeWhole();
    else if (columns < width || plan.prefetchTiles === 1) storeRows(storeVector);
    else b.if(b.le(panelColumn, columns - width), storeWhole, () => storeRows(storeVector));
    return;
  }
  sums.forEach((sum, n) => b.store(spill, n * lanes, sum));
  storeHeld(b, { ...plan, ...request }, store, (i, v) =>
    b.load(spill, b.mul(b.add(b.mul(i, vectors), v), lanes), lanes),
  );
}

/** A tile of the result and where it lies. */
export interface TilePlace {
  readonly rows: number;
  readonly columns: number;
  readonly tileRows: number;
  readonly lanes: number;
  /** Columns of a panel. */
  readonly width: number;
  /** Row tile and panel, and the vectors of the panel. */
  readonly tile: Value;
  readonly panel: Value;
  readonly vectors: number | Value;
}

/** As {@link storeTile}, of a tile that is in memory: `read` gives vector `v` of row `i`. */
export function storeHeld(
  b: KernelBuilder,
  place: TilePlace,
  store: StoreSums,
  read: (i: Value, v: Value) => Value,
): void {
  const { storeRow, storeVector, repeated, panelColumn } = storesOf(b, place, store);
  b.for(0, place.tileRows, 1, [], (i) => {
    storeRow(i, repeated > 0, (at) => {
      b.for(0, place.vectors, 1, [], (v) =>
        storeVector(at, b.add(panelColumn, b.mul(v, place.lanes)), () => read(i, v), true),
      );
    });
  });
}

/** What a row and a vector of a tile that may have begun early ask before they store. */
function storesOf(b: KernelBuilder, place: TilePlace, store: StoreSums) {
  const { rows, columns, tile, panel, tileRows, lanes, width } = place;
  const row = firstRow(b, tile, tileRows, rows);
  const ownRow = b.mul(tile, tileRows);
  const repeated = rows % tileRows === 0 ? 0 : tileRows - (rows % tileRows);
  const rest = columns % lanes;
  const lastVector = Math.floor(columns / lanes) % (width / lanes);
  const panelColumn = b.mul(panel, width);

  const storeVector = (at: Value, nominal: Value, value: () => Value, canBeLast: boolean): void => {
    const pieces = (): void => {
      let lane = columns < lanes ? 0 : lanes - rest;
      let column = columns - rest;
      for (const piece of powersOf(rest)) {
        store(at, b.index(column), slice(b, value(), lane, piece));
        lane += piece;
        column += piece;
      }
    };
    if (columns < lanes) pieces();
    else if (columns % width === 0) store(at, nominal, value());
    else {
      const partial = rest === 0 || !canBeLast ? undefined : () => b.if(b.lt(nominal, columns), pieces);
      b.if(b.le(nominal, columns - lanes), () => store(at, nominal, value()), partial);
    }
  };
  const storeRow = (i: Value, mayRepeat: boolean, body: (at: Value) => void): void => {
    const at = b.add(row, i);
    if (mayRepeat) b.if(b.ge(at, ownRow), () => body(at));
    else body(at);
  };
  return { storeRow, storeVector, repeated, lastVector, panelColumn };
}
