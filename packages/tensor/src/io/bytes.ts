/** Between tensors and the bytes of their elements, row by row, little-endian. */
import { type Device, type DType } from '@proj/kernel';
import { bufferNode } from '../graph/build.ts';
import { elementCount, isComplexType, type Shape } from '../graph/node.ts';
import { deviceArgument } from '../ops/arguments.ts';
import { fromArray } from '../ops/creation.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { elementsFromBytes, ITEM_BYTES, readElements } from './elements.ts';

export interface LoadOptions {
  /** Where the tensors live (default: the default device). */
  readonly device?: Device | string | null;
}

export const byteCount = (shape: Shape, dtype: DType): number => elementCount(shape) * ITEM_BYTES[dtype];

/** The elements of a tensor as bytes. */
export function tensorBytes(tensor: Tensor): Uint8Array {
  const value = tensor.detach().realize();
  const bytes = byteCount(value.shape, value.dtype);
  const { node } = value;
  if (bytes === 0 || node.data === null) return new Uint8Array(0);
  if (!isComplexType(value.dtype)) return node.device.read(node.data, 0, bytes);
  const { buffer, byteOffset, byteLength } = readElements(node);
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** A tensor from its bytes. */
export function tensorFromBytes(
  bytes: Uint8Array,
  dtype: DType,
  shape: Shape,
  { device: place }: LoadOptions = {},
): Tensor {
  if (isComplexType(dtype)) {
    const owned = elementsFromBytes(Uint8Array.from(bytes), dtype);
    return fromArray(owned as Float32Array | Float64Array, shape, dtype, { device: place ?? null });
  }
  const device = deviceArgument(place);
  const buffer = device.allocate(Math.max(1, bytes.length));
  if (bytes.length > 0) device.write(buffer, 0, bytes);
  return wrap(bufferNode(device, dtype, [...shape], buffer));
}
