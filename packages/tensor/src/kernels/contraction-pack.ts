/**
 * Packing: an operand copied so that each panel is one run of memory, `[depth][width]`, in the order in which a tile reads it.
 *
 * Vectors never read outside the operand: the last vector of a dimension begins early and repeats elements of the one before. Such repeated
 * outer positions are computed and not stored; see {@link vectorStart}.
 */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import { fetch, isContiguous, type OperandAt, powersOf } from './contraction-operand.ts';

/** First outer position of the vector that stands for `[nominal, nominal + lanes)`: early enough not to end after `count`. */
export function vectorStart(b: KernelBuilder, nominal: Value, lanes: number, count: number, exact: boolean): Value {
  return exact ? nominal : b.min(nominal, Math.max(0, count - lanes));
}

export interface PackRequest {
  readonly source: OperandAt;
  /** Outer positions of the operand. */
  readonly count: number;
  readonly panel: Value;
  /** Outer positions in a panel; a multiple of `lanes`, or less than it for panels of rows. */
  readonly width: number;
  readonly lanes: number;
  readonly begin: Value;
  readonly end: Value;
  /** Depth positions of `[begin, end)` when known to be at least a vector. */
  readonly deep: boolean;
  readonly target: Memory;
  /** Where element (depth, 0) of the panel goes, less depth · width. */
  readonly at: Value;
}

/** Copies the depths `[begin, end)` of one panel of vectors. */
export function packPanel(b: KernelBuilder, request: PackRequest): void {
  const { source, count, width, lanes } = request;
  if (count >= lanes && lanes > 1 && !isContiguous(source.operand, 'outer') && isContiguous(source.operand, 'depth') && request.deep) packTransposed(b, request);
  else if (width % lanes === 0) packVectors(b, request);
  else packRows(b, request);
}

function packVectors(b: KernelBuilder, { source, count, panel, width, lanes, begin, end, target, at }: PackRequest): void {
  const first = b.mul(panel, width);
  const exact = count % width === 0;
  b.for(begin, end, 1, [], (k) => {
    const row = b.add(at, b.mul(k, width));
    for (let v = 0; v < width; v += lanes) {
      if (count >= lanes) {
        const start = vectorStart(b, b.add(first, v), lanes, count, exact);
        b.store(target, b.add(row, v), fetch(b, source, start, k, 'outer', lanes));
        continue;
      }
      b.store(target, b.add(row, v), b.splat(b.constant(0, target.element), lanes));
      let done = 0;
      for (const piece of powersOf(count)) {
        b.store(target, b.add(row, done), fetch(b, source, b.index(done), k, 'outer', piece));
        done += piece;
      }
    }
  });
}

/** Panels that are no whole vectors (rows of the left operand), one element after the other. */
function packRows(b: KernelBuilder, { source, count, panel, width, begin, end, target, at }: PackRequest): void {
  const first = vectorStart(b, b.mul(panel, width), width, count, count % width === 0);
  b.for(begin, end, 1, [], (k) => {
    const row = b.add(at, b.mul(k, width));
    for (let i = 0; i < width; i++) b.store(target, b.add(row, i), fetch(b, source, first, k, 'outer', 1, { outer: i, depth: 0 }));
  });
}

/** Squares of `lanes` by `lanes` turned in registers. The last square begins early: what it repeats is the same. */
function packTransposed(b: KernelBuilder, { source, count, panel, width, lanes, begin, end, target, at }: PackRequest): void {
  const exact = count % width === 0;
  b.for(begin, end, lanes, [], (nominal) => {
    const k = b.max(b.min(nominal, b.sub(end, lanes)), begin);
    b.for(0, width, lanes, [], (v) => {
      const start = vectorStart(b, b.add(b.mul(panel, width), v), lanes, count, exact);
      const rows: Value[] = [];
      for (let j = 0; j < lanes; j++) rows.push(fetch(b, source, start, k, 'depth', lanes, { outer: j, depth: 0 }));
      const place = b.add(b.add(at, b.mul(k, width)), v);
      transpose(b, rows).forEach((row, j) => b.store(target, b.add(place, j * width), row));
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
