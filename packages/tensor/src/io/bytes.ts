/** Between tensors and the bytes of their elements, row by row, little-endian. */
import { type Device, type DType } from '@proj/kernel';
import { bufferNode } from '../graph/build.ts';
import { elementCount, type Shape } from '../graph/node.ts';
import { deviceArgument } from '../ops/arguments.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { ITEM_BYTES } from './elements.ts';

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
  return bytes === 0 || node.data === null ? new Uint8Array(0) : node.device.read(node.data, 0, bytes);
}

/** A tensor from its bytes. */
export function tensorFromBytes(
  bytes: Uint8Array,
  dtype: DType,
  shape: Shape,
  { device: place }: LoadOptions = {},
): Tensor {
  const device = deviceArgument(place);
  const buffer = device.allocate(Math.max(1, bytes.length));
  if (bytes.length > 0) device.write(buffer, 0, bytes);
  return wrap(bufferNode(device, dtype, [...shape], buffer));
}
