import { describe, expect, test } from 'vitest';
import { DTYPE_ARRAYS, DTYPES, finfo, iinfo, isDType, SCALARS, type DType } from '../src/index.ts';

describe('dtypes', () => {
  test.each(Object.keys(DTYPES) as DType[])('%s: an element of its array is an element of its scalar type', (dtype) => {
    expect(isDType(dtype)).toBe(true);
    expect(DTYPE_ARRAYS[dtype].BYTES_PER_ELEMENT).toBe(SCALARS[DTYPES[dtype].scalar].bytes);
    expect(DTYPES[dtype].bytes).toBe(
      DTYPE_ARRAYS[dtype].BYTES_PER_ELEMENT * (DTYPES[dtype].category === 'complex' ? 2 : 1),
    );
  });
  test('names that are no dtypes', () => expect([isDType('float8'), isDType('toString')]).toEqual([false, false]));
  test('finfo is what PyTorch says', () => {
    expect(finfo('float32')).toEqual({
      bits: 32,
      eps: 1.1920928955078125e-7,
      max: 3.4028234663852886e38,
      min: -3.4028234663852886e38,
      tiny: 1.1754943508222875e-38,
      smallestSubnormal: 1.401298464324817e-45,
    });
    expect(finfo('float64')).toMatchObject({
      eps: Number.EPSILON,
      max: Number.MAX_VALUE,
      tiny: 2.2250738585072014e-308,
      smallestSubnormal: Number.MIN_VALUE,
    });
    expect(finfo('float16')).toMatchObject({
      eps: 0.0009765625,
      max: 65504,
      tiny: 6.103515625e-5,
      smallestSubnormal: 2 ** -24,
    });
    expect(finfo('bfloat16')).toMatchObject({
      eps: 0.0078125,
      max: 3.3895313892515355e38,
      tiny: 1.1754943508222875e-38,
    });
  });
  test('iinfo is what PyTorch says', () => {
    expect(iinfo('int8')).toEqual({ bits: 8, min: -128n, max: 127n });
    expect(iinfo('uint8')).toEqual({ bits: 8, min: 0n, max: 255n });
    expect(iinfo('int64').max).toBe(9223372036854775807n);
  });
  test('the wrong one says which is right', () => {
    expect(() => finfo('int32')).toThrow(/Use iinfo/);
    expect(() => iinfo('float32')).toThrow(/Use finfo/);
  });
});
