/** Strides and offsets of views, and which reshapes copy: as PyTorch 1.13.1 answers. */
import { describe, expect, it } from 'vitest';
import { arange, isSetTo, type Tensor } from '@proj/tensor';

const base = (): Tensor => arange(24, { dtype: 'float32' }).reshape([2, 3, 4]);

interface Answer {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  readonly isContiguous: boolean;
}
const answer = (
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  isContiguous = false,
): Answer => ({
  shape,
  strides,
  offset,
  isContiguous,
});

const VIEWS: Readonly<Record<string, readonly [(x: Tensor) => Tensor, Answer]>> = {
  'transpose(0, 2)': [(x) => x.transpose(0, 2), answer([4, 3, 2], [1, 4, 12], 0)],
  'permute and select': [(x) => x.permute(2, 0, 1).select(0, 1), answer([2, 3], [12, 4], 1)],
  'slices with steps': [(x) => x.slice(1, 1).slice(2, 0, null, 2), answer([2, 2, 2], [12, 4, 2], 4)],
  'numbers and a slice': [(x) => x.index(1, {}, 1), answer([3], [4], 13)],
  'expand of a new dimension': [(x) => x.unsqueeze(1).expand(2, 5, 3, 4), answer([2, 5, 3, 4], [12, 0, 4, 1], 0)],
  'expand of a slice': [(x) => x.slice(1, 0, 1).expand(2, 3, 4), answer([2, 3, 4], [12, 0, 1], 0)],
  'expand to more dimensions': [(x) => x.expand(1, 2, 3, 4), answer([1, 2, 3, 4], [24, 12, 4, 1], 0, true)],
  unfold: [(x) => x.unfold(2, 2, 1), answer([2, 3, 3, 2], [12, 4, 1, 1], 0)],
  'diagonal above': [(x) => x.diagonal({ offset: 1, dim1: 0, dim2: 2 }), answer([3, 2], [4, 13], 1)],
  'diagonal below': [(x) => x.diagonal({ offset: -1, dim1: 1, dim2: 2 }), answer([2, 2], [12, 5], 4)],
  'reshape that splits a run': [(x) => x.transpose(1, 2).reshape([2, 2, 2, 3]), answer([2, 2, 2, 3], [12, 2, 1, 4], 0)],
  'reshape that copies': [(x) => x.transpose(0, 1).reshape([6, 4]), answer([6, 4], [4, 1], 0, true)],
  't and unsqueeze': [(x) => x.select(0, 0).t().unsqueeze(1), answer([4, 1, 3], [1, 12, 4], 0)],
  't of one row': [(x) => x.index(0, { stop: 1 }).t(), answer([4, 1], [1, 4], 0, true)],
  'no elements': [(x) => x.slice(0, 0, 0), answer([0, 3, 4], [12, 4, 1], 0, true)],
  'asStrided from the storage': [(x) => x.asStrided([2, 2], [1, 5], 3), answer([2, 2], [1, 5], 3)],
  'asStrided from where a view begins': [(x) => x.select(0, 1).asStrided([2, 2], [1, 5]), answer([2, 2], [1, 5], 12)],
  'flatten that copies': [(x) => x.movedim(0, -1).flatten(1), answer([3, 8], [8, 1], 0, true)],
  'flatten of evenly spaced rows': [(x) => x.slice(2, 1, 3).flatten(0, 1), answer([6, 2], [4, 1], 1)],
  squeeze: [(x) => x.slice(1, 0, 1).slice(2, 1, 3).squeeze(), answer([2, 2], [12, 1], 1)],
};

describe('layout', () => {
  it.each(Object.entries(VIEWS))('%s', (_, [see, expected]) => {
    const view = see(base());
    expect({
      shape: view.shape,
      strides: view.stride(),
      offset: view.storageOffset(),
      isContiguous: view.isContiguous(),
    }).toEqual(expected);
  });

  it.each(Object.entries(VIEWS))('asStrided shows the elements of %s', (_, [see]) => {
    const x = base();
    const view = see(x);
    if (view.storage !== x.storage) return expect(see(x).isContiguous()).toBe(true);
    const strided = x.asStrided([...view.shape], view.stride() as number[], view.storageOffset());
    expect(strided.toArray()).toEqual(view.toArray());
    expect(isSetTo(strided, view)).toBe(true);
  });

  it('copies where strides cannot show the shape, so that writes do not reach the original', () => {
    const x = base();
    x.transpose(0, 1).reshape([6, 4]).zero_();
    x.transpose(0, 1).flatten().zero_();
    x.transpose(0, 1).contiguous().zero_();
    expect(x.sum().item()).toBe(276);
    x.transpose(0, 1).transpose(0, 1).contiguous().reshape([6, 4]).zero_();
    expect(x.sum().item()).toBe(0);
  });
});
