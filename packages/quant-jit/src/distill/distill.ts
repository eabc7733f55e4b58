/**
 * `distillAndBinarize`: a student of few bits learns to predict what its teacher predicts (Hinton, Vinyals and Dean 2015), with the quantisers in its forward pass
 * and gradients that go straight through them (Bengio, Léonard and Courville 2013; binary weights as in XNOR-Net and BitNet). The embedding table and the
 * output keep 8 bits.
 */
import { crc32 } from 'node:zlib';
import { ProjError } from '@proj/kernel';
import type { StateDict } from '@proj/nn';
import { type Gemma2Config, gemma2ConfigJson } from '../gemma2/config.ts';
import { Gemma2ForCausalLM } from '../gemma2/model.ts';
import { type ActivationScheme, scheme as schemeOf, type SchemeName } from '../quantize/scheme.ts';
import { loadDistillation, saveDistillation } from './checkpoint.ts';
import { distillationLosses, type DistillationWeights } from './loss.ts';
import { Gemma2Student, type LatentMethod, type StudentSchemes } from './student.ts';
import { learningRateFactor, Training, type TrainingState } from './training.ts';

/** What has been reached at a step. */
export interface DistillationEntry {
  /** Steps done. */
  readonly step: number;
  /** Of the whole, 0 … 1. */
  readonly progress: number;
  /** Spent on training so far, compilation apart. */
  readonly seconds: number;
  /** Scheme of the matrices at this step. */
  readonly scheme: SchemeName;
  readonly learningRate: number;
  /** The loss before the step, and its parts before they are weighted. */
  readonly loss: number;
  readonly hidden: number;
  readonly kl: number;
  readonly crossEntropy: number;
}

export interface DistillOptions {
  readonly teacher: Gemma2ForCausalLM;
  /** The text to learn on, as tokens. */
  readonly ids: ArrayLike<number>;
  /** Scheme of the matrices (default `q1`). */
  readonly scheme?: SchemeName;
  /** Scheme of the embedding table and of the output (default `q8`). */
  readonly embeddingScheme?: SchemeName;
  /** Activation scheme of the products, where the weights take it (default: the first that they take). */
  readonly activation?: ActivationScheme;
  /** How long: a number of steps, or seconds (the compilation of the step apart). */
  readonly steps?: number;
  readonly seconds?: number;
  /** Schemes on the way, each for an equal part of the first half; `true` is 8 bits, then 4 (default: none). */
  readonly progressive?: boolean | readonly SchemeName[];
  /** Train all latent weights (`full`, default), or a low-rank update of the teacher's. */
  readonly method?: LatentMethod;
  /** Parts of the loss (default hidden 1, kl 1, crossEntropy 0.25, temperature 1). */
  readonly loss?: Partial<DistillationWeights>;
  /** Tokens of a window (default 128, at most what the model was made for) and windows of a step (default 16). */
  readonly context?: number;
  readonly batchSize?: number;
  /** Token that windows begin with, if the teacher was trained so. */
  readonly bosTokenId?: number | null;
  /** Peak of the learning rate (default 2e-3), and the part of the run over which it rises (default 0.05). */
  readonly learningRate?: number;
  readonly warmup?: number;
  readonly weightDecay?: number;
  readonly seed?: number;
  /** File that the run is saved in, and that it goes on from where there is one. */
  readonly checkpoint?: string;
  /** Steps between checkpoints (default 100). */
  readonly checkpointEvery?: number;
  readonly onProgress?: (entry: DistillationEntry) => void;
  /** Aborting saves the checkpoint and gives the student as it is. */
  readonly signal?: AbortSignal;
}

export interface Distilled {
  /**
   * The student's latent weights in a plain model. Convert it with the same schemes and `absmax` calibration: that gives the very integers that training saw.
   */
  readonly model: Gemma2ForCausalLM;
  readonly stateDict: StateDict;
  readonly history: readonly DistillationEntry[];
  readonly steps: number;
  readonly seconds: number;
  /** Whether it was aborted before its end. */
  readonly interrupted: boolean;
}

const OP = 'distillAndBinarize';
const TABLES = ['model.embed_tokens.weight', 'lm_head.weight'];
const LOSS: DistillationWeights = { hidden: 1, kl: 1, crossEntropy: 0.25, temperature: 1 };

type Settings = Required<
  Omit<
    DistillOptions,
    | 'teacher'
    | 'ids'
    | 'steps'
    | 'seconds'
    | 'activation'
    | 'checkpoint'
    | 'onProgress'
    | 'signal'
    | 'progressive'
    | 'loss'
  >
> & {
  readonly loss: DistillationWeights;
  /** Schemes one after the other, the last one for half of the run or all of it. */
  readonly stages: readonly SchemeName[];
};

function settingsOf(options: DistillOptions): Settings {
  const { scheme = 'q1', progressive = false, steps, seconds, teacher } = options;
  const fail = (message: string, cure: string): ProjError =>
    new ProjError('invalid-argument', message, { op: OP, cure });
  if ((steps === undefined) === (seconds === undefined))
    throw fail('the run has no length, or two', 'Give either steps or seconds');
  if (steps !== undefined && (!Number.isSafeInteger(steps) || steps < 1))
    throw fail(`${steps} steps`, 'Give a positive whole number');
  if (seconds !== undefined && !(seconds > 0)) throw fail(`${seconds} seconds`, 'Give a positive number');
  const { vocabSize, maxPositionEmbeddings } = teacher.config;
  for (let i = 0; i < options.ids.length; i++)
    if (!(options.ids[i] >= 0 && options.ids[i] < vocabSize))
      throw fail(
        `token ${options.ids[i]} of a vocabulary of ${vocabSize}`,
        'Encode the text with the tokenizer of the teacher',
      );
  const earlier = progressive === true ? (['q8', 'q4g32'] as const) : progressive === false ? [] : progressive;
  const stages = [...earlier.filter((stage) => schemeOf(stage).bits > schemeOf(scheme).bits), scheme];
  return {
    scheme,
    embeddingScheme: options.embeddingScheme ?? 'q8',
    method: options.method ?? 'full',
    loss: { ...LOSS, ...options.loss },
    context: Math.min(options.context ?? 128, maxPositionEmbeddings),
    batchSize: options.batchSize ?? 16,
    bosTokenId: options.bosTokenId ?? null,
    learningRate: options.learningRate ?? 2e-3,
    warmup: options.warmup ?? 0.05,
    weightDecay: options.weightDecay ?? 0,
    seed: options.seed ?? 0,
    checkpointEvery: options.checkpointEvery ?? 100,
    stages,
  };
}

/** The stage at a part of the run. */
const stageAt = (stages: readonly SchemeName[], progress: number): number =>
  Math.min(stages.length - 1, Math.floor(progress * 2 * (stages.length - 1)));

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Trains a student of the teacher's architecture at few bits. With `steps`, the result depends on the options alone, also when the run is stopped and goes on
 * from its checkpoint; with `seconds`, on the machine too.
 *
 * @throws ProjError `invalid-argument` for options that do not fit, `data-loading` for a text shorter than a window, `serialization` for a checkpoint of another run,
 * `autograd` when the loss is no longer a number (the last checkpoint stays).
 */
export async function distillAndBinarize(options: DistillOptions): Promise<Distilled> {
  return new Distillation(options).run();
}

class Distillation {
  readonly #options: DistillOptions;
  readonly #settings: Settings;
  readonly #student: Gemma2Student;
  readonly #fingerprint: string;
  readonly #history: DistillationEntry[] = [];
  #started = performance.now();
  #training: Training | null = null;
  #stage = -1;
  #saved = -1;

  constructor(options: DistillOptions) {
    this.#options = options;
    this.#settings = settingsOf(options);
    const { teacher } = options;
    teacher.eval();
    this.#student = new Gemma2Student(teacher.config, this.#schemes(0), this.#settings.method, this.#settings.seed);
    this.#student.take(teacher);
    this.#student.eval();
    const text = Int32Array.from(options.ids);
    this.#fingerprint = JSON.stringify([
      gemma2ConfigJson(teacher.config),
      teacher.model.embedTokens.weight.detach().to('float32').abs().sum().item(),
      crc32(new Uint8Array(text.buffer)),
      this.#settings,
      options.activation ?? null,
      options.steps ?? null,
      options.seconds ?? null,
    ]);
  }

  #schemes(stage: number): StudentSchemes {
    const { stages, embeddingScheme } = this.#settings;
    const { activation } = this.#options;
    return {
      schemeOf: (tensor) => (TABLES.includes(tensor) ? embeddingScheme : stages[stage]),
      ...(activation === undefined ? {} : { activation }),
    };
  }

  get #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  #progress(step: number): number {
    const { steps, seconds } = this.#options;
    return steps === undefined ? Math.min(1, this.#seconds / (seconds ?? 1)) : step / steps;
  }

  /** The captured step of the stage that is due, with the state that the last one ended with. */
  #trainingFor(progress: number): Training {
    const stage = stageAt(this.#settings.stages, progress);
    if (this.#training !== null && stage === this.#stage) return this.#training;
    const before = this.#training?.state();
    const { ids, teacher } = this.#options;
    const { context, batchSize, seed, bosTokenId, weightDecay, loss } = this.#settings;
    const student = this.#student;
    student.schemes = this.#schemes(stage);
    const training = new Training(
      student.trained(),
      (inputs, targets) => distillationLosses(teacher, student, inputs, targets, loss),
      {
        windows: { ids, context, batchSize, seed, bosTokenId },
        weightDecay,
        clipNorm: 1,
        afterUpdate: () => student.clipLatents(),
      },
    );
    const compiling = performance.now();
    training.warmUp(before);
    this.#started += performance.now() - compiling;
    this.#stage = stage;
    this.#training = training;
    return training;
  }

  #save(): void {
    const { checkpoint: path } = this.#options;
    const training = this.#training;
    if (path === undefined || training === null || this.#saved === training.step) return;
    const state: TrainingState = training.state();
    saveDistillation(path, {
      fingerprint: this.#fingerprint,
      seconds: this.#seconds,
      history: this.#history,
      training: state,
    });
    this.#saved = training.step;
  }

  async run(): Promise<Distilled> {
    const { checkpoint: path, signal, onProgress } = this.#options;
    const { learningRate: peak, warmup, stages, checkpointEvery } = this.#settings;
    const earlier = path === undefined ? null : loadDistillation(path, this.#fingerprint);
    let step = earlier?.training.step ?? 0;
    if (earlier !== null) {
      this.#history.push(...earlier.history);
      this.#started -= 1000 * earlier.seconds;
      this.#saved = step;
      this.#trainingFor(this.#progress(step)).restore(earlier.training);
    }
    let progress = this.#progress(step);
    while (progress < 1 && signal?.aborted !== true) {
      const training = this.#trainingFor(progress);
      const learningRate = peak * learningRateFactor(progress, warmup);
      const [loss, hidden, kl, crossEntropy] = training.train(learningRate);
      step = training.step;
      const scheme = stages[this.#stage];
      progress = this.#progress(step);
      const entry = { step, progress, seconds: this.#seconds, scheme, learningRate, loss, hidden, kl, crossEntropy };
      this.#history.push(entry);
      onProgress?.(entry);
      if (step % checkpointEvery === 0) this.#save();
      await turn();
    }
    this.#save();
    return this.#result(step, progress < 1);
  }

  #result(steps: number, interrupted: boolean): Distilled {
    // A run that ends early, or before its last stage, is still exported for the scheme that was asked for.
    this.#student.schemes = this.#schemes(this.#settings.stages.length - 1);
    const stateDict = this.#student.exported();
    const { config }: { config: Gemma2Config } = this.#options.teacher;
    const model = new Gemma2ForCausalLM(config, { empty: true });
    model.loadStateDict(stateDict);
    return { model: model.eval(), stateDict, history: this.#history, steps, seconds: this.#seconds, interrupted };
  }
}
