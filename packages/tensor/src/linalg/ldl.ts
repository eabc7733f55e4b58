/** L D Lᵀ of symmetric matrices with Bunch and Kaufman's pivoting, as LAPACK's unblocked routines lay it out. Computed on the host: the pivoting decides step by step. */
import { ProjError } from '@proj/kernel';
import { castNode } from '../graph/build.ts';
import { fromArray } from '../ops/creation.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { batchOf, columnsOf, commonBatch, requireMatrix, rowsOf, toKernel } from './shared.ts';

/** Bound on the growth of elements that balances 1×1 and 2×2 pivots. */
const ALPHA = (1 + Math.sqrt(17)) / 8;

/** Factorises the lower triangle of `a` (n·n) in place and writes the pivots; returns the first zero pivot (from 1), or 0. */
function factor(a: Float64Array, n: number, pivots: Int32Array): number {
  let info = 0;
  const at = (i: number, j: number): number => i * n + j;
  const swap = (i: number, j: number): void => {
    [a[i], a[j]] = [a[j], a[i]];
  };
  for (let k = 0; k < n;) {
    const diagonal = Math.abs(a[at(k, k)]);
    let [largest, row] = [0, k];
    for (let i = k + 1; i < n; i++) if (Math.abs(a[at(i, k)]) > largest) [largest, row] = [Math.abs(a[at(i, k)]), i];
    let [step, pivot] = [1, k];
    if (Math.max(diagonal, largest) === 0) info ||= k + 1;
    else if (diagonal < ALPHA * largest) {
      let rowLargest = 0;
      for (let j = k; j < row; j++) rowLargest = Math.max(rowLargest, Math.abs(a[at(row, j)]));
      for (let i = row + 1; i < n; i++) rowLargest = Math.max(rowLargest, Math.abs(a[at(i, row)]));
      if (diagonal < ALPHA * largest * (largest / rowLargest)) {
        pivot = row;
        if (Math.abs(a[at(row, row)]) < ALPHA * rowLargest) step = 2;
      }
    }
    const last = k + step - 1;
    if (pivot !== last) {
      for (let i = pivot + 1; i < n; i++) swap(at(i, last), at(i, pivot));
      for (let i = last + 1; i < pivot; i++) swap(at(i, last), at(pivot, i));
      swap(at(last, last), at(pivot, pivot));
      if (step === 2) swap(at(k + 1, k), at(pivot, k));
    }
    if (step === 1) {
      const inverse = a[at(k, k)] === 0 ? 0 : 1 / a[at(k, k)];
      for (let j = k + 1; j < n; j++) for (let i = j; i < n; i++) a[at(i, j)] -= inverse * a[at(i, k)] * a[at(j, k)];
      for (let i = k + 1; i < n && inverse !== 0; i++) a[at(i, k)] *= inverse;
    } else {
      const corner = a[at(k + 1, k)];
      const [d11, d22] = [a[at(k + 1, k + 1)] / corner, a[at(k, k)] / corner];
      const scale = 1 / (d11 * d22 - 1) / corner;
      for (let j = k + 2; j < n; j++) {
        const first = scale * (d11 * a[at(j, k)] - a[at(j, k + 1)]);
        const second = scale * (d22 * a[at(j, k + 1)] - a[at(j, k)]);
        for (let i = j; i < n; i++) a[at(i, j)] -= a[at(i, k)] * first + a[at(i, k + 1)] * second;
        a[at(j, k)] = first;
        a[at(j, k + 1)] = second;
      }
    }
    for (let i = k; i <= last; i++) pivots[i] = step === 1 ? pivot + 1 : -(pivot + 1);
    k += step;
  }
  return info;
}

/** Solves with a factored matrix: `b` (n·width) becomes the solution. */
function substitute(a: Float64Array, n: number, pivots: ArrayLike<number>, b: Float64Array, width: number): void {
  const swapRows = (i: number, j: number): void => {
    for (let c = 0; c < width && i !== j; c++)
      [b[i * width + c], b[j * width + c]] = [b[j * width + c], b[i * width + c]];
  };
  for (let k = 0; k < n;) {
    const step = pivots[k] > 0 ? 1 : 2;
    swapRows(k + step - 1, Math.abs(pivots[k]) - 1);
    for (let c = 0; c < width; c++) {
      for (let i = k + step; i < n; i++)
        for (let s = 0; s < step; s++) b[i * width + c] -= a[i * n + k + s] * b[(k + s) * width + c];
      if (step === 1) b[k * width + c] /= a[k * n + k];
      else {
        const corner = a[(k + 1) * n + k];
        const [upper, lower] = [a[k * n + k] / corner, a[(k + 1) * n + k + 1] / corner];
        const [x, y] = [b[k * width + c] / corner, b[(k + 1) * width + c] / corner];
        const determinant = upper * lower - 1;
        b[k * width + c] = (lower * x - y) / determinant;
        b[(k + 1) * width + c] = (upper * y - x) / determinant;
      }
    }
    k += step;
  }
  for (let k = n - 1; k >= 0;) {
    const step = pivots[k] > 0 ? 1 : 2;
    for (let c = 0; c < width; c++)
      for (let s = 0; s < step; s++)
        for (let i = k + 1; i < n; i++) b[(k - s) * width + c] -= a[i * n + k - s] * b[i * width + c];
    swapRows(k, Math.abs(pivots[k]) - 1);
    k -= step;
  }
}

const numbers = (x: Tensor): Float64Array => Float64Array.from(x.toTypedArray() as Float64Array);

/** L and D in one matrix, LAPACK's pivots (negative ones for 2×2 blocks) and an error code. Reads the matrix. */
export function ldlFactorEx(
  A: Tensor,
  _options: { hermitian?: boolean; checkErrors?: boolean } = {},
): { LD: Tensor; pivots: Tensor; info: Tensor } {
  requireMatrix('ldlFactor', A, true);
  const [n, batch] = [rowsOf(A), batchOf(A)];
  const values = numbers(toKernel(A.tril()));
  const count = n === 0 ? batch.reduce((x, y) => x * y, 1) : values.length / (n * n);
  const pivots = new Int32Array(count * n);
  const info = new Int32Array(count);
  for (let m = 0; m < count; m++)
    info[m] = factor(values.subarray(m * n * n, (m + 1) * n * n), n, pivots.subarray(m * n, (m + 1) * n));
  const { device } = A;
  return {
    LD: fromArray(values, A.shape, A.dtype, { device }),
    pivots: fromArray(pivots, [...batch, n], 'int32', { device }),
    info: fromArray(info, batch, 'int32', { device }),
  };
}
/** As {@link ldlFactorEx}, with an error for a zero pivot. */
export function ldlFactor(A: Tensor, options: { hermitian?: boolean } = {}): { LD: Tensor; pivots: Tensor } {
  const { LD, pivots, info } = ldlFactorEx(A, options);
  const bad = info.toFlatArray().find((value) => value !== 0);
  if (bad !== undefined)
    throw new ProjError('invalid-argument', `pivot ${bad} is zero`, { op: 'ldlFactor', shapes: [A.shape] });
  return { LD, pivots };
}
/** X with A X = B from the factors of A. Reads its arguments. */
export function ldlSolve(LD: Tensor, pivots: Tensor, B: Tensor, _options: { hermitian?: boolean } = {}): Tensor {
  requireMatrix('ldlSolve', LD, true);
  requireMatrix('ldlSolve', B);
  if (rowsOf(B) !== rowsOf(LD))
    throw new ProjError('shape-mismatch', 'LD and B have different numbers of rows', {
      op: 'ldlSolve',
      shapes: [LD.shape, B.shape],
    });
  const batch = commonBatch('ldlSolve', LD, B);
  const [n, width] = [rowsOf(LD), columnsOf(B)];
  const factors = numbers(toKernel(LD, batch));
  const solution = numbers(toKernel(B, batch));
  const swaps = pivots.expand([...batch, n]).toFlatArray();
  const count = batch.reduce((x, y) => x * y, 1);
  for (let m = 0; m < count; m++)
    substitute(
      factors.subarray(m * n * n, (m + 1) * n * n),
      n,
      swaps.slice(m * n, (m + 1) * n),
      solution.subarray(m * n * width, (m + 1) * n * width),
      width,
    );
  return wrap(castNode(fromArray(solution, [...batch, n, width], 'float64', { device: B.device }).node, B.dtype));
}
