/** What the tests of this package share. */
import { describe, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attempt, type Argument, type Device, type DeviceBuffer, type Kernel, type Launch } from '@proj/kernel';
import { cpuTarget, findLlvm, hostCpu, NativeDevice, type CpuLevel } from '../src/index.ts';

export const llvm = findLlvm();
/** Most tests compile: they are skipped, visibly, where no LLVM is installed. */
export const hasLlvm = llvm.found !== undefined && process.platform === 'linux';

/** A suite that needs LLVM: without it, it is reported as skipped and its body does not run. */
export const describeNative = (name: string, body: () => void): void => {
  if (hasLlvm) describe(name, body);
  else describe.skip(name, () => test('needs LLVM', () => undefined));
};

/** The levels that this machine can run, by masking. */
export const levels: readonly CpuLevel[] = (['avx512', 'avx2', 'baseline', 'neon'] as const).filter(
  (level) =>
    attempt(() =>
      cpuTarget(
        hostCpu(() => ''),
        level,
      ),
    ).ok && (process.arch === 'arm64') === (level === 'neon'),
);

/** A device that shares nothing with others: no cache unless `environment` names one. */
export const nativeDevice = (environment: NodeJS.ProcessEnv = {}): NativeDevice =>
  new NativeDevice({ environment: { PROJ_CACHE: 'off', PROJ_LLVM: process.env['PROJ_LLVM'], ...environment } });

/** A folder that is deleted when the test ends. */
export function temporaryFolder(onTestFinished: (clean: () => void) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'native-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs one launch: each of `memories` is bound to a buffer parameter, `scalars` to the scalar ones; gives the memories afterwards. */
export function runKernel(
  device: Device,
  kernel: Kernel,
  memories: readonly Uint8Array[],
  scalars: readonly (number | bigint)[],
  end: number,
  split: Pick<Launch, 'grain' | 'align' | 'chunk' | 'stream'> = { grain: 2 ** 40, align: 1 },
): Uint8Array[] {
  const [compiled] = device.compile([kernel]);
  if (compiled === undefined) throw new TypeError('nothing compiled');
  const buffers = memories.map((memory): DeviceBuffer => {
    const buffer = device.allocate(memory.byteLength);
    device.write(buffer, 0, memory);
    return buffer;
  });
  let binding = 0;
  let scalar = 0;
  const args = kernel.parameters.map((parameter): Argument =>
    parameter.kind === 'scalar'
      ? { kind: 'scalar', scalar: scalar++ }
      : { kind: 'buffer', binding: binding++, offset: 0 },
  );
  const program = device.program([{ kernel: compiled, args, begin: 0, end, ...split }], buffers.length);
  program.run(buffers, scalars);
  return buffers.map((buffer) => device.read(buffer, 0, buffer.bytes));
}

/** A small generator of reproducible numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
