/**
 * Where PyTorch would keep the elements that a view shows. Values of the graph lie row by row whatever their history, so strides are kept for two
 * reasons alone: they are what `stride()` answers, and they decide which reshapes are views and which are copies, which writes can tell.
 */
import { elementCount, sameShape, type Shape } from './graph/node.ts';

/** Element (i, j, …) of a tensor of `shape` is element `offset` + i · `strides[0]` + j · `strides[1]` + … of its storage. */
export interface Layout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** Elements between neighbours along each dimension of a tensor that lies row by row. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * Math.max(1, shape[i + 1]);
  return strides;
}

export const rowByRow = (shape: Shape): Layout => ({ shape, strides: stridesOf(shape), offset: 0 });

/** Whether elements lie row by row without gaps. Where there is at most one element along a dimension, its stride does not matter. */
export function isRowByRow({ shape, strides }: Layout): boolean {
  const expected = stridesOf(shape);
  return elementCount(shape) === 0 || shape.every((size, d) => size === 1 || strides[d] === expected[d]);
}

export const sameLayout = (a: Layout, b: Layout): boolean =>
  a.offset === b.offset && sameShape(a.shape, b.shape) && sameShape(a.strides, b.strides);

export const permuted = ({ shape, strides, offset }: Layout, order: readonly number[]): Layout => ({
  shape: order.map((d) => shape[d]),
  strides: order.map((d) => strides[d]),
  offset,
});

export const sliced = (
  { strides, offset }: Layout,
  starts: readonly number[],
  sizes: readonly number[],
  steps: readonly number[],
): Layout => ({
  shape: sizes,
  strides: strides.map((stride, d) => stride * steps[d]),
  offset: strides.reduce((at, stride, d) => at + starts[d] * stride, offset),
});

/** Repeated dimensions have stride 0. */
export function expanded({ shape, strides, offset }: Layout, to: Shape): Layout {
  const lead = to.length - shape.length;
  const result = new Array<number>(to.length).fill(0);
  for (let d = to.length - 1; d >= 0; d--) {
    if (d >= lead && shape[d - lead] === to[d]) result[d] = strides[d - lead];
    else if (d < lead && to[d] === 1) result[d] = d + 1 < to.length ? to[d + 1] * result[d + 1] : 1;
  }
  return { shape: to, strides: result, offset };
}

/** Windows of `size` elements every `step` along `dim`, as a new last dimension. */
export const windowed = (
  { shape, strides, offset }: Layout,
  dim: number,
  count: number,
  size: number,
  step: number,
): Layout => ({
  shape: [...shape.map((s, d) => (d === dim ? count : s)), size],
  strides: [...strides.map((stride, d) => (d === dim ? stride * step : stride)), strides[dim]],
  offset,
});

/**
 * The same elements in another shape, or null where no strides can show them. Dimensions are taken from the last to the first in runs whose
 * elements are evenly spaced: each run must be filled by new dimensions exactly.
 */
export function reshaped({ shape, strides, offset }: Layout, to: Shape): Layout | null {
  if (elementCount(shape) === 0) return { shape: to, strides: sameShape(shape, to) ? strides : stridesOf(to), offset };
  const result = new Array<number>(to.length).fill(1);
  let next = to.length - 1;
  let spacing = strides.at(-1) ?? 1;
  let run = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    run *= shape[d];
    if (d > 0 && (shape[d - 1] === 1 || strides[d - 1] === run * spacing)) continue;
    let filled = 1;
    while (next >= 0 && (filled < run || to[next] === 1)) {
      result[next] = filled * spacing;
      filled *= to[next--];
    }
    if (filled !== run) return null;
    if (d > 0) spacing = strides[d - 1];
    run = 1;
  }
  return next < 0 || shape.length === 0 ? { shape: to, strides: result, offset } : null;
}
