/** Gathering and scattering by index tensors along a dimension. Scattering is made of the `scatter` primitive on the flattened tensor. */
import { checkOptions, ProjError, withDefaults } from '@proj/kernel';
import {
  castNode,
  constantNode,
  expandNode,
  reshapeNode,
  scalarNode,
  scatterNode,
  sliceNode,
  takeNode,
  whereNode,
} from '../graph/build.ts';
import { type AnyNode, elementCount } from '../graph/node.ts';
import type { ScatterMode } from '../graph/primitives.ts';
import { isComplexDType, ComplexScalar, isIntegral, type Scalar, scalarValue } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, leading, normalizeDim } from './arguments.ts';
import { fromEnd, gatherNode, linearIndex } from './axis.ts';
import { cumsum } from './cumulative.ts';
import { alongFirst } from './joining.ts';
import { type OpRow, row } from './table.ts';

type Value = Tensor | Scalar;

const requireIndex = (op: string, index: Tensor, wide = false): void => {
  if (wide ? index.dtype !== 'int64' : index.dtype !== 'int64' && index.dtype !== 'int32')
    throw new ProjError('dtype', `an index of ${index.dtype}`, { op, cure: 'Use an int64 tensor' });
};

/** `input` at `index` along `dim`: result[i][j] = input[index[i][j]][j] for dim 0. */
export function gather(input: Tensor, dim: number, index: Tensor, options: { sparseGrad?: boolean } = {}): Tensor {
  checkOptions('gather', { sparseGrad: false }, options);
  const at = normalizeDim(dim, input.ndim, 'gather');
  if (index.numel() > 0) requireIndex('gather', index, true);
  const fits =
    index.numel() === 0 ||
    (Math.max(1, index.ndim) === Math.max(1, input.ndim) &&
      index.shape.every((size, i) => i === at || size <= (input.shape[i] ?? 1)));
  if (!fits)
    throw new ProjError('shape-mismatch', 'the index must fit the input in every dimension but dim', {
      op: 'gather',
      shapes: [input.shape, index.shape],
    });
  if (input.ndim === 0 || index.numel() === 0)
    return wrap(
      index.numel() === 0
        ? constantNode(input.device, input.dtype, index.shape, 0)
        : gatherNode(input.node, 0, index.node),
    );
  return wrap(gatherNode(input.node, at, index.ndim === 0 ? reshapeNode(index.node, [1]) : index.node));
}

/** As {@link gather}, with the other dimensions broadcast; without `dim` on the flattened tensors. Indices from the end are allowed. */
export function takeAlongDim(
  input: Tensor,
  indices: Tensor,
  place: number | null | { readonly dim?: number | null } = null,
): Tensor {
  const { dim } = leading<{ dim?: number | null }>('takeAlongDim', { dim: null }, 'dim', place);
  requireIndex('takeAlongDim', indices, true);
  if (dim === null)
    return wrap(
      takeNode(
        reshapeNode(input.node, [input.numel()]),
        fromEnd(reshapeNode(indices.node, [indices.numel()]), input.numel()),
      ),
    );
  if (input.ndim !== indices.ndim)
    throw new ProjError('shape-mismatch', 'input and indices need the same number of dimensions', {
      op: 'takeAlongDim',
      shapes: [input.shape, indices.shape],
    });
  const at = normalizeDim(dim, input.ndim, 'takeAlongDim');
  const shape = broadcastShapes(
    'takeAlongDim',
    input.shape.map((s, i) => (i === at ? 1 : s)),
    indices.shape.map((s, i) => (i === at ? 1 : s)),
  );
  const source = expandNode(
    input.node,
    shape.map((s, i) => (i === at ? input.shape[at] : s)),
  );
  const index = expandNode(
    indices.node,
    shape.map((s, i) => (i === at ? indices.shape[at] : s)),
  );
  return wrap(gatherNode(source, at, fromEnd(index, input.shape[at])));
}

/** Elements of the flattened input. */
export function take(input: Tensor, index: Tensor): Tensor {
  requireIndex('take', index, true);
  if (index.numel() === 0) return wrap(constantNode(input.device, input.dtype, index.shape, 0));
  return wrap(takeNode(reshapeNode(input.node, [input.numel()]), fromEnd(index.node, input.numel())));
}

/** Rows of `dim` that a vector of indices names. */
export function indexSelect(input: Tensor, dim: number, index: Tensor): Tensor {
  const at = normalizeDim(dim, input.ndim, 'indexSelect');
  requireIndex('indexSelect', index);
  if (index.ndim > 1)
    throw new ProjError('shape-mismatch', 'the index must be a vector', { op: 'indexSelect', shapes: [index.shape] });
  const rows = castNode(reshapeNode(index.node, [index.numel()]), 'int64');
  if (input.ndim === 0) return wrap(reshapeNode(takeNode(reshapeNode(input.node, [1]), rows), []));
  const { front, back } = alongFirst(input, at);
  return back(wrap(takeNode(front.node, rows)));
}

// Scattering

function scatterFlat(mode: ScatterMode, base: AnyNode, linear: AnyNode, updates: AnyNode): AnyNode {
  const count = elementCount(linear.shape);
  if (count === 0) return base;
  const flat = scatterNode(
    mode,
    reshapeNode(base, [elementCount(base.shape)]),
    reshapeNode(linear, [count]),
    reshapeNode(updates, [count]),
  );
  return reshapeNode(flat, base.shape);
}

/** The index and the part of `src` that it covers, checked. */
function scatterParts(
  op: string,
  input: Tensor,
  dim: number,
  index: Tensor,
  src: Value,
): { at: number; shape: readonly number[]; linear: AnyNode; updates: AnyNode } {
  const at = normalizeDim(dim, input.ndim, op);
  if (index.numel() > 0) requireIndex(op, index, true);
  const base = input.ndim === 0 ? [1] : input.shape;
  const shape = index.ndim === 0 ? [1] : index.shape;
  if (src instanceof Tensor && src.dtype !== input.dtype)
    throw new ProjError('dtype', `a source of ${src.dtype} for a tensor of ${input.dtype}`, {
      op,
      cure: 'Cast the source',
    });
  const source = src instanceof Tensor ? (src.ndim === 0 ? [1] : src.shape) : shape;
  const fits =
    index.numel() === 0 ||
    (shape.length === base.length &&
      source.length === base.length &&
      shape.every((size, i) => (i === at || size <= base[i]) && size <= source[i]));
  if (!fits)
    throw new ProjError(
      'shape-mismatch',
      'the index must fit the input in every dimension but dim, and the source in all',
      { op, shapes: [input.shape, index.shape, ...(src instanceof Tensor ? [src.shape] : [])] },
    );
  const updates =
    src instanceof Tensor
      ? sliceNode(
          reshapeNode(src.node, source),
          shape.map(() => 0),
          index.numel() === 0 ? source : shape,
          shape.map(() => 1),
        )
      : scalarNode(input.device, input.dtype, shape, scalarFor(input, src));
  return {
    at,
    shape,
    linear:
      index.numel() === 0
        ? constantNode(input.device, 'int64', [0], 0)
        : linearIndex(base, at, reshapeNode(castNode(index.node, 'int64'), shape)),
    updates,
  };
}
const scalarFor = (input: Tensor, value: Scalar): Scalar => {
  if (value instanceof ComplexScalar) return value;
  const v = scalarValue(value);
  return isIntegral(input.dtype) && input.dtype !== 'bool' && typeof v === 'number' ? Math.trunc(v) : v;
};

export interface ScatterOptions {
  readonly reduce?: 'add' | 'multiply' | null;
}
/** A copy with `src` (or one value) written where `index` points along `dim`; `reduce` combines with what is there. */
export function scatter(input: Tensor, dim: number, index: Tensor, src: Value, options: ScatterOptions = {}): Tensor {
  const { reduce } = withDefaults('scatter', { reduce: null }, options);
  const { linear, updates } = scatterParts('scatter', input, dim, index, src);
  const mode = reduce === null ? 'set' : reduce === 'add' ? 'add' : reduce === 'multiply' ? 'mul' : null;
  if (mode === null)
    throw new ProjError('invalid-argument', `reduce "${String(reduce)}"`, {
      op: 'scatter',
      cure: 'Use "add" or "multiply"',
    });
  return wrap(scatterFlat(mode, input.node, linear, updates));
}
/** A copy with `src` added where `index` points along `dim`. */
export function scatterAdd(input: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  const { linear, updates } = scatterParts('scatterAdd', input, dim, index, src);
  return wrap(scatterFlat('add', input.node, linear, updates));
}

export type ScatterReduction = 'sum' | 'prod' | 'mean' | 'amax' | 'amin';
const MODES: Record<ScatterReduction, ScatterMode> = { sum: 'add', mean: 'add', prod: 'mul', amax: 'max', amin: 'min' };

function lowest(input: Tensor, sign: 1 | -1): number | bigint | boolean {
  switch (input.dtype) {
    case 'bool':
      return sign > 0;
    case 'uint8':
      return sign > 0 ? 255 : 0;
    case 'int8':
      return sign > 0 ? 127 : -128;
    case 'int16':
      return sign > 0 ? 32767 : -32768;
    case 'int32':
      return sign > 0 ? 2147483647 : -2147483648;
    case 'int64':
      return sign > 0 ? 9223372036854775807n : -9223372036854775808n;
    default:
      return sign * Infinity;
  }
}

function reduceInto(
  op: string,
  input: Tensor,
  reduce: ScatterReduction,
  includeSelf: boolean,
  linear: AnyNode,
  updates: AnyNode,
): Tensor {
  const mode = MODES[reduce];
  if (mode === undefined)
    throw new ProjError('invalid-argument', `reduce "${String(reduce)}"`, {
      op,
      cure: 'Use "sum", "prod", "mean", "amax" or "amin"',
    });
  const base = input.node;
  const touched = (): AnyNode =>
    scatterFlat(
      'add',
      constantNode(base.device, 'int64', base.shape, 0),
      linear,
      constantNode(base.device, 'int64', updates.shape, 1),
    );
  const hit = castNode(touched(), 'bool');
  const neutral =
    reduce === 'prod' ? 1 : reduce === 'amax' ? lowest(input, -1) : reduce === 'amin' ? lowest(input, 1) : 0;
  const start = includeSelf ? base : whereNode(hit, constantNode(base.device, base.dtype, base.shape, neutral), base);
  const combined = scatterFlat(mode, start, linear, updates);
  if (reduce !== 'mean') return wrap(combined);
  const counts = wrap(touched())
    .add(includeSelf ? 1 : 0)
    .clamp(1);
  const total = wrap(combined);
  return isIntegral(input.dtype)
    ? total.div(wrap(castNode(counts.node, input.dtype)), { roundingMode: 'floor' })
    : total.div(wrap(castNode(counts.node, input.dtype)));
}

export interface ReduceSelfOptions {
  /** Whether the values that are there take part (default true). */
  readonly includeSelf?: boolean;
}
/** A copy with the elements of `src` combined where `index` points along `dim`. */
export function scatterReduce(
  input: Tensor,
  dim: number,
  index: Tensor,
  src: Tensor,
  reduce: ScatterReduction,
  options: ReduceSelfOptions = {},
): Tensor {
  const { includeSelf } = withDefaults('scatterReduce', { includeSelf: true }, options);
  const { linear, updates } = scatterParts('scatterReduce', input, dim, index, src);
  return reduceInto('scatterReduce', input, reduce, includeSelf, linear, updates);
}

/** Rows along `dim` as a linear index of the flattened tensor, with the source's rows. */
function rowParts(
  op: string,
  input: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor | null,
): { at: number; linear: AnyNode; updates: AnyNode | null } {
  const at = normalizeDim(dim, input.ndim, op);
  requireIndex(op, index);
  if (index.ndim > 1)
    throw new ProjError('shape-mismatch', 'the index must be a vector', { op, shapes: [index.shape] });
  const shape = input.ndim === 0 ? [1] : input.shape;
  const count = index.numel();
  const rows = shape.map((size, i) => (i === at ? count : size));
  if (source !== null) {
    if (source.dtype !== input.dtype)
      throw new ProjError('dtype', `a source of ${source.dtype} for a tensor of ${input.dtype}`, {
        op,
        cure: 'Cast the source',
      });
    if (source.numel() !== elementCount(rows))
      throw new ProjError('shape-mismatch', 'the source needs one row for each index', {
        op,
        shapes: [input.shape, index.shape, source.shape],
      });
  }
  const wide = expandNode(
    reshapeNode(
      castNode(index.node, 'int64'),
      rows.map((_, i) => (i === at ? count : 1)),
    ),
    rows,
  );
  return {
    at,
    linear: linearIndex(shape, at, op === 'indexFill' ? fromEnd(wide, shape[at]) : wide),
    updates: source === null ? null : reshapeNode(source.node, rows),
  };
}

/** A copy with alpha · `source` added to the rows of `dim` that `index` names. */
export function indexAdd(
  input: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  options: { alpha?: Scalar } = {},
): Tensor {
  const { alpha } = withDefaults('indexAdd', { alpha: 1 }, options);
  const { linear, updates } = rowParts('indexAdd', input, dim, index, source);
  return wrap(scatterFlat('add', input.node, linear, castNode(wrap(updates as AnyNode).mul(alpha).node, input.dtype)));
}
/** A copy with the rows of `dim` that `index` names replaced by those of `source`. */
export function indexCopy(input: Tensor, dim: number, index: Tensor, source: Tensor): Tensor {
  const { linear, updates } = rowParts('indexCopy', input, dim, index, source);
  return wrap(scatterFlat('set', input.node, linear, updates as AnyNode));
}
/** A copy with the rows of `dim` that `index` names set to one value. */
export function indexFill(input: Tensor, dim: number, index: Tensor, value: Value): Tensor {
  const { linear } = rowParts('indexFill', input, dim, index, null);
  if (value instanceof Tensor && value.ndim > 0)
    throw new ProjError('shape-mismatch', 'the value must be a number or a 0-dim tensor', {
      op: 'indexFill',
      shapes: [value.shape],
    });
  const updates =
    value instanceof Tensor
      ? expandNode(castNode(value.node, input.dtype), linear.shape)
      : scalarNode(input.device, input.dtype, linear.shape, scalarFor(input, value));
  return wrap(scatterFlat('set', input.node, linear, updates));
}
/** A copy with the rows of `source` combined into the rows of `dim` that `index` names. */
export function indexReduce(
  input: Tensor,
  dim: number,
  index: Tensor,
  source: Tensor,
  reduce: Exclude<ScatterReduction, 'sum'>,
  options: ReduceSelfOptions = {},
): Tensor {
  const { includeSelf } = withDefaults('indexReduce', { includeSelf: true }, options);
  const { linear, updates } = rowParts('indexReduce', input, dim, index, source);
  return reduceInto('indexReduce', input, reduce, includeSelf, linear, updates as AnyNode);
}
/** A copy with `source` written (or added) at positions of the flattened tensor. */
export function put(
  input: Tensor,
  index: Tensor,
  source: Tensor,
  accumulate: boolean | { accumulate?: boolean } = false,
): Tensor {
  requireIndex('put', index, true);
  if (source.dtype !== input.dtype)
    throw new ProjError('dtype', `a source of ${source.dtype} for a tensor of ${input.dtype}`, { op: 'put' });
  if (source.numel() !== index.numel())
    throw new ProjError('shape-mismatch', 'index and source have different numbers of elements', {
      op: 'put',
      shapes: [index.shape, source.shape],
    });
  const { accumulate: adds } = leading<{ accumulate?: boolean }>(
    'put',
    { accumulate: false },
    'accumulate',
    accumulate,
  );
  return wrap(scatterFlat(adds ? 'add' : 'set', input.node, fromEnd(index.node, input.numel()), source.node));
}

// Masks

/** A copy with `value` where `mask` is true. */
export function maskedFill(input: Tensor, mask: Tensor, value: Value): Tensor {
  if (mask.dtype !== 'bool' && mask.dtype !== 'uint8')
    throw new ProjError('dtype', `a mask of ${mask.dtype}`, { op: 'maskedFill', cure: 'Use a bool tensor' });
  if (value instanceof Tensor && value.ndim > 0)
    throw new ProjError('shape-mismatch', 'the value must be a number or a 0-dim tensor', {
      op: 'maskedFill',
      shapes: [value.shape],
    });
  if (value instanceof Tensor && isComplexDType(value.dtype) && !isComplexDType(input.dtype))
    throw new ProjError('dtype', `a ${value.dtype} value cannot be stored in ${input.dtype}`, {
      op: 'maskedFill',
      cure: 'Take its real part',
    });
  const shape = broadcastShapes('maskedFill', input.shape, mask.shape);
  if (
    !(value instanceof Tensor) &&
    isIntegral(input.dtype) &&
    typeof scalarValue(value) === 'number' &&
    !Number.isInteger(scalarValue(value))
  ) {
    throw new ProjError('dtype', `${String(scalarValue(value))} cannot be stored in ${input.dtype}`, {
      op: 'maskedFill',
    });
  }
  const filling =
    value instanceof Tensor
      ? expandNode(castNode(value.node, input.dtype), shape)
      : scalarNode(input.device, input.dtype, shape, value);
  return wrap(whereNode(expandNode(castNode(mask.node, 'bool'), shape), filling, expandNode(input.node, shape)));
}
/** A copy with the elements of `source`, in order, where `mask` is true. */
export function maskedScatter(input: Tensor, mask: Tensor, source: Tensor): Tensor {
  if (mask.dtype !== 'bool' && mask.dtype !== 'uint8')
    throw new ProjError('dtype', `a mask of ${mask.dtype}`, { op: 'maskedScatter', cure: 'Use a bool tensor' });
  if (source.dtype !== input.dtype)
    throw new ProjError('dtype', `a source of ${source.dtype} for a tensor of ${input.dtype}`, { op: 'maskedScatter' });
  const shape = broadcastShapes('maskedScatter', input.shape, mask.shape);
  const chosen = expandNode(castNode(mask.node, 'bool'), shape);
  const rank = cumsum(wrap(reshapeNode(chosen, [elementCount(shape)])), 0).sub(1);
  if (elementCount(shape) === 0 || source.numel() === 0) return wrap(expandNode(input.node, shape));
  // Unused ranks (before the first, and where the mask is false) read any element.
  const safe = whereNode(
    reshapeNode(chosen, [elementCount(shape)]),
    rank.node,
    constantNode(input.device, 'int64', [elementCount(shape)], 0),
  );
  const values = reshapeNode(takeNode(reshapeNode(source.node, [source.numel()]), safe), shape);
  return wrap(whereNode(chosen, values, expandNode(input.node, shape)));
}

export const SCATTER: readonly OpRow[] = [
  row('gather', gather, 'input, dim, index, *, sparse_grad=False'),
  row('takeAlongDim', takeAlongDim, 'input, indices, dim=None'),
  row('take', take, 'input, index'),
  row('indexSelect', indexSelect, 'input, dim, index'),
  row('scatter', scatter, 'input, dim, index, src, *, reduce=None', { inPlace: true }),
  row('scatterAdd', scatterAdd, 'input, dim, index, src', { inPlace: true }),
  row('scatterReduce', scatterReduce, 'input, dim, index, src, reduce, *, include_self=True', { inPlace: true }),
  row('indexAdd', indexAdd, 'input, dim, index, source, *, alpha=1', { inPlace: true }),
  row('indexCopy', indexCopy, 'input, dim, index, source', { inPlace: true }),
  row('indexFill', indexFill, 'input, dim, index, value', { inPlace: true }),
  row('indexReduce', indexReduce, 'input, dim, index, source, reduce, *, include_self=True', { inPlace: true }),
  row('put', put, 'input, index, source, accumulate=False', { inPlace: true }),
  row('maskedFill', maskedFill, 'input, mask, value', { inPlace: true }),
  row('maskedScatter', maskedScatter, 'input, mask, source', { inPlace: true }),
];
