/** The teacher of the quality table: a Gemma 2 of 3.2 million parameters over bytes, trained on the first 90 % of a text, with a checkpoint every 50 steps. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { noGrad } from '@proj/autograd';
import { crossEntropy } from '@proj/nn/functional';
import { compile, fromArray, manualSeed, type Tensor } from '@proj/tensor';
import { load, save, type State } from '@proj/tensor/io';
import { learningRateFactor, Training, type TrainingState } from '../src/distill/training.ts';
import {
  BYTE_TOKENS,
  byteTokenizer,
  gemma2Config,
  type Gemma2Config,
  Gemma2ForCausalLM,
  loadGemma2,
  saveHuggingFace,
} from '../src/gemma2/index.ts';

export const teacherConfig = (): Gemma2Config =>
  gemma2Config({
    vocabSize: BYTE_TOKENS.vocabSize,
    hiddenSize: 256,
    intermediateSize: 768,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    slidingWindow: 64,
    maxPositionEmbeddings: 128,
    initializerRange: 0.05,
    bosTokenId: BYTE_TOKENS.bos,
    eosTokenIds: [BYTE_TOKENS.eos],
    padTokenId: BYTE_TOKENS.pad,
  });

const flat = (logits: Tensor): Tensor => logits.reshape([-1, logits.shape[2]]);

/** Mean loss in nats over windows that follow each other, all positions counted. */
export function validationLoss(
  model: Gemma2ForCausalLM,
  ids: ArrayLike<number>,
  context: number,
  limit = Infinity,
): number {
  const batch = 16;
  const measure = compile((inputs: Tensor, targets: Tensor) =>
    noGrad(() => crossEntropy(flat(model.call(inputs).logits), targets.reshape([-1]))),
  );
  const windows = Math.min(limit, Math.floor((ids.length - 1) / context));
  let sum = 0;
  let count = 0;
  for (let first = 0; first + batch <= windows; first += batch) {
    const take = (shift: number): Tensor =>
      fromArray(
        Int32Array.from({ length: batch * context }, (_, i) => ids[first * context + i + shift]),
        [batch, context],
        'int64',
      );
    sum += measure(take(0), take(1)).item();
    count++;
  }
  return sum / count;
}

export interface TeacherOptions {
  readonly folder: string;
  readonly train: ArrayLike<number>;
  readonly validation: ArrayLike<number>;
  readonly steps: number;
  readonly log: (message: string) => void;
}

/** The trained teacher: from its folder, or trained (on, where a checkpoint is). */
export async function trainedTeacher({
  folder,
  train,
  validation,
  steps,
  log,
}: TeacherOptions): Promise<Gemma2ForCausalLM> {
  if (existsSync(join(folder, 'config.json'))) return loadGemma2(folder);
  mkdirSync(folder, { recursive: true });
  manualSeed(1);
  const model = new Gemma2ForCausalLM(teacherConfig());
  const parameters = new Map(model.namedParameters());
  const count = [...parameters.values()].reduce((sum, p) => sum + p.numel(), 0);
  const context = 128;
  const training = new Training(
    parameters,
    (inputs, targets) => [crossEntropy(flat(model.call(inputs).logits), targets.reshape([-1]))],
    { windows: { ids: train, context, batchSize: 16, seed: 1 }, weightDecay: 0.1, clipNorm: 1 },
  );
  const checkpoint = join(folder, 'checkpoint.safetensors');
  training.warmUp();
  if (existsSync(checkpoint)) training.restore(load(checkpoint) as unknown as TrainingState);
  log(`teacher: ${count} parameters, ${steps} steps, from step ${training.step}`);
  let recent = 0;
  let since = performance.now();
  while (training.step < steps) {
    const [loss] = training.train(3e-3 * learningRateFactor(training.step / steps, 0.05));
    recent = recent === 0 ? loss : 0.95 * recent + 0.05 * loss;
    if (training.step % 50 === 0) {
      save(training.state() as unknown as State, checkpoint);
      const held =
        training.step % 200 === 0 ? `, validation ${validationLoss(model, validation, context, 64).toFixed(4)}` : '';
      log(
        `step ${training.step}: loss ${recent.toFixed(4)}${held}, ${((performance.now() - since) / 50).toFixed(0)} ms a step`,
      );
      since = performance.now();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  saveHuggingFace(folder, model.eval(), { tokenizer: byteTokenizer() });
  return model;
}
