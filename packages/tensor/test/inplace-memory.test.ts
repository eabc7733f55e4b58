/** In-place operations write over the old value where nobody else can read it, and nowhere else. */
import { compile, fromArray, setDefaultDevice, type Tensor } from '@proj/tensor';
import { beforeEach, describe, expect, it } from 'vitest';
import { CountingDevice } from './support/counting-device.ts';

let device: CountingDevice;
beforeEach(() => {
  device = new CountingDevice();
  setDefaultDevice(device);
});
const data = (): Tensor => fromArray(Float32Array.of(1, 2, 3, 4), [4]);

describe('memory of in-place operations', () => {
  it('is that of the old value', () => {
    const [x, y] = [data(), data()];
    x.mul_(2).realize();
    const { data: memory } = x.node;
    const before = device.allocations;
    for (let i = 0; i < 5; i++) {
      x.mul_(0.5).add_(y);
      y.sub_(1);
      x.realize();
    }
    expect(device.allocations).toBe(before);
    expect(x.node.data).toBe(memory);
    const [a, b] = [
      [2, 4, 6, 8],
      [1, 2, 3, 4],
    ];
    for (let i = 0; i < 5; i++) a.forEach((v, k) => ((a[k] = v / 2 + b[k]), b[k]--));
    expect(x.toFlatArray()).toEqual(a);
    expect(y.toFlatArray()).toEqual(b);
  });

  it('is new where a value that was not computed yet reads the old one', () => {
    const x = data();
    const later = x.mul(10);
    x.add_(1).realize();
    expect(later.toFlatArray()).toEqual([10, 20, 30, 40]);
    expect(x.toFlatArray()).toEqual([2, 3, 4, 5]);
  });

  it('is new where something reads a value between two writes, or hangs on it through another tensor', () => {
    const x = data();
    x.mul_(2);
    const between = x.add(0.5);
    x.add_(1).realize();
    expect(between.toFlatArray()).toEqual([2.5, 4.5, 6.5, 8.5]);
    expect(x.toFlatArray()).toEqual([3, 5, 7, 9]);

    const [m, p] = [data(), data()];
    m.mul_(2);
    p.sub_(m);
    const held = p.mul(3);
    p.add_(100);
    p.realize();
    m.realize();
    expect(held.toFlatArray()).toEqual([-3, -6, -9, -12]);
    expect(m.toFlatArray()).toEqual([2, 4, 6, 8]);
  });

  it('is new where a copy, a view or a reshaped value has the old one', () => {
    const x = data();
    const [copy, matrix, part, alias] = [x.clone(), x.reshape(2, 2).mul(1), x.slice(0, 1, 3).add(0), x.detach()];
    const reshaped = x.reshape(2, 2).clone().realize();
    x.mul_(-1).realize();
    x.mul_(2).realize();
    expect(copy.toFlatArray()).toEqual([1, 2, 3, 4]);
    expect(matrix.toFlatArray()).toEqual([1, 2, 3, 4]);
    expect(part.toFlatArray()).toEqual([2, 3]);
    expect(reshaped.toFlatArray()).toEqual([1, 2, 3, 4]);
    expect(alias.toFlatArray()).toEqual([-2, -4, -6, -8]);

    const product = fromArray(Float32Array.of(1, 0, 0, 1), [2, 2]).matmul(
      fromArray(Float32Array.of(1, 2, 3, 4), [2, 2]),
    );
    const flat = product.reshape(4);
    product.realize();
    product.mul_(5).realize();
    expect(product.toFlatArray()).toEqual([5, 10, 15, 20]);
    expect([...flat.toFlatArray()]).toEqual([5, 10, 15, 20]);
    const values = fromArray(Float32Array.of(1, 0, 0, 1), [2, 2]).matmul(
      fromArray(Float32Array.of(1, 2, 3, 4), [2, 2]),
    );
    const row = values.reshape(4).add(0);
    values.realize();
    values.mul_(5).realize();
    expect(row.toFlatArray()).toEqual([1, 2, 3, 4]);
  });

  it('is new where a compiled function gave the value out', () => {
    const state = data();
    const step = compile(() => {
      state.add_(1);
      return { now: state.clone(), same: state };
    });
    step();
    step();
    const { now, same } = step();
    state.mul_(10).realize();
    state.mul_(10).realize();
    expect(now.toFlatArray()).toEqual([4, 5, 6, 7]);
    expect(same.toFlatArray()).toEqual([4, 5, 6, 7]);
    expect(state.toFlatArray()).toEqual([400, 500, 600, 700]);
  });

  it('is not written over by an operation that is wider than what it writes', () => {
    const x = data();
    x.copy_(x.reshape(2, 2).transpose(0, 1).reshape(4));
    x.realize();
    expect(x.toFlatArray()).toEqual([1, 3, 2, 4]);
    for (let i = 0; i < 3; i++) {
      x.copy_(x.flip(0).cumsum(0));
      x.realize();
    }
    const expected = [1, 3, 2, 4];
    for (let i = 0; i < 3; i++) {
      expected.reverse();
      for (let k = 1; k < 4; k++) expected[k] += expected[k - 1];
    }
    expect(x.toFlatArray()).toEqual(expected);
  });
});
