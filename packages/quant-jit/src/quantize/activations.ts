/**
 * Activations as integers, in plain JavaScript: the oracle of the kernels that quantise while the program runs. All arithmetic is rounded to float32
 * as theirs is; rounding to codes is half to even.
 */
import { ProjError } from '@proj/kernel';
import { SMALLEST_PEAK, sumOf } from '../arithmetic.ts';
import { ACTIVATION_GROUP } from './layout.ts';
import type { ActivationScheme } from './scheme.ts';

/** Quantised activations of some tokens; columns are padded with codes of 0 to a multiple of 32. */
export interface QuantizedActivations {
  readonly scheme: ActivationScheme;
  readonly tokens: number;
  readonly columns: number;
  readonly paddedColumns: number;
  /** `[token][padded column]`; of `a1` the signs, with 0 in padded columns. */
  readonly codes: Int8Array;
  /** `a8g32`: `[token][group of 32]`; otherwise one for each token. */
  readonly scales: Float32Array;
  /** Sums of the codes of each group of 32 columns of a token, then of all of them; none for `a1`. */
  readonly sums: Int32Array;
  /** Of `a1`: `[token][word]`, bit `8i + s` of word w is column `32w + 4s + i`, 1 for ≥ 0. */
  readonly words: Int32Array;
}

const HIGHEST = 127;

/** Nearest integer, half to even, of a number far below 2^51. */
const roundHalfEven = (x: number): number => x + 6755399441055744 - 6755399441055744;

/** Activations `[tokens, columns]` as int8 with a scale for each group of 32 columns (`a8g32`) or each token (`a8`), or as signs (`a1`). */
export function quantizeInput(
  input: Float32Array,
  tokens: number,
  columns: number,
  scheme: ActivationScheme,
): QuantizedActivations {
  if (input.length !== tokens * columns)
    throw new ProjError(
      'shape-mismatch',
      `${input.length} activations are not ${tokens} tokens of ${columns} columns`,
      {
        op: 'quantizeInput',
      },
    );
  const groups = Math.ceil(columns / ACTIVATION_GROUP);
  const paddedColumns = groups * ACTIVATION_GROUP;
  const codes = new Int8Array(tokens * paddedColumns);
  const binary = scheme === 'a1';
  const scalesPerToken = scheme === 'a8g32' ? groups : 1;
  const scales = new Float32Array(tokens * scalesPerToken);
  const sums = new Int32Array(binary ? 0 : tokens * (groups + 1));
  const words = new Int32Array(binary ? tokens * groups : 0);
  const width = scheme === 'a8g32' ? ACTIVATION_GROUP : columns;
  for (let t = 0; t < tokens; t++) {
    for (let g = 0; g < scalesPerToken; g++) {
      const begin = t * columns + g * width;
      const values = input.subarray(begin, Math.min((t + 1) * columns, begin + width));
      const at = t * paddedColumns + g * width;
      scales[t * scalesPerToken + g] = binary ? signs(values, codes, at) : int8(values, codes, at);
    }
    if (binary) signWords(codes, t * paddedColumns, words, t * groups, columns, groups);
    else
      for (let c = 0; c < paddedColumns; c++) {
        const code = codes[t * paddedColumns + c];
        sums[t * (groups + 1) + Math.floor(c / ACTIVATION_GROUP)] += code;
        sums[t * (groups + 1) + groups] += code;
      }
  }
  return { scheme, tokens, columns, paddedColumns, codes, scales, sums, words };
}

function int8(values: Float32Array, codes: Int8Array, at: number): number {
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const scale = Math.fround(largest / HIGHEST);
  const inverse = largest < SMALLEST_PEAK ? 0 : Math.fround(HIGHEST / largest);
  for (const x of values) codes[at++] = roundHalfEven(Math.fround(x * inverse));
  return scale;
}

function signs(values: Float32Array, codes: Int8Array, at: number): number {
  for (const x of values) codes[at++] = x >= 0 ? 1 : -1;
  return Math.fround(sumOf(values.map(Math.abs)) / values.length);
}

function signWords(
  codes: Int8Array,
  begin: number,
  words: Int32Array,
  at: number,
  columns: number,
  groups: number,
): void {
  for (let w = 0; w < groups; w++) {
    let word = 0;
    for (let bit = 0; bit < 32; bit++) {
      const column = 32 * w + 4 * (bit & 7) + (bit >> 3);
      if (column < columns && codes[begin + column] > 0) word |= 1 << bit;
    }
    words[at + w] = word;
  }
}

/** The floats that quantised activations stand for, `[tokens, columns]`. */
export function dequantizeInput({
  scheme,
  tokens,
  columns,
  paddedColumns,
  codes,
  scales,
}: QuantizedActivations): Float32Array {
  const result = new Float32Array(tokens * columns);
  const scalesPerToken = scales.length / tokens;
  for (let t = 0; t < tokens; t++)
    for (let c = 0; c < columns; c++) {
      const scale = scales[t * scalesPerToken + (scheme === 'a8g32' ? Math.floor(c / ACTIVATION_GROUP) : 0)];
      result[t * columns + c] = scale * codes[t * paddedColumns + c];
    }
  return result;
}
