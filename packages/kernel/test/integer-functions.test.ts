import { describe, expect, test } from 'vitest';
import {
  buildKernel,
  coerce,
  JS_ARRAYS,
  compileJs,
  math,
  verifyKernel,
  type JsTypedArray,
  type KernelBuilder,
  type Value,
} from '../src/index.ts';

type IntegerType = 'i8' | 'u8' | 'i16' | 'i32' | 'u32' | 'i64';
const RANGES: Record<IntegerType, readonly [bigint, bigint]> = {
  i8: [-128n, 127n],
  u8: [0n, 255n],
  i16: [-32768n, 32767n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  u32: [0n, 2n ** 32n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
};
const ARRAYS = {
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  Float32Array,
  Float64Array,
};

/** f of each pair, as bigints. */
function pairs(
  type: IntegerType,
  f: (b: KernelBuilder, x: Value, y: Value) => Value,
  xs: readonly bigint[],
  ys: readonly bigint[],
): bigint[] {
  const kernel = buildKernel('pairs', (b) => {
    const x = b.buffer('x', type);
    const y = b.buffer('y', type);
    const out = b.buffer('out', type, 'write');
    b.for(b.begin, b.end, 1, [], (i) => b.store(out, i, f(b, b.load(x, i), b.load(y, i))));
  });
  verifyKernel(kernel);
  const make = (values: readonly bigint[]): JsTypedArray => {
    const array = new ARRAYS[JS_ARRAYS[type]](values.length);
    values.forEach((value, i) => (array[i] = coerce(value, type) as number));
    return array;
  };
  const out = make(xs.map(() => 0n));
  compileJs(kernel)([make(xs), make(ys), out], 0, xs.length, 0);
  return [...out].map((value) => BigInt(value));
}

const wrap = (type: IntegerType, value: bigint): bigint => BigInt(coerce(value, type) as number | bigint);
const floorQuotient = (x: bigint, y: bigint): bigint => (x % y !== 0n && x < 0n !== y < 0n ? x / y - 1n : x / y);

describe.each(Object.keys(RANGES) as IntegerType[])('%s', (type) => {
  const [low, high] = RANGES[type];
  const list = [low, low + 1n, low / 3n, -7n, -2n, -1n, 0n, 1n, 2n, 3n, 7n, 10n, high / 5n, high - 1n, high].filter(
    (v) => v >= low && v <= high,
  );
  const xs = list.flatMap((x) => list.map(() => x));
  const ys = list.flatMap(() => list);
  const check = (
    f: (b: KernelBuilder, x: Value, y: Value) => Value,
    expected: (x: bigint, y: bigint) => bigint,
  ): void => {
    expect(pairs(type, f, xs, ys)).toEqual(xs.map((x, i) => wrap(type, expected(x, ys[i]))));
  };
  test('truncDiv and fmod truncate, and are 0 by 0', () => {
    check(math.truncDiv, (x, y) => (y === 0n ? 0n : x / y));
    check(math.fmod, (x, y) => (y === 0n ? 0n : x % y));
  });
  test("floorDiv and remainder are Python's", () => {
    check(math.floorDiv, (x, y) => (y === 0n ? 0n : floorQuotient(x, y)));
    check(math.remainder, (x, y) => (y === 0n ? 0n : x - y * floorQuotient(x, y)));
  });
  test('sign, maximum, minimum', () => {
    check(
      (b, x) => math.sign(b, x),
      (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n),
    );
    check(math.maximum, (x, y) => (x > y ? x : y));
    check(math.minimum, (x, y) => (x < y ? x : y));
  });
  test('powInteger wraps; negative exponents give 0 but for ±1', () => {
    const exponents = ys.map((y) => (y > 70n ? y % 70n : y));
    const expected = xs.map((x, i) => {
      const y = exponents[i];
      if (y >= 0n) return wrap(type, x ** y);
      return x === 1n ? 1n : x === -1n ? (y % 2n === 0n ? 1n : -1n) : 0n;
    });
    expect(pairs(type, math.powInteger, xs, exponents)).toEqual(expected);
  });
});

test('functions of floats refuse integers by name', () => {
  expect(() => buildKernel('bad', (b) => void math.exp(b, b.constant(1, 'i32')))).toThrow(
    /exp: a value of i32\. Cast it to f32 or f64 first/,
  );
  expect(() => buildKernel('bad', (b) => void math.lgamma(b, b.constant(1, 'f16')))).toThrow(/lgamma: a value of f16/);
});
