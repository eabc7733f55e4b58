/** Quantised tensors: figures from PyTorch 1.13, ties and sums by closed form. */
import { ProjError } from '@proj/kernel';
import { describe, expect, it } from 'vitest';
import '@proj/device-native';
import { compile, deviceReport, evaluate, fromArray, type Tensor, tensor } from '@proj/tensor';
import {
  dequantize,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  linear,
  linearDynamic,
  quantizePerChannel,
  quantizePerTensor,
  quantizePerTensorDynamic,
  type QuantizedDType,
  QuantizedTensor,
} from '@proj/tensor/quantized';
import { integerProduct } from '../src/quantized/integer-product.ts';
import { expectTensor } from './support/expect-tensor.ts';

const floats = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  fromArray(values, shape, 'float32');
const samples = [-3.2, -1, -0.26, -0.25, -0.24, 0, 0.12, 0.125, 0.13, 0.375, 0.5, 1, 2.49, 2.5, 7.9, 100];

describe('quantizePerTensor', () => {
  const cases: readonly [QuantizedDType, number, 'uint8' | 'int8' | 'int32', readonly number[]][] = [
    ['quint8', 10, 'uint8', [0, 0, 3, 3, 4, 10, 13, 13, 14, 20, 24, 37, 77, 78, 224, 255]],
    ['qint8', 0, 'int8', [-86, -27, -7, -7, -6, 0, 3, 3, 4, 10, 14, 27, 67, 68, 127, 127]],
    ['qint32', 3, 'int32', [-83, -24, -4, -4, -3, 3, 6, 6, 7, 13, 17, 30, 70, 71, 217, 2706]],
  ];
  for (const [dtype, zeroPoint, stored, integers] of cases)
    it(`gives PyTorch's integers for ${dtype}, and their values back`, () => {
      const q = quantizePerTensor(floats(samples), 0.037, zeroPoint, dtype);
      expectTensor(q.intRepr(), stored, [16], integers);
      expectTensor(
        q.dequantize(),
        'float32',
        [16],
        integers.map((x) => (x - zeroPoint) * 0.037),
      );
      expect([q.qScale(), q.qZeroPoint(), q.qscheme(), q.dtype]).toEqual([
        0.037,
        zeroPoint,
        'per_tensor_affine',
        dtype,
      ]);
    });

  it('rounds halves to the even integer before the zero point is added', () => {
    const q = quantizePerTensor(floats([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]), 1, 5, 'quint8');
    expect(q.intRepr().toArray()).toEqual([3, 3, 5, 5, 7, 7]);
  });
  it('keeps a byte for an element', () => {
    const integers = quantizePerTensor(floats(samples), 0.1, 0, 'qint8').intRepr().realize();
    expect(integers.node.data?.bytes).toBeLessThan(64);
    expect(integers.itemsize).toBe(1);
  });
  it('takes scale and zero point as tensors that are not computed yet', () => {
    const scale = floats([0.01, 0.037]).amax();
    const q = quantizePerTensor(floats(samples), scale, tensor(10), 'quint8');
    expect(q.intRepr().toArray()).toEqual(cases[0][3]);
  });
  it('refuses other dtypes, and zero points that are no integers of the dtype', () => {
    expect(() => quantizePerTensor(tensor([1, 2]), 0.1, 0, 'qint8')).toThrow(/float32/);
    expect(() => quantizePerTensor(floats([1]), 0.1, 300, 'quint8')).toThrow(/0 to 255/);
    expect(() => quantizePerTensor(floats([1]), 0.1, 0, 'int8' as QuantizedDType)).toThrow(ProjError);
    expect(() => quantizePerTensor(floats([1]), 0.1, 0, 'qint8').qPerChannelAxis()).toThrow(/qScale/);
  });
});

describe('quantizePerChannel', () => {
  it("gives PyTorch's integers along an axis", () => {
    const x = floats(
      [-2.1146, -2.6616, 0.7743, -0.4178, -0.4832, 0.596, -0.2598, 0.4737, -0.9445, 1.2834, -1.3724, -0.6718],
      [3, 4],
    );
    const q = quantizePerChannel(x, floats([0.05, 0.1, 0.021, 0.3]), tensor([128, 5, 100, 2]), 1, 'quint8');
    expect(q.intRepr().toFlatArray()).toEqual([86, 0, 137, 1, 118, 11, 88, 4, 109, 18, 35, 0]);
    expectTensor(
      q.dequantize(),
      'float32',
      [3, 4],
      [-2.1, -0.5, 0.777, -0.3, -0.5, 0.6, -0.252, 0.6, -0.95, 1.3, -1.365, -0.6],
    );
    expect(q.t().qPerChannelAxis()).toBe(0);
    expect(q.t().dequantize().toFlatArray()).toEqual(q.dequantize().t().toFlatArray());
  });
  it('refuses vectors that do not fit', () => {
    expect(() => quantizePerChannel(floats([1, 2], [1, 2]), floats([1]), tensor([0]), 1, 'qint8')).toThrow(
      /vectors of 2/,
    );
    expect(() => quantizePerChannel(floats([1, 2], [1, 2]), floats([1]), tensor([0]), 2, 'qint8')).toThrow(/axis 2/);
  });
});

describe('quantizePerTensorDynamic', () => {
  it("chooses PyTorch's scales", () => {
    const q = quantizePerTensorDynamic(floats(samples), 'quint8', false);
    expect([q.qScale(), q.qZeroPoint()]).toEqual([0.40470588253993617, 8]);
    expect(q.intRepr().toArray()).toEqual([0, 6, 7, 7, 7, 8, 8, 8, 8, 9, 9, 10, 14, 14, 28, 255]);
    const half = quantizePerTensorDynamic(floats(samples), 'qint8', true);
    expect([half.qScale(), half.qZeroPoint()]).toEqual([0.8125984255723128, -60]);
  });
  it('survives inputs without a range', () => {
    expect(quantizePerTensorDynamic(floats([0, 0]), 'quint8', false).qScale()).toBe(0.1);
    expect(
      quantizePerTensorDynamic(floats([0, 0]), 'quint8', false)
        .dequantize()
        .toArray(),
    ).toEqual([0, 0]);
  });
});

describe('fake quantisation', () => {
  it('rounds, clamps, and lets gradients pass where nothing was clamped', () => {
    const x = floats([0.6355, 1.327, -1.8781, 0.3433]).requiresGrad_();
    const y = fakeQuantizePerTensorAffine(x, 0.7, 0, -1, 1);
    expectTensor(y, 'float32', [4], [0.7, 0.7, -0.7, 0]);
    expect(x.requiresGrad && y.requiresGrad).toBe(true);
  });
  it('is quantising and back', () => {
    const x = floats(samples);
    const there = quantizePerTensor(x, 0.037, 10, 'quint8').dequantize();
    expectTensor(fakeQuantizePerTensorAffine(x, 0.037, 10, 0, 255), 'float32', [16], there.toFlatArray());
  });
  it('refuses empty ranges and zero points outside', () => {
    expect(() => fakeQuantizePerTensorAffine(floats([1]), 0.1, 0, 5, 1)).toThrow(/5 … 1/);
    expect(() => fakeQuantizePerTensorAffine(floats([1]), 0.1, 9, 0, 7)).toThrow(/between 0 and 7/);
    expect(() => fakeQuantizePerChannelAffine(floats([1]), floats([1]), tensor([0]), 0, 0, 7)).toThrow(/int32/);
  });
});

/** Deterministic integers that fill their range. */
const integers = (count: number, min: number, max: number): number[] =>
  Array.from({ length: count }, (_, i) => min + ((i * 7919 + ((i * i) % 104_729)) % (max - min + 1)));

for (const { name: device, available } of deviceReport())
  describe.skipIf(!available)(`linear layers on integers, on ${device}`, () => {
    const stored = (values: readonly number[], shape: readonly number[], dtype: 'uint8' | 'int8'): Tensor =>
      fromArray(values, shape, dtype, { device });
    const parameters = (scale: number, zeroPoint: number) => ({
      scale: fromArray([scale], [], 'float64', { device }),
      zeroPoint: fromArray([zeroPoint], [], 'int64', { device }),
      axis: null,
    });

    it('sums integers exactly where float32 could not', () => {
      const [rows, columns, depth] = [3, 5, 9001];
      const x = integers(rows * depth, 0, 255);
      const w = integers(columns * depth, 90, 127);
      const sums: number[] = [];
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          sums.push(x.slice(i * depth, (i + 1) * depth).reduce((sum, value, k) => sum + value * w[j * depth + k], 0));
      expect(sums.some((sum) => Math.fround(sum) !== sum)).toBe(true);
      const product = integerProduct(stored(x, [rows, depth], 'uint8'), stored(w, [columns, depth], 'int8'));
      expect(product.dtype).toBe('int32');
      expect(product.toFlatArray()).toEqual(sums);
    });
    it('takes zero points off exactly', () => {
      const input = new QuantizedTensor(stored([5, 250, 7, 0], [2, 2], 'uint8'), 'quint8', parameters(0.5, 7));
      const weight = new QuantizedTensor(stored([-128, 127, 3, 4], [2, 2], 'int8'), 'qint8', parameters(0.25, -3));
      // (x - 7)·(w + 3), times 1/8: [-2, 243], [0, -7] with [-125, 130], [6, 7].
      const exact = [250 + 243 * 130, -12 + 243 * 7, -7 * 130, -49];
      const out = linear(input, weight, null, 100, 100);
      expect(out.intRepr().toFlatArray()).toEqual(exact.map((sum) => Math.min(255, Math.round(sum / 800) + 100)));
    });

    it('makes one byte of two of either signedness', () => {
      const x = floats([0.5, -1, 0.25, 0.75], [1, 4]).to(device);
      const w = floats([1, -0.5, 0.5, 0.25, -1, 1, 0.125, 0], [2, 4]).to(device);
      const expected = [1.5 - 0.5 + 0.6875, -1.5 + 0.03125];
      for (const [left, right] of [
        ['quint8', 'qint8'],
        ['qint8', 'qint8'],
        ['quint8', 'quint8'],
        ['qint8', 'quint8'],
      ] as const) {
        const middle = (dtype: QuantizedDType): number => (dtype === 'quint8' ? 128 : 0);
        const q = quantizePerTensor(x, 1 / 64, middle(left), left);
        const p = quantizePerTensor(w, 1 / 64, middle(right), right);
        const direct = x.matmul(w.t()).toFlatArray();
        const out = linear(q, p, null, 1 / 32, middle(left))
          .dequantize()
          .toFlatArray();
        out.forEach((value, i) => expect(Math.abs(value - direct[i])).toBeLessThanOrEqual(1 / 64));
        expect(expected.length).toBe(out.length);
      }
    });
  });

describe('capture', () => {
  it('replays a dynamic layer with new ranges', () => {
    const weight = quantizePerTensor(floats([1, -1, 0.5, 0.25], [2, 2]), 1 / 64, 0, 'qint8');
    evaluate([weight.intRepr()]);
    const layer = compile((x: Tensor) => linearDynamic(x, weight));
    for (const scale of [1, 10, 100]) {
      const [[a, b]] = layer(floats([scale, 2 * scale], [1, 2])).toArray() as number[][];
      expect(a / scale).toBeCloseTo(-1, 1);
      expect(b / scale).toBeCloseTo(1, 1);
    }
  });
});

describe('dequantize', () => {
  it('takes one tensor or a list', () => {
    const q = quantizePerTensor([floats([1, 2]), floats([3])], floats([0.5, 0.25]), tensor([0, 1]), 'qint8');
    expect(dequantize(q).map((x) => x.toArray())).toEqual([[1, 2], [3]]);
    expect(dequantize(q[0]).toArray()).toEqual([1, 2]);
  });
});
