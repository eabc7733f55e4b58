/** Tensors from what exists already: tensors, arrays, raw bytes. */
import { type DType, describeValue, ProjError, withDefaults } from '@proj/kernel';
import { elementsFromBytes, ITEM_BYTES } from '../io/elements.ts';
import { type NestedArray, Tensor } from '../tensor.ts';
import { dtypeArgument } from './arguments.ts';
import { to } from './conversion.ts';
import { fromArray, TENSOR, tensor, type TensorOptions } from './creation.ts';
import { type OpRow, row } from './table.ts';

export interface AsArrayOptions extends TensorOptions {
  /** True: never share memory; false: share it or fail; null (the default): share it where that can be. Only tensors share. */
  readonly copy?: boolean | null;
}

/**
 * A tensor of what `obj` holds: numbers, nested or typed arrays, or a tensor, whose memory is shared where dtype and device stay. Without `requiresGrad` the result is
 * cut off from gradients. Errors: `copy: false` where memory cannot be shared.
 */
export function asarray(obj: unknown, options: AsArrayOptions = {}): Tensor {
  const { copy, requiresGrad, dtype, device } = withDefaults('asarray', { ...TENSOR, copy: null }, options);
  const cannotShare = (what: string): ProjError =>
    new ProjError('invalid-argument', `${what} cannot share its memory`, {
      op: 'asarray',
      cure: 'Leave copy out, or give a tensor of that dtype on that device',
    });
  if (!(obj instanceof Tensor)) {
    if (copy === false) throw cannotShare(describeValue(obj));
    return tensor(obj as NestedArray, { dtype, device, requiresGrad });
  }
  const source = requiresGrad ? obj : obj.detach();
  const result = to(source, { dtype, device, copy: copy === true });
  if (copy === false && result !== source) throw cannotShare(`a ${obj.dtype} tensor on another device or as ${dtype}`);
  if (!requiresGrad || result.requiresGrad) return result;
  return result.detach().requiresGrad_();
}

export interface FromBufferOptions extends TensorOptions {
  readonly dtype: DType;
  /** Elements to read (default -1: all). */
  readonly count?: number;
  /** Bytes to skip. */
  readonly offset?: number;
}

/**
 * A vector of the elements that lie in `buffer`, little-endian; they are copied. `dtype` is needed. Errors: an offset beyond the end, fewer bytes than `count` elements
 * take, bytes that are left over.
 */
export function frombuffer(buffer: ArrayBufferLike | ArrayBufferView, options: FromBufferOptions): Tensor {
  const op = 'frombuffer';
  const { dtype, count, offset, device, requiresGrad } = withDefaults<Partial<FromBufferOptions>>(
    op,
    { dtype: 'float32', count: -1, offset: 0, device: null, requiresGrad: false },
    options,
  );
  if (options.dtype === undefined)
    throw new ProjError('invalid-argument', 'dtype is missing', {
      op,
      cure: "Write frombuffer(buffer, { dtype: 'float32' })",
    });
  const type = dtypeArgument(dtype, op);
  const all = bytesOf(buffer, op);
  const refuse = (what: string, cure?: string): ProjError => new ProjError('invalid-argument', what, { op, cure });
  if (all.length === 0 || count === 0) throw refuse(`${count} elements of a buffer of ${all.length} bytes`);
  if (!Number.isInteger(offset) || offset < 0 || offset >= all.length)
    throw refuse(`offset is ${describeValue(offset)}`, `It must lie in 0 … ${all.length - 1}`);
  if (!Number.isInteger(count)) throw refuse(`count is ${describeValue(count)}`, 'It must be a whole number');
  const size = ITEM_BYTES[type];
  const left = all.length - offset;
  if (count < 0 && left % size !== 0)
    throw refuse(
      `${left} bytes are no whole number of ${type} elements, which take ${size} each`,
      'Give count, or cut the buffer',
    );
  const length = count < 0 ? left / size : count;
  if (length * size > left)
    throw refuse(`${length} elements of ${type} take ${length * size} bytes, the buffer has ${left} from ${offset} on`);
  return fromArray(elementsFromBytes(all.slice(offset, offset + length * size), type), [length], type, {
    device,
    requiresGrad,
  });
}

function bytesOf(buffer: unknown, op: string): Uint8Array<ArrayBuffer> {
  if (ArrayBuffer.isView(buffer))
    return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.byteLength);
  if (
    buffer instanceof ArrayBuffer ||
    (typeof SharedArrayBuffer !== 'undefined' && buffer instanceof SharedArrayBuffer)
  )
    return new Uint8Array(buffer as ArrayBuffer);
  throw new ProjError('invalid-argument', `${describeValue(buffer)} where a buffer belongs`, {
    op,
    cure: 'Give an ArrayBuffer, or a view such as Uint8Array or Buffer',
  });
}

export const FOREIGN_DATA: readonly OpRow[] = [
  row('asarray', asarray, 'obj, *, dtype=None, device=None, copy=None, requires_grad=False', { differentiable: false }),
  row('frombuffer', frombuffer, 'buffer, *, dtype, count=-1, offset=0, requires_grad=False', { differentiable: false }),
];
