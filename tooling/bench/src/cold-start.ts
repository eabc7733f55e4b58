/** The time of a whole process, from its start to its end. */
import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import type { ProcessSpec } from './driver.ts';

export type ProcessTime =
  { readonly ok: true; readonly ms: number; readonly output: string } | { readonly ok: false; readonly reason: string };

/** Runs a process to its end; one that cannot start, or ends with an error, gives the last line that it printed there. */
export function timeProcess({ command, args, env }: ProcessSpec): Promise<ProcessTime> {
  return new Promise((resolve) => {
    let [output, errors] = ['', ''];
    const began = performance.now();
    const child = spawn(command, [...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
    child.on('error', (error) => resolve({ ok: false, reason: error.message }));
    child.on('close', (code) => {
      const ms = performance.now() - began;
      if (code === 0) resolve({ ok: true, ms, output });
      else resolve({ ok: false, reason: lastLine(errors) ?? `ended with code ${code}` });
    });
  });
}

function lastLine(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => /\S/.test(line));
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
}
