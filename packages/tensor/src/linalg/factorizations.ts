/** QR, eigenvalues and singular values with their gradients (formulas after Seeger et al. 2017, Townsend 2016, Walter and Lehmann 2018). */
import { ProjError } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { concatenate } from '../ops/joining.ts';
import { matmul } from '../ops/products.ts';
import type { Tensor } from '../tensor.ts';
import { householderKernel, reflectorsKernel, singularValuesKernel, symmetricEigenKernel } from './kernels.ts';
import { batchOf, columnsOf, cut, identityOf, rowsOf, toKernel, zerosOf } from './shared.ts';
import { solveTriangular } from './solving.ts';

/** Householder vectors below R, and their factors. */
export function householder(A: Tensor): { a: Tensor; tau: Tensor } {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  const packed = householderKernel(toKernel(A));
  return { a: cut(packed, 0, batch, [m, n], A.dtype), tau: cut(packed, m * n, batch, [Math.min(m, n)], A.dtype) };
}

export type QrMode = 'reduced' | 'complete' | 'r';
/** A = Q R. The gradient needs full column rank, and is that of the square part for wide matrices. */
export function qrParts(A: Tensor, mode: QrMode): { Q: Tensor; R: Tensor } {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  const k = Math.min(m, n);
  const packed = householderKernel(toKernel(A));
  const columns = mode === 'complete' ? m : k;
  const vectors = packed.narrow(1, 0, m * n).reshape([packed.shape[0], m, n]);
  const tau = packed.narrow(1, m * n, k).unsqueeze(-1);
  const plainR = cut(packed, 0, batch, [m, n], A.dtype).narrow(-2, 0, columns).triu();
  const plainQ =
    mode === 'r'
      ? zerosOf(A, [0])
      : cut(
          reflectorsKernel(vectors, tau, zerosOf(packed, [packed.shape[0], m, columns])),
          0,
          batch,
          [m, columns],
          A.dtype,
        );
  const gradient = (gQ: Tensor | null, gR: Tensor | null): Tensor => {
    if (mode === 'r')
      throw new ProjError('autograd', 'mode "r" keeps no Q for the gradient', { op: 'qr', cure: 'Use mode "reduced"' });
    if (mode === 'complete' && m > n)
      throw new ProjError('autograd', 'the complete factor has no gradient', { op: 'qr', cure: 'Use mode "reduced"' });
    return qrBackward(gQ, gR, Q, R);
  };
  const Q: Tensor = mode === 'r' ? plainQ : attachGradient(plainQ, [A], (g) => [gradient(g, null)]);
  const R: Tensor = attachGradient(plainR, [A], (g) => [gradient(null, g)]);
  return { Q, R };
}
function qrBackward(gQ: Tensor | null, gR: Tensor | null, Q: Tensor, R: Tensor): Tensor {
  const [m, n] = [rowsOf(R), columnsOf(R)];
  if (n > m) {
    const [U, V] = [R.narrow(-1, 0, m), R.narrow(-1, m, n - m)];
    const gV = gR?.narrow(-1, m, n - m) ?? null;
    const Y = matmul(Q, V);
    const toQ = gV === null ? gQ : addNull(gQ, matmul(Y, gV.mT));
    const left = qrBackward(toQ, gR?.narrow(-1, 0, m) ?? null, Q, U);
    const right = gV === null ? zerosOf(Y, Y.shape) : matmul(Q, gV);
    return concatenate([left, right], left.ndim - 1, 'qr');
  }
  let M = gR === null ? null : matmul(R, gR.triu().mT);
  if (gQ !== null) M = addNull(M, matmul(gQ.mT, Q).neg());
  const symmetric = (x: Tensor): Tensor => x.tril().add(x.tril(-1).mT);
  const inner = addNull(gQ, matmul(Q, symmetric(M as Tensor)));
  // X R^-T: the triangular solve from the right.
  return solveTriangular(R.mT, inner, { upper: false, left: false });
}
const addNull = (a: Tensor | null, b: Tensor): Tensor => (a === null ? b : a.add(b));

/** Reciprocals of the differences of squares (or of values), zero on the diagonal. */
function inverseGaps(values: Tensor): Tensor {
  const gaps = values.unsqueeze(-2).sub(values.unsqueeze(-1));
  const unit = identityOf(values, values.shape[values.ndim - 1]);
  return gaps.add(unit).reciprocal().sub(unit);
}

/** Eigenvalues (ascending) and eigenvectors of symmetric matrices. */
export function symmetricEigen(A: Tensor, upper: boolean): { eigenvalues: Tensor; eigenvectors: Tensor } {
  const [n, batch] = [rowsOf(A), batchOf(A)];
  const packed = symmetricEigenKernel(toKernel(upper ? A.mT : A));
  const values = cut(packed, 0, batch, [n], A.dtype);
  const vectors = cut(packed, n, batch, [n, n], A.dtype);
  const eigenvalues: Tensor = attachGradient(values, [A], (g) => [
    matmul(eigenvectors.mul(g.unsqueeze(-2)), eigenvectors.mT),
  ]);
  const eigenvectors: Tensor = attachGradient(vectors, [A], (g) => {
    const projected = matmul(eigenvectors.mT, g).mul(inverseGaps(eigenvalues));
    return [matmul(matmul(eigenvectors, projected), eigenvectors.mT)];
  });
  return { eigenvalues, eigenvectors };
}

export interface SvdParts {
  readonly U: Tensor;
  readonly S: Tensor;
  readonly Vh: Tensor;
}
/** A = U diag(S) Vh, singular values descending. */
export function svdParts(A: Tensor, fullMatrices: boolean): SvdParts {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  if (m < n) {
    const { U, S, Vh } = svdParts(A.mT, fullMatrices);
    return { U: Vh.mT, S, Vh: U.mT };
  }
  const packed = singularValuesKernel(toKernel(A));
  const plainS = cut(packed, 0, batch, [n], A.dtype);
  const plainV = cut(packed, n, batch, [n, n], A.dtype);
  const plainU = cut(packed, n + n * n, batch, [m, m], A.dtype);
  const S: Tensor = attachGradient(plainS, [A], (g) => [matmul(U.narrow(-1, 0, n).mul(g.unsqueeze(-2)), V.mT)]);
  const U: Tensor = attachGradient(fullMatrices ? plainU : plainU.narrow(-1, 0, n), [A], (g) => {
    if (fullMatrices && m > n)
      throw new ProjError('autograd', 'the full factor has no gradient', {
        op: 'svd',
        cure: 'Use fullMatrices: false',
      });
    const skew = matmul(U.mT, g);
    const inner = skew
      .sub(skew.mT)
      .mul(inverseGaps(S.mul(S)))
      .mul(S.unsqueeze(-2));
    let result = matmul(matmul(U, inner), V.mT);
    if (m > n) {
      const scaled = g.div(S.unsqueeze(-2));
      result = result.add(matmul(scaled.sub(matmul(U, matmul(U.mT, scaled))), V.mT));
    }
    return [result];
  });
  const V: Tensor = attachGradient(plainV, [A], (g) => {
    const thin = U.narrow(-1, 0, n);
    const skew = matmul(V.mT, g);
    const inner = skew
      .sub(skew.mT)
      .mul(inverseGaps(S.mul(S)))
      .mul(S.unsqueeze(-1));
    return [matmul(matmul(thin, inner), V.mT)];
  });
  return { U, S, Vh: V.mT };
}
