/**
 * Which files have been checked in full on this machine: one small file each in the user's cache folder, named by a hash of path, size, time of change, inode
 * and header. An optimisation: when the folder cannot be used (or `PROJ_CACHE=off`), files are checked each time.
 */
import { createHash } from 'node:crypto';
import { existsSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '@proj/kernel';

function stampFolder(environment: NodeJS.ProcessEnv = process.env): string | null {
  if (environment['PROJ_CACHE'] === 'off') return null;
  const chosen = environment['PROJ_CACHE_DIR'];
  if (chosen !== undefined && chosen !== '') return join(chosen, 'models');
  const shared = environment['XDG_CACHE_HOME'];
  const root =
    shared !== undefined && shared.startsWith('/')
      ? shared
      : join(homedir(), ...(process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']));
  return join(root, 'proj', 'models');
}

function stampPath(path: string, sha256: string): string | null {
  const folder = stampFolder();
  if (folder === null) return null;
  const { size, mtimeNs, ino } = statSync(path, { bigint: true });
  const identity = [realpathSync(path), size, mtimeNs, ino, sha256].join('\n');
  return join(folder, createHash('sha256').update(identity).digest('hex'));
}

/** Whether this very file, as it is now, has been checked before. */
export function isStamped(path: string, sha256: string): boolean {
  try {
    const stamp = stampPath(path, sha256);
    return stamp !== null && existsSync(stamp);
  } catch {
    return false;
  }
}

/** Remembers that a file has been checked. */
export function stamp(path: string, sha256: string): void {
  try {
    const file = stampPath(path, sha256);
    if (file === null) return;
    makeFolder(join(file, '..'));
    writeFileSync(file, `${path}\n`);
  } catch {
    // Without a stamp the file is checked again.
  }
}
