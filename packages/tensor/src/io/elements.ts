/** Between the bytes of a device and JavaScript's typed arrays. */
import {
  type DType,
  bfloatBitsToFloat,
  floatToBfloatBits,
  floatToHalfBits,
  halfBitsToFloat,
  ProjError,
} from '@proj/kernel';
import { type AnyNode, elementCount, isComplexType } from '../graph/node.ts';

/** float16 and bfloat16 are given as Float32Array (exact); bool as Uint8Array of 0 and 1; complex64 as interleaved pairs. */
export type ElementArray =
  Float32Array | Float64Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array;

type FromBytes = (bytes: Uint8Array<ArrayBuffer>) => ElementArray;

const FROM_BYTES: Record<DType, FromBytes> = {
  float32: (b) => new Float32Array(b.buffer, b.byteOffset, b.byteLength / 4),
  float64: (b) => new Float64Array(b.buffer, b.byteOffset, b.byteLength / 8),
  float16: (b) => Float32Array.from(new Uint16Array(b.buffer, b.byteOffset, b.byteLength / 2), halfBitsToFloat),
  bfloat16: (b) => Float32Array.from(new Uint16Array(b.buffer, b.byteOffset, b.byteLength / 2), bfloatBitsToFloat),
  int64: (b) => new BigInt64Array(b.buffer, b.byteOffset, b.byteLength / 8),
  int32: (b) => new Int32Array(b.buffer, b.byteOffset, b.byteLength / 4),
  int16: (b) => new Int16Array(b.buffer, b.byteOffset, b.byteLength / 2),
  int8: (b) => new Int8Array(b.buffer, b.byteOffset, b.byteLength),
  uint8: (b) => b,
  bool: (b) => b,
  complex64: (b) => new Float32Array(b.buffer, b.byteOffset, b.byteLength / 4),
  complex128: (b) => new Float64Array(b.buffer, b.byteOffset, b.byteLength / 8),
};

const toBigInt = (x: number | bigint | boolean): bigint => {
  if (typeof x === 'bigint') return x;
  const n = Number(x);
  if (!Number.isFinite(n))
    throw new ProjError('dtype', `${n} is not an integer`, { cure: 'Use a floating-point dtype' });
  return BigInt(Math.trunc(n));
};

type Numbers = ArrayLike<number | bigint | boolean>;
/** Two 32-bit words for each integer that is exact as a number: BigInts cost ten times as much. */
function toInt64(data: Numbers): BigInt64Array {
  const result = new BigInt64Array(data.length);
  const words = new Int32Array(result.buffer);
  for (let i = 0; i < data.length; i++) {
    const x = data[i];
    if (typeof x === 'number' && Number.isSafeInteger(x)) {
      words[2 * i] = x;
      words[2 * i + 1] = Math.floor(x / 2 ** 32);
    } else result[i] = toBigInt(x);
  }
  return result;
}
const asBytes = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const numbers = (data: Numbers): number[] | Float32Array | Float64Array =>
  data instanceof Float32Array || data instanceof Float64Array ? data : Array.from(data, Number);

const TO_BYTES: Record<DType, (data: Numbers) => Uint8Array> = {
  float32: (d) => asBytes(d instanceof Float32Array ? d : Float32Array.from(numbers(d))),
  float64: (d) => asBytes(d instanceof Float64Array ? d : Float64Array.from(numbers(d))),
  float16: (d) => asBytes(Uint16Array.from(numbers(d), floatToHalfBits)),
  bfloat16: (d) => asBytes(Uint16Array.from(numbers(d), floatToBfloatBits)),
  int64: (d) => asBytes(d instanceof BigInt64Array ? d : toInt64(d)),
  int32: (d) => asBytes(d instanceof Int32Array ? d : Int32Array.from(numbers(d))),
  int16: (d) => asBytes(d instanceof Int16Array ? d : Int16Array.from(numbers(d))),
  int8: (d) => asBytes(d instanceof Int8Array ? d : Int8Array.from(numbers(d))),
  uint8: (d) => (d instanceof Uint8Array ? d : Uint8Array.from(numbers(d))),
  bool: (d) => Uint8Array.from(Array.from(d, (x) => (Number(x) === 0 ? 0 : 1))),
  complex64: (d) => asBytes(separated(Float32Array.from(numbers(d)))),
  complex128: (d) => asBytes(separated(Float64Array.from(numbers(d)))),
};

/** The bytes of `data` as elements of `dtype` in memory. */
export const elementBytes = (data: Numbers, dtype: DType): Uint8Array => TO_BYTES[dtype](data);

export const elementsFromBytes = (bytes: Uint8Array<ArrayBuffer>, dtype: DType): ElementArray =>
  FROM_BYTES[dtype](bytes);

/** Elements as pairs (re, im), as they are given to users and written to files, from those in memory: all real parts before all imaginary ones. */
export function interleaved<T extends ElementArray>(parts: T): T {
  const count = parts.length / 2;
  const pairs = parts.slice() as T;
  for (let i = 0; i < count; i++) {
    pairs[2 * i] = parts[i];
    pairs[2 * i + 1] = parts[count + i];
  }
  return pairs;
}
/** The reverse of {@link interleaved}. */
export function separated<T extends ElementArray>(pairs: T): T {
  const count = pairs.length / 2;
  const parts = pairs.slice() as T;
  for (let i = 0; i < count; i++) {
    parts[i] = pairs[2 * i];
    parts[count + i] = pairs[2 * i + 1];
  }
  return parts;
}

/** The elements of a realised node, or `count` of them. */
export function readElements(node: AnyNode, from = 0, count = elementCount(node.shape)): ElementArray {
  const { data, device, dtype } = node;
  if (data === null)
    throw new ProjError('capture', 'a value is read while a function is being captured', {
      op: 'compile',
      cure: 'Return the tensor from the function and read it outside',
    });
  if (!isComplexType(dtype))
    return elementsFromBytes(device.read(data, from * ITEM_BYTES[dtype], count * ITEM_BYTES[dtype]), dtype);
  const half = ITEM_BYTES[dtype] / 2;
  const parts = new Uint8Array(2 * count * half);
  parts.set(device.read(data, from * half, count * half));
  parts.set(device.read(data, (elementCount(node.shape) + from) * half, count * half), count * half);
  return interleaved(elementsFromBytes(parts, dtype));
}

export const ITEM_BYTES: Record<DType, number> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
  complex64: 8,
  complex128: 16,
};
