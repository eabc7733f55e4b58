/** One training step as one compiled program: forward, backward, clipping, update. */
import { noGrad } from '@proj/autograd';
import type { DataLoader } from '@proj/data';
import { clipGradNorm_ } from '@proj/nn/utils';
import { AdamW, LambdaLR } from '@proj/optim';
import { compile, evaluate, getRngState, setRngState, type Tensor } from '@proj/tensor';
import { load, saveBytes, type State } from '@proj/tensor/io';
import type { TrainConfig } from '../config.ts';
import type { Batch, Task } from '../tasks/task.ts';
import type { TrainingState } from './checkpoint.ts';

/** Linear warm-up, then half a cosine down to `minLr`, as a factor of the peak. */
export function learningRateFactor(
  step: number,
  total: number,
  { lr, minLr, warmup }: Pick<TrainConfig, 'lr' | 'minLr' | 'warmup'>,
): number {
  if (step < warmup) return (step + 1) / warmup;
  const share = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
  const floor = Math.min(1, minLr / lr);
  return floor + ((1 - floor) * (1 + Math.cos(Math.PI * share))) / 2;
}

export class Trainer {
  readonly task: Task;
  readonly optimizer: AdamW;
  readonly scheduler: LambdaLR;
  readonly #config: TrainConfig;
  readonly #run: (inputs: Tensor, targets: Tensor) => Tensor;
  step = 0;

  constructor(task: Task, config: TrainConfig, totalSteps: number) {
    this.task = task;
    this.#config = config;
    const parameters = [...task.model.parameters()];
    const groups = [
      { params: parameters.filter((p) => p.ndim >= 2), weightDecay: config.weightDecay },
      { params: parameters.filter((p) => p.ndim < 2), weightDecay: 0 },
    ].filter(({ params }) => params.length > 0);
    this.optimizer = new AdamW(groups, { lr: config.lr, betas: [0.9, config.betas2] });
    this.scheduler = new LambdaLR(this.optimizer, (step) => learningRateFactor(step, totalSteps, config));
    const { optimizer } = this;
    this.#run = compile((inputs: Tensor, targets: Tensor): Tensor => {
      optimizer.zeroGrad();
      const loss = task.loss(inputs, targets);
      loss.backward();
      if (config.gradClip > 0) clipGradNorm_(parameters, config.gradClip);
      optimizer.step();
      optimizer.zeroGrad();
      return loss.detach();
    });
  }

  get loader(): DataLoader<Batch> {
    return this.task.loader;
  }

  /**
   * Runs a step and takes it back. A compiled function runs as it is the first time and is captured the second; with this, every step that
   * counts is a captured one, of a fresh run and of one that goes on, and both give the same bits.
   */
  warmUp(): void {
    this.task.model.train();
    this.optimizer.initialize();
    const before = saveBytes(this.state() as unknown as State);
    this.#run(...this.task.example());
    this.restore(load(before) as unknown as TrainingState);
  }

  /** One step; gives the loss before it. */
  train([inputs, targets]: Batch): number {
    const loss = this.#run(inputs, targets).item();
    this.scheduler.step();
    this.step++;
    return loss;
  }

  state(): TrainingState {
    return {
      step: this.step,
      model: this.task.model.stateDict(),
      optimizer: this.optimizer.stateDict(),
      scheduler: this.scheduler.stateDict() as TrainingState['scheduler'],
      random: getRngState(),
      loader: this.loader.state(),
    };
  }

  restore(state: TrainingState): void {
    this.step = state.step;
    this.task.model.loadStateDict(state.model);
    this.optimizer.loadStateDict(state.optimizer);
    this.scheduler.loadStateDict(state.scheduler);
    this.#applySettings();
    setRngState(state.random);
    this.loader.loadState(state.loader);
    evaluate([...this.task.model.parameters()]);
  }

  /** The settings of this run hold, not those that the state was saved with. */
  #applySettings(): void {
    const { lr, betas2 } = this.#config;
    this.scheduler.baseLrs = this.optimizer.paramGroups.map(() => lr);
    for (const group of this.optimizer.paramGroups) {
      group.betas = [0.9, betas2];
      group.initialLr = lr;
      group.lr = lr * this.scheduler.lrLambdas[0](this.scheduler.lastEpoch);
      if (group.weightDecay !== 0) group.weightDecay = this.#config.weightDecay;
    }
  }

  /** Whether all parameters are finite numbers. */
  isFinite(): boolean {
    return noGrad(() => [...this.task.model.parameters()].every((p) => p.detach().isfinite().all().item()));
  }
}
