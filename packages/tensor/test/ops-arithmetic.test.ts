/** Arithmetic against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);

describe('arithmetic', () => {
  it('halfway by weight', () => {
    expectTensor(
      a.lerp(a.neg(), 0.75),
      'float32',
      [3, 4],
      [-0.25, 0.625, -1.5, -1, -0.75, -0.125, 0.375, -1, 1, -2, -0.5, 0],
    );
  });
  it('the length of large legs', () => {
    expectTensor(T.tensor([3e30, 0.5]).hypot(T.tensor([4e30, 1.2])), 'float32', [2], [4.99999992e30, 1.30000007]);
  });
  it.each(['float32', 'float64', 'float16'] as const)('the length of whole legs is exact: %s', (dtype) => {
    const [x, y] = [T.tensor([5, 8, 45, 0], { dtype }), T.tensor([12, -15, 108, 0], { dtype })];
    expect(x.hypot(y).toFlatArray()).toEqual([13, 17, 117, 0]);
  });
  it('the length of the least and of the greatest legs', () => {
    const x = T.tensor([3 * 2 ** -1074, 3 * 2 ** 1020, 3 * 2 ** -600, -Infinity], { dtype: 'float64' });
    const y = T.tensor([4 * 2 ** -1074, 4 * 2 ** 1020, 4 * 2 ** -600, NaN], { dtype: 'float64' });
    expect(x.hypot(y).toFlatArray()).toEqual([5 * 2 ** -1074, 5 * 2 ** 1020, 5 * 2 ** -600, Infinity]);
    const single = T.tensor([3 * 2 ** -149, 3 * 2 ** 125, 3 * 2 ** -70]);
    expect(single.hypot(single.mul(4 / 3)).toFlatArray()).toEqual([5 * 2 ** -149, 5 * 2 ** 125, 5 * 2 ** -70]);
  });
  it('log-add-exp of infinities', () => {
    expectTensor(
      T.tensor([-Infinity, 700]).logaddexp(T.tensor([-Infinity, 701])),
      'float32',
      [2],
      [-Infinity, 701.313232],
    );
  });
  it('0 log 0', () => {
    expectTensor(T.tensor([0, 0, 2]).xlogy(T.tensor([0, NaN, 3])), 'float32', [3], [0, NaN, 2.19722462]);
  });
  it('step at zero', () => {
    expectTensor(T.tensor([-1, 0, 2]).heaviside(T.tensor([5, 6, 7])), 'int64', [3], [0, 6, 1]);
  });
  it('signs of zeros', () => {
    expectTensor(T.tensor([0, 1.5, -1.5]).copysign(T.tensor([-0.0, -2, 2.5])), 'float32', [3], [-0, -1.5, 1.5]);
  });
  it('the next number', () => {
    expectTensor(
      T.tensor([1, 0, -1.5]).nextafter(T.tensor([2, -1, Infinity])),
      'float32',
      [3],
      [1.00000012, -1.40129846e-45, -1.49999988],
    );
  });
  it('mantissas', () => {
    expectTensor(T.tensor([10, -0.3, 0]).frexp().mantissa, 'float32', [3], [0.625, -0.600000024, 0]);
  });
  it('exponents', () => {
    expectTensor(T.tensor([10, -0.3, 0]).frexp().exponent, 'int32', [3], [4, -1, 0]);
  });
  it('NaN and infinities replaced', () => {
    expectTensor(
      T.tensor([NaN, Infinity, -Infinity, 1.5]).nanToNum({ nan: 7, posinf: 8 }),
      'float32',
      [4],
      [7, 8, -3.40282347e38, 1.5],
    );
  });
  it('greatest common divisors', () => {
    expectTensor(T.tensor([12, -18, 0]).gcd(T.tensor([18, 12, 5])), 'int64', [3], [6, 6, 5]);
  });
  it('least common multiples', () => {
    expectTensor(T.tensor([4, -6, 0]).lcm(T.tensor([6, 4, 5])), 'int64', [3], [12, 12, 0]);
  });
  it('sinc near and at zero', () => {
    expectTensor(T.tensor([0, 1e-4, 0.5, -1.5]).sinc(), 'float32', [4], [1, 1, 0.636619747, -0.212206587]);
  });
  it('integers spaced as PyTorch spaces them', () => {
    expectTensor(
      T.linspace(50, 0, 50, { dtype: 'int64' }).narrow(0, 0, 10),
      'int64',
      [10],
      [50, 48, 47, 46, 45, 43, 42, 41, 41, 39],
    );
  });
});

describe('integers at their limits', () => {
  const least: Record<string, bigint> = { int8: -128n, int16: -32768n, int32: -(2n ** 31n), int64: -(2n ** 63n) };
  it.each(Object.keys(least))('%s: the least one divided by -1 wraps, whatever divided by 0 is 0', (name) => {
    const dtype = name as T.DType;
    const x = T.tensor([least[name], 7n, -7n], { dtype });
    const all = (y: T.Tensor): (readonly bigint[])[] =>
      [x.div(y, { roundingMode: 'trunc' }), x.floorDivide(y), x.remainder(y), x.fmod(y)].map((result) =>
        [...result.toTypedArray()].map(BigInt),
      );
    expect(all(T.tensor([-1, -1, -1], { dtype }))).toEqual([
      [least[name], -7n, 7n],
      [least[name], -7n, 7n],
      [0n, 0n, 0n],
      [0n, 0n, 0n],
    ]);
    expect(all(T.tensor([0, 0, 0], { dtype }))).toEqual(Array.from({ length: 4 }, () => [0n, 0n, 0n]));
  });
  it('shifts take the low bits of the count, as a processor does', () => {
    const by = T.tensor([31, 32, 33, -1]);
    const x = T.tensor([1, 5, 100, 5], { dtype: 'int32' });
    const shifts = by.to('int32');
    expect(x.bitwiseLeftShift(shifts).toFlatArray()).toEqual([-2147483648, 5, 200, -2147483648]);
    expect(x.neg().bitwiseRightShift(shifts).toFlatArray()).toEqual([-1, -5, -50, -1]);
  });
  it('floats beyond the range saturate in int32 and int64', () => {
    const x = T.tensor([3e9, -3e9, 1e30, -1e30, Infinity, NaN], { dtype: 'float64' });
    expect(x.to('int32').toFlatArray()).toEqual([2147483647, -2147483648, 2147483647, -2147483648, 2147483647, 0]);
    expect([...x.to('int64').toTypedArray()]).toEqual([
      3000000000n,
      -3000000000n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      2n ** 63n - 1n,
      0n,
    ]);
  });
});
