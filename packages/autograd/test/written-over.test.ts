/** Gradients where values are written over as a whole, and second derivatives where two values are equal. */
import '../src/index.ts';
import { grad } from '../src/index.ts';
import { hypot, logaddexp, logaddexp2, ones, type Tensor, tensor, zeros } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const leaf = (values: readonly number[]): Tensor => tensor(values, { dtype: 'float32', requiresGrad: true });

describe('a value that is written over with what requires no gradient', () => {
  it.each<[string, (y: Tensor) => void]>([
    ['zero_', (y) => void y.zero_()],
    ['fill_', (y) => void y.fill_(3)],
    ['copy_', (y) => void y.copy_(ones(2))],
    ['zero_ of a view of all', (y) => void y.reshape(2, 1).zero_()],
  ])('still requires one, and gives zero: %s', (_, write) => {
    const x = leaf([1, NaN]);
    const y = x.mul(2);
    write(y);
    expect(y.requiresGrad).toBe(true);
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual([0, 0]);
    expect(y.toFlatArray().every(Number.isFinite)).toBe(true);
  });
  it('requires none where recording is off, or never did', () => {
    const plain = zeros(2).add(1);
    plain.zero_();
    expect(plain.requiresGrad).toBe(false);
  });
});

describe('second derivatives where both operands are equal', () => {
  it.each<[string, (a: Tensor, b: Tensor) => Tensor, (v: number) => number]>([
    ['logaddexp', logaddexp, () => 1 / 4],
    ['logaddexp2', logaddexp2, () => Math.LN2 / 4],
    ['hypot', hypot, (v) => 1 / (2 * Math.SQRT2 * Math.abs(v))],
  ])('%s', (_, f, second) => {
    const values = [0.75, -3];
    const a = leaf(values);
    const [first] = grad(f(a, leaf(values)).sum(), [a], { createGraph: true });
    const [found] = grad((first as Tensor).sum(), [a]);
    (found as Tensor).toFlatArray().forEach((v, i) => expect(v).toBeCloseTo(second(values[i]), 6));
  });
});

describe('a copy that is written to', () => {
  it.each<[string, (t: Tensor) => Tensor]>([
    ['of a detached tensor', (t) => t.detach()],
    ['of a view', (t) => t.detach().narrow(0, 0, 2)],
  ])('leaves what gradients need of its original: %s', (_, view) => {
    const x = leaf([1, 2]);
    const seen = view(x.mul(3));
    const product = seen.mul(x);
    const copy = seen.clone();
    copy.square_();
    product.sum().backward();
    expect([x.grad?.toArray(), copy.toArray()]).toEqual([
      [3, 6],
      [9, 36],
    ]);
  });
});
