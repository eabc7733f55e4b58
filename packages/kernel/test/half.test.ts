import { describe, expect, test } from 'vitest';
import {
  bfloatBitsToFloat,
  buildKernel,
  castStorage,
  compileJs,
  floatToBfloatBits,
  floatToHalfBits,
  halfBitsToFloat,
  loadAsFloat,
  verifyKernel,
  type JsFunction,
} from '../src/index.ts';
import { everyExponent } from './ulp.ts';

const values = (): Float64Array => everyExponent('f32', 60, 3);

describe('half conversions', () => {
  test('f16 bits are those of Float16Array', () => {
    const halves = new Float16Array(1);
    const bits = new Uint16Array(halves.buffer);
    for (let i = 0; i < 65536; i++) {
      bits[0] = i;
      expect(halfBitsToFloat(i)).toBe(halves[0]);
    }
    for (const x of values()) {
      halves[0] = Math.fround(x);
      if (Number.isNaN(x)) expect(halfBitsToFloat(floatToHalfBits(x))).toBeNaN();
      else expect(floatToHalfBits(x), String(x)).toBe(bits[0]);
    }
  });
  test('ties go to the even f16', () => {
    expect(
      [2049, 2051, 65519.99, 65520, 2 ** -25, 2 ** -24 * 1.5, -(2 ** -25) * 1.01].map((x) =>
        halfBitsToFloat(floatToHalfBits(x)),
      ),
    ).toEqual([2048, 2052, 65504, Infinity, 0, 2 ** -23, -(2 ** -24)]);
  });
  test('bf16 is the nearest number of 8 bits, ties to even', () => {
    for (const x of values()) {
      if (!Number.isFinite(x) || Math.abs(x) < 2 ** -126 || Math.abs(x) > 3.38e38) continue;
      const exponent = Math.floor(Math.log2(Math.abs(x)));
      const step = 2 ** ((2 ** exponent > Math.abs(x) ? exponent - 1 : exponent) - 7);
      const quotient = x / step;
      const floor = Math.floor(quotient);
      const nearest = quotient - floor === 0.5 ? floor + (Math.abs(floor) % 2) : Math.round(quotient);
      expect(bfloatBitsToFloat(floatToBfloatBits(x)), String(x)).toBe(nearest * step);
    }
    expect([Infinity, -Infinity, NaN, -0, 3.4e38].map((x) => bfloatBitsToFloat(floatToBfloatBits(x)))).toEqual([
      Infinity,
      -Infinity,
      NaN,
      -0,
      Infinity,
    ]);
  });
});

describe.each(['f16', 'bf16'] as const)('%s in the language', (type) => {
  const run = (kernel: ReturnType<typeof buildKernel>): JsFunction => {
    verifyKernel(kernel);
    return compileJs(kernel);
  };
  test('loadAsFloat gives every number', () => {
    const load = run(
      buildKernel('load', (b) => {
        const x = b.buffer('x', type);
        const y = b.buffer('y', 'f32', 'write');
        b.for(b.begin, b.end, 4, [], (i) => b.store(y, i, loadAsFloat(b, b.load(x, i, 4))));
      }),
    );
    const out = new Float32Array(65536);
    load([Uint16Array.from({ length: 65536 }, (_, i) => i), out], 0, 65536, 0);
    out.forEach((value, i) => expect(value).toBe(type === 'f16' ? halfBitsToFloat(i) : bfloatBitsToFloat(i)));
  });
  test('castStorage gives the bits of the exact conversion', () => {
    const store = run(
      buildKernel('store', (b) => {
        const x = b.buffer('x', 'f32');
        const y = b.buffer('y', type, 'write');
        b.for(b.begin, b.end, 1, [], (i) => b.store(y, i, castStorage(b, b.load(x, i), type)));
      }),
    );
    const x = Float32Array.from(values());
    const out = new Uint16Array(x.length);
    store([x, out], 0, x.length, 0);
    out.forEach((bits, i) =>
      expect(bits, String(x[i])).toBe(type === 'f16' ? floatToHalfBits(x[i]) : floatToBfloatBits(x[i])),
    );
  });
});
