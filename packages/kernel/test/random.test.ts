import { describe, expect, test } from 'vitest';
import { buildKernel, compileJs, math, type Kernel } from '../src/index.ts';

describe('philox', () => {
  const block: Kernel = buildKernel('philox', (b) => {
    const x = b.buffer('x', 'u32');
    const out = b.buffer('out', 'u32', 'write');
    const word = (i: number): ReturnType<typeof b.load> => b.load(x, i);
    math
      .philox4x32(b, [word(0), word(1), word(2), word(3)], [word(4), word(5)])
      .forEach((value, i) => b.store(out, i, value));
  });
  // Known answers of Random123 (D. E. Shaw Research), kat_vectors, philox4x32 10.
  test.each([
    [
      [0, 0, 0, 0, 0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('%j gives %j', (input, expected) => {
    const out = new Uint32Array(4);
    compileJs(block)([Uint32Array.from(input), out], 0, 1, 0);
    expect([...out]).toEqual(expected);
  });
});

describe('distributions', () => {
  const n = 100_000;
  const sample = compileJs(
    buildKernel('sample', (b) => {
      const u = b.buffer('u', 'f32', 'write');
      const d = b.buffer('d', 'f64', 'write');
      const z = b.buffer('z', 'f32', 'write');
      b.for(b.begin, b.end, 4, [], (i) => {
        const counter = b.add(b.cast(b.cast(i, 'i32'), 'u32'), b.iota('u32', 4));
        const zero = b.constant(0, 'u32');
        const [x0, x1, x2, x3] = math.philox(b, counter, zero, b.constant(42, 'u32'), zero);
        b.store(u, i, math.uniform(b, x0));
        b.store(d, i, math.uniformDouble(b, x0, x1));
        b.store(z, i, math.normal(b, x2, x3)[0]);
      });
    }),
  );
  const u = new Float32Array(n);
  const d = new Float64Array(n);
  const z = new Float32Array(n);
  sample([u, d, z], 0, n, 0);
  const mean = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0) / n;

  test('uniform numbers fill [0, 1) evenly', () => {
    expect(Math.min(...u.slice(0, 50_000))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...u.slice(0, 50_000))).toBeLessThan(1);
    expect(mean(u)).toBeCloseTo(0.5, 2);
    expect(mean(u.map((x) => x * x))).toBeCloseTo(1 / 3, 2);
    expect(u.every((x) => Number.isInteger(x * 2 ** 24))).toBe(true);
    expect(d.every((x, i) => Math.abs(x - u[i]) < 2 ** -23 && x < 1)).toBe(true);
  });
  test('normal numbers have the moments 0, 1, 0, 3', () => {
    expect(mean(z)).toBeCloseTo(0, 1);
    expect(Math.abs(mean(z))).toBeLessThan(0.015);
    expect(Math.abs(mean(z.map((x) => x ** 2)) - 1)).toBeLessThan(0.02);
    expect(Math.abs(mean(z.map((x) => x ** 3)))).toBeLessThan(0.06);
    expect(Math.abs(mean(z.map((x) => x ** 4)) - 3)).toBeLessThan(0.15);
    expect(z.every(Number.isFinite)).toBe(true);
  });
  test('normal numbers follow the distribution function', () => {
    for (const [x, p] of [
      [-2, 0.02275],
      [-1, 0.15866],
      [0, 0.5],
      [0.5, 0.69146],
      [1.5, 0.93319],
    ]) {
      expect(Math.abs(z.filter((value) => value < x).length / n - p)).toBeLessThan(0.006);
    }
  });
});
