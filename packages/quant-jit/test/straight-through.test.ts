/** Rounding in the forward pass, the estimator's gradient in the backward pass, and neurons that learn by it. */
import { type Tensor, tensor } from '@proj/tensor';
import '@proj/autograd';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  dequantizeInput,
  fakeQuantize,
  fakeQuantizeInput,
  NativeCodeNeuron,
  quantize,
  quantizeInput,
  type SchemeName,
  SCHEMES,
  signWords,
  straightThroughSign,
  xnorDot,
  xnorPopcountForward,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const matrix = (values: Float32Array, rows: number): Tensor => tensor(values).reshape([rows, values.length / rows]);
const leaf = (values: Float32Array, rows: number): Tensor => matrix(values, rows).detach().requiresGrad_();
const flat = (x: Tensor): number[] => x.flatten().toArray() as number[];

it('straightThroughSign: the sign forward, g · 1[|x| ≤ 1] backward', () => {
  const x = tensor([-3, -1, -0.5, -0, 0, 0.2, 1, 1.001]).requiresGrad_();
  const y = straightThroughSign(x);
  expect(flat(y)).toEqual([-1, -1, -1, 1, 1, 1, 1, 1]);
  y.mul(tensor([1, 2, 3, 4, 5, 6, 7, 8]))
    .sum()
    .backward();
  expect(flat(x.grad as Tensor)).toEqual([0, 2, 3, 4, 5, 6, 7, 0]);
});

describe.each(Object.keys(SCHEMES) as SchemeName[])('fakeQuantize %s', (name) => {
  it.each([
    [4, 256],
    [3, 150],
    [2, 20],
  ])('[%i, %i] is what the codes stand for', (rows, columns) => {
    const w = gaussian(rows * columns, columns, 0.3);
    const expected = dequantize(quantize(w, rows, columns, name));
    const found = flat(fakeQuantize(matrix(w, rows), name));
    // Division in float32 in place of a product in float64 moves a weight across a tie now and then.
    const scale = Math.max(...w.map(Math.abs)) * 1e-6;
    const different = found.filter((x, i) => Math.abs(x - expected[i]) > scale).length;
    expect(different).toBeLessThanOrEqual(1);
  });
  it('passes the gradient straight through', () => {
    const w = leaf(gaussian(512, 4, 0.2), 2);
    const upstream = matrix(gaussian(512, 5), 2);
    fakeQuantize(w, name).mul(upstream).sum().backward();
    const found = flat(w.grad as Tensor);
    const passed = flat(upstream).filter((g, i) => g === found[i]).length;
    // Signed extremes over -8: codes above 7.5 are clipped and get none.
    expect(passed).toBeGreaterThanOrEqual(500);
    expect(found.every((g, i) => g === 0 || g === flat(upstream)[i])).toBe(true);
  });
});

it('fakeQuantize stops the gradient of weights that are clipped', () => {
  const values = new Float32Array(32);
  values.set([-8, 7.9, 7.2, 7, 1]);
  const w = leaf(values, 1);
  const y = fakeQuantize(w, 'q4g32');
  expect(flat(y).slice(0, 5)).toEqual([-8, 7, 7, 7, 1]);
  y.sum().backward();
  expect(flat(w.grad as Tensor).slice(0, 5)).toEqual([1, 0, 1, 1, 1]);
});

it.each(['a8', 'a8g32', 'a1'] as const)('fakeQuantizeInput %s is what the codes stand for', (name) => {
  const x = gaussian(3 * 70, 8, 0.4);
  const expected = dequantizeInput(quantizeInput(x, 3, 70, name));
  const input = leaf(x, 3);
  const y = fakeQuantizeInput(input, name);
  flat(y).forEach((v, i) => expect(Math.abs(v - expected[i])).toBeLessThan(2e-6));
  y.sum().backward();
  expect(flat(input.grad as Tensor)).toEqual(Array.from(x, (v) => (name === 'a1' && Math.abs(v) > 1 ? 0 : 1)));
});

describe('signs as bits', () => {
  it('xnorDot is the product of signs at every width', () => {
    for (let n = 1; n <= 200; n++) {
      const a = gaussian(n, n);
      const b = gaussian(n, n + 1000);
      let expected = 0;
      for (let i = 0; i < n; i++) expected += (a[i] >= 0 ? 1 : -1) * (b[i] >= 0 ? 1 : -1);
      expect(xnorDot(signWords(a), signWords(b), n)).toBe(expected);
    }
  });
  it('xnorPopcountForward scales by both mean absolute values', () => {
    const x = new Float32Array([1, -2, 3]);
    const rows = [new Float32Array([1, 1, 1]), new Float32Array([-1, 1, 1])];
    const words = new Int32Array(rows.flatMap((row) => [...signWords(row)]));
    expect([...xnorPopcountForward(x, words, new Float32Array([1, 0.5]))]).toEqual([2, -1]);
  });
});

describe('NativeCodeNeuron', () => {
  it('changes its weights as autograd does through straightThroughSign', () => {
    const w = gaussian(40, 2, 0.6).map((v) => Math.max(-1, Math.min(1, v)));
    const x = gaussian(40, 3);
    const neuron = new NativeCodeNeuron(w, { bias: 0.25 });
    const latent = leaf(w, 1);
    const input = leaf(x, 1);
    const scale = w.reduce((sum, v) => sum + Math.abs(v), 0) / 40;
    const y = straightThroughSign(latent).mul(scale).mul(input).sum().add(0.25);
    expect(neuron.forward(x)).toBeCloseTo(y.item() as number, 4);
    y.mul(0.7).backward();
    const towardsInput = neuron.update(x, 0.7, 0.1);
    flat(input.grad as Tensor).forEach((g, i) => expect(towardsInput[i]).toBeCloseTo(g, 5));
    flat(latent.grad as Tensor).forEach((g, i) =>
      expect(neuron.latentWeights[i]).toBeCloseTo(Math.max(-1, Math.min(1, w[i] - 0.1 * g)), 5),
    );
    expect(neuron.bias).toBeCloseTo(0.25 - 0.07, 6);
  });
  it('finds the signs of a hidden binary neuron', () => {
    const hidden = gaussian(24, 77).map((v) => (v >= 0 ? 1 : -1));
    const neuron = new NativeCodeNeuron(gaussian(24, 78, 0.1));
    const target = (x: Float32Array): number => x.reduce((sum, v, i) => sum + v * hidden[i], 0) * 0.3;
    for (let step = 0; step < 4000; step++) {
      const x = gaussian(24, 1000 + step);
      neuron.update(x, neuron.forward(x) - target(x), 0.01);
    }
    expect(Array.from(hidden, (h, i) => Math.sign(neuron.weight(i)) === h).every(Boolean)).toBe(true);
    expect(neuron.scale).toBeCloseTo(0.3, 1);
    expect([...neuron.binaryWeights]).toEqual([...signWords(hidden)]);
    expect(neuron.latentWeights.every((v) => Math.abs(v) <= 1)).toBe(true);
  });
  it('with binary inputs it is scale · mean|x| · (n - 2 · popcount)', () => {
    const w = gaussian(50, 6, 0.5);
    const x = gaussian(50, 7);
    const neuron = new NativeCodeNeuron(w, { input: 'binary' });
    const mean = x.reduce((sum, v) => sum + Math.abs(v), 0) / 50;
    let dot = 0;
    for (let i = 0; i < 50; i++) dot += Math.sign(w[i]) * Math.sign(x[i]);
    expect(neuron.forward(x)).toBeCloseTo(neuron.scale * mean * dot, 5);
  });
});
