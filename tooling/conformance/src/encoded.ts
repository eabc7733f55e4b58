// The value encoding of the case files (conformance.md, "Value encoding"): its types, and the Python-like values a case is decoded to before
// the adapter turns them into arguments of our library. A tensor never appears here other than as numbers.

/** A tensor as plain numbers, row-major; complex entries are interleaved re, im. */
export interface TensorData {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number | bigint>;
}

/** A tagged object of the encoding: `$` tells which. */
export interface Tagged {
  readonly $: string;
  readonly [field: string]: Encoded | undefined;
}

/** Any JSON value of a case file. */
export type Encoded =
  null | boolean | number | string | readonly Encoded[] | Tagged | { readonly [key: string]: Encoded };

/** One line of a case file. */
export type CaseRecord = Readonly<Record<string, Encoded | undefined>>;

/** True for an object that carries the `$` tag. */
export function isTagged(value: unknown): value is Tagged {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    typeof (value as { $?: unknown }).$ === 'string'
  );
}

/** True for a tagged object of one kind. */
export function hasTag(value: unknown, tag: string): value is Tagged {
  return isTagged(value) && value.$ === tag;
}

/** True for an untagged JSON object. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, Encoded>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isTagged(value);
}

/** Values of Python that have no counterpart in JavaScript; the adapter knows what our library takes in their place. */
export class PyValue {
  readonly kind: 'float' | 'dtype' | 'device' | 'layout' | 'memory_format' | 'complex' | 'slice' | 'ellipsis';
  readonly value: Encoded;
  constructor(kind: PyValue['kind'], value: Encoded) {
    this.kind = kind;
    this.value = value;
  }
}

const integerDtypes: ReadonlySet<string> = new Set(['uint8', 'int8', 'int16', 'int32', 'int64', 'bool']);

/** True for integers and bool. */
export const isExactDtype = (dtype: string): boolean => integerDtypes.has(dtype);

/** True for complex dtypes. */
export const isComplexDtype = (dtype: string): boolean => dtype.startsWith('complex');

/** A number of the encoding: plain, or one of the strings `nan`, `inf`, `-inf`, or a long integer. */
export function decodeNumber(value: unknown): number | bigint {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  switch (value) {
    case 'nan':
      return NaN;
    case 'inf':
      return Infinity;
    case '-inf':
      return -Infinity;
  }
  if (typeof value === 'string' && /^-?\d+$/.test(value)) {
    const big = BigInt(value);
    const small = Number(big);
    return Number.isSafeInteger(small) ? small : big;
  }
  throw new Error(`not a number of the encoding: ${JSON.stringify(value)}`);
}

const dtypeRounding: Readonly<Record<string, ((x: number) => number) | undefined>> = {
  float32: Math.fround,
  complex64: Math.fround,
};

/** The numbers of a `tensor` (or `ndarray`) value. */
export function decodeTensorData(value: Tagged): TensorData {
  const dtype = String(value.dtype);
  const shape = value.shape as readonly number[];
  const source = value.data as readonly unknown[];
  const round = dtypeRounding[dtype];
  const data = source.map((entry) => {
    const number = decodeNumber(entry);
    return round === undefined ? number : round(Number(number));
  });
  const count = shape.reduce((a, b) => a * b, 1) * (isComplexDtype(dtype) ? 2 : 1);
  if (data.length !== count)
    throw new Error(
      `tensor of shape [${shape.join(', ')}] and dtype ${dtype} holds ${data.length} numbers, not ${count}`,
    );
  return { dtype, shape, data };
}

/** Numbers back into the encoding; the inverse of {@link decodeTensorData}. */
export function encodeTensorData(tensor: TensorData): Tagged {
  const data = Array.from(tensor.data, (entry): Encoded => {
    if (typeof entry === 'bigint') return Number.isSafeInteger(Number(entry)) ? Number(entry) : entry.toString();
    if (Number.isNaN(entry)) return 'nan';
    if (entry === Infinity) return 'inf';
    return entry === -Infinity ? '-inf' : entry;
  });
  return { $: 'tensor', dtype: tensor.dtype, shape: [...tensor.shape], data };
}

/** How tensors, modules, variables and functions of a case become values of the library that is being tested. */
export interface Decoder {
  tensor(data: TensorData, requiresGrad: boolean, path: string): unknown;
  /** Tags that only some families have: `var`, `fn`, `module`, `sparse_coo`, `quantized`, `ndarray`. */
  other?(value: Tagged, path: string): unknown;
}

const tuples = new WeakSet<object>();

/** True for an array that was a Python tuple (indexing tells `x[1, 2]` from `x[[1, 2]]`). */
export const isTuple = (value: unknown): boolean => typeof value === 'object' && value !== null && tuples.has(value);

/** Decodes one value. Tuples, lists and sizes become arrays; dictionaries become objects. */
export function decodeValue(value: Encoded | undefined, decoder: Decoder, path: string): unknown {
  if (value === undefined || value === null || typeof value !== 'object') return value ?? null;
  if (Array.isArray(value)) return value.map((entry: Encoded, i) => decodeValue(entry, decoder, `${path}.${i}`));
  if (!isTagged(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, entry]) => [key, decodeValue(entry as Encoded, decoder, `${path}.${key}`)]),
    );
  }
  switch (value.$) {
    case 'tensor':
      return decoder.tensor(decodeTensorData(value), value.rg === 1, path);
    case 'float': {
      const number = Number(decodeNumber(value.v));
      return Number.isInteger(number) ? new PyValue('float', number) : number;
    }
    case 'bigint': {
      const big = BigInt(String(value.v));
      return Number.isSafeInteger(Number(big)) ? Number(big) : big;
    }
    case 'tuple': {
      const tuple = decodeValue(value.v as Encoded, decoder, path);
      tuples.add(tuple as object);
      return tuple;
    }
    case 'size':
    case 'range':
    case 'set':
    case 'dict':
      return decodeValue(value.v as Encoded, decoder, path);
    case 'map':
      return new Map(
        (value.v as readonly (readonly [Encoded, Encoded])[]).map(([key, entry]) => [
          decodeValue(key, decoder, path),
          decodeValue(entry, decoder, path),
        ]),
      );
    case 'qscheme':
      return String(value.v).replace('torch.', '');
    case 'dtype':
    case 'device':
    case 'layout':
    case 'memory_format':
    case 'complex':
    case 'slice':
    case 'ellipsis':
      return new PyValue(value.$, value.v ?? null);
    default:
      if (decoder.other !== undefined) return decoder.other(value, path);
      throw new Error(`the encoding "${value.$}" is not known here (at ${path})`);
  }
}
