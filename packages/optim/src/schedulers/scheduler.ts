/**
 * Learning-rate schedulers: the base class. A scheduler changes `lr` of the optimiser's groups when its `step` is called, usually once an epoch.
 * Rates follow from the present rate (the chainable form), as in PyTorch, so that schedulers combine.
 */
import { ProjError, withDefaults } from '@proj/kernel';

/** What a scheduler needs of an optimiser. */
export interface ScheduledOptimizer {
  readonly defaults: object;
  readonly paramGroups: readonly ScheduledGroup[];
}
/** A group with what schedulers keep in it. */
export interface ScheduledGroup {
  lr: number;
  initialLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
  maxLr?: number;
  minLr?: number;
  maxMomentum?: number;
  baseMomentum?: number;
  swaLr?: number;
}

export interface SchedulerOptions {
  /** The epoch to go on from (default -1: from the start). */
  readonly lastEpoch?: number;
}
export type SchedulerState = Record<string, unknown>;

/** Base of the schedulers: `step()` once an epoch (or step) sets the learning rates of all groups. */
export abstract class LRScheduler {
  readonly optimizer: ScheduledOptimizer;
  baseLrs: number[];
  lastEpoch: number;
  protected stepCount = 0;
  protected lastLr: number[] = [];

  constructor(optimizer: ScheduledOptimizer, options: SchedulerOptions = {}) {
    const { lastEpoch } = withDefaults(new.target.name, { lastEpoch: -1 }, options);
    this.optimizer = optimizer;
    this.lastEpoch = lastEpoch;
    optimizer.paramGroups.forEach((group, i) => {
      if (lastEpoch === -1) group.initialLr ??= group.lr;
      else if (group.initialLr === undefined)
        throw new ProjError('invalid-argument', `group ${i} has no initialLr`, {
          op: this.constructor.name,
          cure: 'Load the optimiser state before making a scheduler that goes on from a later epoch',
        });
    });
    this.baseLrs = optimizer.paramGroups.map((group) => group.initialLr ?? group.lr);
  }

  /** The rate of each group for `lastEpoch`, from the present rates. */
  protected abstract getLr(): number[];
  /** The rate of each group for `lastEpoch`, from the initial rates, where a formula exists. */
  protected closedForm(): number[] | null {
    return null;
  }

  /** The first step, which sets the rates of epoch 0. Every subclass calls it at the end of its constructor. */
  start(): void {
    this.stepCount = 0;
    this.step();
  }

  /** Goes to the next epoch, or to `epoch`. */
  step(epoch?: number | null): void {
    this.stepCount++;
    if (epoch === undefined || epoch === null) {
      this.lastEpoch++;
      this.apply(this.getLr());
    } else {
      this.lastEpoch = epoch;
      this.apply(this.closedForm() ?? this.getLr());
    }
  }

  protected apply(rates: readonly number[]): void {
    this.optimizer.paramGroups.forEach((group, i) => (group.lr = rates[i]));
    this.lastLr = this.optimizer.paramGroups.map((group) => group.lr);
  }

  protected get rates(): number[] {
    return this.optimizer.paramGroups.map((group) => group.lr);
  }

  /** The rates that the last step set. */
  getLastLr(): number[] {
    return [...this.lastLr];
  }

  /** Everything but the optimiser; functions are left out. */
  stateDict(): SchedulerState {
    return Object.fromEntries(
      Object.entries(this)
        .filter(([key, value]) => key !== 'optimizer' && typeof value !== 'function')
        .map(([key, value]) => [key, structuredClone(value)]),
    );
  }
  loadStateDict(state: SchedulerState): void {
    Object.assign(this, structuredClone(state));
  }
}

/** One value for each group. */
export function perGroup<T>(value: T | readonly T[], optimizer: ScheduledOptimizer, op: string, name: string): T[] {
  const { length } = optimizer.paramGroups;
  if (!Array.isArray(value)) return new Array<T>(length).fill(value as T);
  if (value.length !== length)
    throw new ProjError('invalid-argument', `${value.length} values of ${name} for ${length} groups of parameters`, {
      op,
    });
  return [...(value as readonly T[])];
}
