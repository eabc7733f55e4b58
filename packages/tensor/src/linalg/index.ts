/** torch.linalg: factorisations, solvers and norms of matrices, in batches. */
import { ProjError, withDefaults } from '@proj/kernel';
import { cross as crossProduct } from '../ops/einsum.ts';
import { diagonal as diagonalOf, type DiagonalOptions } from '../ops/diagonals.ts';
import type { Tensor } from '../tensor.ts';

export { matmul } from '../ops/products.ts';
export {
  cholesky,
  choleskyEx,
  eigh,
  eigvalsh,
  geqrf,
  householderProduct,
  lu,
  luFactor,
  luFactorEx,
  luSolve,
  ormqr,
  qr,
  svd,
  svdvals,
} from './decompositions.ts';
export {
  cond,
  det,
  inv,
  invEx,
  lstsq,
  matrixExp,
  matrixPower,
  matrixRank,
  multiDot,
  pinv,
  slogdet,
  solve,
  solveEx,
  tensorinv,
  tensorsolve,
  vander,
  vecdot,
} from './inverses.ts';
export { eig, eigvals } from './eigen.ts';
export { ldlFactor, ldlFactorEx, ldlSolve } from './ldl.ts';
export { matrixNorm, norm, vectorNorm } from './norms.ts';
export { solveTriangular } from './solving.ts';

/** Cross product of vectors of length 3 along `dim` (the last). */
export function cross(input: Tensor, other: Tensor, options: { dim?: number } = {}): Tensor {
  const { dim } = withDefaults('cross', { dim: -1 }, options);
  if (input.ndim !== other.ndim)
    throw new ProjError('shape-mismatch', 'both operands need the same number of dimensions', {
      op: 'cross',
      shapes: [input.shape, other.shape],
    });
  const at = dim < 0 ? dim + input.ndim : dim;
  if (input.shape[at] !== 3 || other.shape[at] !== 3)
    throw new ProjError('shape-mismatch', `dimension ${dim} must have length 3`, {
      op: 'cross',
      shapes: [input.shape, other.shape],
    });
  return crossProduct(input, other, dim);
}
/** A diagonal of the matrices. A view. */
export function diagonal(A: Tensor, options: DiagonalOptions = {}): Tensor {
  const { offset, dim1, dim2 } = withDefaults('diagonal', { offset: 0, dim1: -2, dim2: -1 }, options);
  return diagonalOf(A, { offset, dim1, dim2 });
}
