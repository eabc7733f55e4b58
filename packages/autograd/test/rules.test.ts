// Every gradient rule against central differences in float64, first and second order, at ordinary and at awkward points.
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import {
  accumulateSlicesNode,
  argsortNode,
  binaryNode,
  type BinaryPrimitive,
  concatNode,
  cumulateNode,
  type CumulateOperation,
  foldNode,
  padNode,
  reduceNode,
  scatterNode,
  type ScatterMode,
  sliceNode,
  takeNode,
  unaryNode,
  type UnaryPrimitive,
  windowNode,
  wrap,
} from '@proj/tensor/graph';
import { gradcheck, gradgradcheck } from '@proj/autograd';

/** Deterministic values in (low, high), no two alike. */
function values(shape: readonly number[], low = -1, high = 1, seed = 1): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Float64Array.from(
    { length: count },
    (_, i) => low + (high - low) * (((i + seed) * 0.6180339887498949) % 1),
  );
  return t.fromArray(data, shape, 'float64').requiresGrad_();
}
const indices = (list: readonly number[]): Tensor =>
  t.fromArray(BigInt64Array.from(list, BigInt), [list.length], 'int64');

type Check = (...inputs: Tensor[]) => Tensor | Tensor[];
function both(fn: Check, inputs: readonly Tensor[]): void {
  expect(gradcheck(fn as never, inputs)).toBe(true);
  expect(gradgradcheck(fn as never, inputs, null, { atol: 1e-4 })).toBe(true);
}

const domains: Partial<Record<UnaryPrimitive, readonly [number, number]>> = {
  sqrt: [0.3, 2],
  rsqrt: [0.3, 2],
  reciprocal: [0.3, 2],
  log: [0.2, 3],
  log2: [0.2, 3],
  log10: [0.2, 3],
  log1p: [-0.5, 2],
  asin: [-0.8, 0.8],
  acos: [-0.8, 0.8],
  atanh: [-0.8, 0.8],
  acosh: [1.2, 3],
  erfinv: [-0.8, 0.8],
  lgamma: [0.4, 4],
  digamma: [0.6, 4],
};
const unary: readonly UnaryPrimitive[] = [
  'neg',
  'abs',
  'sign',
  'sqrt',
  'rsqrt',
  'reciprocal',
  'floor',
  'ceil',
  'trunc',
  'round',
  'exp',
  'exp2',
  'expm1',
  'log',
  'log2',
  'log10',
  'log1p',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'erf',
  'erfc',
  'erfinv',
  'lgamma',
  'digamma',
  'sigmoid',
  'relu',
];
describe('unary primitives', () => {
  it.each(unary)('%s', (fn) => {
    const [low, high] = domains[fn] ?? [-1.3, 1.3];
    both((x) => wrap(unaryNode(fn, x.node)), [values([2, 3], low, high)]);
  });
});

describe('binary primitives', () => {
  const differentiable: readonly BinaryPrimitive[] = [
    'add',
    'sub',
    'mul',
    'div',
    'pow',
    'atan2',
    'maximum',
    'minimum',
    'remainder',
    'fmod',
    'floorDivide',
  ];
  it.each(differentiable)('%s', (fn) => {
    both((a, b) => wrap(binaryNode(fn, a.node, b.node)), [values([2, 3], 1.1, 2.9), values([2, 3], 0.6, 2, 5)]);
  });
  it('pow at a zero base, for integral and for zero exponents', () => {
    const x = t.tensor([0, 0, 0, 2], { dtype: 'float64', requiresGrad: true });
    const e = t.tensor([0, 1, 2, 3], { dtype: 'float64', requiresGrad: true });
    x.pow(e).sum().backward();
    expect(x.grad?.toArray()).toEqual([0, 1, 0, 12]);
    expect(e.grad?.toArray()).toEqual([0, 0, 0, 8 * Math.log(2)]);
  });
  it('a scalar exponent keeps third derivatives exact at 0', () => {
    both((x) => x.pow(3), [t.tensor([0, 1, -2], { dtype: 'float64', requiresGrad: true })]);
    both((x) => x.pow(-2), [values([3], 0.5, 2)]);
  });
  it('broadcasting sums the gradient', () => {
    both((a, b) => a.mul(b).add(b), [values([3, 1]), values([1, 4], -1, 1, 7)]);
    both((a, b) => a.div(b), [values([]), values([2, 2], 0.5, 2)]);
  });
});

describe('movement', () => {
  const x = (): Tensor => values([3, 4]);
  it.each<[string, (a: Tensor) => Tensor]>([
    ['reshape', (a) => a.reshape([2, 6]).mul(a.reshape([2, 6]))],
    ['permute', (a) => a.permute([1, 0]).exp()],
    ['expand', (a) => a.unsqueeze(0).expand([2, 3, 4]).mul(2)],
    ['pad', (a) => wrap(padNode(a.node, [1, 0], [2, 3], 5)).sin()],
    ['slice', (a) => wrap(sliceNode(a.node, [0, 1], [2, 2], [2, 1])).exp()],
    ['slice backwards', (a) => wrap(sliceNode(a.node, [2, 3], [3, 2], [-1, -2])).exp()],
    [
      'several slices',
      (a) =>
        a
          .narrow(1, 0, 2)
          .mul(a.narrow(1, 1, 2))
          .add(a.narrow(1, 2, 2))
          .exp(),
    ],
    [
      'slices that tile',
      (a) =>
        a
          .narrow(1, 0, 1)
          .exp()
          .mul(a.narrow(1, 1, 3).sin())
          .sum(1),
    ],
    ['window', (a) => wrap(windowNode(a.node, 1, 3, { size: 3, stride: 1, dilation: 1, padding: 1 })).exp()],
    [
      'fold',
      (a) => wrap(foldNode(a.reshape([2, 2, 3]).node, 1, 5, { size: 3, stride: 2, dilation: 1, padding: 0 })).exp(),
    ],
    ['concat', (a) => wrap(concatNode([a.node, a.mul(a).node], 0)).exp()],
    [
      'accumulateSlices',
      (a) =>
        wrap(accumulateSlicesNode(a.node, [a.narrow(0, 0, 2).exp().node], [{ starts: [1, 0], steps: [1, 1] }])).sin(),
    ],
    ['where', (a) => t.where(a.gt(0), a.exp(), a.mul(a))],
    ['cast', (a) => a.to('float32').to('float64').mul(a)],
  ])('%s', (name, fn) => {
    if (name === 'cast') expect(gradcheck(fn as never, [x()], { eps: 1e-2, atol: 1e-3 })).toBe(true);
    else both(fn, [x()]);
  });
});

describe('reductions and products', () => {
  it('sum', () => both((a) => wrap(reduceNode('sum', a.node, [1])).exp(), [values([2, 3])]));
  it('max and min', () => {
    both((a) => wrap(reduceNode('max', a.node, [0])).exp(), [values([3, 2])]);
    both((a) => wrap(reduceNode('min', a.node, [0, 1])).exp(), [values([3, 2])]);
  });
  it('ties of a maximum share its gradient', () => {
    const a = t.tensor([1, 3, 3, 2], { dtype: 'float64', requiresGrad: true });
    a.amax().backward();
    expect(a.grad?.toArray()).toEqual([0, 0.5, 0.5, 0]);
  });
  it.each([[[1, 2, 3, 4, 5]], [[2, 0, 3, 4, 1]], [[2, 0, 3, 0, 1]], [[0, 0, 0, 1, 1]]])('prod of %j', (list) => {
    both((a) => a.prod(), [t.tensor(list, { dtype: 'float64', requiresGrad: true })]);
  });
  it('prod over a middle dimension', () => both((a) => a.prod(1), [values([2, 3, 2])]));
  it('the Hessian of a product with one zero', () => {
    const a = t.tensor([0, 3, 2], { dtype: 'float64', requiresGrad: true });
    both((x) => x.prod().mul(2), [a]);
  });
  it.each<CumulateOperation>(['sum', 'prod', 'max', 'min'])('cumulate %s', (fn) =>
    both((a) => wrap(cumulateNode(fn, a.node)).exp(), [values([2, 5])]),
  );
  it('cumulated products with zeros', () =>
    both(
      (a) => wrap(cumulateNode('prod', a.node)),
      [t.tensor([2, 0, 3, 0, 1], { dtype: 'float64', requiresGrad: true })],
    ));
  it('contract', () => both((a, b) => a.matmul(b), [values([2, 2, 3]), values([2, 3, 2], -1, 1, 3)]));
  it('contract, joined over many uses of one operand', () =>
    both(
      (a, w) => [0, 1, 2, 3].map((i) => a.select(0, i).matmul(w)).reduce((s, y) => s.mul(y)),
      [values([4, 2, 2]), values([2, 3], 0.2, 1, 3)],
    ));
});

describe('indexing', () => {
  it('take', () => both((a) => wrap(takeNode(a.node, indices([2, 0, 2]).node)).exp(), [values([3, 2])]));
  it.each<ScatterMode>(['set', 'add', 'mul', 'max', 'min'])('scatter %s', (mode) => {
    const at = indices(mode === 'set' ? [2, 0] : [2, 0, 2]);
    both(
      (base, updates) => wrap(scatterNode(mode, base.node, at.node, updates.node)).exp(),
      [values([3, 2]), values([at.numel(), 2], -1, 1, 9)],
    );
  });
  it('a sort passes gradients to where the elements came from', () => {
    const a = values([5]);
    both((x) => wrap(takeNode(x.node, argsortNode(x.detach().node, false))).mul(t.arange(5)), [a]);
  });
});

describe('awkward points', () => {
  it('sqrt at 0 has an infinite gradient', () => {
    const a = t.tensor([0, 4], { dtype: 'float64', requiresGrad: true });
    a.sqrt().sum().backward();
    expect(a.grad?.toArray()).toEqual([Infinity, 0.25]);
  });
  it('abs and sign at 0, relu at 0', () => {
    const a = t.tensor([0, -1, 2], { dtype: 'float64', requiresGrad: true });
    a.abs().add(a.relu()).sum().backward();
    expect(a.grad?.toArray()).toEqual([0, -1, 2]);
  });
  it('empty tensors have empty gradients', () => {
    const a = t.zeros([0, 3], { dtype: 'float64', requiresGrad: true });
    a.exp().sum().backward();
    expect(a.grad?.shape).toEqual([0, 3]);
  });
});
