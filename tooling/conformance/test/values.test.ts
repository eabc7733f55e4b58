import { describe, expect, it } from 'vitest';
import { close, closeComplex, compareTensors, compareValue, exactTolerance, outputTolerance } from '../src/compare.ts';
import { decodeTensorData, decodeValue, encodeTensorData, isTuple, PyValue } from '../src/encoded.ts';
import type { Decoder, Tagged, TensorData } from '../src/encoded.ts';
import { FakeLibrary, FakeTensor } from './fake-library.ts';

const decoder: Decoder = { tensor: (data, requiresGrad) => new FakeTensor(data, requiresGrad) };
const library = new FakeLibrary();
const float = (data: number[], shape = [data.length]): TensorData => ({ dtype: 'float32', shape, data });

describe('the value encoding', () => {
  it('reads non-finite strings, long integers, bool and complex', () => {
    expect(
      decodeTensorData({ $: 'tensor', dtype: 'float32', shape: [4], data: ['nan', 'inf', '-inf', 0.1] }).data,
    ).toEqual([NaN, Infinity, -Infinity, Math.fround(0.1)]);
    expect(
      decodeTensorData({ $: 'tensor', dtype: 'int64', shape: [2], data: ['9223372036854775807', 3] }).data,
    ).toEqual([9223372036854775807n, 3]);
    expect(decodeTensorData({ $: 'tensor', dtype: 'complex64', shape: [1], data: [1, -2] }).data).toEqual([1, -2]);
  });

  it('round-trips tensors', () => {
    for (const value of [
      { $: 'tensor', dtype: 'float64', shape: [2, 2], data: [0.1, 'nan', '-inf', -0.5] },
      { $: 'tensor', dtype: 'int64', shape: [3], data: [1, -7, '-9223372036854775808'] },
      { $: 'tensor', dtype: 'bool', shape: [], data: [1] },
      { $: 'tensor', dtype: 'complex128', shape: [1, 2], data: [0, 1, 'inf', 2] },
      { $: 'tensor', dtype: 'float32', shape: [0, 3], data: [] },
    ] as Tagged[]) {
      expect(encodeTensorData(decodeTensorData(value))).toEqual(value);
    }
  });

  it('says when the numbers do not fill the shape', () => {
    expect(() => decodeTensorData({ $: 'tensor', dtype: 'float32', shape: [2, 2], data: [1, 2, 3] })).toThrow(
      /\[2, 2\].*3 numbers, not 4/,
    );
    expect(() => decodeTensorData({ $: 'tensor', dtype: 'float32', shape: [1], data: ['x'] })).toThrow(/"x"/);
  });

  it('reads Python values', () => {
    const read = (value: unknown): unknown => decodeValue(value as Tagged, decoder, 'v');
    expect(read({ $: 'float', v: 2 })).toEqual(new PyValue('float', 2));
    expect(read(2.5)).toBe(2.5);
    expect(read({ $: 'float', v: '-inf' })).toBe(-Infinity);
    expect(read({ $: 'size', v: [2, 3] })).toEqual([2, 3]);
    const tuple = read({ $: 'tuple', v: [1, { $: 'float', v: 3 }] });
    expect(tuple).toEqual([1, new PyValue('float', 3)]);
    expect([isTuple(tuple), isTuple(read([1, 2]))]).toEqual([true, false]);
    expect(read({ $: 'dtype', v: 'int8' })).toEqual(new PyValue('dtype', 'int8'));
    expect(read({ $: 'slice', v: [1, null, 2] })).toEqual(new PyValue('slice', [1, null, 2]));
    expect((read({ $: 'tensor', dtype: 'float32', shape: [1], data: [3], rg: 1 }) as FakeTensor).requiresGrad).toBe(
      true,
    );
    expect(() => read({ $: 'mystery' })).toThrow(/"mystery"/);
  });
});

describe('the comparison of numbers', () => {
  it('is relative to 1 + |expected|', () => {
    expect(close(1 + 1.9e-5, 1, 1e-5)).toBe(true);
    expect(close(1 + 2.1e-5, 1, 1e-5)).toBe(false);
    expect(close(1e6 + 9, 1e6, 1e-5)).toBe(true);
  });

  it('matches nan with nan and inf with inf only', () => {
    expect([close(NaN, NaN, 1), close(0, NaN, 1), close(NaN, 0, 1)]).toEqual([true, false, false]);
    expect([close(Infinity, Infinity, 1), close(-Infinity, Infinity, 1), close(1e300, Infinity, 1)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(closeComplex([NaN, 1], [NaN, 1], 1e-5)).toBe(true);
    expect(closeComplex([3 + 5e-5, 4], [3, 4], 1e-5)).toBe(true);
    expect(closeComplex([3, 4 + 7e-5], [3, 4], 1e-5)).toBe(false);
  });
});

describe('the comparison of tensors', () => {
  const tolerance = outputTolerance(0);
  it('needs the same dtype and shape', () => {
    expect(compareTensors(float([1, 2]), float([1, 2]), tolerance, 'out')).toBeNull();
    expect(compareTensors({ ...float([1, 2]), dtype: 'float64' }, float([1, 2]), tolerance, 'out')?.kind).toBe('dtype');
    expect(compareTensors(float([1, 2], [2, 1]), float([1, 2]), tolerance, 'out')?.kind).toBe('shape');
    expect(compareTensors(float([1]), float([1], []), tolerance, 'out')?.kind).toBe('shape');
  });

  it('tells what holds at the lenient tolerance', () => {
    expect(compareTensors(float([1.00005]), float([1]), tolerance, 'out')).toMatchObject({
      kind: 'value',
      lenient: true,
    });
    expect(compareTensors(float([1.1]), float([1]), tolerance, 'out')).toMatchObject({ kind: 'value', lenient: false });
    expect(compareTensors(float([1.00005]), float([1]), outputTolerance(1e-5), 'out')).toBeNull();
  });

  it('compares integers exactly, beyond 2^53 too', () => {
    const int = (x: number | bigint): TensorData => ({ dtype: 'int64', shape: [1], data: [x] });
    expect(compareTensors(int(5n), int(5), exactTolerance(1), 'out')).toBeNull();
    expect(compareTensors(int(6), int(5), exactTolerance(1), 'out')?.kind).toBe('value');
    expect(compareTensors(int(5.4), int(5), exactTolerance(1), 'out')?.kind).toBe('value');
    expect(compareTensors(int(9007199254740993n), int(9007199254740993n), exactTolerance(0), 'out')).toBeNull();
    expect(compareTensors(int(9007199254740992n), int(9007199254740993n), exactTolerance(0), 'out')?.kind).toBe(
      'value',
    );
  });
});

describe('the comparison of values', () => {
  const options = { tolerance: exactTolerance(1e-5) };
  const encoded = (data: number[], dtype = 'float32'): Tagged => ({ $: 'tensor', dtype, shape: [data.length], data });
  const tensor = (data: number[], dtype = 'float32'): FakeTensor =>
    new FakeTensor({ dtype, shape: [data.length], data });
  it('takes named tuples as objects or arrays', () => {
    const expected: Tagged = { $: 'tuple', v: [encoded([1]), encoded([0], 'int64')], fields: ['values', 'indices'] };
    expect(
      compareValue({ indices: tensor([0], 'int64'), values: tensor([1]) }, expected, library, options, 'out'),
    ).toBeNull();
    expect(compareValue([tensor([1]), tensor([0], 'int64')], expected, library, options, 'out')).toBeNull();
    expect(compareValue([tensor([1]), tensor([2], 'int64')], expected, library, options, 'out')).toMatchObject({
      kind: 'value',
    });
    expect(
      compareValue([tensor([1]), tensor([2], 'int64')], expected, library, { ...options, ignoreIndices: true }, 'out'),
    ).toBeNull();
    expect(compareValue([tensor([1])], expected, library, options, 'out')).toMatchObject({ kind: 'structure' });
  });

  it('takes a dense tensor for a sparse one only where that is allowed', () => {
    const sparse: Tagged = {
      $: 'sparse_coo',
      shape: [3, 2],
      dtype: 'float32',
      coalesced: false,
      indices: { $: 'tensor', dtype: 'int64', shape: [1, 3], data: [2, 0, 2] },
      values: { $: 'tensor', dtype: 'float32', shape: [3, 2], data: [1, 2, 3, 4, 10, 20] },
    };
    const dense = new FakeTensor({ dtype: 'float32', shape: [3, 2], data: [3, 4, 0, 0, 11, 22] });
    expect(compareValue(dense, sparse, library, { ...options, denseForSparse: true }, 'grad')).toBeNull();
    expect(compareValue(dense, sparse, library, options, 'out')?.kind).toBe('missing');
    dense.data[5] = 20;
    expect(compareValue(dense, sparse, library, { ...options, denseForSparse: true }, 'grad')?.kind).toBe('value');
  });

  it('does not take a tensor for a number, or a number for a bool', () => {
    expect(compareValue(tensor([1]), 1, library, options, 'out')?.kind).toBe('structure');
    expect(compareValue(1, true, library, options, 'out')?.kind).toBe('value');
    expect(compareValue(2.5, 2, library, options, 'out')?.kind).toBe('value');
    expect(compareValue(2.000001, { $: 'float', v: 2 }, library, options, 'out')).toBeNull();
    expect(compareValue(undefined, null, library, options, 'out')).toBeNull();
    expect(compareValue('float16', { $: 'dtype', v: 'float32' }, library, options, 'out')?.kind).toBe('dtype');
  });
});
