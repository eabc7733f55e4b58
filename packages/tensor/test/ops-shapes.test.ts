/** Shapes against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const v = T.tensor([3, -1, 2, 0.5, 2]);

describe('shapes', () => {
  it('blocks along a diagonal', () => {
    expectTensor(
      T.blockDiag(T.tensor([[1, 2]]), T.tensor([3]), T.tensor([[4], [5]])),
      'int64',
      [4, 4],
      [1, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 4, 0, 0, 0, 5],
    );
  });
  it('parts of unequal size', () => {
    expectTensor(
      T.cat(a.tensorSplit(3, 1).map((x) => x.sum(1))),
      'float32',
      [9],
      [-0.75, 1.75, 2, 3, -0.75, 1, 2, 2, 0],
    );
  });
  it('repeated in blocks and tiled', () => {
    expectTensor(
      v.repeat(2, 2),
      'float32',
      [2, 10],
      [3, -1, 2, 0.5, 2, 3, -1, 2, 0.5, 2, 3, -1, 2, 0.5, 2, 3, -1, 2, 0.5, 2],
    );
  });
  it('each row its own number of times', () => {
    expectTensor(
      a.repeatInterleave(T.tensor([2, 0, 1]), { dim: 0 }),
      'float32',
      [3, 4],
      [0.5, -1.25, 3, 2, 0.5, -1.25, 3, 2, -2, 4, 1, 0],
    );
  });
  it('rolled over two dimensions', () => {
    expectTensor(a.roll([1, -1], [0, 1]), 'float32', [3, 4], [4, 1, 0, -2, -1.25, 3, 2, 0.5, 0.25, -0.75, 2, 1.5]);
  });
  it('a quarter turn back', () => {
    expectTensor(a.rot90(-1), 'float32', [4, 3], [-2, 1.5, 0.5, 4, 0.25, -1.25, 1, -0.75, 3, 0, 2, 2]);
  });
  it('grids in Cartesian order', () => {
    expectTensor(
      T.meshgrid(T.tensor([1, 2, 3]), T.tensor([4, 5]), { indexing: 'xy' })[0],
      'int64',
      [2, 3],
      [1, 2, 3, 1, 2, 3],
    );
  });
  it('combinations with replacement', () => {
    expectTensor(
      T.combinations(T.tensor([1, 2, 3]), { withReplacement: true }),
      'int64',
      [6, 2],
      [1, 1, 1, 2, 1, 3, 2, 2, 2, 3, 3, 3],
    );
  });
  it('a diagonal below the main one', () => {
    expectTensor(a.diagonal({ offset: -1 }), 'float32', [2], [1.5, 4]);
  });
  it('diagonals embedded beside the main one', () => {
    expectTensor(
      a.diagEmbed({ offset: 1, dim1: 0, dim2: 2 }),
      'float32',
      [5, 3, 5],
      [
        0, 0.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, -2, 0, 0, 0, 0, 0, -1.25, 0, 0, 0, 0, 0.25, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0,
        3, 0, 0, 0, 0, -0.75, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0,
      ],
    );
  });
  it('the upper triangle', () => {
    expectTensor(a.triu(1), 'float32', [3, 4], [0, -1.25, 3, 2, 0, 0, -0.75, 2, 0, 0, 0, 0]);
  });
  it('windows', () => {
    expectTensor(v.unfold(0, 3, 2), 'float32', [2, 3], [3, -1, 2, 2, 0.5, 2]);
  });
  it('a strided view of the memory', () => {
    expectTensor(a.asStrided([2, 3], [1, 4], 1), 'float32', [2, 3], [-1.25, 0.25, 4, 3, -0.75, 1]);
  });
  it('a column replaced', () => {
    expectTensor(
      a.selectScatter(T.tensor([7, 8, 9], { dtype: 'float32' }), 1, -2),
      'float32',
      [3, 4],
      [0.5, -1.25, 7, 2, 1.5, 0.25, 8, 2, -2, 4, 9, 0],
    );
  });
  it('padding that cuts', () => {
    expectTensor(
      a.constantPadNd([-1, 1, 1, 0], 5),
      'float32',
      [4, 4],
      [5, 5, 5, 5, -1.25, 3, 2, 5, 0.25, -0.75, 2, 5, 4, 1, 0, 5],
    );
  });
  it('moved dimensions', () => {
    expectTensor(T.arange(6).reshape(1, 2, 3).movedim([0, 1], [2, 0]).reshape(-1), 'int64', [6], [0, 1, 2, 3, 4, 5]);
  });
});
