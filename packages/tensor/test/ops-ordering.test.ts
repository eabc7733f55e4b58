/** Order statistics against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const v = T.tensor([3, -1, 2, 0.5, 2]);
const i = T.tensor([
  [4, -2, 7],
  [0, 3, 3],
]);
const n = T.tensor([1, NaN, -2, 5]);

describe('order statistics', () => {
  it('the index of the first maximum along rows', () => {
    expectTensor(a.argmax(1), 'int64', [3], [2, 3, 1]);
  });
  it('minimum over a dimension with its place', () => {
    expectTensor(a.min(0).values, 'float32', [4], [-2, -1.25, -0.75, 0]);
  });
  it('places of the minimum over a dimension', () => {
    expectTensor(a.min(0).indices, 'int64', [4], [2, 0, 1, 2]);
  });
  it('a NaN is the maximum', () => {
    expectTensor(n.argmax(), 'int64', [], [1]);
  });
  it('sorting downwards', () => {
    expectTensor(
      a.sort(1, { descending: true }).values,
      'float32',
      [3, 4],
      [3, 2, 0.5, -1.25, 2, 1.5, 0.25, -0.75, 4, 1, 0, -2],
    );
  });
  it('stable order of equal elements', () => {
    expectTensor(v.argsort(), 'int64', [5], [1, 3, 2, 4, 0]);
  });
  it('the two smallest', () => {
    expectTensor(a.topk(2, { dim: 1, largest: false }).values, 'float32', [3, 2], [-1.25, 0.5, -0.75, 0.25, -2, 0]);
  });
  it('k-th value', () => {
    expectTensor(a.kthvalue(2, 0).values, 'float32', [4], [0.5, 0.25, 1, 2]);
  });
  it('the lower median of an even number', () => {
    expectTensor(a.median(1).values, 'float32', [3], [0.5, 0.25, 0]);
  });
  it('the median with a NaN', () => {
    expectTensor(n.median(), 'float32', [], [NaN]);
  });
  it('the median beside NaN', () => {
    expectTensor(n.nanmedian(), 'float32', [], [1]);
  });
  it('the most frequent value', () => {
    expectTensor(i.mode(1).values, 'int64', [2], [-2, 3]);
  });
  it('the place of the most frequent value', () => {
    expectTensor(i.mode(1).indices, 'int64', [2], [1, 2]);
  });
  it('quantiles of rows', () => {
    expectTensor(
      a.quantile(T.tensor([0.25, 0.6]), 1),
      'float32',
      [2, 3],
      [0.0625, 0, -0.5, 1.70000005, 1.25000012, 0.800000072],
    );
  });
  it('a quantile taken from the nearest element', () => {
    expectTensor(a.quantile(0.4, 1, { interpolation: 'nearest' }), 'float32', [3], [0.5, 0.25, 0]);
  });
  it('a quantile of the numbers beside NaN', () => {
    expectTensor(n.nanquantile(0.5), 'float32', [], [1]);
  });
});
