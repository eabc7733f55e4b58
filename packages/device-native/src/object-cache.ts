/**
 * Compiled objects on disk, so that a kernel is compiled once per machine and not once per process.
 *
 * One file per kernel: `<folder>/<2 letters>/<key>.<compiler>.o`, a header with a checksum and then the object. The key covers everything that
 * decides the code except the compiler, which is the second part of the name: with LLVM present only its own objects are taken, without
 * LLVM those of any version. Entries are written under another name and renamed, so that concurrent processes see whole files only; one
 * that does not check out is deleted and rebuilt. The cache is an optimisation: no failure of the disk ever fails a computation.
 */
import {
  homedir,
  join,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from './node-modules.ts';
import { hashText, makeFolder } from '@proj/kernel';
import { messageOf } from './ffi.ts';

/** `projobj1`, little-endian; then the length and two checksums of what follows, 4 bytes each, and 4 of padding. */
const MAGIC = 0x316a626f6a6f7270n;
const HEADER_BYTES = 24;
const DEFAULT_LIMIT_BYTES = 256 << 20;
/** One write in so many looks whether the cache has grown too large. */
const WRITES_PER_PRUNE = 512;
/** An entry's time of use is renewed when it is older than this, so that pruning takes what nobody uses. */
const TOUCH_AFTER_MS = 24 * 3600 * 1000;

/** Where objects are kept; undefined when `PROJ_CACHE=off`. `PROJ_CACHE_DIR` names another folder. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  if (environment['PROJ_CACHE'] === 'off') return undefined;
  const chosen = environment['PROJ_CACHE_DIR'];
  if (chosen !== undefined && chosen !== '') return join(chosen, 'objects');
  const shared = environment['XDG_CACHE_HOME'];
  const root =
    shared !== undefined && shared.startsWith('/')
      ? shared
      : join(homedir(), ...(process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']));
  return join(root, 'proj', 'objects');
}

/** Two independent 32-bit checksums (multiplicative, over little-endian words). */
function checksums(bytes: Uint8Array): readonly [number, number] {
  let a = 0x9e3779b1 ^ bytes.length;
  let b = 0x85ebca77 ^ bytes.length;
  const whole = bytes.length & ~3;
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  // A plain loop over words: the first entries are read before anything of this is compiled.
  const words = new Uint32Array(buffer, byteOffset, whole / 4);
  const count = words.length;
  for (let i = 0; i < count; i++) {
    const word = words[i] ?? 0;
    a = Math.imul(a ^ word, 0x9e3779b1);
    a ^= a >>> 15;
    b = (Math.imul((b << 13) | (b >>> 19), 0xc2b2ae3d) + word) | 0;
  }
  for (let at = whole; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    a = Math.imul(a ^ byte, 0x9e3779b1);
    a ^= a >>> 15;
    b = (Math.imul((b << 13) | (b >>> 19), 0xc2b2ae3d) + byte) | 0;
  }
  return [a >>> 0, b >>> 0];
}

/** An entry as it lies on disk. */
export function sealObject(object: Uint8Array): Uint8Array {
  const entry = new Uint8Array(HEADER_BYTES + object.length);
  const header = new DataView(entry.buffer);
  const [a, b] = checksums(object);
  header.setBigUint64(0, MAGIC, true);
  header.setUint32(8, object.length, true);
  header.setUint32(12, a, true);
  header.setUint32(16, b, true);
  entry.set(object, HEADER_BYTES);
  return entry;
}

/** The object in an entry; undefined when a byte of it is not as it was written. */
export function unsealObject(entry: Uint8Array): Uint8Array | undefined {
  if (entry.length < HEADER_BYTES) return undefined;
  const header = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const object = new Uint8Array(entry.buffer, entry.byteOffset + HEADER_BYTES, entry.byteLength - HEADER_BYTES);
  if (
    header.getBigUint64(0, true) !== MAGIC ||
    header.getUint32(8, true) !== object.length ||
    header.getUint32(20, true) !== 0
  )
    return undefined;
  const [a, b] = checksums(object);
  return header.getUint32(12, true) === a && header.getUint32(16, true) === b ? object : undefined;
}

export interface ObjectCacheOptions {
  readonly folder: string;
  /** What compiles: identity of the LLVM library, or undefined when there is none. */
  readonly compiler: string | undefined;
  readonly limitBytes?: number;
  readonly warn?: (message: string) => void;
}

/** The cache of one folder. */
export class ObjectCache {
  readonly #folder: string;
  readonly #suffix: string | undefined;
  readonly #limit: number;
  readonly #warn: (message: string) => void;
  #writable = true;
  #warned = false;
  #writes = 0;

  constructor({
    folder,
    compiler,
    limitBytes = DEFAULT_LIMIT_BYTES,
    warn = (message) => console.warn(message),
  }: ObjectCacheOptions) {
    this.#folder = folder;
    this.#suffix = compiler === undefined ? undefined : `.${hashText(compiler).slice(0, 12)}.o`;
    this.#limit = limitBytes;
    this.#warn = warn;
  }

  /** The object of a key, or undefined. */
  get(key: string): Uint8Array | undefined {
    for (const path of this.#paths(key)) {
      let entry: Uint8Array;
      try {
        entry = readFileSync(path);
      } catch {
        continue;
      }
      const object = unsealObject(entry);
      if (object !== undefined) {
        this.#touch(path);
        return object;
      }
      this.#remove(path);
    }
    return undefined;
  }

  /** Keeps an object. Needs a compiler. */
  put(key: string, object: Uint8Array): void {
    if (this.#suffix === undefined || !this.#writable) return;
    const folder = join(this.#folder, key.slice(0, 2));
    const path = join(folder, `${key}${this.#suffix}`);
    const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`;
    try {
      makeFolder(folder, 0o700);
      writeFileSync(temporary, sealObject(object), { mode: 0o600 });
      renameSync(temporary, path);
    } catch (error) {
      this.#writable = false;
      this.#remove(temporary);
      this.#warnOnce(
        `proj: compiled kernels are not kept: ${messageOf(error)}. Set PROJ_CACHE_DIR to a folder that can be written, or PROJ_CACHE=off`,
      );
      return;
    }
    if (this.#writes++ % WRITES_PER_PRUNE === WRITES_PER_PRUNE - 1) this.prune();
  }

  /** Forgets an entry whose object turned out to be unusable. */
  discard(key: string): void {
    for (const path of this.#paths(key)) this.#remove(path);
  }

  /** Deletes what was used longest ago until the cache is a quarter below its limit, and temporary files left by killed processes. */
  prune(): void {
    const files = this.#list();
    const now = Date.now();
    for (const { path, usedMs } of files) if (path.endsWith('.tmp') && now - usedMs > 3600_000) this.#remove(path);
    const objects = files.filter(({ path }) => path.endsWith('.o')).sort((a, b) => a.usedMs - b.usedMs);
    let total = objects.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total <= this.#limit) return;
    for (const { path, bytes } of objects) {
      if (total <= this.#limit * 0.75) break;
      this.#remove(path);
      total -= bytes;
    }
  }

  #paths(key: string): string[] {
    const folder = join(this.#folder, key.slice(0, 2));
    if (this.#suffix !== undefined) return [join(folder, `${key}${this.#suffix}`)];
    return names(folder)
      .filter((name) => name.startsWith(`${key}.`) && name.endsWith('.o'))
      .map((name) => join(folder, name));
  }

  #list(): { readonly path: string; readonly bytes: number; readonly usedMs: number }[] {
    return names(this.#folder).flatMap((shard) =>
      names(join(this.#folder, shard)).flatMap((name) => {
        const path = join(this.#folder, shard, name);
        try {
          const { size, mtimeMs } = statSync(path);
          return [{ path, bytes: size, usedMs: mtimeMs }];
        } catch {
          return [];
        }
      }),
    );
  }

  #touch(path: string): void {
    try {
      const now = Date.now();
      if (now - statSync(path).mtimeMs > TOUCH_AFTER_MS) utimesSync(path, now / 1000, now / 1000);
    } catch {
      return;
    }
  }

  #remove(path: string): void {
    try {
      rmSync(path, { force: true });
    } catch {
      return;
    }
  }

  #warnOnce(message: string): void {
    if (!this.#warned) this.#warn(message);
    this.#warned = true;
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
