// Where PyTorch 1.13 has a choice: ties, infinities, NaN, and what it refuses. The figures are PyTorch's.
import { describe, expect, it } from 'vitest';
import * as t from '@proj/tensor';
import type { Tensor } from '@proj/tensor';
import * as special from '@proj/tensor/special';
import { grad } from '@proj/autograd';
import * as F from '@proj/nn/functional';
import { BatchNorm1d } from '@proj/nn';

const leaf = (values: number[] | number[][]): Tensor => t.tensor(values, { dtype: 'float32', requiresGrad: true });
const gradients = (fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): (number[] | undefined)[] =>
  grad(fn(...inputs).sum(), inputs).map((g) => (g === null ? undefined : Array.from(g.toFlatArray(), Number)));

describe('gradients at ties', () => {
  it('fmax and fmin give all of it to the first of two equal numbers, and to the number beside a NaN', () => {
    const a = (): Tensor => leaf([1, 2, 0, NaN, 3]);
    const b = (): Tensor => leaf([1, 3, -1, 2, NaN]);
    expect(gradients(t.fmax, a(), b())).toEqual([
      [1, 0, 1, 0, 1],
      [0, 1, 0, 1, 0],
    ]);
    expect(gradients(t.fmin, a(), b())).toEqual([
      [1, 1, 0, 0, 1],
      [0, 0, 1, 1, 0],
    ]);
  });
  it('the median of all elements shares it among the elements that equal the median', () => {
    expect(gradients((x) => t.median(x), leaf([0, 1, 0, -1, 6]))).toEqual([[0.5, 0, 0.5, 0, 0]]);
    expect(gradients((x) => t.nanmedian(x), leaf([2, NaN, 2, 5]))).toEqual([[0.5, 0, 0.5, 0]]);
    expect(gradients((x) => t.median(x), leaf([1, NaN, 2, NaN]))).toEqual([[0, 0.5, 0, 0.5]]);
  });
  it('logdet has none where the determinant is negative', () => {
    const batch = t
      .stack([
        t.eye(2),
        t.tensor(
          [
            [1, 2],
            [3, 4],
          ],
          { dtype: 'float32' },
        ),
      ])
      .requiresGrad_();
    expect(Array.from(t.logdet(batch).toFlatArray())).toEqual([0, NaN]);
    expect(gradients((x) => t.logdet(x), batch)).toEqual([[1, 0, 0, 1, 0, 0, 0, 0]]);
  });
});

describe('activations in place', () => {
  const inPlaceToo: readonly ((x: Tensor, options: { inplace: boolean }) => Tensor)[] = [
    F.relu,
    F.relu6,
    F.leakyRelu,
    F.hardtanh,
    F.hardsigmoid,
    F.hardswish,
    F.elu,
    F.celu,
    F.selu,
    F.silu,
    F.mish,
  ];
  it.each(inPlaceToo.map((f) => [f.name, f] as const))('%s: values and gradients are those out of place', (_, f) => {
    const numbers = [-4, -2.5, -0.5, 0.25, 2, 7];
    const run = (inplace: boolean): unknown[] => {
      const x = leaf(numbers);
      const y = f(x.mul(1.5), { inplace });
      return [y.toFlatArray(), gradients(() => y.square(), x)];
    };
    expect(run(true)).toEqual(run(false));
  });
  it('hardswish: x (x + 3) / 6 between -3 and 3', () => {
    const [x, x0] = [leaf([-4, 1.5, 4]), leaf([0, 0, 0])];
    expect(gradients((a, b) => F.hardswish(a.add(b), { inplace: true }), x, x0)).toEqual([
      [0, 1, 1],
      [0, 1, 1],
    ]);
  });
});

describe('running statistics without a momentum', () => {
  it('are averages over the batches, also in a captured function', () => {
    const norm = new BatchNorm1d(1, { momentum: null });
    const step = t.compile((x: Tensor) => norm.call(x).sum());
    for (const mean of [1, 4, 10, 5]) step(t.tensor([[mean - 1], [mean + 1]], { dtype: 'float32' }));
    expect(norm.runningMean?.toFlatArray()).toEqual([5]);
    expect(norm.numBatchesTracked?.item()).toBe(4);
  });
});

describe('values at the ends of the range', () => {
  it('softshrink takes NaN to 0', () => {
    expect(Array.from(F.softshrink(t.tensor([NaN, 2, -0.1])).toFlatArray())).toEqual([0, 1.5, 0]);
  });
  it('scaled error functions at infinity', () => {
    expect(special.erfcx(t.tensor(Infinity)).item()).toBe(0);
    expect(special.logNdtr(t.tensor(-Infinity)).item()).toBe(-Infinity);
  });
  it('modified Bessel functions of the second kind near zero', () => {
    const k0 = Array.from(special.scaledModifiedBesselK0(t.tensor([1e-38, 1e-10, 1e-8, 1e-3])).toFlatArray(), Number);
    for (const [i, value] of [87.6142, 23.1418, 18.5366, 7.0307].entries()) expect(k0[i]).toBeCloseTo(value, 4);
    const k1 = Array.from(special.modifiedBesselK1(t.tensor([1e-37, 1e-10])).toFlatArray(), Number);
    expect(k1[0] / 1e37).toBeCloseTo(1, 5);
    expect(k1[1] / 1e10).toBeCloseTo(1, 5);
  });
});

describe('integers', () => {
  const numbers = (x: Tensor): number[] => Array.from(x.toFlatArray(), Number);
  it('narrow ones may be shifted by their whole width', () => {
    const int8 = (values: number[]): Tensor => t.tensor(values, { dtype: 'int8' });
    expect(numbers(t.bitwiseLeftShift(int8([9, -3]), int8([8, 7])))).toEqual([0, -128]);
    expect(numbers(t.bitwiseRightShift(int8([-9, 9]), 9))).toEqual([-1, 0]);
    const uint8 = (values: number[]): Tensor => t.tensor(values, { dtype: 'uint8' });
    expect(numbers(t.bitwiseRightShift(uint8([200, 7]), uint8([9, 1])))).toEqual([0, 3]);
  });
  it('ranges of narrow ones count steps before fractions are cut off, and are spaced in groups of 32 bytes', () => {
    expect(numbers(t.arange(0, -8.000001, -4, { dtype: 'uint8' }))).toEqual([0, 252, 248]);
    expect(numbers(t.arange(0.5, 3.2, 1, { dtype: 'int32' }))).toEqual([0, 1, 2]);
    expect(numbers(t.linspace(0, 4, 50, { dtype: 'int8' })).slice(12, 15)).toEqual([0, 1, 1]);
    expect(numbers(t.linspace(0, 7, 50, { dtype: 'int16' })).slice(6, 9)).toEqual([0, 1, 1]);
  });
  it('pairwiseDistance takes them as floats, at any p', () => {
    const distance = F.pairwiseDistance(t.tensor([-1, -8, -5]), t.tensor([9, -6, 1]), { p: -1 });
    expect(distance.dtype).toBe('float32');
    expect(distance.item()).toBeCloseTo(1.3043474, 5);
  });
});

describe('what PyTorch refuses', () => {
  it('a complex value in a real tensor, positive of bool, nansum of complex numbers', () => {
    const complex = t.tensor([1], { dtype: 'complex64' });
    const mask = t.tensor([true, false]);
    expect(() => t.maskedFill(t.tensor([1, 2]), mask, complex.reshape([]))).toThrow(/complex64/);
    expect(() => t.positive(mask)).toThrow(/bool/);
    expect(() => t.nansum(complex)).toThrow(/complex64/);
  });
});

describe('unique', () => {
  it('without sorting gives the value that is met last first', () => {
    const [values, inverse] = t.unique(t.tensor([0.5, 2, 0.5, 1]), { sorted: false, returnInverse: true }) as Tensor[];
    expect(Array.from(values.toFlatArray())).toEqual([1, 2, 0.5]);
    expect(Array.from(inverse.toFlatArray(), Number)).toEqual([2, 1, 2, 0]);
  });
  it('along the last of three dimensions compares slices with that dimension and the first swapped', () => {
    const x = t.tensor([
      [
        [0, 0],
        [1, 0],
      ],
      [
        [0, 1],
        [0, 0],
      ],
    ]);
    expect(Array.from((t.unique(x, { dim: 2 }) as Tensor).toFlatArray(), Number)).toEqual([0, 0, 1, 0, 0, 1, 0, 0]);
  });
});

describe('small methods', () => {
  it('hammingWindow takes its coefficients', () => {
    const window = Array.from(t.hammingWindow(4, true, { alpha: 0.5, beta: 0.4 }).toFlatArray(), Number);
    for (const [i, value] of [0.1, 0.5, 0.9, 0.5].entries()) expect(window[i]).toBeCloseTo(value, 6);
  });
  it('asStrided_ makes the tensor itself the window', () => {
    const x = t.arange(6);
    const same = x.asStrided_([2, 2], [1, 2], 1);
    expect(same).toBe(x);
    expect([x.shape, Array.from(x.toFlatArray(), Number)]).toEqual([
      [2, 2],
      [1, 3, 2, 4],
    ]);
  });
  it('isSameSize compares shapes, detach cuts the history, rrelu_ writes into its input', () => {
    expect(t.zeros([2, 3]).isSameSize(t.ones([2, 3]))).toBe(true);
    expect(t.zeros([2, 3]).isSameSize(t.ones([3, 2]))).toBe(false);
    expect(t.detach(leaf([1]).mul(2)).requiresGrad).toBe(false);
    const x = t.tensor([-1, 2], { dtype: 'float32' });
    F.rrelu_(x, { lower: 0.25, upper: 0.75 });
    expect(Array.from(x.toFlatArray())).toEqual([-0.5, 2]);
  });
});
