/** Students of few bits: they learn, a stopped run goes on to the same bits, and their integers are those of the converted file. */
import '@proj/device-native';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad } from '@proj/autograd';
import { defaultDevice, fromArray, manualSeed, type Tensor } from '@proj/tensor';
import type { StateDict } from '@proj/nn';
import { crossEntropy } from '@proj/nn/functional';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type DistillationEntry,
  distillAndBinarize,
  type DistillOptions,
  Gemma2Student,
} from '../src/distill/index.ts';
import { learningRateFactor, Training, windowsOf } from '../src/distill/training.ts';
import { createModelFile, openModelFile } from '../src/file/index.ts';
import { gemma2Config, gemma2ConfigJson, Gemma2ForCausalLM } from '../src/gemma2/index.ts';
import { buildGemma2, constantsFrom, NativeCodeILNN } from '../src/il/index.ts';
import { CompiledNativeILNN, fileConstants, packConstant, packWeights } from '../src/jit/index.ts';
import { crossEntropy as lossOf } from '../src/metrics/index.ts';
import { dequantize, fakeQuantize, quantize, type QuantizedMatrix, type SchemeName } from '../src/quantize/index.ts';

const VOCABULARY = 24;
const CONTEXT = 32;
const config = gemma2Config({
  vocabSize: VOCABULARY,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  slidingWindow: 8,
  maxPositionEmbeddings: CONTEXT,
  initializerRange: 0.15,
});
const schemesWith =
  (scheme: SchemeName) =>
  (tensor: string): SchemeName =>
    tensor.includes('embed_tokens') ? 'q8' : scheme;

/** Tokens that follow from the two before them, four times in five. */
function text(length: number, seed: number): number[] {
  let state = seed;
  const random = (): number => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;
  const ids = [1, 2];
  while (ids.length < length) {
    const [a, b] = ids.slice(-2);
    ids.push(random() < 0.8 ? (3 * a + 5 * b + 1) % VOCABULARY : Math.floor(random() * VOCABULARY));
  }
  return ids;
}
const ids = text(6000, 7);
const held = text(1 + 8 * CONTEXT, 8);

let teacher: Gemma2ForCausalLM;
const folder = mkdtempSync(join(tmpdir(), 'distill-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  manualSeed(3);
  teacher = new Gemma2ForCausalLM(config);
  const training = new Training(
    new Map(teacher.namedParameters()),
    (inputs, targets) => [crossEntropy(teacher.call(inputs).logits.reshape([-1, VOCABULARY]), targets.reshape([-1]))],
    { windows: { ids, context: CONTEXT, batchSize: 8, seed: 1 }, weightDecay: 0.01, clipNorm: 1 },
  );
  training.warmUp();
  for (let step = 0; step < 200; step++) training.train(5e-3 * learningRateFactor(step / 200, 0.05));
}, 60_000);

const floats = (tensor: Tensor): Float32Array => tensor.toTypedArray() as Float32Array;
const distill = (options: Partial<DistillOptions>): ReturnType<typeof distillAndBinarize> =>
  distillAndBinarize({ teacher, ids, context: CONTEXT, batchSize: 8, ...options });

/** Mean loss on the held-out text through compiled kernels. */
function heldOutLoss(state: StateDict, scheme: SchemeName): number {
  const il = buildGemma2(config, schemesWith(scheme), { logits: 'all' });
  const matrices = new Map<string, QuantizedMatrix>();
  const vectors = new Map<string, Float32Array>();
  for (const { name, type } of il.constants)
    if (type.scheme === 'f32') vectors.set(name, floats(state[name]));
    else matrices.set(name, quantize(floats(state[name]), type.shape[0], type.shape[1], type.scheme));
  const device = defaultDevice();
  const weights = packWeights(device, il, constantsFrom({ matrices, floats: vectors }));
  const model = new CompiledNativeILNN(il, { device, weights, maxTokens: CONTEXT });
  let sum = 0;
  for (let at = 0; at + CONTEXT < held.length; at += CONTEXT) {
    model.reset();
    sum += lossOf(model.feed(held.slice(at, at + CONTEXT)), held.slice(at + 1, at + 1 + CONTEXT), VOCABULARY);
  }
  model.dispose();
  return (sum * CONTEXT) / (held.length - 1);
}
const mean = (entries: readonly DistillationEntry[]): number =>
  entries.reduce((sum, { loss }) => sum + loss, 0) / entries.length;

describe('distillAndBinarize', () => {
  it('lowers the loss, and one bit learned is far better than the sign of the teacher', async () => {
    const { stateDict, history, steps, interrupted } = await distill({ steps: 150, scheme: 'q1' });
    expect([steps, interrupted, history.length]).toEqual([150, false, 150]);
    expect(mean(history.slice(-20))).toBeLessThan(0.5 * mean(history.slice(0, 5)));
    const [floating, direct, learned] = [
      heldOutLoss(teacher.stateDict(), 'q8'),
      heldOutLoss(teacher.stateDict(), 'q1'),
      heldOutLoss(stateDict, 'q1'),
    ];
    expect(floating).toBeLessThan(1.9);
    // Guessing takes ln 24 = 3.18 nats.
    expect(direct).toBeGreaterThan(2.5);
    expect(learned).toBeLessThan(direct - 0.5);
    // One bit does not come for free: floats have not leaked.
    expect(learned).toBeGreaterThan(floating + 0.02);
  }, 60_000);

  it('goes on from its checkpoint to the same bits, across stages', async () => {
    const options: Partial<DistillOptions> = { steps: 16, progressive: true, seed: 5 };
    const whole = await distill(options);
    expect(whole.history.map(({ scheme }) => scheme)).toEqual([
      ...Array.from({ length: 4 }, () => 'q8'),
      ...Array.from({ length: 4 }, () => 'q4g32'),
      ...Array.from({ length: 8 }, () => 'q1'),
    ]);
    const checkpoint = join(folder, 'run.safetensors');
    let last: Awaited<ReturnType<typeof distill>> | null = null;
    // Stopped inside the first stage, where a stage ends, and inside the last.
    for (const stop of [3, 4, 11, Infinity]) {
      const controller = new AbortController();
      last = await distill({
        ...options,
        checkpoint,
        checkpointEvery: 1000,
        signal: controller.signal,
        onProgress: ({ step }) => {
          if (step === stop) controller.abort();
        },
      });
      expect([last.steps, last.interrupted]).toEqual(stop === Infinity ? [16, false] : [stop, true]);
    }
    for (const [name, tensor] of Object.entries(whole.stateDict))
      expect(floats(last?.stateDict[name] as Tensor), name).toEqual(floats(tensor));
    const numbers = (entries: readonly DistillationEntry[] = []): unknown[] =>
      entries.map((entry) => ({ ...entry, seconds: 0 }));
    expect(numbers(last?.history)).toEqual(numbers(whole.history));
    await expect(distill({ ...options, seed: 6, checkpoint })).rejects.toThrow(/another model, text or other options/);
  }, 60_000);

  it.each(['q1', 'q158', 'q4g32'] as const)(
    '%s: the integers of the converted file are those that training saw',
    async (scheme) => {
      const { model, stateDict } = await distill({ steps: 10, scheme });
      const il = buildGemma2(config, schemesWith(scheme), { logits: 'all' });
      const tensors = il.constants.map(({ name, type: { scheme: stored, shape } }) => {
        const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
        return { name, scheme: stored, rows, columns };
      });
      const path = join(folder, `${scheme}.safetensors`);
      const state = model.stateDict();
      const writer = await createModelFile(path, { config: gemma2ConfigJson(config), il: String(il), tensors });
      for (const constant of il.constants)
        await writer.write(
          constant.name,
          packConstant(constant, {
            floats: (name) => floats(state[name]),
            matrix: (name) =>
              quantize(floats(state[name]), state[name].shape[0], state[name].shape[1], schemesWith(scheme)(name)),
          }),
        );
      await writer.finish();
      const file = await openModelFile(path);
      const source = fileConstants(file, il);
      for (const { name, type } of il.constants) {
        if (type.scheme === 'f32') continue;
        const seen = floats(noGrad(() => fakeQuantize(stateDict[name], type.scheme)));
        const matrix = source.matrix(name);
        const stored = dequantize(matrix);
        const step = Math.max(...matrix.scales.map(Math.abs));
        // A code further would be a whole step.
        expect(Math.max(...seen.map((x, i) => Math.abs(x - stored[i]))), name).toBeLessThan(1e-3 * step);
      }
      // The forward pass of training is the program of the file, rounding of sums apart.
      const student = new Gemma2Student(config, { schemeOf: schemesWith(scheme) });
      student.take(model);
      const window = held.slice(0, CONTEXT);
      const expected = floats(noGrad(() => student.call(fromArray(window, [1, CONTEXT], 'int64')).logits));
      const device = defaultDevice();
      const program = NativeCodeILNN.parse(file.il);
      const compiled = new CompiledNativeILNN(program, {
        device,
        weights: packWeights(device, program, source),
        maxTokens: CONTEXT,
      });
      const found = compiled.feed(window);
      const error = found.reduce((sum, x, i) => sum + (x - expected[i]) ** 2, 0);
      expect(error / expected.reduce((sum, x) => sum + x ** 2, 0)).toBeLessThan(1e-4);
      compiled.dispose();
    },
    60_000,
  );

  it('trains a low-rank update, for a time', async () => {
    const { stateDict, history, interrupted } = await distill({ seconds: 3, method: { rank: 1 }, learningRate: 0.01 });
    expect(interrupted).toBe(false);
    expect(history.at(-1)?.progress).toBe(1);
    const name = 'model.layers.0.mlp.down_proj.weight';
    const before = floats(teacher.stateDict()[name]);
    const change = floats(stateDict[name]).map((x, i) => x - before[i]);
    const at = (row: number, column: number): number => change[row * 64 + column];
    expect(Math.max(...change.map(Math.abs))).toBeGreaterThan(1e-3);
    // Rank 1: every minor of two rows and columns is zero.
    for (const [i, j, k, l] of [
      [0, 1, 2, 3],
      [5, 30, 7, 60],
      [31, 9, 12, 44],
    ])
      expect(Math.abs(at(i, j) * at(k, l) - at(i, l) * at(k, j))).toBeLessThan(1e-6);
  }, 60_000);

  it('says what does not fit', async () => {
    await expect(distill({})).rejects.toThrow(/no length/);
    await expect(distill({ steps: 2, seconds: 2 })).rejects.toThrow(/or two/);
    await expect(distill({ steps: 2, ids: [1, VOCABULARY, 3] })).rejects.toThrow(/token 24 of a vocabulary of 24/);
    await expect(distill({ steps: 2, ids: [1, 2, 3] })).rejects.toThrow(/too few for windows of 32/);
  });
});

it('windows follow from seed and step, hold the next token, and begin with <bos> where there is one', () => {
  const options = { ids: Array.from({ length: 50 }, (_, i) => 100 + i), context: 8, batchSize: 3, seed: 4 };
  const [inputs, targets] = windowsOf(2, options).map((tensor) => tensor.toArray() as number[][]);
  inputs.forEach((row, b) => row.forEach((id, t) => expect(targets[b][t]).toBe(Number(id) + 1)));
  expect(windowsOf(2, options)[0].toArray()).toEqual(inputs);
  expect(windowsOf(3, options)[0].toArray()).not.toEqual(inputs);
  const [led, following] = windowsOf(2, { ...options, bosTokenId: 7 }).map((tensor) => tensor.toArray() as number[][]);
  led.forEach((row, b) => {
    expect(row[0]).toBe(7);
    expect(row.slice(1)).toEqual(following[b].slice(0, -1));
  });
});
