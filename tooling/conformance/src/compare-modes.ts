// Comparisons of factorisations, whose factors are only defined up to signs, phases or order: the invariant parts are compared and the product
// is multiplied back (conformance.md, `cmp`). Everything here is double arithmetic on plain numbers, matrices as interleaved complex.
import { closeComplex, compareMeta, compareTensors, sameShape } from './compare.ts';
import type { Failure, Tolerance } from './compare.ts';
import { isComplexDtype } from './encoded.ts';
import type { TensorData } from './encoded.ts';

/** A batch of complex matrices. */
interface Matrices {
  readonly batch: number;
  readonly rows: number;
  readonly cols: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

function matrices(t: TensorData): Matrices {
  const rows = t.shape.at(-2) ?? 1;
  const cols = t.shape.at(-1) ?? 1;
  const batch = t.shape.slice(0, -2).reduce((a, b) => a * b, 1);
  const count = batch * rows * cols;
  const complex = isComplexDtype(t.dtype);
  const re = new Float64Array(count);
  const im = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    re[i] = Number(complex ? t.data[2 * i] : t.data[i]);
    if (complex) im[i] = Number(t.data[2 * i + 1]);
  }
  return { batch, rows, cols, re, im };
}

function multiply(a: Matrices, b: Matrices, conjugateTransposeB = false): Matrices {
  const cols = conjugateTransposeB ? b.rows : b.cols;
  const inner = Math.min(a.cols, conjugateTransposeB ? b.cols : b.rows);
  const re = new Float64Array(a.batch * a.rows * cols);
  const im = new Float64Array(a.batch * a.rows * cols);
  for (let n = 0; n < a.batch; n++) {
    for (let i = 0; i < a.rows; i++) {
      for (let j = 0; j < cols; j++) {
        let sumRe = 0;
        let sumIm = 0;
        for (let k = 0; k < inner; k++) {
          const p = (n * a.rows + i) * a.cols + k;
          const q = conjugateTransposeB ? (n * b.rows + j) * b.cols + k : (n * b.rows + k) * b.cols + j;
          const bIm = (b.im[q] ?? 0) * (conjugateTransposeB ? -1 : 1);
          sumRe += (a.re[p] ?? 0) * (b.re[q] ?? 0) - (a.im[p] ?? 0) * bIm;
          sumIm += (a.re[p] ?? 0) * bIm + (a.im[p] ?? 0) * (b.re[q] ?? 0);
        }
        re[(n * a.rows + i) * cols + j] = sumRe;
        im[(n * a.rows + i) * cols + j] = sumIm;
      }
    }
  }
  return { batch: a.batch, rows: a.rows, cols, re, im };
}

/** Columns of `a` times the entries of `v` (one vector a batch). */
function scaleColumns(a: Matrices, v: TensorData): Matrices {
  const width = v.shape.at(-1) ?? 0;
  const complex = isComplexDtype(v.dtype);
  const cols = Math.min(a.cols, width);
  const re = new Float64Array(a.batch * a.rows * cols);
  const im = new Float64Array(a.batch * a.rows * cols);
  for (let n = 0; n < a.batch; n++) {
    for (let i = 0; i < a.rows; i++) {
      for (let j = 0; j < cols; j++) {
        const s = n * width + j;
        const sRe = Number(complex ? v.data[2 * s] : v.data[s]);
        const sIm = complex ? Number(v.data[2 * s + 1]) : 0;
        const p = (n * a.rows + i) * a.cols + j;
        const o = (n * a.rows + i) * cols + j;
        re[o] = (a.re[p] ?? 0) * sRe - (a.im[p] ?? 0) * sIm;
        im[o] = (a.re[p] ?? 0) * sIm + (a.im[p] ?? 0) * sRe;
      }
    }
  }
  return { batch: a.batch, rows: a.rows, cols, re, im };
}

function compareMatrices(actual: Matrices, expected: Matrices, t: Tolerance, where: string): Failure | null {
  const largest = expected.re.reduce((m, x, i) => Math.max(m, Math.hypot(x, expected.im[i] ?? 0)), 0);
  const worst = expected.re.reduce(
    (m, x, i) => Math.max(m, Math.hypot(x - (actual.re[i] ?? NaN), (expected.im[i] ?? 0) - (actual.im[i] ?? NaN))),
    0,
  );
  if (worst <= 4 * t.strict * (1 + largest)) return null;
  return { kind: 'value', detail: `${where} is off by ${worst}`, lenient: worst <= 4 * t.lenient * (1 + largest) };
}

function hermitian(a: Matrices, upper: boolean): Matrices {
  const re = a.re.slice();
  const im = a.im.slice();
  for (let n = 0; n < a.batch; n++) {
    for (let i = 0; i < a.rows; i++) {
      for (let j = 0; j < a.cols; j++) {
        const from = upper === i > j ? (n * a.rows + j) * a.cols + i : (n * a.rows + i) * a.cols + j;
        const o = (n * a.rows + i) * a.cols + j;
        re[o] = a.re[from] ?? 0;
        im[o] = i === j ? 0 : (a.im[from] ?? 0) * (from === o ? 1 : -1);
      }
    }
  }
  return { ...a, re, im };
}

function magnitudes(t: TensorData, keep: (i: number, j: number) => boolean): TensorData {
  const m = matrices(t);
  const data = Float64Array.from(m.re, (x, p) =>
    keep(Math.floor(p / m.cols) % m.rows, p % m.cols) ? Math.hypot(x, m.im[p] ?? 0) : 0,
  );
  return { dtype: 'float64', shape: t.shape, data };
}

function compareMultiset(actual: TensorData, expected: TensorData, t: Tolerance, where: string): Failure | null {
  const meta = compareMeta(actual, expected, where);
  if (meta !== null) return meta;
  const width = expected.shape.at(-1) ?? 1;
  const a = matrices(actual);
  const b = matrices(expected);
  const matches = (tolerance: number): boolean => {
    for (let start = 0; start < b.re.length; start += width) {
      const free = new Set(Array.from({ length: width }, (_, i) => start + i));
      for (let i = start; i < start + width; i++) {
        const match = [...free].find((j) =>
          closeComplex([a.re[j] ?? NaN, a.im[j] ?? NaN], [b.re[i] ?? 0, b.im[i] ?? 0], tolerance),
        );
        if (match === undefined) return false;
        free.delete(match);
      }
    }
    return true;
  };
  return matches(t.strict)
    ? null
    : { kind: 'value', detail: `${where}: other eigenvalues`, lenient: matches(t.lenient) };
}

/** What a factorisation is compared with. */
export interface FactorisationCase {
  readonly mode: string;
  readonly call: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly input: TensorData;
  readonly actual: readonly TensorData[];
  readonly expected: readonly TensorData[];
  readonly tolerance: Tolerance;
}

const shapesFit = (c: FactorisationCase): Failure | null => {
  for (const [i, expected] of c.expected.entries()) {
    const actual = c.actual[i];
    if (actual === undefined) return { kind: 'structure', detail: `out.${i} is missing` };
    const meta = compareMeta(actual, expected, `out.${i}`);
    if (meta !== null) return meta;
  }
  return null;
};

/** Compares the results of a factorisation by the rule of its `cmp`. */
export function compareFactorisation(c: FactorisationCase): Failure | null {
  const bad = shapesFit(c);
  if (bad !== null) return bad;
  const [a0, a1, a2] = c.actual;
  const [e0, e1] = c.expected;
  if (a0 === undefined || e0 === undefined) return { kind: 'structure', detail: 'no output' };
  switch (c.mode) {
    case 'svd':
    case 'lowrank': {
      if (a1 === undefined || e1 === undefined || a2 === undefined) return compareTensors(a0, e0, c.tolerance, 'out');
      const values = compareTensors(a1, e1, c.tolerance, 'singular values');
      if (values !== null || c.mode === 'lowrank') return values;
      const computed = c.kwargs.compute_uv !== false;
      if (!computed) return null;
      const scaled = scaleColumns(matrices(a0), a1);
      const product = multiply(scaled, matrices(a2), c.call === 'torch.svd' || c.call === 'Tensor.svd');
      return compareMatrices(product, matrices(c.input), c.tolerance, 'U S Vh');
    }
    case 'eigh': {
      const values = compareTensors(a0, e0, c.tolerance, 'eigenvalues');
      if (values !== null || a1 === undefined || !sameShape(a1.shape, c.input.shape) || c.kwargs.eigenvectors === false)
        return values;
      const upper = c.kwargs.UPLO === 'U' || (c.call.endsWith('symeig') && c.kwargs.upper !== false);
      const vectors = matrices(a1);
      return compareMatrices(
        multiply(hermitian(matrices(c.input), upper), vectors),
        scaleColumns(vectors, a0),
        c.tolerance,
        'A V - V L',
      );
    }
    case 'eig': {
      const values = compareMultiset(a0, e0, c.tolerance, 'eigenvalues');
      if (values !== null || a1 === undefined) return values;
      const vectors = matrices(a1);
      return compareMatrices(multiply(matrices(c.input), vectors), scaleColumns(vectors, a0), c.tolerance, 'A V - V L');
    }
    case 'eigvals':
      return compareMultiset(a0, e0, c.tolerance, 'eigenvalues');
    case 'qr': {
      const r = a1 ?? a0;
      const triangle = compareTensors(
        magnitudes(r, () => true),
        magnitudes(e1 ?? e0, () => true),
        c.tolerance,
        '|R|',
      );
      if (triangle !== null || a1 === undefined || a0.shape.at(-1) === 0 || a0.shape.length < 2) return triangle;
      return compareMatrices(multiply(matrices(a0), matrices(a1)), matrices(c.input), c.tolerance, 'Q R');
    }
    case 'geqrf':
      return compareTensors(
        magnitudes(a0, (i, j) => i <= j),
        magnitudes(e0, (i, j) => i <= j),
        c.tolerance,
        '|R|',
      );
    default:
      return { kind: 'unsupported', detail: `the comparison "${c.mode}" is not known` };
  }
}
