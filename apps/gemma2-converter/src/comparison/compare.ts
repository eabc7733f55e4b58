/** How far converted models are from their teacher, and what an n-gram model of the same text does: on windows of a text, and in texts that each writes freely. */
import { noGrad } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import {
  argmax,
  type Decoder,
  type Gemma2ForCausalLM,
  generate,
  type GemmaTokenizer,
  TeacherDecoder,
  TextStream,
} from '@proj/quant-jit/gemma2';
import {
  type Bleu,
  corpusBleu,
  crossEntropy,
  klDivergence,
  meanSquaredError,
  nextTokenAccuracy,
  NgramModel,
  topOneAgreement,
} from '@proj/quant-jit/metrics';
import { compile, fromArray, type Tensor } from '@proj/tensor';
import { type OpenedModel, prepare, recordOf, tensorBytes } from '../model/open.ts';
import type { TextSample } from './sample.ts';
import { Student } from './student.ts';

/** An error against the teacher, absolute and relative to the mean square of the teacher's values. */
export interface ErrorFigure {
  readonly mse: number;
  readonly relative: number;
}

/** One model in a comparison; null where a figure has no meaning for it. */
export interface ModelFigures {
  readonly name: string;
  readonly bytes: number | null;
  readonly bitsPerWeight: number | null;
  readonly logits: ErrorFigure | null;
  /** After each layer. */
  readonly layers: readonly ErrorFigure[] | null;
  /** Nats per token, from the teacher's distributions. */
  readonly kl: number | null;
  /** Part of the tokens to which it gives the largest logit as the teacher does. */
  readonly topOne: number;
  readonly perplexity: number;
  /** Part of the tokens that it predicts. */
  readonly accuracy: number;
  /** Of words that it writes freely, against the teacher's. */
  readonly bleu: Bleu;
  /** Of tokens. */
  readonly tokenBleu: Bleu;
  /** One text that it wrote. */
  readonly sample: string;
  /** While it wrote. */
  readonly tokensPerSecond: number | null;
}

/** What a comparison gives. */
export interface Comparison {
  readonly tokens: number;
  readonly generations: number;
  readonly teacher: ModelFigures;
  readonly students: readonly ModelFigures[];
  readonly ngram: ModelFigures;
}

/** A teacher in memory. */
export interface TeacherModel {
  readonly model: Gemma2ForCausalLM;
  readonly tokenizer: GemmaTokenizer;
  readonly stopTokens: readonly number[];
  readonly bytes: number;
  readonly bitsPerWeight: number;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Sums of squares over windows. */
class ErrorSum {
  #error = 0;
  #power = 0;
  #count = 0;

  add(actual: Float32Array, expected: Float32Array): void {
    this.#error += meanSquaredError(actual, expected) * expected.length;
    for (const value of expected) this.#power += value * value;
    this.#count += expected.length;
  }

  figure(): ErrorFigure {
    return { mse: this.#error / this.#count, relative: this.#error === 0 ? 0 : this.#error / this.#power };
  }
}

interface TeacherValues {
  readonly layers: readonly Float32Array[];
  readonly logits: Float32Array;
}

function teacherRunner(model: Gemma2ForCausalLM): (window: readonly number[]) => TeacherValues {
  const run = compile((ids: Tensor): readonly Tensor[] =>
    noGrad(() => {
      const { hiddenStates, logits } = model.call(ids, { outputHiddenStates: true });
      return [...hiddenStates.slice(1), logits];
    }),
  );
  return (window) => {
    const values = run(fromArray([...window], [1, window.length], 'int64')).map((tensor) =>
      (tensor.toTypedArray() as Float32Array).slice(),
    );
    return { layers: values.slice(0, -1), logits: values[values.length - 1] };
  };
}

/** Means over the tokens of all windows. */
class Means {
  #tokens = 0;
  readonly #sums = { kl: 0, topOne: 0, loss: 0, accuracy: 0 };

  add(window: readonly number[], logits: Float32Array, teacher: Float32Array, vocabulary: number): void {
    const targets = window.slice(1);
    const own = logits.subarray(0, targets.length * vocabulary);
    const reference = teacher.subarray(0, targets.length * vocabulary);
    this.#tokens += targets.length;
    this.#sums.kl += targets.length * klDivergence(reference, own, vocabulary);
    this.#sums.topOne += targets.length * topOneAgreement(reference, own, vocabulary);
    this.#sums.loss += targets.length * crossEntropy(own, targets, vocabulary);
    this.#sums.accuracy += targets.length * nextTokenAccuracy(own, targets, vocabulary);
  }

  figures(): Pick<ModelFigures, 'topOne' | 'perplexity' | 'accuracy'> & { readonly kl: number } {
    const { kl, topOne, loss, accuracy } = this.#sums;
    const n = this.#tokens;
    return { kl: kl / n, topOne: topOne / n, perplexity: Math.exp(loss / n), accuracy: accuracy / n };
  }
}

interface Writing {
  readonly tokens: readonly (readonly number[])[];
  readonly tokensPerSecond: number;
}

/** Greedy continuations of all prompts. */
async function write(
  decoder: Decoder,
  { prompts, settings }: TextSample,
  stopIds: readonly number[],
  signal?: AbortSignal,
): Promise<Writing> {
  const tokens: number[][] = [];
  let made = 0;
  let milliseconds = 0;
  for (const prompt of prompts) {
    const own: number[] = [];
    let last = 0;
    for await (const token of generate(decoder, prompt, { maxNewTokens: settings.generated, stopIds })) {
      const now = performance.now();
      if (own.length > 0) {
        milliseconds += now - last;
        made++;
      }
      last = now;
      own.push(token);
    }
    signal?.throwIfAborted();
    tokens.push(own);
  }
  return { tokens, tokensPerSecond: milliseconds === 0 ? 0 : (1000 * made) / milliseconds };
}

function bleuOf(
  tokens: readonly (readonly number[])[],
  reference: readonly (readonly number[])[],
  tokenizer: GemmaTokenizer,
): Pick<ModelFigures, 'bleu' | 'tokenBleu' | 'sample'> {
  // As it would stream: one byte that is no UTF-8 does not spoil those around it.
  const text = (ids: readonly number[]): string => {
    const stream = new TextStream(tokenizer);
    return ids.map((id) => stream.push(id)).join('') + stream.end();
  };
  const words = (ids: readonly number[]): string[] =>
    text(ids)
      .split(/\s+/)
      .filter((word) => word !== '');
  return {
    bleu: corpusBleu(
      tokens.map(words),
      reference.map((ids) => [words(ids)]),
    ),
    tokenBleu: corpusBleu(
      tokens,
      reference.map((ids) => [ids]),
    ),
    sample: tokens.length === 0 ? '' : text(tokens[0]),
  };
}

function ngramFigures(
  { training, windows, prompts, settings }: TextSample,
  vocabulary: number,
  teacherChoices: readonly (readonly number[])[],
  reference: readonly (readonly number[])[],
  tokenizer: GemmaTokenizer,
): ModelFigures {
  const model = new NgramModel({ vocabulary }).train(training);
  let [tokens, logs, right, same] = [0, 0, 0, 0];
  windows.forEach((window, w) => {
    const { perplexity, accuracy } = model.evaluate(window, 1);
    const count = window.length - 1;
    tokens += count;
    logs += count * Math.log(perplexity);
    right += count * accuracy;
    for (let i = 1; i < window.length; i++)
      if (model.predict(window.slice(Math.max(0, i - model.order), i)) === teacherChoices[w][i - 1]) same++;
  });
  const written = prompts.map((prompt) => {
    const ids = [...prompt];
    for (let i = 0; i < settings.generated; i++) ids.push(model.predict(ids));
    return ids.slice(prompt.length);
  });
  return {
    name: `${model.order}-gram`,
    bytes: null,
    bitsPerWeight: null,
    logits: null,
    layers: null,
    kl: null,
    topOne: same / tokens,
    perplexity: Math.exp(logs / tokens),
    accuracy: right / tokens,
    ...bleuOf(written, reference, tokenizer),
    tokensPerSecond: null,
  };
}

/** A converted model with the name it has in tables. */
export interface NamedStudent {
  readonly name: string;
  readonly model: OpenedModel;
}

/** Followers of a comparison. */
export interface ComparisonEvents {
  readonly onMessage?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Compares converted models with their teacher.
 *
 * @throws ProjError when a model has other sizes than the teacher.
 */
export async function compareModels(
  teacher: TeacherModel,
  students: readonly NamedStudent[],
  sample: TextSample,
  { onMessage, signal }: ComparisonEvents = {},
): Promise<Comparison> {
  const { model, tokenizer, stopTokens } = teacher;
  const { vocabSize, numHiddenLayers, hiddenSize } = model.config;
  for (const { name, model: student } of students)
    if (
      student.config.vocabSize !== vocabSize ||
      student.config.numHiddenLayers !== numHiddenLayers ||
      student.config.hiddenSize !== hiddenSize
    )
      throw new ProjError(
        'invalid-argument',
        `${name} has ${student.config.numHiddenLayers} layers of width ${student.config.hiddenSize} over ${student.config.vocabSize} tokens, the teacher ${numHiddenLayers} of ${hiddenSize} over ${vocabSize}`,
        { op: 'compare', cure: 'Compare a converted model with the model that it was made of' },
      );
  const runners = students.map(({ model: student }) => new Student(student, sample.settings.window));
  const sums = students.map(() => ({
    means: new Means(),
    logits: new ErrorSum(),
    layers: Array.from({ length: numHiddenLayers }, () => new ErrorSum()),
  }));
  const own = new Means();
  const choices: number[][] = [];
  const run = teacherRunner(model);
  onMessage?.(`measuring on ${sample.windows.length} windows of ${sample.settings.window} tokens`);
  for (const window of sample.windows) {
    const expected = run(window);
    own.add(window, expected.logits, expected.logits, vocabSize);
    choices.push(window.slice(1).map((_, i) => argmax(expected.logits.subarray(i * vocabSize, (i + 1) * vocabSize))));
    for (const [i, runner] of runners.entries()) {
      const { layers, logits } = runner.run(window);
      sums[i].means.add(window, logits, expected.logits, vocabSize);
      sums[i].logits.add(logits, expected.logits);
      layers.forEach((layer, l) => sums[i].layers[l].add(layer, expected.layers[l]));
      await turn();
      signal?.throwIfAborted();
    }
  }
  for (const runner of runners) runner.dispose();

  onMessage?.(`writing ${sample.prompts.length} texts of ${sample.settings.generated} tokens with each model`);
  const reference = await write(new TeacherDecoder(model), sample, stopTokens, signal);
  const figures: ModelFigures[] = [];
  for (const [i, { name, model: student }] of students.entries()) {
    const decoder = student.loaded.sequence();
    prepare(decoder);
    const written = await write(decoder, sample, stopTokens, signal);
    decoder.dispose();
    figures.push({
      name,
      bytes: student.file.bytes,
      bitsPerWeight: packedBits(student),
      logits: sums[i].logits.figure(),
      layers: sums[i].layers.map((layer) => layer.figure()),
      ...sums[i].means.figures(),
      ...bleuOf(written.tokens, reference.tokens, tokenizer),
      tokensPerSecond: written.tokensPerSecond,
    });
  }
  return {
    tokens: sample.windows.reduce((sum, { length }) => sum + length - 1, 0),
    generations: sample.prompts.length,
    teacher: {
      name: 'teacher',
      bytes: teacher.bytes,
      bitsPerWeight: teacher.bitsPerWeight,
      logits: null,
      layers: null,
      ...own.figures(),
      ...bleuOf(reference.tokens, reference.tokens, tokenizer),
      tokensPerSecond: reference.tokensPerSecond,
    },
    students: figures,
    ngram: ngramFigures(sample, vocabSize, choices, reference.tokens, tokenizer),
  };
}

/** Bits for each weight of the model, scales and padding counted. */
export const packedBits = (model: Pick<OpenedModel, 'file'>): number =>
  (8 * tensorBytes(model.file)) / recordOf(model).weights;
