// Child processes, two at a time.
import { spawn } from 'node:child_process';

export interface Result {
  readonly status: number;
  /** What it printed for programs to read. */
  readonly stdout: string;
  /** All that it printed, and why it could not start. */
  readonly output: string;
}

/** Runs a command to its end. */
export function execute(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
): Promise<Result> {
  return new Promise((resolve) => {
    const [stdout, all]: [Buffer[], Buffer[]] = [[], []];
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32',
      timeout: 120_000,
    });
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      all.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => all.push(chunk));
    const end = (status: number, text: string): void =>
      resolve({ status, stdout: Buffer.concat(stdout).toString().trimEnd(), output: text });
    child.on('error', (error) => end(127, `cannot start ${command}: ${error.message}`));
    child.on('close', (code) => end(code ?? 1, Buffer.concat(all).toString().trimEnd()));
  });
}

/** Does `work` for every item, two at a time. */
export async function inTurns<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = [...items];
  const next = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all([next(), next()]);
}
