/** Extremes, order statistics and sorting. Results of (values, indices) have the indices' gradient: only the chosen element gets it. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import {
  argsortNode,
  binaryNode,
  castNode,
  constantNode,
  permuteNode,
  reduceNode,
  reshapeNode,
  sliceNode,
  whereNode,
} from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import { attachGradient } from '../attach-gradient.ts';
import { isFloatingPoint, scalarValue } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { leading, normalizeDim, type TensorLike } from './arguments.ts';
import { gatherNode, inverseOrder, orderWithLast, positionsAlong } from './axis.ts';
import { maximum, minimum, where } from './elementwise.ts';
import { amax, amin, type KeepdimOptions, reduceDims } from './reductions.ts';
import { type OpRow, row } from './table.ts';

/** What reductions that also say where return. */
export interface ValuesAndIndices {
  readonly values: Tensor;
  readonly indices: Tensor;
}

const isNaNNode = (x: AnyNode): AnyNode =>
  isFloatingPoint(x.dtype) ? binaryNode('ne', x, x) : constantNode(x.device, 'bool', x.shape, false);
const sizeAt = (x: AnyNode, dim: number): number => (x.shape.length === 0 ? 1 : x.shape[dim]);

/** First position of an extreme along `dim`, kept as size 1; NaN counts as the extreme. */
function extremePosition(fn: 'max' | 'min', x: AnyNode, dim: number): AnyNode {
  if (x.shape.length === 0) return constantNode(x.device, 'int64', [], 0);
  const kept = x.shape.map((size, i) => (i === dim ? 1 : size));
  const best = reduceDims(fn, x, [dim], true);
  const spread = wrap(best).expand(x.shape).node;
  const hit = binaryNode('or', binaryNode('eq', x, spread), isNaNNode(x));
  const where = whereNode(
    hit,
    positionsAlong(x.device, x.shape, dim),
    constantNode(x.device, 'int64', x.shape, sizeAt(x, dim)),
  );
  return reshapeNode(reduceNode('min', where, [dim]), kept);
}

function requireSize(op: string, x: Tensor, dim: number): void {
  if (x.ndim > 0 && x.shape[dim] === 0)
    throw new ProjError('shape-mismatch', `dimension ${dim} has no elements`, {
      op,
      shapes: [x.shape],
      dtypes: [x.dtype],
    });
}

const dropDim = (x: AnyNode, dim: number, keepdim: boolean): AnyNode =>
  keepdim || x.shape.length === 0
    ? x
    : reshapeNode(
        x,
        x.shape.filter((_, i) => i !== dim),
      );

/** Values at `index` (size 1 along `dim`) and the index itself. */
function pick(x: AnyNode, dim: number, index: AnyNode, keepdim: boolean): ValuesAndIndices {
  return {
    values: wrap(dropDim(gatherNode(x, dim, index, true), dim, keepdim)),
    indices: wrap(dropDim(index, dim, keepdim)),
  };
}

function extreme(name: 'max' | 'min') {
  const whole = name === 'max' ? amax : amin;
  const pairwise = name === 'max' ? maximum : minimum;
  function compute(input: Tensor): Tensor;
  function compute(input: Tensor, other: Tensor): Tensor;
  function compute(input: Tensor, dim: number, options?: KeepdimOptions): ValuesAndIndices;
  function compute(
    input: Tensor,
    dim?: number | Tensor | null,
    options: KeepdimOptions = {},
  ): Tensor | ValuesAndIndices {
    const { keepdim } = withDefaults(name, { keepdim: false }, options);
    if (!(input instanceof Tensor)) throw new ProjError('invalid-argument', 'a tensor is needed', { op: name });
    if (dim === undefined || dim === null) {
      if (input.numel() === 0)
        throw new ProjError('shape-mismatch', 'no elements', {
          op: name,
          shapes: [input.shape],
          cure: 'Give a dim that is not empty',
        });
      return whole(input);
    }
    if (dim instanceof Tensor) return pairwise(input, dim);
    const at = normalizeDim(dim, input.ndim, name);
    requireSize(name, input, at);
    return pick(input.node, at, extremePosition(name, input.node, at), keepdim);
  }
  return compute;
}
/** The largest element; along `dim` with its index; or the elementwise larger of two tensors. */
export const max = extreme('max');
/** The smallest element; along `dim` with its index; or the elementwise smaller of two tensors. */
export const min = extreme('min');

const argExtreme =
  (fn: 'max' | 'min') =>
  (input: Tensor, dim: number | null = null, options: KeepdimOptions = {}): Tensor => {
    const name = `arg${fn}`;
    const { keepdim } = withDefaults(name, { keepdim: false }, options);
    if (input.dtype === 'bool')
      throw new ProjError('dtype', `${name} of bool`, { op: name, cure: 'Cast to an integer dtype' });
    if (dim === null) {
      if (input.numel() === 0)
        throw new ProjError('shape-mismatch', 'no elements', { op: name, shapes: [input.shape] });
      const index = extremePosition(fn, reshapeNode(input.node, [input.numel()]), 0);
      return wrap(reshapeNode(index, keepdim ? input.shape.map(() => 1) : []));
    }
    const at = normalizeDim(dim, input.ndim, name);
    requireSize(name, input, at);
    return wrap(dropDim(extremePosition(fn, input.node, at), at, keepdim));
  };
/** Index of the largest element (of the first one, where several are equal): of all, or along `dim`. */
export const argmax = argExtreme('max');
/** Index of the smallest element: of all, or along `dim`. */
export const argmin = argExtreme('min');

/** Smallest and largest element, of all or along `dim`. */
export function aminmax(
  input: Tensor,
  options: KeepdimOptions & { dim?: number | null } = {},
): { min: Tensor; max: Tensor } {
  const { dim, keepdim } = withDefaults('aminmax', { dim: null, keepdim: false }, options);
  if (dim === null) {
    if (input.numel() === 0)
      throw new ProjError('shape-mismatch', 'no elements', { op: 'aminmax', shapes: [input.shape] });
    const kept = (x: Tensor): Tensor =>
      keepdim
        ? wrap(
            reshapeNode(
              x.node,
              input.shape.map(() => 1),
            ),
          )
        : x;
    return { min: kept(amin(input)), max: kept(amax(input)) };
  }
  requireSize('aminmax', input, normalizeDim(dim, input.ndim, 'aminmax'));
  if (input.ndim === 0 && keepdim) return { min: input.reshape([1]), max: input.reshape([1]) };
  return { min: amin(input, dim, { keepdim }), max: amax(input, dim, { keepdim }) };
}

/** Positions that sort along `dim`, NaN last (first when descending), equal elements in their order. */
export function argsortAlong(x: AnyNode, dim: number, descending: boolean): AnyNode {
  if (x.shape.length === 0) return constantNode(x.device, 'int64', [], 0);
  const order = orderWithLast(x.shape.length, dim);
  return permuteNode(argsortNode(permuteNode(x, order), descending), inverseOrder(order));
}

export interface SortOptions {
  readonly dim?: number;
  readonly descending?: boolean;
  /** Sorting is always stable here. */
  readonly stable?: boolean;
}
/** Sorted along `dim` (the last), with the index of each. Stable. */
export function sort(input: Tensor, dim: number | SortOptions = -1, options: SortOptions = {}): ValuesAndIndices {
  const given = leading<SortOptions>('sort', { dim: -1, descending: false, stable: true }, 'dim', dim, options);
  const at = normalizeDim(given.dim, input.ndim, 'sort');
  const indices = argsortAlong(input.node, at, given.descending);
  return { values: wrap(gatherNode(input.node, at, indices, true)), indices: wrap(indices) };
}
/** Indices that sort along `dim` (the last). Stable. */
export function argsort(input: Tensor, dim: number = -1, options: SortOptions = {}): Tensor {
  const { descending } = withDefaults('argsort', { dim: -1, descending: false, stable: true }, options);
  return wrap(argsortAlong(input.node, normalizeDim(dim, input.ndim, 'argsort'), descending));
}
/** Sorted along the first dimension. */
export function msort(input: Tensor): Tensor {
  return sort(input, 0).values;
}

const narrowTo = (x: AnyNode, dim: number, start: number, length: number): AnyNode => {
  if (x.shape.length === 0) return x;
  return sliceNode(
    x,
    x.shape.map((_, i) => (i === dim ? start : 0)),
    x.shape.map((size, i) => (i === dim ? length : size)),
    x.shape.map(() => 1),
  );
};

export interface TopkOptions {
  readonly dim?: number;
  readonly largest?: boolean;
  readonly sorted?: boolean;
}
/** The k largest (or smallest) elements along `dim`, with their indices. */
export function topk(input: Tensor, k: number, options: TopkOptions = {}): ValuesAndIndices {
  const { dim, largest } = withDefaults('topk', { dim: -1, largest: true, sorted: true }, options);
  const at = normalizeDim(dim, input.ndim, 'topk');
  if (k < 0 || k > sizeAt(input.node, at))
    throw new ProjError('index-out-of-range', `${k} of ${sizeAt(input.node, at)} elements`, {
      op: 'topk',
      shapes: [input.shape],
    });
  const indices = narrowTo(argsortAlong(input.node, at, largest), at, 0, k);
  return { values: wrap(gatherNode(input.node, at, indices, true)), indices: wrap(indices) };
}
/** The k-th smallest element along `dim` (k from 1), with its index. */
export function kthvalue(input: Tensor, k: number, dim: number = -1, options: KeepdimOptions = {}): ValuesAndIndices {
  const { keepdim } = withDefaults('kthvalue', { keepdim: false }, options);
  const at = normalizeDim(dim, input.ndim, 'kthvalue');
  if (k < 1 || k > sizeAt(input.node, at))
    throw new ProjError('index-out-of-range', `${k}-th of ${sizeAt(input.node, at)} elements`, {
      op: 'kthvalue',
      shapes: [input.shape],
    });
  return pick(input.node, at, narrowTo(argsortAlong(input.node, at, false), at, k - 1, 1), keepdim);
}

/** Index (size 1 along `dim`) of the lower median; with `ignoreNaN` among the numbers, else of the first NaN if there is one. */
function medianPosition(x: AnyNode, dim: number, ignoreNaN: boolean): AnyNode {
  if (x.shape.length === 0) return constantNode(x.device, 'int64', [], 0);
  const order = argsortAlong(x, dim, false);
  const size = x.shape[dim];
  if (!isFloatingPoint(x.dtype)) return narrowTo(order, dim, (size - 1) >> 1, 1);
  const nanCount = wrap(reduceDims('sum', castNode(isNaNNode(x), 'int64'), [dim], true));
  // NaN sorts last: the first of them stands after the numbers.
  const numbers = nanCount.rsub(size);
  const rank = ignoreNaN
    ? numbers.sub(1).clamp(0).floorDivide(2).node
    : whereNode(
        castNode(nanCount.node, 'bool'),
        numbers.node,
        constantNode(x.device, 'int64', numbers.shape, (size - 1) >> 1),
      );
  return gatherNode(order, dim, rank, true);
}
const medianOf = (name: 'median' | 'nanmedian') => {
  const ignoreNaN = name === 'nanmedian';
  function compute(input: Tensor): Tensor;
  function compute(input: Tensor, dim: number, options?: KeepdimOptions): ValuesAndIndices;
  function compute(input: Tensor, dim: number | null = null, options: KeepdimOptions = {}): Tensor | ValuesAndIndices {
    const { keepdim } = withDefaults(name, { keepdim: false }, options);
    if (input.dtype === 'bool')
      throw new ProjError('dtype', `${name} of bool`, { op: name, cure: 'Cast to an integer dtype' });
    if (dim === null) {
      if (input.numel() === 0)
        return wrap(constantNode(input.device, input.dtype, [], isFloatingPoint(input.dtype) ? Number.NaN : 0));
      const flat = reshapeNode(input.node, [input.numel()]);
      const { values } = pick(flat, 0, medianPosition(flat, 0, ignoreNaN), false);
      // All elements that equal the median share its gradient.
      return attachGradient(values, [input], (gradient, [x], value) => {
        const equal = x.eq(value).logicalOr(x.ne(x).logicalAnd(value.ne(value)));
        return [where(equal, gradient.div(equal.sum()), 0)];
      });
    }
    const at = normalizeDim(dim, input.ndim, name);
    requireSize(name, input, at);
    return pick(input.node, at, medianPosition(input.node, at, ignoreNaN), keepdim);
  }
  return compute;
};
/** The lower median: of all elements, or along `dim` with its index. NaN if any element is. */
export const median = medianOf('median');
/** As {@link median}, of the elements that are not NaN. */
export const nanmedian = medianOf('nanmedian');

/** The most frequent value along `dim` (the smallest of equally frequent ones), with the index of its last occurrence. */
export function mode(input: Tensor, dim: number = -1, options: KeepdimOptions = {}): ValuesAndIndices {
  const { keepdim } = withDefaults('mode', { keepdim: false }, options);
  const at = normalizeDim(dim, input.ndim, 'mode');
  requireSize('mode', input, at);
  if (input.ndim === 0) return pick(input.node, 0, constantNode(input.device, 'int64', [], 0), keepdim);
  const order = argsortAlong(input.node, at, false);
  const sorted = gatherNode(input.detach().node, at, order, true);
  const shape = sorted.shape;
  const wide = [...shape, shape[at]];
  const column = wrap(sorted).unsqueeze(-1).expand(wide);
  const line = wrap(sorted).unsqueeze(-1).transpose(at, -1).expand(wide);
  const frequency = reduceNode('sum', castNode(column.eq(line).node, 'int64'), [shape.length]);
  const first = extremePosition('max', frequency, at);
  const last = wrap(first)
    .add(wrap(gatherNode(frequency, at, first, true)))
    .sub(1)
    .clamp(0);
  return pick(input.node, at, gatherNode(order, at, last.node, true), keepdim);
}

export type Interpolation = 'linear' | 'lower' | 'higher' | 'midpoint' | 'nearest';
export interface QuantileOptions extends KeepdimOptions {
  readonly dim?: number | null;
  readonly interpolation?: Interpolation;
}
const QUANTILE: Defaults<QuantileOptions> = { dim: null, keepdim: false, interpolation: 'linear' };
function quantileOf(
  name: string,
  input: Tensor,
  q: TensorLike,
  ignoreNaN: boolean,
  place: number | null | QuantileOptions,
  options: QuantileOptions,
): Tensor {
  const { dim, keepdim, interpolation } = leading<QuantileOptions>(name, QUANTILE, 'dim', place, options);
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `quantiles of ${input.dtype}`, { op: name, cure: 'Cast to a float dtype' });
  if (!['linear', 'lower', 'higher', 'midpoint', 'nearest'].includes(interpolation))
    throw new ProjError('invalid-argument', `interpolation "${interpolation}"`, { op: name });
  if (q instanceof Tensor && q.ndim > 1)
    throw new ProjError('shape-mismatch', 'q has more than one dimension', { op: name, shapes: [q.shape] });
  if (typeof q === 'number' && !(q >= 0 && q <= 1))
    throw new ProjError('invalid-argument', `q = ${q} is not in [0, 1]`, { op: name });
  if (q instanceof Tensor && q.dtype !== input.dtype)
    throw new ProjError('dtype', `q is ${q.dtype}, the input ${input.dtype}`, { op: name });
  const at = dim === null ? 0 : normalizeDim(dim, input.ndim, name);
  const flat =
    dim === null || input.ndim === 0
      ? reshapeNode(input.node, [input.numel()])
      : permuteNode(input.node, orderWithLast(input.ndim, at));
  const last = flat.shape.length - 1;
  const size = flat.shape[last];
  if (size === 0) throw new ProjError('shape-mismatch', 'no elements', { op: name, shapes: [input.shape] });
  const sorted = gatherNode(flat, last, argsortNode(flat, false), true);
  const nanCount = wrap(reduceDims('sum', castNode(isNaNNode(flat), 'int64'), [last], true));
  const quantiles = q instanceof Tensor ? q : wrap(constantNode(input.device, input.dtype, [], Number(scalarValue(q))));
  const flatQ = quantiles.reshape([-1]);
  const count = flatQ.numel();
  const rows = [...flat.shape.slice(0, -1), count];
  const numbers = nanCount.rsub(size);
  let rank = ignoreNaN
    ? flatQ.mul(wrap(castNode(numbers.sub(1).clamp(0).node, input.dtype))).expand(rows)
    : flatQ.mul(size - 1).expand(rows);
  if (!ignoreNaN)
    rank = wrap(
      whereNode(
        castNode(nanCount.expand(rows).node, 'bool'),
        constantNode(input.device, input.dtype, rows, size - 1),
        rank.node,
      ),
    );
  if (interpolation === 'lower') rank = rank.floor();
  else if (interpolation === 'higher') rank = rank.ceil();
  else if (interpolation === 'nearest') rank = rank.round();
  const below = rank.floor();
  const at_ = (position: Tensor): Tensor => wrap(gatherNode(sorted, last, castNode(position.node, 'int64'), true));
  let result = at_(below);
  if (interpolation === 'linear' || interpolation === 'midpoint') {
    const weight =
      interpolation === 'midpoint' ? wrap(constantNode(input.device, input.dtype, rows, 0.5)) : rank.sub(below);
    const low = result;
    const span = at_(rank.ceil()).sub(low);
    // The form that PyTorch's lerp takes: exact at both ends.
    result = wrap(
      whereNode(weight.lt(0.5).node, low.add(weight.mul(span)).node, low.add(span).sub(span.mul(weight.rsub(1))).node),
    );
  }
  let kept = dim === null ? Array.from({ length: input.ndim }, () => 1) : input.shape.map((s, i) => (i === at ? 1 : s));
  if (!keepdim) kept = dim === null ? [] : kept.filter((_, i) => i !== at);
  const front = permuteNode(result.node, [last, ...Array.from({ length: last }, (_, i) => i)]);
  return wrap(reshapeNode(front, quantiles.ndim === 0 ? kept : [count, ...kept]));
}
/** The q-quantiles, of all elements or along `dim`; a vector `q` gives a leading dimension. NaN if any element is. */
export function quantile(
  input: Tensor,
  q: TensorLike,
  dim: number | null | QuantileOptions = null,
  options: QuantileOptions = {},
): Tensor {
  return quantileOf('quantile', input, q, false, dim, options);
}
/** As {@link quantile}, of the elements that are not NaN. */
export function nanquantile(
  input: Tensor,
  q: TensorLike,
  dim: number | null | QuantileOptions = null,
  options: QuantileOptions = {},
): Tensor {
  return quantileOf('nanquantile', input, q, true, dim, options);
}

export const ORDERING: readonly OpRow[] = [
  row('max', max as never, 'input, dim=None, keepdim=False'),
  row('min', min as never, 'input, dim=None, keepdim=False'),
  row('argmax', argmax, 'input, dim=None, keepdim=False', { differentiable: false }),
  row('argmin', argmin, 'input, dim=None, keepdim=False', { differentiable: false }),
  row('aminmax', aminmax, 'input, *, dim=None, keepdim=False'),
  row('sort', sort as never, 'input, dim=-1, descending=False, stable=False'),
  row('argsort', argsort, 'input, dim=-1, descending=False', { differentiable: false }),
  row('msort', msort, 'input'),
  row('topk', topk, 'input, k, dim=-1, largest=True, sorted=True'),
  row('kthvalue', kthvalue, 'input, k, dim=-1, keepdim=False'),
  row('median', median as never, 'input, dim=None, keepdim=False'),
  row('nanmedian', nanmedian as never, 'input, dim=None, keepdim=False'),
  row('mode', mode, 'input, dim=-1, keepdim=False'),
  row('quantile', quantile, 'input, q, dim=None, keepdim=False, *, interpolation="linear"'),
  row('nanquantile', nanquantile, 'input, q, dim=None, keepdim=False, *, interpolation="linear"'),
];
