/** Resident memory of training without dispose: 2,000 steps, each way in a process of its own. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import '@proj/device-native';
import { deviceReport } from '@proj/kernel';
import { describe, expect, it } from 'vitest';

interface Report {
  readonly resident?: Readonly<Record<string, number>>;
  readonly first?: number;
  readonly last?: number;
  readonly error?: { readonly code: string; readonly message: string };
}
const hasNative = deviceReport().some(({ name, available }) => name === 'native' && available);
const script = fileURLToPath(new URL('./support/training-loop.ts', import.meta.url));
async function train(device: string, way: string, steps = 2000): Promise<Report> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=source',
    script,
    device,
    way,
    String(steps),
  ]);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Report;
}
const growth = ({ resident = {} }: Report): number => resident['2000'] / resident['200'];

describe('2,000 training steps', () => {
  // A machine whose collector threads get no turn may try again.
  it.each([
    ...(hasNative
      ? [
          ['native', 'sync'],
          ['native', 'compile'],
        ]
      : []),
    ['js', 'sync'],
    ['wasm', 'sync'],
    ['wasm', 'await'],
    ['wasm', 'compile'],
    ['wasm', 'tidy'],
  ])(
    'on %s (%s) leave the resident size as it was, without any dispose',
    { timeout: 240_000, retry: 2 },
    async (device, way) => {
      const report = await train(device, way);
      expect(report.error).toBeUndefined();
      expect(growth(report)).toBeLessThan(1.05);
      expect(report.last).toBeLessThan(report.first ?? 0);
    },
  );

  it('in a small WebAssembly memory go on too, to the same loss', { timeout: 240_000 }, async () => {
    const reports = await Promise.all(['sync', 'tidy', 'await'].map((way) => train('small-wasm', way, 1000)));
    for (const { error } of reports) expect(error).toBeUndefined();
    expect(new Set(reports.map(({ last }) => last)).size).toBe(1);
  });

  it('with more than fits say what to do', { timeout: 240_000 }, async () => {
    const { error } = await train('small-wasm', 'large', 1);
    expect(error?.code).toBe('out-of-memory');
    expect(error?.message).toMatch(/MiB are in use.*smaller batches.*tidy\(\).*compile\(\)/);
  });
});
