/** Compiled programs on every device against the interpreter. */
import { attempt, type Device, getDevice } from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import { afterAll, describe, expect, it } from 'vitest';
import { buildGemma2, buildLinear, Interpreter, NativeCodeILNN, optimise } from '../src/il/index.ts';
import { CompiledNativeILNN, InterpretedNativeILNN, packWeights } from '../src/jit/index.ts';
import { ACTIVATIONS, type SchemeName, SCHEMES } from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';
import { randomProgram } from './il-programs.ts';
import { constantsOf, tinyConfig } from './support/tiny-program.ts';

const native = (features: string): Device =>
  new NativeDevice({ environment: { ...process.env, PROJ_CPU_FEATURES: features, PROJ_NUM_THREADS: '2' } });
const LEVELS = ['avx512', 'avx512,-avx512vnni', 'avx2', 'baseline', 'neon'];
const DEVICES: readonly (readonly [string, Device])[] = [
  ['js', getDevice('js')],
  ['wasm', getDevice('wasm')],
  ...LEVELS.flatMap((level) => {
    const device = attempt(() => native(level));
    return device.ok ? [[`native ${level}`, device.value] as const] : [];
  }),
];
afterAll(() => {
  for (const [name, device] of DEVICES) if (name.startsWith('native')) device.dispose();
});

const EVERY_LEVEL = ['q8 a8g32', 'q4g32 a8g32', 'q4g64a a8', 'q158 a8', 'q1 a8', 'q1 a1'];
const QUANTISED = (Object.keys(SCHEMES) as SchemeName[]).filter((name) => name !== 'f32');

describe('the example of ten tokens, output 128, weight [128, 512]', () => {
  const input = gaussian(10 * 512, 77, 1);
  for (const scheme of QUANTISED)
    for (const activation of ACTIVATIONS[scheme as 'q8'])
      it(`${scheme} x ${activation}: every device has the interpreter's integers, and its floats`, () => {
        const il = buildLinear({ scheme, activation });
        const source = constantsOf(il);
        let integers: Int32Array | undefined;
        const [want] = new Interpreter(il, source).step(input, (_, value) => {
          if (value.kind === 'i32') integers = value.data;
        });
        const fused = il.with(optimise(il.program));
        const sums =
          il.program.instructions.find(({ op }) => op === 'int_dot' || op === 'xnor_dot')?.results[0].name ?? '';
        // Lesser levels of native differ by lanes alone: one scheme of each width is enough.
        const devices = EVERY_LEVEL.includes(`${scheme} ${activation}`) ? DEVICES : DEVICES.slice(0, 3);
        for (const [name, device] of devices) {
          const apart = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 });
          const [floats] = apart.call(input);
          expect(apart.integers(sums, 10), name).toEqual(integers);
          expect(floats, name).toEqual(want.data);
          const joined = new CompiledNativeILNN(fused, {
            device,
            weights: packWeights(device, fused, source),
            maxTokens: 16,
          });
          const [fast] = joined.call(input);
          expect(fast, name).toEqual(want.data);
          apart.dispose();
          joined.dispose();
        }
      });

  it('has the same integers, so the same floats, for every tile size', { timeout: 120_000 }, () => {
    for (const scheme of ['q8', 'q4g32', 'q158', 'q1'] as const) {
      const base = buildLinear({ scheme });
      const il = base.with(optimise(base.program));
      const source = constantsOf(il);
      const device = DEVICES[DEVICES.length - 1][1];
      const outputs = [32, 64, 96, 256, 512, 4096].map((tileSize) => {
        const tiled = new NativeCodeILNN({ ...il.config, tileSize }, il.program);
        return new CompiledNativeILNN(tiled, { device, weights: packWeights(device, tiled, source) }).call(input)[0];
      });
      for (const output of outputs) expect(output).toEqual(outputs[0]);
    }
  });

  it('takes rows that fill no panel and columns that fill no group', () => {
    for (const scheme of QUANTISED)
      for (const activation of ACTIVATIONS[scheme as 'q8'])
        for (const [rows, columns] of [
          [1, 1],
          [17, 33],
          [40, 200],
        ] as const) {
          const base = buildLinear({ scheme, activation, rows, columns });
          const il = base.with(optimise(base.program));
          const source = constantsOf(il);
          const values = gaussian(3 * columns, 5, 1);
          const [want] = new Interpreter(il, source).step(values);
          for (const [name, device] of DEVICES.slice(0, 3)) {
            const model = new CompiledNativeILNN(il, {
              device,
              weights: packWeights(device, il, source),
              maxTokens: 16,
            });
            const [got] = model.call(values);
            expect(got.length).toBe(3 * rows);
            expect(got, `${scheme} ${activation} ${rows}x${columns} ${name}`).toEqual(want.data);
          }
        }
  });
});

describe('Gemma 2', () => {
  const config = tinyConfig();
  const prompt = [2, 92, 33, 34, 16, 78, 67, 17, 42, 44, 72, 74, 39, 3, 8, 61, 1, 5, 90];
  const then = [31, 12, 10];

  /** Steps of a prompt and of single tokens; longer than the window, and than a chunk. */
  const cases = [
    ['f32', 'f32', 'exact'],
    ['f32', 'q8', 'exact'],
    ['q8', 'f32', 'exact'],
    ['q8', 'f32', 'data'],
    ['q8', 'q8', 'logic'],
    ['q4g32', 'q8', 'exact'],
    ['q4g64a', 'f32', 'exact'],
    ['q158', 'f32', 'exact'],
    ['q1', 'f32', 'exact'],
  ] as const;
  for (const [scheme, kvCache, mode] of cases)
    it(`${scheme} weights, ${kvCache} cache, ${mode} mode: every device gives the interpreter's logits, to the bit`, () => {
      const whole = buildGemma2(config, () => scheme, { kvCache, mode });
      const il = whole.with(optimise(whole.program));
      const source = constantsOf(il);
      const oracle = new Interpreter(il, source);
      const want = [oracle.step(prompt), ...then.map((id) => oracle.step([id]))].map(([logits]) => logits.data);
      for (const [name, device] of DEVICES) {
        const model = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 });
        const got = [model.feed(prompt), ...then.map((id) => model.feed([id]))];
        want.forEach((logits, step) => expect(got[step], `${name}, step ${step}`).toEqual(logits));
        model.rewind(prompt.length);
        expect(model.feed([then[0]]), 'after a rewind').toEqual(got[1]);
        model.dispose();
      }
    });

  it('gives the same floats on one thread and on two', () => {
    const whole = buildGemma2(config, () => 'q4g32', { logits: 'all' });
    const il = whole.with(optimise(whole.program));
    const source = constantsOf(il);
    for (const [name, device] of DEVICES) {
      const [one, two] = [1, 2].map((threads) => {
        device.setThreads(threads);
        return new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source) }).feed(prompt);
      });
      expect(two, name).toEqual(one);
    }
  });

  it('refuses tokens outside the vocabulary and a full context, and goes on after', () => {
    const whole = buildGemma2(config, () => 'q8', {});
    const il = whole.with(optimise(whole.program));
    const source = constantsOf(il);
    const device = getDevice('js');
    const compiled = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 });
    for (const model of [compiled, new InterpretedNativeILNN(il, source)]) {
      expect(() => model.feed([96])).toThrow(/token 96 of a vocabulary of 96/);
      expect(() => model.feed([])).toThrow(/at least one token/);
      expect(() => model.feed(Array.from({ length: 49 }, () => 1))).toThrow(/do not fit 48 positions/);
      expect(() => model.rewind(1)).toThrow(/position 1 of 0/);
      expect(model.feed([2]).length).toBe(96);
      expect(model.position).toBe(1);
    }
  });
});

describe('random programs', () => {
  it('give on every device what the interpreter gives, fused or not', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { model, source, inputs } = randomProgram(seed);
      const fused = model.with(optimise(model.program));
      const oracle = new Interpreter(model, source);
      const want = inputs.map((input) => oracle.step(input).map(({ data }) => data));
      for (const [name, device] of DEVICES.slice(0, 3))
        for (const il of [model, fused]) {
          const compiled = new CompiledNativeILNN(il, {
            device,
            weights: packWeights(device, il, source),
            maxTokens: 16,
          });
          inputs.forEach((input, step) =>
            compiled.call(input).forEach((got, i) => {
              expect(got, `seed ${seed}, ${name}, step ${step}`).toEqual(want[step][i]);
            }),
          );
          compiled.dispose();
        }
    }
  });
});
