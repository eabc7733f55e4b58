/** Indexing and scattering against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const i = T.tensor([
  [4, -2, 7],
  [0, 3, 3],
]);

describe('indexing and scattering', () => {
  it('rows by a list', () => {
    expectTensor(a.index([2, 0]), 'float32', [2, 4], [-2, 4, 1, 0, 0.5, -1.25, 3, 2]);
  });
  it('a slice with a step and a new dimension', () => {
    expectTensor(a.index(null, { start: 0, stop: 3, step: 2 }, '...', -1), 'float32', [1, 2], [2, 0]);
  });
  it('pairs of indices', () => {
    expectTensor(a.index(T.tensor([0, 2]), T.tensor([3, -3])), 'float32', [2], [2, 4]);
  });
  it('separated index tensors come first', () => {
    expectTensor(
      T.arange(24)
        .reshape(2, 3, 4)
        .index(T.tensor([0, 1]), {}, T.tensor([3, 1])),
      'int64',
      [2, 3],
      [3, 7, 11, 13, 17, 21],
    );
  });
  it('adjacent index tensors stay in place', () => {
    expectTensor(
      T.arange(24)
        .reshape(2, 3, 4)
        .index({}, T.tensor([[0, 2]]), T.tensor([3, 1]))
        .squeeze(1),
      'int64',
      [2, 2],
      [3, 9, 15, 21],
    );
  });
  it('a mask', () => {
    expectTensor(a.index(a.gt(1)), 'float32', [5], [3, 2, 1.5, 2, 4]);
  });
  it('a mask of rows', () => {
    expectTensor(a.index(T.tensor([true, false, true])), 'float32', [2, 4], [0.5, -1.25, 3, 2, -2, 4, 1, 0]);
  });
  it('gather', () => {
    expectTensor(
      a.gather(
        1,
        T.tensor([
          [3, 0],
          [1, 1],
          [2, 3],
        ]),
      ),
      'float32',
      [3, 2],
      [2, 0.5, 0.25, 0.25, 1, 0],
    );
  });
  it('scattered sums', () => {
    expectTensor(
      T.zeros(3, 4).scatterAdd(
        1,
        T.tensor([
          [0, 0, 2],
          [3, 3, 3],
        ]),
        T.tensor(
          [
            [1, 2, 3],
            [4, 5, 6],
          ],
          { dtype: 'float32' },
        ),
      ),
      'float32',
      [3, 4],
      [3, 0, 3, 0, 0, 0, 0, 15, 0, 0, 0, 0],
    );
  });
  it('scattered means without what was there', () => {
    expectTensor(
      a.scatterReduce(
        0,
        T.tensor([
          [0, 1, 1, 0],
          [0, 2, 1, 0],
        ]),
        T.tensor(
          [
            [1, 2, 3, 4],
            [5, 6, 7, 8],
          ],
          { dtype: 'float32' },
        ),
        'mean',
        { includeSelf: false },
      ),
      'float32',
      [3, 4],
      [3, -1.25, 3, 6, 1.5, 2, 5, 2, -2, 6, 1, 0],
    );
  });
  it('rows added', () => {
    expectTensor(
      a.indexAdd(0, T.tensor([0, 0]), T.ones(2, 4), { alpha: 2.5 }),
      'float32',
      [3, 4],
      [5.5, 3.75, 8, 7, 1.5, 0.25, -0.75, 2, -2, 4, 1, 0],
    );
  });
  it('columns filled', () => {
    expectTensor(
      a.indexFill(1, T.tensor([1, -1]), 9),
      'float32',
      [3, 4],
      [0.5, 9, 3, 9, 1.5, 9, -0.75, 9, -2, 9, 1, 9],
    );
  });
  it('elements taken along a dimension', () => {
    expectTensor(
      a.takeAlongDim(a.argsort(0), 0),
      'float32',
      [3, 4],
      [-2, -1.25, -0.75, 0, 0.5, 0.25, 1, 2, 1.5, 4, 3, 2],
    );
  });
  it('elements put at places of the flattened tensor', () => {
    expectTensor(
      a.put(T.tensor([0, -1]), T.tensor([10, 20], { dtype: 'float32' })),
      'float32',
      [3, 4],
      [10, -1.25, 3, 2, 1.5, 0.25, -0.75, 2, -2, 4, 1, 20],
    );
  });
  it('a masked scatter takes its elements in order', () => {
    expectTensor(
      a.maskedScatter(a.lt(0), T.tensor([7, 8, 9, 10], { dtype: 'float32' })),
      'float32',
      [3, 4],
      [0.5, 7, 3, 2, 1.5, 0.25, 8, 2, 9, 4, 1, 0],
    );
  });
  it('coordinates of what is not zero', () => {
    expectTensor(a.sub(2).nonzero(), 'int64', [10, 2], [0, 0, 0, 1, 0, 2, 1, 0, 1, 1, 1, 2, 2, 0, 2, 1, 2, 2, 2, 3]);
  });
  it('different values with counts', () => {
    expectTensor((i.unique({ returnCounts: true }) as T.Tensor[])[1], 'int64', [5], [1, 1, 2, 1, 1]);
  });
  it('different rows with their places', () => {
    expectTensor(
      (
        T.tensor([
          [1, 2],
          [0, 1],
          [1, 2],
        ]).unique({ dim: 0, returnInverse: true }) as T.Tensor[]
      )[1],
      'int64',
      [3],
      [1, 0, 1],
    );
  });
  it('neighbours merged', () => {
    expectTensor(T.tensor([1, 1, 2, 1]).uniqueConsecutive() as T.Tensor, 'int64', [3], [1, 2, 1]);
  });
});
