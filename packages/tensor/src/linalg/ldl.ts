/**
 * L D Lᵀ of symmetric matrices (L D Lᴴ of Hermitian ones) with Bunch and Kaufman's pivoting, as LAPACK's unblocked routines lay it out. Computed on
 * the host: the pivoting decides step by step. Real matrices are complex ones without imaginary parts.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { castNode } from '../graph/build.ts';
import { fromArray } from '../ops/creation.ts';
import { isComplexDType } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { add, type Complex, conj, div, mul, sub } from './complex-number.ts';
import { batchOf, blocksOf, columnsOf, commonBatch, requireMatrix, rowsOf, toKernel } from './shared.ts';

/** Bound on the growth of elements that balances 1×1 and 2×2 pivots. */
const ALPHA = (1 + Math.sqrt(17)) / 8;
const ONE: Complex = [1, 0];
/** LAPACK's measure. */
const magnitude = ([re, im]: Complex): number => Math.abs(re) + Math.abs(im);
const isZero = ([re, im]: Complex): boolean => re === 0 && im === 0;

/** Factorises the lower triangle of `a` (n·n) in place and writes the pivots; returns the first zero pivot (from 1), or 0. */
function factor(a: Complex[], n: number, hermitian: boolean, pivots: Int32Array): number {
  let info = 0;
  const at = (i: number, j: number): number => i * n + j;
  const mirrored = (z: Complex): Complex => (hermitian ? conj(z) : z);
  const diagonal = (i: number): number => (hermitian ? Math.abs(a[at(i, i)][0]) : magnitude(a[at(i, i)]));
  const swap = (i: number, j: number): void => {
    [a[i], a[j]] = [a[j], a[i]];
  };
  for (let k = 0; k < n;) {
    let [largest, row] = [0, k];
    for (let i = k + 1; i < n; i++) if (magnitude(a[at(i, k)]) > largest) [largest, row] = [magnitude(a[at(i, k)]), i];
    let [step, pivot] = [1, k];
    if (Math.max(diagonal(k), largest) === 0) info ||= k + 1;
    else if (diagonal(k) < ALPHA * largest) {
      let rowLargest = 0;
      for (let j = k; j < row; j++) rowLargest = Math.max(rowLargest, magnitude(a[at(row, j)]));
      for (let i = row + 1; i < n; i++) rowLargest = Math.max(rowLargest, magnitude(a[at(i, row)]));
      if (diagonal(k) < ALPHA * largest * (largest / rowLargest)) {
        pivot = row;
        if (diagonal(row) < ALPHA * rowLargest) step = 2;
      }
    }
    const last = k + step - 1;
    if (pivot !== last) {
      for (let i = pivot + 1; i < n; i++) swap(at(i, last), at(i, pivot));
      for (let i = last + 1; i < pivot; i++) {
        const [x, y] = [at(i, last), at(pivot, i)];
        [a[x], a[y]] = [mirrored(a[y]), mirrored(a[x])];
      }
      a[at(pivot, last)] = mirrored(a[at(pivot, last)]);
      swap(at(last, last), at(pivot, pivot));
      if (step === 2) swap(at(k + 1, k), at(pivot, k));
    }
    if (hermitian) for (let i = k; i <= last; i++) a[at(i, i)] = [a[at(i, i)][0], 0];
    if (step === 1) eliminateOne(a, n, k, mirrored);
    else eliminateTwo(a, n, k, mirrored);
    for (let i = k; i <= last; i++) pivots[i] = step === 1 ? pivot + 1 : -(pivot + 1);
    k += step;
  }
  return info;
}

function eliminateOne(a: Complex[], n: number, k: number, mirrored: (z: Complex) => Complex): void {
  const pivot = a[k * n + k];
  if (isZero(pivot)) return;
  const inverse = div(ONE, pivot);
  for (let j = k + 1; j < n; j++)
    for (let i = j; i < n; i++)
      a[i * n + j] = sub(a[i * n + j], mul(inverse, mul(a[i * n + k], mirrored(a[j * n + k]))));
  for (let i = k + 1; i < n; i++) a[i * n + k] = mul(a[i * n + k], inverse);
}

function eliminateTwo(a: Complex[], n: number, k: number, mirrored: (z: Complex) => Complex): void {
  const corner = a[(k + 1) * n + k];
  // The inverse of [[p, mirrored(c)], [c, q]].
  const [p, q] = [a[k * n + k], a[(k + 1) * n + k + 1]];
  const [d11, d22] = [div(q, corner), div(p, mirrored(corner))];
  const inner = div(ONE, sub(mul(d11, d22), ONE));
  const [first, second] = [div(inner, mirrored(corner)), div(inner, corner)];
  for (let j = k + 2; j < n; j++) {
    const [x, y] = [a[j * n + k], a[j * n + k + 1]];
    const wk = mul(first, sub(mul(d11, x), y));
    const wk1 = mul(second, sub(mul(d22, y), x));
    // With w·D = (x, y): x = w·p + w₁·c, y = w·mirrored(c) + w₁·q.
    for (let i = j; i < n; i++)
      a[i * n + j] = sub(a[i * n + j], add(mul(a[i * n + k], mirrored(wk)), mul(a[i * n + k + 1], mirrored(wk1))));
    a[j * n + k] = wk;
    a[j * n + k + 1] = wk1;
  }
}

/** Solves with a factored matrix: `b` (n·width) becomes the solution. */
function substitute(
  a: readonly Complex[],
  n: number,
  hermitian: boolean,
  pivots: ArrayLike<number>,
  b: Complex[],
  width: number,
): void {
  const mirrored = (z: Complex): Complex => (hermitian ? conj(z) : z);
  const swapRows = (i: number, j: number): void => {
    for (let c = 0; c < width && i !== j; c++)
      [b[i * width + c], b[j * width + c]] = [b[j * width + c], b[i * width + c]];
  };
  for (let k = 0; k < n;) {
    const step = pivots[k] > 0 ? 1 : 2;
    swapRows(k + step - 1, Math.abs(pivots[k]) - 1);
    for (let c = 0; c < width; c++) {
      const [at, below] = [k * width + c, (k + 1) * width + c];
      for (let i = k + step; i < n; i++)
        for (let s = 0; s < step; s++)
          b[i * width + c] = sub(b[i * width + c], mul(a[i * n + k + s], b[(k + s) * width + c]));
      if (step === 1) b[at] = div(b[at], a[k * n + k]);
      else {
        const corner = a[(k + 1) * n + k];
        const [upper, lower] = [div(a[k * n + k], mirrored(corner)), div(a[(k + 1) * n + k + 1], corner)];
        const [x, y] = [div(b[at], mirrored(corner)), div(b[below], corner)];
        const determinant = sub(mul(upper, lower), ONE);
        b[at] = div(sub(mul(lower, x), y), determinant);
        b[below] = div(sub(mul(upper, y), x), determinant);
      }
    }
    k += step;
  }
  for (let k = n - 1; k >= 0;) {
    const step = pivots[k] > 0 ? 1 : 2;
    for (let c = 0; c < width; c++)
      for (let s = 0; s < step; s++)
        for (let i = k + 1; i < n; i++)
          b[(k - s) * width + c] = sub(b[(k - s) * width + c], mul(mirrored(a[i * n + k - s]), b[i * width + c]));
    swapRows(k, Math.abs(pivots[k]) - 1);
    k -= step;
  }
}

/** The matrices of a batch, as numbers. */
function entriesOf(x: Tensor, batch = batchOf(x)): Complex[][] {
  const values = toKernel(x, batch).toFlatArray();
  const count = rowsOf(x) * columnsOf(x);
  const blocks = blocksOf(x);
  return Array.from({ length: batch.reduce((a, b) => a * b, 1) }, (_, m) =>
    Array.from({ length: count }, (__, i): Complex => {
      const at = m * count * blocks + i;
      return [values[at], blocks === 2 ? values[at + count] : 0];
    }),
  );
}
/** Such matrices as a tensor like another. */
function fromEntries(matrices: readonly Complex[][], shape: readonly number[], like: Tensor): Tensor {
  const isComplex = isComplexDType(like.dtype);
  const values = matrices.flatMap((entries) => entries.flatMap((z) => (isComplex ? z : [z[0]])));
  const exact = fromArray(values, shape, isComplex ? 'complex128' : 'float64', { device: like.device });
  return wrap(castNode(exact.node, like.dtype));
}

export interface LdlOptions {
  /** L D Lᴴ rather than L D Lᵀ: for complex matrices. */
  readonly hermitian?: boolean;
}
/** L and D in one matrix, LAPACK's pivots (negative ones for 2×2 blocks) and an error code. Reads the matrix. */
export function ldlFactorEx(
  A: Tensor,
  options: LdlOptions & { checkErrors?: boolean } = {},
): { LD: Tensor; pivots: Tensor; info: Tensor } {
  const { hermitian } = withDefaults('ldlFactorEx', { hermitian: false, checkErrors: false }, options);
  requireMatrix('ldlFactor', A, true);
  const [n, batch] = [rowsOf(A), batchOf(A)];
  const matrices = entriesOf(A.tril());
  const pivots = new Int32Array(matrices.length * n);
  const info = Int32Array.from(matrices, (entries, m) =>
    factor(entries, n, hermitian, pivots.subarray(m * n, (m + 1) * n)),
  );
  const { device } = A;
  return {
    LD: fromEntries(matrices, A.shape, A),
    pivots: fromArray(pivots, [...batch, n], 'int32', { device }),
    info: fromArray(info, batch, 'int32', { device }),
  };
}
/** As {@link ldlFactorEx}, with an error for a zero pivot. */
export function ldlFactor(A: Tensor, options: LdlOptions = {}): { LD: Tensor; pivots: Tensor } {
  const { LD, pivots, info } = ldlFactorEx(A, options);
  const bad = info.toFlatArray().find((value) => value !== 0);
  if (bad !== undefined)
    throw new ProjError('invalid-argument', `pivot ${bad} is zero`, { op: 'ldlFactor', shapes: [A.shape] });
  return { LD, pivots };
}
/** X with A X = B from the factors of A. Reads its arguments. */
export function ldlSolve(LD: Tensor, pivots: Tensor, B: Tensor, options: LdlOptions = {}): Tensor {
  const { hermitian } = withDefaults('ldlSolve', { hermitian: false }, options);
  requireMatrix('ldlSolve', LD, true);
  requireMatrix('ldlSolve', B);
  if (rowsOf(B) !== rowsOf(LD))
    throw new ProjError('shape-mismatch', 'LD and B have different numbers of rows', {
      op: 'ldlSolve',
      shapes: [LD.shape, B.shape],
    });
  const batch = commonBatch('ldlSolve', LD, B);
  const [n, width] = [rowsOf(LD), columnsOf(B)];
  const factors = entriesOf(LD, batch);
  const solutions = entriesOf(B, batch);
  const swaps = pivots.expand([...batch, n]).toFlatArray();
  solutions.forEach((solution, m) =>
    substitute(factors[m], n, hermitian, swaps.slice(m * n, (m + 1) * n), solution, width),
  );
  return fromEntries(solutions, [...batch, n, width], B);
}
