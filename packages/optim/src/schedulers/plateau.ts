/** Reducing the rate when a metric stops improving. */
import { ProjError, withDefaults } from '@proj/kernel';
import { Tensor } from '@proj/tensor';
import { perGroup, type ScheduledOptimizer, type SchedulerState } from './scheduler.ts';

export interface PlateauOptions {
  /** Whether small (`min`, the default) or large metrics are good. */
  readonly mode?: 'min' | 'max';
  /** New rate over old (default 0.1). */
  readonly factor?: number;
  /** Steps without improvement that are tolerated (default 10). */
  readonly patience?: number;
  /** What counts as an improvement (default 1e-4, relative). */
  readonly threshold?: number;
  readonly thresholdMode?: 'rel' | 'abs';
  /** Steps to wait after a reduction. */
  readonly cooldown?: number;
  readonly minLr?: number | readonly number[];
  /** Smaller changes of the rate are left out. */
  readonly eps?: number;
}

/** `step(metric)` after each validation. */
export class ReduceLROnPlateau {
  readonly optimizer: ScheduledOptimizer;
  readonly mode: 'min' | 'max';
  readonly factor: number;
  readonly patience: number;
  readonly threshold: number;
  readonly thresholdMode: 'rel' | 'abs';
  readonly cooldown: number;
  readonly minLrs: readonly number[];
  readonly eps: number;
  best: number;
  numBadEpochs = 0;
  cooldownCounter = 0;
  lastEpoch = 0;
  protected lastLr: number[];

  constructor(optimizer: ScheduledOptimizer, options: PlateauOptions = {}) {
    const { mode, factor, patience, threshold, thresholdMode, cooldown, minLr, eps } = withDefaults(
      'ReduceLROnPlateau',
      {
        mode: 'min',
        factor: 0.1,
        patience: 10,
        threshold: 1e-4,
        thresholdMode: 'rel',
        cooldown: 0,
        minLr: 0,
        eps: 1e-8,
      },
      options,
    );
    if (factor >= 1)
      throw new ProjError('invalid-argument', `factor is ${factor}`, {
        op: 'ReduceLROnPlateau',
        cure: 'It must be below 1',
      });
    if (mode !== 'min' && mode !== 'max')
      throw new ProjError('invalid-argument', `mode is "${String(mode)}"`, {
        op: 'ReduceLROnPlateau',
        cure: "Use 'min' or 'max'",
      });
    if (thresholdMode !== 'rel' && thresholdMode !== 'abs')
      throw new ProjError('invalid-argument', `thresholdMode is "${String(thresholdMode)}"`, {
        op: 'ReduceLROnPlateau',
        cure: "Use 'rel' or 'abs'",
      });
    this.optimizer = optimizer;
    this.mode = mode;
    this.factor = factor;
    this.patience = patience;
    this.threshold = threshold;
    this.thresholdMode = thresholdMode;
    this.cooldown = cooldown;
    this.minLrs = perGroup(minLr, optimizer, 'ReduceLROnPlateau', 'minLr');
    this.eps = eps;
    this.best = mode === 'min' ? Infinity : -Infinity;
    this.lastLr = optimizer.paramGroups.map((group) => group.lr);
  }

  step(metrics: number | Tensor, epoch?: number | null): void {
    const current = metrics instanceof Tensor ? metrics.item() : Number(metrics);
    this.lastEpoch = epoch ?? this.lastEpoch + 1;
    if (this.isBetter(current, this.best)) {
      this.best = current;
      this.numBadEpochs = 0;
    } else this.numBadEpochs++;
    if (this.inCooldown) {
      this.cooldownCounter--;
      this.numBadEpochs = 0;
    }
    if (this.numBadEpochs > this.patience) {
      this.optimizer.paramGroups.forEach((group, i) => {
        const reduced = Math.max(group.lr * this.factor, this.minLrs[i]);
        if (group.lr - reduced > this.eps) group.lr = reduced;
      });
      this.cooldownCounter = this.cooldown;
      this.numBadEpochs = 0;
    }
    this.lastLr = this.optimizer.paramGroups.map((group) => group.lr);
  }

  get inCooldown(): boolean {
    return this.cooldownCounter > 0;
  }

  isBetter(metric: number, best: number): boolean {
    const sign = this.mode === 'min' ? -1 : 1;
    const bound = this.thresholdMode === 'rel' ? best * (1 + sign * this.threshold) : best + sign * this.threshold;
    return this.mode === 'min' ? metric < bound : metric > bound;
  }

  getLastLr(): number[] {
    return [...this.lastLr];
  }
  stateDict(): SchedulerState {
    const { optimizer: _optimizer, ...rest } = this as unknown as Record<string, unknown>;
    return structuredClone(rest);
  }
  loadStateDict(state: SchedulerState): void {
    Object.assign(this, structuredClone(state));
  }
}
