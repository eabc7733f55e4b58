/** Running the trainer as a program, on tiny data. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
  readonly errors: string;
}

/** Starts the program; `done` resolves when it has ended. */
export function start(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): { readonly child: ChildProcess; readonly done: Promise<Finished>; until(text: RegExp): Promise<void> } {
  const child = spawn(process.execPath, ['--conditions=source', PROGRAM, ...args], {
    env: { ...process.env, PROJ_DATA: '', PROJ_DEVICE: '', INIT_CWD: '', ...environment },
  });
  let output = '';
  let errors = '';
  const watchers = new Set<() => void>();
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
    for (const watcher of watchers) watcher();
  });
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  const done = new Promise<Finished>((resolve) =>
    child.on('close', (status, signal) => resolve({ status, signal, output, errors })),
  );
  const until = (text: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!text.test(output)) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
      void done.then((result) => reject(new Error(`ended before ${String(text)}: ${result.output}${result.errors}`)));
    });
  return { child, done, until };
}

export const run = (args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Finished> =>
  start(args, environment).done;

/** A folder that goes away with the tests. */
export function temporaryFolder(): { readonly path: (name: string) => string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'proj-trainer-'));
  return { path: (name) => join(folder, name), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A text with structure enough to learn something in a few steps. */
export function writeText(path: string): void {
  writeFileSync(
    path,
    Array.from({ length: 400 }, (_, i) => `line ${i % 10}: the cat sat on mat ${(i * 7) % 10}.\n`).join(''),
  );
}

/** A tiny language model that trains in milliseconds. */
export const TINY = [
  '--preset',
  'docs-gpt',
  '--layers',
  '1',
  '--width',
  '16',
  '--heads',
  '2',
  '--context',
  '8',
  '--batch-size',
  '4',
  '--sample-length',
  '20',
  '--eval-batches',
  '2',
  '--eval-every',
  '10',
  '--warmup',
  '2',
  '--device',
  'js',
];

/** An IDX file of unsigned bytes. */
export function idx(shape: readonly number[], data: Uint8Array): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head[2] = 8;
  head[3] = shape.length;
  shape.forEach((size, i) => head.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([head, data]);
}
