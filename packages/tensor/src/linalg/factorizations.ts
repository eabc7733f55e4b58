/** QR, eigenvalues and singular values with their gradients (formulas after Seeger et al. 2017, Townsend 2016, Walter and Lehmann 2018). */
import { ProjError } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { concatenate } from '../ops/joining.ts';
import { matmul } from '../ops/products.ts';
import type { Tensor } from '../tensor.ts';
import { isComplexDType, toReal } from '../promotion.ts';
import { batchOf, blocksOf, columnsOf, cut, identityOf, kernelsFor, rowsOf, toKernel, zerosOf } from './shared.ts';
import { solveTriangular } from './solving.ts';

/** Householder vectors below R, and their factors. */
export function householder(A: Tensor): { a: Tensor; tau: Tensor } {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  const packed = kernelsFor(A).householder(toKernel(A));
  const behind = blocksOf(A) * m * n;
  return { a: cut(packed, 0, batch, [m, n], A.dtype), tau: cut(packed, behind, batch, [Math.min(m, n)], A.dtype) };
}

export type QrMode = 'reduced' | 'complete' | 'r';
/** A = Q R. The gradient needs full column rank, and is that of the square part for wide matrices. */
export function qrParts(A: Tensor, mode: QrMode): { Q: Tensor; R: Tensor } {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  const k = Math.min(m, n);
  const kernels = kernelsFor(A);
  const blocks = blocksOf(A);
  const packed = kernels.householder(toKernel(A));
  const columns = mode === 'complete' ? m : k;
  const vectors = packed.narrow(1, 0, blocks * m * n).reshape([packed.shape[0], blocks * m, n]);
  const tau = packed.narrow(1, blocks * m * n, blocks * k).unsqueeze(-1);
  const plainR = cut(packed, 0, batch, [m, n], A.dtype).narrow(-2, 0, columns).triu();
  const plainQ =
    mode === 'r'
      ? zerosOf(A, [0])
      : cut(
          kernels.reflectors(vectors, tau, zerosOf(packed, [packed.shape[0], blocks * m, columns])),
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
    const toQ = gV === null ? gQ : addNull(gQ, matmul(Y, gV.mH));
    const left = qrBackward(toQ, gR?.narrow(-1, 0, m) ?? null, Q, U);
    const right = gV === null ? zerosOf(Y, Y.shape) : matmul(Q, gV);
    return concatenate([left, right], left.ndim - 1, 'qr');
  }
  let M = gR === null ? null : matmul(R, gR.triu().mH);
  if (gQ !== null) M = addNull(M, matmul(gQ.mH, Q).neg());
  const inner = addNull(gQ, matmul(Q, hermitian(M as Tensor)));
  // X R^-T: the triangular solve from the right.
  return solveTriangular(R.mH, inner, { upper: false, left: false });
}
/** The lower triangle mirrored into the upper one. */
function hermitian(x: Tensor): Tensor {
  if (!isComplexDType(x.dtype)) return x.tril().add(x.tril(-1).mT);
  const below = x.tril(-1);
  return below.add(below.mH).add(x.real().diagonal({ dim1: -2, dim2: -1 }).diagEmbed());
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
  const packed = kernelsFor(A).symmetricEigen(toKernel(upper ? A.mH : A));
  const values = cut(packed, 0, batch, [n], toReal(A.dtype));
  const vectors = cut(packed, n, batch, [n, n], A.dtype);
  const eigenvalues: Tensor = attachGradient(values, [A], (g) => [
    matmul(eigenvectors.mul(g.unsqueeze(-2)), eigenvectors.mH),
  ]);
  const eigenvectors: Tensor = attachGradient(vectors, [A], (g) => {
    const projected = matmul(eigenvectors.mH, g).mul(inverseGaps(eigenvalues));
    return [matmul(matmul(eigenvectors, projected), eigenvectors.mH)];
  });
  return { eigenvalues, eigenvectors };
}

/** What the gradient has along the phases of the singular vectors: i·Im(diagonal) / S. */
const phases = (skew: Tensor, S: Tensor): Tensor => {
  const diagonal = skew.diagonal({ dim1: -2, dim2: -1 });
  return diagonal.sub(diagonal.conj()).div(S.mul(2)).diagEmbed();
};

export interface SvdParts {
  readonly U: Tensor;
  readonly S: Tensor;
  readonly Vh: Tensor;
}
/** A = U diag(S) Vh, singular values descending. */
export function svdParts(A: Tensor, fullMatrices: boolean): SvdParts {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  if (m < n) {
    const { U, S, Vh } = svdParts(A.mH, fullMatrices);
    return { U: Vh.mH, S, Vh: U.mH };
  }
  const packed = kernelsFor(A).singularValues(toKernel(A));
  const plainS = cut(packed, 0, batch, [n], toReal(A.dtype));
  const plainV = cut(packed, n, batch, [n, n], A.dtype);
  const plainU = cut(packed, n + blocksOf(A) * n * n, batch, [m, m], A.dtype);
  const S: Tensor = attachGradient(plainS, [A], (g) => [matmul(U.narrow(-1, 0, n).mul(g.unsqueeze(-2)), V.mH)]);
  const U: Tensor = attachGradient(fullMatrices ? plainU : plainU.narrow(-1, 0, n), [A], (g) => {
    if (fullMatrices && m > n)
      throw new ProjError('autograd', 'the full factor has no gradient', {
        op: 'svd',
        cure: 'Use fullMatrices: false',
      });
    const skew = matmul(U.mH, g);
    const inner = skew
      .sub(skew.mH)
      .mul(inverseGaps(S.mul(S)))
      .mul(S.unsqueeze(-2));
    let result = matmul(matmul(U, isComplexDType(A.dtype) ? inner.add(phases(skew, S)) : inner), V.mH);
    if (m > n) {
      const scaled = g.div(S.unsqueeze(-2));
      result = result.add(matmul(scaled.sub(matmul(U, matmul(U.mH, scaled))), V.mH));
    }
    return [result];
  });
  const V: Tensor = attachGradient(plainV, [A], (g) => {
    const thin = U.narrow(-1, 0, n);
    const skew = matmul(V.mH, g);
    const inner = skew
      .sub(skew.mH)
      .mul(inverseGaps(S.mul(S)))
      .mul(S.unsqueeze(-1));
    return [matmul(matmul(thin, inner), V.mH)];
  });
  return { U, S, Vh: V.mH };
}
