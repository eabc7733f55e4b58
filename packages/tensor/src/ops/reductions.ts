/** Reductions over dimensions. `dim` may be one, several, or left out for all. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { castNode, partNode, reduceNode, reshapeNode } from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import type { ReduceOperation } from '../graph/primitives.ts';
import { isComplexDType, toFloat, toSum } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { normalizeDims } from './arguments.ts';
import { add, div, mul, safeRoot, sub, truth } from './elementwise.ts';
import { type OpRow, row } from './table.ts';

export type Dims = number | readonly number[] | null;
export interface KeepdimOptions {
  readonly keepdim?: boolean;
}
export interface ReduceOptions extends KeepdimOptions {
  readonly dtype?: DType | null;
}

/** Reduces `dims` of a node, keeping them as size 1 where `keepdim`. */
export function reduceDims(fn: ReduceOperation, node: AnyNode, dims: readonly number[], keepdim: boolean): AnyNode {
  const reduced = reduceNode(fn, node, dims);
  return keepdim
    ? reshapeNode(
        reduced,
        node.shape.map((size, i) => (dims.includes(i) ? 1 : size)),
      )
    : reduced;
}

/** The sum over `dim` (all dimensions unless given); small integers and bool become int64. */
export function sum(input: Tensor, dim: Dims = null, options: ReduceOptions = {}): Tensor {
  const { keepdim, dtype } = withDefaults('sum', { keepdim: false, dtype: null }, options);
  return wrap(
    reduceDims(
      'sum',
      castNode(input.node, dtype ?? toSum(input.dtype)),
      normalizeDims(dim, input.ndim, 'sum'),
      keepdim,
    ),
  );
}
/** The product over `dim` (all dimensions unless given); small integers and bool become int64. */
export function prod(input: Tensor, dim: Dims = null, options: ReduceOptions = {}): Tensor {
  const { keepdim, dtype } = withDefaults('prod', { keepdim: false, dtype: null }, options);
  return wrap(
    reduceDims(
      'prod',
      castNode(input.node, dtype ?? toSum(input.dtype)),
      normalizeDims(dim, input.ndim, 'prod'),
      keepdim,
    ),
  );
}
/** The mean over `dim` (all dimensions unless given). Errors: integers without a float `dtype`. */
export function mean(input: Tensor, dim: Dims = null, options: ReduceOptions = {}): Tensor {
  const { keepdim, dtype } = withDefaults('mean', { keepdim: false, dtype: null }, options);
  const type = dtype ?? input.dtype;
  if (toFloat(type) !== type)
    throw new ProjError('dtype', `mean of ${type}`, { op: 'mean', cure: 'Cast to a float dtype, or give dtype' });
  const dims = normalizeDims(dim, input.ndim, 'mean');
  const count = dims.reduce((product, d) => product * input.shape[d], 1);
  return div(wrap(reduceDims('sum', castNode(input.node, type), dims, keepdim)), count);
}
function nonEmpty(input: Tensor, dims: readonly number[], op: string): void {
  if (dims.some((d) => input.shape[d] === 0) || (input.ndim > 0 && input.numel() === 0 && dims.length === input.ndim)) {
    throw new ProjError('shape-mismatch', 'a reduction without identity over an empty dimension', {
      op,
      shapes: [input.shape],
      dtypes: [input.dtype],
    });
  }
}
/** The largest element over `dim`; equal ones share the gradient. */
export function amax(input: Tensor, dim: Dims = null, options: KeepdimOptions = {}): Tensor {
  const { keepdim } = withDefaults('amax', { keepdim: false }, options);
  const dims = normalizeDims(dim, input.ndim, 'amax');
  nonEmpty(input, dims, 'amax');
  return wrap(reduceDims('max', input.node, dims, keepdim));
}
/** The smallest element over `dim`; equal ones share the gradient. */
export function amin(input: Tensor, dim: Dims = null, options: KeepdimOptions = {}): Tensor {
  const { keepdim } = withDefaults('amin', { keepdim: false }, options);
  const dims = normalizeDims(dim, input.ndim, 'amin');
  nonEmpty(input, dims, 'amin');
  return wrap(reduceDims('min', input.node, dims, keepdim));
}
/** Whether any element over `dim` is not zero. */
export function any(input: Tensor, dim: Dims = null, options: KeepdimOptions = {}): Tensor {
  const { keepdim } = withDefaults('any', { keepdim: false }, options);
  const result = wrap(reduceDims('max', truth(input.node), normalizeDims(dim, input.ndim, 'any'), keepdim));
  return input.dtype === 'uint8' ? wrap(castNode(result.node, 'uint8')) : result;
}
/** Whether all elements over `dim` are not zero. */
export function all(input: Tensor, dim: Dims = null, options: KeepdimOptions = {}): Tensor {
  const { keepdim } = withDefaults('all', { keepdim: false }, options);
  const result = wrap(reduceDims('min', truth(input.node), normalizeDims(dim, input.ndim, 'all'), keepdim));
  return input.dtype === 'uint8' ? wrap(castNode(result.node, 'uint8')) : result;
}
export interface VarianceOptions extends KeepdimOptions {
  /** Subtracts 1 from the count (default true). */
  readonly unbiased?: boolean;
  /** Subtracted from the count; overrides `unbiased`. */
  readonly correction?: number | null;
}
/** Variance over `dim`; divides by the count minus 1 unless `unbiased` is false. */
export function variance(input: Tensor, dim: Dims | boolean = null, options: VarianceOptions = {}): Tensor {
  const { keepdim, unbiased, correction } = withDefaults(
    'variance',
    { keepdim: false, unbiased: true, correction: null },
    options,
  );
  if (isComplexDType(input.dtype)) {
    const of = (imaginary: boolean): Tensor =>
      variance(wrap(partNode(input.node, imaginary)), dim, { keepdim, unbiased, correction });
    return add(of(false), of(true));
  }
  const unbiasedGiven = typeof dim === 'boolean' ? dim : unbiased;
  const dims = normalizeDims(typeof dim === 'boolean' ? null : dim, input.ndim, 'var');
  const count = dims.reduce((product, d) => product * input.shape[d], 1);
  const centered = sub(input, mean(input, dims.length === 0 ? null : dims, { keepdim: true }));
  const total = wrap(reduceDims('sum', mul(centered, centered).node, dims, keepdim));
  return div(total, Math.max(0, count - (correction ?? (unbiasedGiven ? 1 : 0))));
}
/** Standard deviation over `dim`; see {@link variance}. */
export function std(input: Tensor, dim: Dims | boolean = null, options: VarianceOptions = {}): Tensor {
  return safeRoot(variance(input, dim, options));
}

export const REDUCTIONS: readonly OpRow[] = [
  row('sum', sum, 'input, dim=None, keepdim=False, *, dtype=None'),
  row('prod', prod, 'input, dim=None, keepdim=False, *, dtype=None'),
  row('mean', mean, 'input, dim=None, keepdim=False, *, dtype=None'),
  row('amax', amax, 'input, dim=(), keepdim=False'),
  row('amin', amin, 'input, dim=(), keepdim=False'),
  row('any', any, 'input, dim=None, keepdim=False', { differentiable: false }),
  row('all', all, 'input, dim=None, keepdim=False', { differentiable: false }),
  row('var', variance as never, 'input, dim=None, unbiased=True, keepdim=False, *, correction=None'),
  row('std', std as never, 'input, dim=None, unbiased=True, keepdim=False, *, correction=None'),
];
