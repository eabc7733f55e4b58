/** Vector and matrix norms. */
import { type Defaults, type DType, ProjError, withDefaults } from '@proj/kernel';
import { castNode } from '../graph/build.ts';
import { leading, normalizeDim, normalizeDims } from '../ops/arguments.ts';
import { setNuclearNorm, vectorNormOf } from '../ops/statistics.ts';
import { isIntegral } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { svdParts } from './factorizations.ts';

export interface NormOptions {
  readonly ord?: number | string | null;
  readonly dim?: number | readonly number[] | null;
  readonly keepdim?: boolean;
  readonly dtype?: DType | null;
}
function prepare(op: string, x: Tensor, dtype: DType | null | undefined): Tensor {
  const typed = dtype === null || dtype === undefined ? x : wrap(castNode(x.node, dtype));
  if (isIntegral(typed.dtype))
    throw new ProjError('dtype', `${op} of ${typed.dtype}`, { op, cure: 'Cast to a float dtype' });
  return typed;
}
/** The ord-norm (2) of all elements or over `dim`. */
export function vectorNorm(x: Tensor, ord: number = 2, options: Omit<NormOptions, 'ord'> = {}): Tensor {
  const { dim, keepdim, dtype } = withDefaults('vectorNorm', { dim: null, keepdim: false, dtype: null }, options);
  const typed = prepare('vectorNorm', x, dtype);
  const dims = normalizeDims(dim, typed.ndim, 'vectorNorm');
  if (ord !== 0 && (ord < 0 || ord === Infinity) && dims.some((d) => typed.shape[d] === 0))
    throw new ProjError('shape-mismatch', `the ${ord}-norm of nothing`, { op: 'vectorNorm', shapes: [x.shape] });
  return vectorNormOf(typed, ord, dims, keepdim);
}

/** Sum of singular values, or the largest or smallest, over two dims. */
function singular(x: Tensor, dims: readonly number[], keepdim: boolean, combine: (S: Tensor) => Tensor): Tensor {
  const moved = x.movedim(dims, [-2, -1]);
  const value = combine(svdParts(moved, false).S);
  return keepdim ? value.reshape(x.shape.map((s, i) => (dims.includes(i) ? 1 : s))) : value;
}
setNuclearNorm((x, dims, keepdim) => {
  if (dims.length !== 2)
    throw new ProjError('invalid-argument', 'the nuclear norm is of matrices', {
      op: 'norm',
      shapes: [x.shape],
      cure: 'Give two dims',
    });
  return singular(x, dims, keepdim, (S) => S.sum(-1));
});
/** A norm of matrices: 'fro', 'nuc', or 1, -1, 2, -2, ∞, -∞. */
export function matrixNorm(A: Tensor, ord: number | string = 'fro', options: Omit<NormOptions, 'ord'> = {}): Tensor {
  const { dim, keepdim, dtype } = withDefaults('matrixNorm', { dim: [-2, -1], keepdim: false, dtype: null }, options);
  const x = prepare('matrixNorm', A, dtype);
  const list = typeof dim === 'number' || dim === null ? [-2, -1] : dim;
  if (x.ndim < 2 || list.length !== 2)
    throw new ProjError('shape-mismatch', 'two dimensions are needed', { op: 'matrixNorm', shapes: [A.shape] });
  const [rows, columns] = list.map((d) => normalizeDim(d, x.ndim, 'matrixNorm'));
  if (rows === columns) throw new ProjError('invalid-argument', 'the dims are the same', { op: 'matrixNorm' });
  if (ord === 'fro')
    return vectorNormOf(
      x,
      2,
      [rows, columns].sort((a, b) => a - b),
      keepdim,
    );
  if (ord === 'nuc') return singular(x, [rows, columns], keepdim, (S) => S.sum(-1));
  const size = Math.abs(Number(ord));
  if (size === 2) return singular(x, [rows, columns], keepdim, (S) => (Number(ord) > 0 ? S.amax(-1) : S.amin(-1)));
  if (size !== 1 && size !== Infinity)
    throw new ProjError('invalid-argument', `order ${String(ord)}`, {
      op: 'matrixNorm',
      cure: "Use 'fro', 'nuc', ±1, ±2 or ±Infinity",
    });
  const [summed, compared] = size === 1 ? [rows, columns] : [columns, rows];
  const sums = x.abs().sum(summed, { keepdim: true });
  const best = Number(ord) > 0 ? sums.amax(compared, { keepdim: true }) : sums.amin(compared, { keepdim: true });
  return keepdim ? best : best.reshape(x.shape.filter((_, i) => i !== rows && i !== columns));
}
/** A vector norm of all elements or over one dim, or a matrix norm over two. */
export function norm(
  A: Tensor,
  ord: number | string | null | NormOptions = null,
  options: Omit<NormOptions, 'ord'> = {},
): Tensor {
  const { ord: order, ...rest } = leading<NormOptions>(
    'norm',
    { ord: null, dim: null, keepdim: false, dtype: null },
    'ord',
    ord,
    options,
  );
  return normOf(A, order, rest);
}
function normOf(
  A: Tensor,
  ord: number | string | null,
  { dim, keepdim, dtype }: Defaults<Omit<NormOptions, 'ord'>>,
): Tensor {
  if (ord === null) return vectorNorm(A, 2, { dim, keepdim, dtype });
  const count = dim === null ? null : typeof dim === 'number' ? 1 : dim.length;
  if (count === 2 || (count === null && A.ndim === 2) || typeof ord === 'string')
    return matrixNorm(A, ord, { dim: count === 2 ? dim : [-2, -1], keepdim, dtype });
  if (count === null && A.ndim > 2)
    throw new ProjError('shape-mismatch', 'an order without dim needs a vector or a matrix', {
      op: 'norm',
      shapes: [A.shape],
      cure: 'Give dim',
    });
  return vectorNorm(A, Number(ord), { dim, keepdim, dtype });
}
