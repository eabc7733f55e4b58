/** Schedulers that multiply the rate by a factor that depends on the epoch. */
import { withDefaults } from '@proj/kernel';
import { requirePositive, requireRange, requireStartingFactor } from '../checks.ts';
import { LRScheduler, perGroup, type ScheduledOptimizer, type SchedulerOptions } from './scheduler.ts';

export type LrFunction = (epoch: number) => number;

/** Schedulers whose factors are functions, one for all groups or one for each. */
abstract class FunctionLR extends LRScheduler {
  readonly lrLambdas: readonly LrFunction[];
  constructor(
    optimizer: ScheduledOptimizer,
    lrLambda: LrFunction | readonly LrFunction[],
    options: SchedulerOptions = {},
  ) {
    super(optimizer, options);
    this.lrLambdas = perGroup(lrLambda, optimizer, new.target.name, 'lrLambda');
    this.start();
  }
  /** Functions cannot be saved: whoever loads the state gives them anew. */
  override stateDict(): Record<string, unknown> {
    const { optimizer: _optimizer, lrLambdas: _lrLambdas, ...rest } = this as unknown as Record<string, unknown>;
    return structuredClone(rest);
  }
}

/** `lr = initial · lrLambda(epoch)`; one function, or one for each group. */
export class LambdaLR extends FunctionLR {
  protected getLr(): number[] {
    return this.baseLrs.map((lr, i) => lr * this.lrLambdas[i](this.lastEpoch));
  }
}

/** `lr ← lr · lrLambda(epoch)`. */
export class MultiplicativeLR extends FunctionLR {
  protected getLr(): number[] {
    return this.lastEpoch > 0 ? this.rates.map((lr, i) => lr * this.lrLambdas[i](this.lastEpoch)) : this.rates;
  }
}

export interface GammaOptions extends SchedulerOptions {
  /** Factor of each decay (default 0.1). */
  readonly gamma?: number;
}

/** Decays every `stepSize` epochs. */
export class StepLR extends LRScheduler {
  readonly stepSize: number;
  readonly gamma: number;
  constructor(optimizer: ScheduledOptimizer, stepSize: number, options: GammaOptions = {}) {
    const { gamma, ...rest } = withDefaults('StepLR', { gamma: 0.1, lastEpoch: -1 }, options);
    super(optimizer, rest);
    requirePositive('StepLR', 'stepSize', stepSize);
    this.stepSize = stepSize;
    this.gamma = gamma;
    this.start();
  }
  protected getLr(): number[] {
    return this.lastEpoch === 0 || this.lastEpoch % this.stepSize !== 0
      ? this.rates
      : this.rates.map((lr) => lr * this.gamma);
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map((lr) => lr * this.gamma ** Math.floor(this.lastEpoch / this.stepSize));
  }
}

/** Decays at each of the milestones; one that appears twice decays twice. */
export class MultiStepLR extends LRScheduler {
  readonly milestones: readonly number[];
  readonly gamma: number;
  constructor(optimizer: ScheduledOptimizer, milestones: readonly number[], options: GammaOptions = {}) {
    const { gamma, ...rest } = withDefaults('MultiStepLR', { gamma: 0.1, lastEpoch: -1 }, options);
    super(optimizer, rest);
    this.milestones = [...milestones];
    this.gamma = gamma;
    this.start();
  }
  protected getLr(): number[] {
    const count = this.milestones.filter((milestone) => milestone === this.lastEpoch).length;
    return this.rates.map((lr) => lr * this.gamma ** count);
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map(
      (lr) => lr * this.gamma ** this.milestones.filter((milestone) => milestone <= this.lastEpoch).length,
    );
  }
}

/** Decays at each epoch. */
export class ExponentialLR extends LRScheduler {
  readonly gamma: number;
  constructor(optimizer: ScheduledOptimizer, gamma: number, options: SchedulerOptions = {}) {
    super(optimizer, options);
    this.gamma = gamma;
    this.start();
  }
  protected getLr(): number[] {
    return this.lastEpoch === 0 ? this.rates : this.rates.map((lr) => lr * this.gamma);
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map((lr) => lr * this.gamma ** this.lastEpoch);
  }
}

export interface ConstantLROptions extends SchedulerOptions {
  /** Factor until `totalIters` (default 1/3). */
  readonly factor?: number;
  readonly totalIters?: number;
}
/** A smaller rate for the first `totalIters` epochs. */
export class ConstantLR extends LRScheduler {
  readonly factor: number;
  readonly totalIters: number;
  constructor(optimizer: ScheduledOptimizer, options: ConstantLROptions = {}) {
    const { factor, totalIters, ...rest } = withDefaults(
      'ConstantLR',
      { factor: 1 / 3, totalIters: 5, lastEpoch: -1 },
      options,
    );
    super(optimizer, rest);
    requireStartingFactor('ConstantLR', 'factor', factor);
    this.factor = factor;
    this.totalIters = totalIters;
    this.start();
  }
  protected getLr(): number[] {
    if (this.lastEpoch === 0) return this.rates.map((lr) => lr * this.factor);
    return this.lastEpoch === this.totalIters ? this.rates.map((lr) => lr * (1 / this.factor)) : this.rates;
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map((lr) => lr * (this.lastEpoch >= this.totalIters ? 1 : this.factor));
  }
}

export interface LinearLROptions extends SchedulerOptions {
  /** Factor at epoch 0 (default 1/3). */
  readonly startFactor?: number;
  /** Factor from `totalIters` on (default 1). */
  readonly endFactor?: number;
  readonly totalIters?: number;
}
/** A factor that changes linearly over the first `totalIters` epochs: a warm-up. */
export class LinearLR extends LRScheduler {
  readonly startFactor: number;
  readonly endFactor: number;
  readonly totalIters: number;
  constructor(optimizer: ScheduledOptimizer, options: LinearLROptions = {}) {
    const { startFactor, endFactor, totalIters, ...rest } = withDefaults(
      'LinearLR',
      { startFactor: 1 / 3, endFactor: 1, totalIters: 5, lastEpoch: -1 },
      options,
    );
    super(optimizer, rest);
    requireStartingFactor('LinearLR', 'startFactor', startFactor);
    requireRange('LinearLR', 'endFactor', endFactor, 0, 1, true);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = totalIters;
    this.start();
  }
  protected getLr(): number[] {
    const { lastEpoch, startFactor, endFactor, totalIters } = this;
    if (lastEpoch === 0) return this.rates.map((lr) => lr * startFactor);
    if (lastEpoch > totalIters) return this.rates;
    const change = endFactor - startFactor;
    return this.rates.map((lr) => lr * (1 + change / (totalIters * startFactor + (lastEpoch - 1) * change)));
  }
  protected override closedForm(): number[] {
    const done = Math.min(this.totalIters, this.lastEpoch) / this.totalIters;
    return this.baseLrs.map((lr) => lr * (this.startFactor + (this.endFactor - this.startFactor) * done));
  }
}

export interface PolynomialLROptions extends SchedulerOptions {
  readonly totalIters?: number;
  /** Default 1. */
  readonly power?: number;
}
/** `lr = initial · (1 - epoch/totalIters)^power`, then 0. */
export class PolynomialLR extends LRScheduler {
  readonly totalIters: number;
  readonly power: number;
  constructor(optimizer: ScheduledOptimizer, options: PolynomialLROptions = {}) {
    const { totalIters, power, ...rest } = withDefaults(
      'PolynomialLR',
      { totalIters: 5, power: 1, lastEpoch: -1 },
      options,
    );
    super(optimizer, rest);
    this.totalIters = totalIters;
    this.power = power;
    this.start();
  }
  protected getLr(): number[] {
    const { lastEpoch, totalIters } = this;
    if (lastEpoch === 0 || lastEpoch > totalIters) return this.rates;
    const factor = ((1 - lastEpoch / totalIters) / (1 - (lastEpoch - 1) / totalIters)) ** this.power;
    return this.rates.map((lr) => lr * factor);
  }
  protected override closedForm(): number[] {
    return this.baseLrs.map(
      (lr) => lr * (1 - Math.min(this.totalIters, this.lastEpoch) / this.totalIters) ** this.power,
    );
  }
}
