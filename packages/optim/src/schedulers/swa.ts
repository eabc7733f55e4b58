/** The schedule of stochastic weight averaging: to a rate, and constant from there (Izmailov et al. 2018). */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { LRScheduler, perGroup, type ScheduledOptimizer, type SchedulerOptions } from './scheduler.ts';

export interface SWALROptions extends SchedulerOptions {
  /** Epochs until the rate is reached (default 10). */
  readonly annealEpochs?: number;
  /** Default 'cos'. */
  readonly annealStrategy?: 'cos' | 'linear';
}

/** Goes from the present rates to `swaLr` (one for all groups, or a list) within `annealEpochs`, and stays there. */
export class SWALR extends LRScheduler {
  readonly annealEpochs: number;
  readonly annealStrategy: 'cos' | 'linear';
  constructor(optimizer: ScheduledOptimizer, swaLr: number | readonly number[], options: SWALROptions = {}) {
    const { annealEpochs, annealStrategy, ...rest } = withDefaults(
      'SWALR',
      { annealEpochs: 10, annealStrategy: 'cos', lastEpoch: -1 },
      options,
    );
    super(optimizer, rest);
    const rates = perGroup(swaLr, optimizer, 'SWALR', 'swaLr');
    if (!['cos', 'linear'].includes(annealStrategy))
      throw new ProjError('invalid-argument', `annealStrategy is ${describeValue(annealStrategy)}`, {
        op: 'SWALR',
        cure: "It must be 'cos' or 'linear'",
      });
    if (!Number.isInteger(annealEpochs) || annealEpochs < 0)
      throw new ProjError('invalid-argument', `annealEpochs is ${describeValue(annealEpochs)}`, {
        op: 'SWALR',
        cure: 'It must be a whole number, at least 0',
      });
    optimizer.paramGroups.forEach((group, i) => (group.swaLr = rates[i]));
    this.annealEpochs = annealEpochs;
    this.annealStrategy = annealStrategy;
    this.start();
  }
  /** Share of `swaLr` in the rate after `step` steps. */
  #share(step: number): number {
    const t = Math.max(0, Math.min(1, step / Math.max(1, this.annealEpochs)));
    return this.annealStrategy === 'linear' ? t : (1 - Math.cos(Math.PI * t)) / 2;
  }
  protected getLr(): number[] {
    const step = this.annealEpochs === 0 ? Math.max(1, this.stepCount - 1) : this.stepCount - 1;
    const before = this.#share(step - 1);
    const share = this.#share(step);
    return this.optimizer.paramGroups.map(({ lr, swaLr = lr }) => {
      // The rate that the annealing began with follows from the present one.
      const initial = before === 1 ? swaLr : (lr - before * swaLr) / (1 - before);
      return swaLr * share + initial * (1 - share);
    });
  }
}
