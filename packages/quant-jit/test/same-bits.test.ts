/**
 * Interpreter = native = WebAssembly = JavaScript, to the bit: random small models of every scheme, cache and mode, with prompts in steps of every kind, on one thread
 * and on two.
 */
import { attempt, type Device, getDevice } from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import { afterAll, describe, expect, it } from 'vitest';
import {
  buildGemma2,
  type CacheScheme,
  Interpreter,
  type Mode,
  type NativeCodeILNN,
  optimise,
} from '../src/il/index.ts';
import { CompiledGroup } from '../src/jit/group.ts';
import { CompiledNativeILNN, packWeights } from '../src/jit/index.ts';
import type { ActivationScheme, SchemeName } from '../src/quantize/index.ts';
import { constantsOf, tinyConfig } from './support/tiny-program.ts';

const native = (features: string): Device =>
  new NativeDevice({ environment: { ...process.env, PROJ_CPU_FEATURES: features, PROJ_NUM_THREADS: '2' } });
const LEVELS = ['avx512', 'avx2', 'baseline'].flatMap((level) => {
  const device = attempt(() => native(level));
  return device.ok ? [[`native ${level}`, device.value] as const] : [];
});
const LESSER = ['native avx2', 'native baseline'];
const DEVICES: readonly (readonly [string, Device])[] = [
  ['js', getDevice('js')],
  ['wasm', getDevice('wasm')],
  ...LEVELS,
];
afterAll(() => {
  for (const [, device] of LEVELS) device.dispose();
});

const VOCABULARY = 40;
const MAX_TOKENS = 6;

/** Numbers below n, the same in each run. */
function numbers(seed: number): (n: number) => number {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return (n) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) >>> 0;
    return ((state ^ (state >>> 13)) >>> 0) % n;
  };
}

interface Model {
  /** Schemes of the projections of attention, of the feed-forward matrices, and of the table of tokens. */
  readonly schemes: readonly [SchemeName, SchemeName, SchemeName];
  readonly activation?: ActivationScheme;
  readonly cache: CacheScheme;
  readonly mode: Mode;
}

const MODELS: readonly Model[] = [
  { schemes: ['f32', 'f32', 'f32'], cache: 'f32', mode: 'exact' },
  { schemes: ['q8', 'q4g32', 'q8g32'], activation: 'a8g32', cache: 'q8', mode: 'exact' },
  { schemes: ['q4g64', 'q4g128a', 'q8'], activation: 'a8', cache: 'f32', mode: 'data' },
  { schemes: ['q158', 'q1', 'q8'], activation: 'a8', cache: 'q8', mode: 'logic' },
  { schemes: ['q1g128', 'q4g32a', 'q4g128'], activation: 'a8g32', cache: 'q8', mode: 'exact' },
  { schemes: ['q1', 'q4g64a', 'q158'], activation: 'a1', cache: 'q8', mode: 'data' },
];

/** A text: a prompt, then tokens one by one. */
interface Text {
  readonly prompt: readonly number[];
  readonly then: readonly number[];
}

const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);

/** What each step gives, as bytes, so that nothing counts as equal but equal bits. */
const answers = (feed: (ids: readonly number[]) => Float32Array, { prompt, then }: Text): Buffer[] =>
  [feed(prompt), ...then.map((id) => feed([id]))].map(bytes);

describe.each(MODELS)('$schemes, cache $cache, mode $mode', (chosen) => {
  const { schemes, activation, cache: kvCache, mode } = chosen;
  const seed = MODELS.indexOf(chosen);
  const below = numbers(seed);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)];
  const [heads, kvHeads] = pick([
    [2, 1],
    [4, 2],
    [3, 3],
  ]);
  const config = tinyConfig({
    vocab_size: VOCABULARY,
    hidden_size: pick([48, 64, 136]),
    intermediate_size: pick([80, 96, 144]),
    num_hidden_layers: 2,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: pick([6, 16, 20]),
    sliding_window: pick([5, 16]),
    max_position_embeddings: 40,
    attn_logit_softcapping: pick([50, 4]),
  });
  const schemeOf = (name: string): SchemeName => schemes[name.includes('attn') ? 0 : name.includes('mlp') ? 1 : 2];
  const whole = buildGemma2(config, schemeOf, {
    kvCache,
    mode,
    ...(activation === undefined ? {} : { activation }),
  });
  const il: NativeCodeILNN = whole.with(optimise(whole.program));
  const source = constantsOf(il, 0.15, 1000 * seed);
  const texts = Array.from({ length: 6 }, (): Text => {
    const tokens = (count: number): number[] => Array.from({ length: count }, () => below(VOCABULARY));
    return { prompt: tokens(1 + below(20)), then: tokens(3) };
  });
  const oracle = new Interpreter(il, source);
  const expected = texts.map((text) => {
    oracle.rewind();
    return answers((ids) => oracle.step(ids)[0].data, text);
  });

  // One of the lesser levels of native for each model: they differ from each other by lanes and registers alone.
  const devices = DEVICES.filter(([name]) => !LESSER.includes(name) || name === LESSER[seed % LESSER.length]);

  it.each(devices)('%s has the bits of the interpreter', (_, device) => {
    const weights = packWeights(device, il, source);
    const model = new CompiledNativeILNN(il, { device, weights, maxTokens: MAX_TOKENS });
    texts.forEach((text, i) => {
      device.setThreads(1 + (i % 2));
      model.reset();
      expect(
        answers((ids) => model.feed(ids), text),
        `text ${i}`,
      ).toEqual(expected[i]);
    });
    model.dispose();
    const group = new CompiledGroup(il, { device, weights, maxTokens: MAX_TOKENS }, texts.length);
    texts.forEach(({ prompt }, i) => expect(bytes(group.sequences[i].feed(prompt))).toEqual(expected[i][0]));
    for (let step = 0; step < 3; step++)
      group
        .feedEach(texts.map(({ then }, i) => ({ sequence: group.sequences[i], token: then[step] })))
        .forEach((logits, i) => expect(bytes(logits), `text ${i} in a batch`).toEqual(expected[i][step + 1]));
    group.dispose();
  });
});
