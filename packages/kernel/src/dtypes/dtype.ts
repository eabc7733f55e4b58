/** Element types of tensors, under PyTorch's names, and what each is in memory. */
import type { ScalarType } from '../ir/types.ts';

export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | 'complex64'
  | 'complex128';

export interface DTypeInfo {
  /** Bytes of one element. */
  readonly bytes: number;
  /** What kernels load and store; an element of `complex64` is two of them. */
  readonly scalar: ScalarType;
  /** Type promotion compares categories first. */
  readonly category: 'bool' | 'integer' | 'float' | 'complex';
}

/** Every dtype: its size, what kernels load and store, its category. */
export const DTYPES: Record<DType, DTypeInfo> = {
  float32: { bytes: 4, scalar: 'f32', category: 'float' },
  float64: { bytes: 8, scalar: 'f64', category: 'float' },
  float16: { bytes: 2, scalar: 'f16', category: 'float' },
  bfloat16: { bytes: 2, scalar: 'bf16', category: 'float' },
  int64: { bytes: 8, scalar: 'i64', category: 'integer' },
  int32: { bytes: 4, scalar: 'i32', category: 'integer' },
  int16: { bytes: 2, scalar: 'i16', category: 'integer' },
  int8: { bytes: 1, scalar: 'i8', category: 'integer' },
  uint8: { bytes: 1, scalar: 'u8', category: 'integer' },
  bool: { bytes: 1, scalar: 'bool', category: 'bool' },
  complex64: { bytes: 8, scalar: 'f32', category: 'complex' },
  complex128: { bytes: 16, scalar: 'f64', category: 'complex' },
};

/** Whether `name` is the name of a dtype. */
export const isDType = (name: string): name is DType => Object.hasOwn(DTYPES, name);
