/** Making folders, where the platform has files. Node's own way to make all that are missing never returns where the last existing one takes none, as in /proc. */
import { ProjError } from './errors.ts';

/**
 * Makes a folder and those above it that are missing; one that is there is left as it is. Errors: those of the operating system; `io` where the
 * place takes no folders.
 */
export function makeFolder(path: string, mode?: number): void {
  const fs = process.getBuiltinModule('node:fs');
  const { dirname, resolve } = process.getBuiltinModule('node:path');
  const isFolder = (at: string): boolean => fs.statSync(at, { throwIfNoEntry: false })?.isDirectory() === true;
  const missing: string[] = [];
  let at = resolve(path);
  for (; !isFolder(at); at = dirname(at)) {
    missing.push(at);
    // What is there and no folder says so itself when a folder is made of it, or in it.
    if (fs.lstatSync(at, { throwIfNoEntry: false }) !== undefined || dirname(at) === at) break;
  }
  for (const folder of missing.toReversed()) {
    try {
      fs.mkdirSync(folder, mode);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another process was faster.
      if (code === 'EEXIST' && isFolder(folder)) continue;
      if (code !== 'ENOENT') throw error;
      throw new ProjError('io', `cannot make the folder ${path}: ${dirname(folder)} takes no new folders`, {
        cure: 'Give a folder on a disk that can be written',
        cause: error,
      });
    }
  }
}
