/** Factorisations under their public names, in torch.linalg's form and in the older one of torch. */
import { leading } from '../ops/arguments.ts';
import { checkOptions, ProjError, withDefaults } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { isFloatingPoint } from '../promotion.ts';
import { matmul } from '../ops/products.ts';
import type { Tensor } from '../tensor.ts';
import { householder, type QrMode, qrParts, svdParts, symmetricEigen } from './factorizations.ts';
import { columnsOf, identityOf, requireMatrix, requireZero, rowsOf, sumBatch, zerosOf } from './shared.ts';
import { choleskyParts, luParts, notPositive, solveTriangular, solveWithLu, unpackLu } from './solving.ts';

export interface UpperOption {
  readonly upper?: boolean;
}
const upperOf = (op: string, upper: boolean | UpperOption): boolean =>
  leading<UpperOption>(op, { upper: false }, 'upper', upper).upper;
/** L with A = L Lᵀ (or the upper factor). Errors: A is not positive definite. */
export function cholesky(A: Tensor, upper: boolean | UpperOption = false): Tensor {
  const isUpper = upperOf('cholesky', upper);
  requireMatrix('cholesky', A, true);
  const { L, info } = choleskyParts(A, isUpper);
  requireZero('cholesky', info, notPositive);
  return isUpper ? L.mH : L;
}
/** As {@link cholesky}, with an error code instead of an error. */
export function choleskyEx(
  A: Tensor,
  options: UpperOption & { checkErrors?: boolean } = {},
): { L: Tensor; info: Tensor } {
  const { upper } = withDefaults('choleskyEx', { upper: false, checkErrors: false }, options);
  requireMatrix('choleskyEx', A, true);
  const { L, info } = choleskyParts(A, upper);
  return { L: upper ? L.mH : L, info };
}
/** The gradient of a factor from that of the matrix: every entry counts, although only a triangle is read. */
const factorGradient = (gradient: Tensor, factor: Tensor, upper: boolean): Tensor => {
  const symmetric = gradient.add(gradient.mH);
  return upper ? matmul(factor, symmetric) : matmul(symmetric, factor);
};
/** The inverse of a matrix from its Cholesky factor. */
export function choleskyInverse(input: Tensor, upper: boolean | UpperOption = false): Tensor {
  requireMatrix('choleskyInverse', input, true);
  const isUpper = upperOf('choleskyInverse', upper);
  const plain = input.detach();
  const inverse = solveTriangular(plain, identityOf(input, rowsOf(input)).expand(input.shape), { upper: isUpper });
  const value = isUpper ? matmul(inverse, inverse.mH) : matmul(inverse.mH, inverse);
  return attachGradient(value, [input], (g, [factor], x) => [
    factorGradient(matmul(matmul(x, g), x).neg(), factor, isUpper),
  ]);
}
/** X with A X = B from A's Cholesky factor. */
export function choleskySolve(B: Tensor, L: Tensor, upper: boolean | UpperOption = false): Tensor {
  requireMatrix('choleskySolve', L, true);
  const isUpper = upperOf('choleskySolve', upper);
  const apply = (right: Tensor, factor: Tensor): Tensor =>
    isUpper
      ? solveTriangular(factor, solveTriangular(factor.mH, right, { upper: false }), { upper: true })
      : solveTriangular(factor.mH, solveTriangular(factor, right, { upper: false }), { upper: true });
  return attachGradient(apply(B.detach(), L.detach()), [B, L], (g, [b, factor], x) => {
    const gradB = choleskySolve(g, factor, isUpper);
    return [sumBatch(gradB, b), sumBatch(factorGradient(matmul(gradB, x.mH).neg(), factor, isUpper), factor)];
  });
}

const needsPivots = (pivot: boolean): void => {
  if (!pivot) throw new ProjError('not-implemented', 'LU without pivoting', { op: 'lu', cure: 'Use pivot: true' });
};
/** P, L and U with A = P L U. */
export function lu(A: Tensor, options: { pivot?: boolean } = {}): { P: Tensor; L: Tensor; U: Tensor } {
  const { pivot } = withDefaults('lu', { pivot: true }, options);
  requireMatrix('lu', A);
  needsPivots(pivot);
  const { LU, pivots } = luParts(A);
  return unpackLu(LU, pivots);
}
/** L and U in one matrix, with the row swaps (from 1). */
export function luFactor(A: Tensor, options: { pivot?: boolean } = {}): { LU: Tensor; pivots: Tensor } {
  const { pivot } = withDefaults('luFactor', { pivot: true }, options);
  requireMatrix('luFactor', A);
  needsPivots(pivot);
  const { LU, pivots } = luParts(A);
  return { LU, pivots };
}
/** As {@link luFactor}, with an error code. */
export function luFactorEx(
  A: Tensor,
  options: { pivot?: boolean; checkErrors?: boolean } = {},
): { LU: Tensor; pivots: Tensor; info: Tensor } {
  const { pivot } = withDefaults('luFactorEx', { pivot: true, checkErrors: false }, options);
  requireMatrix('luFactorEx', A);
  needsPivots(pivot);
  return luParts(A);
}
/** X with A X = B (X A = B with `left: false`) from A's factors. */
export function luSolve(
  LU: Tensor,
  pivots: Tensor,
  B: Tensor,
  options: { left?: boolean; adjoint?: boolean } = {},
): Tensor {
  const { left, adjoint } = withDefaults('luSolve', { left: true, adjoint: false }, options);
  requireMatrix('luSolve', LU, true);
  return left ? solveWithLu(LU, pivots, B, adjoint) : solveWithLu(LU, pivots, B.mH, !adjoint).mH;
}
interface LegacyLuOptions {
  readonly pivot?: boolean;
  readonly getInfos?: boolean;
}
/** torch.lu: the compact form, the row swaps and, if asked for, the error codes. */
export function legacyLu(
  A: Tensor,
  pivot: boolean | LegacyLuOptions = true,
  getInfos: boolean | LegacyLuOptions = false,
): Tensor[] {
  const given = leading<LegacyLuOptions>(
    'lu',
    { pivot: true, getInfos: false },
    'pivot',
    pivot,
    typeof getInfos === 'boolean' ? { getInfos } : getInfos,
  );
  const { LU, pivots, info } = luFactorEx(A, { pivot: given.pivot });
  return given.getInfos ? [LU, pivots, info] : [LU, pivots];
}
/** torch.lu_solve: X with A X = b. */
export function legacyLuSolve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor): Tensor {
  return luSolve(LU_data, LU_pivots, b);
}
/** P, L and U from the compact form. */
export function luUnpack(
  LU_data: Tensor,
  LU_pivots: Tensor,
  options: { unpackData?: boolean; unpackPivots?: boolean } = {},
): { P: Tensor; L: Tensor; U: Tensor } {
  const { unpackData, unpackPivots } = withDefaults('luUnpack', { unpackData: true, unpackPivots: true }, options);
  const { P, L, U } = unpackLu(LU_data, LU_pivots);
  const nothing = zerosOf(LU_data, [0]);
  return { P: unpackPivots ? P : nothing, L: unpackData ? L : nothing, U: unpackData ? U : nothing };
}

/** Q with orthonormal columns and upper triangular R with A = Q R. `mode`: 'reduced', 'complete' or 'r'. */
export function qr(A: Tensor, mode: QrMode | { mode?: QrMode } = 'reduced'): { Q: Tensor; R: Tensor } {
  requireMatrix('qr', A);
  const { mode: chosen } = leading<{ mode?: QrMode }>('qr', { mode: 'reduced' }, 'mode', mode);
  if (!['reduced', 'complete', 'r'].includes(chosen))
    throw new ProjError('invalid-argument', `mode "${chosen}"`, { op: 'qr', cure: "Use 'reduced', 'complete' or 'r'" });
  return qrParts(A, chosen);
}
/** torch.qr: the reduced factors, or the complete ones. */
export function legacyQr(input: Tensor, some: boolean | { some?: boolean } = true): { Q: Tensor; R: Tensor } {
  return qr(input, leading<{ some?: boolean }>('qr', { some: true }, 'some', some).some ? 'reduced' : 'complete');
}
/** Householder vectors below R, and their factors. */
export function geqrf(input: Tensor): { a: Tensor; tau: Tensor } {
  requireMatrix('geqrf', input);
  return householder(input);
}
/** Applies the reflectors I - tau v vᵀ, the last one first (or the first one first), to a matrix from the left. */
function applyReflectors(vectors: Tensor, tau: Tensor, target: Tensor, firstToLast: boolean): Tensor {
  const [m, k] = [rowsOf(vectors), tau.shape[tau.ndim - 1]];
  const unit = identityOf(vectors, m).narrow(1, 0, Math.min(m, columnsOf(vectors)));
  const V = vectors.narrow(-1, 0, unit.shape[1]).tril(-1).add(unit);
  let result = target;
  for (let step = 0; step < k; step++) {
    const i = firstToLast ? step : k - 1 - step;
    const v = V.narrow(-1, i, 1);
    const factor = (firstToLast ? tau.conj() : tau).narrow(-1, i, 1).unsqueeze(-1);
    result = result.sub(v.mul(factor).matmul(v.mH.matmul(result)));
  }
  return result;
}
/** The first columns of the product of Householder reflectors. */
export function householderProduct(A: Tensor, tau: Tensor): Tensor {
  requireMatrix('householderProduct', A);
  const [m, n] = [rowsOf(A), columnsOf(A)];
  if (m < n || tau.shape[tau.ndim - 1] > n)
    throw new ProjError('shape-mismatch', 'at most as many columns as rows, and factors as columns, are needed', {
      op: 'householderProduct',
      shapes: [A.shape, tau.shape],
    });
  return applyReflectors(A, tau, identityOf(A, m).narrow(1, 0, n).expand(A.shape), false);
}
interface OrmqrOptions {
  readonly left?: boolean;
  readonly transpose?: boolean;
}
/** The product of Householder reflectors (or its transpose) times a matrix, from the left or the right. */
export function ormqr(
  input: Tensor,
  tau: Tensor,
  other: Tensor,
  left: boolean | OrmqrOptions = true,
  transpose: boolean | OrmqrOptions = false,
): Tensor {
  requireMatrix('ormqr', input);
  const { left: onLeft, transpose: transposed } = leading<OrmqrOptions>(
    'ormqr',
    { left: true, transpose: false },
    'left',
    left,
    typeof transpose === 'boolean' ? { transpose } : transpose,
  );
  if (tau.shape[tau.ndim - 1] > columnsOf(input) || rowsOf(input) !== (onLeft ? rowsOf(other) : columnsOf(other))) {
    throw new ProjError('shape-mismatch', 'the reflectors do not fit the matrix', {
      op: 'ormqr',
      shapes: [input.shape, tau.shape, other.shape],
    });
  }
  // C Q = (Qᴴ Cᴴ)ᴴ.
  return onLeft
    ? applyReflectors(input, tau, other, transposed)
    : applyReflectors(input, tau, other.mH, !transposed).mH;
}

const isUpper = (UPLO: string | { UPLO?: string }): boolean => {
  const part = leading<{ UPLO?: string }>('eigh', { UPLO: 'L' }, 'UPLO', UPLO).UPLO.toUpperCase();
  if (part !== 'L' && part !== 'U')
    throw new ProjError('invalid-argument', `UPLO "${part}"`, { op: 'eigh', cure: 'Use "L" or "U"' });
  return part === 'U';
};
/** Eigenvalues (ascending) and eigenvectors of a symmetric matrix, of which one triangle is read. */
export function eigh(A: Tensor, UPLO: string | { UPLO?: string } = 'L'): { eigenvalues: Tensor; eigenvectors: Tensor } {
  requireMatrix('eigh', A, true);
  return symmetricEigen(A, isUpper(UPLO));
}
/** Eigenvalues of a symmetric matrix, ascending. */
export function eigvalsh(A: Tensor, UPLO: string | { UPLO?: string } = 'L'): Tensor {
  return eigh(A, UPLO).eigenvalues;
}
interface SymeigOptions {
  readonly eigenvectors?: boolean;
  readonly upper?: boolean;
}
/** torch.symeig: eigenvalues and, if asked for, eigenvectors of a symmetric matrix. */
export function symeig(
  input: Tensor,
  eigenvectors: boolean | SymeigOptions = false,
  upper: boolean | SymeigOptions = true,
): { eigenvalues: Tensor; eigenvectors: Tensor } {
  requireMatrix('symeig', input, true);
  const given = leading<SymeigOptions>(
    'symeig',
    { eigenvectors: false, upper: true },
    'eigenvectors',
    eigenvectors,
    typeof upper === 'boolean' ? { upper } : upper,
  );
  const parts = symmetricEigen(input, given.upper);
  return {
    eigenvalues: parts.eigenvalues,
    eigenvectors: given.eigenvectors ? parts.eigenvectors : zerosOf(input, [0]),
  };
}

export interface SvdOptions {
  readonly fullMatrices?: boolean;
  readonly driver?: string | null;
}
/** U, S (descending) and Vh with A = U diag(S) Vh. */
export function svd(A: Tensor, options: SvdOptions = {}): { U: Tensor; S: Tensor; Vh: Tensor } {
  const { fullMatrices } = withDefaults('svd', { fullMatrices: true, driver: null }, options);
  requireMatrix('svd', A);
  return svdParts(A, fullMatrices);
}
/** Singular values, descending. */
export function svdvals(A: Tensor, options: Pick<SvdOptions, 'driver'> = {}): Tensor {
  checkOptions('svdvals', { driver: null }, options);
  requireMatrix('svdvals', A);
  return svdParts(A, false).S;
}
interface LegacySvdOptions {
  readonly some?: boolean;
  readonly computeUv?: boolean;
}
/** torch.svd: U, S and V with A = U diag(S) Vᵀ. */
export function legacySvd(
  input: Tensor,
  some: boolean | LegacySvdOptions = true,
  computeUv: boolean | LegacySvdOptions = true,
): { U: Tensor; S: Tensor; V: Tensor } {
  requireMatrix('svd', input);
  const given = leading<LegacySvdOptions>(
    'svd',
    { some: true, computeUv: true },
    'some',
    some,
    typeof computeUv === 'boolean' ? { computeUv } : computeUv,
  );
  const { U, S, Vh } = svdParts(input, !given.some);
  if (given.computeUv) return { U, S, V: Vh.mH };
  const lead = input.shape.slice(0, -2);
  return {
    U: zerosOf(input, [...lead, rowsOf(input), rowsOf(input)]),
    S,
    V: zerosOf(input, [...lead, columnsOf(input), columnsOf(input)]),
  };
}
interface LowRankOptions {
  readonly q?: number;
  readonly niter?: number;
  readonly M?: Tensor | null;
}
/** The q largest singular values and their vectors. */
export function svdLowrank(
  A: Tensor,
  q: number | LowRankOptions = 6,
  options: Omit<LowRankOptions, 'q'> = {},
): { U: Tensor; S: Tensor; V: Tensor } {
  const given = leading<LowRankOptions>('svdLowrank', { q: 6, niter: 2, M: null }, 'q', q, options);
  const matrix = given.M === null ? A : A.sub(given.M);
  const { U, S, Vh } = svdParts(matrix, false);
  const count = Math.min(given.q, S.shape[S.ndim - 1]);
  return { U: U.narrow(-1, 0, count), S: S.narrow(-1, 0, count), V: Vh.mH.narrow(-1, 0, count) };
}
interface PrincipalOptions {
  readonly q?: number | null;
  readonly center?: boolean;
  readonly niter?: number;
}
/** Principal components: singular values and vectors of the centred matrix. */
export function pcaLowrank(
  A: Tensor,
  q: number | null | PrincipalOptions = null,
  options: Omit<PrincipalOptions, 'q'> = {},
): { U: Tensor; S: Tensor; V: Tensor } {
  requireMatrix('pcaLowrank', A);
  const given = leading<PrincipalOptions>('pcaLowrank', { q: null, center: true, niter: 2 }, 'q', q, options);
  const matrix = given.center && isFloatingPoint(A.dtype) ? A.sub(A.mean(-2, { keepdim: true })) : A;
  return svdLowrank(matrix, given.q ?? Math.min(6, rowsOf(A), columnsOf(A)));
}
/** torch.triangular_solve: X with A X = b, and A. */
export function triangularSolve(
  b: Tensor,
  A: Tensor,
  options: { upper?: boolean; transpose?: boolean; unitriangular?: boolean } = {},
): { solution: Tensor; clonedCoefficient: Tensor } {
  const { upper, transpose, unitriangular } = withDefaults(
    'triangularSolve',
    { upper: true, transpose: false, unitriangular: false },
    options,
  );
  const solution = transpose
    ? solveTriangular(A.mT, b, { upper: !upper, unitriangular })
    : solveTriangular(A, b, { upper, unitriangular });
  return { solution, clonedCoefficient: A.expand([...solution.shape.slice(0, -2), rowsOf(A), columnsOf(A)]).clone() };
}
