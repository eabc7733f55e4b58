import { expect, test } from 'vitest';
import {
  DATA_TABLES,
  NORM_FACTOR,
  powerOfTwoReciprocal,
  shiftedExp,
  SOFTCAP,
  softmaxRow,
  tableRsqrt,
} from '../src/il/index.ts';
import { gaussian } from './gaussian.ts';

const spread = Array.from({ length: 400 }, (_, i) => 10 ** (-9 + i / 22));

test('powerOfTwoReciprocal is the nearest power of two, within √2', () => {
  for (const x of spread) {
    const got = powerOfTwoReciprocal(x);
    expect(Number.isInteger(Math.log2(got))).toBe(true);
    expect(Math.abs(Math.log2(got * x))).toBeLessThanOrEqual(0.5 + 1e-6);
  }
  expect([1, 2, 0.25, 1.41, 1.42, 3].map(powerOfTwoReciprocal)).toEqual([1, 0.5, 4, 1, 0.5, 0.25]);
});

test('shiftedExp is an integer within 6.3 % of 2^16 · e^x, never rising as x falls, 0 in the end', () => {
  let before = Infinity;
  for (let x = 0; x > -30; x -= 0.01) {
    const got = shiftedExp(x);
    expect(Number.isInteger(got)).toBe(true);
    expect(got).toBeLessThanOrEqual(before);
    before = got;
    const exact = 65536 * Math.exp(x);
    // Two roundings beside the straight line: the exponent to 1/256, the shifted result to a whole number.
    expect(got).toBeLessThan(exact * 1.063 + 1);
    expect(got).toBeGreaterThan(exact * (1 - 1 / 256) - 1);
  }
  expect([shiftedExp(0), shiftedExp(-1e9), shiftedExp(-Infinity)]).toEqual([65536, 0, 0]);
});

test('tableRsqrt is within its bound of 1/√x, over all sizes', () => {
  for (const x of spread) expect(Math.abs(tableRsqrt(x) * Math.sqrt(x) - 1)).toBeLessThan(2 * DATA_TABLES.rsqrt.bound);
});

test('soft-caps: by table within the bound, cut off in Logic', () => {
  for (let x = -140; x <= 140; x += 0.37)
    expect(Math.abs(SOFTCAP.data(x, 50) - SOFTCAP.exact(x, 50))).toBeLessThan(50 * DATA_TABLES.tanh.bound);
  expect([-60, 10, 60].map((x) => SOFTCAP.logic(x, 50))).toEqual([-50, 10, 50]);
});

test('norm factors: data within 0.1 %, logic a power of two within √2 on normal numbers', () => {
  const row = gaussian(4096, 5).map((x) => 0.02 * x);
  const exact = NORM_FACTOR.exact(row, 1e-6);
  expect(Math.abs(exact * 0.02 - 1)).toBeLessThan(0.05);
  expect(Math.abs(NORM_FACTOR.data(row, 1e-6) / exact - 1)).toBeLessThan(1e-3);
  const logic = NORM_FACTOR.logic(row, 1e-6);
  expect(Number.isInteger(Math.log2(logic))).toBe(true);
  expect(Math.abs(Math.log2(logic / exact))).toBeLessThan(0.55);
  expect(NORM_FACTOR.logic(new Float32Array(8), 1e-6)).toBe(1024);
});

test('softmax: shares sum to 1 as near as float32 can, and by table, to 0.7 … 1.42 in Logic', () => {
  const scores = gaussian(64, 9);
  const total = (mode: 'exact' | 'data' | 'logic'): number => softmaxRow(scores, mode).reduce((sum, p) => sum + p, 0);
  expect(total('exact')).toBeCloseTo(1, 6);
  expect(total('data')).toBeCloseTo(1, 6);
  expect(total('logic')).toBeGreaterThan(0.7);
  expect(total('logic')).toBeLessThan(1.42);
  const exact = softmaxRow(scores, 'exact');
  softmaxRow(scores, 'data').forEach((p, i) => expect(Math.abs(p - exact[i])).toBeLessThan(3 * DATA_TABLES.exp.bound));
});
