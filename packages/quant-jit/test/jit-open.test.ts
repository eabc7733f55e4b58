/** Converted files opened on every device: equal logits, weights that stay mapped or move, sequences, fallbacks, bad input. */
import '@proj/device-native';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { attempt, getDevice, ProjError } from '@proj/kernel';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createModelFile } from '../src/file/index.ts';
import { gemma2ConfigJson } from '../src/gemma2/index.ts';
import { buildGemma2, type ConstantSource, Interpreter, type NativeCodeILNN, optimise } from '../src/il/index.ts';
import {
  chooseDevice,
  devicesHere,
  type LoadedModel,
  openModel,
  packConstant,
  sequenceNeed,
  writeSyntheticModel,
} from '../src/jit/index.ts';
import type { SchemeName } from '../src/quantize/index.ts';
import { constantsOf, largest, PROMPT, tinyConfig } from './support/tiny-program.ts';

const config = tinyConfig();
const prompt = PROMPT;
const root = mkdtempSync(join(tmpdir(), 'jit-open-'));
const synthetic = join(root, 'synthetic.pbz');
const real = join(root, 'real.pbz');
const hasNative = attempt(() => getDevice('native')).ok;
const NAMES = ['js', 'wasm', ...(hasNative ? (['native'] as const) : [])] as const;
/** What the interpreter says of the file of real floats. */
let oracle: readonly Float32Array[] = [];

/** A prompt and two tokens after it. */
const answers = (model: LoadedModel): Float32Array[] => {
  const sequence = model.sequence();
  const logits = [sequence.feed(prompt), sequence.feed([5]), sequence.feed([7])];
  sequence.dispose();
  return logits;
};
const failure = async (promise: Promise<unknown>): Promise<ProjError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ProjError)) throw new Error(`no ProjError but ${String(error)}`);
  return error;
};

const programIn = (scheme: SchemeName): NativeCodeILNN => {
  const whole = buildGemma2(config, () => scheme);
  return whole.with(optimise(whole.program));
};

/** A file of `il` with weights of its own, and the text of a program that may be another. */
async function writeModel(path: string, il: NativeCodeILNN, text: string): Promise<ConstantSource> {
  const source = constantsOf(il);
  const tensors = il.constants.map(({ name, type: { scheme, shape } }) => {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
    return { name, scheme, rows, columns };
  });
  const writer = await createModelFile(path, { config: gemma2ConfigJson(config), il: text, tensors });
  for (const constant of il.constants) await writer.write(constant.name, packConstant(constant, source));
  await writer.finish();
  return source;
}

async function writeReal(): Promise<void> {
  const il = programIn('q4g32');
  const interpreter = new Interpreter(il, await writeModel(real, il, String(il)));
  oracle = [prompt, [5], [7]].map((ids) => interpreter.step(ids)[0].data);
}

const environment = process.env['PROJ_DEVICE'];
beforeAll(async () => {
  process.env['PROJ_CACHE_DIR'] = join(root, 'cache');
  delete process.env['PROJ_DEVICE'];
  await writeSyntheticModel(synthetic, config, 'q8');
  await writeReal();
});
afterEach(() => {
  vi.restoreAllMocks();
  delete process.env['PROJ_DEVICE'];
});
afterAll(() => {
  if (environment !== undefined) process.env['PROJ_DEVICE'] = environment;
  rmSync(root, { recursive: true, force: true });
});

describe('a converted file', () => {
  it('of real floats gives on every device, and by the interpreter, what the program means', async () => {
    for (const device of [...NAMES, 'interpreter'] as const) {
      const model = await openModel(real, { device });
      expect(model.choice.device?.name ?? 'interpreter').toBe(device);
      expect(answers(model), device).toEqual(oracle);
      model.dispose();
    }
  });

  it('of a made-up model gives finite logits, the same on every device', async () => {
    const interpreted = await openModel(synthetic, { device: 'interpreter' });
    const want = answers(interpreted);
    expect(largest(want[0])).toBeGreaterThan(0);
    for (const device of NAMES) {
      const model = await openModel(synthetic, { device });
      expect(answers(model), device).toEqual(want);
      expect(Object.values(model.times).every((time) => time >= 0)).toBe(true);
      model.dispose();
    }
  });

  it('serves several sequences that do not disturb each other', async () => {
    for (const device of NAMES) {
      const model = await openModel(real, { device });
      const [a, b] = [model.sequence(), model.sequence()];
      const alone = answers(model);
      expect(a.feed(prompt)).toEqual(alone[0]);
      b.feed([9, 8, 7]);
      expect(a.feed([5])).toEqual(alone[1]);
      b.reset();
      expect(b.feed(prompt)).toEqual(alone[0]);
      expect([a.position, b.position]).toEqual([prompt.length + 1, prompt.length]);
      a.dispose();
      expect(b.feed([5])).toEqual(alone[1]);
      b.dispose();
      model.dispose();
    }
  });

  it('may be opened with a shorter context, and takes no other positions', async () => {
    const model = await openModel(real, { device: 'wasm', positions: 16 });
    const sequence = model.sequence();
    expect(sequence.maxLength).toBe(16);
    expect(() => sequence.feed(Array.from({ length: 17 }, () => 1))).toThrow(/do not fit 16 positions/);
    sequence.dispose();
    model.dispose();
    for (const positions of [0, -1, 1.5, Number.NaN])
      expect((await failure(openModel(real, { device: 'js', positions }))).message).toMatch(/positions.*1 … 48/s);
  });

  it('gives its memory back, once, however often it is disposed of', async () => {
    for (const name of NAMES) {
      const device = getDevice(name);
      const before = device.memory().used;
      const model = await openModel(real, { device: name, residence: 'memory' });
      const sequence = model.sequence();
      sequence.feed(prompt);
      expect(device.memory().used, name).toBeGreaterThan(before);
      for (let i = 0; i < 2; i++) {
        sequence.dispose();
        model.dispose();
      }
      if (name !== 'wasm') expect(device.memory().used, name).toBe(before);
    }
  });
});

describe.skipIf(!hasNative)('weights of a mapped file', () => {
  it('give the same bits mapped, in memory, and while they move', async () => {
    const results: Float32Array[][] = [];
    for (const residence of ['mapped', 'memory', 'auto'] as const) {
      const model = await openModel(real, { device: 'native', residence });
      expect(model.settled, residence).toBe(residence !== 'auto');
      const sequence = model.sequence();
      const logits = [sequence.feed(prompt)];
      for (let id = 1; id <= 20; id++) logits.push(sequence.feed([id]));
      // Sixteen steps move it all; other sequences follow to the new place.
      expect(model.settled, residence).toBe(true);
      results.push(logits);
      sequence.dispose();
      model.dispose();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('are not copied while they are mapped, are after settle()', async () => {
    const device = getDevice('native');
    const allocate = vi.spyOn(device, 'allocate');
    const sizes = (): number[] => allocate.mock.calls.map(([bytes]) => bytes);
    const size = readFileSync(synthetic).length;
    const mapped = await openModel(synthetic, { device: 'native', residence: 'mapped', positions: 16, maxTokens: 1 });
    expect(sizes().filter((bytes) => bytes >= size)).toEqual([]);
    mapped.dispose();
    const moving = await openModel(synthetic, { device: 'native', residence: 'auto', positions: 16, maxTokens: 1 });
    moving.settle();
    expect(moving.settled).toBe(true);
    expect(sizes().filter((bytes) => bytes >= size)).toEqual([Math.ceil(size / 64) * 64]);
    moving.dispose();
  });

  it('stay mapped where there is no room for a copy', async () => {
    vi.spyOn(process, 'availableMemory').mockReturnValue(readFileSync(synthetic).length * 1.5);
    const model = await openModel(synthetic, { device: 'native', positions: 16, maxTokens: 1 });
    expect(model.settled).toBe(true);
    model.dispose();
  });
});

describe('the choice of a device', () => {
  const opened = async (): Promise<{ readonly device: string; readonly log: readonly string[] }> => {
    const log: string[] = [];
    const model = await openModel(real, { log: (message) => log.push(message) });
    const device = model.choice.device?.name ?? 'interpreter';
    const [logits] = answers(model);
    expect(logits).toEqual(oracle[0]);
    model.dispose();
    return { device, log };
  };

  it('is the fastest, and falls back with the reason when a compiler fails', async () => {
    const first = await opened();
    expect(first.device).toBe(NAMES[NAMES.length - 1]);
    // Where LLVM is missing the log says so; where the fastest device works there is nothing to say.
    expect(first.log.length).toBe(hasNative ? 0 : 2);
    if (!hasNative) expect(first.log[0]).toMatch(/device "native" is not used: /);
    if (hasNative)
      vi.spyOn(getDevice('native'), 'compile').mockImplementation(() => {
        throw new ProjError('kernel-compilation', 'the compiler is on strike');
      });
    const second = await opened();
    expect(second.device).toBe('wasm');
    if (hasNative) {
      expect(second.log[0]).toMatch(/device "native" is not used: the compiler is on strike/);
      expect(second.log[1]).toMatch(/device "wasm" runs the program: WebAssembly/);
    }
    for (const name of ['wasm', 'js'])
      vi.spyOn(getDevice(name), 'compile').mockImplementation(() => {
        throw new ProjError('kernel-compilation', `no ${name} today`);
      });
    const last = await opened();
    expect(last.device).toBe('interpreter');
    expect(last.log.at(-2)).toBe('device "js" is not used: no js today');
    expect(last.log.at(-1)).toBe('no device compiles: the interpreter runs the program');
  });

  it('does not fall back from a device that was asked for', async () => {
    vi.spyOn(getDevice('wasm'), 'compile').mockImplementation(() => {
      throw new ProjError('kernel-compilation', 'no wasm today');
    });
    expect((await failure(openModel(real, { device: 'wasm' }))).message).toMatch(/no wasm today/);
  });

  it('follows PROJ_DEVICE, and says so', async () => {
    process.env['PROJ_DEVICE'] = 'wasm';
    expect(await opened()).toEqual({ device: 'wasm', log: ['PROJ_DEVICE asks for "wasm"'] });
    process.env['PROJ_DEVICE'] = 'interpreter';
    expect(await opened()).toEqual({ device: 'interpreter', log: ['PROJ_DEVICE asks for "interpreter"'] });
    process.env['PROJ_DEVICE'] = 'gpu';
    expect(() => chooseDevice()).toThrow(/PROJ_DEVICE is "gpu".*native, wasm, js or interpreter/s);
    process.env['PROJ_DEVICE'] = '';
    expect(devicesHere()).toMatch(/^wasm: .*WebAssembly/m);
  });

  const child = (
    environment: Record<string, string>,
  ): { readonly device: string; readonly log: readonly string[]; readonly description: string } => {
    const code = `
      import '@proj/device-native';
      import { openModel } from '@proj/quant-jit/jit';
      const log = [];
      const model = await openModel(${JSON.stringify(real)}, { log: (message) => log.push(message) });
      const logits = model.sequence().feed(${JSON.stringify(prompt)});
      if (!logits.every(Number.isFinite)) throw new Error('logits');
      console.log(JSON.stringify({ device: model.choice.device?.name, log, description: model.choice.device?.features.description }));
      process.exit(0);`;
    const run = spawnSync(process.execPath, ['--conditions=source', '--input-type=module', '-e', code], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      encoding: 'utf8',
      env: { ...process.env, ...environment },
    });
    expect(run.stderr).toBe('');
    return JSON.parse(run.stdout);
  };

  it('without LLVM is WebAssembly, and the log says what is missing', () => {
    const { device, log } = child({ PROJ_LLVM: 'none' });
    expect(device).toBe('wasm');
    expect(log[0]).toMatch(/device "native" is not used: .*PROJ_LLVM/);
  });

  it.skipIf(!hasNative || process.arch !== 'x64')(
    'with SIMD masked off is native still, and says at which level',
    () => {
      expect(child({ PROJ_CPU_FEATURES: 'baseline' })).toMatchObject({ device: 'native', log: [] });
      expect(child({ PROJ_CPU_FEATURES: 'baseline' }).description).toMatch(/baseline/);
    },
  );
});

describe('what cannot be opened', () => {
  it('for lack of memory says how much is needed, and for what', async () => {
    const model = await openModel(synthetic, { device: 'interpreter' });
    const need = sequenceNeed(model.il, { maxTokens: 128 });
    // Two layers of keys and values: 2 heads of 16, 48 positions, floats.
    expect(need.caches).toBe(2 * 2 * 2 * 16 * 48 * 4);
    model.dispose();
    vi.spyOn(process, 'availableMemory').mockReturnValue(1000);
    for (const device of [...NAMES, 'auto'] as const) {
      const error = await failure(openModel(synthetic, { device }));
      expect(error.code).toBe('out-of-memory');
      expect(error.message).toMatch(
        /synthetic.pbz on device "\w+" needs [\d.]+ \wB: [\d.]+ \w+ for weights, [\d.]+ kB for the caches of 48 positions, [\d.]+ \wB for steps of 128 tokens; 1.00 kB are available/,
      );
    }
  });

  it.skipIf(!hasNative)('the figures are those of what is allocated', async () => {
    const device = getDevice('native');
    const allocate = vi.spyOn(device, 'allocate');
    const model = await openModel(synthetic, { device: 'native', residence: 'mapped', maxTokens: 32 });
    const sequence = model.sequence();
    sequence.feed(prompt);
    const allocated = allocate.mock.calls.reduce((sum, [bytes]) => sum + bytes, 0);
    const { caches, steps } = sequenceNeed(model.il, { maxTokens: 32 });
    // Control blocks, angles and the input are small change.
    expect(allocated / (caches + steps)).toBeGreaterThan(0.99);
    expect(allocated / (caches + steps)).toBeLessThan(1.15);
    sequence.dispose();
    model.dispose();
  });

  it.each(NAMES)('on %s: for a program that is not of these weights', async (device) => {
    const path = join(root, 'crafted.pbz');
    await writeModel(path, programIn('q4g32'), String(programIn('q8')));
    const { code, message } = await failure(openModel(path, { device }));
    expect(code).toBe('serialization');
    expect(message).toMatch(
      /"model\.embed_tokens\.weight" is weight q8\[96, 64\] in the program, q4g32\[96, 64\] in the file/,
    );
  });

  it('for counts that are none', async () => {
    for (const options of [{ maxTokens: 2.5 }, { maxTokens: 0 }, { sequences: 1.5 }, { positions: 0.5 }]) {
      const { code, message } = await failure(openModel(synthetic, { device: 'js', ...options }));
      expect([code, message]).toEqual(['invalid-argument', expect.stringMatching(/openModel: .*(2\.5|0|1\.5|0\.5)/)]);
    }
  });

  it('a damaged file, a file that is none, and no file', async () => {
    const damaged = join(root, 'damaged.pbz');
    copyFileSync(real, damaged);
    const bytes = readFileSync(damaged);
    bytes[bytes.length - 100] ^= 1;
    writeFileSync(damaged, bytes);
    expect((await failure(openModel(damaged, { device: 'js' }))).message).toMatch(/damaged.pbz/);
    writeFileSync(damaged, bytes.subarray(0, 5000));
    expect((await failure(openModel(damaged, { device: 'js' }))).code).toBe('serialization');
    writeFileSync(damaged, 'not a model');
    expect((await failure(openModel(damaged, { device: 'js' }))).code).toBe('serialization');
    expect((await failure(openModel(join(root, 'nothing.pbz'), { device: 'js' }))).message).toMatch(/nothing.pbz/);
  });
});
