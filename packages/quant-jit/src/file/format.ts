/**
 * The file of a converted model: a safetensors container, so that any tool can list it, whose tensors are opaque u8 blobs.
 *
 * - A *blob* is a packed matrix, or an *attachment* (tokenizer.json, …), padded with zeros to a multiple of 64 bytes. Blobs follow each other without holes
 *   in the order of the header, which is padded with spaces to such a multiple too: the file can be mapped and used where it lies.
 * - The header's `__metadata__` holds `sha256`, `format`, `version`, `config` (JSON), `il` (text), `tensors` and `attachments` (JSON: shapes, lengths, crc32), and
 *   what the caller adds. `sha256` is that of the header with zeros in its own place, which is always the same place; `crc32` are those of the blobs.
 */
import { createHash } from 'node:crypto';
import { ProjError } from '@proj/kernel';
import { LINE_BYTES } from '../quantize/layout.ts';
import { packedBytes } from '../quantize/pack.ts';
import { type SchemeName, scheme as schemeOf } from '../quantize/scheme.ts';

/** Value of `format` in the metadata. */
export const FORMAT = 'proj-quant-jit';
/** Value of `version` in the metadata. */
export const VERSION = '2';
/** Bytes before the header: its length. */
export const PREFIX_BYTES = 8;
/** The limit of the safetensors reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** How every header begins. */
const SHA_PREFIX = '{"__metadata__":{"sha256":"';
const NO_SHA = '0'.repeat(64);
/** Metadata that callers cannot set. */
const RESERVED = ['sha256', 'format', 'version', 'config', 'il', 'tensors', 'attachments'];

/** A matrix of the file. */
export interface TensorPlan {
  readonly name: string;
  readonly scheme: SchemeName;
  readonly rows: number;
  readonly columns: number;
}

/** All that is known about a file before its weights are. */
export interface ModelFilePlan {
  /** The model's configuration, as JSON. */
  readonly config: unknown;
  /** The program over the tensors. */
  readonly il: string;
  readonly tensors: readonly TensorPlan[];
  /** Files that travel with the model, by name: `tokenizer.json`, … */
  readonly attachments?: Readonly<Record<string, string | Uint8Array>>;
  /** What the weights come from and how they are converted (a fingerprint): a conversion is resumed only when it is the same. */
  readonly source?: string;
  /** Further strings for the metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Where a blob lies. */
export interface BlobLayout {
  readonly name: string;
  /** From the begin of the file. */
  readonly offset: number;
  /** A multiple of 64. */
  readonly bytes: number;
}

/** A file with its sizes worked out. */
export interface FileLayout {
  readonly plan: ModelFilePlan;
  readonly blobs: readonly BlobLayout[];
  readonly attachments: ReadonlyMap<string, Uint8Array>;
  readonly dataStart: number;
  /** Of the whole file. */
  readonly bytes: number;
}

/** Checksums of the blobs, by name. */
export type Checksums = ReadonlyMap<string, number>;

/** A checksum as it is written: 8 hexadecimal digits. */
export const hex32 = (checksum: number): string => (checksum >>> 0).toString(16).padStart(8, '0');

/** Name of an attachment's blob. */
export const attachmentBlob = (name: string): string => `file:${name}`;

const padTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/** Works out where everything lies. @throws ProjError when a plan contradicts itself. */
export function layoutOf(plan: ModelFilePlan): FileLayout {
  const op = 'createModelFile';
  const bad = (message: string): ProjError => new ProjError('invalid-argument', message, { op });
  const attachments = new Map(
    Object.entries(plan.attachments ?? {}).map(([name, content]) => [
      name,
      typeof content === 'string' ? new TextEncoder().encode(content) : content,
    ]),
  );
  for (const name of Object.keys(plan.metadata ?? {}))
    if (RESERVED.includes(name)) throw bad(`the metadata key "${name}" is taken`);
  const sizes: [string, number][] = plan.tensors.map(({ name, scheme, rows, columns }) => {
    const bytes = packedBytes(schemeOf(scheme), rows, columns);
    if (
      !Number.isSafeInteger(rows) ||
      !Number.isSafeInteger(columns) ||
      rows < 1 ||
      columns < 1 ||
      !Number.isSafeInteger(bytes)
    )
      throw bad(`tensor "${name}" has ${rows} rows of ${columns} columns`);
    return [name, bytes];
  });
  for (const [name, content] of attachments) sizes.push([attachmentBlob(name), padTo(content.length, LINE_BYTES)]);
  const names = new Set<string>();
  for (const [name] of sizes) {
    if (name === '' || name === '__metadata__' || names.has(name))
      throw bad(`"${name}" cannot be the name of a tensor, or not of two`);
    names.add(name);
  }
  // Offsets in the header count from its end, so that its length does not depend on where the data begins.
  const relative: BlobLayout[] = [];
  let at = 0;
  for (const [name, bytes] of sizes) {
    relative.push({ name, offset: at, bytes });
    at += bytes;
  }
  const text = headerText(plan, attachments, relative, new Map());
  const dataStart = padTo(PREFIX_BYTES + Buffer.byteLength(text), LINE_BYTES);
  if (dataStart > MAX_HEADER_BYTES) throw bad(`configuration, program and names take ${dataStart} bytes of header`);
  const blobs = relative.map((blob) => ({ ...blob, offset: dataStart + blob.offset }));
  return { plan, blobs, attachments, dataStart, bytes: dataStart + at };
}

function headerText(
  plan: ModelFilePlan,
  attachments: ReadonlyMap<string, Uint8Array>,
  relative: readonly BlobLayout[],
  checksums: Checksums,
): string {
  const crc32 = (name: string): string => hex32(checksums.get(name) ?? 0);
  const tensors = Object.fromEntries(
    plan.tensors.map(({ name, scheme, rows, columns }) => [name, { scheme, rows, columns, crc32: crc32(name) }]),
  );
  const attached = Object.fromEntries(
    [...attachments].map(([name, content]) => [name, { bytes: content.length, crc32: crc32(attachmentBlob(name)) }]),
  );
  const metadata = {
    sha256: NO_SHA,
    format: FORMAT,
    version: VERSION,
    config: JSON.stringify(plan.config),
    il: plan.il,
    tensors: JSON.stringify(tensors),
    attachments: JSON.stringify(attached),
    ...(plan.source === undefined ? {} : { source: plan.source }),
    ...plan.metadata,
  };
  const entries = relative.map(({ name, offset, bytes }) => [
    name,
    { dtype: 'U8', shape: [bytes], data_offsets: [offset, offset + bytes] },
  ]);
  return JSON.stringify({ __metadata__: metadata, ...(Object.fromEntries(entries) as object) });
}

/** The bytes before the data: length, header, spaces. Without checksums it is the header of a file that is not finished: its sha256 is zeros. */
export function headerBytes({ plan, blobs, attachments, dataStart }: FileLayout, checksums?: Checksums): Buffer {
  const relative = blobs.map((blob) => ({ ...blob, offset: blob.offset - dataStart }));
  const text = headerText(plan, attachments, relative, checksums ?? new Map());
  const bytes = Buffer.alloc(dataStart, ' ');
  bytes.writeBigUInt64LE(BigInt(dataStart - PREFIX_BYTES), 0);
  bytes.write(text, PREFIX_BYTES);
  if (checksums !== undefined)
    bytes.write(headerDigest(bytes.subarray(PREFIX_BYTES)), PREFIX_BYTES + SHA_PREFIX.length);
  return bytes;
}

/** The sha256 of a header (without its length) with zeros in the place of its own. */
export function headerDigest(header: Uint8Array): string {
  const end = SHA_PREFIX.length + NO_SHA.length;
  return createHash('sha256')
    .update(header.subarray(0, SHA_PREFIX.length))
    .update(NO_SHA)
    .update(header.subarray(end))
    .digest('hex');
}

/** The sha256 that a header (without its length) has in the place for it. */
export const storedDigest = (header: Uint8Array): string =>
  Buffer.from(header.buffer, header.byteOffset, header.length).toString(
    'latin1',
    SHA_PREFIX.length,
    SHA_PREFIX.length + NO_SHA.length,
  );
