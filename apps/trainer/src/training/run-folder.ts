/** The folder of a run: which files of it are whose, and that only one process at a time writes into it. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, ProjError } from '@proj/kernel';
import { fileError } from '@proj/tensor/io';

export const CHECKPOINT_FILE = 'checkpoint.safetensors';
export const BEST_FILE = 'best.safetensors';
/** Holds the number of the process that writes into the folder. */
const LOCK_FILE = 'running.pid';
const OF_EARLIER_RUN =
  /^(?:checkpoint\.safetensors|best\.safetensors|summary\.json|curves\.svg|events\.out\.tfevents\..*)$/;

/** The process that writes into a folder, or null. One that was killed has left its number behind, and counts for nothing. */
export function writerOf(folder: string): number | null {
  let writer = 0;
  try {
    writer = Number(readFileSync(join(folder, LOCK_FILE), 'utf8'));
    if (!Number.isSafeInteger(writer) || writer <= 0 || writer === process.pid) return null;
    process.kill(writer, 0);
    return writer;
  } catch (error) {
    // It runs, and is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM' && writer > 0 ? writer : null;
  }
}

/** Makes the folder this process's own. Errors: another one writes into it; it cannot be written. */
export function claimFolder(folder: string): void {
  const lock = join(folder, LOCK_FILE);
  try {
    makeFolder(folder);
    if (writerOf(folder) === null) rmSync(lock, { force: true });
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || writerOf(folder) === null)
      throw fileError('train', 'write', folder, error);
    throw new ProjError('invalid-argument', `another run (process ${writerOf(folder)}) is writing into ${folder}`, {
      op: 'train',
      cure: `Wait until it ends, or give another --out; if that process is no trainer, delete ${lock}`,
    });
  }
}

export const releaseFolder = (folder: string): void => rmSync(join(folder, LOCK_FILE), { force: true });

/** Takes away what an earlier run has left, so that nothing of it is taken for this run's. */
export function removeEarlierRun(folder: string): void {
  try {
    for (const name of readdirSync(folder)) if (OF_EARLIER_RUN.test(name)) rmSync(join(folder, name));
  } catch (error) {
    throw fileError('train', 'write', folder, error);
  }
}
