/** Writing through indices, views and in-place operations: what is written, and who sees it. */
import * as T from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const grid = (): T.Tensor => T.arange(12).reshape(3, 4).clone();

describe('writing', () => {
  it('between brackets reaches the tensor, and its views see it', () => {
    const x = grid();
    const row = x.select(0, 1);
    x.setIndex([1, { start: 1, stop: 3 }], T.tensor([-1, -2]));
    expect(row.toArray()).toEqual([4, -1, -2, 7]);
    x.setIndex([T.tensor([0, 2]), T.tensor([3, 0])], 50);
    expect(x.toArray()).toEqual([
      [0, 1, 2, 50],
      [4, -1, -2, 7],
      [50, 9, 10, 11],
    ]);
  });

  it('through a mask sets its elements only', () => {
    const x = grid();
    x.setIndex(x.gt(8), 0);
    expect(x.toArray()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 0, 0, 0],
    ]);
  });

  it('at equal indices adds up when accumulating', () => {
    const x = T.zeros(4);
    x.indexPut_([T.tensor([1, 1, 3])], T.tensor([1.5, 2.5, 4]), true);
    expect(x.toArray()).toEqual([0, 4, 0, 4]);
  });

  it('to a diagonal is seen by the matrix', () => {
    const x = T.zeros(3, 3);
    x.diagonal({ offset: 1 }).fill_(7);
    expect(x.toArray()).toEqual([
      [0, 7, 0],
      [0, 0, 7],
      [0, 0, 0],
    ]);
    x.fillDiagonal_(1);
    expect(x.toArray()).toEqual([
      [1, 7, 0],
      [0, 1, 7],
      [0, 0, 1],
    ]);
  });

  it('to parts of a split is seen by the whole', () => {
    const x = grid();
    const [left] = x.chunk(2, 1);
    left.zero_();
    expect(x.toArray()).toEqual([
      [0, 0, 2, 3],
      [0, 0, 6, 7],
      [0, 0, 10, 11],
    ]);
  });

  it('through a strided view reaches the memory', () => {
    const x = T.zeros(6);
    x.asStrided([2, 2], [3, 1], 1).fill_(1);
    expect(x.toArray()).toEqual([0, 1, 1, 0, 1, 1]);
  });

  it('changes shapes in place', () => {
    const x = T.arange(3);
    x.unsqueeze_(0).transpose_(0, 1);
    expect(x.shape).toEqual([3, 1]);
    x.squeeze_();
    x.add_(1);
    expect(x.toArray()).toEqual([1, 2, 3]);
  });

  it('scatters, selects and fills in place', () => {
    const x = T.zeros(2, 3);
    x.scatter_(1, T.tensor([[2], [0]]), 5).indexAdd_(1, T.tensor([1]), T.tensor([[1], [2]]).float());
    expect(x.toArray()).toEqual([
      [0, 1, 5],
      [5, 2, 0],
    ]);
    expect(x.maskedFill_(x.eq(5), -1).toArray()).toEqual([
      [0, 1, -1],
      [-1, 2, 0],
    ]);
  });

  it('refuses an index that is out of range', () => {
    expect(() => grid().index(3)).toThrow(/out of|of a dimension/);
    expect(() =>
      grid()
        .index(T.tensor([0, 3]))
        .toArray(),
    ).toThrow(/out of range/);
    expect(() =>
      grid()
        .gather(1, T.tensor([[0, 4]]))
        .toArray(),
    ).toThrow(/out of range/);
  });

  it('refuses an index of floats, and too many indices', () => {
    expect(() => grid().index(T.tensor([0.5]))).toThrow(/index/);
    expect(() => grid().index(0, 0, 0)).toThrow(/indices/);
  });
});
