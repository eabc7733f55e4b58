/** Views: the same memory seen in another shape. Writing to a view writes to what it views. */
import { checkOptions, describeValue, ProjError } from '@proj/kernel';
import {
  expandNode,
  identityNode,
  padNode,
  permuteNode,
  reshapeNode,
  sliceNode,
  whereNode,
  constantNode,
  contiguousNode,
} from '../graph/build.ts';
import { type AnyNode, elementCount, type Shape } from '../graph/node.ts';
import { expanded, isRowByRow, type Layout, permuted, reshaped, rowByRow, sliced } from '../layout.ts';
import { broadcastsTo, layoutOf, type Tensor, type ViewStep, wrap } from '../tensor.ts';
import { leading, normalizeDim, shapeArgument } from './arguments.ts';
import { type OpRow, row } from './table.ts';

/** The part of `base` that a slice shows is replaced by `value`. */
function writeSlice(base: AnyNode, value: AnyNode, starts: readonly number[], steps: readonly number[]): AnyNode {
  // Spread the value to the step, then pad it to the base's shape, together with a mask of the same treatment.
  const place = (x: AnyNode): AnyNode => {
    let node = x;
    x.shape.forEach((size, dim) => {
      const step = Math.abs(steps[dim]);
      if (steps[dim] < 0)
        node = sliceNode(
          node,
          node.shape.map((_, d) => (d === dim ? Math.max(0, size - 1) : 0)),
          node.shape,
          node.shape.map((_, d) => (d === dim ? -1 : 1)),
        );
      if (step > 1 && size > 1) node = dilate(node, dim, step);
    });
    const before = base.shape.map((_, dim) =>
      steps[dim] < 0 ? starts[dim] + (x.shape[dim] - 1) * steps[dim] : starts[dim],
    );
    const after = base.shape.map((size, dim) => size - before[dim] - node.shape[dim]);
    return padNode(node, before, after);
  };
  if (elementCount(value.shape) === 0) return base;
  const mask = place(constantNode(base.device, 'bool', value.shape, true));
  return whereNode(mask, place(value), base);
}

/** `step - 1` zeros between the elements along `dim`. */
export function dilate(x: AnyNode, dim: number, step: number): AnyNode {
  if (step === 1) return x;
  const size = x.shape[dim];
  const split = [...x.shape.slice(0, dim + 1), 1, ...x.shape.slice(dim + 1)];
  const padded = padNode(
    reshapeNode(x, split),
    split.map(() => 0),
    split.map((_, d) => (d === dim + 1 ? step - 1 : 0)),
  );
  const merged = reshapeNode(
    padded,
    x.shape.map((s, d) => (d === dim ? size * step : s)),
  );
  const sizes = x.shape.map((s, d) => (d === dim ? (size - 1) * step + 1 : s));
  return sliceNode(
    merged,
    sizes.map(() => 0),
    sizes,
    sizes.map(() => 1),
  );
}

export const reshapeStep = (from: Shape, to: Shape): ViewStep => ({
  apply: (base) => reshapeNode(base, to),
  write: (_, value) => reshapeNode(value, from),
  layout: (base) => reshaped(base, to) ?? rowByRow(to),
});
/** Sees the same as its base. */
export const sameStep: ViewStep = { apply: (base) => base, write: (_, value) => value, layout: (base) => base };
export const permuteStep = (order: readonly number[]): ViewStep => {
  const inverse = order.map((_, i) => order.indexOf(i));
  return {
    apply: (base) => permuteNode(base, order),
    write: (_, value) => permuteNode(value, inverse),
    layout: (base) => permuted(base, order),
  };
};
export const expandStep = (shape: Shape): ViewStep => ({
  apply: (base) => expandNode(base, shape),
  write: null,
  layout: (base) => expanded(base, shape),
});
export const sliceStep = (starts: readonly number[], sizes: readonly number[], steps: readonly number[]): ViewStep => ({
  apply: (base) => sliceNode(base, starts, sizes, steps),
  write: (base, value) => writeSlice(base, value, starts, steps),
  layout: (base) => sliced(base, starts, sizes, steps),
});
/** Steps one after the other as one, for parts that have no layout of their own. */
export const chainStep = (steps: readonly ViewStep[], layout: (base: Layout) => Layout): ViewStep => {
  const writeFrom = (at: number, base: AnyNode, value: AnyNode): AnyNode => {
    const step = steps[at];
    return step === undefined || step.write === null
      ? value
      : step.write(base, writeFrom(at + 1, step.apply(base), value));
  };
  return {
    apply: (base) => steps.reduce((node, step) => step.apply(node), base),
    write: (base, value) => writeFrom(0, base, value),
    layout,
  };
};
/** A view in another shape where strides can show it, as in PyTorch; else a copy. */
const reshapeTo = (input: Tensor, shape: Shape): Tensor =>
  reshaped(layoutOf(input), shape) === null
    ? wrap(reshapeNode(input.node, shape))
    : input.view_(reshapeStep(input.shape, shape));

function inferShape(input: Tensor, shape: readonly number[], op: string): number[] {
  const count = input.numel();
  const unknown = shape.indexOf(-1);
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const fail = (): never => {
    throw new ProjError('shape-mismatch', `${count} elements do not fit shape [${shape.join(', ')}]`, {
      op,
      shapes: [input.shape],
      dtypes: [input.dtype],
    });
  };
  if (unknown < 0) return known === count ? [...shape] : fail();
  if (shape.indexOf(-1, unknown + 1) >= 0 || known === 0 || count % known !== 0) return fail();
  return shape.map((size) => (size === -1 ? count / known : size));
}

type ShapeArguments = readonly (number | readonly number[])[];

/** The same elements in another shape; one size may be -1. A view, or a copy where strides could not show it (a transposed matrix flattened). */
export function reshape(input: Tensor, ...shape: ShapeArguments): Tensor {
  return reshapeTo(input, inferShape(input, shapeArgument(shape, 'reshape', -1), 'reshape'));
}
export const view = reshape;
/** Reshaped to the shape of `other`. A view. */
export const viewAs = (input: Tensor, other: Tensor): Tensor => reshape(input, other.shape);
/** Reshaped to the shape of `other`. */
export const reshapeAs = viewAs;
/** Dimensions in another order. A view. */
export function permute(input: Tensor, ...dims: ShapeArguments): Tensor {
  const order = (
    dims.length === 1 && typeof dims[0] !== 'number' ? [...dims[0]] : (dims as readonly number[]).slice()
  ).map((dim) => normalizeDim(dim, input.ndim, 'permute'));
  if (order.length !== input.ndim || new Set(order).size !== order.length)
    throw new ProjError('invalid-argument', `dims [${order.join(', ')}] are not a permutation`, {
      op: 'permute',
      shapes: [input.shape],
    });
  return input.view_(permuteStep(order));
}
/** Two dimensions exchanged. A view. */
export function transpose(input: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim(dim0, input.ndim, 'transpose');
  const b = normalizeDim(dim1, input.ndim, 'transpose');
  const order = input.shape.map((_, i) => (i === a ? b : i === b ? a : i));
  return input.view_(permuteStep(order));
}
/** A matrix transposed. A view. */
export function t(input: Tensor): Tensor {
  if (input.ndim > 2)
    throw new ProjError('shape-mismatch', 't() is for at most 2 dimensions', {
      op: 't',
      shapes: [input.shape],
      cure: 'Use transpose or permute',
    });
  return input.ndim < 2 ? input.view_(reshapeStep(input.shape, input.shape)) : transpose(input, 0, 1);
}
/** Repeats dimensions of size 1 without copying; -1 keeps a size. */
export function expand(input: Tensor, ...shape: ShapeArguments): Tensor {
  const wanted = shapeArgument(shape, 'expand', -1);
  const lead = wanted.length - input.ndim;
  const full = wanted.map((size, i) => (size === -1 && i >= lead ? input.shape[i - lead] : size));
  if (lead < 0 || full.includes(-1) || !broadcastsTo(input.shape, full))
    throw new ProjError('shape-mismatch', `the tensor does not expand to [${wanted.join(', ')}]`, {
      op: 'expand',
      shapes: [input.shape],
    });
  return input.view_(expandStep(full));
}
/** Expanded to the shape of `other`. A view that cannot be written to. */
export const expandAs = (input: Tensor, other: Tensor): Tensor => expand(input, other.shape);
export const broadcastTo = expand;
/** A new dimension of size 1 at `dim`. A view. */
export function unsqueeze(input: Tensor, dim: number): Tensor {
  const at = normalizeDim(dim, input.ndim + 1, 'unsqueeze');
  return input.view_(reshapeStep(input.shape, [...input.shape.slice(0, at), 1, ...input.shape.slice(at)]));
}
/** Drops dimensions of size 1: `dim`, or all. */
export function squeeze(input: Tensor, dim?: number | null): Tensor {
  const at = dim === undefined || dim === null ? null : normalizeDim(dim, input.ndim, 'squeeze');
  return input.view_(
    reshapeStep(
      input.shape,
      input.shape.filter((size, i) => size !== 1 || (at !== null && i !== at)),
    ),
  );
}
export interface FlattenOptions {
  readonly startDim?: number;
  readonly endDim?: number;
}
/** Dimensions `startDim` to `endDim` as one. A view, or a copy as in {@link reshape}. */
export function flatten(
  input: Tensor,
  startDim: number | FlattenOptions = 0,
  endDim: number | FlattenOptions = -1,
): Tensor {
  const { startDim: start, endDim: end } = leading<FlattenOptions>(
    'flatten',
    { startDim: 0, endDim: -1 },
    'startDim',
    startDim,
    typeof endDim === 'number' ? { endDim } : endDim,
  );
  if (input.ndim === 0) return reshape(input, [1]);
  const a = normalizeDim(start, input.ndim, 'flatten');
  const b = normalizeDim(end, input.ndim, 'flatten');
  if (a > b)
    throw new ProjError('invalid-argument', 'startDim comes after endDim', { op: 'flatten', shapes: [input.shape] });
  return reshapeTo(input, [
    ...input.shape.slice(0, a),
    elementCount(input.shape.slice(a, b + 1)),
    ...input.shape.slice(b + 1),
  ]);
}
/** All elements in one dimension. A view, or a copy as in {@link reshape}. */
export const ravel = (input: Tensor): Tensor => reshape(input, [-1]);
/** Dimension `dim` split into several. A view. */
export function unflatten(input: Tensor, dim: number, sizes: readonly number[]): Tensor {
  const at = normalizeDim(dim, input.ndim, 'unflatten');
  const known = sizes.reduce((product, s) => (s === -1 ? product : product * s), 1);
  return reshape(input, [
    ...input.shape.slice(0, at),
    ...sizes.map((s) => (s === -1 ? input.shape[at] / known : s)),
    ...input.shape.slice(at + 1),
  ]);
}
/** Elements start, start+1, … of `dim`. */
export function narrow(input: Tensor, dim: number, start: number | Tensor, length: number): Tensor {
  const at = normalizeDim(dim, input.ndim, 'narrow');
  if (typeof start !== 'number') return narrow(input, dim, start.item(), length);
  const size = input.shape[at];
  const first = start < 0 ? start + size : start;
  if (first < 0 || length < 0 || first + length > size)
    throw new ProjError('index-out-of-range', `elements ${start} … ${start + length - 1} of a dimension of ${size}`, {
      op: 'narrow',
      shapes: [input.shape],
    });
  return slice(input, at, first, first + length);
}
/** Elements start, start+step, … before end of `dim`, with Python's rules for negative and too large bounds. */
export function slice(input: Tensor, dim: number, start?: number | null, end?: number | null, step = 1): Tensor {
  const at = normalizeDim(dim, input.ndim, 'slice');
  if (!Number.isInteger(step) || step <= 0)
    throw new ProjError('invalid-argument', `step ${step}`, {
      op: 'slice',
      cure: 'Steps are positive; use flip for a reversed view',
    });
  const size = input.shape[at];
  const bound = (x: number): number => {
    if (typeof x !== 'number' || Number.isNaN(x))
      throw new ProjError('invalid-argument', `${describeValue(x)} where a position belongs`, { op: 'slice' });
    return Math.min(size, Math.max(0, x < 0 ? x + size : x));
  };
  const first = bound(start ?? 0);
  const last = Math.max(first, bound(end ?? size));
  const sizes = input.shape.map((s, i) => (i === at ? Math.ceil((last - first) / step) : s));
  return input.view_(
    sliceStep(
      sizes.map((_, i) => (i === at ? first : 0)),
      sizes,
      sizes.map((_, i) => (i === at ? step : 1)),
    ),
  );
}
/** Entry `index` of `dim`, which disappears. */
export function select(input: Tensor, dim: number, index: number): Tensor {
  const at = normalizeDim(dim, input.ndim, 'select');
  const size = input.shape[at];
  if (!Number.isInteger(index) || index < -size || index >= size)
    throw new ProjError('index-out-of-range', `index ${index} of a dimension of ${size}`, {
      op: 'select',
      shapes: [input.shape],
    });
  const entry = slice(input, at, index < 0 ? index + size : index, (index < 0 ? index + size : index) + 1);
  return entry.view_(
    reshapeStep(
      entry.shape,
      entry.shape.filter((_, i) => i !== at),
    ),
  );
}
/** A reversed copy along `dims`. */
export function flip(input: Tensor, ...dims: ShapeArguments): Tensor {
  const list = (
    dims.length === 1 && typeof dims[0] !== 'number' ? [...dims[0]] : (dims as readonly number[]).slice()
  ).map((dim) => normalizeDim(dim, input.ndim, 'flip'));
  const starts = input.shape.map((size, i) => (list.includes(i) ? Math.max(0, size - 1) : 0));
  return wrap(
    sliceNode(
      input.node,
      starts,
      input.shape,
      input.shape.map((_, i) => (list.includes(i) ? -1 : 1)),
    ),
  );
}
export interface MemoryFormatOptions {
  /** Values in memory are contiguous, whatever is said here. */
  readonly memoryFormat?: unknown;
}
export const MEMORY_FORMAT: Required<MemoryFormatOptions> = { memoryFormat: null };
/** A copy with memory of its own. */
export function clone(input: Tensor, options: MemoryFormatOptions = {}): Tensor {
  checkOptions('clone', MEMORY_FORMAT, options);
  return wrap(identityNode(input.node));
}
/** The tensor itself, or a copy where PyTorch would not keep its elements row by row. */
export function contiguous(input: Tensor, options: MemoryFormatOptions = {}): Tensor {
  checkOptions('contiguous', MEMORY_FORMAT, options);
  return isRowByRow(layoutOf(input)) ? input : clone(input);
}
export const contiguousCopy = (input: Tensor): Tensor => wrap(contiguousNode(input.node));

export const VIEWS: readonly OpRow[] = [
  row('reshape', reshape as never, 'input, shape'),
  row('view', view as never, 'input, shape', { torch: ['Tensor.view'] }),
  row('viewAs', viewAs, 'input, other', { torch: ['Tensor.view_as'] }),
  row('reshapeAs', reshapeAs, 'input, other', { torch: ['Tensor.reshape_as'] }),
  row('permute', permute as never, 'input, dims'),
  row('transpose', transpose, 'input, dim0, dim1'),
  row('swapaxes', transpose, 'input, axis0, axis1'),
  row('swapdims', transpose, 'input, dim0, dim1'),
  row('t', t, 'input'),
  row('expand', expand as never, 'input, size', { torch: ['Tensor.expand'] }),
  row('expandAs', expandAs, 'input, other', { torch: ['Tensor.expand_as'] }),
  row('broadcastTo', broadcastTo as never, 'input, size'),
  row('unsqueeze', unsqueeze, 'input, dim'),
  row('squeeze', squeeze, 'input, dim=None'),
  row('flatten', flatten, 'input, start_dim=0, end_dim=-1'),
  row('ravel', ravel, 'input'),
  row('unflatten', unflatten, 'input, dim, sizes'),
  row('narrow', narrow, 'input, dim, start, length'),
  row('select', select, 'input, dim, index'),
  row('flip', flip as never, 'input, dims'),
  row('slice', slice, 'input, dim, start=None, end=None, step=1', { torch: [] }),
  row('clone', clone, 'input, *, memory_format=None'),
  row('contiguous', contiguous, 'input, *, memory_format=None', { torch: ['Tensor.contiguous'] }),
];
