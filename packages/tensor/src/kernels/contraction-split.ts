/**
 * Products of float32 matrices in tile registers: both operands as sums of three bfloat16, whose products are exact in float32.
 *
 * Six of the nine products of pieces count; the other three are below 2^-24 of the product together, less than float32 rounds off. Numbers that
 * three bfloat16 cannot stand for (infinities, NaN, and rows and columns so large or so small that pieces or products leave the range of
 * float32) are multiplied as floats.
 */
import { buildKernel, type Kernel, type KernelBuilder, type Memory, type Value, valueType } from '@proj/kernel';
import { fetch, forGroups, type OperandAt, operandAt } from './contraction-operand.ts';
import { vectorStart } from './contraction-pack.ts';
import { DEPTH_STEP, packStrip, SIDE, STEP, STRIP, type StripRange, TILE, tileAt } from './contraction-split-pack.ts';
import type { SplitPlan } from './contraction-split-plan.ts';
import { firstRow, storeHeld, type TilePlace } from './contraction-tile.ts';
import type { ContractionSpec } from './contraction-types.ts';

/** Pairs of pieces (left, right), the smallest products first; each shares a piece with the one before, which is loaded once. */
const PRODUCTS = [
  [2, 0],
  [1, 0],
  [1, 1],
  [0, 1],
  [0, 0],
  [0, 2],
] as const;

/** Magnitudes of rows and columns, and of their products, between which nothing is lost but what float32 would round off too. */
const LEAST = 2 ** -90;
const LEAST_PRODUCT = 2 ** -86;
const MOST = 2 ** 120;
const MOST_PRODUCT = 2 ** 100;

/**
 * Panels whose tiles are stored together, a row of them at a time: rows of results lie apart, often by a multiple of 4 KiB, where the processor takes reading one
 * for reading what was just written to another.
 */
const RUN = 12;

/** Rows that the product of floats does at once. */
const PLAIN_ROWS = 4;

export const stepsOf = (depth: number): number => Math.ceil(depth / DEPTH_STEP);

/** Elements (of bfloat16) of a thread's own workspace: a group of panels, then a strip of rows. */
export const splitWorkspace = ({ group }: SplitPlan, depth: number): number => (group + 1) * stepsOf(depth) * STEP;

/** Its range counts tiles of 32 by 32, in the order batch, group of panels, row tile, panel. */
export function splitKernel(spec: ContractionSpec, plan: SplitPlan): Kernel {
  const { rows, columns, depth } = spec;
  const { panels, rowTiles, group } = plan;
  const strip = stepsOf(depth) * STEP;
  return buildKernel(`${spec.name}_split`, (b) => {
    const { left, right, store } = spec.declare(b);
    const packed = b.buffer('workspace', 'bf16', 'readwrite');
    const sums = b.local('tiles', 'f32', RUN * STRIP * STRIP);
    const ranges = b.local('ranges', 'f32', 2 * group);
    const panelsAt = b.mul(b.thread, splitWorkspace(plan, depth));
    const rowsAt = b.add(panelsAt, group * strip);
    forGroups(b, b.begin, b.end, rowTiles * panels, spec.batch, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch, spec.element);
      const rightAt = operandAt(b, right, batch, spec.element);
      forGroups(b, begin, end, group * rowTiles, Math.ceil(panels / group), (index, begin, end) => {
        const first = b.mul(index, group);
        const count = panels % group === 0 ? b.index(group) : b.min(b.sub(panels, first), group);
        b.for(0, count, 1, [], (n) => {
          const range = packStrip(b, {
            source: rightAt,
            lanes: 'outer',
            count: columns,
            depth,
            first: b.mul(b.add(first, n), STRIP),
            target: packed,
            at: b.add(panelsAt, b.mul(n, strip)),
          });
          b.store(ranges, b.mul(n, 2), range.least);
          b.store(ranges, b.add(b.mul(n, 2), 1), range.most);
        });
        forGroups(b, begin, end, count, rowTiles, (tile, begin, end) => {
          const row = firstRow(b, tile, STRIP, rows);
          const own = packStrip(b, {
            source: leftAt,
            lanes: 'depth',
            count: rows,
            depth,
            first: row,
            target: packed,
            at: rowsAt,
          });
          b.for(begin, end, RUN, [], (start) => {
            const stop = b.min(b.add(start, RUN), end);
            b.for(start, stop, 1, [], (n) => {
              const range = { least: b.load(ranges, b.mul(n, 2)), most: b.load(ranges, b.add(b.mul(n, 2), 1)) };
              const sumsAt = b.mul(b.sub(n, start), STRIP * STRIP);
              b.if(
                isExact(b, own, range),
                () => multiply(b, packed, rowsAt, b.add(panelsAt, b.mul(n, strip)), stepsOf(depth), sums, sumsAt),
                () => multiplyPlain(b, leftAt, rightAt, row, b.mul(b.add(first, n), STRIP), spec, sums, sumsAt),
              );
            });
            const place: TilePlace = {
              rows,
              columns,
              tileRows: STRIP,
              lanes: SIDE,
              width: STRIP,
              tile,
              panel: b.add(first, start),
              vectors: b.mul(b.sub(stop, start), 2),
            };
            storeHeld(
              b,
              place,
              (row, column, value) => store(b, { batch, row, column }, value, value.type.lanes),
              (i, v) => b.load(sums, sumAt(b, i, v), SIDE),
            );
          });
        });
      });
    });
  });
}

/** Where vector `v` of row `i` of a run lies: four tiles of 16 by 16 for each panel, row by row. */
function sumAt(b: KernelBuilder, i: Value, v: Value): Value {
  const panel = b.mul(b.div(v, 2), STRIP * STRIP);
  const tile = b.mul(b.add(b.mul(b.div(i, SIDE), 2), b.rem(v, 2)), SIDE * SIDE);
  return b.add(b.add(panel, tile), b.mul(b.rem(i, SIDE), SIDE));
}

/** Comparisons with NaN are false. */
function isExact(b: KernelBuilder, rows: StripRange, columns: StripRange): Value {
  const conditions = [
    ...[rows, columns].flatMap(({ least, most }) => [b.gt(least, LEAST), b.lt(most, MOST)]),
    b.gt(b.mul(rows.least, columns.least), LEAST_PRODUCT),
    b.lt(b.mul(rows.most, columns.most), MOST_PRODUCT),
  ];
  return conditions.reduce((all, condition) => b.and(all, condition));
}

function multiply(
  b: KernelBuilder,
  packed: Memory,
  rowsAt: Value,
  panelAt: Value,
  steps: number,
  sums: Memory,
  sumsAt: Value,
): void {
  const zero = b.constant(0, valueType('f32', SIDE * SIDE));
  const results = b.for(0, steps, 1, [zero, zero, zero, zero], (step, ...entering) => {
    const at = b.mul(step, STEP);
    const load = (strip: Value, piece: number): Value[] =>
      [0, 1].map((half) => b.load(packed, b.add(b.add(strip, at), tileAt(piece, half)), TILE));
    let tiles = entering;
    let [left, right] = [load(rowsAt, PRODUCTS[0][0]), load(panelAt, PRODUCTS[0][1])];
    PRODUCTS.forEach(([l, r], n) => {
      const before = PRODUCTS[n - 1];
      if (before !== undefined && before[0] !== l) left = load(rowsAt, l);
      if (before !== undefined && before[1] !== r) right = load(panelAt, r);
      tiles = tiles.map((sum, i) => b.tileDot(sum, left[i >> 1], right[i & 1]));
    });
    return tiles;
  });
  results.forEach((tile, i) => b.store(sums, b.add(sumsAt, i * SIDE * SIDE), tile));
}

/** The same tile as floats. */
function multiplyPlain(
  b: KernelBuilder,
  left: OperandAt,
  right: OperandAt,
  row: Value,
  column: Value,
  { columns, depth }: ContractionSpec,
  sums: Memory,
  sumsAt: Value,
): void {
  const starts = [0, 1].map((half) => vectorStart(b, b.add(column, half * SIDE), SIDE, columns, columns % STRIP === 0));
  const zero = b.splat(b.constant(0, 'f32'), SIDE);
  b.for(0, STRIP, PLAIN_ROWS, [], (i) => {
    const zeros = Array.from({ length: 2 * PLAIN_ROWS }, () => zero);
    const results = b.for(0, depth, 1, zeros, (k, ...entering) => {
      const across = starts.map((start) => fetch(b, right, start, k, 'outer', SIDE));
      return entering.map((sum, n) =>
        b.mulAdd(fetch(b, left, b.add(b.add(row, i), n >> 1), k, 'depth', 1), across[n & 1], sum),
      );
    });
    results.forEach((sum, n) => b.store(sums, b.add(sumsAt, sumAt(b, b.add(i, n >> 1), b.index(n & 1))), sum));
  });
}
