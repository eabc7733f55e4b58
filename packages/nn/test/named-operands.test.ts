/** Operands that PyTorch takes by name, given among the options: the same as given in their places. */
import { rand, type Tensor } from '@proj/tensor';
import {
  batchNorm,
  bilinear,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  groupNorm,
  instanceNorm,
  layerNorm,
  linear,
} from '../src/functional.ts';
import { describe, expect, it } from 'vitest';

const x = rand([2, 4, 5]);
const image = rand([2, 4, 5, 5]);
const volume = rand([2, 4, 3, 3, 3]);
const [weight, bias, mean, variance] = [1, 2, 3, 4].map((by) => rand([4]).add(by)) as [Tensor, Tensor, Tensor, Tensor];
const last = rand([5]).add(1);
const kernels = [1, 2, 3].map((dims) => rand([4, 4, ...new Array<number>(dims).fill(2)])) as [Tensor, Tensor, Tensor];

describe('operands by name', () => {
  it.each<[string, Tensor, Tensor]>([
    [
      'linear',
      linear(x, rand([3, 5]).mul(0), { bias: rand([3]).mul(0).add(2) }),
      linear(x, rand([3, 5]).mul(0)).add(2),
    ],
    ['bilinear', bilinear(x, x, rand([4, 5, 5]).mul(0), { bias }), bilinear(x, x, rand([4, 5, 5]).mul(0), bias)],
    [
      'layerNorm',
      layerNorm(x, [5], { weight: last, bias: last, eps: 0.1 }),
      layerNorm(x, [5], last, last, { eps: 0.1 }),
    ],
    ['groupNorm', groupNorm(x, 2, { weight, bias, eps: 0.1 }), groupNorm(x, 2, weight, bias, { eps: 0.1 })],
    [
      'batchNorm',
      batchNorm(x, { runningMean: mean, runningVar: variance, weight, bias, eps: 0.1 }),
      batchNorm(x, mean, variance, weight, bias, { eps: 0.1 }),
    ],
    ['batchNorm, training', batchNorm(x, { training: true }), batchNorm(x, null, null, null, null, { training: true })],
    [
      'instanceNorm',
      instanceNorm(x, { weight, bias, eps: 0.1 }),
      instanceNorm(x, null, null, weight, bias, { eps: 0.1 }),
    ],
    ['conv1d', conv1d(x, kernels[0], { bias, stride: 2 }), conv1d(x, kernels[0], bias, { stride: 2 })],
    ['conv2d', conv2d(image, kernels[1], { bias, padding: 1 }), conv2d(image, kernels[1], bias, { padding: 1 })],
    ['conv3d', conv3d(volume, kernels[2], { bias }), conv3d(volume, kernels[2], bias)],
    [
      'convTranspose1d',
      convTranspose1d(x, kernels[0], { bias, stride: 2 }),
      convTranspose1d(x, kernels[0], bias, { stride: 2 }),
    ],
    ['convTranspose2d', convTranspose2d(image, kernels[1], { bias }), convTranspose2d(image, kernels[1], bias)],
    ['convTranspose3d', convTranspose3d(volume, kernels[2], { bias }), convTranspose3d(volume, kernels[2], bias)],
  ])('%s', (_, named, placed) => {
    expect(named.shape).toEqual(placed.shape);
    expect(named.sub(placed).abs().max().item()).toBe(0);
  });
  it('of other names are refused', () => {
    const option = { wieght: weight } as object;
    for (const call of [
      () => linear(x, rand([3, 5]), option),
      () => layerNorm(x, [5], option),
      () => groupNorm(x, 2, option),
      () => batchNorm(x, option),
      () => instanceNorm(x, option),
      () => conv2d(image, kernels[1], option),
    ])
      expect(call).toThrow(/unknown option 'wieght'/);
  });
});
