/** Attention whose query heads share keys: stacked below each other in one product, it has the values and gradients of repeated keys. */
import '@proj/autograd';
import { fromArray, type Tensor } from '@proj/tensor';
import { expect, it } from 'vitest';
import { softmax } from '../src/functional.ts';

const [batch, groups, heads, length, size] = [4, 2, 4, 8, 3];

function leaf(shape: readonly number[], step: number): Tensor {
  const count = shape.reduce((product, n) => product * n, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(step * i));
  return fromArray(values, shape, 'float32').requiresGrad_();
}

function gradients(stacked: boolean): number[] {
  const query = leaf([batch, heads, length, size], 1.3);
  const key = leaf([batch, groups, length, size], 0.7);
  const repeat = [batch, groups, heads / groups, length, size];
  const group = (x: Tensor): Tensor => (stacked ? x.reshape([batch, groups, (heads / groups) * length, -1]) : x);
  const keys = stacked ? key : key.unsqueeze(2).expand(repeat).reshape([batch, heads, length, size]);
  const scores = group(query).matmul(keys.transpose(2, 3)).div(6).tanh().mul(3).reshape([batch, heads, length, length]);
  const mixed = group(softmax(scores, -1)).matmul(keys).reshape([batch, heads, length, size]);
  mixed.transpose(1, 2).square().sum().backward();
  return [query, key].flatMap(({ grad }) => (grad === null ? [] : Array.from(grad.toTypedArray(), Number)));
}

it('stacked heads have the gradients of repeated keys', () => {
  const [stacked, repeated] = [gradients(true), gradients(false)];
  expect(stacked).toHaveLength(batch * (heads + groups) * length * size);
  stacked.forEach((g, i) => expect(Math.abs(g - repeated[i])).toBeLessThan(1e-5));
});
