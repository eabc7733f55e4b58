/**
 * Writes the file of a converted model, one tensor at a time and in any order, so that a conversion needs memory for one tensor only.
 *
 * Until it is finished the file is `<path>.partial`, with a header that no reader accepts. A journal beside it, `<path>.partial.json`, says which tensors are written and
 * their checksums: a conversion that was killed goes on from there, after what the journal says has been compared with the file. `finish` writes the header,
 * forces all to the disk and renames: at `path` there is the old file, none, or a whole new one.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { describeBytes, ProjError } from '@proj/kernel';
import { fileBehind } from '@proj/tensor/io';
import {
  attachmentBlob,
  type BlobLayout,
  type FileLayout,
  headerBytes,
  hex32,
  layoutOf,
  type ModelFilePlan,
  PREFIX_BYTES,
  storedDigest,
} from './format.ts';
import { ioError } from './io-error.ts';
import { checksumOf } from './reader.ts';
import { stamp } from './stamps.ts';

const OP = 'createModelFile';
const CHUNK_BYTES = 8 << 20;
/** `write` hands at most this much to the system at once. */
const WRITE_BYTES = 64 << 20;

/** Options of {@link createModelFile}. */
export interface CreateOptions {
  /** Go on with a conversion of the same plan that was not finished (the default), or begin anew. */
  readonly resume?: boolean;
}

interface Journal {
  /** Hash of all that is known beforehand. */
  readonly plan: string;
  /** Checksums of what is written, by name of blob. */
  readonly written: Readonly<Record<string, string>>;
}

/** Paths that this process writes. */
const openPaths = new Set<string>();

/**
 * Begins a file, or goes on with one of the same plan. Symbolic links are followed.
 *
 * @throws ProjError `io` when the folder cannot be written or the disk has too little space; `invalid-argument` when the plan contradicts itself.
 */
export async function createModelFile(
  given: string,
  plan: ModelFilePlan,
  { resume = true }: CreateOptions = {},
): Promise<ModelFileWriter> {
  const layout = layoutOf(plan);
  const path = fileBehind(OP, given);
  if (openPaths.has(path))
    throw new ProjError('io', `${path} is being written already`, {
      op: OP,
      cure: 'Finish or close the other writer first',
    });
  openPaths.add(path);
  let handle: FileHandle | null = null;
  try {
    const partial = `${path}.partial`;
    const identity = createHash('sha256').update(headerBytes(layout));
    for (const content of layout.attachments.values()) identity.update(content);
    const hash = identity.digest('hex');
    const journal = resume ? await readJournal(path, hash) : null;
    handle = journal === null ? null : await reopen(partial, layout);
    const goesOn = handle !== null && journal !== null;
    await checkSpace(path, layout.bytes, goesOn ? partial : null);
    if (handle === null) {
      // A new file and not the old one emptied: whoever still writes that must not write into this one.
      await rm(partial, { force: true });
      handle = await open(partial, 'wx+');
      await handle.truncate(layout.bytes);
    }
    const written = goesOn ? await stillWritten(partial, handle, layout, journal) : new Map<string, number>();
    const writer = new ModelFileWriter(path, layout, handle, hash, written);
    await writer.begin();
    return writer;
  } catch (error) {
    await handle?.close();
    openPaths.delete(path);
    throw ioError(OP, 'write', path, error);
  }
}

async function readJournal(path: string, plan: string): Promise<Journal | null> {
  try {
    const journal = JSON.parse(await readFile(`${path}.partial.json`, 'utf8')) as Partial<Journal> | null;
    if (journal?.plan !== plan || typeof journal.written !== 'object' || journal.written === null) return null;
    return { plan, written: journal.written };
  } catch {
    // None, or one that a crash of the machine left half written: begin anew.
    return null;
  }
}

async function reopen(partial: string, { bytes }: FileLayout): Promise<FileHandle | null> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(partial, 'r+');
    if ((await handle.stat()).size === bytes) return handle;
  } catch {
    // There is none, or not one of ours.
  }
  await handle?.close();
  return null;
}

/** What the journal says is written and the file really has. */
async function stillWritten(
  partial: string,
  handle: FileHandle,
  { blobs }: FileLayout,
  journal: Journal,
): Promise<Map<string, number>> {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  const written = new Map<string, number>();
  for (const { name, offset, bytes } of blobs) {
    if (!Object.hasOwn(journal.written, name)) continue;
    const checksum = await checksumOf(partial, handle, chunk, offset, bytes);
    if (hex32(checksum) === journal.written[name]) written.set(name, checksum);
  }
  return written;
}

async function checkSpace(path: string, bytes: number, partial: string | null): Promise<void> {
  const folder = dirname(path);
  const taken = partial === null ? 0 : (await stat(partial)).blocks * 512;
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes - taken > free)
    throw new ProjError(
      'io',
      `${path} needs ${describeBytes(bytes - taken)}, ${folder} has ${describeBytes(free)} free`,
      {
        op: OP,
        cure: 'Free some space or write to another disk',
      },
    );
}

/** A file that is being written; see {@link createModelFile}. */
export class ModelFileWriter {
  readonly path: string;
  /** Of the finished file. */
  readonly bytes: number;
  readonly #layout: FileLayout;
  readonly #blobs: ReadonlyMap<string, BlobLayout>;
  readonly #plan: string;
  readonly #written: Map<string, number>;
  #handle: FileHandle | null;
  #journal: Promise<void> = Promise.resolve();

  /** For the library's own use: see {@link createModelFile}. */
  constructor(path: string, layout: FileLayout, handle: FileHandle, plan: string, written: Map<string, number>) {
    this.path = path;
    this.bytes = layout.bytes;
    this.#layout = layout;
    this.#blobs = new Map(layout.blobs.map((blob) => [blob.name, blob]));
    this.#handle = handle;
    this.#plan = plan;
    this.#written = written;
  }

  /** Names of the tensors that are still to be written, in the order of the plan. */
  get pending(): string[] {
    return this.#layout.plan.tensors.map(({ name }) => name).filter((name) => !this.#written.has(name));
  }

  /** Whether a tensor is written, in this run or in one before. */
  has(name: string): boolean {
    return this.#written.has(name);
  }

  /** For the library's own use: header and attachments. */
  async begin(): Promise<void> {
    await this.#writeAt(headerBytes(this.#layout), 0);
    for (const [name, content] of this.#layout.attachments) {
      const blob = attachmentBlob(name);
      if (this.#written.has(blob)) continue;
      const padded = new Uint8Array(this.#blobs.get(blob)?.bytes ?? 0);
      padded.set(content);
      await this.write(blob, padded);
    }
    await this.#noteWritten();
  }

  /**
   * Writes a packed matrix.
   *
   * @throws ProjError when the plan has none of that name or of another size, or the disk is full.
   */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    const blob = this.#blobs.get(name);
    if (blob === undefined)
      throw new ProjError('invalid-argument', `the plan of ${this.path} has no tensor "${name}"`, {
        op: 'ModelFileWriter.write',
        cure: `Still to be written: ${this.pending.slice(0, 8).join(', ')}`,
      });
    if (bytes.length !== blob.bytes)
      throw new ProjError('shape-mismatch', `"${name}" has ${bytes.length} bytes, ${blob.bytes} were planned`, {
        op: 'ModelFileWriter.write',
        cure: 'Pack it with the scheme, rows and columns of the plan',
      });
    // What is being written over no longer counts as written.
    if (this.#written.delete(name)) await this.#noteWritten();
    try {
      await this.#writeAt(bytes, blob.offset);
    } catch (error) {
      throw ioError('ModelFileWriter.write', 'write', `${this.path}.partial`, error);
    }
    this.#written.set(name, crc32(bytes));
    await this.#noteWritten();
  }

  async #writeAt(bytes: Uint8Array, offset: number): Promise<void> {
    const handle = this.#opened();
    for (let at = 0; at < bytes.length;)
      at += (await handle.write(bytes, at, Math.min(WRITE_BYTES, bytes.length - at), offset + at)).bytesWritten;
  }

  #opened(): FileHandle {
    if (this.#handle === null)
      throw new ProjError('io', `the writer of ${this.path} is closed`, {
        op: 'ModelFileWriter',
        cure: 'Open it again with createModelFile()',
      });
    return this.#handle;
  }

  /** Writes the journal, after those asked for before. */
  #noteWritten(): Promise<void> {
    const next = this.#journal
      .catch(() => {})
      .then(async () => {
        const written = Object.fromEntries([...this.#written].map(([name, checksum]) => [name, hex32(checksum)]));
        const journal: Journal = { plan: this.#plan, written };
        const file = `${this.path}.partial.json`;
        try {
          await writeFile(`${file}.tmp`, JSON.stringify(journal));
          await rename(`${file}.tmp`, file);
        } catch (error) {
          throw ioError('ModelFileWriter.write', 'write', file, error);
        }
      });
    this.#journal = next;
    return next;
  }

  /**
   * Completes the file and gives it its name.
   *
   * @throws ProjError when tensors are missing (which), or when another process has taken the file over.
   */
  async finish(): Promise<void> {
    const op = 'ModelFileWriter.finish';
    const { pending } = this;
    if (pending.length > 0)
      throw new ProjError(
        'invalid-argument',
        `${pending.length} tensors are not written: ${pending.slice(0, 8).join(', ')}${pending.length > 8 ? ', …' : ''}`,
        {
          op,
          cure: 'Write them first; close() keeps what is written for later',
        },
      );
    const partial = `${this.path}.partial`;
    const handle = this.#opened();
    try {
      await this.#journal;
      const header = headerBytes(this.#layout, this.#written);
      await handle.datasync();
      await this.#writeAt(header, 0);
      await handle.sync();
      const [mine, there] = [await handle.stat(), await stat(partial).catch(() => null)];
      if (there?.ino !== mine.ino)
        throw new ProjError('io', `${partial} was replaced by another conversion`, {
          op,
          cure: 'Let one conversion at a time write to a path',
        });
      await rename(partial, this.path);
      await this.close();
      await rm(`${partial}.json`, { force: true });
      await rm(`${partial}.json.tmp`, { force: true });
      await syncFolder(dirname(this.path));
      stamp(this.path, storedDigest(header.subarray(PREFIX_BYTES)));
    } catch (error) {
      throw ioError(op, 'write', this.path, error);
    }
  }

  /** Closes the file; what is written stays for a later run. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    openPaths.delete(this.path);
    await handle?.close();
  }

  /** Closes and removes what is written. */
  async discard(): Promise<void> {
    await this.close();
    for (const end of ['.partial', '.partial.json', '.partial.json.tmp'])
      await rm(`${this.path}${end}`, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Makes the renaming durable, where the platform can. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Some file systems cannot open folders; the file itself is safe.
  }
}
