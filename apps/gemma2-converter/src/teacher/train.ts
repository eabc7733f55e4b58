/** Trains a small Gemma 2 over bytes: the teacher of the embedded default, and of anyone without a model at hand. */
import { RandomStream, TextWindows } from '@proj/data';
import { noGrad } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import { crossEntropy } from '@proj/nn/functional';
import { AdamW, LambdaLR } from '@proj/optim';
import { BYTE_TOKENS, byteIds, gemma2Config, type Gemma2Config, Gemma2ForCausalLM } from '@proj/quant-jit/gemma2';
import { compile, manualSeed, type Tensor } from '@proj/tensor';

/** Size of a teacher and of its training. */
export interface TeacherSettings {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Positions of the model; windows of the training are half as long. */
  readonly context: number;
  readonly batch: number;
  readonly steps: number;
  readonly lr: number;
  readonly seed: number;
}

/** What training came to. */
export interface TrainedTeacher {
  readonly model: Gemma2ForCausalLM;
  /** Nats per byte on the last tenth of the text. */
  readonly validationLoss: number;
  readonly seconds: number;
}

/** Told after each step. */
export type TrainingListener = (step: number, loss: number) => void;

const TRAINING_SHARE = 0.9;
const WARM_UP_SHARE = 0.05;
const LAST_RATE = 0.05;
const LARGEST_NORM = 1;
const VALIDATION_BATCHES = 8;

/** The model that settings describe: Gemma 2 in small, with a sliding window that is shorter than its context. */
export const teacherConfig = ({ width, layers, heads, context }: TeacherSettings): Gemma2Config =>
  gemma2Config({
    vocabSize: BYTE_TOKENS.vocabSize,
    hiddenSize: width,
    intermediateSize: 4 * width,
    numHiddenLayers: layers,
    numAttentionHeads: heads,
    numKeyValueHeads: Math.max(1, heads / 2),
    slidingWindow: Math.max(8, context / 8),
    maxPositionEmbeddings: context,
    initializerRange: 0.05,
    bosTokenId: BYTE_TOKENS.bos,
    eosTokenIds: [BYTE_TOKENS.eos],
    padTokenId: BYTE_TOKENS.pad,
  });

const meanLoss = (model: Gemma2ForCausalLM, inputs: Tensor, targets: Tensor): Tensor => {
  const { logits } = model.call(inputs);
  return crossEntropy(logits.reshape([-1, logits.shape[2]]), targets.reshape([-1]));
};

/** Linear warm-up, then half a cosine. */
function rate(step: number, steps: number): number {
  const warmUp = Math.max(1, WARM_UP_SHARE * steps);
  if (step < warmUp) return (step + 1) / warmUp;
  const share = Math.min(1, (step - warmUp) / Math.max(1, steps - warmUp));
  return LAST_RATE + ((1 - LAST_RATE) * (1 + Math.cos(Math.PI * share))) / 2;
}

/** Scales gradients whose common norm is above the bound (Pascanu et al. 2013). */
function clip(parameters: readonly Tensor[]): void {
  noGrad(() => {
    const squares = parameters.flatMap(({ grad }) => (grad === null ? [] : [grad.detach().square().sum()]));
    const norm = squares.reduce((sum, square) => sum.add(square)).sqrt();
    const factor = norm.add(1e-6).reciprocal().mul(LARGEST_NORM).clamp(null, 1);
    for (const parameter of parameters)
      if (parameter.grad !== null) parameter.grad = parameter.grad.detach().mul(factor);
  });
}

/** Trains on a text. @throws ProjError when the loss is no longer a number; what `signal` throws when it is aborted. */
export async function trainTeacher(
  text: string,
  settings: TeacherSettings,
  { onStep, signal }: { readonly onStep?: TrainingListener; readonly signal?: AbortSignal } = {},
): Promise<TrainedTeacher> {
  const started = performance.now();
  const { batch, steps, lr, seed } = settings;
  manualSeed(seed);
  const model = new Gemma2ForCausalLM(teacherConfig(settings));
  const ids = Uint32Array.from(byteIds(text));
  const border = Math.floor(TRAINING_SHARE * ids.length);
  const length = settings.context / 2;
  const windows = new TextWindows(ids.subarray(0, border), length);
  const held = new TextWindows(ids.subarray(border), length);
  const parameters = [...model.parameters()];
  const optimizer = new AdamW(
    [
      { params: parameters.filter(({ ndim }) => ndim >= 2), weightDecay: 0.05 },
      { params: parameters.filter(({ ndim }) => ndim < 2), weightDecay: 0 },
    ],
    { lr, betas: [0.9, 0.98] },
  );
  const scheduler = new LambdaLR(optimizer, (step) => rate(step, steps));
  const train = compile((inputs: Tensor, targets: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = meanLoss(model, inputs, targets);
    loss.backward();
    clip(parameters);
    optimizer.step();
    optimizer.zeroGrad();
    return loss.detach();
  });
  const random = new RandomStream(seed);
  model.train();
  for (let step = 1; step <= steps; step++) {
    const starts = Array.from({ length: batch }, () => Math.floor(random.uniform() * windows.length));
    const loss = train(...windows.batch(starts)).item();
    if (!Number.isFinite(loss))
      throw new ProjError('autograd', `the loss of step ${step} is ${loss}`, {
        op: 'trainTeacher',
        cure: 'Lower --lr',
      });
    scheduler.step();
    onStep?.(step, loss);
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
  model.eval();
  const measure = compile((inputs: Tensor, targets: Tensor) => noGrad(() => meanLoss(model, inputs, targets)));
  let sum = 0;
  for (let i = 0; i < VALIDATION_BATCHES; i++) {
    const starts = Array.from({ length: batch }, (_, b) =>
      Math.floor(((i * batch + b) * held.length) / (VALIDATION_BATCHES * batch)),
    );
    sum += measure(...held.batch(starts)).item();
  }
  return { model, validationLoss: sum / VALIDATION_BATCHES, seconds: (performance.now() - started) / 1000 };
}
