/** Files, where the platform has them (Node), and writing so that a crash or a full disk leaves the old file whole. */
import { ProjError } from '@proj/kernel';

/** @internal Declarations of this package must not need those of Node. */
type FileSystem = typeof import('node:fs');

/**
 * The file system, or an error that says what to do instead.
 *
 * @internal
 */
export function fileSystem(op: string): FileSystem {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs');
  if (fs === undefined)
    throw new ProjError('io', 'there is no file system here', {
      op,
      cure: 'Pass the bytes (Uint8Array) instead of a path',
    });
  return fs;
}

/** Bytes, or where they are. */
export type Source = Uint8Array | string | URL;

export const describeSource = (source: Source): string =>
  source instanceof Uint8Array ? `${source.length} bytes` : String(source);

const CURES: Record<string, string> = {
  ENOENT: 'Check the path',
  EACCES: 'Check the permissions of the file and its folder',
  EPERM: 'Check the permissions of the file and its folder',
  EEXIST: 'Something else has that name: give another path',
  ENAMETOOLONG: 'Give a shorter path',
  ELOOP: 'Check where the symbolic links lead',
  EISDIR: 'Give the path of a file, not of a folder',
  ENOTDIR: 'Check the path',
  ENOSPC: 'Free some space, or write to another disk; what was there before is unchanged',
  EDQUOT: 'Free some of the quota, or write to another disk; what was there before is unchanged',
  EROFS: 'The disk is read-only: write elsewhere',
};

/** An error of the operating system as ours. */
export function fileError(op: string, action: string, path: string | URL, error: unknown): ProjError {
  if (error instanceof ProjError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new ProjError('io', `cannot ${action} ${String(path)}: ${message}`, { op, cure: CURES[code], cause: error });
}

/** All bytes of a source. */
export function readAll(op: string, source: Source): Uint8Array {
  if (source instanceof Uint8Array) return source;
  const fs = fileSystem(op);
  try {
    return new Uint8Array(fs.readFileSync(source));
  } catch (error) {
    throw fileError(op, 'read', source, error);
  }
}

/** More links in a row than any system follows. */
const MAX_LINKS = 40;

/**
 * The file behind a path: what its symbolic links lead to, whether that exists or not. A file that is replaced by renaming is replaced there, and
 * the links stay. Errors: links in a circle; a device, a pipe or a folder.
 */
export function fileBehind(op: string, path: string): string {
  const fs = fileSystem(op);
  const { dirname, resolve } = process.getBuiltinModule('node:path');
  let file = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const found = fs.lstatSync(file, { throwIfNoEntry: false });
    if (found === undefined || found.isFile()) return file;
    if (!found.isSymbolicLink())
      throw new ProjError('io', `cannot write ${path}: it is no regular file`, { op, cure: 'Give the path of a file' });
    file = resolve(dirname(file), fs.readlinkSync(file));
  }
  throw new ProjError('io', `cannot write ${path}: too many symbolic links`, { op, cure: 'Check where they lead' });
}

/**
 * Writes a file as a whole or not at all: to `path.tmp` first, forced to the disk, then renamed. Symbolic links are followed, permissions kept. `parts` are
 * written in order; a function among them is asked for its bytes when its turn comes, so that large files need not fit in memory.
 */
export function writeAtomically(
  op: string,
  path: string | URL,
  parts: Iterable<Uint8Array | (() => Uint8Array)>,
): void {
  const fs = fileSystem(op);
  let target = path instanceof URL ? decodeURIComponent(path.pathname) : path;
  let temporary: string | null = null;
  let file: number | null = null;
  try {
    target = fileBehind(op, target);
    temporary = `${target}.tmp`;
    file = fs.openSync(temporary, 'w', fs.statSync(target, { throwIfNoEntry: false })?.mode);
    for (const part of parts) {
      const bytes = typeof part === 'function' ? part() : part;
      for (let at = 0; at < bytes.length;) at += fs.writeSync(file, bytes, at, Math.min(bytes.length - at, 1 << 26));
    }
    fs.fsyncSync(file);
    fs.closeSync(file);
    file = null;
    fs.renameSync(temporary, target);
    syncFolder(fs, target);
  } catch (error) {
    if (file !== null) fs.closeSync(file);
    if (temporary !== null) fs.rmSync(temporary, { force: true });
    throw fileError(op, 'write', target, error);
  }
}

/** Makes the renaming itself durable, where the platform can. */
function syncFolder(fs: FileSystem, target: string): void {
  const slash = target.lastIndexOf('/');
  try {
    const folder = fs.openSync(slash < 0 ? '.' : target.slice(0, slash + 1), 'r');
    fs.fsyncSync(folder);
    fs.closeSync(folder);
  } catch {
    // Some file systems cannot open folders; the file itself is safe.
  }
}
