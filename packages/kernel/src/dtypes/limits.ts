/** What tensors' element types look like from JavaScript: typed arrays and the limits of their numbers (PyTorch's finfo and iinfo). */
import { ProjError } from '../errors.ts';
import type { DType } from './dtype.ts';

/** A typed array that holds elements of tensors. */
export type ElementArray =
  Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array;

/** Makes an empty array, or a view of memory. */
export interface ElementArrayConstructor {
  new (length: number): ElementArray;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): ElementArray;
  readonly BYTES_PER_ELEMENT: number;
}

/** The typed array of each dtype: `float16` and `bfloat16` as their bits, `bool` as bytes, `complex64` as pairs of real and imaginary part. */
export const DTYPE_ARRAYS: Record<DType, ElementArrayConstructor> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int16: Int16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  complex64: Float32Array,
  complex128: Float64Array,
};

/** Limits of a floating-point dtype, as `torch.finfo`. */
export interface FloatInfo {
  readonly bits: number;
  /** Distance from 1 to the next number. */
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  /** Least positive number with a full mantissa. */
  readonly tiny: number;
  /** Least positive number. */
  readonly smallestSubnormal: number;
}

/** Limits of an integer dtype, as `torch.iinfo`. */
export interface IntegerInfo {
  readonly bits: number;
  readonly min: bigint;
  readonly max: bigint;
}

const float = (bits: number, mantissa: number, exponent: number): FloatInfo => {
  const max = (2 - 2 ** -mantissa) * 2 ** exponent;
  return {
    bits,
    eps: 2 ** -mantissa,
    max,
    min: -max,
    tiny: 2 ** (1 - exponent),
    smallestSubnormal: 2 ** (1 - exponent - mantissa),
  };
};
const signed = (bits: number): IntegerInfo => ({
  bits,
  min: -(2n ** BigInt(bits - 1)),
  max: 2n ** BigInt(bits - 1) - 1n,
});

const FLOAT_INFO: Record<DType, FloatInfo | null> = {
  float32: float(32, 23, 127),
  float64: float(64, 52, 1023),
  float16: float(16, 10, 15),
  bfloat16: float(16, 7, 127),
  complex64: float(32, 23, 127),
  complex128: float(64, 52, 1023),
  int64: null,
  int32: null,
  int16: null,
  int8: null,
  uint8: null,
  bool: null,
};
const INTEGER_INFO: Record<DType, IntegerInfo | null> = {
  int64: signed(64),
  int32: signed(32),
  int16: signed(16),
  int8: signed(8),
  uint8: { bits: 8, min: 0n, max: 255n },
  float32: null,
  float64: null,
  float16: null,
  bfloat16: null,
  complex64: null,
  complex128: null,
  bool: null,
};

/** Limits of a floating-point (or, of its parts, complex) dtype. Throws `dtype` for others. */
export function finfo(dtype: DType): FloatInfo {
  const info = FLOAT_INFO[dtype];
  if (info === null)
    throw new ProjError('dtype', `${dtype} is not a floating-point dtype`, { op: 'finfo', cure: 'Use iinfo' });
  return info;
}

/** Limits of an integer dtype. Throws `dtype` for others. */
export function iinfo(dtype: DType): IntegerInfo {
  const info = INTEGER_INFO[dtype];
  if (info === null)
    throw new ProjError('dtype', `${dtype} is not an integer dtype`, { op: 'iinfo', cure: 'Use finfo' });
  return info;
}
