/** Inverses, least squares, ranks, powers and exponentials of matrices. */
import { leading } from '../ops/arguments.ts';
import { checkOptions, type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { castNode } from '../graph/build.ts';
import { arange } from '../ops/creation.ts';
import { where } from '../ops/elementwise.ts';
import { multiplyChain } from '../ops/einsum.ts';
import { matmul } from '../ops/products.ts';
import { isComplexDType, toReal } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { svdParts, symmetricEigen } from './factorizations.ts';
import { matrixNorm } from './norms.ts';
import { batchOf, columnsOf, identityOf, requireMatrix, requireZero, rowsOf, zerosOf } from './shared.ts';
import { determinant, isSingular, logDeterminant, solveMatrix } from './solving.ts';

/** Whether B is a batch of vectors for A rather than of matrices. */
const isVector = (A: Tensor, B: Tensor): boolean =>
  B.ndim === 1 || (A.ndim - 1 === B.ndim && B.shape.every((s, i) => s === A.shape[i]));
function solveParts(op: string, A: Tensor, B: Tensor, left: boolean): { X: Tensor; info: Tensor } {
  requireMatrix(op, A, true);
  if (A.dtype !== B.dtype)
    throw new ProjError('dtype', `operands of ${A.dtype} and ${B.dtype}`, { op, cure: 'Cast one of them' });
  const vector = isVector(A, B);
  if (!left) {
    const { X, info } = solveParts(op, A.mT, vector ? B : B.mT, true);
    return { X: vector ? X : X.mT, info };
  }
  const columns = vector ? B.unsqueeze(-1) : B;
  if (rowsOf(columns) !== rowsOf(A))
    throw new ProjError('shape-mismatch', 'A and B have different numbers of rows', { op, shapes: [A.shape, B.shape] });
  const { X, info } = solveMatrix(A, columns);
  return { X: vector ? X.squeeze(-1) : X, info };
}
export interface SolveOptions {
  readonly left?: boolean;
}
/** X with A X = B (X A = B with `left: false`). Errors: A is singular. */
export function solve(A: Tensor, B: Tensor, options: SolveOptions = {}): Tensor {
  const { left } = withDefaults('solve', { left: true }, options);
  const { X, info } = solveParts('solve', A, B, left);
  requireZero('solve', info, isSingular);
  return X;
}
/** As {@link solve}, with an error code instead of an error. */
export function solveEx(
  A: Tensor,
  B: Tensor,
  options: SolveOptions & { checkErrors?: boolean } = {},
): { result: Tensor; info: Tensor } {
  const { left } = withDefaults('solveEx', { left: true, checkErrors: false }, options);
  const { X, info } = solveParts('solveEx', A, B, left);
  return { result: X, info };
}
function inverseParts(op: string, A: Tensor): { inverse: Tensor; info: Tensor } {
  requireMatrix(op, A, true);
  const n = rowsOf(A);
  const { X, info } = solveMatrix(A.detach(), identityOf(A, n).expand(A.shape));
  return { inverse: attachGradient(X, [A], (g, _, y) => [matmul(matmul(y.mH, g), y.mH).neg()]), info };
}
/** The inverse. Errors: A is singular. */
export function inv(A: Tensor): Tensor {
  const { inverse, info } = inverseParts('inv', A);
  requireZero('inv', info, isSingular);
  return inverse;
}
/** As {@link inv}, with an error code instead of an error. */
export function invEx(A: Tensor, options: { checkErrors?: boolean } = {}): { inverse: Tensor; info: Tensor } {
  checkOptions('invEx', { checkErrors: false }, options);
  return inverseParts('invEx', A);
}

/** The matrix of cofactors, from singular vectors. */
function cofactors(A: Tensor): Tensor {
  const { U, S, Vh } = svdParts(A, false);
  const n = rowsOf(A);
  const unit = identityOf(A, n);
  const others = where(unit.eq(1), identityOf(S, n), S.unsqueeze(-2).expand([...batchOf(A), n, n])).prod(-1);
  const sign = determinant(U, cofactors).mul(determinant(Vh, cofactors)).conj().unsqueeze(-1).unsqueeze(-1);
  return matmul(U.mul(others.unsqueeze(-2)), Vh).mul(sign);
}
/** The determinant. */
export function det(A: Tensor): Tensor {
  requireMatrix('det', A, true);
  if (rowsOf(A) === 0) return zerosOf(A, batchOf(A)).add(1);
  return determinant(A, cofactors);
}
/** Sign and logarithm of the size of the determinant. */
export function slogdet(A: Tensor): { sign: Tensor; logabsdet: Tensor } {
  requireMatrix('slogdet', A, true);
  return logDeterminant(A);
}
/** Logarithm of the determinant; NaN where it is negative. */
export function logdet(A: Tensor): Tensor {
  const { sign, logabsdet } = slogdet(A);
  if (isComplexDType(A.dtype)) return sign.log().add(logabsdet);
  return where(sign.lt(0), Number.NaN, logabsdet);
}

export interface RankOptions {
  readonly atol?: number | Tensor | null;
  readonly rtol?: number | Tensor | null;
  readonly tol?: number | Tensor | null;
  readonly rcond?: number | Tensor | null;
  readonly hermitian?: boolean;
}
const epsilon = (x: Tensor): number => (toReal(x.dtype) === 'float64' ? 2 ** -52 : 2 ** -23);
/** Singular values at or below this count as zero: max(atol, rtol · largest). */
function cutoff(A: Tensor, S: Tensor, atol: number | Tensor | null, rtol: number | Tensor | null): Tensor {
  const largest = S.shape[S.ndim - 1] === 0 ? zerosOf(S, S.shape.slice(0, -1)) : S.amax(-1);
  const wide = (x: number | Tensor): Tensor =>
    x instanceof Tensor ? wrap(castNode(x.node, S.dtype)) : zerosOf(S, []).add(x);
  const absolute = wide(atol ?? 0);
  const relative =
    rtol === null
      ? where(
          absolute.gt(0),
          absolute.mul(0),
          wide(epsilon(S) * Math.max(rowsOf(A), columnsOf(A))).add(absolute.mul(0)),
        )
      : wide(rtol);
  return largest.mul(relative).maximum(absolute.expand(largest.mul(relative).shape));
}
const RANK: Defaults<RankOptions> = { atol: null, rtol: null, tol: null, rcond: null, hermitian: false };

/** The Moore-Penrose inverse: singular values below the tolerance count as zero. */
export function pinv(A: Tensor, rcond?: number | Tensor | RankOptions | null, options: RankOptions = {}): Tensor {
  requireMatrix('pinv', A);
  const given = leading<RankOptions>('pinv', RANK, 'rtol', rcond, options);
  const { atol, hermitian } = given;
  const rtol = given.rtol ?? given.rcond;
  if (A.numel() === 0) return zerosOf(A, [...batchOf(A), columnsOf(A), rowsOf(A)]);
  const plain = A.detach();
  let value: Tensor;
  const inverted = (S: Tensor): Tensor => {
    const limit = cutoff(A, S.abs(), atol, rtol).unsqueeze(-1);
    const kept = S.abs().gt(limit);
    return where(kept, where(kept, S, zerosOf(S, S.shape).add(1)).reciprocal(), zerosOf(S, S.shape));
  };
  if (hermitian) {
    const { eigenvalues, eigenvectors } = symmetricEigen(plain, false);
    value = matmul(eigenvectors.mul(inverted(eigenvalues).unsqueeze(-2)), eigenvectors.mH);
  } else {
    const { U, S, Vh } = svdParts(plain, false);
    value = matmul(Vh.mH.mul(inverted(S).unsqueeze(-2)), U.mH);
  }
  return attachGradient(value, [A], (g, [a], P) => {
    const term1 = matmul(matmul(P.mH, g), P.mH).neg();
    const GP = matmul(matmul(g.mH, P), P.mH);
    const PG = matmul(matmul(P.mH, P), g.mH);
    const term2 = GP.sub(matmul(a, matmul(P, GP)));
    const term3 = PG.sub(matmul(matmul(PG, P), a));
    return [term1.add(term2).add(term3)];
  });
}
/** The number of singular values above the tolerance. */
export function matrixRank(A: Tensor, tol?: number | Tensor | RankOptions | null, options: RankOptions = {}): Tensor {
  requireMatrix('matrixRank', A);
  const given = leading<RankOptions>('matrixRank', RANK, 'tol', tol, options);
  const { hermitian } = given;
  const plain = A.detach();
  if (A.numel() === 0) return zerosOf(A, batchOf(A), 'int64');
  const S = hermitian ? symmetricEigen(plain, false).eigenvalues.abs() : svdParts(plain, false).S;
  const limit = given.tol !== null ? cutoff(A, S, given.tol, 0) : cutoff(A, S, given.atol, given.rtol);
  return S.gt(limit.unsqueeze(-1)).sum(-1);
}

export interface LeastSquares {
  readonly solution: Tensor;
  readonly residuals: Tensor;
  readonly rank: Tensor;
  readonly singularValues: Tensor;
}
export interface LeastSquaresOptions {
  readonly rcond?: number | null;
  readonly driver?: string | null;
}
/** X that minimises the length of A X - B (the shortest one). */
export function lstsq(
  A: Tensor,
  B: Tensor,
  rcond: number | null | LeastSquaresOptions = null,
  options: Omit<LeastSquaresOptions, 'rcond'> = {},
): LeastSquares {
  requireMatrix('lstsq', A);
  const { driver, rcond: tolerance } = leading<LeastSquaresOptions>(
    'lstsq',
    { rcond: null, driver: null },
    'rcond',
    rcond,
    options,
  );
  if (B.ndim < 1 || A.dtype !== B.dtype)
    throw new ProjError('shape-mismatch', 'B needs at least one dimension and the dtype of A', {
      op: 'lstsq',
      shapes: [A.shape, B.shape],
      dtypes: [A.dtype, B.dtype],
    });
  const vector = A.ndim - 1 === B.ndim && B.shape.every((s, i) => s === A.shape[i]);
  const columns = vector ? B.unsqueeze(-1) : B;
  const [m, n] = [rowsOf(A), columnsOf(A)];
  if (columns.ndim < 2 || rowsOf(columns) !== m)
    throw new ProjError('shape-mismatch', 'A and B have different numbers of rows', {
      op: 'lstsq',
      shapes: [A.shape, B.shape],
    });
  const X = matmul(pinv(A, { rtol: tolerance }), columns);
  const withRank = driver !== 'gels';
  const rank = withRank ? matrixRank(A, { rtol: tolerance }) : zerosOf(A, [0], 'int64');
  const full = withRank ? rank.numel() === 0 || rank.toFlatArray().every((r) => r === n) : true;
  const measured = driver !== null && driver !== 'gelsy';
  const residuals =
    measured && m > n && full ? matmul(A, X).sub(columns).abs().square().sum(-2) : zerosOf(A, [0], toReal(A.dtype));
  const singularValues =
    driver === 'gelsd' || driver === 'gelss' ? svdParts(A.detach(), false).S : zerosOf(A, [0], toReal(A.dtype));
  return {
    solution: vector ? X.squeeze(-1) : X,
    residuals: vector && residuals.numel() > 0 ? residuals.squeeze(-1) : residuals,
    rank,
    singularValues,
  };
}

/** The n-th power of a square matrix; negative ones of its inverse. */
export function matrixPower(A: Tensor, n: number): Tensor {
  requireMatrix('matrixPower', A, true);
  if (!Number.isInteger(n)) throw new ProjError('invalid-argument', `power ${n}`, { op: 'matrixPower' });
  if (n === 0) return wrap(identityOf(A, rowsOf(A)).expand(A.shape).node);
  let square = n < 0 ? inv(A) : A;
  let result: Tensor | null = null;
  for (let left = Math.abs(n); left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = result === null ? square : matmul(result, square);
    if (left > 1) square = matmul(square, square);
  }
  return wrap((result as Tensor).node);
}
/** Of the Taylor polynomial of exp that serves norms up to 1 in float64. */
const EXP_DEGREE = 18;
/** Powers that its terms are grouped by (Paterson and Stockmeyer 1973), for seven products of matrices instead of 18. */
const EXP_POWERS = 6;
const EXP_SQUARINGS = 14;

/** exp of square matrices: a Taylor polynomial of the matrix scaled below norm 1, squared back. */
export function matrixExp(A: Tensor): Tensor {
  requireMatrix('matrixExp', A, true);
  if (A.numel() === 0) return A;
  const n = rowsOf(A);
  const x = isComplexDType(A.dtype) ? A.cdouble() : A.double();
  const norm = x.detach().abs().sum(-2).amax(-1, { keepdim: true }).unsqueeze(-1);
  const halvings = norm.log2().ceil().clamp(0, EXP_SQUARINGS);
  const powers = [identityOf(x, n).expand(x.shape), x.mul(halvings.neg().exp2())];
  for (let k = 2; k <= EXP_POWERS; k++) powers.push(matmul(powers[k >> 1], powers[k - (k >> 1)]));
  const coefficients = [1];
  for (let k = 1; k <= EXP_DEGREE; k++) coefficients.push(coefficients[k - 1] / k);
  const terms = (from: number, count: number): Tensor =>
    coefficients
      .slice(from, from + count)
      .map((c, j) => powers[j].mul(c))
      .reduceRight((sum, term) => sum.add(term));
  let sum = terms(EXP_DEGREE - EXP_POWERS, EXP_POWERS + 1);
  for (let from = EXP_DEGREE - 2 * EXP_POWERS; from >= 0; from -= EXP_POWERS)
    sum = matmul(powers[EXP_POWERS], sum).add(terms(from, EXP_POWERS));
  for (let i = 0; i < EXP_SQUARINGS; i++) sum = where(halvings.gt(i), matmul(sum, sum), sum);
  return wrap(castNode(sum.node, A.dtype));
}
/** Product of matrices in the cheapest order; the first and last may be vectors. */
export function multiDot(tensors: readonly Tensor[]): Tensor {
  if (tensors.length < 2)
    throw new ProjError('invalid-argument', 'at least two tensors are needed', { op: 'multiDot' });
  const [first, last] = [tensors[0], tensors[tensors.length - 1]];
  const matrices = tensors.map((t, i) =>
    t.ndim === 1 && i === 0 ? t.unsqueeze(0) : t.ndim === 1 && i === tensors.length - 1 ? t.unsqueeze(-1) : t,
  );
  for (const t of matrices)
    if (t.ndim !== 2)
      throw new ProjError('shape-mismatch', 'matrices are needed, or vectors at the ends', {
        op: 'multiDot',
        shapes: tensors.map((x) => x.shape),
      });
  let result = multiplyChain(matrices);
  if (first.ndim === 1) result = result.squeeze(0);
  if (last.ndim === 1) result = result.squeeze(-1);
  return result;
}
/** The tensor that {@link tensorsolve} multiplies by: the inverse of A as a map from its last dimensions to its first `ind`. */
export function tensorinv(A: Tensor, options: { ind?: number } = {}): Tensor {
  const { ind } = withDefaults('tensorinv', { ind: 2 }, options);
  const [lead, rest] = [A.shape.slice(0, ind), A.shape.slice(ind)];
  const size = rest.reduce((a, b) => a * b, 1);
  if (ind <= 0 || lead.reduce((a, b) => a * b, 1) !== size)
    throw new ProjError('shape-mismatch', 'the dimensions do not split into two of one size', {
      op: 'tensorinv',
      shapes: [A.shape],
    });
  return inv(A.reshape([size, size])).reshape([...rest, ...lead]);
}
/** X with tensordot(A, X) = B. */
export function tensorsolve(A: Tensor, B: Tensor, options: { dims?: readonly number[] | null } = {}): Tensor {
  const { dims } = withDefaults('tensorsolve', { dims: null }, options);
  const moved =
    dims === null
      ? A
      : A.movedim(
          dims,
          dims.map((_, i) => A.ndim - dims.length + i),
        );
  const rest = moved.shape.slice(B.ndim);
  const size = B.numel();
  if (rest.reduce((a, b) => a * b, 1) !== size)
    throw new ProjError('shape-mismatch', 'the dimensions of A do not split into two of one size', {
      op: 'tensorsolve',
      shapes: [A.shape, B.shape],
    });
  return solve(moved.reshape([size, size]), B.reshape([size])).reshape(rest);
}
/** Powers 0 … n-1 of the elements of vectors, as rows. */
export function vander(x: Tensor, options: { N?: number | null; n?: number | null } = {}): Tensor {
  const { N, n } = withDefaults('vander', { N: null, n: null }, options);
  const columns = n ?? N ?? (x.ndim === 0 ? 1 : x.shape[x.ndim - 1]);
  const vector = x.ndim === 0 ? x.reshape([1]) : x;
  const wide = vector.dtype === 'bool' ? vector.long() : vector;
  return wide.unsqueeze(-1).pow(arange(columns, { device: x.device }));
}
/** Sum of products along `dim`. */
export function vecdot(x: Tensor, y: Tensor, options: { dim?: number } = {}): Tensor {
  const { dim } = withDefaults('vecdot', { dim: -1 }, options);
  return x.conj().mul(y).sum(dim);
}
/** Ratio of the largest to the smallest singular value, or of norms: how much an error may grow. */
export function cond(A: Tensor, p: number | string | null = null): Tensor {
  requireMatrix('cond', A);
  if (A.numel() === 0) return zerosOf(A, batchOf(A), toReal(A.dtype));
  if (p === null || p === 2 || p === -2) {
    const { S } = svdParts(A, false);
    const k = S.shape[S.ndim - 1];
    const [high, low] = [S.select(-1, 0), S.select(-1, k - 1)];
    return p === -2 ? low.div(high) : high.div(low);
  }
  const { inverse } = invEx(A);
  return matrixNorm(A, p).mul(matrixNorm(inverse, p));
}
