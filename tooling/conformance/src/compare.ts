// The comparison rules of conformance.md: |a-b| <= t (1 + |b|) with nan only matching nan and inf only inf, integers and bool exactly, dtype
// and shape always exactly.
import {
  decodeNumber,
  decodeTensorData,
  hasTag,
  isComplexDtype,
  isExactDtype,
  isPlainObject,
  PyValue,
} from './encoded.ts';
import type { Encoded, Tagged, TensorData } from './encoded.ts';
import { camelCase } from './names.ts';

/** How a record failed; the report groups by it. */
export type FailureKind =
  | 'missing'
  | 'throws'
  | 'dtype'
  | 'shape'
  | 'value'
  | 'gradient'
  | 'structure'
  | 'no-error'
  | 'timeout'
  | 'crash'
  | 'unsupported';

/** Why a record failed. `lenient`: the same comparison holds at the lenient tolerance. */
export interface Failure {
  readonly kind: FailureKind;
  readonly detail: string;
  readonly lenient?: boolean;
}

/** Both tolerances of one comparison. */
export interface Tolerance {
  readonly strict: number;
  readonly lenient: number;
}

/** The tolerance of an output. */
export const outputTolerance = (dev: number): Tolerance => ({ strict: 1e-5 + 10 * dev, lenient: 1e-4 + 30 * dev });

/** The tolerance of a gradient. */
export const gradientTolerance = (dev: number): Tolerance => ({ strict: 3e-5 + 10 * dev, lenient: 3e-4 + 30 * dev });

/** One tolerance for both. */
export const exactTolerance = (t: number): Tolerance => ({ strict: t, lenient: t });

/** True when `actual` matches `expected` within `t (1 + |expected|)`. */
export function close(actual: number, expected: number, t: number): boolean {
  if (Number.isNaN(expected)) return Number.isNaN(actual);
  if (!Number.isFinite(expected)) return actual === expected;
  return Math.abs(actual - expected) <= t * (1 + Math.abs(expected));
}

/** True when two complex numbers match; the distance is that of the plane, parts that are not finite are compared by themselves. */
export function closeComplex(
  actual: readonly [number, number],
  expected: readonly [number, number],
  t: number,
): boolean {
  if (!expected.every(Number.isFinite)) return close(actual[0], expected[0], t) && close(actual[1], expected[1], t);
  return Math.hypot(actual[0] - expected[0], actual[1] - expected[1]) <= t * (1 + Math.hypot(...expected));
}

const list = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** True when two shapes are the same. */
export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, i) => size === b[i]);

/** Compares dtype and shape. */
export function compareMeta(actual: TensorData, expected: TensorData, where: string): Failure | null {
  if (actual.dtype !== expected.dtype)
    return { kind: 'dtype', detail: `${where}: dtype ${actual.dtype}, expected ${expected.dtype}` };
  if (!sameShape(actual.shape, expected.shape)) {
    return { kind: 'shape', detail: `${where}: shape ${list(actual.shape)}, expected ${list(expected.shape)}` };
  }
  return null;
}

function firstMismatch(actual: TensorData, expected: TensorData, t: number): number {
  const complex = isComplexDtype(expected.dtype);
  const exact = isExactDtype(expected.dtype);
  const step = complex ? 2 : 1;
  for (let i = 0; i < expected.data.length; i += step) {
    const a = actual.data[i];
    const b = expected.data[i];
    if (a === undefined || b === undefined) return i;
    if (exact) {
      if (
        BigInt(Number(a) === Math.trunc(Number(a)) ? a : 0) !== BigInt(b) ||
        (typeof a !== 'bigint' && !Number.isInteger(a))
      )
        return i;
    } else if (complex) {
      const pair = (data: ArrayLike<number | bigint>): [number, number] => [Number(data[i]), Number(data[i + 1])];
      if (!closeComplex(pair(actual.data), pair(expected.data), t)) return i;
    } else if (!close(Number(a), Number(b), t)) return i;
  }
  return -1;
}

/** Compares two tensors. */
export function compareTensors(
  actual: TensorData,
  expected: TensorData,
  tolerance: Tolerance,
  where: string,
): Failure | null {
  const meta = compareMeta(actual, expected, where);
  if (meta !== null) return meta;
  if (actual.data.length !== expected.data.length) {
    return {
      kind: 'structure',
      detail: `${where}: ${actual.data.length} numbers read, expected ${expected.data.length}`,
    };
  }
  const at = firstMismatch(actual, expected, tolerance.strict);
  if (at < 0) return null;
  const lenient = !isExactDtype(expected.dtype) && firstMismatch(actual, expected, tolerance.lenient) < 0;
  return {
    kind: 'value',
    detail: `${where}: ${String(actual.data[at])} at ${at}, expected ${String(expected.data[at])}`,
    lenient,
  };
}

/** What the comparison must know of the library under test. */
export interface Reader {
  isTensor(value: unknown): boolean;
  read(tensor: unknown): TensorData;
  /** The number behind a scalar of the library (a bigint, a complex value as [re, im]), or undefined. */
  scalar(value: unknown): number | bigint | boolean | readonly [number, number] | undefined;
  /** The name of a dtype, or undefined. */
  dtypeName(value: unknown): string | undefined;
  /** The parts of a sparse or quantized tensor under their Python names (`indices`, `crow_indices`, `int_repr`, `q_scale`, …). */
  part?(value: unknown, name: string): unknown;
}

/** An entry of a tuple: arrays by position, objects by the tuple's field name (or by order). */
export function tupleEntry(actual: unknown, index: number, fields: readonly string[] | undefined): unknown {
  if (Array.isArray(actual)) return actual[index];
  if (typeof actual !== 'object' || actual === null) return undefined;
  const name = fields?.[index];
  if (name !== undefined) {
    for (const key of [camelCase(name), name]) if (key in actual) return (actual as Record<string, unknown>)[key];
  }
  const values = Object.values(actual);
  return values[index];
}

/** Options of {@link compareValue}. */
export interface CompareOptions {
  readonly tolerance: Tolerance;
  /** Leaves index outputs of tied inputs alone. */
  readonly ignoreIndices?: boolean;
  /** Compares dtype and shape only. */
  readonly metaOnly?: boolean;
  /** Takes a dense tensor where a sparse one is expected: gradients and what optimizers make of them. */
  readonly denseForSparse?: boolean;
}

function compareTuple(
  actual: unknown,
  expected: readonly Encoded[],
  fields: readonly string[] | undefined,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  let items = actual;
  if (reader.isTensor(items))
    return { kind: 'structure', detail: `${where}: a tensor, expected ${expected.length} values` };
  if (items instanceof Set) items = [...(items as Set<unknown>)];
  if (ArrayBuffer.isView(items)) items = Array.from(items as unknown as ArrayLike<number>);
  if (typeof items !== 'object' || items === null)
    return { kind: 'structure', detail: `${where}: ${typeof items}, expected ${expected.length} values` };
  const length = Array.isArray(items) ? items.length : Object.keys(items).length;
  if (length < expected.length || (Array.isArray(items) && length !== expected.length)) {
    return { kind: 'structure', detail: `${where}: ${length} values, expected ${expected.length}` };
  }
  for (const [i, entry] of expected.entries()) {
    const isIndex =
      options.ignoreIndices === true &&
      hasTag(entry, 'tensor') &&
      entry.dtype === 'int64' &&
      (fields === undefined ? i > 0 : /indices|index/.test(fields[i] ?? ''));
    const failure = compareValue(
      tupleEntry(items, i, fields),
      entry,
      reader,
      isIndex ? { ...options, metaOnly: true } : options,
      `${where}.${i}`,
    );
    if (failure !== null) return failure;
  }
  return null;
}

function compareParts(
  actual: unknown,
  expected: Tagged,
  parts: Readonly<Record<string, string>>,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  for (const [name, field] of Object.entries(parts)) {
    const wanted = expected[field];
    if (wanted === undefined) continue;
    const part = reader.part?.(actual, name);
    if (part === undefined) return { kind: 'missing', detail: `${where}: Tensor.${camelCase(name)} does not exist` };
    const failure =
      Array.isArray(wanted) && reader.isTensor(part)
        ? compareFlat(reader.read(part), wanted, options, `${where}.${name}`)
        : compareValue(part, wanted, reader, options, `${where}.${name}`);
    if (failure !== null) return failure;
  }
  return null;
}

function compareFlat(
  actual: TensorData,
  wanted: readonly Encoded[],
  options: CompareOptions,
  where: string,
): Failure | null {
  const expected: TensorData = { dtype: actual.dtype, shape: actual.shape, data: wanted.map(decodeNumber) };
  return compareTensors(actual, expected, options.tolerance, where);
}

function compareScalar(
  actual: unknown,
  expected: number | bigint,
  exact: boolean,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  const number = reader.scalar(actual);
  const wrong = (lenient: boolean): Failure => ({
    kind: 'value',
    detail: `${where}: ${String(number ?? actual)}, expected ${String(expected)}`,
    lenient,
  });
  if (number === undefined || Array.isArray(number) || typeof number === 'boolean') {
    return { kind: 'structure', detail: `${where}: ${typeof actual}, expected the number ${String(expected)}` };
  }
  if (exact || typeof expected === 'bigint')
    return BigInt(Number.isInteger(Number(number)) ? (number as number | bigint) : 0) === BigInt(expected) &&
      Number.isInteger(Number(number))
      ? null
      : wrong(false);
  if (close(Number(number), expected, options.tolerance.strict)) return null;
  return wrong(close(Number(number), expected, options.tolerance.lenient));
}

/** Compares a value of the library with an encoded one; the path in `where` names the place in the message. */
export function compareValue(
  actual: unknown,
  expected: Encoded,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  if (expected === null)
    return actual === null || actual === undefined
      ? null
      : { kind: 'structure', detail: `${where}: a value, expected None` };
  if (typeof expected === 'boolean') {
    const value = reader.scalar(actual);
    return value === expected
      ? null
      : { kind: 'value', detail: `${where}: ${String(value ?? typeof actual)}, expected ${String(expected)}` };
  }
  if (typeof expected === 'string') {
    const name = typeof actual === 'string' ? actual : reader.dtypeName(actual);
    return name === expected
      ? null
      : { kind: 'value', detail: `${where}: ${String(name ?? typeof actual)}, expected "${expected}"` };
  }
  if (typeof expected === 'number')
    return compareScalar(actual, expected, Number.isInteger(expected), reader, options, where);
  if (Array.isArray(expected))
    return compareTuple(actual, expected as readonly Encoded[], undefined, reader, options, where);
  if (isPlainObject(expected)) return compareDict(actual, expected, reader, options, where);
  return compareTagged(actual, expected as Tagged, reader, options, where);
}

function compareDict(
  actual: unknown,
  expected: Readonly<Record<string, Encoded>>,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  for (const [key, entry] of Object.entries(expected)) {
    const holder =
      actual instanceof Map
        ? (actual as Map<string, unknown>).get(key)
        : typeof actual === 'object' && actual !== null
          ? ((actual as Record<string, unknown>)[key] ?? (actual as Record<string, unknown>)[camelCase(key)])
          : undefined;
    const failure = compareValue(holder, entry, reader, options, `${where}.${key}`);
    if (failure !== null) return failure;
  }
  return null;
}

function compareTagged(
  actual: unknown,
  expected: Tagged,
  reader: Reader,
  options: CompareOptions,
  where: string,
): Failure | null {
  switch (expected.$) {
    case 'tensor':
    case 'ndarray': {
      if (!reader.isTensor(actual))
        return {
          kind: 'structure',
          detail: `${where}: ${actual === null ? 'null' : typeof actual}, expected a tensor`,
        };
      const data = reader.read(actual);
      const wanted = decodeTensorData(expected);
      return options.metaOnly === true
        ? compareMeta(data, wanted, where)
        : compareTensors(data, wanted, options.tolerance, where);
    }
    case 'float':
      return compareScalar(actual, Number(decodeNumber(expected.v)), false, reader, options, where);
    case 'bigint':
      return compareScalar(actual, BigInt(String(expected.v)), true, reader, options, where);
    case 'complex': {
      const value = reader.scalar(actual);
      const wanted = (expected.v as readonly unknown[]).map((x) => Number(decodeNumber(x))) as unknown as [
        number,
        number,
      ];
      const pair =
        typeof value === 'number'
          ? ([value, 0] as const)
          : Array.isArray(value)
            ? (value as unknown as readonly [number, number])
            : undefined;
      if (pair === undefined)
        return { kind: 'structure', detail: `${where}: ${typeof actual}, expected a complex number` };
      return closeComplex(pair, wanted, options.tolerance.strict)
        ? null
        : { kind: 'value', detail: `${where}: ${pair.join(', ')}, expected ${wanted.join(', ')}` };
    }
    case 'tuple':
      return compareTuple(
        actual,
        expected.v as readonly Encoded[],
        expected.fields as readonly string[] | undefined,
        reader,
        options,
        where,
      );
    case 'size':
    case 'range':
    case 'set':
      return compareTuple(actual, expected.v as readonly Encoded[], undefined, reader, options, where);
    case 'dict':
      return compareDict(actual, expected.v as Readonly<Record<string, Encoded>>, reader, options, where);
    case 'map':
      return compareDict(
        actual,
        Object.fromEntries((expected.v as readonly (readonly [Encoded, Encoded])[]).map(([k, v]) => [String(k), v])),
        reader,
        options,
        where,
      );
    case 'dtype':
    case 'device':
    case 'layout':
    case 'memory_format': {
      const name = typeof actual === 'string' ? actual : reader.dtypeName(actual);
      return name === expected.v
        ? null
        : { kind: 'dtype', detail: `${where}: ${String(name ?? typeof actual)}, expected ${String(expected.v)}` };
    }
    case 'sparse_coo':
      if (options.denseForSparse === true && reader.isTensor(actual) && !isSparse(actual, reader)) {
        return compareTensors(reader.read(actual), densify(expected), options.tolerance, where);
      }
      return compareParts(
        actual,
        expected,
        { dtype: 'dtype', shape: 'shape', _indices: 'indices', _values: 'values', is_coalesced: 'coalesced' },
        reader,
        options,
        where,
      );
    case 'sparse_csr':
      return compareParts(
        actual,
        expected,
        { dtype: 'dtype', shape: 'shape', crow_indices: 'crow', col_indices: 'col', values: 'values' },
        reader,
        options,
        where,
      );
    case 'sparse_csc':
      return compareParts(
        actual,
        expected,
        { dtype: 'dtype', shape: 'shape', ccol_indices: 'ccol', row_indices: 'row', values: 'values' },
        reader,
        options,
        where,
      );
    case 'quantized':
      return compareParts(
        actual,
        expected,
        {
          dtype: 'dtype',
          shape: 'shape',
          int_repr: 'int_repr',
          q_scale: 'scale',
          q_zero_point: 'zero_point',
          q_per_channel_scales: 'scales',
          q_per_channel_zero_points: 'zero_points',
          q_per_channel_axis: 'axis',
        },
        reader,
        options,
        where,
      );
    default:
      return { kind: 'unsupported', detail: `${where}: the encoding "${expected.$}" cannot be compared` };
  }
}

const isSparse = (value: unknown, reader: Reader): boolean => reader.part?.(value, 'is_sparse') === true;

/** The dense form of a `sparse_coo` value; equal indices add up. */
export function densify(sparse: Tagged): TensorData {
  const size = sparse.shape as readonly number[] | Tagged;
  const shape = (hasTag(size, 'size') ? size.v : size) as readonly number[];
  const indices = decodeTensorData(sparse.indices as Tagged);
  const values = decodeTensorData(sparse.values as Tagged);
  const [sparseDims = 0, count = 0] = indices.shape;
  const block = shape.slice(sparseDims).reduce((a, b) => a * b, 1) * (isComplexDtype(values.dtype) ? 2 : 1);
  const rows = shape.slice(0, sparseDims);
  const data = new Array<number>(rows.reduce((a, b) => a * b, 1) * block).fill(0);
  for (let k = 0; k < count; k++) {
    const row = rows.reduce((at, length, d) => at * length + Number(indices.data[d * count + k]), 0);
    for (let j = 0; j < block; j++) {
      data[row * block + j] = (data[row * block + j] ?? 0) + Number(values.data[k * block + j]);
    }
  }
  return { dtype: values.dtype, shape, data };
}

/** The tensors inside a value of the library, for evaluating them together. */
export function tensorsIn(value: unknown, isTensor: (value: unknown) => boolean, out: unknown[] = []): unknown[] {
  if (isTensor(value)) out.push(value);
  else if (Array.isArray(value)) for (const entry of value) tensorsIn(entry, isTensor, out);
  else if (typeof value === 'object' && value !== null && !(value instanceof PyValue) && !ArrayBuffer.isView(value)) {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      for (const entry of Object.values(value)) tensorsIn(entry, isTensor, out);
  }
  return out;
}

/** The failure of something that threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof MissingOperation) return { kind: 'missing', detail: error.message };
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : String(error);
  if (code === 'not-implemented') return { kind: 'missing', detail: message };
  return { kind: 'throws', detail: `${error instanceof Error ? error.name : 'throw'}: ${message}` };
}

/** Thrown by the adapter when our library has no such operation. */
export class MissingOperation extends Error {
  override readonly name = 'MissingOperation';
}
