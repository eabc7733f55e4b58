/**
 * Second-order quantisation: columns are rounded one after the other, and what rounding got wrong is made up for in the columns that follow, weighted by
 * how their inputs correlate. This is GPTQ (Frantar et al. 2022) in the form that QuIP (Chee et al. 2023) calls LDLQ and proves equal: with
 * `H = (U + 1) D (U + 1)ᵀ`, column k is rounded from `w_k + Σ_{i<k} (w_i - q_i) U_ik`, which needs no inverse of H.
 */
import { ProjError } from '@proj/kernel';
import { type Fit, fitByRule, fitBySearch, nearestCode } from './fit.ts';
import { feedbackMatrix, type Hessian, type HessianBlock } from './hessian.ts';
import { checkMatrix, located, type QuantizeOptions } from './quantize.ts';
import {
  groupColumns,
  groupCount,
  type QuantizedMatrix,
  scheme as schemeOf,
  type Scheme,
  type SchemeName,
} from './scheme.ts';

/** Options of {@link quantizeGptq}. */
export interface GptqOptions {
  /** `Xᵀ X` of calibration inputs of this layer. */
  readonly hessian: Hessian;
  /** Part of the mean diagonal of H that is added to its diagonal; 0.01 unless said otherwise. */
  readonly damping?: number;
  /** Round the columns with the largest inputs first. Scales then come from the weights as they were. */
  readonly actOrder?: boolean;
  /** How scales are found, once the columns before a group are rounded; `absmax` unless said otherwise. */
  readonly calibration?: QuantizeOptions['calibration'];
}

/** Rows that are worked on together: as many sums stay in registers. */
const ROWS_AT_ONCE = 4;
/** Columns between two passes over all the errors so far, where a scale covers the whole row. */
const STRIP = 32;

/**
 * As `quantize`, with error feedback.
 *
 * @throws ProjError when sizes do not fit, weights are not finite, or H is not positive definite.
 */
export function quantizeGptq(
  matrix: Float32Array,
  rows: number,
  columns: number,
  scheme: Scheme | SchemeName,
  options: GptqOptions,
): QuantizedMatrix {
  const op = 'quantizeGptq';
  const target = typeof scheme === 'string' ? schemeOf(scheme) : scheme;
  const { hessian, damping = 0.01, actOrder = false, calibration = 'absmax' } = options;
  checkMatrix(op, matrix.length, rows, columns);
  if (target.bits === 32)
    throw new ProjError('invalid-argument', 'f32 has nothing to round', { op, cure: 'Use quantize() for f32' });
  if (hessian.columns !== columns)
    throw new ProjError('shape-mismatch', `a Hessian of ${hessian.columns} columns for a matrix of ${columns}`, {
      op,
      cure: 'Gather it from the inputs of this very layer',
    });
  const rounding = new Rounding(
    matrix,
    rows,
    columns,
    target,
    calibration === 'mse' ? hessian.importance() : undefined,
  );
  try {
    if (actOrder || target.group === 'row') rounding.fitAll();
    for (const block of hessian.blocks) {
      const order = actOrder ? orderByDiagonal(block) : null;
      const n = block.end - block.begin;
      const ordered = order === null ? block.matrix : reorder(block.matrix, order);
      rounding.round(block, order, feedbackMatrix(ordered, n, damping));
    }
  } catch (error) {
    throw located(op, error, matrix, columns);
  }
  return rounding.result();
}

/** Columns of a block from the largest input to the smallest, counted from its begin. */
function orderByDiagonal({ begin, end, matrix }: HessianBlock): Int32Array {
  const n = end - begin;
  return Int32Array.from({ length: n }, (_, i) => i).sort((a, b) => matrix[b * (n + 1)] - matrix[a * (n + 1)] || a - b);
}

/** The upper triangle of H with rows and columns in another order. */
function reorder(matrix: Float64Array, order: Int32Array): Float64Array {
  const n = order.length;
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      const a = order[i];
      const b = order[j];
      result[i * n + j] = a < b ? matrix[a * n + b] : matrix[b * n + a];
    }
  return result;
}

class Rounding {
  readonly #matrix: Float32Array;
  readonly #rows: number;
  readonly #columns: number;
  readonly #scheme: Scheme;
  readonly #importance: Float32Array | undefined;
  readonly #width: number;
  readonly #groups: number;
  readonly #codes: Int8Array;
  readonly #scales: Float32Array;
  readonly #minimums: Float32Array;
  #fitted = false;

  constructor(
    matrix: Float32Array,
    rows: number,
    columns: number,
    scheme: Scheme,
    importance: Float32Array | undefined,
  ) {
    this.#matrix = matrix;
    this.#rows = rows;
    this.#columns = columns;
    this.#scheme = scheme;
    this.#importance = importance;
    this.#width = groupColumns(scheme, columns);
    this.#groups = groupCount(scheme, columns);
    this.#codes = new Int8Array(rows * columns);
    this.#scales = new Float32Array(rows * this.#groups);
    this.#minimums = new Float32Array(rows * this.#groups);
  }

  #fit(values: Float32Array, begin: number, end: number, column: number): Fit {
    return this.#importance === undefined
      ? fitByRule(values, begin, end, this.#scheme)
      : fitBySearch(values, begin, end, this.#scheme, this.#importance, column);
  }

  #setFit(row: number, column: number, { scale, minimum }: Fit): void {
    const at = row * this.#groups + Math.floor(column / this.#width);
    this.#scales[at] = scale;
    this.#minimums[at] = minimum;
  }

  /** Scales of all groups from the weights as they are. */
  fitAll(): void {
    for (let row = 0; row < this.#rows; row++)
      for (let column = 0; column < this.#columns; column += this.#width) {
        const begin = row * this.#columns + column;
        const end = row * this.#columns + Math.min(this.#columns, column + this.#width);
        this.#setFit(row, column, this.#fit(this.#matrix, begin, end, column));
      }
    this.#fitted = true;
  }

  /** Rounds the columns of a block in order, with feedback. */
  round({ begin, end }: HessianBlock, order: Int32Array | null, feedback: Float64Array): void {
    const n = end - begin;
    const strip = this.#fitted ? STRIP : this.#width;
    const targets = new Float64Array(strip * ROWS_AT_ONCE);
    const errors = new Float64Array(n * ROWS_AT_ONCE);
    for (let row = 0; row < this.#rows; row += ROWS_AT_ONCE) {
      const count = Math.min(ROWS_AT_ONCE, this.#rows - row);
      errors.fill(0);
      for (let first = 0; first < n; first += strip) {
        const last = Math.min(n, first + strip);
        for (let k = first; k < last; k++) {
          let s0 = 0;
          let s1 = 0;
          let s2 = 0;
          let s3 = 0;
          for (let i = 0, at = k * n, e = 0; i < first; i++, at++, e += ROWS_AT_ONCE) {
            const weight = feedback[at];
            s0 += errors[e] * weight;
            s1 += errors[e + 1] * weight;
            s2 += errors[e + 2] * weight;
            s3 += errors[e + 3] * weight;
          }
          const at = (k - first) * ROWS_AT_ONCE;
          targets[at] = s0;
          targets[at + 1] = s1;
          targets[at + 2] = s2;
          targets[at + 3] = s3;
        }
        for (let r = 0; r < count; r++)
          this.#roundStrip(row + r, r, begin, first, last, n, order, feedback, targets, errors);
      }
    }
  }

  /** Columns `first … last` of a block for one row. `targets` holds what the errors before `first` add to each. */
  #roundStrip(
    row: number,
    lane: number,
    begin: number,
    first: number,
    last: number,
    n: number,
    order: Int32Array | null,
    feedback: Float64Array,
    targets: Float64Array,
    errors: Float64Array,
  ): void {
    const base = row * this.#columns + begin;
    if (!this.#fitted) {
      const values = new Float32Array(last - first);
      for (let k = first; k < last; k++)
        values[k - first] = this.#matrix[base + k] + targets[(k - first) * ROWS_AT_ONCE + lane];
      // A weight that is not finite is reported where it is, not where it is first seen.
      if (!values.every(Number.isFinite)) fitByRule(this.#matrix, base + first, base + last, this.#scheme);
      this.#setFit(row, begin + first, this.#fit(values, 0, last - first, begin + first));
    }
    for (let k = first; k < last; k++) {
      const column = order === null ? k : order[k];
      const weight = this.#matrix[base + column];
      let target = weight + targets[(k - first) * ROWS_AT_ONCE + lane];
      for (let i = first; i < k; i++) target += errors[i * ROWS_AT_ONCE + lane] * feedback[k * n + i];
      const group = row * this.#groups + Math.floor((begin + column) / this.#width);
      const scale = this.#scales[group];
      const minimum = this.#minimums[group];
      const code = scale === 0 ? nearestCode(0, this.#scheme) : nearestCode((target - minimum) / scale, this.#scheme);
      this.#codes[base + column] = code;
      errors[k * ROWS_AT_ONCE + lane] = weight - (minimum + scale * code);
    }
  }

  result(): QuantizedMatrix {
    const matrix = {
      scheme: this.#scheme,
      rows: this.#rows,
      columns: this.#columns,
      codes: this.#codes,
      scales: this.#scales,
    };
    return this.#scheme.asymmetric ? { ...matrix, minimums: this.#minimums } : matrix;
  }
}
