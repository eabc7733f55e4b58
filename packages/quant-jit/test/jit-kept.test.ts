/**
 * What is kept of a lowering between processes: models opened from it give the same bits, nothing is read or built again, and it is not used when anything that
 * it follows from has changed, or it is damaged. Each device here stands for a process: it shares with others the cache folder alone.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NativeDevice } from '@proj/device-native';
import { attempt, type Device, getDevice, hashKernel, printKernel } from '@proj/kernel';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { NativeCodeILNN } from '../src/il/index.ts';
import { CompiledNativeILNN, type OpenModelOptions, openModel, writeSyntheticModel } from '../src/jit/index.ts';
import { PROMPT, tinyConfig } from './support/tiny-program.ts';

const config = tinyConfig();
const prompt = PROMPT;
const root = mkdtempSync(join(tmpdir(), 'jit-kept-'));
const [q4, q158] = [join(root, 'q4.pbz'), join(root, 'q158.pbz')];
const hasNative = attempt(() => getDevice('native')).ok;
let cache = '';
let caches = 0;

const device = (environment: NodeJS.ProcessEnv = {}, cachedOnly = false): NativeDevice =>
  new NativeDevice({
    environment: { PROJ_LLVM: process.env['PROJ_LLVM'], PROJ_CACHE_DIR: cache, ...environment },
    cachedOnly,
  });

interface Opened {
  readonly logits: readonly Float32Array[];
  /** Whether the program's text was read. */
  readonly read: boolean;
  readonly compiled: number;
}

/** Opens, takes a prompt and two tokens, as a process of its own would. */
async function open(path: string, on: NativeDevice, options: OpenModelOptions = {}): Promise<Opened> {
  const parse = vi.spyOn(NativeCodeILNN, 'parse');
  parse.mockClear();
  const before = on.statistics().compiled;
  const model = await openModel(path, { code: 'this code', ...options, device: on });
  const sequence = model.sequence();
  const logits = [sequence.feed(prompt), sequence.feed([5]), sequence.feed([7])];
  const result = { logits, read: parse.mock.calls.length > 0, compiled: on.statistics().compiled - before };
  sequence.dispose();
  model.dispose();
  on.dispose();
  return result;
}

const objects = (): string[] =>
  readdirSync(join(cache, 'objects'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
/** Files of the cache whose contents have these words. */
const having = (words: string): string[] => objects().filter((file) => readFileSync(file).includes(words));

beforeAll(async () => {
  await writeSyntheticModel(q4, config, 'q4g32');
  await writeSyntheticModel(q158, config, 'q158');
});
beforeEach(() => {
  cache = join(root, `cache ${caches++}`);
  vi.stubEnv('PROJ_CACHE_DIR', cache);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.skipIf(!hasNative)('what is kept of a lowering', { timeout: 120_000 }, () => {
  it('gives the next process the same bits, without reading the program or compiling', async () => {
    for (const path of [q4, q158]) {
      const plain = await open(path, device({ PROJ_CACHE: 'off' }));
      const first = await open(path, device());
      const second = await open(path, device());
      expect([first.read, first.compiled > 0], path).toEqual([true, true]);
      expect([second.read, second.compiled], path).toEqual([false, 0]);
      expect(first.logits).toEqual(plain.logits);
      expect(second.logits).toEqual(plain.logits);
    }
  });

  it('serves several sequences, kernels and values for people, and longer prompts than a step', async () => {
    const look = async (on: NativeDevice) => {
      const model = await openModel(q4, { device: on, code: 'this code', maxTokens: 4 });
      const [a, b] = [model.sequence(), model.sequence()];
      if (!(a instanceof CompiledNativeILNN)) throw new TypeError('not compiled');
      const logits = [a.feed(prompt), b.feed([9, 8, 7]), a.feed([5])];
      const values = a.value('after_layer.0', 1);
      const { kernels, launchesPerStep } = a.report;
      const texts = a.kernels.map((kernel) => `${kernel.name} ${hashKernel(kernel)} ${printKernel(kernel)}`);
      const il = String(model.il);
      a.dispose();
      b.dispose();
      model.dispose();
      on.dispose();
      return { logits, values, kernels, launchesPerStep, texts, il };
    };
    const first = await look(device());
    expect(await look(device())).toEqual(first);
    expect(first.kernels).toBe(first.texts.length);
    expect(first.texts.length).toBeGreaterThan(5);
  });

  it('serves sequences that step together, and those that step alone beside them', async () => {
    const look = async (on: NativeDevice) => {
      const before = on.statistics().compiled;
      const model = await openModel(q4, { device: on, code: 'this code', sequences: 3 });
      const [a, b, c] = model.group.sequences;
      const alone = model.sequence();
      const logits = [a.feed(prompt), b.feed([9, 8, 7]), c.feed([1]), alone.feed(prompt)];
      const next = [a, b, c].map((sequence, i) => ({ sequence, token: 20 + i }));
      logits.push(...model.group.feedEach(next), alone.feed([20]));
      model.dispose();
      alone.dispose();
      const compiled = on.statistics().compiled - before;
      on.dispose();
      return { logits: logits.map((each) => Float32Array.from(each)), compiled };
    };
    const plain = await look(device({ PROJ_CACHE: 'off' }));
    const first = await look(device());
    const second = await look(device());
    expect([first.compiled > 0, second.compiled]).toEqual([true, 0]);
    expect(first.logits).toEqual(plain.logits);
    expect(second.logits).toEqual(plain.logits);
    expect(plain.logits[4]).toEqual(plain.logits[7]);
  });

  it('is not used by other code, for other options, threads or features, or for another program', async () => {
    await open(q4, device());
    expect((await open(q4, device())).read).toBe(false);
    expect((await open(q4, device(), { code: 'other code' })).read).toBe(true);
    expect((await open(q4, device(), { positions: 40 })).read).toBe(true);
    expect((await open(q4, device(), { maxTokens: 8 })).read).toBe(true);
    expect((await open(q4, device(), { threads: 1 })).read).toBe(true);
    expect((await open(q158, device())).read).toBe(true);
    if (process.arch === 'x64') expect((await open(q4, device({ PROJ_CPU_FEATURES: 'baseline' }))).read).toBe(true);
    // The same file elsewhere is the same program.
    const copy = join(root, 'copy.pbz');
    copyFileSync(q4, copy);
    expect((await open(copy, device())).read).toBe(false);
  });

  it('does not lend code to a processor with fewer features, though its lowering is the same', async () => {
    const full = device();
    const feature = ['avx512vnni', 'avx512vbmi', 'movbe', 'dotprod', 'crc'].find((name) => full.cpu.has(name));
    const whole = await open(q4, full);
    if (feature === undefined) return;
    const masked = { PROJ_CPU_FEATURES: `-${feature}` };
    expect(JSON.stringify(device(masked).features)).toBe(JSON.stringify(device().features));
    const first = await open(q4, device(masked));
    expect(first.compiled).toBeGreaterThan(0);
    const again = await open(q4, device(masked));
    expect([again.read, again.compiled]).toEqual([false, 0]);
    expect(again.logits).toEqual(first.logits);
    const most = Math.max(...whole.logits[0].map(Math.abs));
    whole.logits[0].forEach((x, i) => expect(Math.abs(x - first.logits[0][i])).toBeLessThan(1e-4 * most));
  });

  it('is made again, to the same bits, when any file of the cache is damaged or missing', async () => {
    const { logits } = await open(q4, device());
    const files = objects();
    expect(files.length).toBeGreaterThan(8);
    for (const [i, file] of files.entries()) {
      const bytes = readFileSync(file);
      if (i % 3 === 0) rmSync(file);
      else if (i % 3 === 1) writeFileSync(file, bytes.subarray(0, bytes.length / 2));
      else {
        bytes[bytes.length >> 1] ^= 0x10;
        writeFileSync(file, bytes);
      }
      const next = await open(q4, device());
      expect(next.logits, file).toEqual(logits);
      const last = await open(q4, device());
      expect([last.read, last.compiled], file).toEqual([false, 0]);
    }
  });

  it('is ignored when it is of another state under the same key, or does not fit the program', async () => {
    const { logits } = await open(q4, device());
    const keyOf = new Map<string, string>();
    const changed = (change: (entry: Record<string, unknown>) => unknown): NativeDevice => {
      const on = device();
      const kept = on.cache;
      if (kept === undefined) throw new TypeError('no cache');
      const get = kept.get.bind(kept);
      vi.spyOn(kept, 'get').mockImplementation((key) => {
        const bytes = get(key);
        if (bytes === undefined) return undefined;
        keyOf.set(key.split(' ')[1], key);
        const entry = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
        return Buffer.from(JSON.stringify(change(entry)));
      });
      return on;
    };
    expect(
      (
        await open(
          q4,
          changed((entry) => entry),
        )
      ).read,
    ).toBe(false);
    expect([...keyOf.keys()].sort()).toEqual(['prompt', 'token']);
    const altered =
      (change: (entry: Record<string, unknown>) => unknown) =>
      (entry: Record<string, unknown>): unknown => {
        change(entry);
        return entry;
      };
    const changes: ((entry: Record<string, unknown>) => unknown)[] = [
      altered((entry) => (entry['state'] = `${String(entry['state'])}.`)),
      altered((entry) => (entry['slots'] as unknown[]).pop()),
      altered((entry) => (entry['kernels'] as unknown[]).pop()),
      altered((entry) => ((entry['launches'] as number[][])[3][9] += 2)),
      altered((entry) => (entry['launches'] as number[][])[0].pop()),
      altered((entry) => ((entry['kernels'] as { hash: string }[])[0].hash = 'unknown')),
      () => 5,
      () => null,
    ];
    for (const change of changes) {
      const result = await open(q4, changed(change));
      expect([String(change), result.read]).toEqual([String(change), true]);
      expect(result.logits).toEqual(logits);
    }
  });

  it('runs where LLVM is missing, and only what was kept', async () => {
    const { logits } = await open(q4, device());
    const without = await open(q4, device({ PROJ_LLVM: 'none' }, true));
    expect([without.read, without.compiled]).toEqual([false, 0]);
    expect(without.logits).toEqual(logits);
    await expect(open(q158, device({ PROJ_LLVM: 'none' }, true))).rejects.toThrow(/PROJ_LLVM=none forbids it/);
  });

  it('is nothing when the sources are run, whose state nobody knows, or with PROJ_CACHE=off', async () => {
    for (let i = 0; i < 2; i++) expect((await open(q4, device(), { code: undefined })).read).toBe(true);
    expect(having('lowering ')).toEqual([]);
    for (let i = 0; i < 2; i++) expect((await open(q4, device({ PROJ_CACHE: 'off' }))).read).toBe(true);
    await open(q4, device());
    expect(having('lowering token').length).toBe(1);
    expect(having('lowering prompt').length).toBe(1);
  });

  it('is whole though processes make it at the same time', async () => {
    const code = `
      import '@proj/device-native';
      import { openModel } from '@proj/quant-jit/jit';
      const model = await openModel(${JSON.stringify(q4)}, { device: 'native', code: 'this code', threads: 1 });
      const sequence = model.sequence();
      console.log(JSON.stringify([${JSON.stringify(prompt)}, [5]].map((ids) => [...sequence.feed(ids)])));`;
    const run = promisify(execFile);
    const all = await Promise.all(
      Array.from({ length: 3 }, () =>
        run(process.execPath, ['--conditions=source', '--input-type=module', '-e', code], {
          cwd: fileURLToPath(new URL('..', import.meta.url)),
          env: { ...process.env, PROJ_CACHE_DIR: cache },
        }),
      ),
    );
    const [first] = all;
    for (const { stdout, stderr } of all) expect([stdout, stderr]).toEqual([first.stdout, '']);
    const { read, logits } = await open(q4, device(), { threads: 1 });
    expect(read).toBe(false);
    expect(logits.slice(0, 2).map((row) => [...row])).toEqual(JSON.parse(first.stdout));
    expect(objects().every((file) => file.endsWith('.o') && statSync(file).size > 24)).toBe(true);
  });
});

it('is not asked of devices that keep nothing', async () => {
  for (const name of ['js', 'wasm'] as const) {
    const on: Device = getDevice(name);
    expect(on.cache).toBeUndefined();
    const opened = await openModel(q4, { device: on, code: 'this code', maxTokens: 1 });
    expect(opened.sequence().feed([5]).every(Number.isFinite)).toBe(true);
    opened.dispose();
  }
});
