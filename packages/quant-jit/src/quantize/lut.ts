/**
 * Tables in place of functions (`Mode.Data`): 2^bits values of f at the centres of equal cells of [lo, hi]. Within the interval no value is further
 * from f than half a cell times the steepest slope; outside, the table is as at its ends. Where f is monotone the table is.
 */
import { ProjError } from '@proj/kernel';

/** A function with a bound on its slope. */
export interface LutFunction {
  readonly name: string;
  readonly value: (x: number) => number;
  /** The supremum of |f'| over [lo, hi], or a bound above it. */
  readonly steepest: (lo: number, hi: number) => number;
}

/** Functions with a known slope. `gelu` is the tanh form, as in Gemma. */
export type LutName = 'exp' | 'rsqrt' | 'gelu' | 'tanh';

const GELU_INNER = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(GELU_INNER * (x + GELU_CUBIC * x ** 3)));
}

function geluSlope(x: number): number {
  const t = Math.tanh(GELU_INNER * (x + GELU_CUBIC * x ** 3));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_INNER * (1 + 3 * GELU_CUBIC * x * x);
}

/** Bound on |gelu''|, which is largest at 0: sqrt(2 / pi) = 0.798 there. */
const GELU_CURVATURE = 0.8;
const GELU_SAMPLES = 4096;

/** Sampled, plus what a slope can gain between two samples. Beyond ±12 the slope is 0 or 1 to float64. */
function geluSteepest(lo: number, hi: number): number {
  const from = Math.min(hi, Math.max(lo, -12));
  const to = Math.max(lo, Math.min(hi, 12));
  const step = (to - from) / GELU_SAMPLES;
  let most = 0;
  for (let i = 0; i <= GELU_SAMPLES; i++) most = Math.max(most, Math.abs(geluSlope(from + i * step)));
  return most + (GELU_CURVATURE * step) / 2;
}

/** The functions that have names. */
export const LUT_FUNCTIONS: Readonly<Record<LutName, LutFunction>> = {
  exp: { name: 'exp', value: Math.exp, steepest: (_lo, hi) => Math.exp(hi) },
  rsqrt: { name: 'rsqrt', value: (x) => 1 / Math.sqrt(x), steepest: (lo) => (lo > 0 ? 0.5 * lo ** -1.5 : Infinity) },
  gelu: { name: 'gelu', value: gelu, steepest: geluSteepest },
  tanh: {
    name: 'tanh',
    value: Math.tanh,
    steepest: (lo, hi) => 1 - Math.tanh(lo <= 0 && hi >= 0 ? 0 : Math.min(Math.abs(lo), Math.abs(hi))) ** 2,
  },
};

/** A table made by {@link createLut}. */
export interface Lut {
  readonly name: string;
  readonly lo: number;
  readonly hi: number;
  readonly bits: number;
  /** Width of a cell. */
  readonly cell: number;
  /** Values at the centres of the cells. */
  readonly table: Float32Array;
  /** No value for an x in [lo, hi] is further from f(x): sup|f'| · cell / 2, and the rounding of the table to float32. */
  readonly bound: number;
}

const MAX_BITS = 20;

/** A table of `f` with 2^bits cells over [lo, hi]. */
export function createLut(f: LutName | LutFunction, lo: number, hi: number, bits: number): Lut {
  const op = 'createLut';
  if (!(lo < hi) || !Number.isFinite(hi - lo))
    throw new ProjError('invalid-argument', `[${lo}, ${hi}] is no interval`, {
      op,
      cure: 'Give finite bounds with lo < hi',
    });
  if (!Number.isInteger(bits) || bits < 1 || bits > MAX_BITS)
    throw new ProjError('invalid-argument', `a table of ${bits} bits`, { op, cure: `Give 1 … ${MAX_BITS} bits` });
  const { name, value, steepest } = typeof f === 'string' ? LUT_FUNCTIONS[f] : f;
  const cell = (hi - lo) / 2 ** bits;
  const table = Float32Array.from({ length: 2 ** bits }, (_, i) => value(lo + (i + 0.5) * cell));
  const largest = table.reduce((most, y) => Math.max(most, Math.abs(y)), 0);
  const bound = (steepest(lo, hi) * cell) / 2 + largest * 2 ** -24;
  if (!Number.isFinite(bound))
    throw new ProjError('invalid-argument', `${name} is unbounded or infinitely steep on [${lo}, ${hi}]`, {
      op,
      cure: 'Choose an interval on which it is not',
    });
  return { name, lo, hi, bits, cell, table, bound };
}

/** The value of a table at `x`; beyond the ends, at the ends. */
export function lookUp({ table, lo, cell }: Lut, x: number): number {
  const index = Math.floor((x - lo) / cell);
  return table[index < 0 ? 0 : index >= table.length ? table.length - 1 : index];
}
