/**
 * The scalar definitions of the three modes, which kernels follow. *Exact*: the function. *Data*: tables of cells (`createLut`), read at the cell that holds
 * the argument. *Logic*: integers, shifts and powers of two only: 2^x by its integer part as a shift and its fraction as a straight line (Mitchell 1962),
 * normalisers rounded to the nearest power of two. All of it in float32, rounded after each operation (../arithmetic.ts).
 */
import { createLut, type Lut } from '../quantize/lut.ts';
import { exp, ROW_PARTS, sumOf, tanh } from '../arithmetic.ts';
import type { Mode } from './il.ts';

const { fround } = Math;

const bitsOf = new Int32Array(1);
const floatOf = new Float32Array(bitsOf.buffer);

/** Distance from the mantissa of √2 to that of 2: adding it to the bits of a float carries into the exponent from √2 on. */
const TO_NEAREST = 0x004afb0d;
/** Bits of 2^127: those of 1 twice, so that bits(2^127) − bits(2^n) are the bits of 2^−n. */
const ONE_TWICE = 0x7f000000;

/**
 * 1 / x with x > 0 rounded to the nearest power of two (ties in the logarithm at √2 · 2^n): the bits of x plus a constant, the mantissa cleared, subtracted
 * from a constant. Within a factor √2 of 1 / x.
 */
export function powerOfTwoReciprocal(x: number): number {
  floatOf[0] = x;
  bitsOf[0] = ONE_TWICE - ((bitsOf[0] + TO_NEAREST) & 0x7f800000);
  return floatOf[0];
}

/** Fraction bits of exponents, and of weights, in Logic softmax. */
const FRACTION = 8;
const LOG2_E = fround(Math.LOG2E);

/**
 * e^x for x <= 0 as an integer of 2^−16: t = floor(x · log2 e · 2^8) is split into −n (whole) and f (fraction); the result is (2^8 + f) · 2^8 shifted right by n.
 * 2^16 at 0; 0 from n = 17 on. At most 6.2 % above e^x, but for what the shift drops.
 */
export function shiftedExp(x: number): number {
  const t = Math.floor(fround(fround(x * LOG2_E) * 2 ** FRACTION));
  if (!(t >= -(16 << FRACTION))) return 0;
  return (((1 << FRACTION) + (t & ((1 << FRACTION) - 1))) << FRACTION) >> -(t >> FRACTION);
}

/** Tables of Data mode. */
export const DATA_TABLES = {
  /** e^x of softmax: x = score − largest; below −16 as at −16. 16 KiB. */
  exp: createLut('exp', -16, 0, 12),
  /** tanh of soft-caps; beyond ±3 as at ±3. 32 KiB. */
  tanh: createLut('tanh', -3, 3, 13),
  /** 1/√m of norms, m in [1, 4). 4 KiB. */
  rsqrt: createLut('rsqrt', 1, 4, 10),
} as const satisfies Readonly<Record<string, Lut>>;

/** The value of a table at x, as `lookUp`, but that the cell is found in float32: x just beside the edge of a cell may get that of the next. */
export function lookUpRounded({ table, lo, cell }: Lut, x: number): number {
  const index = Math.trunc(fround(fround(x - fround(lo)) * fround(1 / cell)));
  return table[index > 0 ? Math.min(index, table.length - 1) : 0];
}

/** 1/√x with x > 0 by table: x = m · 4^k with m in [1, 4), from the exponent bits; the result is table(m) · 2^−k. */
export function tableRsqrt(x: number): number {
  floatOf[0] = x;
  const k = ((bitsOf[0] >> 23) - 127) >> 1;
  return fround(lookUpRounded(DATA_TABLES.rsqrt, floatOf[0] * 2 ** (-2 * k)) * 2 ** -k);
}

/** √(π/2): what the root mean square of normally distributed numbers is to their mean absolute value. */
export const RMS_OF_ABSOLUTE = fround(Math.sqrt(Math.PI / 2));

/**
 * The factor of a norm, before the gain: exact 1/√(mean x² + eps); data the same by {@link tableRsqrt}; logic by the mean absolute value in place of the root
 * mean square, and a power of two for its reciprocal.
 */
export const NORM_FACTOR: Record<Mode, (row: Float32Array, eps: number) => number> = {
  exact: (row, eps) => fround(1 / fround(Math.sqrt(fround(meanSquare(row) + fround(eps))))),
  data: (row, eps) => tableRsqrt(fround(meanSquare(row) + fround(eps))),
  logic: (row, eps) =>
    powerOfTwoReciprocal(Math.max(fround(meanAbsolute(row) * RMS_OF_ABSOLUTE), fround(Math.sqrt(eps)))),
};

const meanSquare = (row: Float32Array): number => fround(sumOf(row.map((x) => x * x)) / row.length);
const meanAbsolute = (row: Float32Array): number => fround(sumOf(row.map(Math.abs)) / row.length);

/** A soft-cap in each mode: cap · tanh(x / cap); by table; by cutting off at ± cap. */
export const SOFTCAP: Record<Mode, (x: number, cap: number) => number> = {
  exact: (x, cap) => fround(tanh(fround(x * fround(1 / cap))) * fround(cap)),
  data: (x, cap) => fround(lookUpRounded(DATA_TABLES.tanh, fround(x * fround(1 / cap))) * fround(cap)),
  logic: (x, cap) => Math.min(fround(cap), Math.max(-fround(cap), x)),
};

/** e^(x − largest), up to the factor that the {@link NORMALISER} takes out. */
export const SOFTMAX_WEIGHT: Record<Mode, (x: number) => number> = {
  exact: exp,
  data: (x) => lookUpRounded(DATA_TABLES.exp, x),
  logic: shiftedExp,
};

/** What weights are multiplied with after they are summed: 1 / sum, or in Logic the nearest power of two (the sum of the shares is then 0.71 to 1.42). */
export const NORMALISER: Record<Mode, (sum: number) => number> = {
  exact: (sum) => fround(1 / sum),
  data: (sum) => fround(1 / sum),
  logic: powerOfTwoReciprocal,
};

/**
 * Weights of a row of scores, and what to multiply with for shares. Scores of −∞ have none. Score `i` is in partial sum `(first + i) mod parts`.
 */
export function softmaxWeights(
  scores: Float32Array,
  mode: Mode,
  parts = ROW_PARTS,
  first = 0,
): { readonly weights: Float32Array; readonly factor: number } {
  const largest = scores.reduce((most, x) => Math.max(most, x), -Infinity);
  const weights = scores.map((x) => (x === -Infinity ? 0 : SOFTMAX_WEIGHT[mode](fround(x - largest))));
  return { weights, factor: NORMALISER[mode](sumOf(weights, parts, first)) };
}

/** Shares of a row of scores. */
export function softmaxRow(scores: Float32Array, mode: Mode): Float32Array {
  const { weights, factor } = softmaxWeights(scores, mode);
  return weights.map((w) => w * factor);
}
