/** In-place operations: every row with a trailing underscore does what the row does; what they refuse; what they count. */
import { arange, cat, getDevice, opTable, setDefaultDevice, tensor, Tensor, zeros } from '@proj/tensor';
import { SampleMaker, samplesOf } from '@proj/tensor/testing';
import { beforeAll, describe, expect, it } from 'vitest';

const device = getDevice('js');
beforeAll(() => setDefaultDevice(device));
type Call = (...args: unknown[]) => unknown;
const methodOf = (x: Tensor, name: string): Call => (x as unknown as Record<string, Call>)[name].bind(x);

describe('in-place forms', () => {
  const rows = opTable.filter((row) => row.inPlace);
  it('exist for many rows', () => {
    expect(rows.length).toBeGreaterThan(120);
  });
  it.each(rows.map((row) => [`${row.name}_`, row] as const))('%s writes what the operation computes', (name, row) => {
    let tried = 0;
    for (const sample of samplesOf(row)?.samples ?? []) {
      const dtype = sample.dtypes[0];
      const run = row.fn as unknown as Call;
      const [expected] = [run(...sample.args(new SampleMaker(device, dtype)))];
      const [input, ...rest] = sample.args(new SampleMaker(device, dtype));
      if (!(expected instanceof Tensor) || !(input instanceof Tensor) || expected.shape.join() !== input.shape.join())
        continue;
      const target = input.clone();
      const seen = target.reshape([-1]);
      const { version } = target;
      if (expected.dtype !== input.dtype) {
        // The result is cast, or does not fit.
        try {
          methodOf(target, name)(...rest);
        } catch (error) {
          expect(String(error)).toMatch(/cannot be stored/);
          continue;
        }
        expect(target.dtype).toBe(input.dtype);
      } else {
        expect(methodOf(target, name)(...rest)).toBe(target);
        expect(target.toFlatArray()).toEqual(expected.toFlatArray());
        expect(seen.toFlatArray()).toEqual(expected.toFlatArray());
      }
      expect(target.version).toBe(version + 1);
      tried++;
    }
    expect(tried).toBeGreaterThan(0);
  });
});

describe('writing in place', () => {
  it('broadcasts the value and refuses one that is larger', () => {
    const x = zeros(2, 3);
    x.add_(tensor([1, 2, 3]));
    expect(x.toArray()).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(() => tensor([1, 2, 3]).add_(zeros(2, 3, { dtype: 'int64' }))).toThrow(/add_/);
    expect(() => zeros(2, 1).add_(zeros(2, 3))).toThrow(/does not broadcast/);
  });

  it('reads the operands as they are at its moment, itself included', () => {
    const x = arange(1, 5);
    x.mul_(x).add_(x);
    expect(x.toFlatArray()).toEqual([2, 8, 18, 32]);
    // Overlapping views of one memory: the source is read before the target is written.
    const y = arange(6);
    y.slice(0, 1, 6).copy_(y.slice(0, 0, 5));
    expect(y.toFlatArray()).toEqual([0, 0, 1, 2, 3, 4]);
    const z = arange(6);
    z.slice(0, 0, 5).add_(z.slice(0, 1, 6));
    expect(z.toFlatArray()).toEqual([1, 3, 5, 7, 9, 5]);
    const square = arange(9).reshape(3, 3);
    square.copy_(square.t());
    expect(square.toArray()).toEqual([
      [0, 3, 6],
      [1, 4, 7],
      [2, 5, 8],
    ]);
  });

  it('many small writes make one chain that is computed at once', () => {
    const x = zeros(10);
    for (let i = 0; i < 10; i++) x.slice(0, i, i + 1).add_(i);
    expect(x.toFlatArray()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const pieces = arange(12, { dtype: 'float32' }).reshape(3, 4);
    pieces.select(0, 1).mul_(2);
    pieces.select(1, 3).fill_(-1);
    pieces.diagonal().zero_();
    expect(pieces.toArray()).toEqual([
      [0, 1, 2, -1],
      [8, 0, 12, -1],
      [8, 9, 0, -1],
    ]);
  });

  it('index assignment writes numbers, slices, masks and tensors', () => {
    const x = zeros(3, 4);
    x.setIndex(1, 5);
    x.setIndex(
      [
        { start: 0, stop: 1 },
        { start: 1, step: 2 },
      ],
      tensor([7, 8]),
    );
    x.setIndex(x.eq(8), -8);
    x.setIndex([tensor([2, 2]), tensor([0, 3])], tensor([3, 4]));
    expect(x.toArray()).toEqual([
      [0, 7, 0, -8],
      [5, 5, 5, 5],
      [3, 0, 0, 4],
    ]);
  });

  it('does not touch what shares a value but no memory', () => {
    const x = arange(3, { dtype: 'float32' });
    const [copy, joined] = [x.clone(), cat([x, x])];
    const same = tensor(x);
    x.realize();
    x.fill_(9);
    expect([copy, joined, same].map((y) => y.toFlatArray())).toEqual([
      [0, 1, 2],
      [0, 1, 2, 0, 1, 2],
      [0, 1, 2],
    ]);
  });

  it('counts versions, through views and detached tensors too', () => {
    const x = zeros(4);
    expect(x.version).toBe(0);
    x.add_(1);
    x.slice(0, 0, 2).mul_(2);
    x.detach().zero_();
    expect(x.version).toBe(3);
  });

  it('a loop of writes that is never read does not grow', () => {
    const x = zeros(8);
    for (let i = 0; i < 3000; i++) {
      x.add_(1);
      if (i % 100 === 99) x.realize();
    }
    expect(x.toFlatArray()).toEqual(new Array<number>(8).fill(3000));
  });

  it('a leaf that requires a gradient refuses', () => {
    const x = tensor([1, 2], { dtype: 'float32', requiresGrad: true });
    expect(() => x.add_(1)).toThrow(/leaf that requires a gradient.*noGrad/);
    expect(() => x.slice(0, 0, 1).zero_()).toThrow(/leaf that requires a gradient/);
  });
});
