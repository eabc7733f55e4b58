/** Groups of nodes that are alike share their kernels; those that only look alike do not. */
import type { Kernel } from '@proj/kernel';
import { fromArray, getDevice, setDefaultDevice, type Tensor } from '@proj/tensor';
import { matrixExp } from '@proj/tensor/linalg';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

beforeAll(() => setDefaultDevice(getDevice('js')));
afterEach(() => vi.restoreAllMocks());

const data = (shape: readonly number[], seed = 0): Tensor =>
  fromArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.3 * i + seed)),
    shape,
  ).realize();

/** The kernels that planning `make` hands to the device. */
function kernelsOf(make: () => Tensor): readonly Kernel[] {
  const handed: Kernel[] = [];
  const device = getDevice('js');
  const compile = device.compile.bind(device);
  vi.spyOn(device, 'compile').mockImplementation((kernels) => {
    handed.push(...kernels);
    return compile(kernels);
  });
  make().realize();
  return handed;
}

function network(layers: number): Tensor {
  let x = data([8, 16], 100);
  for (let layer = 0; layer < layers; layer++) {
    const normal = x.sub(x.mean(-1, { keepdim: true })).mul(x.var(-1, { keepdim: true }).add(1e-5).rsqrt());
    x = x.add(
      normal
        .matmul(data([16, 16], layer))
        .tanh()
        .mul(data([16], layer)),
    );
  }
  return x;
}

describe('groups that are alike', () => {
  it('are made into kernels once, however many layers there are', () => {
    const kernels = kernelsOf(() => network(24));
    expect(kernels.length).toBeGreaterThanOrEqual(48);
    expect(new Set(kernels).size).toBeLessThanOrEqual(8);
  });
  it('keep their own memory and numbers', () => {
    const rows = [0, 1, 2, 3].map((i) => data([300], i));
    const sums = rows.map((x, i) =>
      x
        .mul(3 + i)
        .add(x.square())
        .sum(),
    );
    const total = sums.reduce((a, b) => a.mul(7).add(b.sqrt().square()));
    const expected = rows
      .map((x, i) => [...x.toFlatArray()].reduce((a, v) => a + v * (3 + i) + v * v, 0))
      .reduce((a, b) => a * 7 + b);
    expect(total.item() / expected).toBeCloseTo(1, 5);
  });
});

describe('groups that differ', () => {
  const [a, b] = [data([6, 6], 1), data([6, 6], 2)];
  const of = (x: Tensor): number[][] => x.tolist() as number[][];
  const table = (f: (i: number, j: number) => number): number[] =>
    Array.from({ length: 36 }, (_, k) => f(Math.floor(k / 6), k % 6));
  const near = (x: Tensor, expected: readonly number[]): void =>
    x.toFlatArray().forEach((value, i) => expect(value).toBeCloseTo(expected[i], 5));
  const [m, n] = [of(a), of(b)];

  it('in which operand is read twice', () => {
    near(
      a.mul(a).add(b),
      table((i, j) => m[i][j] ** 2 + n[i][j]),
    );
    near(
      a.mul(b).add(b),
      table((i, j) => m[i][j] * n[i][j] + n[i][j]),
    );
    near(
      a.mul(b).add(a),
      table((i, j) => m[i][j] * n[i][j] + m[i][j]),
    );
  });
  it('in how an operand lies', () => {
    near(
      a.mul(b.t()),
      table((i, j) => m[i][j] * n[j][i]),
    );
    near(
      a.t().mul(b),
      table((i, j) => m[j][i] * n[i][j]),
    );
    near(
      a.matmul(b.t()),
      table((i, j) => m[i].reduce((sum, v, k) => sum + v * n[j][k], 0)),
    );
    near(
      a.t().matmul(b),
      table((i, j) => m.reduce((sum, row, k) => sum + row[i] * n[k][j], 0)),
    );
  });
  it('in a number that is part of the code', () => {
    near(
      a.mul(2).add(b),
      table((i, j) => 2 * m[i][j] + n[i][j]),
    );
    near(
      a.mul(0.5).add(b),
      table((i, j) => 0.5 * m[i][j] + n[i][j]),
    );
    near(
      a.clamp(0, Infinity).add(b),
      table((i, j) => Math.max(0, m[i][j]) + n[i][j]),
    );
    near(
      a.clamp(-Infinity, 0).add(b),
      table((i, j) => Math.min(0, m[i][j]) + n[i][j]),
    );
  });
});

describe('the exponential of a matrix', () => {
  it('takes seven products before it is squared', () => {
    const kernels = kernelsOf(() => matrixExp(data([8, 8]).mul(0.05)));
    expect(kernels.filter((kernel) => kernel.name.startsWith('contract'))).toHaveLength(7 + 14);
  });
  it('of a rotation by t is the rotation matrix of t, small and large', () => {
    for (const t of [1e-3, 0.7, 1, 20, 300]) {
      const found = matrixExp(fromArray(Float64Array.of(0, -t, t, 0), [2, 2])).toFlatArray();
      [Math.cos(t), -Math.sin(t), Math.sin(t), Math.cos(t)].forEach((value, i) =>
        expect(Math.abs(found[i] - value)).toBeLessThan(1e-15 * Math.max(4, 4 * t)),
      );
    }
  });
});
