/** Eigenvalues of general matrices: Hessenberg form by rotations, then the shifted QR algorithm in complex arithmetic (Golub and Van Loan, §7.5). Computed on the host. */
import { DTYPES, type DType, ProjError } from '@proj/kernel';
import { fromArray } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import { add, type Complex, conj, div, mul, size, sub } from './complex-number.ts';
import { batchOf, rowsOf } from './shared.ts';

function root(a: Complex): Complex {
  const r = size(a);
  const re = Math.sqrt((r + Math.abs(a[0])) / 2);
  if (re === 0) return [0, 0];
  const im = Math.abs(a[1]) / (2 * re);
  const [x, y] = a[0] >= 0 ? [re, im] : [im, re];
  return [x, a[1] < 0 ? -y : y];
}

/** A square matrix of complex numbers. */
class Matrix {
  readonly n: number;
  readonly entries: Complex[];
  constructor(n: number, entries: Complex[]) {
    this.n = n;
    this.entries = entries;
  }
  get(i: number, j: number): Complex {
    return this.entries[i * this.n + j];
  }
  set(i: number, j: number, value: Complex): void {
    this.entries[i * this.n + j] = value;
  }
  static identity(n: number): Matrix {
    return new Matrix(
      n,
      Array.from({ length: n * n }, (_, i): Complex => [i % (n + 1) === 0 ? 1 : 0, 0]),
    );
  }
  /** Rows p and q become their rotation. */
  rotateRows(p: number, q: number, { c, s }: Rotation): void {
    for (let j = 0; j < this.n; j++) {
      const [x, y] = [this.get(p, j), this.get(q, j)];
      this.set(p, j, add(mul(conj(c), x), mul(conj(s), y)));
      this.set(q, j, sub(mul(c, y), mul(s, x)));
    }
  }
  /** Columns p and q are multiplied by the adjoint of the rotation. */
  rotateColumns(p: number, q: number, { c, s }: Rotation): void {
    for (let i = 0; i < this.n; i++) {
      const [x, y] = [this.get(i, p), this.get(i, q)];
      this.set(i, p, add(mul(x, c), mul(y, s)));
      this.set(i, q, sub(mul(y, conj(c)), mul(x, conj(s))));
    }
  }
}
interface Rotation {
  readonly c: Complex;
  readonly s: Complex;
}
/** The rotation that turns (a, b) into (r, 0). */
function rotation(a: Complex, b: Complex): Rotation {
  const r = Math.hypot(size(a), size(b));
  return r === 0 ? { c: [1, 0], s: [0, 0] } : { c: [a[0] / r, a[1] / r], s: [b[0] / r, b[1] / r] };
}

/** The eigenvalue of the trailing 2×2 block that lies closest to its last entry. */
function shiftOf(t: Matrix, high: number): Complex {
  const [a, b, c, d] = [t.get(high - 1, high - 1), t.get(high - 1, high), t.get(high, high - 1), t.get(high, high)];
  const half: Complex = mul([0.5, 0], sub(a, d));
  const discriminant = root(add(mul(half, half), mul(b, c)));
  const middle: Complex = mul([0.5, 0], add(a, d));
  const [x, y] = [add(middle, discriminant), sub(middle, discriminant)];
  return size(sub(x, d)) < size(sub(y, d)) ? x : y;
}

const LARGEST_NUMBER_OF_STEPS = 60;

/** Turns `t` into upper triangular form T with A = Q T Qᴴ. */
function schur(t: Matrix): Matrix {
  const { n } = t;
  const q = Matrix.identity(n);
  const apply = (p: number, r: number, turn: Rotation): void => {
    t.rotateRows(p, r, turn);
    t.rotateColumns(p, r, turn);
    q.rotateColumns(p, r, turn);
  };
  for (let k = 0; k < n - 2; k++)
    for (let i = n - 1; i > k + 1; i--)
      if (size(t.get(i, k)) > 0) apply(i - 1, i, rotation(t.get(i - 1, k), t.get(i, k)));
  let steps = 0;
  for (let high = n - 1; high > 0;) {
    let low = high;
    while (
      low > 0 &&
      size(t.get(low, low - 1)) > Number.EPSILON * (size(t.get(low - 1, low - 1)) + size(t.get(low, low)))
    )
      low--;
    if (low > 0) t.set(low, low - 1, [0, 0]);
    if (low === high) {
      high--;
      steps = 0;
      continue;
    }
    if (++steps > LARGEST_NUMBER_OF_STEPS)
      throw new ProjError('invalid-argument', 'the QR algorithm does not converge', {
        op: 'eig',
        cure: 'Check the matrix for NaN and infinities',
      });
    const shift: Complex =
      steps % 10 === 0 ? [size(t.get(high, high - 1)) + t.get(high, high)[0], t.get(high, high)[1]] : shiftOf(t, high);
    for (let k = low; k <= high; k++) t.set(k, k, sub(t.get(k, k), shift));
    const turns: Rotation[] = [];
    for (let k = low; k < high; k++) {
      const turn = rotation(t.get(k, k), t.get(k + 1, k));
      t.rotateRows(k, k + 1, turn);
      turns.push(turn);
    }
    turns.forEach((turn, i) => {
      t.rotateColumns(low + i, low + i + 1, turn);
      q.rotateColumns(low + i, low + i + 1, turn);
    });
    for (let k = low; k <= high; k++) t.set(k, k, add(t.get(k, k), shift));
  }
  return q;
}

/** Eigenvectors (columns, of length 1) of Q T Qᴴ by back substitution. */
function eigenvectorsOf(t: Matrix, q: Matrix): Matrix {
  const { n } = t;
  const scale = t.entries.reduce((top, z) => Math.max(top, size(z)), 0) * Number.EPSILON || Number.EPSILON;
  const result = Matrix.identity(n);
  for (let k = 0; k < n; k++) {
    const x: Complex[] = Array.from({ length: n }, (_, i): Complex => [i === k ? 1 : 0, 0]);
    for (let i = k - 1; i >= 0; i--) {
      let sum: Complex = [0, 0];
      for (let j = i + 1; j <= k; j++) sum = add(sum, mul(t.get(i, j), x[j]));
      const gap = sub(t.get(k, k), t.get(i, i));
      x[i] = div(sum, size(gap) < scale ? [scale, 0] : gap);
    }
    const v = Array.from({ length: n }, (_, i) =>
      x.reduce<Complex>((sum, value, j) => add(sum, mul(q.get(i, j), value)), [0, 0]),
    );
    const norm = Math.sqrt(v.reduce((sum, z) => sum + z[0] * z[0] + z[1] * z[1], 0));
    v.forEach((z, i) => result.set(i, k, [z[0] / norm, z[1] / norm]));
  }
  return result;
}

const flat = (values: readonly Complex[]): number[] => values.flatMap(([re, im]) => [re, im]);

/** Eigenvalues and eigenvectors (columns) of general matrices, complex. Reads the matrix; has no gradient. */
export function eig(A: Tensor): { eigenvalues: Tensor; eigenvectors: Tensor } {
  if (A.ndim < 2 || rowsOf(A) !== A.shape[A.ndim - 1])
    throw new ProjError('shape-mismatch', 'a square matrix is needed', { op: 'eig', shapes: [A.shape] });
  const { category } = DTYPES[A.dtype];
  if (category !== 'float' && category !== 'complex')
    throw new ProjError('dtype', `eig of ${A.dtype}`, { op: 'eig', cure: 'Cast to a float dtype' });
  const [n, batch] = [rowsOf(A), batchOf(A)];
  const numbers = Array.from(A.detach().toTypedArray() as Float64Array);
  const entries: Complex[] =
    category === 'complex'
      ? Array.from({ length: numbers.length / 2 }, (_, i) => [numbers[2 * i], numbers[2 * i + 1]])
      : numbers.map((x) => [x, 0]);
  if (!numbers.every(Number.isFinite))
    throw new ProjError('invalid-argument', 'the matrix holds NaN or infinities', { op: 'eig', shapes: [A.shape] });
  const dtype: DType = category === 'complex' ? A.dtype : A.dtype === 'float64' ? 'complex128' : 'complex64';
  const values: number[] = [];
  const vectors: number[] = [];
  for (let start = 0; n > 0 && start < entries.length; start += n * n) {
    const t = new Matrix(n, entries.slice(start, start + n * n));
    const q = schur(t);
    values.push(...flat(Array.from({ length: n }, (_, i) => t.get(i, i))));
    vectors.push(...flat(eigenvectorsOf(t, q).entries));
  }
  const { device } = A;
  return {
    eigenvalues: fromArray(values, [...batch, n], dtype, { device }),
    eigenvectors: fromArray(vectors, [...batch, n, n], dtype, { device }),
  };
}
/** Eigenvalues of general matrices, complex. Reads the matrix; has no gradient. */
export function eigvals(A: Tensor): Tensor {
  return eig(A).eigenvalues;
}
