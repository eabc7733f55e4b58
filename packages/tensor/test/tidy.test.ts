/** tidy(): what is given back, and what outlives the scope. */
import type { Tensor } from '@proj/tensor';
import { fromArray, keep, ones, setDefaultDevice, tidy, zeros } from '@proj/tensor';
import { beforeEach, describe, expect, it } from 'vitest';
import { CountingDevice } from './support/counting-device.ts';

let device: CountingDevice;
beforeEach(() => {
  device = new CountingDevice();
  setDefaultDevice(device);
});
const data = (n = 1000): Tensor =>
  fromArray(
    Float32Array.from({ length: n }, (_, i) => i),
    [n],
  );
/** Bytes in use, scratch memory apart. */
function used(): number {
  return device.memory().used;
}

describe('tidy', () => {
  it('gives back everything made inside but the results', () => {
    const x = data();
    x.add(1).realize();
    const before = used();
    const result = tidy(() => {
      const a = x.exp().realize();
      const b = a.mul(2).realize();
      data(5000).realize();
      return b.sum();
    });
    expect(used() - before).toBeLessThanOrEqual(64);
    expect(Number.isFinite(x.sum().item())).toBe(true);
    expect(result.shape).toEqual([]);
  });

  it('keeps results in arrays and objects, lazy ones too, and views of them', () => {
    const { a, list } = tidy(() => {
      const y = data(6);
      return { a: y.mul(2), list: [y.reshape(2, 3), y.slice(0, 4, 6)] };
    });
    expect(a.toFlatArray()).toEqual([0, 2, 4, 6, 8, 10]);
    expect(list[0].toArray()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(list[1].toFlatArray()).toEqual([4, 5]);
  });

  it('keeps what is written into older tensors, and gives back their old values', () => {
    const w = data();
    w.mul(1).realize();
    let after = 0;
    for (let i = 0; i < 20; i++) {
      tidy(() => {
        w.add_(1);
        w.realize();
      });
      if (i === 0) after = used();
    }
    expect(used()).toBe(after);
    expect(w.select(0, 0).item()).toBe(20);
  });

  it('keeps what keep() is given, and the results of inner scopes that are returned', () => {
    let state: Tensor | null = null;
    const result = tidy(() => {
      state ??= keep(zeros(4));
      const inner = tidy(() => ones(4).add(data(4)));
      state.add_(inner);
      return inner.mul(10);
    });
    expect(result.toFlatArray()).toEqual([10, 20, 30, 40]);
    expect((state as unknown as Tensor).toFlatArray()).toEqual([1, 2, 3, 4]);
  });

  it('an inner scope may change what is older than the outer one', () => {
    const w = data(4);
    for (let i = 0; i < 3; i++)
      tidy(() => {
        tidy(() => w.add_(1).sum().realize());
        w.mul_(2);
      });
    expect(w.toFlatArray()).toEqual([14, 22, 30, 38]);
  });

  it('does not take the value of a tensor that another one still has', () => {
    const w = data(4);
    const copy = w.clone();
    const alias = w.detach();
    tidy(() => w.add_(1).realize());
    expect(copy.toFlatArray()).toEqual([0, 1, 2, 3]);
    expect(alias.toFlatArray()).toEqual([1, 2, 3, 4]);
  });

  it('passes errors on and gives back what was made before them', () => {
    data().mul(2).realize();
    const before = used();
    expect(() =>
      tidy(() => {
        data(4000).exp().realize();
        throw new Error('mine');
      }),
    ).toThrow('mine');
    expect(used()).toBe(before);
    expect(tidy(() => 5)).toBe(5);
  });

  it('a loop without reading keeps its footprint', () => {
    const w = data();
    let highest = 0;
    for (let i = 0; i < 50; i++) {
      tidy(() => {
        const g = w.mul(0.5).realize();
        w.sub_(g.mul(0.1));
        return w.sum();
      });
      if (i === 5) highest = used();
    }
    expect(used()).toBeLessThanOrEqual(highest + 256);
  });

  it('refuses async functions', () => {
    expect(() => tidy(async () => data())).toThrow(/tidy: the function is async.*Await before/);
    expect(() => tidy(() => Promise.resolve(data()))).toThrow(/gives a promise/);
  });
});
