/** Running reductions and differences against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const v = T.tensor([3, -1, 2, 0.5, 2]);

describe('running reductions and differences', () => {
  it('running sums down columns', () => {
    expectTensor(a.cumsum(0), 'float32', [3, 4], [0.5, -1.25, 3, 2, 2, -1, 2.25, 4, 0, 3, 3.25, 4]);
  });
  it('running products of integers are int64', () => {
    expectTensor(
      T.tensor(
        [
          [1, 2],
          [3, 4],
        ],
        { dtype: 'int32' },
      ).cumprod(1),
      'int64',
      [2, 2],
      [1, 2, 3, 12],
    );
  });
  it('running maximum', () => {
    expectTensor(a.cummax(1).values, 'float32', [3, 4], [0.5, 0.5, 3, 3, 1.5, 1.5, 1.5, 2, -2, 4, 4, 4]);
  });
  it('places of the running minimum', () => {
    expectTensor(v.cummin(0).indices, 'int64', [5], [0, 1, 1, 1, 1]);
  });
  it('running log-sum-exp of large numbers', () => {
    expectTensor(T.tensor([1000, 1001, 999.5]).logcumsumexp(0), 'float32', [3], [1000, 1001.31323, 1001.46436]);
  });
  it('second differences', () => {
    expectTensor(a.diff({ n: 2 }), 'float32', [3, 2], [6, -5.25, 0.25, 3.75, -9, 2]);
  });
  it('differences of booleans', () => {
    expectTensor(T.tensor([true, false, false, true]).diff(), 'bool', [3], [1, 0, 1]);
  });
  it('a gradient on uneven coordinates', () => {
    expectTensor(
      T.gradient(v, { spacing: [T.tensor([0, 1, 3, 4, 7])] })[0],
      'float32',
      [5],
      [-4, -2.16666675, -0.49999997, -0.99999994, 0.5],
    );
  });
  it('a gradient of second order at the edges', () => {
    expectTensor(T.gradient(v, { spacing: 0.5, edgeOrder: 2 })[0], 'float32', [5], [-15, -1, 1.5, 0, 6]);
  });
  it('an integral by trapezoids', () => {
    expectTensor(T.trapezoid(a, T.tensor([0, 1, 3, 4])), 'float32', [3], [3.875, 1, 6.5]);
  });
  it('a running integral', () => {
    expectTensor(
      T.cumulativeTrapezoid(a, null, { dx: 0.5 }),
      'float32',
      [3, 3],
      [-0.1875, 0.25, 1.5, 0.4375, 0.3125, 0.625, 0.5, 1.75, 2],
    );
  });
});
