/** Statistics against figures of PyTorch 1.13. */
import * as T from '@proj/tensor';
import { describe, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const a = T.tensor([
  [0.5, -1.25, 3, 2],
  [1.5, 0.25, -0.75, 2],
  [-2, 4, 1, 0],
]);
const v = T.tensor([3, -1, 2, 0.5, 2]);
const n = T.tensor([1, NaN, -2, 5]);

describe('statistics', () => {
  it('log-sum-exp', () => {
    expectTensor(a.logsumexp(1), 'float32', [3], [3.38132858, 2.61206317, 4.06820202]);
  });
  it('softmax', () => {
    expectTensor(
      a.softmax(0),
      'float32',
      [3, 4],
      [
        0.263132513, 0.00510079227, 0.862922192, 0.468310535, 0.715268314, 0.0228601657, 0.0202939846, 0.468310535,
        0.0215992313, 0.972038984, 0.116783813, 0.0633789375,
      ],
    );
  });
  it('log-softmax of large numbers', () => {
    expectTensor(
      T.tensor([1e4, 1e4 + 1])
        .float()
        .logSoftmax(0),
      'float32',
      [2],
      [-1.31326163, -0.313261658],
    );
  });
  it('sums beside NaN', () => {
    expectTensor(n.nansum(), 'float32', [], [4]);
  });
  it('means beside NaN', () => {
    expectTensor(n.nanmean(), 'float32', [], [1.33333337]);
  });
  it('counts of what is not zero', () => {
    expectTensor(a.countNonzero(1), 'int64', [3], [4, 4, 3]);
  });
  it('the 3-norm of columns', () => {
    expectTensor(a.norm(3, 0), 'float32', [4], [2.25717878, 4.04060221, 3.05176377, 2.51984215]);
  });
  it('the norm of order infinity', () => {
    expectTensor(a.norm(Infinity, 1), 'float32', [3], [3, 2, 4]);
  });
  it('distances of all pairs', () => {
    expectTensor(T.cdist(a, a.narrow(0, 0, 2), 1), 'float32', [3, 2], [0, 6.25, 6.25, 0, 11.75, 11]);
  });
  it('weighted covariance', () => {
    expectTensor(
      a.cov({ fweights: T.tensor([1, 2, 1, 3]), aweights: T.tensor([0.5, 1, 2, 1]) }),
      'float32',
      [3, 3],
      [
        3.28324461, -0.0359042697, -2.58510637, -0.0359042697, 1.59042549, -1.26063836, -2.58510637, -1.26063836,
        4.02127647,
      ],
    );
  });
  it('correlations', () => {
    expectTensor(
      a.corrcoef(),
      'float32',
      [3, 3],
      [0.99999994, -0.144907683, -0.445309401, -0.144907698, 1, -0.536924839, -0.445309371, -0.536924839, 1],
    );
  });
  it('rows scaled down to a norm', () => {
    expectTensor(
      a.renorm(2, 0, 2),
      'float32',
      [3, 4],
      [
        0.259827912, -0.64956975, 1.55896747, 1.03931165, 1.14415503, 0.190692514, -0.572077513, 1.52554011,
        -0.872871518, 1.74574304, 0.436435759, 0,
      ],
    );
  });
  it('a histogram of equal bins', () => {
    expectTensor(v.histc({ bins: 4, min: -1, max: 3 }), 'float32', [4], [1, 1, 0, 3]);
  });
  it('places in sorted rows', () => {
    expectTensor(
      T.searchsorted(
        T.tensor([
          [1, 3, 5],
          [2, 4, 6],
        ]),
        T.tensor([
          [3, 6],
          [1, 4],
        ]),
        { right: true },
      ),
      'int64',
      [2, 2],
      [2, 3, 0, 2],
    );
  });
  it('counts of integers with weights', () => {
    expectTensor(
      T.tensor([0, 2, 2, 5]).bincount({ weights: T.tensor([0.5, 1, 2, 4]) }),
      'float32',
      [6],
      [0.5, 0, 3, 0, 0, 4],
    );
  });
});
