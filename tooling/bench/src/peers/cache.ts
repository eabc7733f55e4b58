/** Where peers that the bench installs itself, and models made for it, are kept: `PROJ_BENCH_CACHE`, or a folder of ours in the user's cache. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { makeFolder, ProjError, toProjError } from '@proj/kernel';

function userCache(): string {
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches');
  if (process.platform === 'win32') return process.env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local');
  return process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
}

/** A folder of the cache, made when it is not there. */
export function cacheFolder(...names: readonly string[]): string {
  const folder = join(process.env['PROJ_BENCH_CACHE'] ?? join(userCache(), 'proj-bench'), ...names);
  try {
    makeFolder(folder);
  } catch (error) {
    const { message } = toProjError(error);
    throw new ProjError('io', `the cache of the bench: ${message}`, {
      op: 'bench',
      cure: 'Set PROJ_BENCH_CACHE to a folder that can be written',
      cause: error,
    });
  }
  return folder;
}

/** Where models are made; they are removed at the end of a run unless they are to be kept. */
export const modelFolder = (): string => cacheFolder('models');
