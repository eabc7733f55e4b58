/**
 * Makes the tensors of sample calls. The same calls give the same numbers every time, on every device, so that one sample can be run on two
 * devices and compared, or with its floating-point tensors (its leaves) replaced by moved ones and differentiated.
 */
import type { Device, DType } from '@proj/kernel';
import { fromArray } from '../ops/creation.ts';
import { isFloatingPoint } from '../promotion.ts';
import type { Tensor } from '../tensor.ts';

export interface FloatOptions {
  /** Values lie between these (-1.5 and 1.5). */
  readonly low?: number;
  readonly high?: number;
  /** Evenly spaced in random order, so that no two are near each other: for maxima, sorting, medians. */
  readonly distinct?: boolean;
}

/** Integer values for integer dtypes are this much further apart. */
const INTEGER_SCALE = 6;

export class SampleMaker {
  readonly device: Device;
  readonly dtype: DType;
  /** Every floating-point tensor made so far, in order. */
  readonly leaves: Tensor[] = [];
  readonly #given: readonly Tensor[] | null;
  #state = 12345;

  /** `given`: tensors to hand out in place of newly made leaves, in order. */
  constructor(device: Device, dtype: DType, given: readonly Tensor[] | null = null) {
    this.device = device;
    this.dtype = dtype;
    this.#given = given;
  }

  /** A number in [0, 1): mulberry32 (Tommy Ettinger). */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Numbers of this maker's dtype (rounded and spread where it is an integer one). A leaf of gradient checks. */
  float(shape: readonly number[], { low = -1.5, high = 1.5, distinct = false }: FloatOptions = {}): Tensor {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Array.from(
      { length: count },
      (_, i) => low + (high - low) * (distinct ? (i + 0.37) / count : this.random()),
    );
    if (distinct) this.#shuffle(data);
    return this.values(data, shape);
  }

  /** As {@link float}, from 0.3 to 2. */
  positive(shape: readonly number[]): Tensor {
    return this.float(shape, { low: 0.3, high: 2 });
  }

  /** These numbers, as this maker's dtype. A leaf of gradient checks. */
  values(data: readonly number[], shape: readonly number[] = [data.length]): Tensor {
    const given = this.#given?.[this.leaves.length];
    const made =
      given ??
      fromArray(
        data.map((x) => this.#fitting(x)),
        shape,
        this.dtype,
        { device: this.device },
      );
    this.leaves.push(made);
    return made;
  }

  /** These integers (int64). */
  integers(data: readonly number[], shape: readonly number[] = [data.length], dtype: DType = 'int64'): Tensor {
    return fromArray(data, shape, dtype, { device: this.device });
  }

  /** Random integers in low … high-1. */
  indices(shape: readonly number[], low: number, high: number, dtype: DType = 'int64'): Tensor {
    const count = shape.reduce((product, size) => product * size, 1);
    return this.integers(
      Array.from({ length: count }, () => low + Math.floor(this.random() * (high - low))),
      shape,
      dtype,
    );
  }

  /** Random booleans. */
  mask(shape: readonly number[]): Tensor {
    return this.indices(shape, 0, 2, 'bool');
  }

  /** Numbers of a floating-point dtype that are not leaves, whatever the maker's dtype. */
  constant(
    data: readonly number[],
    shape: readonly number[] = [data.length],
    dtype: DType = isFloatingPoint(this.dtype) ? this.dtype : 'float32',
  ): Tensor {
    return fromArray(data, shape, dtype, { device: this.device });
  }

  #fitting(x: number): number {
    if (isFloatingPoint(this.dtype)) return x;
    if (this.dtype === 'bool') return x > 0 ? 1 : 0;
    const scaled = Number.isFinite(x) ? Math.round(x * INTEGER_SCALE) : 0;
    return this.dtype === 'uint8' ? Math.abs(scaled) : scaled;
  }

  #shuffle(data: number[]): void {
    for (let i = data.length - 1; i > 0; i--) {
      const j = Math.floor(this.random() * (i + 1));
      [data[i], data[j]] = [data[j], data[i]];
    }
  }
}
