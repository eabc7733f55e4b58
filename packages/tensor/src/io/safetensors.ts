/**
 * The safetensors format of Hugging Face: a little-endian u64 with the length of a JSON header, the header (`name → dtype, shape, data_offsets`
 * and string metadata), then the elements. Everything the header claims is checked against the file before memory is taken.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import { type DType, ProjError } from '@proj/kernel';
import { evaluate } from '../evaluate.ts';
import { elementCount, type Shape } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';
import { byteCount, type LoadOptions, tensorBytes, tensorFromBytes } from './bytes.ts';
import { ITEM_BYTES } from './elements.ts';
import { describeSource, fileError, fileSystem, type Source, writeAtomically } from './files.ts';

const NAMES: Record<DType, string> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  complex128: 'C128',
};
const DTYPE_OF = new Map(Object.entries(NAMES).map(([dtype, name]) => [name, dtype as DType]));
/** The limit of the reference implementation. */
const MAX_HEADER_BYTES = 100_000_000;
const PREFIX_BYTES = 8;

/** What the header says about one tensor; `begin` and `end` count from the end of the header. */
export interface TensorEntry {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

/** Reads a part of the file: `length` bytes from `offset`. */
type PartReader = (offset: number, length: number) => Uint8Array;

/** An open safetensors file: the header is read and checked, tensors are read when asked for. */
export class SafetensorsFile {
  /** The string metadata of the header. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly #read: PartReader;
  readonly #dataStart: number;
  readonly #close: () => void;

  /** For the library's own use: see {@link openSafetensors}. */
  constructor(header: Header, read: PartReader, close: () => void) {
    this.metadata = header.metadata;
    this.entries = header.entries;
    this.#dataStart = header.dataStart;
    this.#read = read;
    this.#close = close;
  }

  /** Names of the tensors, in the order of the header. */
  keys(): string[] {
    return [...this.entries.keys()];
  }

  entry(name: string): TensorEntry {
    const entry = this.entries.get(name);
    if (entry === undefined)
      throw new ProjError('serialization', `there is no tensor "${name}"`, {
        op: 'safetensors',
        cure: `The file has: ${this.keys().slice(0, 8).join(', ')}${this.entries.size > 8 ? ', …' : ''}`,
      });
    return entry;
  }

  /** The elements of a tensor as stored, or the bytes `from` … `to` of them. Errors: a part that is not there. */
  bytes(name: string, from = 0, to?: number): Uint8Array {
    const { begin, end } = this.entry(name);
    const last = to ?? end - begin;
    if (!(from >= 0 && from <= last && last <= end - begin))
      throw new ProjError('invalid-argument', `bytes ${from} … ${last} of the ${end - begin} of tensor "${name}"`, {
        op: 'safetensors',
      });
    return this.#read(this.#dataStart + begin + from, last - from);
  }

  /** A tensor by name. */
  get(name: string, options: LoadOptions = {}): Tensor {
    const { dtype, shape } = this.entry(name);
    return tensorFromBytes(this.bytes(name), dtype, shape, options);
  }

  /** Closes the file. May be called twice. */
  close(): void {
    this.#close();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly dataStart: number;
}

/**
 * Opens bytes or a file. Errors (`serialization`, with the name of the file and what is wrong): truncated; a header that is not JSON; an unknown
 * dtype; sizes that do not fit the shape, overlap, leave holes or lie outside the file.
 */
export function openSafetensors(source: Source): SafetensorsFile {
  const where = describeSource(source);
  if (source instanceof Uint8Array) {
    const read: PartReader = (offset, length) => source.slice(offset, offset + length);
    return new SafetensorsFile(readHeader(read, source.length, where), read, () => {});
  }
  const op = 'openSafetensors';
  const fs = fileSystem(op);
  let file: number | null = null;
  try {
    const opened = fs.openSync(source, 'r');
    file = opened;
    const close = (): void => {
      if (file !== null) fs.closeSync(file);
      file = null;
    };
    const read: PartReader = (offset, length) => {
      if (file === null)
        throw new ProjError('io', `${where} is closed`, { op, cure: 'Read the tensors before close()' });
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length;) {
        const count = fs.readSync(opened, bytes, at, Math.min(length - at, 1 << 30), offset + at);
        if (count === 0) throw corrupt(where, `it ends at byte ${offset + at}`, 'It is truncated: fetch it again');
        at += count;
      }
      return bytes;
    };
    return new SafetensorsFile(readHeader(read, fs.fstatSync(opened).size, where), read, close);
  } catch (error) {
    if (file !== null) fs.closeSync(file);
    throw fileError(op, 'read', source, error);
  }
}

const corrupt = (
  where: string,
  problem: string,
  cure = 'The file is damaged or not a safetensors file: fetch or write it again',
): ProjError => new ProjError('serialization', `${where}: ${problem}`, { op: 'safetensors', cure });

function readHeader(read: PartReader, size: number, where: string): Header {
  if (size < PREFIX_BYTES) throw corrupt(where, `${size} bytes are too few for a header`);
  const length = new DataView(read(0, PREFIX_BYTES).buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) throw corrupt(where, `a header of ${length} bytes`);
  const headerBytes = Number(length);
  if (PREFIX_BYTES + headerBytes > size)
    throw corrupt(
      where,
      `the header claims ${headerBytes} bytes, the file has ${size - PREFIX_BYTES} after its first 8`,
      'It is truncated or not a safetensors file',
    );
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(read(PREFIX_BYTES, headerBytes)));
  } catch (error) {
    throw corrupt(where, `the header is not JSON (${(error as Error).message})`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw corrupt(where, 'the header is not an object');
  const { __metadata__: metadata = {}, ...tensors } = parsed as Record<string, unknown>;
  if (
    typeof metadata !== 'object' ||
    metadata === null ||
    Object.values(metadata).some((value) => typeof value !== 'string')
  )
    throw corrupt(where, '__metadata__ is not a map from string to string');
  const dataBytes = size - PREFIX_BYTES - headerBytes;
  const entries = new Map(
    Object.entries(tensors).map(([name, value]) => [name, checkEntry(name, value, dataBytes, where)]),
  );
  checkLayout(entries, dataBytes, where);
  return { metadata: metadata as Record<string, string>, entries, dataStart: PREFIX_BYTES + headerBytes };
}

const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function checkEntry(name: string, value: unknown, dataBytes: number, where: string): TensorEntry {
  const {
    dtype: typeName,
    shape,
    data_offsets: offsets,
  } = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  const dtype = DTYPE_OF.get(String(typeName));
  if (dtype === undefined)
    throw corrupt(
      where,
      `tensor "${name}" has the unknown dtype ${JSON.stringify(typeName)}`,
      `Known are ${[...DTYPE_OF.keys()].join(', ')}; convert the tensor to one of them`,
    );
  if (!Array.isArray(shape) || !shape.every(isSize))
    throw corrupt(where, `tensor "${name}" has the shape ${JSON.stringify(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw corrupt(where, `tensor "${name}" has the data_offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    throw corrupt(
      where,
      `tensor "${name}" claims bytes ${begin} … ${end}, the file has ${dataBytes} bytes of data`,
      'The file is truncated or its header lies: fetch or write it again',
    );
  const needed = elementCount(shape as number[]) * ITEM_BYTES[dtype];
  if (!Number.isSafeInteger(needed) || needed !== end - begin)
    throw corrupt(
      where,
      `tensor "${name}" of ${dtype}[${(shape as number[]).join(', ')}] needs ${needed} bytes, its data_offsets give ${end - begin}`,
      'The header lies about sizes: fetch or write the file again',
    );
  return { dtype, shape: shape as number[], begin, end };
}

/** Tensors lie one after the other without overlap or hole, and fill the file. */
function checkLayout(entries: ReadonlyMap<string, TensorEntry>, dataBytes: number, where: string): void {
  let at = 0;
  for (const [name, { begin, end }] of [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) throw corrupt(where, `tensor "${name}" overlaps the one before it (bytes ${begin} … ${at})`);
    if (begin > at) throw corrupt(where, `bytes ${at} … ${begin} of the data belong to no tensor`);
    at = end;
  }
  if (at !== dataBytes) throw corrupt(where, `the tensors end at byte ${at} of the data, the file has ${dataBytes}`);
}

export interface SaveOptions {
  /** String metadata for the header. */
  readonly metadata?: Readonly<Record<string, string>>;
}
export type NamedTensors = Readonly<Record<string, Tensor>> | ReadonlyMap<string, Tensor>;

const pairs = (tensors: NamedTensors): [string, Tensor][] =>
  tensors instanceof Map
    ? [...(tensors as ReadonlyMap<string, Tensor>)]
    : Object.entries(tensors as Record<string, Tensor>);

/** The header with its prefix, and the order in which the elements follow: widest dtypes first, so that all are aligned. */
function layout(
  tensors: NamedTensors,
  { metadata }: SaveOptions,
): { readonly header: Uint8Array; readonly order: readonly Tensor[] } {
  const named = pairs(tensors);
  for (const [name] of named)
    if (name === '__metadata__')
      throw new ProjError('serialization', 'a tensor cannot be called "__metadata__"', { op: 'safetensors' });
  const sorted = named.toSorted(([, a], [, b]) => ITEM_BYTES[b.dtype] - ITEM_BYTES[a.dtype]);
  const begins = new Map<string, number>();
  let at = 0;
  for (const [name, tensor] of sorted) {
    begins.set(name, at);
    at += byteCount(tensor.shape, tensor.dtype);
  }
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  for (const [name, { dtype, shape }] of named) {
    const begin = begins.get(name) ?? 0;
    header[name] = { dtype: NAMES[dtype], shape, data_offsets: [begin, begin + byteCount(shape, dtype)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(PREFIX_BYTES + padded).fill(32);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(text, PREFIX_BYTES);
  return { header: bytes, order: sorted.map(([, tensor]) => tensor) };
}

/** Tensors as the bytes of a safetensors file. */
export function safetensorsBytes(tensors: NamedTensors, options: SaveOptions = {}): Uint8Array {
  const { header, order } = layout(tensors, options);
  evaluate(order.map((tensor) => tensor.detach()));
  const total = order.reduce((sum, tensor) => sum + byteCount(tensor.shape, tensor.dtype), header.length);
  const bytes = new Uint8Array(total);
  bytes.set(header);
  let at = header.length;
  for (const tensor of order) {
    const part = tensorBytes(tensor);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Writes tensors to a file, one at a time, atomically: after a crash or on a full disk the old file is whole. */
export function saveSafetensors(path: string | URL, tensors: NamedTensors, options: SaveOptions = {}): void {
  const { header, order } = layout(tensors, options);
  evaluate(order.map((tensor) => tensor.detach()));
  writeAtomically('saveSafetensors', path, [header, ...order.map((tensor) => () => tensorBytes(tensor))]);
}

/** All tensors of a file or of bytes, by name. */
export function loadSafetensors(source: Source, options: LoadOptions = {}): Record<string, Tensor> {
  const file = openSafetensors(source);
  try {
    return Object.fromEntries(file.keys().map((name) => [name, file.get(name, options)]));
  } finally {
    file.close();
  }
}
