/** Predicting the next character: the first 90 % of a text train, the rest validates. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { noGrad } from '@proj/autograd';
import {
  CharacterVocabulary,
  DataLoader,
  RandomSampler,
  RandomStream,
  readText,
  splitText,
  Subset,
  TextWindows,
} from '@proj/data';
import { ProjError } from '@proj/kernel';
import type { Module } from '@proj/nn';
import { crossEntropy } from '@proj/nn/functional';
import { compile, fromArray, type Tensor } from '@proj/tensor';
import type { TrainConfig } from '../config.ts';
import { documentationText } from '../corpus.ts';
import { CharLstm } from '../models/char-lstm.ts';
import { Gpt } from '../models/gpt.ts';
import { averageOver } from './evaluation.ts';
import type { Batch, GenerateOptions, Metrics, Task } from './task.ts';

type LanguageModel = Module & { forward(ids: Tensor): Tensor };

export function createLanguageModel(config: TrainConfig, vocabulary: number): LanguageModel {
  return config.preset === 'char-lstm' ? new CharLstm({ ...config, vocabulary }) : new Gpt({ ...config, vocabulary });
}

/** The text of a run: `--text`, tinyshakespeare in the data folder, or the documentation of the repository. */
export function readCorpus({ preset, text, data }: Pick<TrainConfig, 'preset' | 'text' | 'data'>): {
  readonly name: string;
  readonly text: string;
} {
  if (text !== undefined) return { name: text, text: readText(text) };
  const folder = data ?? process.env['PROJ_DATA'];
  if (preset !== 'docs-gpt' && folder !== undefined && folder !== '') {
    const found = [join(folder, 'tinyshakespeare', 'input.txt'), join(folder, 'input.txt')].find(existsSync);
    if (found === undefined)
      throw new ProjError('data-loading', `there is no tinyshakespeare/input.txt in ${folder}`, {
        op: 'readCorpus',
        cure: 'Check --data, or pass a text with --text',
      });
    return { name: 'tinyshakespeare', text: readText(found) };
  }
  return { name: 'the documentation of this repository', text: documentationText() };
}

const flat = (logits: Tensor): Tensor => logits.reshape([-1, logits.shape[2]]);

/** `characters` are those of the model, where they are not to be taken from the text. */
export function createLanguageTask(config: TrainConfig, characters?: string): Task {
  const corpus = readCorpus(config);
  const vocabulary = new CharacterVocabulary(characters ?? corpus.text);
  // A prompt that cannot be encoded is better found now than after the training.
  if (config.prompt !== undefined) vocabulary.encode(config.prompt);
  const { train, validation } = splitText(vocabulary.encode(corpus.text));
  // The shorter part decides.
  if (validation.length <= config.context)
    throw new ProjError(
      'data-loading',
      `${corpus.name} is too short: of its ${corpus.text.length} characters the last tenth validates, and has to be longer than the context of ${config.context}`,
      { op: 'train', cure: 'Give a longer text, or a smaller --context' },
    );
  const windows = new TextWindows(train, config.context);
  const held = new TextWindows(validation, config.context);
  const starts = Array.from({ length: Math.ceil(held.length / config.context) }, (_, i) => i * config.context);
  const model = createLanguageModel(config, vocabulary.size);
  const { batchSize, context } = config;
  const stepsPerEpoch = Math.max(1, Math.floor(train.length / (batchSize * context)));
  const measure = compile((ids: Tensor, targets: Tensor): readonly Tensor[] => [
    crossEntropy(flat(model.call(ids)), targets.reshape([-1]), { reduction: 'sum' }),
  ]);
  const validate = (batches: number): Metrics => {
    const loader = new DataLoader<Batch>(new Subset(held, starts), { batchSize });
    const [valLoss] = averageOver(model, loader, batches, ([, targets]) => targets.numel(), measure);
    return { valLoss };
  };
  return {
    model,
    loader: new DataLoader<Batch>(windows, {
      batchSize,
      sampler: new RandomSampler(windows, {
        replacement: true,
        numSamples: stepsPerEpoch * batchSize,
        seed: config.seed,
      }),
    }),
    unit: 'characters',
    itemsPerStep: batchSize * context,
    example: () => windows.batch(Array.from({ length: batchSize }, (_, i) => i % windows.length)),
    loss: (ids, targets) => crossEntropy(flat(model.call(ids)), targets.reshape([-1])),
    validate,
    test: ({ valLoss }) => ({ bitsPerCharacter: valLoss / Math.LN2 }),
    source: `${corpus.name} (${corpus.text.length.toLocaleString('en')} characters)`,
    fingerprint: `${corpus.text.length} characters, crc32 ${crc32(corpus.text).toString(16)}`,
    saved: { vocabulary: vocabulary.characters.join('') },
    generate: (options) => generateText(model, vocabulary, context, options),
  };
}

/** Continues a prompt character by character. */
export function generateText(
  model: LanguageModel,
  vocabulary: CharacterVocabulary,
  context: number,
  { prompt = '', length, temperature = 0.8, topK = 0, seed = 0 }: GenerateOptions,
): string {
  const random = new RandomStream(seed);
  // Without a prompt the text begins a line, or with the first character there is.
  const begin = prompt || (vocabulary.characters.includes('\n') ? '\n' : vocabulary.characters[0]);
  const ids = [...vocabulary.encode(begin)];
  const given = ids.length;
  const wasTraining = model.training;
  model.eval();
  try {
    const logitsOf = compile((window: Tensor): Tensor => noGrad(() => model.call(window)));
    for (let i = 0; i < length; i++) {
      const visible = ids.slice(-context);
      // Always a full window, so that one program serves; what comes after the last character is not looked at by it.
      const window = Int32Array.from({ length: context }, (_, at) => visible[at] ?? 0);
      const all = logitsOf(fromArray(window, [1, context], 'int64')).toTypedArray() as Float32Array;
      const from = (visible.length - 1) * vocabulary.size;
      ids.push(pick(all.subarray(from, from + vocabulary.size), temperature, topK, random));
    }
  } finally {
    model.train(wasTraining);
  }
  return vocabulary.decode(ids.slice(given));
}

/** One index, drawn from the softmax of the logits. */
function pick(logits: Float32Array, temperature: number, topK: number, random: RandomStream): number {
  const order = Array.from(logits, (_, i) => i).toSorted((a, b) => logits[b] - logits[a]);
  if (temperature <= 0) return order[0];
  const candidates = topK > 0 ? order.slice(0, topK) : order;
  const weights = candidates.map((i) => Math.exp((logits[i] - logits[order[0]]) / temperature));
  let target = random.uniform() * weights.reduce((sum, w) => sum + w, 0);
  const chosen = weights.findIndex((w) => (target -= w) < 0);
  return candidates[chosen < 0 ? 0 : chosen];
}
