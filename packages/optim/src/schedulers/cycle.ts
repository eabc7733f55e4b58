/** Rates that rise and fall, with momentum the other way round: CyclicLR (Smith 2017) and OneCycleLR (Smith and Topin 2019). */
import { ProjError, withDefaults } from '@proj/kernel';
import { requirePositive, requireRange } from '../checks.ts';
import {
  LRScheduler,
  perGroup,
  type ScheduledGroup,
  type ScheduledOptimizer,
  type SchedulerOptions,
} from './scheduler.ts';

type Hyperparameter = 'momentum' | 'beta1';

/** What plays the part of momentum in this optimiser. */
function momentumOf(optimizer: ScheduledOptimizer, op: string, allowed: readonly Hyperparameter[]): Hyperparameter {
  for (const name of allowed) if ((name === 'momentum' ? 'momentum' : 'betas') in optimizer.defaults) return name;
  throw new ProjError('invalid-argument', 'the optimiser has no momentum to cycle', {
    op,
    cure: 'Pass cycleMomentum: false',
  });
}
function setMomentum(group: ScheduledGroup, name: Hyperparameter, value: number): void {
  if (name === 'momentum') group.momentum = value;
  else group.betas = [value, (group.betas ?? [0, 0.999])[1]];
}

export interface CyclicLROptions extends SchedulerOptions {
  readonly stepSizeUp?: number;
  readonly stepSizeDown?: number | null;
  readonly mode?: 'triangular' | 'triangular2' | 'exp_range';
  readonly gamma?: number;
  /** Scales the height; overrides `mode`. */
  readonly scaleFn?: ((x: number) => number) | null;
  /** Whether `scaleFn` gets the cycle or the iteration. */
  readonly scaleMode?: 'cycle' | 'iterations';
  readonly cycleMomentum?: boolean;
  readonly baseMomentum?: number | readonly number[];
  readonly maxMomentum?: number | readonly number[];
}

/** The rate goes from `baseLr` to `maxLr` in `stepSizeUp` steps and back in `stepSizeDown`. */
export class CyclicLR extends LRScheduler {
  readonly maxLrs: readonly number[];
  readonly totalSize: number;
  readonly stepRatio: number;
  readonly mode: string;
  readonly gamma: number;
  readonly scaleMode: 'cycle' | 'iterations';
  readonly cycled: Hyperparameter | null;
  readonly baseMomentums: readonly number[];
  readonly maxMomentums: readonly number[];
  readonly #scale: (x: number) => number;

  constructor(
    optimizer: ScheduledOptimizer,
    baseLr: number | readonly number[],
    maxLr: number | readonly number[],
    options: CyclicLROptions = {},
  ) {
    const op = 'CyclicLR';
    const {
      stepSizeUp,
      stepSizeDown,
      mode,
      gamma,
      scaleFn,
      scaleMode,
      cycleMomentum,
      baseMomentum,
      maxMomentum,
      lastEpoch,
    } = withDefaults(
      op,
      {
        stepSizeUp: 2000,
        stepSizeDown: null,
        mode: 'triangular',
        gamma: 1,
        scaleFn: null,
        scaleMode: 'cycle',
        cycleMomentum: true,
        baseMomentum: 0.8,
        maxMomentum: 0.9,
        lastEpoch: -1,
      },
      options,
    );
    requirePositive(op, 'stepSizeUp', stepSizeUp);
    if (stepSizeDown !== null) requireRange(op, 'stepSizeDown', stepSizeDown, 0);
    const bases = perGroup(baseLr, optimizer, op, 'baseLr');
    if (lastEpoch === -1) optimizer.paramGroups.forEach((group, i) => (group.lr = bases[i]));
    const cycled = cycleMomentum ? momentumOf(optimizer, op, ['momentum']) : null;
    const baseMomentums = perGroup(baseMomentum, optimizer, op, 'baseMomentum');
    if (cycled !== null && lastEpoch === -1)
      optimizer.paramGroups.forEach((group, i) => setMomentum(group, cycled, baseMomentums[i]));
    super(optimizer, { lastEpoch });
    this.baseLrs = bases;
    this.maxLrs = perGroup(maxLr, optimizer, op, 'maxLr');
    this.totalSize = stepSizeUp + (stepSizeDown ?? stepSizeUp);
    this.stepRatio = stepSizeUp / this.totalSize;
    this.mode = mode;
    this.gamma = gamma;
    this.scaleMode = scaleFn !== null ? scaleMode : mode === 'exp_range' ? 'iterations' : 'cycle';
    this.#scale = scaleFn ?? scaleOf(mode, gamma);
    this.cycled = cycled;
    this.baseMomentums = baseMomentums;
    this.maxMomentums = perGroup(maxMomentum, optimizer, op, 'maxMomentum');
    this.start();
  }

  protected getLr(): number[] {
    const cycle = Math.floor(1 + this.lastEpoch / this.totalSize);
    const x = 1 + this.lastEpoch / this.totalSize - cycle;
    const height = x <= this.stepRatio ? x / this.stepRatio : (x - 1) / (this.stepRatio - 1);
    const scaled = height * this.#scale(this.scaleMode === 'cycle' ? cycle : this.lastEpoch);
    const { cycled } = this;
    if (cycled !== null)
      this.optimizer.paramGroups.forEach((group, i) =>
        setMomentum(group, cycled, this.maxMomentums[i] - (this.maxMomentums[i] - this.baseMomentums[i]) * scaled),
      );
    return this.baseLrs.map((lr, i) => lr + (this.maxLrs[i] - lr) * scaled);
  }
}

function scaleOf(mode: 'triangular' | 'triangular2' | 'exp_range', gamma: number): (x: number) => number {
  switch (mode) {
    case 'triangular':
      return () => 1;
    case 'triangular2':
      return (cycle) => 1 / 2 ** (cycle - 1);
    case 'exp_range':
      return (iteration) => gamma ** iteration;
    default:
      mode satisfies never;
      throw new ProjError('invalid-argument', `mode is "${String(mode)}"`, {
        op: 'CyclicLR',
        cure: "Use 'triangular', 'triangular2' or 'exp_range'",
      });
  }
}

export interface OneCycleLROptions extends SchedulerOptions {
  readonly totalSteps?: number | null;
  /** With `stepsPerEpoch`, instead of `totalSteps`. */
  readonly epochs?: number | null;
  readonly stepsPerEpoch?: number | null;
  /** Share of the steps in which the rate rises (default 0.3). */
  readonly pctStart?: number;
  readonly annealStrategy?: 'cos' | 'linear';
  readonly cycleMomentum?: boolean;
  readonly baseMomentum?: number | readonly number[];
  readonly maxMomentum?: number | readonly number[];
  /** The first rate is `maxLr / divFactor` (default 25). */
  readonly divFactor?: number;
  /** The last rate is the first divided by this (default 10000). */
  readonly finalDivFactor?: number;
  readonly threePhase?: boolean;
}

interface Phase {
  readonly end: number;
  readonly lr: readonly ['initialLr' | 'maxLr' | 'minLr', 'initialLr' | 'maxLr' | 'minLr'];
  readonly momentum: readonly ['baseMomentum' | 'maxMomentum', 'baseMomentum' | 'maxMomentum'];
}

/** One rise from `maxLr / divFactor` to `maxLr`, then a fall far below the start. `step` once a batch. */
export class OneCycleLR extends LRScheduler {
  readonly totalSteps: number;
  readonly annealStrategy: 'cos' | 'linear';
  readonly cycled: Hyperparameter | null;
  readonly phases: readonly Phase[];

  constructor(optimizer: ScheduledOptimizer, maxLr: number | readonly number[], options: OneCycleLROptions = {}) {
    const op = 'OneCycleLR';
    const {
      totalSteps,
      epochs,
      stepsPerEpoch,
      pctStart,
      annealStrategy,
      cycleMomentum,
      baseMomentum,
      maxMomentum,
      divFactor,
      finalDivFactor,
      threePhase,
      lastEpoch,
    } = withDefaults(
      op,
      {
        totalSteps: null,
        epochs: null,
        stepsPerEpoch: null,
        pctStart: 0.3,
        annealStrategy: 'cos',
        cycleMomentum: true,
        baseMomentum: 0.85,
        maxMomentum: 0.95,
        divFactor: 25,
        finalDivFactor: 1e4,
        threePhase: false,
        lastEpoch: -1,
      },
      options,
    );
    const steps = totalSteps ?? (epochs ?? 0) * (stepsPerEpoch ?? 0);
    if (!Number.isInteger(steps) || steps <= 0)
      throw new ProjError('invalid-argument', `the number of steps is ${steps}`, {
        op,
        cure: 'Give totalSteps, or epochs and stepsPerEpoch, as positive integers',
      });
    if (!(pctStart >= 0 && pctStart <= 1))
      throw new ProjError('invalid-argument', `pctStart is ${pctStart}`, { op, cure: 'It must lie in [0, 1]' });
    if (annealStrategy !== 'cos' && annealStrategy !== 'linear')
      throw new ProjError('invalid-argument', `annealStrategy is "${String(annealStrategy)}"`, {
        op,
        cure: "Use 'cos' or 'linear'",
      });
    const cycled = cycleMomentum ? momentumOf(optimizer, op, ['beta1', 'momentum']) : null;
    if (lastEpoch === -1) {
      const largest = perGroup(maxLr, optimizer, op, 'maxLr');
      const base = perGroup(baseMomentum, optimizer, op, 'baseMomentum');
      const max = perGroup(maxMomentum, optimizer, op, 'maxMomentum');
      optimizer.paramGroups.forEach((group, i) => {
        const initialLr = largest[i] / divFactor;
        Object.assign(group, { initialLr, maxLr: largest[i], minLr: initialLr / finalDivFactor });
        if (cycled === null) return;
        setMomentum(group, cycled, max[i]);
        Object.assign(group, { maxMomentum: max[i], baseMomentum: base[i] });
      });
    }
    super(optimizer, { lastEpoch });
    this.totalSteps = steps;
    this.annealStrategy = annealStrategy;
    this.cycled = cycled;
    const rise: Phase = {
      end: pctStart * steps - 1,
      lr: ['initialLr', 'maxLr'],
      momentum: ['maxMomentum', 'baseMomentum'],
    };
    this.phases = threePhase
      ? [
          rise,
          { end: 2 * pctStart * steps - 2, lr: ['maxLr', 'initialLr'], momentum: ['baseMomentum', 'maxMomentum'] },
          { end: steps - 1, lr: ['initialLr', 'minLr'], momentum: ['maxMomentum', 'maxMomentum'] },
        ]
      : [rise, { end: steps - 1, lr: ['maxLr', 'minLr'], momentum: ['baseMomentum', 'maxMomentum'] }];
    this.start();
  }

  #anneal(from: number, to: number, share: number): number {
    return this.annealStrategy === 'cos'
      ? to + ((from - to) / 2) * (Math.cos(Math.PI * share) + 1)
      : (to - from) * share + from;
  }

  protected getLr(): number[] {
    const step = this.lastEpoch;
    if (step > this.totalSteps)
      throw new ProjError('invalid-argument', `step ${step + 1} of ${this.totalSteps}`, {
        op: 'OneCycleLR.step',
        cure: 'Give a larger totalSteps',
      });
    const found = this.phases.findIndex((phase) => step <= phase.end);
    const at = found < 0 ? this.phases.length - 1 : found;
    const phase = this.phases[at];
    const begin = at === 0 ? 0 : this.phases[at - 1].end;
    const share = phase.end === begin ? 1 : (step - begin) / (phase.end - begin);
    return this.optimizer.paramGroups.map((group) => {
      const value = (name: keyof ScheduledGroup): number => Number(group[name]);
      if (this.cycled !== null)
        setMomentum(group, this.cycled, this.#anneal(value(phase.momentum[0]), value(phase.momentum[1]), share));
      return this.#anneal(value(phase.lr[0]), value(phase.lr[1]), share);
    });
  }
}
