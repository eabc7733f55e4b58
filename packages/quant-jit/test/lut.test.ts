/** Tables of functions: their bound holds and is nearly reached, and monotone functions give monotone tables. */
import { describe, expect, it } from 'vitest';
import { createLut, lookUp, type LutName } from '../src/quantize/index.ts';

const reference: Record<LutName, (x: number) => number> = {
  exp: Math.exp,
  rsqrt: (x) => x ** -0.5,
  tanh: (x) => (Math.exp(2 * x) - 1) / (Math.exp(2 * x) + 1),
  gelu: (x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
};

describe.each([
  ['exp', -8, 0, 8],
  ['exp', -2, 3, 12],
  ['rsqrt', 0.01, 4, 10],
  ['gelu', -6, 6, 8],
  ['gelu', -100, -1, 8],
  ['tanh', -4, 4, 6],
  ['tanh', 1, 3, 10],
] as const)('%s on [%f, %f], %i bits', (name, lo, hi, bits) => {
  const lut = createLut(name, lo, hi, bits);
  const samples = Array.from({ length: 200_001 }, (_, i) => lo + ((hi - lo) * i) / 200_000);
  it('is never off by more than its bound, and somewhere by almost as much', () => {
    const worst = samples.reduce((most, x) => Math.max(most, Math.abs(lookUp(lut, x) - reference[name](x))), 0);
    expect(worst).toBeLessThanOrEqual(lut.bound);
    expect(worst).toBeGreaterThan(0.8 * lut.bound);
  });
  it('holds the value at the centre of each cell', () => {
    expect(lut.table.length).toBe(2 ** bits);
    const at = 3;
    expect(lut.table[at]).toBeCloseTo(reference[name](lo + 3.5 * ((hi - lo) / 2 ** bits)), 5);
  });
  it('is monotone where the function is, and constant beyond its ends', () => {
    if (name !== 'gelu') {
      const sign = name === 'rsqrt' ? -1 : 1;
      for (let i = 1; i < lut.table.length; i++)
        expect(sign * (lut.table[i] - lut.table[i - 1])).toBeGreaterThanOrEqual(0);
    }
    expect(lookUp(lut, lo - 1e9)).toBe(lut.table[0]);
    expect(lookUp(lut, hi + 1e9)).toBe(lut.table[2 ** bits - 1]);
  });
});

it('a function of the caller brings its slope', () => {
  const lut = createLut({ name: 'square', value: (x) => x * x, steepest: (lo, hi) => 2 * Math.max(-lo, hi) }, -1, 1, 4);
  expect(lut.bound).toBeCloseTo(0.125, 6);
  expect(lookUp(lut, 0.99)).toBeCloseTo(0.9375 ** 2, 6);
});

it('refuses intervals and sizes that make no table', () => {
  expect(() => createLut('rsqrt', 0, 1, 8)).toThrow(/infinitely steep/);
  expect(() => createLut('rsqrt', -1, 1, 8)).toThrow(/infinitely steep/);
  expect(() => createLut('exp', 1, 1, 8)).toThrow(/no interval/);
  expect(() => createLut('exp', 0, 1, 0)).toThrow(/0 bits/);
  expect(() => createLut('exp', 0, 1, 21)).toThrow(/21 bits/);
});
