/** The IDX format of MNIST (LeCun): two zero bytes, the element type, the number of dimensions, big-endian sizes, then big-endian elements. */
import { type DType, ProjError } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import { readAll } from '@proj/tensor/io';

interface ElementType {
  readonly dtype: DType;
  readonly bytes: number;
  readonly read: (view: DataView, offset: number) => number;
  readonly array: (elements: readonly number[]) => IdxArray['data'];
}
const TYPES: Readonly<Record<number, ElementType>> = {
  0x08: { dtype: 'uint8', bytes: 1, read: (view, at) => view.getUint8(at), array: (x) => Uint8Array.from(x) },
  0x09: { dtype: 'int8', bytes: 1, read: (view, at) => view.getInt8(at), array: (x) => Int8Array.from(x) },
  0x0b: { dtype: 'int16', bytes: 2, read: (view, at) => view.getInt16(at), array: (x) => Int16Array.from(x) },
  0x0c: { dtype: 'int32', bytes: 4, read: (view, at) => view.getInt32(at), array: (x) => Int32Array.from(x) },
  0x0d: { dtype: 'float32', bytes: 4, read: (view, at) => view.getFloat32(at), array: (x) => Float32Array.from(x) },
  0x0e: { dtype: 'float64', bytes: 8, read: (view, at) => view.getFloat64(at), array: (x) => Float64Array.from(x) },
};

export interface IdxArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

function gunzip(bytes: Uint8Array, where: string): Uint8Array {
  const zlib = globalThis.process?.getBuiltinModule?.('node:zlib');
  if (zlib === undefined)
    throw new ProjError('data-loading', `${where}: gzip cannot be read here`, {
      op: 'readIdx',
      cure: 'Decompress it first',
    });
  try {
    return new Uint8Array(zlib.gunzipSync(bytes));
  } catch (error) {
    throw new ProjError(
      'data-loading',
      `${where}: the gzip data of ${bytes.length} bytes are damaged (${(error as Error).message})`,
      { op: 'readIdx', cure: 'Fetch the file again', cause: error },
    );
  }
}

/** An array from an IDX file or its bytes, gzip-compressed or not. Errors name the file and the offset: truncated, too long, unknown type. */
export function readIdx(source: string | URL | Uint8Array): IdxArray {
  const where = source instanceof Uint8Array ? `${source.length} bytes` : String(source);
  const raw = readAll('readIdx', source);
  const bytes = isGzip(raw) ? gunzip(raw, where) : raw;
  const fail = (problem: string, cure = 'Fetch the file again'): never => {
    throw new ProjError('data-loading', `${where}: ${problem}`, { op: 'readIdx', cure });
  };
  if (bytes.length < 4) fail(`it ends at byte ${bytes.length}, inside the magic number`);
  if (bytes[0] !== 0 || bytes[1] !== 0)
    fail(`bytes 0 and 1 are ${bytes[0]} and ${bytes[1]}, not 0 and 0`, 'It is not an IDX file');
  const type =
    TYPES[bytes[2]] ??
    fail(
      `byte 2 is the unknown element type 0x${bytes[2].toString(16).padStart(2, '0')}`,
      `Known are ${Object.entries(TYPES)
        .map(([code, { dtype }]) => `0x${Number(code).toString(16).padStart(2, '0')} (${dtype})`)
        .join(', ')}`,
    );
  const rank = bytes[3];
  const start = 4 + 4 * rank;
  if (bytes.length < start) fail(`it ends at byte ${bytes.length}, inside the ${rank} sizes that byte 3 announces`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((product, size) => product * size, 1);
  const end = start + count * type.bytes;
  if (bytes.length < end)
    fail(
      `it ends at byte ${bytes.length}, but [${shape.join(', ')}] ${type.dtype} from byte ${start} need ${end}`,
      'It is truncated: fetch it again',
    );
  if (bytes.length > end)
    fail(
      `there are ${bytes.length - end} bytes too many from byte ${end} on, after [${shape.join(', ')}] ${type.dtype}`,
    );
  if (type.dtype === 'uint8') return { dtype: type.dtype, shape, data: bytes.subarray(start) };
  const elements = Array.from({ length: count }, (_, i) => type.read(view, start + i * type.bytes));
  return { dtype: type.dtype, shape, data: type.array(elements) };
}

/** As {@link readIdx}, as a tensor. */
export function loadIdx(source: string | URL | Uint8Array): Tensor {
  const { dtype, shape, data } = readIdx(source);
  return fromArray(data, shape, dtype);
}
