/** Dtypes, devices, copies, filling, and questions about tensors. */
import { checkOptions, type Device, DTYPES, type DType, ProjError, withDefaults } from '@proj/kernel';
import { castNode, constantNode, contiguousNode, expandNode, reshapeNode, scalarNode } from '../graph/build.ts';
import { elementCount, sameShape, type Shape } from '../graph/node.ts';
import {
  isFloatingPoint as isFloatType,
  isIntegral,
  isScalar,
  type Promotable,
  resultType as promotedResult,
  type Scalar,
  scalarDType,
} from '../promotion.ts';
import { type NestedArray, layoutOf, Tensor, wrap } from '../tensor.ts';
import { deviceArgument, dtypeArgument, leading, nodeOf, normalizeDim, type TensorLike } from './arguments.ts';
import { isRowByRow, sameLayout, stridesOf } from '../layout.ts';
import { fromArray, full, TENSOR, tensor, type TensorOptions } from './creation.ts';
import { type OpRow, row } from './table.ts';
import { MEMORY_FORMAT, type MemoryFormatOptions, permuteStep, reshapeStep, sameStep } from './views.ts';

const castTo =
  (dtype: DType) =>
  (input: Tensor, options: MemoryFormatOptions = {}): Tensor => {
    checkOptions(dtype, MEMORY_FORMAT, options);
    return input.dtype === dtype ? input : wrap(castNode(input.node, dtype));
  };
/** As float32. */
export const float = castTo('float32');
/** As float64. */
export const double = castTo('float64');
/** As float16. */
export const half = castTo('float16');
/** As bfloat16. */
export const bfloat16 = castTo('bfloat16');
/** As int64. */
export const long = castTo('int64');
/** As int32. */
export const int = castTo('int32');
/** As int16. */
export const short = castTo('int16');
/** As int8. */
export const char = castTo('int8');
/** As uint8. */
export const byte = castTo('uint8');
/** As complex64. */
export const cfloat = castTo('complex64');
/** As complex128. */
export const cdouble = castTo('complex128');
/** As bool: whether elements are not zero. */
export const bool = castTo('bool');

export interface ToOptions {
  readonly dtype?: DType | null;
  readonly device?: Device | string | null;
  /** A copy even when nothing changes. */
  readonly copy?: boolean;
  readonly nonBlocking?: boolean;
  readonly memoryFormat?: unknown;
}
const TO: Record<keyof ToOptions, null> = {
  dtype: null,
  device: null,
  copy: null,
  nonBlocking: null,
  memoryFormat: null,
};
const isDevice = (x: unknown): x is Device =>
  typeof x === 'object' && x !== null && !(x instanceof Tensor) && 'allocate' in x;

function toDevice(x: Tensor, device: Device): Tensor {
  if (x.device === device) return x;
  return fromArray(x.detach().toTypedArray() as ArrayLike<number | bigint>, x.shape, x.dtype, { device });
}
function placeArgument(name: string): Device {
  try {
    return deviceArgument(name);
  } catch (error) {
    throw new ProjError('device-unavailable', `"${name}" is no dtype and no device that works`, {
      op: 'to',
      cure: `Dtypes are ${Object.keys(DTYPES).join(', ')}. ${(error as Error).message}`,
      cause: error,
    });
  }
}
/** The tensor as another dtype, on another device, or as another tensor is: `to('float64')`, `to('js')`, `to(other)`, `to({ dtype, device, copy })`. */
export function to(
  input: Tensor,
  ...args: readonly (string | boolean | Tensor | Device | ToOptions | null | undefined)[]
): Tensor {
  let dtype: DType | null = null;
  let device: Device | null = null;
  let copy = false;
  let flags = 0;
  for (const arg of args) {
    if (arg === null || arg === undefined) continue;
    if (typeof arg === 'boolean') copy = flags++ === 1 ? arg : copy;
    else if (arg instanceof Tensor) [dtype, device] = [arg.dtype, arg.device];
    else if (typeof arg === 'string') {
      if (Object.hasOwn(DTYPES, arg)) dtype = arg as DType;
      else if (arg !== 'cpu') device = placeArgument(arg);
    } else if (isDevice(arg)) device = arg;
    else {
      checkOptions('to', TO, arg);
      if (arg.dtype !== undefined && arg.dtype !== null) dtype = dtypeArgument(arg.dtype, 'to');
      if (arg.device !== undefined && arg.device !== null && arg.device !== 'cpu') device = deviceArgument(arg.device);
      copy = arg.copy ?? copy;
    }
  }
  const moved = device === null ? input : toDevice(input, device);
  const result = dtype === null || dtype === moved.dtype ? moved : wrap(castNode(moved.node, dtype));
  return copy && result === input ? wrap(contiguousNode(input.node)) : result;
}
/** The dtype of another tensor. */
export function typeAs(input: Tensor, other: Tensor): Tensor {
  return to(input, other.dtype);
}
/** As another dtype; without one, the name of the tensor's. */
export function type(input: Tensor, dtype?: DType | null): Tensor | DType {
  return dtype === undefined || dtype === null ? input.dtype : to(input, dtypeArgument(dtype, 'type'));
}
/** On the host's default device: our devices are all in the same memory. */
export function cpu(input: Tensor): Tensor {
  return input;
}
/** Data, arrays or tensors as a tensor; a tensor that fits already is returned as it is. */
export function asTensor(data: unknown, options: TensorOptions = {}): Tensor {
  checkOptions('asTensor', TENSOR, options);
  return data instanceof Tensor
    ? to(data, { dtype: options.dtype, device: options.device })
    : tensor(data as NestedArray, options);
}
/** A 0-dim tensor. */
export function scalarTensor(s: Scalar, options: TensorOptions = {}): Tensor {
  return tensor(s, { ...options, dtype: options.dtype ?? 'float32' });
}

// Filling and copying in place

/** All elements set to one value. */
export function fill(input: Tensor, value: TensorLike): Tensor {
  if (value instanceof Tensor && value.ndim > 0)
    throw new ProjError('shape-mismatch', 'the value must be a number or a 0-dim tensor', {
      op: 'fill',
      shapes: [value.shape],
    });
  return wrap(expandNode(castNode(nodeOf(value, input.device), input.dtype), input.shape));
}
/** All elements set to zero, in place. */
export function zero_(input: Tensor): Tensor {
  return input.assign(constantNode(input.device, input.dtype, input.shape, 0), 'zero_');
}
/** The elements of `source`, broadcast and cast, written in place. */
export function copy_(
  input: Tensor,
  source: Tensor,
  nonBlocking: boolean | { readonly nonBlocking?: boolean } = false,
): Tensor {
  leading<{ nonBlocking?: boolean }>('copy_', { nonBlocking: false }, 'nonBlocking', nonBlocking);
  return input.assign(toDevice(source, input.device).node, 'copy_');
}
/** The main diagonal set to a value, in place. */
export function fillDiagonal_(input: Tensor, value: Scalar, options: { wrap?: boolean } = {}): Tensor {
  const { wrap: wraps } = withDefaults('fillDiagonal_', { wrap: false }, options);
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions is needed', {
      op: 'fillDiagonal_',
      shapes: [input.shape],
    });
  if (input.ndim > 2 && input.shape.some((s) => s !== input.shape[0]))
    throw new ProjError('shape-mismatch', 'all sizes must be equal', { op: 'fillDiagonal_', shapes: [input.shape] });
  const step = stridesOf(input.shape).reduce((a, b) => a + b, 0);
  const [rows, columns] = input.shape;
  const count =
    input.ndim === 2 && rows > columns ? (wraps ? Math.ceil(input.numel() / step) : columns) : Math.min(...input.shape);
  const line = input.view([-1]).slice(0, 0, (count - 1) * step + 1, step);
  line.assign(scalarNode(input.device, input.dtype, line.shape, value), 'fillDiagonal_');
  return input;
}

const like =
  (op: string, value: number) =>
  (input: Tensor, size: Shape | number, options: TensorOptions = {}): Tensor => {
    checkOptions(op, TENSOR, options);
    return full(typeof size === 'number' ? [size] : size, value, {
      device: input.device,
      ...options,
      dtype: options.dtype ?? input.dtype,
    });
  };
/** Zeros of another shape, with the dtype and device of the input. */
export const newZeros = like('newZeros', 0);
/** Ones of another shape, with the dtype and device of the input. */
export const newOnes = like('newOnes', 1);
/** A tensor of another shape with the dtype and device of the input. */
export const newEmpty = like('newEmpty', 0);
/** One value in another shape, with the dtype and device of the input. */
export function newFull(input: Tensor, size: Shape | number, fillValue: Scalar, options: TensorOptions = {}): Tensor {
  return full(typeof size === 'number' ? [size] : size, fillValue, {
    device: input.device,
    ...options,
    dtype: options.dtype ?? input.dtype,
  });
}
/** Data as a tensor with the dtype and device of the input. */
export function newTensor(input: Tensor, data: unknown, options: TensorOptions = {}): Tensor {
  return tensor(data as NestedArray, { device: input.device, ...options, dtype: options.dtype ?? input.dtype });
}
/** A tensor of another shape; strides are always contiguous here. */
export function newEmptyStrided(
  input: Tensor,
  size: Shape,
  _stride: readonly number[],
  options: TensorOptions = {},
): Tensor {
  return newEmpty(input, size, options);
}
/** A tensor of this shape; strides are always contiguous here. */
export function emptyStrided(size: Shape, _stride: readonly number[], options: TensorOptions = {}): Tensor {
  return full(size, 0, { ...options, dtype: options.dtype ?? 'float32' });
}

// Shape in place

/** Takes over the last step of the view that `seen` is of `input`. */
const take = (input: Tensor, seen: Tensor): Tensor => {
  const step = seen.viewSteps.at(-1);
  return step === undefined ? input : input.restep_(step);
};
/** Drops dimensions of size 1, in place. */
export const squeeze_ = (input: Tensor, dim?: number | null): Tensor => take(input, input.squeeze(dim));
/** Adds a dimension of size 1, in place. */
export const unsqueeze_ = (input: Tensor, dim: number): Tensor => take(input, input.unsqueeze(dim));
/** Swaps two dimensions, in place. */
export const transpose_ = (input: Tensor, dim0: number, dim1: number): Tensor =>
  take(input, input.transpose(dim0, dim1));
/** Transposes a matrix, in place. */
export function t_(input: Tensor): Tensor {
  if (input.ndim > 2)
    throw new ProjError('shape-mismatch', 't_() is for at most 2 dimensions', { op: 't_', shapes: [input.shape] });
  return input.ndim < 2 ? input : input.restep_(permuteStep([1, 0]));
}
/** Another shape, in place: the first elements are kept, further ones are zeros. */
export function resize_(
  input: Tensor,
  ...size: readonly (number | readonly number[] | { memoryFormat?: unknown })[]
): Tensor {
  const sizes = size.filter((s) => typeof s === 'number' || Array.isArray(s));
  const options = size.at(-1);
  if (!sizes.includes(options as number)) checkOptions('resize_', MEMORY_FORMAT, options as object);
  const shape =
    sizes.length === 1 && typeof sizes[0] !== 'number'
      ? [...(sizes[0] as readonly number[])]
      : (sizes as readonly number[]).slice();
  const [from, count] = [input.numel(), elementCount(shape)];
  if (from === count) return input.restep_(reshapeStep(input.shape, shape));
  const flat = input.detach().reshape([from]);
  const next = count < from ? flat.narrow(0, 0, count).node : flat.constantPadNd([0, count - from]).node;
  input.storage.replace(reshapeNode(next, shape));
  input.viewSteps = [];
  return input.restep_(sameStep);
}
/** The shape of another tensor, in place. */
export function resizeAs_(input: Tensor, other: Tensor): Tensor {
  return resize_(input, other.shape);
}

// Questions

/** Whether the dtype is floating-point. */
export function isFloatingPoint(input: Tensor): boolean {
  return isFloatType(input.dtype);
}
/** Whether the dtype is complex. */
export function isComplex(input: Tensor): boolean {
  return DTYPES[input.dtype].category === 'complex';
}
/** Whether the dtype has negative numbers. */
export function isSigned(input: Tensor): boolean {
  return input.dtype !== 'bool' && input.dtype !== 'uint8';
}
/** Whether the only element is not zero. Reads the tensor. */
export function isNonzero(input: Tensor): boolean {
  if (input.numel() !== 1)
    throw new ProjError('shape-mismatch', 'exactly one element is needed', { op: 'isNonzero', shapes: [input.shape] });
  return Boolean(input.item());
}
/** Whether a value is a tensor. */
export const isTensor = (obj: unknown): obj is Tensor => obj instanceof Tensor;
/** Number of elements. */
export const numel = (input: Tensor): number => input.numel();
/** Number of elements. */
export const nelement = numel;
/** Number of dimensions. */
export const ndimension = (input: Tensor): number => input.ndim;
/** Elements between neighbours along each dimension, where PyTorch would keep them. */
export function stride(input: Tensor, dim?: number | null): number | number[] {
  const strides = [...layoutOf(input).strides];
  return dim === undefined || dim === null ? strides : strides[normalizeDim(dim, input.ndim, 'stride')];
}
/** The first element's place in its storage. */
export const storageOffset = (input: Tensor): number => layoutOf(input).offset;
/** Whether PyTorch would keep the elements row by row. */
export const isContiguous = (input: Tensor): boolean => isRowByRow(layoutOf(input));
/** Whether two tensors see the same memory in the same way. */
export const isSetTo = (input: Tensor, tensor_: Tensor): boolean =>
  input.storage === tensor_.storage && sameLayout(layoutOf(input), layoutOf(tensor_));

/** Whether two tensors have the same shape. */
export const isSameSize = (input: Tensor, other: Tensor): boolean => sameShape(input.shape, other.shape);
/** The same memory, cut off from gradients. */
export const detach = (input: Tensor): Tensor => input.detach();

const promotable = (x: TensorLike): Promotable => {
  if (x instanceof Tensor) return { dtype: x.dtype, kind: x.ndim === 0 ? 'zeroDim' : 'dimensioned' };
  if (!isScalar(x)) throw new ProjError('invalid-argument', 'a tensor or a number is needed', { op: 'resultType' });
  return { dtype: scalarDType(x), kind: 'number' };
};
/** The dtype that an operation on both would have. */
export function resultType(tensor1: TensorLike, tensor2: TensorLike): DType {
  return promotedResult([promotable(tensor1), promotable(tensor2)]);
}
const RANK = { bool: 0, integer: 1, float: 2, complex: 3 } as const;
/** Whether PyTorch's rules allow the result of one dtype to be stored in another. */
export function canCast(from: DType, to_: DType): boolean {
  const [a, b] = [DTYPES[dtypeArgument(from, 'canCast')].category, DTYPES[dtypeArgument(to_, 'canCast')].category];
  return RANK[a] <= RANK[b] || (a === 'integer' && b === 'integer');
}

export interface FloatInfo {
  readonly bits: number;
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  readonly tiny: number;
  readonly smallestNormal: number;
  readonly resolution: number;
  readonly dtype: DType;
}
const FLOATS: Partial<Record<DType, Omit<FloatInfo, 'dtype' | 'min' | 'smallestNormal'>>> = {
  float64: { bits: 64, eps: 2 ** -52, max: Number.MAX_VALUE, tiny: 2 ** -1022, resolution: 1e-15 },
  float32: { bits: 32, eps: 2 ** -23, max: 3.4028234663852886e38, tiny: 2 ** -126, resolution: 1e-6 },
  complex64: { bits: 32, eps: 2 ** -23, max: 3.4028234663852886e38, tiny: 2 ** -126, resolution: 1e-6 },
  float16: { bits: 16, eps: 2 ** -10, max: 65504, tiny: 2 ** -14, resolution: 1e-3 },
  bfloat16: { bits: 16, eps: 2 ** -7, max: 3.3895313892515355e38, tiny: 2 ** -126, resolution: 1e-2 },
};
/** Limits of a floating-point dtype. */
export function finfo(dtype: DType = 'float32'): FloatInfo {
  const info = FLOATS[dtype];
  if (info === undefined)
    throw new ProjError('dtype', `${dtype} is not a floating-point dtype`, { op: 'finfo', cure: 'Use iinfo' });
  return { ...info, min: -info.max, smallestNormal: info.tiny, dtype: dtype === 'complex64' ? 'float32' : dtype };
}
export interface IntegerInfo {
  readonly bits: number;
  readonly max: number | bigint;
  readonly min: number | bigint;
  readonly dtype: DType;
}
/** Limits of an integer dtype. Those of int64 are bigints. */
export function iinfo(dtype: DType): IntegerInfo {
  if (!isIntegral(dtype) || dtype === 'bool')
    throw new ProjError('dtype', `${dtype} is not an integer dtype`, { op: 'iinfo', cure: 'Use finfo' });
  const bits = 8 * DTYPES[dtype].bytes;
  if (dtype === 'int64') return { bits, max: 9223372036854775807n, min: -9223372036854775808n, dtype };
  return dtype === 'uint8'
    ? { bits, max: 255, min: 0, dtype }
    : { bits, max: 2 ** (bits - 1) - 1, min: -(2 ** (bits - 1)), dtype };
}

const method = (name: string, fn: (...args: never[]) => unknown, torch: string, signature = 'input'): OpRow =>
  row(name, fn, signature, { torch: [torch], differentiable: false });
const cast = (name: string, fn: typeof float): OpRow =>
  row(name, fn, 'input, *, memory_format=None', { torch: [`Tensor.${name}`] });

export const CONVERSION: readonly OpRow[] = [
  cast('float', float),
  cast('double', double),
  cast('half', half),
  cast('bfloat16', bfloat16),
  cast('long', long),
  cast('int', int),
  cast('short', short),
  cast('char', char),
  cast('byte', byte),
  cast('bool', bool),
  cast('cfloat', cfloat),
  cast('cdouble', cdouble),
  row('to', to as never, 'input, *args', { torch: ['Tensor.to'] }),
  row('typeAs', typeAs, 'input, other', { torch: ['Tensor.type_as'] }),
  method('type', type as never, 'Tensor.type', 'input, dtype=None'),
  method('cpu', cpu, 'Tensor.cpu'),
  row('asTensor', asTensor, 'data, *, dtype=None, device=None', {
    differentiable: false,
    torch: ['torch.as_tensor'],
  }),
  row('scalarTensor', scalarTensor, 's, *, dtype=None', { differentiable: false }),
  row('fill', fill as never, 'input, value', { inPlace: true }),
  method('zero_', zero_, 'Tensor.zero_'),
  method('copy_', copy_ as never, 'Tensor.copy_', 'input, source, non_blocking=False'),
  method('fillDiagonal_', fillDiagonal_ as never, 'Tensor.fill_diagonal_', 'input, value, wrap=False'),
  method('newZeros', newZeros as never, 'Tensor.new_zeros', 'input, size, *, dtype=None'),
  method('newOnes', newOnes as never, 'Tensor.new_ones', 'input, size, *, dtype=None'),
  method('newEmpty', newEmpty as never, 'Tensor.new_empty', 'input, size, *, dtype=None'),
  method('newFull', newFull as never, 'Tensor.new_full', 'input, size, fill_value, *, dtype=None'),
  method('newTensor', newTensor as never, 'Tensor.new_tensor', 'input, data, *, dtype=None'),
  method('newEmptyStrided', newEmptyStrided as never, 'Tensor.new_empty_strided', 'input, size, stride, *, dtype=None'),
  row('emptyStrided', emptyStrided as never, 'size, stride, *, dtype=None', { differentiable: false }),
  method('squeeze_', squeeze_ as never, 'Tensor.squeeze_', 'input, dim=None'),
  method('unsqueeze_', unsqueeze_ as never, 'Tensor.unsqueeze_', 'input, dim'),
  method('t_', t_, 'Tensor.t_'),
  row('transpose_', transpose_ as never, 'input, dim0, dim1', {
    torch: ['Tensor.transpose_', 'Tensor.swapaxes_', 'Tensor.swapdims_'],
  }),
  row('swapaxes_', transpose_ as never, 'input, axis0, axis1', { torch: [] }),
  row('swapdims_', transpose_ as never, 'input, dim0, dim1', { torch: [] }),
  method('resize_', resize_ as never, 'Tensor.resize_', 'input, size, *, memory_format=None'),
  method('resizeAs_', resizeAs_ as never, 'Tensor.resize_as_', 'input, other'),
  row('isFloatingPoint', isFloatingPoint, 'input', { differentiable: false }),
  row('isComplex', isComplex, 'input', { differentiable: false }),
  row('isSigned', isSigned, 'input', { differentiable: false }),
  row('isNonzero', isNonzero, 'input', { differentiable: false }),
  row('isTensor', isTensor as never, 'obj', { differentiable: false }),
  row('numel', numel, 'input', { differentiable: false }),
  row('nelement', nelement, 'input', { differentiable: false, torch: ['Tensor.nelement'] }),
  row('ndimension', ndimension, 'input', { differentiable: false, torch: ['Tensor.ndimension'] }),
  method('stride', stride as never, 'Tensor.stride', 'input, dim=None'),
  method('storageOffset', storageOffset, 'Tensor.storage_offset'),
  method('isContiguous', isContiguous, 'Tensor.is_contiguous'),
  method('isSetTo', isSetTo as never, 'Tensor.is_set_to', 'input, tensor'),
  method('isSameSize', isSameSize, 'Tensor.is_same_size', 'input, other'),
  row('detach', detach, 'input', { differentiable: false, method: false }),
  row('resultType', resultType as never, 'tensor1, tensor2', { differentiable: false }),
  row('canCast', canCast as never, 'from_, to', { differentiable: false }),
  row('finfo', finfo, 'dtype', { differentiable: false }),
  row('iinfo', iinfo, 'dtype', { differentiable: false }),
];
