/** Quantisers against the relative errors of systems.md 3(d) (numpy, 20 seeds), closed forms for Gaussians, and cases small enough to do by hand. */
import { describe, expect, it } from 'vitest';
import {
  type ActivationScheme,
  bitsPerWeight,
  dequantize,
  dequantizeInput,
  packedBytes,
  quantize,
  quantizeInput,
  type QuantizeOptions,
  type Scheme,
  type SchemeName,
  SCHEMES,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const TOKENS = 10;
const ROWS = 128;
const COLUMNS = 512;

function product(x: Float32Array, w: Float32Array, columns = COLUMNS): Float64Array {
  const tokens = x.length / columns;
  const rows = w.length / columns;
  const result = new Float64Array(tokens * rows);
  for (let t = 0; t < tokens; t++)
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let c = 0; c < columns; c++) sum += x[t * columns + c] * w[r * columns + c];
      result[t * rows + r] = sum;
    }
  return result;
}

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  let power = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    power += expected[i] ** 2;
  }
  return error / power;
}

/** Mean over seeds of the relative error of X Wᵀ when both go through `weights` and `inputs`. */
function tableEntry(
  weights: (w: Float32Array) => Float32Array,
  inputs: (x: Float32Array) => Float32Array,
  seeds = 20,
): number {
  let sum = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const x = gaussian(TOKENS * COLUMNS, 2 * seed);
    const w = gaussian(ROWS * COLUMNS, 2 * seed + 1);
    sum += relativeError(product(inputs(x), weights(w)), product(x, w));
  }
  return sum / seeds;
}

const same = (x: Float32Array): Float32Array => x;
const weightsBy =
  (scheme: Scheme | SchemeName, options?: QuantizeOptions) =>
  (w: Float32Array): Float32Array =>
    dequantize(quantize(w, ROWS, COLUMNS, scheme, options));
const inputsBy =
  (scheme: ActivationScheme) =>
  (x: Float32Array): Float32Array =>
    dequantizeInput(quantizeInput(x, TOKENS, COLUMNS, scheme));
/** Four bits as the table means them: symmetric, one scale a row. */
const rowOf4: Scheme = { ...SCHEMES.q4g32, group: 'row', scaleType: 'f32', lowest: -7, highest: 7 };
const inputsOf4 = (x: Float32Array): Float32Array => dequantize(quantize(x, TOKENS, COLUMNS, rowOf4));
const unscaled = (x: Float32Array): Float32Array => x.map((v) => (v >= 0 ? 1 : -1));

describe('relative squared error of [10, 512] × [128, 512]ᵀ, Gaussian, 20 seeds', () => {
  it.each([
    ['1-bit weights', 0.366, weightsBy('q1'), same],
    ['1-bit weights and activations', 0.592, weightsBy('q1'), inputsBy('a1')],
    ['ternary weights, int8 activations', 0.262, weightsBy('q158'), inputsBy('a8')],
    ['4-bit weights', 0.018, weightsBy(rowOf4), same],
    ['4-bit weights and activations', 0.037, weightsBy(rowOf4), inputsOf4],
    ['8-bit weights', 6e-5, weightsBy('q8'), same],
    ['8-bit weights and activations', 1.1e-4, weightsBy('q8'), inputsBy('a8')],
  ])('%s: %f', (_name, expected, weights, inputs) => {
    const found = tableEntry(weights, inputs);
    expect(found).toBeGreaterThan(0.9 * expected);
    expect(found).toBeLessThan(1.1 * expected);
  });
  it('signs without scales: 489 for weights of deviation 1/√512', () => {
    const scaled = (w: Float32Array): Float32Array => w.map((v) => v / Math.sqrt(COLUMNS));
    let sum = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const x = gaussian(TOKENS * COLUMNS, 2 * seed);
      const w = scaled(gaussian(ROWS * COLUMNS, 2 * seed + 1));
      sum += relativeError(product(unscaled(x), unscaled(w)), product(x, w));
    }
    expect(sum / 20).toBeGreaterThan(0.9 * 489);
    expect(sum / 20).toBeLessThan(1.1 * 489);
  });
});

/** Codes, scales and minimums by the rules of docs/brain-blitz.md, one weight at a time. */
function byTheTable(w: Float32Array, rows: number, columns: number, scheme: Scheme): Float32Array {
  const half = (x: number): number => new Float16(x).value;
  const round = scheme.scaleType === 'f16' ? half : Math.fround;
  const awayFromZero = (x: number): number => Math.sign(x) * Math.floor(Math.abs(x) + 0.5);
  const clip = (x: number): number => Math.min(scheme.highest, Math.max(scheme.lowest, x)) + 0;
  const width = scheme.group === 'row' ? columns : scheme.group;
  const result = new Float32Array(w.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c += width) {
      const begin = r * columns + c;
      const group = [...w.subarray(begin, Math.min(begin + width, (r + 1) * columns))];
      const mean = group.reduce((sum, x) => sum + Math.abs(x), 0) / group.length;
      const extreme = group.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
      const write = (value: (x: number) => number): void => group.forEach((x, i) => (result[begin + i] = value(x)));
      if (scheme.bits === 1) write((x) => round(mean) * (x >= 0 ? 1 : -1));
      else if (scheme.bits === 2) write((x) => round(mean) * clip(awayFromZero(x / round(mean))));
      else if (scheme.asymmetric) {
        const minimum = round(Math.min(...group));
        const scale = round(Math.max(0, Math.max(...group) - minimum) / 15);
        write((x) => (scale === 0 ? minimum : minimum + scale * clip(awayFromZero((x - minimum) / scale))));
      } else {
        const scale = round(scheme.bits === 8 ? Math.abs(extreme) / 127 : extreme / -8);
        write((x) => scale * clip(awayFromZero(x / scale)));
      }
    }
  return result;
}

/** Rounds to binary16 through its definition: 11 significant bits, quantum 2^-24 at least, ties to even. */
class Float16 {
  readonly value: number;
  constructor(x: number) {
    const quantum = 2 ** Math.max(-24, Math.floor(Math.log2(Math.abs(x) || 1)) - 10);
    const units = x / quantum;
    const floor = Math.floor(units);
    const up = units - floor > 0.5 || (units - floor === 0.5 && floor % 2 !== 0);
    this.value = (up ? floor + 1 : floor) * quantum;
  }
}

const names = Object.keys(SCHEMES) as SchemeName[];
const coded = names.filter((name) => name !== 'f32');

describe.each(coded)('%s', (name) => {
  const scheme: Scheme = SCHEMES[name];
  it.each([
    [3, 300],
    [2, 128],
    [1, 1],
  ])('[%i, %i] follows its rule', (rows, columns) => {
    const w = gaussian(rows * columns, columns, 0.02);
    const positiveZeros = (m: Float32Array): Float32Array => m.map((x) => x + 0);
    const found = positiveZeros(dequantize(quantize(w, rows, columns, name)));
    expect(found).toEqual(positiveZeros(byTheTable(w, rows, columns, scheme)));
  });
  it('the search for the least squared error finds no more than the rule has', () => {
    const w = gaussian(8 * 512, 5);
    const rule = relativeError(dequantize(quantize(w, 8, 512, name)), w);
    const searched = relativeError(dequantize(quantize(w, 8, 512, name, { calibration: 'mse' })), w);
    expect(searched).toBeLessThanOrEqual(rule);
  });
  it('takes the bits that it promises on disk', () => {
    const bits = (packedBytes(name, 2304, 9216) * 8) / (2304 * 9216);
    expect(bits).toBeCloseTo(bitsPerWeight(scheme, 9216), 6);
    expect(Math.abs(bits / scheme.bits - 1)).toBeLessThan(scheme.asymmetric || scheme.bits === 4 ? 0.26 : 0.13);
  });
  it('what came out of codes goes into the same codes', () => {
    // BitNet's rule takes zeros into its mean: the search finds the scale that the values have.
    const options: QuantizeOptions = { calibration: name === 'q158' ? 'mse' : 'absmax' };
    const once = quantize(gaussian(4 * 300, 21), 4, 300, name);
    const again = quantize(dequantize(once), 4, 300, name, options);
    if (scheme.asymmetric) expect(relativeError(dequantize(again), dequantize(once))).toBeLessThan(1e-5);
    else expect(again.codes).toEqual(once.codes);
    if (!scheme.asymmetric && scheme.scaleType === 'f16') expect(again.scales).toEqual(once.scales);
  });
  it('zeros stay zeros where the scheme has a zero', () => {
    const zeros = dequantize(quantize(new Float32Array(64), 2, 32, name));
    expect([...zeros].every((x) => x === 0)).toBe(true);
  });
});

describe('the search', () => {
  it('reaches the optimum of Max (1960) and Lloyd for a Gaussian: three levels .1902, two levels .3634', () => {
    const w = gaussian(64 * 4096, 11);
    const error = (name: SchemeName): number =>
      relativeError(dequantize(quantize(w, 64, 4096, name, { calibration: 'mse' })), w);
    expect(error('q158')).toBeCloseTo(0.1902, 2);
    expect(error('q1')).toBeCloseTo(1 - 2 / Math.PI, 2);
  });
  it('spares the columns that matter', () => {
    const w = gaussian(32 * 32, 7);
    const importance = new Float32Array(32).fill(1e-3);
    importance[4] = 1;
    const column = (m: Float32Array): number[] => Array.from({ length: 32 }, (_, r) => m[r * 32 + 4]);
    const plain = dequantize(quantize(w, 32, 32, 'q4g32', { calibration: 'mse' }));
    const spared = dequantize(quantize(w, 32, 32, 'q4g32', { calibration: 'mse', importance }));
    expect(relativeError(column(spared), column(w))).toBeLessThan(0.2 * relativeError(column(plain), column(w)));
  });
});

describe('what no scheme can hold is refused', () => {
  it.each([NaN, Infinity, -Infinity])('%f', (bad) => {
    for (const name of names) {
      const w = gaussian(4 * 40, 1);
      w[2 * 40 + 37] = bad;
      expect(() => quantize(w, 4, 40, name)).toThrow(`the weight at row 2, column 37 is ${bad}`);
      expect(() => quantize(w, 4, 40, name, { calibration: 'mse' })).toThrow(`row 2, column 37`);
    }
  });
  it('sizes that do not fit, unknown schemes, scales beyond f16', () => {
    expect(() => quantize(new Float32Array(10), 3, 4, 'q8')).toThrow(/10 weights do not make 3 rows of 4 columns/);
    expect(() => quantize(new Float32Array(0), 0, 4, 'q8')).toThrow(/no matrix/);
    expect(() => quantize(new Float32Array(4), 1, 4, 'q5' as SchemeName)).toThrow(/no quantisation scheme "q5"/);
    expect(() => quantize(new Float32Array(32).fill(1e30), 1, 32, 'q4g32')).toThrow(/beyond f16/);
    expect(() =>
      quantize(new Float32Array(32), 1, 32, 'q8', { calibration: 'mse', importance: new Float32Array(3) }),
    ).toThrow(/3 importances for 32 columns/);
  });
});

describe('quantizeInput', () => {
  it('a8: absmax / 127 per token, half to even, with sums', () => {
    const x = new Float32Array([127, 0.5, 1.5, -2.5, 0, 0]);
    const { codes, scales, sums, paddedColumns } = quantizeInput(x, 2, 3, 'a8');
    expect(paddedColumns).toBe(32);
    expect([...codes.subarray(0, 3)]).toEqual([127, 0, 2]);
    expect(scales[0]).toBe(1);
    expect([...codes.subarray(32, 35)]).toEqual([-127, 0, 0]);
    expect(scales[1]).toBe(Math.fround(2.5 / 127));
    expect([...sums]).toEqual([129, 129, -127, -127]);
  });
  it('a8g32: a scale for each 32 columns', () => {
    const x = new Float32Array(40).fill(1);
    x[39] = -254;
    const { codes, scales, sums } = quantizeInput(x, 1, 40, 'a8g32');
    expect([...scales]).toEqual([Math.fround(1 / 127), 2]);
    expect(codes[0]).toBe(127);
    expect([...codes.subarray(32, 41)]).toEqual([0, 0, 0, 0, 0, 0, 0, -127, 0]);
    expect([...sums]).toEqual([32 * 127, -127, 31 * 127 + 0]);
  });
  it('a1: bit 8i + s of a word is column 4s + i, and padding is 0', () => {
    const x = new Float32Array(33).fill(-2);
    x[6] = 1;
    x[32] = 0;
    const { words, scales } = quantizeInput(x, 1, 33, 'a1');
    expect(scales[0]).toBe(Math.fround((31 * 2 + 2 - 1 + 0) / 33));
    expect(words[0] >>> 0).toBe(2 ** (8 * 2 + 1));
    expect(words[1]).toBe(1);
  });
});
