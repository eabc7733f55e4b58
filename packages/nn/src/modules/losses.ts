/** Losses as modules. */
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
  constructor(run: Loss<Options>, options: Options) {
    super();
    this.run = run;
    this.options = options;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, this.options);
  }
}
/** Such a loss with a weight, which is a buffer. */
class WeightedLoss<Options extends { readonly weight?: Tensor | null }> extends PairLoss<Options> {
  declare weight: Tensor | null;
  constructor(run: Loss<Options>, { weight = null, ...options }: Options) {
    super(run, options as unknown as Options);
    this.registerBuffer('weight', weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, { ...this.options, weight: this.weight });
  }
}

/** Mean absolute error. */
export class L1Loss extends PairLoss<ReductionOptions> {
  constructor({ reduction = 'mean' }: ReductionOptions = {}) {
    super(values.l1Loss, { reduction });
  }
}
/** Mean squared error. */
export class MSELoss extends PairLoss<ReductionOptions> {
  constructor({ reduction = 'mean' }: ReductionOptions = {}) {
    super(values.mseLoss, { reduction });
  }
}
/** Squared below beta, absolute beyond. */
export class SmoothL1Loss extends PairLoss<values.SmoothL1Options> {
  constructor({ reduction = 'mean', beta = 1 }: values.SmoothL1Options = {}) {
    super(values.smoothL1Loss, { reduction, beta });
  }
}
/** Squared below `delta`, linear above. */
export class HuberLoss extends PairLoss<values.HuberOptions> {
  constructor({ reduction = 'mean', delta = 1 }: values.HuberOptions = {}) {
    super(values.huberLoss, { reduction, delta });
  }
}
/** Softmax and negative log-likelihood in one. */
export class CrossEntropyLoss extends WeightedLoss<classes.CrossEntropyOptions> {
  constructor({
    weight = null,
    ignoreIndex = -100,
    reduction = 'mean',
    labelSmoothing = 0,
  }: classes.CrossEntropyOptions = {}) {
    super(classes.crossEntropy, { weight, ignoreIndex, reduction, labelSmoothing });
  }
}
/** The negative of the target's log probability. */
export class NLLLoss extends WeightedLoss<classes.NllLossOptions> {
  constructor({ weight = null, ignoreIndex = -100, reduction = 'mean' }: classes.NllLossOptions = {}) {
    super(classes.nllLoss, { weight, ignoreIndex, reduction });
  }
}
/** {@link NLLLoss} under its older name. */
export const NLLLoss2d = NLLLoss;
/** Σ max(0, margin - x[y] + x[i])^p over the other classes i, by their number. */
export class MultiMarginLoss extends WeightedLoss<classes.MultiMarginOptions> {
  constructor({ p = 1, margin = 1, weight = null, reduction = 'mean' }: classes.MultiMarginOptions = {}) {
    super(classes.multiMarginLoss, { p, margin, weight, reduction });
  }
}
/** Margin between the labelled and the other classes; labels are listed up to the first -1. */
export class MultiLabelMarginLoss extends PairLoss<ReductionOptions> {
  constructor({ reduction = 'mean' }: ReductionOptions = {}) {
    super(classes.multilabelMarginLoss, { reduction });
  }
}
/** Binary cross-entropy of probabilities. */
export class BCELoss extends WeightedLoss<values.WeightedOptions> {
  constructor({ weight = null, reduction = 'mean' }: values.WeightedOptions = {}) {
    super(values.binaryCrossEntropy, { weight, reduction });
  }
}
/** Binary cross-entropy of logits. */
export class BCEWithLogitsLoss extends WeightedLoss<values.BceWithLogitsOptions> {
  declare posWeight: Tensor | null;
  constructor({ weight = null, reduction = 'mean', posWeight = null }: values.BceWithLogitsOptions = {}) {
    super(values.binaryCrossEntropyWithLogits, { weight, reduction });
    this.registerBuffer('posWeight', posWeight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return this.run(input, target, { ...this.options, weight: this.weight, posWeight: this.posWeight });
  }
}
/** Binary cross-entropy of logits, averaged over the classes. */
export class MultiLabelSoftMarginLoss extends WeightedLoss<values.WeightedOptions> {
  constructor({ weight = null, reduction = 'mean' }: values.WeightedOptions = {}) {
    super(values.multilabelSoftMarginLoss, { weight, reduction });
  }
}
/** Kullback-Leibler divergence from log probabilities `input` to probabilities `target` (or their logarithms, with `logTarget`). */
export class KLDivLoss extends PairLoss<values.KlDivOptions> {
  constructor({ reduction = 'mean', logTarget = false }: values.KlDivOptions = {}) {
    super(values.klDiv, { reduction, logTarget });
  }
}
/** Negative log likelihood of counts under Poisson distributions. */
export class PoissonNLLLoss extends PairLoss<values.PoissonNllOptions> {
  constructor({ logInput = true, full = false, eps = 1e-8, reduction = 'mean' }: values.PoissonNllOptions = {}) {
    super(values.poissonNllLoss, { logInput, full, eps, reduction });
  }
}
/** x where y is 1, max(0, margin - x) where y is -1. */
export class HingeEmbeddingLoss extends PairLoss<values.MarginOptions> {
  constructor({ margin = 1, reduction = 'mean' }: values.MarginOptions = {}) {
    super(values.hingeEmbeddingLoss, { margin, reduction });
  }
}
/** ln(1 + e^(-y·x)) for y = ±1. */
export class SoftMarginLoss extends PairLoss<ReductionOptions> {
  constructor({ reduction = 'mean' }: ReductionOptions = {}) {
    super(values.softMarginLoss, { reduction });
  }
}

type TripleFunction<Options> = (a: Tensor, b: Tensor, c: Tensor, options: Options) => Tensor;
class TripleLoss<Options extends object> extends Module {
  readonly options: Options;
  readonly run: TripleFunction<Options>;
  constructor(run: TripleFunction<Options>, options: Options) {
    super();
    this.run = run;
    this.options = options;
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return this.run(input1, input2, target, this.options);
  }
}
/** max(0, -y · (x1 - x2) + margin) for y = ±1. */
export class MarginRankingLoss extends TripleLoss<values.MarginOptions> {
  constructor({ margin = 0, reduction = 'mean' }: values.MarginOptions = {}) {
    super(values.marginRankingLoss, { margin, reduction });
  }
}
/** 1 - cos(x1, x2) where y is 1, max(0, cos(x1, x2) - margin) where y is -1. */
export class CosineEmbeddingLoss extends TripleLoss<values.MarginOptions> {
  constructor({ margin = 0, reduction = 'mean' }: values.MarginOptions = {}) {
    super(values.cosineEmbeddingLoss, { margin, reduction });
  }
}
/** Negative log likelihood under normal distributions with means `input` and variances `variance`. */
export class GaussianNLLLoss extends TripleLoss<values.GaussianNllOptions> {
  constructor({ full = false, eps = 1e-6, reduction = 'mean' }: values.GaussianNllOptions = {}) {
    super(values.gaussianNllLoss, { full, eps, reduction });
  }
}
/** max(0, d(anchor, positive) - d(anchor, negative) + margin). */
export class TripletMarginLoss extends TripleLoss<values.TripletOptions> {
  constructor({ margin = 1, p = 2, eps = 1e-6, swap = false, reduction = 'mean' }: values.TripletOptions = {}) {
    super(values.tripletMarginLoss, { margin, p, eps, swap, reduction });
  }
}
/** {@link TripletMarginLoss} with a distance of your own. */
export class TripletMarginWithDistanceLoss extends TripleLoss<values.TripletWithDistanceOptions> {
  constructor({
    distanceFunction = null,
    margin = 1,
    swap = false,
    reduction = 'mean',
  }: values.TripletWithDistanceOptions = {}) {
    super(values.tripletMarginWithDistanceLoss, { distanceFunction, margin, swap, reduction });
  }
}

/** Connectionist temporal classification. */
export class CTCLoss extends Module {
  readonly options: CtcOptions;
  constructor({ blank = 0, reduction = 'mean', zeroInfinity = false }: CtcOptions = {}) {
    super();
    this.options = { blank, reduction, zeroInfinity };
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
