/** Opens the file of a converted model: everything that its header claims is checked against the file; the weights are not read, so that they can be mapped. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { describeBytes, ProjError } from '@proj/kernel';
import { LINE_BYTES } from '../quantize/layout.ts';
import { packedBytes } from '../quantize/pack.ts';
import { type Scheme, SCHEMES } from '../quantize/scheme.ts';
import { attachmentBlob, FORMAT, headerDigest, hex32, MAX_HEADER_BYTES, PREFIX_BYTES, VERSION } from './format.ts';
import { ioError } from './io-error.ts';
import { isStamped, stamp } from './stamps.ts';

/** A packed matrix in the file. */
export interface TensorRecord {
  readonly name: string;
  readonly scheme: Scheme;
  readonly rows: number;
  readonly columns: number;
  /** From the begin of the file; a multiple of 64. */
  readonly offset: number;
  readonly bytes: number;
  readonly crc32: number;
}

/** A file that travels with the model. */
export interface AttachmentRecord {
  readonly name: string;
  readonly offset: number;
  /** Its own length, without padding. */
  readonly bytes: number;
  readonly crc32: number;
}

/** How a file is checked when it is opened. */
export type Verify = 'auto' | 'always' | 'header';

/** Options of {@link openModelFile}. */
export interface OpenOptions {
  /**
   * `header`: the header alone, a millisecond. `always`: the checksum of every byte. `auto` (the default): every byte the first time that this file
   * is seen on this machine as it is (path, size, time of change, inode), the header alone from then on.
   */
  readonly verify?: Verify;
  /** Called while the checksums are computed. */
  readonly onProgress?: (progress: {
    readonly doneBytes: number;
    readonly totalBytes: number;
    readonly name: string;
  }) => void;
}

/** An open description of a converted model; no file is kept open. */
export interface ModelFile {
  readonly path: string;
  /** Of the whole file. */
  readonly bytes: number;
  /** Where the first blob begins; a multiple of 64. */
  readonly dataStart: number;
  /** The model's configuration. */
  readonly config: unknown;
  readonly il: string;
  readonly tensors: ReadonlyMap<string, TensorRecord>;
  readonly attachments: ReadonlyMap<string, AttachmentRecord>;
  /** All strings of the metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Of the header. */
  readonly sha256: string;
}

const OP = 'openModelFile';
const DAMAGED = 'The file is damaged: copy it again, or convert the model again';
const damaged = (path: string, problem: string, cure = DAMAGED): ProjError =>
  new ProjError('serialization', `${path}: ${problem}`, { op: OP, cure });

/**
 * Opens a converted model.
 *
 * @throws ProjError `io` when the file cannot be read; `serialization` when it is not a converted model, of another version, truncated or damaged.
 */
export async function openModelFile(
  path: string,
  { verify = 'auto', onProgress }: OpenOptions = {},
): Promise<ModelFile> {
  const file = readModelHeader(path);
  if (verify === 'header' || (verify === 'auto' && isStamped(path, file.sha256))) return file;
  await verifyModelFile(file, onProgress);
  stamp(path, file.sha256);
  return file;
}

/** As {@link openModelFile} with `verify: 'header'`, at once. */
export function readModelHeader(path: string): ModelFile {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, 'r');
    const { size } = fstatSync(descriptor);
    return parseHeader(path, size, readRawHeader(path, descriptor, size));
  } catch (error) {
    throw ioError(OP, 'read', path, error);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function readExactly(path: string, descriptor: number, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length;) {
    const count = readSync(descriptor, bytes, at, length - at, offset + at);
    if (count === 0) throw damaged(path, `it ends at byte ${offset + at}`);
    at += count;
  }
  return bytes;
}

function readRawHeader(path: string, descriptor: number, size: number): Buffer {
  const convert =
    'Give a file that the converter wrote; a Hugging Face folder, safetensors or GGUF file is converted first';
  if (size < PREFIX_BYTES) throw damaged(path, `${size} bytes are no converted model`, convert);
  const prefix = readExactly(path, descriptor, 0, PREFIX_BYTES);
  if (prefix.toString('latin1', 0, 4) === 'GGUF')
    throw damaged(path, 'this is a GGUF file, not a converted model', convert);
  const length = prefix.readBigUInt64LE(0);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw damaged(path, `a header of ${length} bytes is no converted model's`, convert);
  if (PREFIX_BYTES + Number(length) > size)
    throw damaged(
      path,
      `the header claims ${length} bytes, the file has ${size} in all: it is truncated or not a converted model`,
    );
  return readExactly(path, descriptor, PREFIX_BYTES, Number(length));
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function parseObject(path: string, what: string, text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, `${what} is not JSON (${(error as Error).message})`);
  }
  if (!isObject(value)) throw damaged(path, `${what} is not an object`);
  return value;
}

function parseHeader(path: string, size: number, raw: Buffer): ModelFile {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(raw);
  } catch {
    throw damaged(path, 'the header is not text: it is damaged, or not a converted model');
  }
  const { __metadata__: metadata, ...entries } = parseObject(path, 'the header', text);
  if (!isObject(metadata) || metadata['format'] !== FORMAT)
    throw damaged(
      path,
      'a safetensors file, but not a converted model',
      'Convert the model first, and give the file that the converter wrote',
    );
  if (metadata['version'] !== VERSION)
    throw damaged(
      path,
      `a converted model of version ${String(metadata['version'])}, this program reads version ${VERSION}`,
      'Convert the model again with this program, or use the program that it was written by',
    );
  const strings = checkedMetadata(path, metadata);
  if (headerDigest(raw) !== strings['sha256'])
    throw damaged(
      path,
      'the header does not match its sha256',
      /^0+$/.test(strings['sha256'])
        ? 'The conversion was not finished: start it again, it goes on where it stopped'
        : DAMAGED,
    );
  const dataStart = PREFIX_BYTES + raw.length;
  if (dataStart % LINE_BYTES !== 0)
    throw damaged(path, `the data begin at byte ${dataStart}, which is no multiple of ${LINE_BYTES}`);
  const blobs = new Blobs(path, size, dataStart, entries);
  const tensors = readTensors(path, strings['tensors'], blobs);
  const attachments = readAttachments(path, strings['attachments'], blobs);
  blobs.checkAllTaken();
  let config: unknown;
  try {
    config = JSON.parse(strings['config']);
  } catch (error) {
    throw damaged(path, `the configuration is not JSON (${(error as Error).message})`);
  }
  return {
    path,
    bytes: size,
    dataStart,
    config,
    il: strings['il'],
    tensors,
    attachments,
    metadata: strings,
    sha256: strings['sha256'],
  };
}

function checkedMetadata(path: string, metadata: Json): Record<string, string> {
  const wrong = Object.entries(metadata).find(([, value]) => typeof value !== 'string');
  if (wrong !== undefined) throw damaged(path, `the metadata "${wrong[0]}" is no string`);
  for (const key of ['sha256', 'config', 'il', 'tensors', 'attachments'])
    if (!Object.hasOwn(metadata, key)) throw damaged(path, `the metadata has no "${key}"`);
  return metadata as Record<string, string>;
}

interface Blob {
  readonly begin: number;
  readonly end: number;
}

/** The entries of the container, each to be taken once. */
class Blobs {
  readonly #path: string;
  readonly #dataStart: number;
  readonly #left = new Map<string, Blob>();

  constructor(path: string, size: number, dataStart: number, entries: Json) {
    this.#path = path;
    this.#dataStart = dataStart;
    const dataBytes = size - dataStart;
    for (const [name, entry] of Object.entries(entries)) this.#left.set(name, checkEntry(path, name, entry, dataBytes));
    let at = 0;
    for (const [name, { begin, end }] of [...this.#left].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
      if (begin < at) throw damaged(path, `"${name}" overlaps the blob before it (bytes ${begin} … ${at} of the data)`);
      if (begin > at) throw damaged(path, `bytes ${at} … ${begin} of the data belong to nothing`);
      at = end;
    }
    if (at !== dataBytes) throw damaged(path, `the blobs end at byte ${at} of the data, the file has ${dataBytes}`);
  }

  take(name: string): Blob {
    const blob = this.#left.get(name);
    if (blob === undefined) throw damaged(this.#path, `the blob "${name}" is missing`);
    this.#left.delete(name);
    return { begin: this.#dataStart + blob.begin, end: this.#dataStart + blob.end };
  }

  checkAllTaken(): void {
    const [name] = this.#left.keys();
    if (name !== undefined) throw damaged(this.#path, `nothing is known about the blob "${name}"`);
  }
}

function checkEntry(path: string, name: string, entry: unknown, dataBytes: number): Blob {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? entry : {};
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize))
    throw damaged(path, `the blob "${name}" has the offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    throw damaged(
      path,
      `the blob "${name}" claims bytes ${begin} … ${end} of the data, the file has ${describeBytes(dataBytes)}: it is truncated`,
    );
  if (
    dtype !== 'U8' ||
    !Array.isArray(shape) ||
    shape.length !== 1 ||
    shape[0] !== end - begin ||
    begin % LINE_BYTES !== 0 ||
    end % LINE_BYTES !== 0
  )
    throw damaged(path, `the blob "${name}" is not u8 in whole lines of ${LINE_BYTES} bytes`);
  return { begin, end };
}

function checkedCrc(path: string, name: string, value: unknown): number {
  if (typeof value !== 'string' || !/^[0-9a-f]{8}$/.test(value))
    throw damaged(path, `"${name}" has the checksum ${JSON.stringify(value)}`);
  return Number.parseInt(value, 16);
}

function readTensors(path: string, text: string, blobs: Blobs): Map<string, TensorRecord> {
  const tensors = new Map<string, TensorRecord>();
  for (const [name, entry] of Object.entries(parseObject(path, 'the list of tensors', text))) {
    const { scheme: schemeName, rows, columns, crc32: checksum } = isObject(entry) ? entry : {};
    if (typeof schemeName !== 'string' || !Object.hasOwn(SCHEMES, schemeName))
      throw damaged(path, `tensor "${name}" has the unknown scheme ${JSON.stringify(schemeName)}`);
    if (!isSize(rows) || !isSize(columns) || rows === 0 || columns === 0)
      throw damaged(path, `tensor "${name}" has ${JSON.stringify(rows)} rows of ${JSON.stringify(columns)} columns`);
    const scheme: Scheme = SCHEMES[schemeName as keyof typeof SCHEMES];
    const { begin, end } = blobs.take(name);
    const needed = packedBytes(scheme, rows, columns);
    if (needed !== end - begin)
      throw damaged(
        path,
        `tensor "${name}" of ${schemeName}[${rows}, ${columns}] takes ${needed} bytes, its blob has ${end - begin}`,
      );
    tensors.set(name, {
      name,
      scheme,
      rows,
      columns,
      offset: begin,
      bytes: end - begin,
      crc32: checkedCrc(path, name, checksum),
    });
  }
  return tensors;
}

function readAttachments(path: string, text: string, blobs: Blobs): Map<string, AttachmentRecord> {
  const attachments = new Map<string, AttachmentRecord>();
  for (const [name, entry] of Object.entries(parseObject(path, 'the list of attachments', text))) {
    const { bytes, crc32: checksum } = isObject(entry) ? entry : {};
    const { begin, end } = blobs.take(attachmentBlob(name));
    if (!isSize(bytes) || Math.ceil(bytes / LINE_BYTES) * LINE_BYTES !== end - begin)
      throw damaged(path, `attachment "${name}" of ${JSON.stringify(bytes)} bytes has a blob of ${end - begin}`);
    attachments.set(name, { name, offset: begin, bytes, crc32: checkedCrc(path, name, checksum) });
  }
  return attachments;
}

/** Reads a file that travels with the model, and checks it. @throws ProjError when there is none of that name, or it is damaged. */
export function readAttachment(file: ModelFile, name: string): Uint8Array {
  const record = file.attachments.get(name);
  if (record === undefined)
    throw new ProjError('serialization', `${file.path}: there is no "${name}" in it`, {
      op: 'readAttachment',
      cure: `It has: ${[...file.attachments.keys()].join(', ') || 'none'}`,
    });
  let descriptor: number | null = null;
  try {
    descriptor = openSync(file.path, 'r');
    const padded = Math.ceil(record.bytes / LINE_BYTES) * LINE_BYTES;
    const bytes = readExactly(file.path, descriptor, record.offset, padded);
    if (crc32(bytes) !== record.crc32) throw damaged(file.path, `attachment "${name}" does not match its checksum`);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, record.bytes);
  } catch (error) {
    throw ioError('readAttachment', 'read', file.path, error);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

/** As {@link readAttachment}, as text. */
export const readTextAttachment = (file: ModelFile, name: string): string =>
  new TextDecoder().decode(readAttachment(file, name));

const CHUNK_BYTES = 8 << 20;

/** Reads the whole file and compares checksums. @throws ProjError that names the first blob that is damaged. */
export async function verifyModelFile(file: ModelFile, onProgress?: OpenOptions['onProgress']): Promise<void> {
  const { path, bytes: size, dataStart } = file;
  const blobs = [
    ...[...file.tensors.values()].map(({ name, offset, bytes, crc32: expected }) => ({
      name,
      what: 'tensor',
      offset,
      bytes,
      expected,
    })),
    ...[...file.attachments.values()].map(({ name, offset, bytes, crc32: expected }) => ({
      name,
      what: 'attachment',
      offset,
      bytes: Math.ceil(bytes / LINE_BYTES) * LINE_BYTES,
      expected,
    })),
  ];
  let doneBytes = 0;
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, 'r');
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (const { name, what, offset, bytes, expected } of blobs) {
      const found = await checksumOf(path, handle, chunk, offset, bytes, (count) => {
        doneBytes += count;
        onProgress?.({ doneBytes, totalBytes: size - dataStart, name });
      });
      if (found !== expected)
        throw damaged(
          path,
          `${what} "${name}" does not match its checksum (crc32 ${hex32(found)}, written was ${hex32(expected)})`,
        );
    }
  } catch (error) {
    throw ioError(OP, 'read', path, error);
  } finally {
    await handle?.close();
  }
}

/** crc32 of a part of a file. */
export async function checksumOf(
  path: string,
  handle: FileHandle,
  chunk: Buffer,
  offset: number,
  bytes: number,
  onRead: (count: number) => void = () => {},
): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, bytes - at), offset + at);
    if (bytesRead === 0) throw damaged(path, `it ends at byte ${offset + at}: it is truncated`);
    checksum = crc32(chunk.subarray(0, bytesRead), checksum);
    at += bytesRead;
    onRead(bytesRead);
  }
  return checksum;
}
