/** Gradients whose plans differ from those of the values before, or have groups of nodes of many ages: what random programs once found wrong. */
import '../src/index.ts';
import { grad } from '../src/index.ts';
import { fromArray, type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const values = Array.from({ length: 28 }, (_, i) => Math.sin(1.7 * i + 0.3));

function products(x: Tensor): Tensor {
  const sums = x.unfold(-2, 2, 2).tanh().amin([0]).sum(0);
  const a = sums.tanh();
  const b = a.matmul(a.transpose(-1, -2)).div(2);
  const c = b.tanh().matmul(b).div(7);
  const d = c.permute([1, 0]);
  return d.tanh().matmul(c).div(7);
}

describe('extremes that were read before their gradients', () => {
  // The gradient finds the means anew in a kernel of another form, whose sums may end in other bits.
  it.each([3, 5, 12, 33, 100])('of means of rows of %i', (width) => {
    const data = Float32Array.from({ length: 5 * 4 * width }, (_, i) => Math.sin(1.7 * i) + 0.1 * Math.cos(0.3 * i));
    const x = fromArray(data, [5, 4, width], 'float32').requiresGrad_();
    const larger = x.fmax(x);
    const means = larger.mean([1, 2]);
    const least = means.amin([0]);
    const lengths = least.hypot(larger);
    const [gradient] = grad(lengths.sin().mean().add(least.sin()), [x], { createGraph: true }) as [Tensor];
    for (const value of [means.topk(5).values, lengths, least]) value.toTypedArray();
    expect(gradient.toFlatArray().every(Number.isFinite)).toBe(true);
  });
});

describe('plans of second derivatives', () => {
  it('of products of products are made, and right', () => {
    const squareOfGradient = (data: readonly number[]): [Tensor, Tensor, Tensor] => {
      const x = fromArray(Float64Array.from(data), [2, 2, 7], 'float64').requiresGrad_();
      const y = products(x);
      const [first] = grad(y.sin().mean(), [x], { createGraph: true }) as [Tensor];
      return [y, first, x];
    };
    const [y, first, x] = squareOfGradient(values);
    const [second] = grad(first.square().sum(), [x]) as [Tensor];
    y.toTypedArray();
    first.toTypedArray();
    const found = second.toFlatArray();
    const total = (data: readonly number[]): number => squareOfGradient(data)[1].square().sum().item();
    const step = 1e-5;
    values.forEach((_, i) => {
      const moved = (by: number): number[] => values.map((v, j) => (i === j ? v + by : v));
      expect(found[i]).toBeCloseTo((total(moved(step)) - total(moved(-step))) / (2 * step), 8);
    });
  });
});
