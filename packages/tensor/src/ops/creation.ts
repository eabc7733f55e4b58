/** Making tensors: from JavaScript data, filled, as ranges. */
import {
  checkOptions,
  type Defaults,
  describeValue,
  type Device,
  DTYPES,
  type DType,
  ProjError,
  withDefaults,
} from '@proj/kernel';
import { bufferNode, castNode, constantNode, expandNode, iotaNode, scalarNode } from '../graph/build.ts';
import { elementCount, type Shape } from '../graph/node.ts';
import { elementBytes, ITEM_BYTES } from '../io/elements.ts';
import {
  ComplexScalar,
  FloatScalar,
  getDefaultDtype,
  isComplexDType,
  isIntegral,
  isScalar,
  type Scalar,
  scalarDType,
  scalarValue,
  toComplex,
} from '../promotion.ts';
import { type NestedArray, Tensor, wrap } from '../tensor.ts';
import { allocate } from '../tidy.ts';
import { deviceArgument, dtypeArgument, shapeArgument } from './arguments.ts';
import { type OpRow, row } from './table.ts';

export interface TensorOptions {
  readonly dtype?: DType | null;
  readonly device?: Device | string | null;
  readonly requiresGrad?: boolean;
}

/** What a new tensor may be told. */
export const TENSOR: Defaults<TensorOptions> = { dtype: null, device: null, requiresGrad: false };

const finish = (tensor: Tensor, { requiresGrad = false }: TensorOptions): Tensor =>
  requiresGrad ? tensor.requiresGrad_() : tensor;

type Numbers = ArrayLike<number | bigint | boolean>;

/** A tensor of the given shape from flat data, row by row. Errors: the number of elements does not fit. */
export function fromArray(
  data: Numbers,
  shape: Shape,
  dtype: DType = arrayDType(data),
  options: Omit<TensorOptions, 'dtype'> = {},
): Tensor {
  checkOptions('fromArray', TENSOR, options);
  const type = dtypeArgument(dtype, 'fromArray');
  const count = elementCount(shape) * (DTYPES[type].category === 'complex' ? 2 : 1);
  if (data.length !== count)
    throw new ProjError(
      'shape-mismatch',
      `${data.length} elements for shape [${shape.join(', ')}], which has ${count}`,
      { op: 'fromArray' },
    );
  const device = deviceArgument(options.device);
  const bytes = elementBytes(data, type);
  const buffer = allocate(device, elementCount(shape) * ITEM_BYTES[type]);
  device.write(buffer, 0, bytes);
  return finish(wrap(bufferNode(device, type, [...shape], buffer)), options);
}

function arrayDType(data: Numbers): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof BigInt64Array) return 'int64';
  if (data instanceof Int32Array) return 'int32';
  if (data instanceof Int16Array) return 'int16';
  if (data instanceof Int8Array) return 'int8';
  if (data instanceof Uint8Array) return 'uint8';
  let dtype: DType = data.length === 0 ? getDefaultDtype() : 'bool';
  for (let i = 0; i < data.length; i++) {
    const type = scalarDType(data[i]);
    if (type === getDefaultDtype()) return type;
    if (type === 'int64') dtype = 'int64';
  }
  return dtype;
}

/**
 * A tensor from a number, nested arrays or a typed array. Whole numbers give int64, others the default float dtype, booleans bool, typed
 * arrays their own. Errors: ragged nesting.
 */
export function tensor(
  data: NestedArray | Scalar | readonly unknown[] | Numbers | Tensor,
  options: TensorOptions = {},
): Tensor {
  checkOptions('tensor', TENSOR, options);
  if (data instanceof Tensor) return finish(wrap(castNode(data.detach().node, options.dtype ?? data.dtype)), options);
  if (ArrayBuffer.isView(data))
    return fromArray(
      data as unknown as Numbers,
      [(data as unknown as Numbers).length],
      options.dtype ?? undefined,
      options,
    );
  const shape: number[] = [];
  for (let level: unknown = data; Array.isArray(level); level = level[0]) shape.push(level.length);
  let flat: (number | bigint | boolean)[] = [];
  let imaginary: number[] | null = null;
  let hasFloat = false;
  const push = (x: unknown): void => {
    if (!isScalar(x))
      throw new ProjError('invalid-argument', `${describeValue(x)} where a number or a boolean belongs`, {
        op: 'tensor',
        cure: 'Data are numbers, booleans, arrays of them, typed arrays or tensors',
      });
    if (x instanceof ComplexScalar) {
      imaginary ??= [];
      imaginary[flat.length] = x.im;
      flat.push(x.re);
      return;
    }
    if (x instanceof FloatScalar) hasFloat = true;
    flat.push(scalarValue(x));
  };
  const visit = (x: unknown, depth: number): void => {
    if (Array.isArray(x)) {
      if (depth >= shape.length || x.length !== shape[depth])
        throw new ProjError('shape-mismatch', `nested arrays of unequal length at depth ${depth}`, { op: 'tensor' });
      for (const y of x) visit(y, depth + 1);
    } else if (depth !== shape.length)
      throw new ProjError('shape-mismatch', `nested arrays of unequal depth`, { op: 'tensor' });
    else if (x instanceof Tensor) push(x.item<number | boolean | ComplexScalar>());
    else push(x);
  };
  visit(data, 0);
  const imaginaryParts = imaginary as number[] | null;
  if (
    imaginaryParts !== null ||
    (options.dtype !== null && options.dtype !== undefined && isComplexDType(options.dtype))
  )
    flat = flat.flatMap((x, i) => [x, imaginaryParts?.[i] ?? 0]);
  const dtype =
    options.dtype ??
    (imaginaryParts !== null
      ? toComplex(getDefaultDtype())
      : shape.length === 0
        ? scalarDType(data as Scalar)
        : hasFloat
          ? getDefaultDtype()
          : arrayDType(flat));
  return fromArray(flat, shape, dtype, options);
}

/** A 0-dim tensor whose value is asked for at each run, also when a captured step is replayed: learning rates, schedules. */
export function scalarInput(provider: () => number, options: TensorOptions = {}): Tensor {
  return wrap(
    constantNode(deviceArgument(options.device), options.dtype ?? getDefaultDtype(), [], provider(), provider),
  );
}

type SizeArguments = readonly (number | readonly number[] | TensorOptions)[];

function sizeAndOptions(args: SizeArguments, op: string): { shape: number[]; options: TensorOptions } {
  const last = args.at(-1);
  const hasOptions = last !== undefined && typeof last === 'object' && !Array.isArray(last);
  if (hasOptions) checkOptions(op, TENSOR, last);
  return {
    shape: shapeArgument((hasOptions ? args.slice(0, -1) : args) as readonly (number | readonly number[])[], op),
    options: (hasOptions ? last : {}) as TensorOptions,
  };
}

/** A tensor of `shape` with every element `value`. */
export function full(shape: Shape, value: Scalar, options: TensorOptions = {}): Tensor {
  checkOptions('full', TENSOR, options);
  if (!isScalar(value))
    throw new ProjError('invalid-argument', `the value is ${describeValue(value)}`, {
      op: 'full',
      cure: 'Give a number',
    });
  return finish(
    wrap(
      scalarNode(
        deviceArgument(options.device),
        options.dtype ?? scalarDType(value),
        shapeArgument([shape], 'full'),
        value,
      ),
    ),
    options,
  );
}
/** Zeros of the given size: `zeros(2, 3)` or `zeros([2, 3], options)`; float32 unless a dtype is given. */
export function zeros(...size: SizeArguments): Tensor {
  const { shape, options } = sizeAndOptions(size, 'zeros');
  return full(shape, 0, { ...options, dtype: options.dtype ?? getDefaultDtype() });
}
/** Ones of the given size: `ones(2, 3)` or `ones([2, 3], options)`; float32 unless a dtype is given. */
export function ones(...size: SizeArguments): Tensor {
  const { shape, options } = sizeAndOptions(size, 'ones');
  return full(shape, 1, { ...options, dtype: options.dtype ?? getDefaultDtype() });
}
/** Zeros: memory is never left uninitialised. */
export const empty = zeros;
const like =
  (op: string, value: number) =>
  (input: Tensor, options: TensorOptions = {}): Tensor => {
    checkOptions(op, TENSOR, options);
    return full(input.shape, value, { device: input.device, ...options, dtype: options.dtype ?? input.dtype });
  };
/** Zeros with the shape, dtype and device of `input`. */
export const zerosLike = like('zerosLike', 0);
/** Ones with the shape, dtype and device of `input`. */
export const onesLike = like('onesLike', 1);
/** Zeros with the shape, dtype and device of `input`. */
export const emptyLike = like('emptyLike', 0);
/** `value` everywhere, with the shape, dtype and device of `input`. */
export function fullLike(input: Tensor, value: Scalar, options: TensorOptions = {}): Tensor {
  return full(input.shape, value, { device: input.device, ...options, dtype: options.dtype ?? input.dtype });
}

/** start, start+step, … before end. `arange(end)`, `arange(start, end)` or `arange(start, end, step)`. */
export function arange(...args: readonly (Scalar | TensorOptions)[]): Tensor {
  const last = args.at(-1);
  const hasOptions = typeof last === 'object' && last !== null && !('value' in last);
  const options = (hasOptions ? last : {}) as TensorOptions;
  checkOptions('arange', TENSOR, options);
  const scalars = (hasOptions ? args.slice(0, -1) : args) as readonly Scalar[];
  const values = scalars.map((s) => Number(scalarValue(s)));
  const [start, end, step] = values.length === 1 ? [0, values[0], 1] : [values[0], values[1], values[2] ?? 1];
  if (step === 0 || !Number.isFinite((end - start) / step) || (end - start) / step < 0)
    throw new ProjError('invalid-argument', `no range from ${start} to ${end} by ${step}`, { op: 'arange' });
  const dtype = options.dtype ?? (scalars.every((s) => scalarDType(s) === 'int64') ? 'int64' : getDefaultDtype());
  // PyTorch counts narrow integers before it cuts the fractions off.
  if (isIntegral(dtype) && dtype !== 'int64' && Math.trunc(step) !== 0)
    return finish(
      wrap(
        iotaNode(
          deviceArgument(options.device),
          dtype,
          Math.ceil((end - start) / step),
          Math.trunc(start),
          Math.trunc(step),
        ),
      ),
      options,
    );
  if (isIntegral(dtype) && !values.every(Number.isInteger))
    return arange(Math.trunc(start), Math.trunc(end), Math.trunc(step), { ...options, dtype });
  const length = Math.ceil((end - start) / step);
  const device = deviceArgument(options.device);
  if (Number.isInteger(start) && Number.isInteger(step))
    return finish(wrap(iotaNode(device, dtype, length, start, step)), options);
  return finish(
    fromReals(
      Float64Array.from({ length }, (_, i) => start + i * step),
      dtype,
      options,
    ),
    options,
  );
}
/** The i-th of `steps` evenly spaced numbers, counted from the nearer end. */
const spaced = (start: number, end: number, steps: number, i: number): number => {
  const step = (end - start) / (steps - 1);
  return i < Math.floor(steps / 2) ? start + step * i : end - step * (steps - 1 - i);
};
/** Integers come out as PyTorch's vector code makes them: in groups of 32 bytes from a truncated first one, what is left of two groups one by one. */
function spacedInteger(start: number, end: number, steps: number, i: number, group: number): number {
  if (i >= steps - (steps % (2 * group))) return Math.trunc(spaced(start, end, steps, i));
  const first = i - (i % group);
  return Math.trunc(Math.trunc(spaced(start, end, steps, first)) + ((end - start) / (steps - 1)) * (i - first));
}
function requireSteps(op: string, steps: number): void {
  if (!Number.isInteger(steps) || steps < 0)
    throw new ProjError('invalid-argument', `${steps} steps`, { op, cure: 'Give a non-negative integer' });
}
/** Real numbers as a vector of any dtype. */
const fromReals = (values: Float64Array, dtype: DType, options: TensorOptions): Tensor =>
  fromArray(
    isComplexDType(dtype)
      ? Float64Array.from({ length: 2 * values.length }, (_, i) => (i % 2 === 0 ? values[i / 2] : 0))
      : values,
    [values.length],
    dtype,
    options,
  );
/** `steps` evenly spaced values from start to end, both included. */
export function linspace(start: number, end: number, steps: number, options: TensorOptions = {}): Tensor {
  checkOptions('linspace', TENSOR, options);
  requireSteps('linspace', steps);
  const dtype = options.dtype ?? getDefaultDtype();
  const whole = isIntegral(dtype);
  const [from, to] = whole ? [Math.trunc(start), Math.trunc(end)] : [start, end];
  const values = Float64Array.from({ length: steps }, (_, i) =>
    steps === 1
      ? from
      : whole
        ? spacedInteger(from, to, steps, i, 32 / DTYPES[dtype].bytes)
        : spaced(from, to, steps, i),
  );
  return fromReals(values, dtype, options);
}
/** Powers of `base` with evenly spaced exponents. */
export function logspace(
  start: number,
  end: number,
  steps: number,
  options: TensorOptions & { base?: number } = {},
): Tensor {
  const { base, ...rest } = withDefaults('logspace', { base: 10, ...TENSOR }, options);
  requireSteps('logspace', steps);
  const dtype = rest.dtype ?? getDefaultDtype();
  const [from, to] = isIntegral(dtype) ? [Math.trunc(start), Math.trunc(end)] : [start, end];
  const values = Float64Array.from(
    { length: steps },
    (_, i) => base ** (steps === 1 ? from : spaced(from, to, steps, i)),
  );
  return fromReals(isIntegral(dtype) ? values.map(Math.trunc) : values, dtype, rest);
}
/** The n × m identity matrix (m = n unless given). */
export function eye(n: number, m: number | TensorOptions | null = null, options: TensorOptions = {}): Tensor {
  const opts = typeof m === 'object' && m !== null ? m : options;
  checkOptions('eye', TENSOR, opts);
  const columns = typeof m === 'number' ? m : n;
  if (n < 0 || columns < 0)
    throw new ProjError('invalid-argument', `a ${n} × ${columns} matrix`, {
      op: 'eye',
      cure: 'Sizes are non-negative',
    });
  const device = deviceArgument(opts.device);
  const rows = expandNode(castNode(wrap(iotaNode(device, 'int64', n, 0, 1)).node, 'int64'), [columns, n]);
  const mask = wrap(rows)
    .transpose(0, 1)
    .eq(wrap(expandNode(iotaNode(device, 'int64', columns, 0, 1), [n, columns])));
  return finish(wrap(castNode(mask.node, opts.dtype ?? getDefaultDtype())), opts);
}

export const CREATION: readonly OpRow[] = [
  row('tensor', tensor as never, 'data, *, dtype=None, device=None, requires_grad=False', { differentiable: false }),
  row('zeros', zeros as never, 'size, *, dtype=None', { differentiable: false }),
  row('ones', ones as never, 'size, *, dtype=None', { differentiable: false }),
  row('empty', empty as never, 'size, *, dtype=None', { differentiable: false }),
  row('full', full, 'size, fill_value, *, dtype=None', { differentiable: false }),
  row('zerosLike', zerosLike, 'input, *, dtype=None', {
    method: false,
    differentiable: false,
    torch: ['torch.zeros_like'],
  }),
  row('onesLike', onesLike, 'input, *, dtype=None', {
    method: false,
    differentiable: false,
    torch: ['torch.ones_like'],
  }),
  row('emptyLike', emptyLike, 'input, *, dtype=None', {
    method: false,
    differentiable: false,
    torch: ['torch.empty_like'],
  }),
  row('fullLike', fullLike, 'input, fill_value, *, dtype=None', {
    method: false,
    differentiable: false,
    torch: ['torch.full_like'],
  }),
  row('arange', arange as never, 'start, end, step', { differentiable: false }),
  row('linspace', linspace, 'start, end, steps, *, dtype=None', { differentiable: false }),
  row('logspace', logspace, 'start, end, steps, *, base=10.0, dtype=None', { differentiable: false }),
  row('eye', eye as never, 'n, m=None, *, dtype=None', { differentiable: false }),
];
