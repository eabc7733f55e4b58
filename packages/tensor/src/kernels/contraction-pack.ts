/**
 * Packing: an operand copied so that each panel is one run of memory, `[depth][width]`, in the order in which a tile reads it.
 *
 * Vectors never read outside the operand: the last vector of a dimension begins early and repeats elements of the one before. Such repeated
 * outer positions are computed and not stored; see {@link vectorStart}.
 */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import { fetch, isContiguous, type OperandAt, powersOf, prefetchRow } from './contraction-operand.ts';

/** First outer position of the vector that stands for `[nominal, nominal + lanes)`: early enough not to end after `count`. */
export function vectorStart(b: KernelBuilder, nominal: Value, lanes: number, count: number, exact: boolean): Value {
  return exact ? nominal : b.min(nominal, Math.max(0, count - lanes));
}

/** Rows ahead: each row of a large operand is on another page, which the processor does not foresee. */
const PREFETCH_ROWS = 8;

export interface PackRequest {
  readonly source: OperandAt;
  /** Outer positions of the operand. */
  readonly count: number;
  /** Panels `[first, end)`, of `width` outer positions each, a multiple of `lanes`. */
  readonly first: Value;
  readonly end: Value;
  readonly width: number;
  readonly lanes: number;
  readonly depthBegin: Value;
  readonly depthEnd: Value;
  /** The depth is never shorter than this. */
  readonly shortest: number;
  readonly target: Memory;
  /** Where the first panel goes, and how many elements apart panels are. */
  readonly at: Value;
  readonly stride: Value;
}

/** Copies a piece of the depth of some panels. */
export function packPanels(b: KernelBuilder, request: PackRequest): void {
  const { source, count, lanes, shortest } = request;
  const turned =
    count >= lanes &&
    lanes > 1 &&
    shortest >= lanes &&
    !isContiguous(source.operand, 'outer') &&
    isContiguous(source.operand, 'depth');
  if (turned) packTransposed(b, request);
  else packVectors(b, request);
}

/** Row after row, all panels of a row together, as they lie in memory. */
function packVectors(
  b: KernelBuilder,
  { source, count, first, end, width, lanes, depthBegin, depthEnd, target, at, stride }: PackRequest,
): void {
  const exact = count % width === 0;
  const contiguous = isContiguous(source.operand, 'outer');
  const row = (panel: Value, k: Value): void => {
    const place = b.add(b.add(at, b.mul(b.sub(panel, first), stride)), b.mul(b.sub(k, depthBegin), width));
    const column = b.mul(panel, width);
    for (let v = 0; v < width; v += lanes) {
      if (count >= lanes) {
        const value = exact
          ? fetch(b, source, column, k, 'outer', lanes, { outer: v, depth: 0 })
          : fetch(b, source, vectorStart(b, b.add(column, v), lanes, count, false), k, 'outer', lanes);
        b.store(target, b.add(place, v), value);
        if (contiguous) prefetchRow(b, source, column, k, { outer: v, depth: PREFETCH_ROWS });
        continue;
      }
      b.store(target, b.add(place, v), b.splat(b.constant(0, target.element), lanes));
      let done = 0;
      for (const piece of powersOf(count)) {
        b.store(target, b.add(place, done), fetch(b, source, b.index(done), k, 'outer', piece));
        done += piece;
      }
    }
  };
  // Contiguous rows are read as they lie; gathered ones keep what depends on the column alone out of the inner loop.
  if (contiguous) b.for(depthBegin, depthEnd, 1, [], (k) => void b.for(first, end, 1, [], (panel) => row(panel, k)));
  else b.for(first, end, 1, [], (panel) => void b.for(depthBegin, depthEnd, 1, [], (k) => row(panel, k)));
}

/** Squares of `lanes` by `lanes` turned in registers. The last square begins early: what it repeats is the same. */
function packTransposed(
  b: KernelBuilder,
  { source, count, first, end, width, lanes, depthBegin, depthEnd, target, at, stride }: PackRequest,
): void {
  const exact = count % width === 0;
  b.for(first, end, 1, [], (panel) => {
    const panelAt = b.add(at, b.mul(b.sub(panel, first), stride));
    b.for(0, width, lanes, [], (v) => {
      const start = vectorStart(b, b.add(b.mul(panel, width), v), lanes, count, exact);
      b.for(depthBegin, depthEnd, lanes, [], (nominal) => {
        const k = b.min(nominal, b.sub(depthEnd, lanes));
        const rows: Value[] = [];
        for (let j = 0; j < lanes; j++) rows.push(fetch(b, source, start, k, 'depth', lanes, { outer: j, depth: 0 }));
        const place = b.add(b.add(panelAt, b.mul(b.sub(k, depthBegin), width)), v);
        transpose(b, rows).forEach((row, j) => b.store(target, b.add(place, j * width), row));
      });
    });
  });
}

export interface RowPackRequest {
  readonly source: OperandAt;
  readonly first: Value;
  readonly rows: number;
  /** Elements from one depth to the next in the copy. */
  readonly stride: number;
  readonly lanes: number;
  readonly depthBegin: Value;
  readonly depthEnd: Value;
  /** The depth is never shorter than this. */
  readonly shortest: number;
  readonly target: Memory;
  readonly at: Value;
}

/** Some rows of the left operand as `[depth][stride]`. */
export function packRows(b: KernelBuilder, request: RowPackRequest): void {
  const { source, first, rows, stride, lanes, depthBegin, depthEnd, shortest, target, at } = request;
  const side = Math.min(lanes, 2 ** Math.floor(Math.log2(rows)));
  if (side > 1 && shortest >= side && isContiguous(source.operand, 'depth')) return packRowsTurned(b, request, side);
  b.for(depthBegin, depthEnd, 1, [], (k) => {
    const place = b.add(at, b.mul(b.sub(k, depthBegin), stride));
    if (!isContiguous(source.operand, 'outer')) {
      b.for(0, rows, 1, [], (i) => b.store(target, b.add(place, i), fetch(b, source, b.add(first, i), k, 'outer', 1)));
      return;
    }
    const whole = rows - (rows % lanes);
    const pieces = [...new Array<number>(whole / lanes).fill(lanes), ...powersOf(rows - whole)];
    let done = 0;
    for (const piece of pieces) {
      b.store(target, b.add(place, done), fetch(b, source, first, k, 'outer', piece, { outer: done, depth: 0 }));
      prefetchRow(b, source, first, k, { outer: done, depth: PREFETCH_ROWS });
      done += piece;
    }
  });
}

/** Squares of `side` by `side` turned in registers; the last one of each direction begins early. */
function packRowsTurned(
  b: KernelBuilder,
  { source, first, rows, stride, depthBegin, depthEnd, target, at }: RowPackRequest,
  side: number,
): void {
  b.for(depthBegin, depthEnd, side, [], (nominal) => {
    const k = b.min(nominal, b.sub(depthEnd, side));
    const place = b.add(at, b.mul(b.sub(k, depthBegin), stride));
    b.for(0, rows, side, [], (nominalRow) => {
      const row = rows % side === 0 ? nominalRow : b.min(nominalRow, rows - side);
      const square = Array.from({ length: side }, (_, j) =>
        fetch(b, source, b.add(first, row), k, 'depth', side, { outer: j, depth: 0 }),
      );
      transpose(b, square).forEach((turned, j) => b.store(target, b.add(b.add(place, row), j * stride), turned));
    });
  });
}

/** A square of vectors turned about its diagonal by exchanging halves, quarters … (Eklundh). */
export function transpose(b: KernelBuilder, rows: readonly Value[]): Value[] {
  const n = rows.length;
  let current = [...rows];
  for (let d = n / 2; d >= 1; d /= 2) {
    const next = [...current];
    const low: number[] = [];
    const high: number[] = [];
    for (let lane = 0; lane < n; lane++) {
      low.push((lane & d) === 0 ? lane : n + lane - d);
      high.push((lane & d) === 0 ? lane + d : n + lane);
    }
    for (let i = 0; i < n; i++) {
      if ((i & d) !== 0) continue;
      next[i] = b.shuffle(current[i], current[i + d], low);
      next[i + d] = b.shuffle(current[i], current[i + d], high);
    }
    current = next;
  }
  return current;
}
