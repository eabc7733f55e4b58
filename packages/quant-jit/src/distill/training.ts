/**
 * A training loop whose every step is a function of the state before it: batches follow from the seed and the number of the step, and a step runs as one
 * captured program (forward, backward, clipping, AdamW). A run that goes on from a saved state gives the same bits as one that was never stopped.
 */
import { noGrad } from '@proj/autograd';
import { RandomStream } from '@proj/data';
import { ProjError } from '@proj/kernel';
import type { Parameter } from '@proj/nn';
import { clipGradNorm_ } from '@proj/nn/utils';
import { AdamW, type OptimizerStateDict } from '@proj/optim';
import { compile, evaluate, fromArray, type Tensor } from '@proj/tensor';
import { load, saveBytes, type State } from '@proj/tensor/io';

/** Windows of a text, drawn at random. */
export interface WindowOptions {
  /** The text as tokens. */
  readonly ids: ArrayLike<number>;
  /** Tokens of a window. */
  readonly context: number;
  /** Windows of a step. */
  readonly batchSize: number;
  readonly seed: number;
  /** Token that windows begin with, in place of one of the text. */
  readonly bosTokenId?: number | null;
}

/** Inputs and targets `[batchSize, context]` of a step. The same seed and step give the same windows. */
export function windowsOf(step: number, { ids, context, batchSize, seed, bosTokenId = null }: WindowOptions): Tensor[] {
  const lead = bosTokenId === null ? 0 : 1;
  const taken = context + 1 - lead;
  if (ids.length < taken)
    throw new ProjError('data-loading', `${ids.length} tokens are too few for windows of ${context}`, {
      op: 'distillAndBinarize',
      cure: 'Give a longer text, or a shorter context',
    });
  const random = new RandomStream(seed, step);
  const inputs = new Int32Array(batchSize * context);
  const targets = new Int32Array(batchSize * context);
  for (let row = 0; row < batchSize; row++) {
    const start = random.below(ids.length - taken + 1) - lead;
    for (let t = 0; t < context; t++) {
      inputs[row * context + t] = t < lead && bosTokenId !== null ? bosTokenId : ids[start + t];
      targets[row * context + t] = ids[start + t + 1];
    }
  }
  return [inputs, targets].map((values) => fromArray(values, [batchSize, context], 'int64'));
}

/** Linear warm-up, then half a cosine down to a tenth, as a factor; `progress` and `warmup` are parts of the whole. */
export function learningRateFactor(progress: number, warmup: number): number {
  if (progress < warmup) return (progress + 1e-3) / (warmup + 1e-3);
  const share = Math.min(1, (progress - warmup) / Math.max(1e-9, 1 - warmup));
  return 0.1 + 0.45 * (1 + Math.cos(Math.PI * share));
}

/** What training changes. */
export interface TrainingState {
  readonly step: number;
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly optimizer: OptimizerStateDict;
}

export interface TrainingOptions {
  readonly windows: WindowOptions;
  readonly weightDecay: number;
  /** Largest norm of all gradients together. */
  readonly clipNorm: number;
  /** Called after each update, inside the captured step. */
  readonly afterUpdate?: () => void;
}

/** Trains named parameters against `losses(inputs, targets)`, of which the first is the one that is lowered; the others are reported with it. */
export class Training {
  step = 0;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #optimizer: AdamW;
  readonly #windows: WindowOptions;
  readonly #run: (inputs: Tensor, targets: Tensor) => readonly Tensor[];

  constructor(
    parameters: ReadonlyMap<string, Parameter>,
    losses: (inputs: Tensor, targets: Tensor) => readonly Tensor[],
    { windows, weightDecay, clipNorm, afterUpdate }: TrainingOptions,
  ) {
    this.#parameters = parameters;
    this.#windows = windows;
    const all = [...parameters.values()];
    const groups = [
      { params: all.filter((p) => p.ndim >= 2), weightDecay },
      { params: all.filter((p) => p.ndim < 2), weightDecay: 0 },
    ].filter(({ params }) => params.length > 0);
    const optimizer = new AdamW(groups, { betas: [0.9, 0.98] });
    this.#optimizer = optimizer;
    this.#run = compile((inputs: Tensor, targets: Tensor): readonly Tensor[] => {
      optimizer.zeroGrad();
      const values = losses(inputs, targets);
      values[0].backward();
      clipGradNorm_(all, clipNorm);
      optimizer.step();
      optimizer.zeroGrad();
      afterUpdate?.();
      return values.map((value) => value.detach());
    });
  }

  /**
   * Runs a step and takes it back, because the first call of a compiled function runs uncaptured, with bits that may differ from those of all later ones.
   * Then the training is where `from` says, or where it was.
   */
  warmUp(from?: TrainingState): void {
    this.#optimizer.initialize();
    const before = saveBytes((from ?? this.state()) as unknown as State);
    for (const loss of this.#run(...this.#batch())) loss.item();
    this.restore(load(before) as unknown as TrainingState);
  }

  #batch(): [Tensor, Tensor] {
    const [inputs, targets] = windowsOf(this.step, this.#windows);
    return [inputs, targets];
  }

  /** One step at a learning rate; gives the losses before it. @throws ProjError `autograd` when one is not finite. */
  train(learningRate: number): number[] {
    for (const group of this.#optimizer.paramGroups) group.lr = learningRate;
    const losses = this.#run(...this.#batch()).map((loss) => loss.item());
    if (!losses.every(Number.isFinite))
      throw new ProjError('autograd', `the losses at step ${this.step} are ${losses.join(', ')}`, {
        op: 'train',
        cure: 'Lower the learning rate, or go on from the last checkpoint with another seed',
      });
    this.step++;
    return losses;
  }

  state(): TrainingState {
    return {
      step: this.step,
      parameters: Object.fromEntries(this.#parameters),
      optimizer: this.#optimizer.stateDict(),
    };
  }

  restore({ step, parameters, optimizer }: TrainingState): void {
    this.step = step;
    noGrad(() => {
      for (const [name, parameter] of this.#parameters) {
        const saved = parameters[name];
        if (saved === undefined || saved.shape.join() !== parameter.shape.join())
          throw new ProjError(
            'serialization',
            `the checkpoint does not hold "${name}" [${parameter.shape.join(', ')}]`,
            {
              op: 'distillAndBinarize',
              cure: 'It is of another model or method: remove it, or give another path',
            },
          );
        parameter.copy_(saved);
      }
    });
    this.#optimizer.loadStateDict(optimizer);
    evaluate([...this.#parameters.values()]);
  }
}
