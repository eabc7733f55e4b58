/**
 * One benchmark at a time on a machine: an exclusive lock on a file, held while a case is timed. Where flock(1) exists it holds the lock, so
 * that shell scripts (`flock FILE command`) take part; elsewhere a file with our process id serves, and one left by a dead process is removed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The lock file when nothing else is asked for. */
export const DEFAULT_LOCK = join(tmpdir(), 'bench.lock');

/** A held lock. */
export interface Lock {
  release(): Promise<void>;
}

const NOTICE_MS = 3000;

/** Waits for the lock; `onWait` is told when that takes longer than a moment. */
export async function acquire(path: string, onWait: (path: string) => void = () => {}): Promise<Lock> {
  const notice = setTimeout(() => onWait(path), NOTICE_MS);
  try {
    return hasFlock() ? await acquireByFlock(path) : await acquireByFile(path);
  } finally {
    clearTimeout(notice);
  }
}

let flockFound: boolean | undefined;
function hasFlock(): boolean {
  flockFound ??= spawnSync('flock', ['--version'], { stdio: 'ignore' }).status === 0;
  return flockFound;
}

/** The lock lives as long as a `cat` that waits for our end of its pipe: it goes with us, however we end. */
async function acquireByFlock(path: string): Promise<Lock> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo locked; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  const locked = await Promise.race([
    new Promise<boolean>((resolve) => holder.stdout.once('data', () => resolve(true))),
    ended.then(() => false),
  ]);
  if (!locked) return acquireByFile(`${path}.pid`);
  return {
    async release() {
      holder.stdin.end();
      await ended;
    },
  };
}

/** Exported for its test: the way without flock(1). */
export async function acquireByFile(path: string): Promise<Lock> {
  for (;;) {
    try {
      const file = openSync(path, 'wx');
      writeSync(file, String(process.pid));
      closeSync(file);
      return { release: async () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (!ownerAlive(path)) rmSync(path, { force: true });
      else await sleep(50);
    }
  }
}

function ownerAlive(path: string): boolean {
  try {
    const owner = Number(readFileSync(path, 'utf8'));
    if (!(owner > 0)) return true; // being written this moment
    process.kill(owner, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
