/** Tensors from what exists already, second names, threads; figures are PyTorch 1.13.1's. */
import {
  asarray,
  concatenate,
  frombuffer,
  getNumThreads,
  hardshrink,
  ones,
  prelu,
  setNumThreads,
  tensor,
  trueDivide,
} from '@proj/tensor';
import { describe, expect, it } from 'vitest';

describe('asarray', () => {
  it('shares the memory of a tensor where dtype and device stay, unless copies are wanted', () => {
    const x = ones([2]);
    asarray(x).add_(1);
    expect(x.toArray()).toEqual([2, 2]);
    asarray(x, { copy: true }).add_(1);
    asarray(x, { dtype: 'float64' }).add_(1);
    expect(x.toArray()).toEqual([2, 2]);
    expect(() => asarray(x, { dtype: 'float64', copy: false })).toThrow(/cannot share its memory/);
    expect(() => asarray([1, 2], { copy: false })).toThrow(/an array cannot share/);
  });
  it('keeps the history of a tensor only with requiresGrad', () => {
    const x = ones([2]).requiresGrad_();
    expect(asarray(x.mul(2)).requiresGrad).toBe(false);
    const kept = asarray(x.mul(2), { requiresGrad: true, dtype: 'float64' });
    expect([kept.isLeaf, kept.requiresGrad, kept.dtype]).toEqual([false, true, 'float64']);
    const leaf = asarray(tensor([1.5]), { requiresGrad: true });
    expect([leaf.isLeaf, leaf.requiresGrad]).toEqual([true, true]);
  });
  it('takes numbers and arrays', () => {
    expect([asarray(3).dtype, asarray([1, 2.5]).dtype, asarray(Float64Array.of(1, 2)).dtype]).toEqual([
      'int64',
      'float32',
      'float64',
    ]);
  });
});

describe('frombuffer', () => {
  const bytes = new Uint8Array(Float32Array.of(0, 1, 2, 3).buffer);
  it('reads elements from any place of a buffer', () => {
    expect(frombuffer(bytes, { dtype: 'float32' }).toArray()).toEqual([0, 1, 2, 3]);
    expect(frombuffer(bytes.buffer, { dtype: 'float32', count: 2, offset: 4 }).toArray()).toEqual([1, 2]);
    expect(frombuffer(bytes.subarray(4), { dtype: 'float32', offset: 4 }).toArray()).toEqual([2, 3]);
    // Not aligned: 0x3f800000 shifted by a byte.
    expect(frombuffer(bytes, { dtype: 'int32', offset: 3, count: 1 }).toArray()).toEqual([0x80000000 - 2 ** 32]);
    expect(frombuffer(Int8Array.of(-1, 0, 0, 0), { dtype: 'int32' }).toArray()).toEqual([255]);
    expect(frombuffer(bytes, { dtype: 'complex64' }).toTypedArray()).toEqual(Float32Array.of(0, 1, 2, 3));
    expect(frombuffer(Uint16Array.of(0x3c00, 0xc000), { dtype: 'float16' }).toArray()).toEqual([1, -2]);
    expect(frombuffer(Uint16Array.of(0x3f80, 0xc000), { dtype: 'bfloat16' }).toArray()).toEqual([1, -2]);
    expect(frombuffer(BigInt64Array.of(2n ** 60n), { dtype: 'int64' }).toTypedArray()).toEqual(
      BigInt64Array.of(2n ** 60n),
    );
    expect(frombuffer(Uint8Array.of(0, 1, 1), { dtype: 'bool' }).toArray()).toEqual([false, true, true]);
    expect(frombuffer(bytes, { dtype: 'float32', requiresGrad: true }).requiresGrad).toBe(true);
  });
  it.each([
    [{ count: 5 }, /5 elements of float32 take 20 bytes, the buffer has 16/],
    [{ offset: 3 }, /13 bytes are no whole number of float32 elements/],
    [{ offset: 16 }, /offset is 16/],
    [{ offset: -1 }, /offset is -1/],
    [{ count: 0 }, /0 elements of a buffer of 16 bytes/],
    [{ dtype: undefined }, /dtype is missing/],
    [{ dtype: 'int64', requiresGrad: true }, /only floating-point/],
  ])('refuses %j', (options, message) => {
    expect(() => frombuffer(bytes, { dtype: 'float32', ...options } as never)).toThrow(message);
  });
  it('refuses what is no buffer', () => {
    expect(() => frombuffer([1, 2] as never, { dtype: 'int8' })).toThrow(/an array where a buffer belongs/);
    expect(() => frombuffer(new ArrayBuffer(0), { dtype: 'int8' })).toThrow(/buffer of 0 bytes/);
  });
});

it('second names are functions too, and hardshrink and prelu methods', () => {
  expect(concatenate([tensor([1]), tensor([2, 3])]).toArray()).toEqual([1, 2, 3]);
  expect(trueDivide(tensor([1, 3]), 2).toArray()).toEqual([0.5, 1.5]);
  const x = tensor([
    [-1, 0.4, -0.5],
    [2, -3, 0.6],
  ]);
  const shrunk = [
    [-1, 0, 0],
    [2, -3, Math.fround(0.6)],
  ];
  expect([x.hardshrink().toArray(), hardshrink(x).toArray()]).toEqual([shrunk, shrunk]);
  expect(x.hardshrink({ lambd: 2 }).toArray()).toEqual([
    [0, 0, 0],
    [0, -3, 0],
  ]);
  expect(
    x
      .mul(2)
      .prelu(tensor([0.5, 0.25, 2]))
      .toArray(),
  ).toEqual([
    [-1, Math.fround(0.8), -2],
    [4, -1.5, Math.fround(1.2)],
  ]);
  expect(() => prelu(x, tensor([0.5, 0.25]))).toThrow(/one for each channel/);
});

it('the number of threads can be limited and read; results stay', () => {
  const threads = getNumThreads('wasm');
  expect(threads).toBeGreaterThanOrEqual(1);
  const sum = (): number => ones([300_000], { device: 'wasm' }).mul(0.1).sum().item();
  const before = sum();
  try {
    setNumThreads(1, 'wasm');
    expect([getNumThreads('wasm'), sum()]).toEqual([1, before]);
    expect(() => setNumThreads(0, 'wasm')).toThrow(/0 threads/);
    expect(() => setNumThreads(1.5, 'wasm')).toThrow(/1.5 threads/);
  } finally {
    setNumThreads(threads, 'wasm');
  }
  expect(getNumThreads('wasm')).toBe(threads);
});
