/** Convolutions of many shapes on every device, and their gradients, against sums over windows in float64. */
import '@proj/autograd';
import '@proj/device-native';
import { deviceReport, getDevice } from '@proj/kernel';
import { explain, type Tensor, tensor } from '@proj/tensor';
import { afterEach, describe, expect, it } from 'vitest';
import { conv1d, conv2d, conv3d } from '../src/functional.ts';

interface Case {
  readonly batch: number;
  /** Channels of the input, and of the output. */
  readonly channels: readonly [number, number];
  readonly image: readonly number[];
  readonly kernel: readonly number[];
  readonly padding?: number;
  readonly stride?: number;
  readonly dilation?: number;
  readonly groups?: number;
}

const CASES: readonly Case[] = [
  { batch: 2, channels: [3, 6], image: [28, 28], kernel: [5, 5], padding: 2 },
  { batch: 3, channels: [4, 16], image: [32, 32], kernel: [3, 3], padding: 1 },
  { batch: 1, channels: [6, 13], image: [14, 14], kernel: [3, 3], padding: 1 },
  { batch: 1, channels: [7, 5], image: [7, 9], kernel: [3, 2], padding: 1 },
  { batch: 2, channels: [5, 8], image: [10, 18], kernel: [5, 3] },
  { batch: 2, channels: [4, 6], image: [20, 20], kernel: [3, 3], padding: 2, dilation: 2, groups: 2 },
  { batch: 2, channels: [3, 8], image: [21, 23], kernel: [3, 3], padding: 1, stride: 2 },
  { batch: 5, channels: [7, 3], image: [6, 6], kernel: [1, 1] },
  { batch: 1, channels: [5, 7], image: [9, 9], kernel: [1, 1] },
  { batch: 2, channels: [6, 6], image: [13, 17], kernel: [3, 3], padding: 1, groups: 6 },
  { batch: 3, channels: [8, 20], image: [37], kernel: [4], padding: 2 },
  { batch: 1, channels: [2, 3], image: [3000], kernel: [3] },
  { batch: 2, channels: [3, 4], image: [5, 6, 7], kernel: [2, 3, 3], padding: 1 },
];

const CONVOLUTION = [conv1d, conv2d, conv3d];
const product = (sizes: readonly number[]): number => sizes.reduce((x, y) => x * y, 1);
/** Numbers that repeat late, of both signs, exact in float32. */
const values = (count: number, seed: number): number[] =>
  Array.from({ length: count }, (_, i) => (((i + seed) * 7919) % 2003) / 1024 - 1);

interface Data {
  readonly x: number[];
  readonly w: number[];
  readonly xShape: number[];
  readonly wShape: number[];
}

function dataOf({ batch, channels, image, kernel, groups = 1 }: Case): Data {
  const xShape = [batch, channels[0], ...image];
  const wShape = [channels[1], channels[0] / groups, ...kernel];
  return { x: values(product(xShape), 1), w: values(product(wShape), 5), xShape, wShape };
}

/** Calls `visit` with the places of output, input and weight of every product that the convolution adds up. */
function forProducts(
  { batch, channels, image, kernel, padding = 0, stride = 1, dilation = 1, groups = 1 }: Case,
  visit: (output: number, input: number, weight: number) => void,
): number {
  const counts = image.map((size, i) => Math.floor((size + 2 * padding - dilation * (kernel[i] - 1) - 1) / stride) + 1);
  const [inGroup, outGroup] = channels.map((c) => c / groups);
  const positions = product(counts);
  const digits = (n: number, sizes: readonly number[]): number[] => {
    const result: number[] = [];
    let rest = n;
    for (let i = sizes.length - 1; i >= 0; i--) {
      result[i] = rest % sizes[i];
      rest = Math.floor(rest / sizes[i]);
    }
    return result;
  };
  const taps = product(kernel);
  for (let p = 0; p < positions; p++) {
    const position = digits(p, counts);
    for (let k = 0; k < taps; k++) {
      const place = digits(k, kernel).map((j, i) => position[i] * stride + j * dilation - padding);
      if (place.some((at, i) => at < 0 || at >= image[i])) continue;
      const inside = place.reduce((flat, at, i) => flat * image[i] + at, 0);
      for (let n = 0; n < batch; n++)
        for (let o = 0; o < channels[1]; o++)
          for (let c = 0; c < inGroup; c++) {
            const channel = Math.floor(o / outGroup) * inGroup + c;
            visit(
              (n * channels[1] + o) * positions + p,
              (n * channels[0] + channel) * product(image) + inside,
              (o * inGroup + c) * taps + k,
            );
          }
    }
  }
  return batch * channels[1] * positions;
}

const convolve = (c: Case, x: Tensor, w: Tensor): Tensor => {
  const { padding = 0, stride = 1, dilation = 1, groups = 1 } = c;
  return CONVOLUTION[c.image.length - 1](x, w, null, { padding, stride, dilation, groups });
};

const worst = (actual: readonly number[], expected: readonly number[]): number =>
  Math.max(...actual.map((a, i) => Math.abs(a - expected[i]) / (1 + Math.abs(expected[i]))));

const nameOf = (c: Case): string => JSON.stringify(c).replace(/["{}]/g, '');
const devices = deviceReport().flatMap(({ name, available }) => (available ? [name] : []));
for (const { name, available, detail } of deviceReport()) if (!available) it.skip(`convolutions on ${name}: ${detail}`);

describe.each(devices)('convolutions on %s', (name) => {
  const device = getDevice(name);
  const { threads } = device.features;
  afterEach(() => device.setThreads(threads));

  it.each(CASES.map((c) => [nameOf(c), c] as const))('%s', (_, c) => {
    const { x, w, xShape, wShape } = dataOf(c);
    const expected: number[] = [];
    const count = forProducts(c, (o, i, k) => (expected[o] = (expected[o] ?? 0) + x[i] * w[k]));
    const results = [1, 2].map((n) => {
      device.setThreads(n);
      const make = (data: number[], shape: number[]): Tensor =>
        tensor(data, { dtype: 'float32', device }).reshape(shape);
      return convolve(c, make(x, xShape), make(w, wShape)).flatten().toArray() as number[];
    });
    expect(results[0]).toHaveLength(count);
    expect(results[1]).toEqual(results[0]);
    expect(
      worst(
        results[0],
        Array.from(expected, (v) => v ?? 0),
      ),
    ).toBeLessThan(3e-6);
  });

  it('pass gradients to the input and the weight', () => {
    for (const c of CASES.filter((each) => each.image.length === 2)) {
      const { x, w, xShape, wShape } = dataOf(c);
      const make = (data: number[], shape: number[]): Tensor => {
        const leaf = tensor(data, { dtype: 'float32', device }).reshape(shape).realize();
        leaf.requiresGrad = true;
        return leaf;
      };
      const [image, weight] = [make(x, xShape), make(w, wShape)];
      const y = convolve(c, image, weight);
      const g = values(product(y.shape), 11);
      y.mul(tensor(g, { dtype: 'float32', device }).reshape(y.shape))
        .sum()
        .backward();
      const dx = x.map(() => 0);
      const dw = w.map(() => 0);
      forProducts(c, (o, i, k) => {
        dx[i] += g[o] * w[k];
        dw[k] += g[o] * x[i];
      });
      expect(worst(image.grad?.flatten().toArray() as number[], dx), nameOf(c)).toBeLessThan(3e-6);
      // Up to 1,600 products of both signs for each element, added up one by one on `js`.
      expect(worst(weight.grad?.flatten().toArray() as number[], dw), nameOf(c)).toBeLessThan(3e-4);
    }
  });

  it('read images that are views of others', () => {
    const c: Case = { batch: 2, channels: [3, 5], image: [8, 18], kernel: [3, 3] };
    const { x, w, xShape, wShape } = dataOf(c);
    const expected: number[] = [];
    forProducts(c, (o, i, k) => (expected[o] = (expected[o] ?? 0) + x[i] * w[k]));
    const image = tensor(x, { dtype: 'float32', device }).reshape(xShape);
    const weight = tensor(w, { dtype: 'float32', device }).reshape(wShape);
    const flipped = image.flip([0, 2]).realize().flip([0, 2]);
    const turned = image.transpose(2, 3).clone().realize().transpose(2, 3);
    for (const view of [flipped, turned])
      expect(worst(convolve(c, view, weight).flatten().toArray() as number[], expected)).toBeLessThan(3e-6);
    const row = image.slice(2, 0, 1).realize().expand(2, 3, 8, 18);
    const repeated = convolve(c, row, weight);
    const copied = convolve(c, row.clone().realize(), weight);
    expect(repeated.toArray()).toEqual(copied.toArray());
  });

  it('need no memory for a matrix of windows', () => {
    const x = tensor(values(8 * 32 * 32, 1), { dtype: 'float32', device }).reshape([1, 8, 32, 32]);
    const w = tensor(values(8 * 8 * 9, 1), { dtype: 'float32', device }).reshape([8, 8, 3, 3]);
    expect(explain(conv2d(x, w))).toMatch(/1 launch/);
    expect(explain(conv2d(x, w, { padding: 1 }))).toMatch(/2 launches/);
  });
});
