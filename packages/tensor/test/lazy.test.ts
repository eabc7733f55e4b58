/** Laziness: building computes nothing, reading computes once, equal structures share a plan. */
import { evaluate, fromArray, full, ones, scan, type Tensor, tensor, zeros } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import { CountingDevice } from './support/counting-device.ts';

const on = (device: CountingDevice, data: readonly number[], shape: readonly number[] = [data.length]): Tensor =>
  fromArray(Float32Array.from(data), shape, 'float32', { device });

describe('lazy evaluation', () => {
  it('building computes nothing, reading runs one program', () => {
    const device = new CountingDevice();
    const x = on(device, [1, 2, 3]);
    const y = x.mul(2).add(1).exp().log();
    expect([device.programs, device.runs]).toEqual([0, 0]);
    expect(y.shape).toEqual([3]);
    expect(y.toFlatArray().map((v) => Math.round(v))).toEqual([3, 5, 7]);
    expect([device.programs, device.runs]).toEqual([1, 1]);
  });

  it('a value is computed once and kept', () => {
    const device = new CountingDevice();
    const y = on(device, [1, 2, 3]).exp();
    y.realize();
    y.toFlatArray();
    y.mul(2).toFlatArray();
    expect(device.runs).toBe(2);
    expect(device.launches).toBe(2);
  });

  it('many results are computed in one program', () => {
    const device = new CountingDevice();
    const x = on(device, [1, 2, 3, 4]);
    const results = [x.exp(), x.sum(), x.mul(x), x.reshape(2, 2).matmul(x.reshape(2, 2))];
    evaluate(results);
    expect(device.runs).toBe(1);
    results.forEach((r) => r.toFlatArray());
    expect(device.runs).toBe(1);
  });

  it('graphs of one structure share a plan, whatever the numbers in them', () => {
    const device = new CountingDevice();
    const found = [0.3, 0.7, 1.25].map((k) =>
      on(device, [1, 2, 3])
        .mul(k)
        .add(10 * k)
        .toFlatArray(),
    );
    expect(device.programs).toBe(1);
    expect(device.runs).toBe(3);
    expect(found[2]).toEqual([13.75, 15, 16.25]);
  });

  it('a product is regrouped in its store: two heads of two groups of two batches, capped and masked', () => {
    const [batch, groups, heads, length] = [2, 2, 4, 6];
    const each = (heads / groups) * length;
    const numbers = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i));
    const [q, k] = [numbers(batch * groups * each * 3), numbers(batch * groups * length * 3).reverse()];
    const scores = fromArray(q, [batch, groups, each, 3], 'float32')
      .matmul(fromArray(k, [batch, groups, length, 3], 'float32').transpose(2, 3))
      .mul(0.5)
      .reshape([batch, heads, length, length]);
    const mask = fromArray(
      numbers(batch * length).map((x) => Number(x > 0)),
      [batch, 1, 1, length],
      'float32',
    );
    const found = scores.mul(mask).toTypedArray();
    let worst = 0;
    for (let i = 0; i < found.length; i++) {
      const [b, h, t, s] = [heads * length * length, length * length, length, 1].map(
        (step, d) => Math.floor(i / step) % [batch, heads, length, length][d],
      );
      const row = (b * groups * each + h * length + t) * 3;
      const column = ((b * groups + Math.floor((h * groups) / heads)) * length + s) * 3;
      let sum = 0;
      for (let j = 0; j < 3; j++) sum += q[row + j] * k[column + j];
      const expected = Math.sin((b * length + s) ** 2) > 0 ? sum * 0.5 : 0;
      worst = Math.max(worst, Math.abs(Number(found[i]) - expected));
    }
    expect(worst).toBeLessThan(1e-6);
  });

  it('other shapes, dtypes and constants that matter get plans of their own', () => {
    const device = new CountingDevice();
    on(device, [1, 2, 3]).mul(0.3).realize();
    on(device, [1, 2, 3, 4]).mul(0.3).realize();
    on(device, [1, 2, 3]).double().mul(0.3).realize();
    on(device, [1, 2, 3]).mul(2).realize();
    on(device, [1, 2, 3]).mul(0.3).add(0).realize();
    expect(device.programs).toBe(5);
  });

  it('views and reshapes of computed values cost no program', () => {
    const device = new CountingDevice();
    const x = on(device, [1, 2, 3, 4, 5, 6], [2, 3]).mul(3).realize();
    const { launches } = device;
    expect(x.reshape(3, 2).toArray()).toEqual([
      [3, 6],
      [9, 12],
      [15, 18],
    ]);
    expect(device.launches).toBe(launches);
    expect(x.t().toArray()).toEqual([
      [3, 12],
      [6, 15],
      [9, 18],
    ]);
  });

  it('an unread value is never computed', () => {
    const device = new CountingDevice();
    const x = on(device, [1, 2]);
    for (let i = 0; i < 50; i++) x.exp().matmul(x);
    expect([device.programs, device.runs]).toEqual([0, 0]);
  });

  it('a deep chain neither overflows the stack nor makes one monstrous kernel', { timeout: 60_000 }, () => {
    const device = new CountingDevice();
    let x = on(device, [1, 2]);
    for (let i = 0; i < 3000; i++) x = x.add(1);
    expect(x.toFlatArray()).toEqual([3001, 3002]);
    let y = on(device, [1, 1]);
    for (let i = 0; i < 300; i++) y = y.sin().add(y);
    expect(y.toFlatArray().every((v) => Number.isFinite(v))).toBe(true);
  });

  it('planning four times the layers takes about four times as long', { timeout: 120_000 }, () => {
    const planned = (layers: number): number => {
      let x = ones([16, 16]).realize();
      const results: Tensor[] = [];
      for (let i = 0; i < layers; i++) {
        const weight = full([16], i + 0.5).realize();
        x = x.add(
          x
            .sub(x.mean(-1, { keepdim: true }))
            .mul(weight)
            .tanh(),
        );
        results.push(weight.sub(x.sum(0)));
      }
      const began = process.cpuUsage();
      evaluate([x, ...results]);
      return process.cpuUsage(began).user;
    };
    planned(10);
    const [few, many] = [80, 320].map((layers) => Math.min(planned(layers), planned(layers + 1)));
    expect(many / few).toBeLessThan(7); // more than 9 where pairs of leaves and outputs were looked at
  });

  it('a value used many times is computed once', () => {
    const device = new CountingDevice();
    const x = on(device, [0.5, 0.25]);
    let y = x;
    for (let i = 0; i < 40; i++) y = y.mul(0.5).add(y.mul(0.5));
    expect(y.toFlatArray()).toEqual([0.5, 0.25]);
  });
});

describe('scan', () => {
  it('carries state over a sequence and stacks what the steps give', () => {
    const xs = tensor(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { dtype: 'float32', device: 'js' },
    );
    const { carry, ys } = scan((sum: Tensor, [x]) => [sum.add(x), sum.mul(x)] as const, zeros(2, { device: 'js' }), [
      xs,
    ]);
    expect(carry.toArray()).toEqual([9, 12]);
    expect(ys[0].toArray()).toEqual([
      [0, 0],
      [3, 8],
      [20, 36],
    ]);
  });
  it('runs backwards, without sequences, and refuses uneven ones', () => {
    const xs = tensor([1, 2, 3], { device: 'js' });
    expect(
      scan((c: Tensor, [x]) => [c.mul(2).add(x), c] as const, zeros([], { device: 'js' }), [xs], {
        reverse: true,
      }).carry.item(),
    ).toBe(17);
    expect(
      scan((c: Tensor) => [c.mul(2), null] as const, ones([], { device: 'js' }), [], { length: 5 }).carry.item(),
    ).toBe(32);
    expect(() => scan((c: Tensor) => [c, null] as const, ones([]), [xs, xs.slice(0, 0, 2)])).toThrow(/length 3 and 2/);
  });
});
