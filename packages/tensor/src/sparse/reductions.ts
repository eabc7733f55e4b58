/** Sums, norms and softmax over the stored values. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { castNode, constantNode, scatterNode } from '../graph/build.ts';
import { normalizeDim, normalizeDims } from '../ops/arguments.ts';
import { isFloatingPoint } from '../promotion.ts';
import { fromArray } from '../ops/creation.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { groupsOf, sumGroups, takeRows } from './kernels.ts';
import type { Groups } from './pattern.ts';
import { unsqueeze } from './movement.ts';
import { SparseTensor } from './sparse-tensor.ts';

/** Options of {@link sum}. */
export interface SumOptions {
  readonly dtype?: DType | null;
  readonly keepdim?: boolean;
}

/**
 * The sum of all elements (a 0-dim tensor), or over `dim`: sparse while sparse dimensions stay, dense when none does. With `keepdim` the dimensions stay, of size 1.
 * PyTorch: `torch.sparse.sum`, `torch.sum`. Errors: a dimension that does not exist.
 */
export function sum(
  input: SparseTensor,
  dim: number | readonly number[] | null = null,
  options: SumOptions = {},
): Tensor | SparseTensor {
  const { dtype, keepdim } = withDefaults('sum', { dtype: null, keepdim: false }, options);
  const x = dim === null ? input : input.sorted();
  const values = dtype === null ? x.storedValues : x.storedValues.to(dtype);
  if (dim === null) return values.sum();
  const dims = normalizeDims(dim, x.ndim, 'sum');
  const sparseDims = x.sparseDim();
  const inside = dims.filter((d) => d >= sparseDims).map((d) => d - sparseDims + 1);
  const summed = inside.length === 0 ? values : values.sum(inside, { keepdim });
  const kept = x.pattern.sizes.map((_, d) => d).filter((d) => !dims.includes(d));
  if (kept.length === 0) {
    const total = summed.sum(0);
    return keepdim ? total.reshape([...x.pattern.sizes.map(() => 1), ...total.shape]) : total;
  }
  if (kept.length === sparseDims) return new SparseTensor(x.pattern, summed, { coalesced: true });
  const { pattern, groups } = x.pattern.axes(kept).merged();
  const result = new SparseTensor(pattern, sumGroups(summed, groups), { coalesced: true });
  if (!keepdim) return result;
  return dims.filter((d) => d < sparseDims).reduce((each, d) => unsqueeze(each, d), result);
}

/** The p-norm of all elements. PyTorch: `torch.norm`. */
export function norm(input: SparseTensor, p: number = 2): Tensor {
  const x = input.isSparse ? input.coalesce() : input;
  return x.storedValues.reshape([-1]).norm(p);
}

/** Whether any element is true. PyTorch: `torch.any`. */
export const any = (input: SparseTensor): Tensor => input.storedValues.any();

/** Options of {@link softmax}. */
export interface SparseSoftmaxOptions {
  readonly dtype?: DType | null;
}

/** Values minus the largest of their group, and the logarithm of their group's sum of exponentials after that. */
function shifted(values: Tensor, groups: Groups): { centred: Tensor; exponentials: Tensor; totals: Tensor } {
  const places = groupsOf(groups);
  const of = fromArray(places, [places.length], 'int64', { device: values.device });
  const [, ...rest] = values.shape;
  const lowest = constantNode(values.device, values.dtype, [groups.pointers.length - 1, ...rest], -Infinity);
  const largest = wrap(scatterNode('max', lowest, of.node, values.detach().node)).detach();
  const centred = values.sub(takeRows(largest, places));
  const exponentials = centred.exp();
  const totals = takeRows(sumGroups(exponentials, groups), places);
  return { centred, exponentials, totals };
}

function normalised(
  input: SparseTensor,
  dim: number,
  options: SparseSoftmaxOptions,
  op: string,
  dense: (values: Tensor, dim: number) => Tensor,
  sparse: (parts: ReturnType<typeof shifted>) => Tensor,
): SparseTensor {
  const { dtype } = withDefaults(op, { dtype: null }, options);
  const at = normalizeDim(dim, input.ndim, op);
  const x = input.sorted();
  const values = dtype === null ? x.storedValues : wrap(castNode(x.storedValues.node, dtype));
  if (!isFloatingPoint(values.dtype))
    throw new ProjError('dtype', `${op} of ${values.dtype}`, { op, cure: 'Give a floating-point dtype' });
  const sparseDims = x.sparseDim();
  if (at >= sparseDims) return x.withValues(dense(values, at - sparseDims + 1));
  if (x.nnz() === 0) return x;
  const others = x.pattern.sizes.map((_, d) => d).filter((d) => d !== at);
  const { groups } = x.pattern.axes(others).merged();
  return x.withValues(sparse(shifted(values, groups)));
}

/**
 * exp(x) / Σ exp(x) along `dim` over the stored values: absent elements count as -∞. Sparse, at the same places, coalesced. PyTorch: `torch.sparse.softmax`.
 * Errors: integers; a dimension that does not exist.
 */
export function softmax(input: SparseTensor, dim: number, options: SparseSoftmaxOptions = {}): SparseTensor {
  return normalised(
    input,
    dim,
    options,
    'softmax',
    (values, d) => values.softmax(d),
    ({ exponentials, totals }) => exponentials.div(totals),
  );
}
/** The logarithm of {@link softmax}. PyTorch: `torch.sparse.log_softmax`. */
export function logSoftmax(input: SparseTensor, dim: number, options: SparseSoftmaxOptions = {}): SparseTensor {
  return normalised(
    input,
    dim,
    options,
    'logSoftmax',
    (values, d) => values.logSoftmax(d),
    ({ centred, totals }) => centred.sub(totals.log()),
  );
}
