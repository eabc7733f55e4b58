/**
 * Floats to codes and back. Calibration says how scales are found: `absmax` by the scheme's rule; `mse` by a search for the least squared error,
 * weighted by the importance of each column where that is known; `gptq` column by column with feedback of the error (gptq.ts).
 */
import { ProjError } from '@proj/kernel';
import { encodeGroup, fitByRule, fitBySearch, NotFinite } from './fit.ts';
import {
  groupColumns,
  groupCount,
  type QuantizedMatrix,
  scheme as schemeOf,
  type Scheme,
  type SchemeName,
} from './scheme.ts';

/** How the scales of a matrix are found. */
export type Calibration = 'absmax' | 'mse';

/** Options of {@link quantize}. */
export interface QuantizeOptions {
  /** `absmax` (the scheme's own rule) unless said otherwise. */
  readonly calibration?: Calibration;
  /** For `mse`: the weight of each column's squared error, for example the mean square of the activations it meets. */
  readonly importance?: Float32Array;
}

/** The matrix as `[rows, columns]`, or an error that says what does not fit. */
export function checkMatrix(op: string, length: number, rows: number, columns: number): void {
  if (!Number.isSafeInteger(rows) || !Number.isSafeInteger(columns) || rows < 1 || columns < 1)
    throw new ProjError('invalid-argument', `${rows} rows of ${columns} columns are no matrix`, {
      op,
      cure: 'Give whole numbers of rows and columns, 1 at least',
    });
  if (length !== rows * columns)
    throw new ProjError(
      'shape-mismatch',
      `${length} weights do not make ${rows} rows of ${columns} columns (${rows * columns})`,
      {
        op,
        cure: 'Give the rows and columns that the matrix was stored with',
      },
    );
}

/** The error for a weight that is NaN or infinite. */
export const notFiniteWeight = (op: string, value: number, index: number, columns: number): ProjError =>
  new ProjError(
    'invalid-argument',
    `the weight at row ${Math.floor(index / columns)}, column ${index % columns} is ${value}`,
    {
      op,
      cure: 'A scheme has no code for it: the checkpoint is damaged or diverged in training; fetch it again or use another one',
    },
  );

/**
 * The codes and scales of a matrix `[rows, columns]`, row by row.
 *
 * @throws ProjError `shape-mismatch` when sizes do not fit; `invalid-argument` with row and column when a weight is not finite.
 */
export function quantize(
  matrix: Float32Array,
  rows: number,
  columns: number,
  scheme: Scheme | SchemeName,
  options: QuantizeOptions = {},
): QuantizedMatrix {
  const op = 'quantize';
  const target = typeof scheme === 'string' ? schemeOf(scheme) : scheme;
  checkMatrix(op, matrix.length, rows, columns);
  const { calibration = 'absmax', importance } = options;
  if (importance !== undefined && importance.length !== columns)
    throw new ProjError('shape-mismatch', `${importance.length} importances for ${columns} columns`, { op });
  if (target.bits === 32) {
    let total = 0;
    for (let i = 0; i < matrix.length; i++) total += Math.abs(matrix[i]);
    if (!(total < Infinity)) {
      const bad = matrix.findIndex((x) => !Number.isFinite(x));
      throw notFiniteWeight(op, matrix[bad], bad, columns);
    }
    return { scheme: target, rows, columns, codes: new Int8Array(0), scales: new Float32Array(0), values: matrix };
  }
  const width = groupColumns(target, columns);
  const groups = groupCount(target, columns);
  const bits = new Int32Array(matrix.buffer, matrix.byteOffset, matrix.length);
  const codes = new Int8Array(rows * columns);
  const scales = new Float32Array(rows * groups);
  const minimums = target.asymmetric ? new Float32Array(rows * groups) : undefined;
  try {
    for (let row = 0, at = 0; row < rows; row++)
      for (let column = 0; column < columns; column += width, at++) {
        const begin = row * columns + column;
        const end = row * columns + Math.min(columns, column + width);
        const fit =
          calibration === 'mse'
            ? fitBySearch(matrix, begin, end, target, importance, column)
            : fitByRule(matrix, begin, end, target);
        encodeGroup(matrix, bits, begin, end, target, fit, codes, begin);
        scales[at] = fit.scale;
        if (minimums !== undefined) minimums[at] = fit.minimum;
      }
  } catch (error) {
    throw located(op, error, matrix, columns);
  }
  return { scheme: target, rows, columns, codes, scales, ...(minimums === undefined ? {} : { minimums }) };
}

/** An error of a fit with the place in the matrix. */
export function located(op: string, error: unknown, matrix: Float32Array, columns: number): unknown {
  if (!(error instanceof NotFinite)) return error;
  return notFiniteWeight(op, matrix[error.index], error.index, columns);
}

/** The floats that codes and scales stand for: `minimum + scale · code`, in float32. */
export function dequantize(matrix: QuantizedMatrix): Float32Array {
  const { scheme, rows, columns, codes, scales, minimums, values } = matrix;
  if (scheme.bits === 32) {
    if (values?.length !== rows * columns)
      throw new ProjError('shape-mismatch', `a matrix of scheme f32 without its ${rows * columns} values`, {
        op: 'dequantize',
      });
    return values.slice();
  }
  checkMatrix('dequantize', codes.length, rows, columns);
  const width = groupColumns(scheme, columns);
  const result = new Float32Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column += width, at++) {
      const scale = scales[at];
      const minimum = minimums?.[at] ?? 0;
      const end = row * columns + Math.min(columns, column + width);
      for (let i = row * columns + column; i < end; i++) result[i] = minimum + scale * codes[i];
    }
  return result;
}
