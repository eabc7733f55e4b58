/** Comparing a tensor with known figures: dtype and shape exactly, floats to a few units in the last place of the figures. */
import type { DType, Tensor } from '@proj/tensor';
import { expect } from 'vitest';

const TOLERANCE: Partial<Record<DType, number>> = { float32: 2e-5, float64: 1e-11 };

export function expectTensor(actual: Tensor, dtype: DType, shape: readonly number[], values: readonly number[]): void {
  expect(actual.dtype).toBe(dtype);
  expect(actual.shape).toEqual(shape);
  const found = actual.toFlatArray().map(Number);
  expect(found.length).toBe(values.length);
  const tolerance = TOLERANCE[dtype] ?? 0;
  values.forEach((value, i) => {
    const close =
      Object.is(found[i], value) ||
      found[i] === value ||
      Math.abs(found[i] - value) <= tolerance * (1 + Math.abs(value));
    if (!close) expect.fail(`element ${i} is ${found[i]}, expected ${value}`);
  });
}
