/**
 * Where weights come from, one tensor at a time. Names are those of Hugging Face's Gemma 2 files and shapes are row by row (out, in), whatever the file is:
 * a folder of safetensors or a GGUF. Nothing is read before it is asked for, and a part of the rows can be asked for, so a converter's memory is bounded by
 * what it holds itself.
 */
import { ProjError } from '@proj/kernel';
import { halfBitsToFloat } from '@proj/kernel';

/** How the elements of a tensor are stored: numbers, or the blocks of GGUF. */
export type StoredType = PlainType | BlockType;
/** One number after the other. */
export type PlainType = 'F64' | 'F32' | 'F16' | 'BF16';
/** Groups of numbers with common factors, as ggml defines them. */
export type BlockType =
  'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0' | 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'IQ4_NL' | 'IQ4_XS';

/** What is known of a tensor without reading it. */
export interface TensorInfo {
  readonly type: StoredType;
  readonly shape: readonly number[];
  /** Bytes in the file. */
  readonly bytes: number;
  /** What is to be added to the stored numbers: -1 for the norms of GGUF files, which hold 1 + w; otherwise 0. {@link TensorSource.read} has added it. */
  readonly add: number;
  /** The file that has it, for messages. */
  readonly file: string;
}

/** A part of the rows (entries of the first dimension), all of them by default. */
export interface RowRange {
  readonly begin?: number;
  readonly end?: number;
}

/** The tensors of a model, read on demand. */
export interface TensorSource {
  /** In the order of the file. */
  readonly names: readonly string[];
  /** Errors (`serialization`): there is no such tensor. */
  info(name: string): TensorInfo;
  /** The elements as float32, whatever they are stored as, with the meaning of Hugging Face's files. */
  read(name: string, rows?: RowRange): Float32Array;
  /** The elements as they are stored. */
  readBytes(name: string, rows?: RowRange): Uint8Array;
  /** Closes the files. May be called twice. */
  close(): void;
}

/** The rows that a range means, checked. */
export function rowRange(
  name: string,
  { shape }: TensorInfo,
  { begin = 0, end }: RowRange = {},
): { begin: number; end: number } {
  const rows = shape[0] ?? 1;
  const last = end ?? rows;
  if (!Number.isInteger(begin) || !Number.isInteger(last) || begin < 0 || begin > last || last > rows)
    throw new ProjError('index-out-of-range', `rows ${begin} … ${last} of "${name}", which has ${rows}`, {
      op: 'TensorSource',
    });
  return { begin, end: last };
}

/** Numbers in one row. */
export const rowLength = (shape: readonly number[]): number =>
  shape.slice(1).reduce((product, size) => product * size, 1);

/** The error for a name that a source does not have. */
export function noSuchTensor(name: string, where: string, names: readonly string[]): ProjError {
  const few = names.slice(0, 6).join(', ');
  return new ProjError('serialization', `${where} has no tensor "${name}"`, {
    op: 'TensorSource',
    cure: `It has: ${few}${names.length > 6 ? `, … (${names.length} in all)` : ''}`,
  });
}

let halves: Float32Array | null = null;
/** All 65,536 halves: looking them up is faster than taking them apart. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => halfBitsToFloat(bits));
  return halves;
}
/** One float16 as a number. */
export const halfAt = (bytes: Uint8Array, at: number): number => halfTable()[bytes[at] | (bytes[at + 1] << 8)];

/** `bytes` where an array of elements of `size` bytes can stand: copied only if they are not aligned. */
function aligned(bytes: Uint8Array, size: number): Uint8Array {
  return bytes.byteOffset % size === 0 ? bytes : bytes.slice();
}

const WIDEN: Record<PlainType, (bytes: Uint8Array) => Float32Array> = {
  F64: (given) => {
    const bytes = aligned(given, 8);
    return Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8));
  },
  F32: (given) => {
    const bytes = aligned(given, 4);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  },
  F16: (given) => {
    const bytes = aligned(given, 2);
    const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    const table = halfTable();
    const result = new Float32Array(bits.length);
    for (let i = 0; i < bits.length; i++) result[i] = table[bits[i]];
    return result;
  },
  BF16: (given) => {
    const bytes = aligned(given, 2);
    const bits = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    const result = new Float32Array(bits.length);
    const words = new Uint32Array(result.buffer);
    for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
    return result;
  },
};

/** Stored numbers as float32; float32 itself without a copy. */
export const widen = (type: PlainType, bytes: Uint8Array): Float32Array => WIDEN[type](bytes);

/** Whether elements stand one by one. */
export const isPlain = (type: StoredType): type is PlainType => type in WIDEN;
