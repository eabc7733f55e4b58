/** Running reductions, differences, and integrals along a dimension. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import {
  binaryNode,
  castNode,
  constantNode,
  cumulateNode,
  reduceNode,
  reshapeNode,
  whereNode,
} from '../graph/build.ts';
import { type AnyNode, sameShape } from '../graph/node.ts';
import { isFloatingPoint, isIntegral, toFloat, toSum } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { leading, normalizeDim, type TensorLike } from './arguments.ts';
import { alongDim, gatherNode, positionsAlong } from './axis.ts';
import { add, div, mul, sub } from './elementwise.ts';
import { concatenate } from './joining.ts';
import type { ValuesAndIndices } from './ordering.ts';
import { type OpRow, row } from './table.ts';
import { narrow } from './views.ts';

export interface CumulativeOptions {
  readonly dtype?: DType | null;
}

/** Running sum along `dim`. */
export function cumsum(input: Tensor, dim: number, options: CumulativeOptions = {}): Tensor {
  const { dtype } = withDefaults('cumsum', { dtype: null }, options);
  const at = normalizeDim(dim, input.ndim, 'cumsum');
  return wrap(alongDim(castNode(input.node, dtype ?? toSum(input.dtype)), at, (x) => cumulateNode('sum', x)));
}
/** Running product along `dim`. */
export function cumprod(input: Tensor, dim: number, options: CumulativeOptions = {}): Tensor {
  const { dtype } = withDefaults('cumprod', { dtype: null }, options);
  const at = normalizeDim(dim, input.ndim, 'cumprod');
  return wrap(alongDim(castNode(input.node, dtype ?? toSum(input.dtype)), at, (x) => cumulateNode('prod', x)));
}
const cumulativeExtreme =
  (name: string, fn: 'max' | 'min') =>
  (input: Tensor, dim: number): ValuesAndIndices => {
    const at = normalizeDim(dim, input.ndim, name);
    if (input.ndim === 0)
      return { values: wrap(input.node), indices: wrap(constantNode(input.device, 'int64', [], 0)) };
    const x = input.node;
    const best = alongDim(input.detach().node, at, (node) => cumulateNode(fn, node));
    const same = binaryNode('eq', x, best);
    const hit = isFloatingPoint(x.dtype) ? binaryNode('or', same, binaryNode('ne', x, x)) : same;
    const where = whereNode(hit, positionsAlong(x.device, x.shape, at), constantNode(x.device, 'int64', x.shape, 0));
    const indices = alongDim(where, at, (node) => cumulateNode('max', node));
    return { values: wrap(gatherNode(x, at, indices, true)), indices: wrap(indices) };
  };
/** Running maximum along `dim`, with the index of its last occurrence so far. */
export const cummax = cumulativeExtreme('cummax', 'max');
/** Running minimum along `dim`, with the index of its last occurrence so far. */
export const cummin = cumulativeExtreme('cummin', 'min');

/** log of the running sum of exponentials along `dim`. */
export function logcumsumexp(input: Tensor, dim: number): Tensor {
  const at = normalizeDim(dim, input.ndim, 'logcumsumexp');
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `logcumsumexp of ${input.dtype}`, {
      op: 'logcumsumexp',
      cure: 'Cast to a float dtype',
    });
  return wrap(
    alongDim(input.node, at, (node) => {
      const x = wrap(node);
      const size = x.shape[x.ndim - 1];
      if (size === 0) return node;
      const top = wrap(cumulateNode('max', x.detach().node));
      const shift = wrap(
        whereNode(top.abs().eq(Infinity).node, constantNode(node.device, node.dtype, node.shape, 0), top.node),
      );
      // Entry (i, j) is element j seen from position i: a running maximum differs from row to row, so the sums cannot be shared.
      const wide = [...x.shape, size];
      const terms = x.unsqueeze(-2).expand(wide).sub(shift.unsqueeze(-1)).exp();
      const earlier = binaryNode(
        'le',
        positionsAlong(node.device, wide, wide.length - 1),
        positionsAlong(node.device, wide, wide.length - 2),
      );
      const total = reduceNode('sum', whereNode(earlier, terms.node, constantNode(node.device, node.dtype, wide, 0)), [
        wide.length - 1,
      ]);
      return wrap(total).log().add(shift).node;
    }),
  );
}

export interface DiffOptions {
  readonly n?: number;
  readonly dim?: number;
  /** Put before the input. */
  readonly prepend?: Tensor | null;
  /** Put after the input. */
  readonly append?: Tensor | null;
}
/** n-th differences of neighbours along `dim` (the last). */
export function diff(input: Tensor, options: DiffOptions = {}): Tensor {
  const { n, dim, prepend, append } = withDefaults('diff', { n: 1, dim: -1, prepend: null, append: null }, options);
  if (input.ndim === 0)
    throw new ProjError('shape-mismatch', 'a tensor of at least one dimension is needed', {
      op: 'diff',
      shapes: [input.shape],
    });
  if (n < 0) throw new ProjError('invalid-argument', `order ${n}`, { op: 'diff' });
  const at = normalizeDim(dim, input.ndim, 'diff');
  if (n === 0) return wrap(input.node);
  let x = concatenate(
    [prepend, input, append].filter((part) => part !== null),
    at,
    'diff',
  );
  for (let i = 0; i < n; i++) {
    const size = x.shape[at];
    if (size === 0) break;
    const [later, earlier] = [narrow(x, at, 1, size - 1), narrow(x, at, 0, size - 1)];
    x = x.dtype === 'bool' ? later.logicalXor(earlier) : sub(later, earlier);
  }
  return wrap(x.node);
}

export type Spacing = number | Tensor | readonly (number | Tensor)[] | null;
export interface GradientOptions {
  readonly spacing?: Spacing;
  readonly dim?: number | readonly number[] | null;
  readonly edgeOrder?: number;
}
/** Gradient of samples by second-order central differences, for each of `dim` (all). `spacing`: one distance, one per dimension, or coordinates. */
export function gradient(input: Tensor, options: GradientOptions = {}): Tensor[] {
  const { spacing, dim, edgeOrder } = withDefaults('gradient', { spacing: 1, dim: null, edgeOrder: 1 }, options);
  if (edgeOrder !== 1 && edgeOrder !== 2)
    throw new ProjError('invalid-argument', `edgeOrder ${edgeOrder}`, { op: 'gradient', cure: 'Use 1 or 2' });
  const dims = (dim === null ? input.shape.map((_, i) => i) : typeof dim === 'number' ? [dim] : [...dim]).map((d) =>
    normalizeDim(d, input.ndim, 'gradient'),
  );
  if (new Set(dims).size !== dims.length)
    throw new ProjError('invalid-argument', `dims [${dims.join(', ')}] repeat`, { op: 'gradient' });
  const list: readonly (number | Tensor)[] = Array.isArray(spacing)
    ? (spacing as readonly (number | Tensor)[])
    : dims.map(() => (spacing ?? 1) as number | Tensor);
  if (list.length !== dims.length)
    throw new ProjError('invalid-argument', `${list.length} spacings for ${dims.length} dims`, { op: 'gradient' });
  const x = isIntegral(input.dtype) ? wrap(castNode(input.node, toFloat(input.dtype))) : input;
  return dims.map((at, i) => {
    const size = x.shape[at];
    if (size < edgeOrder + 1)
      throw new ProjError(
        'shape-mismatch',
        `${size} samples in dimension ${at}, at least ${edgeOrder + 1} are needed`,
        { op: 'gradient', shapes: [input.shape] },
      );
    const step = list[i];
    const part = (start: number, length: number): Tensor => narrow(x, at, start, length);
    const align = (t: Tensor): Tensor => t.reshape(x.shape.map((_, d) => (d === at ? -1 : 1)));
    if (!(step instanceof Tensor)) {
      const inner = size > 2 ? div(sub(part(2, size - 2), part(0, size - 2)), 2 * step) : null;
      const edge = (a: number, b: number, c: number): Tensor => {
        const first = div(sub(part(b, 1), part(a, 1)), (b > a ? 1 : -1) * step);
        if (edgeOrder === 1) return first;
        const sign = b > a ? 1 : -1;
        return div(
          add(add(mul(part(a, 1), -1.5 * sign), mul(part(b, 1), 2 * sign)), mul(part(c, 1), -0.5 * sign)),
          step,
        );
      };
      const ends = [edge(0, 1, 2), edge(size - 1, size - 2, size - 3)];
      return concatenate([ends[0], ...(inner === null ? [] : [inner]), ends[1]], at, 'gradient');
    }
    const coordinates = wrap(castNode(step.node, x.dtype));
    if (coordinates.ndim !== 1 || coordinates.numel() !== size)
      throw new ProjError('shape-mismatch', `coordinates for ${size} samples`, {
        op: 'gradient',
        shapes: [step.shape],
      });
    const gaps = coordinates.narrow(0, 1, size - 1).sub(coordinates.narrow(0, 0, size - 1));
    const gap = (start: number, length: number): Tensor => align(gaps.narrow(0, start, length));
    const combine = (terms: readonly (readonly [Tensor, Tensor])[]): Tensor =>
      terms.map(([w, v]) => mul(w, v)).reduce((a, b) => add(a, b));
    const pieces: Tensor[] = [];
    const inner = (): Tensor => {
      const [before, after] = [gap(0, size - 2), gap(1, size - 2)];
      const both = add(before, after);
      return combine([
        [div(mul(after, -1), mul(before, both)), part(0, size - 2)],
        [div(sub(after, before), mul(before, after)), part(1, size - 2)],
        [div(before, mul(after, both)), part(2, size - 2)],
      ]);
    };
    if (edgeOrder === 1) pieces.push(div(sub(part(1, 1), part(0, 1)), gap(0, 1)));
    else {
      const [a, b] = [gap(0, 1), gap(1, 1)];
      const both = add(a, b);
      pieces.push(
        combine([
          [div(mul(add(mul(a, 2), b), -1), mul(a, both)), part(0, 1)],
          [div(both, mul(a, b)), part(1, 1)],
          [div(mul(a, -1), mul(b, both)), part(2, 1)],
        ]),
      );
    }
    if (size > 2) pieces.push(inner());
    if (edgeOrder === 1) pieces.push(div(sub(part(size - 1, 1), part(size - 2, 1)), gap(size - 2, 1)));
    else {
      const [a, b] = [gap(size - 3, 1), gap(size - 2, 1)];
      const both = add(a, b);
      pieces.push(
        combine([
          [div(b, mul(a, both)), part(size - 3, 1)],
          [div(mul(both, -1), mul(a, b)), part(size - 2, 1)],
          [div(add(mul(b, 2), a), mul(b, both)), part(size - 1, 1)],
        ]),
      );
    }
    return concatenate(pieces, at, 'gradient');
  });
}

export interface TrapezoidOptions {
  /** Distance of neighbouring samples. */
  readonly dx?: number;
  readonly dim?: number;
}
function trapezoids(
  op: string,
  y: Tensor,
  x: TensorLike | null | undefined,
  options: TrapezoidOptions,
): { areas: Tensor; at: number } {
  const { dx, dim } = leading<TrapezoidOptions & { x?: TensorLike | null }>(
    op,
    { dx: 1, dim: -1, x: null },
    'x',
    x,
    options,
  );
  const at = normalizeDim(dim, y.ndim, op);
  const size = y.shape[at] ?? 0;
  const samples = y.dtype === 'bool' ? wrap(castNode(y.node, 'int64')) : y;
  if (size === 0) return { areas: mul(samples, dx), at };
  const sums = add(narrow(samples, at, 1, size - 1), narrow(samples, at, 0, size - 1));
  if (!(x instanceof Tensor)) return { areas: div(mul(sums, dx), 2), at };
  const along = x.ndim === 1 ? x.reshape(y.shape.map((_, d) => (d === at ? -1 : 1))) : x;
  if (along.shape.at(at - y.ndim) !== size)
    throw new ProjError('shape-mismatch', 'y and x have different numbers of samples', {
      op,
      shapes: [y.shape, x.shape],
    });
  const where = x.ndim === 1 ? at : at - y.ndim + x.ndim;
  const widths = sub(narrow(along, where, 1, size - 1), narrow(along, where, 0, size - 1));
  return { areas: div(mul(sums, widths), 2), at };
}
/** Integral along `dim` by the trapezoidal rule, over coordinates `x` or steps of `dx`. */
export function trapezoid(y: Tensor, x?: Tensor | null, options: TrapezoidOptions = {}): Tensor {
  const { areas, at } = trapezoids('trapezoid', y, x, options);
  return wrap(reduceNode('sum', castNode(areas.node, toFloat(areas.dtype)), [at]));
}
/** Running integral along `dim` by the trapezoidal rule. */
export function cumulativeTrapezoid(y: Tensor, x?: Tensor | null, options: TrapezoidOptions = {}): Tensor {
  const { areas, at } = trapezoids('cumulativeTrapezoid', y, x, options);
  return cumsum(areas, at);
}

export const sumToShape = (x: AnyNode, shape: readonly number[]): AnyNode => {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size, i) => (i < lead || (shape[i - lead] === 1 && size !== 1) ? [i] : []));
  return reshapeNode(reduceNode('sum', x, axes), shape);
};
/** Sums the dimensions that broadcasting would have added, so that the result has this shape. */
export function sumToSize(input: Tensor, ...size: readonly (number | readonly number[])[]): Tensor {
  const shape = size.length === 1 && typeof size[0] !== 'number' ? [...size[0]] : (size as readonly number[]).slice();
  const fits =
    shape.length <= input.ndim && shape.every((s, i) => s === 1 || s === input.shape[input.ndim - shape.length + i]);
  if (!fits)
    throw new ProjError('shape-mismatch', `[${shape.join(', ')}] does not broadcast to the input`, {
      op: 'sumToSize',
      shapes: [input.shape],
    });
  return sameShape(input.shape, shape) ? input : wrap(sumToShape(castNode(input.node, toSum(input.dtype)), shape));
}

export const CUMULATIVE: readonly OpRow[] = [
  row('cumsum', cumsum, 'input, dim, *, dtype=None', { inPlace: true }),
  row('cumprod', cumprod, 'input, dim, *, dtype=None', { inPlace: true }),
  row('cummax', cummax, 'input, dim'),
  row('cummin', cummin, 'input, dim'),
  row('logcumsumexp', logcumsumexp, 'input, dim'),
  row('diff', diff, 'input, n=1, dim=-1, prepend=None, append=None'),
  row('gradient', gradient, 'input, *, spacing=1, dim=None, edge_order=1', { method: false }),
  row('trapezoid', trapezoid, 'y, x=None, *, dx=None, dim=-1', { torch: ['torch.trapezoid', 'torch.trapz'] }),
  row('cumulativeTrapezoid', cumulativeTrapezoid, 'y, x=None, *, dx=None, dim=-1'),
  row('sumToSize', sumToSize as never, 'input, size', { torch: ['Tensor.sum_to_size'] }),
];
