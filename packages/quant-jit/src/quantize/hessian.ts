/**
 * What second-order quantisation knows about the inputs of a layer: `H = Xᵀ X` of calibration inputs, in float64, and its factor.
 *
 * Wide layers are cut into spans of columns that are treated as independent, because memory grows with the square of a span's width and time with its cube.
 */
import { ProjError } from '@proj/kernel';

/** `Xᵀ X` of some consecutive columns. */
export interface HessianBlock {
  readonly begin: number;
  readonly end: number;
  /** Row-major, of side `end - begin`; the upper triangle is filled. */
  readonly matrix: Float64Array;
}

/** Options of {@link Hessian}. */
export interface HessianOptions {
  /** Widest span of columns; 4096 unless said otherwise. */
  readonly span?: number;
}

/** Spans begin at multiples of this, so that no group of any scheme is cut. */
const SPAN_MULTIPLE = 128;

/** Gathers `Xᵀ X` over batches of calibration inputs. */
export class Hessian {
  readonly columns: number;
  readonly blocks: readonly HessianBlock[];
  #tokens = 0;

  constructor(columns: number, { span = 4096 }: HessianOptions = {}) {
    if (!Number.isSafeInteger(columns) || columns < 1 || !(span >= 1))
      throw new ProjError('invalid-argument', `${columns} columns in spans of ${span}`, { op: 'Hessian' });
    this.columns = columns;
    const count = Math.ceil(columns / span);
    const width = Math.ceil(columns / count / SPAN_MULTIPLE) * SPAN_MULTIPLE;
    const blocks: HessianBlock[] = [];
    for (let begin = 0; begin < columns; begin += width) {
      const end = Math.min(columns, begin + width);
      blocks.push({ begin, end, matrix: new Float64Array((end - begin) ** 2) });
    }
    this.blocks = blocks;
  }

  /** Inputs gathered so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Adds inputs `[tokens, columns]`. */
  add(inputs: Float32Array, tokens = inputs.length / this.columns): this {
    if (!Number.isSafeInteger(tokens) || inputs.length !== tokens * this.columns)
      throw new ProjError(
        'shape-mismatch',
        `${inputs.length} inputs are not ${tokens} tokens of ${this.columns} columns`,
        {
          op: 'Hessian.add',
          cure: 'Give the inputs of the same layer, token by token',
        },
      );
    const bad = inputs.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0)
      throw new ProjError(
        'invalid-argument',
        `calibration input ${Math.floor(bad / this.columns)} is ${inputs[bad]} at column ${bad % this.columns}`,
        {
          op: 'Hessian.add',
        },
      );
    for (const block of this.blocks) addProducts(block, inputs, tokens, this.columns);
    this.#tokens += tokens;
    return this;
  }

  /** Mean square of each column's inputs: the importance of a column for `calibration: 'mse'`. */
  importance(): Float32Array {
    const result = new Float32Array(this.columns);
    for (const { begin, end, matrix } of this.blocks)
      for (let i = begin; i < end; i++) result[i] = matrix[(i - begin) * (end - begin + 1)] / Math.max(1, this.#tokens);
    return result;
  }

  /**
   * Relative squared error of a layer's outputs over the calibration inputs, with `rounded` in place of `weights` (both `[rows, columns]`): what
   * `measureSensitivity` can go by without running the model. At most `sample` rows are looked at, evenly spaced.
   */
  outputError(weights: Float32Array, rounded: Float32Array, sample = 64): number {
    const rows = weights.length / this.columns;
    if (!Number.isSafeInteger(rows) || rounded.length !== weights.length)
      throw new ProjError(
        'shape-mismatch',
        `${weights.length} weights and ${rounded.length} rounded ones for ${this.columns} columns`,
        { op: 'Hessian.outputError' },
      );
    const every = Math.max(1, Math.floor(rows / sample));
    let error = 0;
    let power = 0;
    for (const block of this.blocks)
      for (let row = 0; row < rows; row += every) {
        const from = row * this.columns + block.begin;
        const exact = Float64Array.from(weights.subarray(from, from + block.end - block.begin));
        error += quadraticForm(
          block,
          exact.map((w, i) => w - rounded[from + i]),
        );
        power += quadraticForm(block, exact);
      }
    return error === 0 ? 0 : error / power;
  }
}

/** vᵀ H v of a block. */
function quadraticForm({ begin, end, matrix }: HessianBlock, v: Float64Array): number {
  const n = end - begin;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    let row = 0.5 * matrix[i * n + i] * v[i];
    for (let j = i + 1; j < n; j++) row += matrix[i * n + j] * v[j];
    sum += 2 * v[i] * row;
  }
  return sum;
}

function addProducts(
  { begin, end, matrix }: HessianBlock,
  inputs: Float32Array,
  tokens: number,
  columns: number,
): void {
  const width = end - begin;
  let token = 0;
  for (; token + 4 <= tokens; token += 4) {
    const a = token * columns + begin;
    const b = a + columns;
    const c = b + columns;
    const d = c + columns;
    for (let i = 0; i < width; i++) {
      const xa = inputs[a + i];
      const xb = inputs[b + i];
      const xc = inputs[c + i];
      const xd = inputs[d + i];
      const row = i * width;
      for (let j = i; j < width; j++)
        matrix[row + j] += xa * inputs[a + j] + xb * inputs[b + j] + xc * inputs[c + j] + xd * inputs[d + j];
    }
  }
  for (; token < tokens; token++) {
    const a = token * columns + begin;
    for (let i = 0; i < width; i++) {
      const x = inputs[a + i];
      for (let j = i; j < width; j++) matrix[i * width + j] += x * inputs[a + j];
    }
  }
}

/**
 * The feedback matrix of `H` (upper triangle given, side `n`) with its diagonal raised by `damping` times its mean: `H = (U + 1) D (U + 1)ᵀ` with U strictly
 * upper triangular, of which row k of the result holds column k: element `[k][i]` says how much of the error made at column i is made up for at column k > i.
 *
 * @throws ProjError when H is not positive definite.
 */
export function feedbackMatrix(hessian: Float64Array, n: number, damping: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < n; i++) trace += hessian[i * (n + 1)];
  const raised = trace === 0 ? 1 : (damping * trace) / n;
  // R with H = R Rᵀ, upper triangular: the Cholesky factor from the last row up.
  const factor = hessian.slice();
  for (let k = n - 1; k >= 0; k--) {
    const row = k * n;
    let pivot = factor[row + k] + raised;
    for (let j = k + 1; j < n; j++) pivot -= factor[row + j] * factor[row + j];
    if (!(pivot > 0))
      throw new ProjError('invalid-argument', `the Hessian is not positive definite (pivot ${pivot} at column ${k})`, {
        op: 'feedbackMatrix',
        cure: 'Calibrate on more tokens or raise `damping`',
      });
    const diagonal = Math.sqrt(pivot);
    factor[row + k] = diagonal;
    let i = 0;
    for (; i + 4 <= k; i += 4) {
      const a = i * n;
      const b = a + n;
      const c = b + n;
      const d = c + n;
      let sa = factor[a + k];
      let sb = factor[b + k];
      let sc = factor[c + k];
      let sd = factor[d + k];
      for (let j = k + 1; j < n; j++) {
        const x = factor[row + j];
        sa -= x * factor[a + j];
        sb -= x * factor[b + j];
        sc -= x * factor[c + j];
        sd -= x * factor[d + j];
      }
      factor[a + k] = sa / diagonal;
      factor[b + k] = sb / diagonal;
      factor[c + k] = sc / diagonal;
      factor[d + k] = sd / diagonal;
    }
    for (; i < k; i++) {
      let sum = factor[i * n + k];
      for (let j = k + 1; j < n; j++) sum -= factor[row + j] * factor[i * n + j];
      factor[i * n + k] = sum / diagonal;
    }
  }
  const feedback = new Float64Array(n * n);
  for (let k = 0; k < n; k++) for (let i = 0; i < k; i++) feedback[k * n + i] = factor[i * n + k] / factor[k * (n + 1)];
  return feedback;
}
