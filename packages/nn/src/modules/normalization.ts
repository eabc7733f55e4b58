/** Normalisation layers. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, ones, type Tensor, zeros } from '@proj/tensor';
import {
  batchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  localResponseNorm,
  type LocalResponseNormOptions,
} from '../functional/normalization.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { joined, python, settings } from '../printing.ts';
import { FACTORY, type FactoryOptions } from './linear.ts';

const onesParameter = (shape: readonly number[], { dtype = null, device = null }: FactoryOptions): Parameter =>
  new Parameter(ones([...shape], { dtype, device }));
const zerosParameter = (shape: readonly number[], { dtype = null, device = null }: FactoryOptions): Parameter =>
  new Parameter(zeros([...shape], { dtype, device }));

export interface LayerNormOptions extends FactoryOptions {
  readonly eps?: number;
  readonly elementwiseAffine?: boolean;
}
/** Normalises [..., ...normalizedShape] over its last dimensions, then scales and shifts each place (Ba et al. 2016). Same shape and dtype. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super();
    const { eps, elementwiseAffine, ...factory } = withDefaults(
      'LayerNorm',
      { eps: 1e-5, elementwiseAffine: true, ...FACTORY },
      options,
    );
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : [...normalizedShape];
    this.eps = eps;
    this.weight = elementwiseAffine ? onesParameter(this.normalizedShape, factory) : null;
    this.bias = elementwiseAffine ? zerosParameter(this.normalizedShape, factory) : null;
  }
  override forward(input: Tensor): Tensor {
    return layerNorm(input, this.normalizedShape, this.weight, this.bias, { eps: this.eps });
  }
  override extraRepr(): string {
    return joined(python(this.normalizedShape), settings({ eps: this.eps, elementwiseAffine: this.weight !== null }));
  }
}

export interface GroupNormOptions extends FactoryOptions {
  readonly eps?: number;
  readonly affine?: boolean;
}
/** Normalises [N, C, ...] over groups of channels (Wu and He 2018). Same shape and dtype. Errors: channels that do not divide into the groups. */
export class GroupNorm extends Module {
  readonly numGroups: number;
  readonly numChannels: number;
  readonly eps: number;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(numGroups: number, numChannels: number, options: GroupNormOptions = {}) {
    super();
    const { eps, affine, ...factory } = withDefaults('GroupNorm', { eps: 1e-5, affine: true, ...FACTORY }, options);
    if (numChannels % numGroups !== 0)
      throw new ProjError('invalid-argument', `${numChannels} channels do not divide into ${numGroups} groups`, {
        op: 'GroupNorm',
      });
    this.numGroups = numGroups;
    this.numChannels = numChannels;
    this.eps = eps;
    this.weight = affine ? onesParameter([numChannels], factory) : null;
    this.bias = affine ? zerosParameter([numChannels], factory) : null;
  }
  override forward(input: Tensor): Tensor {
    return groupNorm(input, this.numGroups, this.weight, this.bias, { eps: this.eps });
  }
  override extraRepr(): string {
    const { numGroups, numChannels, eps } = this;
    return joined(`${numGroups}, ${numChannels}`, settings({ eps, affine: this.weight !== null }));
  }
}

export interface BatchNormModuleOptions extends FactoryOptions {
  readonly eps?: number;
  /** Share of the newest statistics; null for the average over all batches. */
  readonly momentum?: number | null;
  readonly affine?: boolean;
  readonly trackRunningStats?: boolean;
}

/** Parameters and running statistics of the layers that normalise channels. */
class ChannelNorm extends Module {
  readonly numFeatures: number;
  readonly eps: number;
  momentum: number | null;
  readonly trackRunningStats: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  declare runningMean: Tensor | null;
  declare runningVar: Tensor | null;
  declare numBatchesTracked: Tensor | null;

  constructor(
    numFeatures: number,
    eps: number,
    momentum: number | null,
    affine: boolean,
    trackRunningStats: boolean,
    factory: FactoryOptions,
  ) {
    super();
    this.numFeatures = numFeatures;
    this.eps = eps;
    this.momentum = momentum;
    this.trackRunningStats = trackRunningStats;
    this.weight = affine ? onesParameter([numFeatures], factory) : null;
    this.bias = affine ? zerosParameter([numFeatures], factory) : null;
    const { dtype = null, device = null } = factory;
    this.registerBuffer('runningMean', trackRunningStats ? zeros([numFeatures], { dtype, device }) : null);
    this.registerBuffer('runningVar', trackRunningStats ? ones([numFeatures], { dtype, device }) : null);
    this.registerBuffer(
      'numBatchesTracked',
      trackRunningStats ? fromArray(BigInt64Array.of(0n), [], 'int64', { device }) : null,
    );
  }
  /** Forgets the running statistics. */
  resetRunningStats(): void {
    noGrad(() => {
      this.runningMean?.zero_();
      this.runningVar?.fill_(1);
      this.numBatchesTracked?.zero_();
    });
  }
  override extraRepr(): string {
    const { numFeatures, eps, momentum, weight, trackRunningStats } = this;
    return joined(String(numFeatures), settings({ eps, momentum, affine: weight !== null, trackRunningStats }));
  }
}

function checkRank(input: Tensor, ranks: readonly number[], module: Module): void {
  if (!ranks.includes(input.ndim))
    throw new ProjError('shape-mismatch', `expected ${ranks.join(' or ')} dimensions, got ${input.ndim}`, {
      op: module.constructor.name,
      shapes: [input.shape],
    });
}

class BatchNorm extends ChannelNorm {
  readonly ranks: readonly number[];
  constructor(ranks: readonly number[], numFeatures: number, options: BatchNormModuleOptions) {
    const { eps, momentum, affine, trackRunningStats, ...factory } = withDefaults(
      new.target.name,
      { eps: 1e-5, momentum: 0.1, affine: true, trackRunningStats: true, ...FACTORY },
      options,
    );
    super(numFeatures, eps, momentum, affine, trackRunningStats, factory);
    this.ranks = ranks;
  }
  /** Begins the running statistics anew, as averages over all batches to come whatever the momentum is; what is returned restores the momentum. */
  averageRunningStats(): () => void {
    const { momentum } = this;
    this.resetRunningStats();
    this.momentum = null;
    return () => (this.momentum = momentum);
  }
  override forward(input: Tensor): Tensor {
    checkRank(input, this.ranks, this);
    let momentum: number | Tensor = this.momentum ?? 0;
    if (this.training && this.trackRunningStats && this.numBatchesTracked !== null) {
      const counter = this.numBatchesTracked;
      noGrad(() => counter.assign(counter.add(1).node, 'add_'));
      if (this.momentum === null) momentum = counter.to('float32').reciprocal();
    }
    const useBatch = this.training || (this.runningMean === null && this.runningVar === null);
    const track = !this.training || this.trackRunningStats;
    return batchNorm(input, track ? this.runningMean : null, track ? this.runningVar : null, this.weight, this.bias, {
      training: useBatch,
      momentum,
      eps: this.eps,
    });
  }
}
/** Batch normalisation of [N, C] or [N, C, L]. */
export class BatchNorm1d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super([2, 3], numFeatures, options);
  }
}
/** Batch normalisation of [N, C, H, W]. */
export class BatchNorm2d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super([4], numFeatures, options);
  }
}
/** Batch normalisation of [N, C, D, H, W]. */
export class BatchNorm3d extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super([5], numFeatures, options);
  }
}

class InstanceNorm extends ChannelNorm {
  readonly rank: number;
  constructor(rank: number, numFeatures: number, options: BatchNormModuleOptions) {
    const { eps, momentum, affine, trackRunningStats, ...factory } = withDefaults(
      new.target.name,
      { eps: 1e-5, momentum: 0.1, affine: false, trackRunningStats: false, ...FACTORY },
      options,
    );
    super(numFeatures, eps, momentum, affine, trackRunningStats, factory);
    this.rank = rank;
  }
  override forward(input: Tensor): Tensor {
    checkRank(input, [this.rank - 1, this.rank], this);
    const x = input.ndim === this.rank ? input : input.unsqueeze(0);
    const result = instanceNorm(x, this.runningMean, this.runningVar, this.weight, this.bias, {
      useInputStats: this.training || !this.trackRunningStats,
      momentum: this.momentum ?? 0,
      eps: this.eps,
    });
    return input.ndim === this.rank ? result : result.squeeze(0);
  }
}
/** Instance normalisation of [N, C, L]. */
export class InstanceNorm1d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(3, numFeatures, options);
  }
}
/** Instance normalisation of [N, C, H, W]. */
export class InstanceNorm2d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(4, numFeatures, options);
  }
}
/** Instance normalisation of [N, C, D, H, W]. */
export class InstanceNorm3d extends InstanceNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super(5, numFeatures, options);
  }
}
/** Divides by a power of the mean square of neighbouring channels. */
export class LocalResponseNorm extends Module {
  readonly size: number;
  readonly options: LocalResponseNormOptions;
  constructor(size: number, options: LocalResponseNormOptions = {}) {
    super();
    const { alpha, beta, k } = withDefaults('LocalResponseNorm', { alpha: 1e-4, beta: 0.75, k: 1 }, options);
    this.size = size;
    this.options = { alpha, beta, k };
  }
  override forward(input: Tensor): Tensor {
    return localResponseNorm(input, this.size, this.options);
  }
  override extraRepr(): string {
    return joined(String(this.size), settings({ ...this.options }));
  }
}

/** As {@link LocalResponseNorm}, for [N, C, H, W]. */
export class CrossMapLRN2d extends LocalResponseNorm {
  constructor(size: number, options: LocalResponseNormOptions = {}) {
    super(size, withDefaults('CrossMapLRN2d', { alpha: 1e-4, beta: 0.75, k: 1 }, options));
  }
}
/** Batch normalisation over all processes; with one process, that of the batch. */
export class SyncBatchNorm extends BatchNorm {
  constructor(numFeatures: number, options: BatchNormModuleOptions = {}) {
    super([2, 3, 4, 5], numFeatures, options);
  }
}
