/** Random tensors: repeatable by seed, restorable by state, and distributed as their names say. */
import * as T from '@proj/tensor';
import { describe, expect, it } from 'vitest';

/** Mean and standard deviation of a sample. */
function moments(x: T.Tensor): { mean: number; std: number } {
  const values = x.toFlatArray();
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}
const COUNT = 20_000;
/** Six standard errors of a mean. */
const within = (std: number): number => (6 * std) / Math.sqrt(COUNT);

describe('random tensors', () => {
  it('are the same for the same seed, whatever the order of evaluation', () => {
    T.manualSeed(7);
    const first = [T.rand(5), T.randn(5)];
    const [u, z] = first.map((x) => x.toFlatArray());
    T.manualSeed(7);
    const again = [T.rand(5), T.randn(5)];
    expect(again[1].toFlatArray()).toEqual(z);
    expect(again[0].toFlatArray()).toEqual(u);
    expect(T.rand(5).toFlatArray()).not.toEqual(u);
  });

  it('go on exactly where a state was taken', () => {
    T.manualSeed(3);
    T.rand(11).realize();
    const state = T.getRngState();
    const next = T.randint(0, 1000, [6]).toFlatArray();
    T.setRngState(state);
    expect(T.randint(0, 1000, [6]).toFlatArray()).toEqual(next);
  });

  it('of a generator of their own do not move the default one', () => {
    T.manualSeed(5);
    const expected = T.rand(4).toFlatArray();
    T.manualSeed(5);
    T.rand(9, { generator: new T.Generator(1) }).realize();
    expect(T.rand(4).toFlatArray()).toEqual(expected);
  });

  it('have the moments of their distributions', () => {
    T.manualSeed(11);
    const cases: readonly [string, T.Tensor, number, number][] = [
      ['rand', T.rand(COUNT), 0.5, Math.sqrt(1 / 12)],
      ['randn', T.randn(COUNT, { dtype: 'float64' }), 0, 1],
      ['randint', T.randint(-3, 4, [COUNT]), 0, 2],
      ['uniform_', T.zeros(COUNT).uniform_(-1, 3), 1, 4 * Math.sqrt(1 / 12)],
      ['normal_', T.zeros(COUNT).normal_(2, 0.5), 2, 0.5],
      ['bernoulli', T.bernoulli(T.full([COUNT], 0.3)), 0.3, Math.sqrt(0.21)],
      ['exponential_', T.zeros(COUNT).exponential_(2), 0.5, 0.5],
      ['geometric_', T.zeros(COUNT).geometric_(0.25), 4, Math.sqrt(0.75) / 0.25],
      ['poisson, small rate', T.poisson(T.full([COUNT], 3.5)), 3.5, Math.sqrt(3.5)],
      ['poisson, large rate', T.poisson(T.full([COUNT], 40.5)), 40.5, Math.sqrt(40.5)],
    ];
    for (const [name, x, mean, std] of cases) {
      const found = moments(x);
      expect(Math.abs(found.mean - mean), `${name}: mean ${found.mean}`).toBeLessThan(within(std));
      expect(Math.abs(found.std / std - 1), `${name}: std ${found.std}`).toBeLessThan(0.06);
    }
  });

  it('permute every number once', () => {
    const order = T.randperm(100).toFlatArray();
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(order).not.toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('draw from weights without replacement: never the impossible, never twice', () => {
    T.manualSeed(2);
    for (let i = 0; i < 20; i++) {
      const drawn = T.multinomial(T.tensor([0.5, 0, 2, 1.5]), 3).toFlatArray();
      expect([...drawn].sort((a, b) => a - b)).toEqual([0, 2, 3]);
    }
  });

  it('draw from weights with replacement in proportion to them', () => {
    T.manualSeed(4);
    const drawn = T.multinomial(T.tensor([1.5, 0, 4.5]), 4000, { replacement: true }).toFlatArray();
    const share = drawn.filter((x) => x === 2).length / drawn.length;
    expect(drawn).not.toContain(1);
    expect(Math.abs(share - 0.75)).toBeLessThan(6 * Math.sqrt((0.75 * 0.25) / 4000));
  });

  it('refuse what has no distribution', () => {
    expect(() => T.multinomial(T.tensor([0.5, 0.5]), 3)).toThrow(/without replacement/);
    expect(() => T.bernoulli(T.tensor([1, 0]))).toThrow(/float/);
    expect(() => T.randint(5, 5, [2])).toThrow(/no integers/);
  });
});
