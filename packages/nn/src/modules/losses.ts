/** Losses as modules. */
import { type Defaults, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import * as classes from '../functional/classification-losses.ts';
import { ctcLoss, type CtcOptions } from '../functional/ctc-loss.ts';
import * as values from '../functional/losses.ts';
import type { ReductionOptions } from '../functional/support.ts';
import { Module } from '../module.ts';

type Loss<Options> = (input: Tensor, target: Tensor, options: Options) => Tensor;
/** A function of two tensors with fixed options. */
class PairLoss<Options extends object> extends Module {
  readonly options: Options;
  readonly run: Loss<Options>;
  constructor(run: Loss<Options>, defaults: Defaults<Options>, options: Options) {
    super();
    this.run = run;
    this.options = withDefaults<Options>(new.target.name, defaults, options);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, this.options);
  }
}
/** Such a loss with a weight, which is a buffer. */
class WeightedLoss<Options extends { readonly weight?: Tensor | null }> extends PairLoss<Options> {
  declare weight: Tensor | null;
  constructor(run: Loss<Options>, defaults: Defaults<Options>, options: Options) {
    super(run, defaults, options);
    this.registerBuffer('weight', this.options.weight ?? null);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, { ...this.options, weight: this.weight });
  }
}

/** Mean absolute error. */
export class L1Loss extends PairLoss<ReductionOptions> {
  constructor(options: ReductionOptions = {}) {
    super(values.l1Loss, { reduction: 'mean' }, options);
  }
}
/** Mean squared error. */
export class MSELoss extends PairLoss<ReductionOptions> {
  constructor(options: ReductionOptions = {}) {
    super(values.mseLoss, { reduction: 'mean' }, options);
  }
}
/** Squared below beta, absolute beyond. */
export class SmoothL1Loss extends PairLoss<values.SmoothL1Options> {
  constructor(options: values.SmoothL1Options = {}) {
    super(values.smoothL1Loss, { reduction: 'mean', beta: 1 }, options);
  }
}
/** Squared below `delta`, linear above. */
export class HuberLoss extends PairLoss<values.HuberOptions> {
  constructor(options: values.HuberOptions = {}) {
    super(values.huberLoss, { reduction: 'mean', delta: 1 }, options);
  }
}
/** Softmax and negative log-likelihood in one. */
export class CrossEntropyLoss extends WeightedLoss<classes.CrossEntropyOptions> {
  constructor(options: classes.CrossEntropyOptions = {}) {
    super(classes.crossEntropy, { weight: null, ignoreIndex: -100, reduction: 'mean', labelSmoothing: 0 }, options);
  }
}
/** The negative of the target's log probability. */
export class NLLLoss extends WeightedLoss<classes.NllLossOptions> {
  constructor(options: classes.NllLossOptions = {}) {
    super(classes.nllLoss, { weight: null, ignoreIndex: -100, reduction: 'mean' }, options);
  }
}
/** {@link NLLLoss} under its older name. */
export const NLLLoss2d = NLLLoss;
/** Σ max(0, margin - x[y] + x[i])^p over the other classes i, by their number. */
export class MultiMarginLoss extends WeightedLoss<classes.MultiMarginOptions> {
  constructor(options: classes.MultiMarginOptions = {}) {
    super(classes.multiMarginLoss, { p: 1, margin: 1, weight: null, reduction: 'mean' }, options);
  }
}
/** Margin between the labelled and the other classes; labels are listed up to the first -1. */
export class MultiLabelMarginLoss extends PairLoss<ReductionOptions> {
  constructor(options: ReductionOptions = {}) {
    super(classes.multilabelMarginLoss, { reduction: 'mean' }, options);
  }
}
/** Binary cross-entropy of probabilities. */
export class BCELoss extends WeightedLoss<values.WeightedOptions> {
  constructor(options: values.WeightedOptions = {}) {
    super(values.binaryCrossEntropy, { weight: null, reduction: 'mean' }, options);
  }
}
/** Binary cross-entropy of logits. */
export class BCEWithLogitsLoss extends WeightedLoss<values.BceWithLogitsOptions> {
  declare posWeight: Tensor | null;
  constructor(options: values.BceWithLogitsOptions = {}) {
    super(values.binaryCrossEntropyWithLogits, { weight: null, reduction: 'mean', posWeight: null }, options);
    this.registerBuffer('posWeight', this.options.posWeight ?? null);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, { ...this.options, weight: this.weight, posWeight: this.posWeight });
  }
}
/** Binary cross-entropy of logits, averaged over the classes. */
export class MultiLabelSoftMarginLoss extends WeightedLoss<values.WeightedOptions> {
  constructor(options: values.WeightedOptions = {}) {
    super(values.multilabelSoftMarginLoss, { weight: null, reduction: 'mean' }, options);
  }
}
/** Kullback-Leibler divergence from log probabilities `input` to probabilities `target` (or their logarithms, with `logTarget`). */
export class KLDivLoss extends PairLoss<values.KlDivOptions> {
  constructor(options: values.KlDivOptions = {}) {
    super(values.klDiv, { reduction: 'mean', logTarget: false }, options);
  }
}
/** Negative log likelihood of counts under Poisson distributions. */
export class PoissonNLLLoss extends PairLoss<values.PoissonNllOptions> {
  constructor(options: values.PoissonNllOptions = {}) {
    super(values.poissonNllLoss, { logInput: true, full: false, eps: 1e-8, reduction: 'mean' }, options);
  }
}
/** x where y is 1, max(0, margin - x) where y is -1. */
export class HingeEmbeddingLoss extends PairLoss<values.MarginOptions> {
  constructor(options: values.MarginOptions = {}) {
    super(values.hingeEmbeddingLoss, { margin: 1, reduction: 'mean' }, options);
  }
}
/** ln(1 + e^(-y·x)) for y = ±1. */
export class SoftMarginLoss extends PairLoss<ReductionOptions> {
  constructor(options: ReductionOptions = {}) {
    super(values.softMarginLoss, { reduction: 'mean' }, options);
  }
}

type TripleFunction<Options> = (a: Tensor, b: Tensor, c: Tensor, options: Options) => Tensor;
class TripleLoss<Options extends object> extends Module {
  readonly options: Options;
  readonly run: TripleFunction<Options>;
  constructor(run: TripleFunction<Options>, defaults: Defaults<Options>, options: Options) {
    super();
    this.run = run;
    this.options = withDefaults<Options>(new.target.name, defaults, options);
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return this.run(input1, input2, target, this.options);
  }
}
/** max(0, -y · (x1 - x2) + margin) for y = ±1. */
export class MarginRankingLoss extends TripleLoss<values.MarginOptions> {
  constructor(options: values.MarginOptions = {}) {
    super(values.marginRankingLoss, { margin: 0, reduction: 'mean' }, options);
  }
}
/** 1 - cos(x1, x2) where y is 1, max(0, cos(x1, x2) - margin) where y is -1. */
export class CosineEmbeddingLoss extends TripleLoss<values.MarginOptions> {
  constructor(options: values.MarginOptions = {}) {
    super(values.cosineEmbeddingLoss, { margin: 0, reduction: 'mean' }, options);
  }
}
/** Negative log likelihood under normal distributions with means `input` and variances `variance`. */
export class GaussianNLLLoss extends TripleLoss<values.GaussianNllOptions> {
  constructor(options: values.GaussianNllOptions = {}) {
    super(values.gaussianNllLoss, { full: false, eps: 1e-6, reduction: 'mean' }, options);
  }
}
/** max(0, d(anchor, positive) - d(anchor, negative) + margin). */
export class TripletMarginLoss extends TripleLoss<values.TripletOptions> {
  constructor(options: values.TripletOptions = {}) {
    super(values.tripletMarginLoss, { margin: 1, p: 2, eps: 1e-6, swap: false, reduction: 'mean' }, options);
  }
}
/** {@link TripletMarginLoss} with a distance of your own. */
export class TripletMarginWithDistanceLoss extends TripleLoss<values.TripletWithDistanceOptions> {
  constructor(options: values.TripletWithDistanceOptions = {}) {
    super(
      values.tripletMarginWithDistanceLoss,
      { distanceFunction: null, margin: 1, swap: false, reduction: 'mean' },
      options,
    );
  }
}

/** Connectionist temporal classification. */
export class CTCLoss extends Module {
  readonly options: CtcOptions;
  constructor(options: CtcOptions = {}) {
    super();
    this.options = withDefaults('CTCLoss', { blank: 0, reduction: 'mean', zeroInfinity: false }, options);
  }
  override forward(
    logProbs: Tensor,
    targets: Tensor,
    inputLengths: Tensor | readonly number[],
    targetLengths: Tensor | readonly number[],
  ): Tensor {
    return ctcLoss(logProbs, targets, inputLengths, targetLengths, this.options);
  }
}
