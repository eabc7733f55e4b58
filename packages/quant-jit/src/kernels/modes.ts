/** The three modes of attention and norms in the kernel language; their scalar definitions are in `../il/modes.ts`. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import type { Mode } from '../il/il.ts';
import { DATA_TABLES, RMS_OF_ABSOLUTE } from '../il/modes.ts';
import type { Lut } from '../quantize/lut.ts';
import { exp, tanh } from './arithmetic.ts';

/** The tables of data mode, in a buffer. */
export type ModeTables = Memory;

const TABLES = [DATA_TABLES.exp, DATA_TABLES.tanh, DATA_TABLES.rsqrt] as const;

/** What the buffer of tables holds. */
export function tableData(): Float32Array {
  const all = new Float32Array(TABLES.reduce((sum, { table }) => sum + table.length, 0));
  let at = 0;
  for (const { table } of TABLES) {
    all.set(table, at);
    at += table.length;
  }
  return all;
}

/** Declares the tables, where the mode has them. */
export const modeTables = (b: KernelBuilder, mode: Mode): ModeTables | null =>
  mode === 'data' ? b.buffer('tables', 'f32') : null;

function lookUp(b: KernelBuilder, tables: ModeTables | null, lut: Lut, x: Value): Value {
  if (tables === null) return x;
  let offset = 0;
  for (const each of TABLES) {
    if (each === lut) break;
    offset += each.table.length;
  }
  return lookUpLut(b, tables, lut, x, offset);
}

/** A value of a table that begins at an element of `tables`, at the centre of the cell of x; beyond its ends as at them. */
export function lookUpLut(b: KernelBuilder, tables: Memory, lut: Lut, x: Value, offset = 0): Value {
  const cell = b.cast(b.mul(b.sub(x, lut.lo), 1 / lut.cell), 'i32');
  const inside = b.min(b.max(cell, 0), lut.table.length - 1);
  return b.gather(tables, b.cast(b.add(inside, offset), 'index'));
}

/** cap · tanh(x / cap), or what stands for it. */
export function softcap(b: KernelBuilder, mode: Mode, tables: ModeTables | null, x: Value, cap: number): Value {
  switch (mode) {
    case 'exact':
      return b.mul(tanh(b, b.mul(x, 1 / cap)), cap);
    case 'data':
      return b.mul(lookUp(b, tables, DATA_TABLES.tanh, b.mul(x, 1 / cap)), cap);
    case 'logic':
      return b.min(b.max(x, -cap), cap);
    default:
      return mode satisfies never;
  }
}

/** Fraction bits of exponents and weights in logic mode. */
const FRACTION = 8;

/** e^x for x <= 0, up to the factor that the normaliser takes out. */
export function softmaxWeight(b: KernelBuilder, mode: Mode, tables: ModeTables | null, x: Value): Value {
  switch (mode) {
    case 'exact':
      return exp(b, x);
    case 'data':
      return lookUp(b, tables, DATA_TABLES.exp, x);
    case 'logic': {
      const scaled = b.floor(b.mul(b.mul(x, Math.fround(Math.LOG2E)), 2 ** FRACTION));
      const t = b.cast(b.max(scaled, -(32 << FRACTION)), 'i32');
      const whole = b.shl(b.add(b.and(t, (1 << FRACTION) - 1), 1 << FRACTION), FRACTION);
      const weight = b.shr(whole, b.min(b.sub(0, b.shr(t, FRACTION)), 31));
      return b.cast(weight, 'f32');
    }
    default:
      return mode satisfies never;
  }
}

/** What weights are multiplied with after they are summed. */
export const normaliser = (b: KernelBuilder, mode: Mode, sum: Value): Value =>
  mode === 'logic' ? powerOfTwoReciprocal(b, sum) : b.div(b.constant(1, 'f32'), sum);

const TO_NEAREST = 0x004afb0d;
const EXPONENT = 0x7f800000;
const ONE_TWICE = 0x7f000000;

function powerOfTwoReciprocal(b: KernelBuilder, x: Value): Value {
  const rounded = b.and(b.add(b.bitcast(x, 'i32'), TO_NEAREST), EXPONENT);
  return b.bitcast(b.sub(b.constant(ONE_TWICE, 'i32'), rounded), 'f32');
}

/** What a norm sums up over a row: squares, or absolute values. */
export const normTerm = (b: KernelBuilder, mode: Mode, x: Value): Value => (mode === 'logic' ? b.abs(x) : b.mul(x, x));

/** The factor of a norm from that sum. */
export function normFactor(
  b: KernelBuilder,
  mode: Mode,
  tables: ModeTables | null,
  total: Value,
  columns: number,
  eps: number,
): Value {
  const mean = b.div(total, columns);
  switch (mode) {
    case 'exact':
      return b.div(b.constant(1, 'f32'), b.sqrt(b.add(mean, eps)));
    case 'data': {
      const x = b.add(mean, eps);
      // x = m · 4^k with m in [1, 4); the result is table(m) · 2^-k.
      const k = b.shr(b.sub(b.shr(b.bitcast(x, 'i32'), 23), 127), 1);
      const power = (exponent: Value): Value => b.bitcast(b.shl(b.add(exponent, 127), 23), 'f32');
      const m = b.mul(x, power(b.mul(k, -2)));
      return b.mul(lookUp(b, tables, DATA_TABLES.rsqrt, m), power(b.sub(0, k)));
    }
    case 'logic':
      return powerOfTwoReciprocal(b, b.max(b.mul(mean, RMS_OF_ABSOLUTE), Math.sqrt(eps)));
    default:
      return mode satisfies never;
  }
}
