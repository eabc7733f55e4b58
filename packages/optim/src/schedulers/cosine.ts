/** Cosine annealing, without and with warm restarts (Loshchilov and Hutter 2017). */
import { ProjError, withDefaults } from '@proj/kernel';
import { requirePositive } from '../checks.ts';
import { LRScheduler, type ScheduledOptimizer, type SchedulerOptions } from './scheduler.ts';

export interface CosineOptions extends SchedulerOptions {
  /** The smallest rate (default 0). */
  readonly etaMin?: number;
}

/** Half a cosine from the initial rate to `etaMin` over `TMax` epochs, then back. */
export class CosineAnnealingLR extends LRScheduler {
  readonly TMax: number;
  readonly etaMin: number;
  constructor(optimizer: ScheduledOptimizer, TMax: number, options: CosineOptions = {}) {
    const { etaMin, ...rest } = withDefaults('CosineAnnealingLR', { etaMin: 0, lastEpoch: -1 }, options);
    super(optimizer, rest);
    requirePositive('CosineAnnealingLR', 'TMax', TMax);
    this.TMax = TMax;
    this.etaMin = etaMin;
    this.start();
  }
  protected getLr(): number[] {
    const { lastEpoch, TMax, etaMin } = this;
    if (lastEpoch === 0) return this.rates;
    if (this.stepCount === 1) return this.closedForm();
    if ((lastEpoch - 1 - TMax) % (2 * TMax) === 0)
      return this.rates.map((lr, i) => lr + ((this.baseLrs[i] - etaMin) * (1 - Math.cos(Math.PI / TMax))) / 2);
    const ratio = (1 + Math.cos((Math.PI * lastEpoch) / TMax)) / (1 + Math.cos((Math.PI * (lastEpoch - 1)) / TMax));
    return this.rates.map((lr) => ratio * (lr - etaMin) + etaMin);
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map(
      (lr) => this.etaMin + ((lr - this.etaMin) * (1 + Math.cos((Math.PI * this.lastEpoch) / this.TMax))) / 2,
    );
  }
}

export interface WarmRestartOptions extends CosineOptions {
  /** Factor by which periods grow (default 1). */
  readonly TMult?: number;
}

/** Half a cosine over `T0` epochs, then anew over `T0·TMult`, and so on. `step(epoch)` takes fractions of epochs. */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  readonly T0: number;
  readonly TMult: number;
  readonly etaMin: number;
  /** Length of the present period, and the place in it. */
  Ti: number;
  Tcur: number;
  constructor(optimizer: ScheduledOptimizer, T0: number, options: WarmRestartOptions = {}) {
    const { TMult, etaMin, ...rest } = withDefaults(
      'CosineAnnealingWarmRestarts',
      { TMult: 1, etaMin: 0, lastEpoch: -1 },
      options,
    );
    super(optimizer, rest);
    for (const [name, value] of Object.entries({ T0, TMult }))
      if (!Number.isInteger(value) || value < 1)
        throw new ProjError('invalid-argument', `${name} is ${value}`, {
          op: 'CosineAnnealingWarmRestarts',
          cure: 'It must be a positive integer',
        });
    this.T0 = T0;
    this.TMult = TMult;
    this.etaMin = etaMin;
    this.Ti = T0;
    this.Tcur = rest.lastEpoch;
    this.start();
  }
  protected getLr(): number[] {
    return this.baseLrs.map(
      (lr) => this.etaMin + ((lr - this.etaMin) * (1 + Math.cos((Math.PI * this.Tcur) / this.Ti))) / 2,
    );
  }
  override step(epoch?: number | null): void {
    const to = epoch ?? (this.lastEpoch < 0 ? 0 : null);
    this.stepCount++;
    if (to === null) {
      this.lastEpoch++;
      this.Tcur++;
      if (this.Tcur >= this.Ti) {
        this.Tcur -= this.Ti;
        this.Ti *= this.TMult;
      }
    } else {
      if (to < 0) throw new ProjError('invalid-argument', `epoch is ${to}`, { op: 'CosineAnnealingWarmRestarts.step' });
      this.Ti = this.T0;
      this.Tcur = to;
      while (this.Tcur >= this.Ti) {
        this.Tcur -= this.Ti;
        this.Ti *= this.TMult;
      }
      this.lastEpoch = Math.floor(to);
    }
    this.apply(this.getLr());
  }
}
