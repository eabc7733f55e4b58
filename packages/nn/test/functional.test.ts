// Functional forms: gradients by finite differences in float64, and values by closed form or plain loops.
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import { gradcheck, gradgradcheck } from '@proj/autograd';
import * as F from '@proj/nn/functional';

/** Deterministic values in (low, high), no two alike. */
function values(shape: readonly number[], low = -1, high = 1, seed = 1): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return t
    .fromArray(
      Float64Array.from({ length: count }, (_, i) => low + (high - low) * (((i + seed) * 0.6180339887498949) % 1)),
      shape,
      'float64',
    )
    .requiresGrad_();
}
const classes = t.tensor([1, 0, 2]);

type Case = readonly [string, (...inputs: Tensor[]) => unknown, readonly Tensor[]];
const x34 = (): Tensor => values([3, 4], -2, 2);
const image = (): Tensor => values([2, 2, 4, 5]);
const cases: readonly Case[] = [
  ...Object.entries({
    relu: F.relu,
    relu6: F.relu6,
    leakyRelu: F.leakyRelu,
    hardtanh: F.hardtanh,
    hardsigmoid: F.hardsigmoid,
    hardswish: F.hardswish,
    elu: F.elu,
    celu: F.celu,
    selu: F.selu,
    gelu: F.gelu,
    silu: F.silu,
    mish: F.mish,
    softplus: F.softplus,
    softsign: F.softsign,
    tanhshrink: F.tanhshrink,
    softshrink: F.softshrink,
    hardshrink: F.hardshrink,
    logsigmoid: F.logsigmoid,
    glu: F.glu,
  }).map(([name, fn]): Case => [name, (x) => fn(x), [x34()]]),
  ['gelu by tanh', (x) => F.gelu(x, { approximate: 'tanh' }), [x34()]],
  ['prelu', F.prelu, [x34(), values([4], 0.1, 0.5)]],
  ['softmax', (x) => F.softmax(x, 1), [x34()]],
  ['logSoftmax', (x) => F.logSoftmax(x, 0), [x34()]],
  ['linear', (x, w, b) => F.linear(x, w, b), [x34(), values([2, 4]), values([2])]],
  ['bilinear', (a, b, w) => F.bilinear(a, b, w), [values([2, 2]), values([2, 3]), values([2, 2, 3])]],
  [
    'conv1d',
    (x, w, b) => F.conv1d(x, w, b, { stride: 2, padding: 1 }),
    [values([2, 2, 5]), values([2, 2, 3]), values([2])],
  ],
  ['conv2d in groups', (x, w) => F.conv2d(x, w, null, { groups: 2, padding: 'same' }), [image(), values([4, 1, 2, 3])]],
  [
    'conv2d one filter a channel',
    (x, w, b) => F.conv2d(x, w, b, { groups: 2, dilation: 2 }),
    [image(), values([2, 1, 2, 2]), values([2])],
  ],
  [
    'convTranspose2d',
    (x, w, b) => F.convTranspose2d(x, w, b, { stride: 2, padding: 1, outputPadding: 1 }),
    [values([1, 2, 2, 2]), values([2, 1, 3, 3]), values([1])],
  ],
  ['maxPool2d', (x) => F.maxPool2d(x, 2, 1), [image()]],
  ['avgPool2d', (x) => F.avgPool2d(x, 2, 2, { padding: 1, countIncludePad: false, ceilMode: true }), [image()]],
  ['adaptiveAvgPool2d', (x) => F.adaptiveAvgPool2d(x, [3, 2]), [image()]],
  ['adaptiveMaxPool2d', (x) => F.adaptiveMaxPool2d(x, [3, 2]), [image()]],
  ['lpPool1d', (x) => F.lpPool1d(x, 2, 2), [values([1, 2, 4], 0.2, 1)]],
  ['layerNorm', (x, w, b) => F.layerNorm(x, [4], w, b), [x34(), values([4]), values([4])]],
  ['groupNorm', (x, w, b) => F.groupNorm(x, 2, w, b), [values([2, 4, 2]), values([4]), values([4])]],
  ['batchNorm', (x, w, b) => F.batchNorm(x, null, null, w, b, { training: true }), [x34(), values([4]), values([4])]],
  ['instanceNorm', (x) => F.instanceNorm(x), [values([2, 2, 3])]],
  ['localResponseNorm', (x) => F.localResponseNorm(x, 3, { alpha: 0.5 }), [values([1, 4, 2])]],
  ['normalize', (x) => F.normalize(x), [x34()]],
  [
    'embedding',
    (w) =>
      F.embedding(
        t.tensor([
          [0, 2],
          [1, 0],
        ]),
        w,
      ),
    [values([3, 2])],
  ],
  [
    'embeddingBag',
    (w, s) => F.embeddingBag(t.tensor([0, 2, 1, 0]), w, t.tensor([0, 3]), { mode: 'sum', perSampleWeights: s }),
    [values([3, 2]), values([4])],
  ],
  ['cosineSimilarity', (a, b) => F.cosineSimilarity(a, b), [x34(), values([3, 4], -1, 2, 5)]],
  ['pairwiseDistance', (a, b) => F.pairwiseDistance(a, b), [x34(), values([3, 4], -1, 2, 5)]],
  [
    'attention',
    (q, k, v) => F.scaledDotProductAttention(q, k, v, { isCausal: true }),
    [values([2, 3, 2]), values([2, 3, 2], -1, 1, 5), values([2, 3, 2], -1, 1, 9)],
  ],
  ['crossEntropy', (x) => F.crossEntropy(x, classes, { labelSmoothing: 0.1 }), [x34()]],
  [
    'crossEntropy with weights',
    (x) => F.crossEntropy(x, classes, { weight: t.tensor([1, 2, 3, 4], { dtype: 'float64' }), ignoreIndex: 0 }),
    [x34()],
  ],
  ['crossEntropy with probabilities', (x, p) => F.crossEntropy(x, p), [x34(), values([3, 4], 0, 1)]],
  ['binaryCrossEntropy', (x, y) => F.binaryCrossEntropy(x, y), [values([4], 0.1, 0.9), values([4], 0.1, 0.9, 3)]],
  [
    'binaryCrossEntropyWithLogits',
    (x, y) => F.binaryCrossEntropyWithLogits(x, y),
    [values([4], -3, 3), values([4], 0.1, 0.9)],
  ],
  ['mseLoss', (a, b) => F.mseLoss(a, b), [x34(), values([3, 4], -1, 1, 5)]],
  ['smoothL1Loss', (a, b) => F.smoothL1Loss(a, b), [x34(), values([3, 4], -1, 1, 5)]],
  ['huberLoss', (a, b) => F.huberLoss(a, b), [x34(), values([3, 4], -1, 1, 5)]],
  ['klDiv', (a, b) => F.klDiv(a, b, { reduction: 'batchmean' }), [x34(), values([3, 4], 0.1, 1)]],
  [
    'gaussianNllLoss',
    (a, b, v) => F.gaussianNllLoss(a, b, v),
    [values([4]), values([4], -1, 1, 4), values([4], 0.5, 2)],
  ],
  [
    'tripletMarginLoss',
    (a, b, c) => F.tripletMarginLoss(a, b, c),
    [values([2, 3]), values([2, 3], -1, 1, 4), values([2, 3], -1, 1, 9)],
  ],
  ['interpolate bilinear', (x) => F.interpolate(x, { scaleFactor: 1.5, mode: 'bilinear' }), [values([1, 1, 3, 3])]],
  [
    'interpolate bicubic',
    (x) => F.interpolate(x, { size: [2, 5], mode: 'bicubic', alignCorners: true }),
    [values([1, 1, 3, 3])],
  ],
  [
    'gridSample',
    (x, g) => F.gridSample(x, g, { alignCorners: true }),
    [values([1, 2, 3, 3]), values([1, 2, 2, 2], -0.9, 0.9, 4)],
  ],
  ['fold of unfold', (x) => F.fold(F.unfold(x, 2), [4, 5], 2), [image()]],
  ['pad by reflection', (x) => F.pad(x, [1, 2], { mode: 'reflect' }), [values([1, 2, 4])]],
  ['pixelShuffle', (x) => F.pixelShuffle(x, 2), [values([1, 4, 2, 2])]],
  ['ctcLoss', (x) => F.ctcLoss(F.logSoftmax(x, 2), t.tensor([[1, 2, 2]]), [5], [3]), [values([5, 1, 4], -1, 1)]],
];

describe('gradients', () => {
  it.each(cases)('%s', (_, fn, inputs) => {
    expect(gradcheck(fn as never, inputs)).toBe(true);
  });
  it.each(
    cases.filter(([name]) =>
      [
        'gelu',
        'softmax',
        'logSoftmax',
        'conv2d in groups',
        'layerNorm',
        'batchNorm',
        'attention',
        'crossEntropy',
        'maxPool2d',
        'silu',
      ].includes(name),
    ),
  )('second order: %s', (_, fn, inputs) => {
    expect(gradgradcheck(fn as never, inputs, null, { atol: 1e-4 })).toBe(true);
  });
});

describe('values', () => {
  it('conv2d is a sum over the window', () => {
    const [x, w] = [values([1, 2, 4, 4]), values([3, 2, 3, 3], -1, 1, 5)];
    const y = F.conv2d(x, w, null, { stride: 2, padding: 1 });
    expect(y.shape).toEqual([1, 3, 2, 2]);
    const [a, b] = [x.toFlatArray(), w.toFlatArray()];
    const at = (c: number, i: number, j: number): number =>
      i < 0 || j < 0 || i > 3 || j > 3 ? 0 : a[(c * 4 + i) * 4 + j];
    y.toFlatArray().forEach((value, n) => {
      const [o, i, j] = [Math.floor(n / 4), Math.floor(n / 2) % 2, n % 2];
      let sum = 0;
      for (let c = 0; c < 2; c++)
        for (let p = 0; p < 3; p++)
          for (let q = 0; q < 3; q++) sum += at(c, 2 * i + p - 1, 2 * j + q - 1) * b[((o * 2 + c) * 3 + p) * 3 + q];
      expect(value).toBeCloseTo(sum, 12);
    });
  });
  it('the maximum of a window passes its gradient to the first of equals', () => {
    const x = t.tensor([[[0, 0, 0, 0]]], { dtype: 'float64', requiresGrad: true });
    const [y, index] = F.maxPool1d(x, 2, 2, { returnIndices: true });
    y.sum().backward();
    expect(x.grad?.toArray()).toEqual([[[1, 0, 1, 0]]]);
    expect(index.toArray()).toEqual([[[0, 2]]]);
  });
  it('softmax of huge values is finite, and of -∞ zero', () => {
    expect(F.softmax(t.tensor([1e4, 1e4, -Infinity]), 0).toArray()).toEqual([0.5, 0.5, 0]);
    expect(F.crossEntropy(t.tensor([[1e4, 0]], { dtype: 'float32' }), t.tensor([1])).item()).toBe(1e4);
  });
  it('crossEntropy of equal logits is the logarithm of the classes', () => {
    expect(F.crossEntropy(t.zeros([5, 10]), t.zeros([5], { dtype: 'int64' })).item()).toBeCloseTo(Math.log(10), 6);
  });
  it('batchNorm updates the running statistics in place, without a graph', () => {
    const [mean, variance] = [t.zeros([1]), t.ones([1])];
    F.batchNorm(t.tensor([[1], [3]], { dtype: 'float32', requiresGrad: true }), mean, variance, null, null, {
      training: true,
    });
    expect(mean.item()).toBeCloseTo(0.2, 6);
    expect(variance.item()).toBeCloseTo(0.9 + 0.1 * 2, 6);
    expect(mean.requiresGrad).toBe(false);
  });
  it('the padding row of an embedding gets no gradient', () => {
    const w = values([3, 1]);
    F.embedding(t.tensor([0, 1, 1]), w, { paddingIdx: 1 })
      .sum()
      .backward();
    expect(w.grad?.toArray()).toEqual([[1], [0], [0]]);
  });
  it('dropout keeps the expectation', () => {
    t.manualSeed(1);
    const y = F.dropout(t.ones([20000]), { p: 0.25 });
    const flat = y.toFlatArray();
    expect(new Set(flat.map((v) => v.toFixed(4)))).toEqual(new Set(['0.0000', '1.3333']));
    expect(flat.reduce((a, b) => a + b, 0) / flat.length).toBeCloseTo(1, 1);
  });
});

describe('errors', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['linear', () => F.linear(t.ones([2, 3]), t.ones([4, 2])), /linear.*\[2, 3\].*\[4, 2\]/],
    ['channels', () => F.conv2d(t.ones([1, 3, 4, 4]), t.ones([2, 4, 3, 3])), /3 channels.*expects 4/],
    ['kernel', () => F.conv2d(t.ones([1, 1, 2, 2]), t.ones([1, 1, 3, 3])), /larger than the padded input/],
    ['targets', () => F.crossEntropy(t.ones([2, 3]), t.zeros([3], { dtype: 'int64' })), /must have shape \[2\]/],
    ['dropout', () => F.dropout(t.ones([1]), { p: 1.5 }), /not between 0 and 1/],
    ['indices', () => F.embedding(t.ones([2]), t.ones([3, 2])), /int64/],
    ['reduction', () => F.mseLoss(t.ones([1]), t.ones([1]), { reduction: 'max' as 'mean' }), /'none', 'mean' or 'sum'/],
  ])('%s', (_, fn, message) => expect(fn).toThrow(message));
});
