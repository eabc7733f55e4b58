/** Error feedback against the published procedure (GPTQ, algorithm 1: inverse Hessian, its Cholesky factor, updates of the columns that follow). */
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  Hessian,
  quantize,
  quantizeGptq,
  type Scheme,
  type SchemeName,
  SCHEMES,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

/** Inputs whose columns go together: a few factors and some noise. */
function correlatedInputs(tokens: number, columns: number, seed: number): Float32Array {
  const factors = 6;
  const z = gaussian(tokens * factors, seed);
  const loadings = gaussian(factors * columns, seed + 1);
  const noise = gaussian(tokens * columns, seed + 2, 0.3);
  return noise.map((n, at) => {
    const t = Math.floor(at / columns);
    let sum = n;
    for (let f = 0; f < factors; f++) sum += z[t * factors + f] * loadings[f * columns + (at % columns)];
    return sum;
  });
}

function outputError(x: Float32Array, w: Float32Array, q: Float32Array, columns: number): number {
  let error = 0;
  let power = 0;
  for (let t = 0; t < x.length / columns; t++)
    for (let r = 0; r < w.length / columns; r++) {
      let difference = 0;
      let value = 0;
      for (let c = 0; c < columns; c++) {
        difference += x[t * columns + c] * (q[r * columns + c] - w[r * columns + c]);
        value += x[t * columns + c] * w[r * columns + c];
      }
      error += difference ** 2;
      power += value ** 2;
    }
  return error / power;
}

type Matrix = number[][];

function inverse(a: Matrix): Matrix {
  const n = a.length;
  const m = a.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let k = 0; k < n; k++) {
    const pivot = m[k][k];
    for (let j = 0; j < 2 * n; j++) m[k][j] /= pivot;
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = m[i][k];
      for (let j = 0; j < 2 * n; j++) m[i][j] -= factor * m[k][j];
    }
  }
  return m.map((row) => row.slice(n));
}

/** U upper triangular with a = Uᵀ U. */
function upperCholesky(a: Matrix): Matrix {
  const n = a.length;
  const u: Matrix = a.map((row) => row.map(() => 0));
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      let sum = a[i][j];
      for (let k = 0; k < i; k++) sum -= u[k][i] * u[k][j];
      u[i][j] = i === j ? Math.sqrt(sum) : sum / u[i][i];
    }
  return u;
}

/** Algorithm 1 for the scheme q8 (one scale a row, from the weights as they were). */
function published(w: Float32Array, rows: number, columns: number, x: Float32Array, levels: number): number[] {
  const h: Matrix = Array.from({ length: columns }, (_, i) =>
    Array.from({ length: columns }, (_unused, j) => {
      let sum = 0;
      for (let t = 0; t < x.length / columns; t++) sum += x[t * columns + i] * x[t * columns + j];
      return sum;
    }),
  );
  const mean = h.reduce((sum, row, i) => sum + row[i], 0) / columns;
  h.forEach((row, i) => (row[i] += 0.01 * mean));
  const u = upperCholesky(inverse(h));
  const codes: number[] = [];
  for (let r = 0; r < rows; r++) {
    const row = [...w.subarray(r * columns, (r + 1) * columns)];
    const scale = Math.fround(Math.max(...row.map(Math.abs)) / levels);
    for (let j = 0; j < columns; j++) {
      const code = Math.max(-levels, Math.min(levels, Math.round(row[j] / scale)));
      codes.push(code + 0);
      const error = (row[j] - scale * code) / u[j][j];
      for (let k = j + 1; k < columns; k++) row[k] -= error * u[j][k];
    }
  }
  return codes;
}

const ROWS = 13;
const COLUMNS = 96;
const inputs = correlatedInputs(400, COLUMNS, 20);
const unseen = correlatedInputs(400, COLUMNS, 20).map((v, i) => v + 0.01 * Math.sin(i));
const weights = gaussian(ROWS * COLUMNS, 31, 0.05);
const hessian = new Hessian(COLUMNS).add(inputs.subarray(0, 150 * COLUMNS)).add(inputs.subarray(150 * COLUMNS));

describe('quantizeGptq', () => {
  it.each([
    ['8 bits', 127],
    ['4 bits', 7],
  ] as const)('gives the codes of the published procedure at %s', (_name, levels) => {
    const scheme: Scheme = { ...SCHEMES.q8, lowest: -levels, highest: levels };
    const { codes } = quantizeGptq(weights, ROWS, COLUMNS, scheme, { hessian });
    expect([...codes]).toEqual(published(weights, ROWS, COLUMNS, inputs, levels));
  });
  it.each(['q8', 'q4g32', 'q4g64', 'q4g32a', 'q158', 'q1', 'q1g128'] as SchemeName[])(
    '%s: a smaller error of the output than rounding each weight on its own',
    (name) => {
      const rounded = outputError(unseen, weights, dequantize(quantize(weights, ROWS, COLUMNS, name)), COLUMNS);
      for (const options of [{}, { actOrder: true }, { calibration: 'mse' as const }]) {
        const fed = dequantize(quantizeGptq(weights, ROWS, COLUMNS, name, { hessian, ...options }));
        expect(outputError(unseen, weights, fed, COLUMNS)).toBeLessThan(0.7 * rounded);
      }
    },
  );
  it('without correlation there is nothing to feed back', () => {
    const identity = new Float32Array(COLUMNS * COLUMNS);
    for (let i = 0; i < COLUMNS; i++) identity[i * (COLUMNS + 1)] = 1;
    const plain = new Hessian(COLUMNS).add(identity);
    for (const name of ['q4g32', 'q158'] as const)
      expect(quantizeGptq(weights, ROWS, COLUMNS, name, { hessian: plain }).codes).toEqual(
        quantize(weights, ROWS, COLUMNS, name).codes,
      );
  });
  it('inputs that are always zero do no harm', () => {
    const some = inputs.map((x, i) => (i % COLUMNS < 10 ? 0 : x));
    const fed = quantizeGptq(weights, ROWS, COLUMNS, 'q4g32', { hessian: new Hessian(COLUMNS).add(some) });
    expect(dequantize(fed).every(Number.isFinite)).toBe(true);
    const none = new Hessian(COLUMNS).add(new Float32Array(COLUMNS));
    expect(quantizeGptq(weights, ROWS, COLUMNS, 'q8', { hessian: none }).codes).toEqual(
      quantize(weights, ROWS, COLUMNS, 'q8').codes,
    );
  });
  it('spans are independent', () => {
    const columns = 300;
    const wide = correlatedInputs(50, columns, 3);
    const spans = new Hessian(columns, { span: 128 }).add(wide);
    expect(spans.blocks.map(({ begin, end }) => [begin, end])).toEqual([
      [0, 128],
      [128, 256],
      [256, 300],
    ]);
    const w = gaussian(2 * columns, 9);
    const whole = quantizeGptq(w, 2, columns, 'q4g32', { hessian: spans });
    const first = new Float32Array(2 * 128);
    for (let r = 0; r < 2; r++) first.set(w.subarray(r * columns, r * columns + 128), r * 128);
    const part = new Hessian(128).add(
      Float32Array.from({ length: 50 * 128 }, (_, i) => wide[Math.floor(i / 128) * columns + (i % 128)]),
    );
    const alone = quantizeGptq(first, 2, 128, 'q4g32', { hessian: part });
    expect(whole.codes.subarray(0, 128)).toEqual(alone.codes.subarray(0, 128));
  });
  it('the error of the output follows from the Hessian', () => {
    const rounded = dequantize(quantize(weights, ROWS, COLUMNS, 'q4g32'));
    const found = hessian.outputError(weights, rounded);
    const expected = outputError(inputs, weights, rounded, COLUMNS);
    expect(found / expected).toBeCloseTo(1, 6);
    expect(hessian.outputError(weights, weights)).toBe(0);
    expect(hessian.outputError(weights, rounded, 4) / expected).toBeCloseTo(1, 0);
  });
  it('refuses what does not fit', () => {
    expect(() => quantizeGptq(weights, ROWS, COLUMNS, 'q8', { hessian: new Hessian(64) })).toThrow(
      /64 columns for a matrix of 96/,
    );
    expect(() => new Hessian(4).add(new Float32Array(6))).toThrow(/6 inputs/);
    expect(() => new Hessian(4).add(new Float32Array([1, NaN, 0, 0]))).toThrow(/input 0 is NaN at column 1/);
    const bad = weights.slice();
    bad[COLUMNS + 40] = NaN;
    for (const name of ['q4g32', 'q8'] as const)
      expect(() => quantizeGptq(bad, ROWS, COLUMNS, name, { hessian })).toThrow(/row 1, column 40 is NaN/);
  });
});
