/** Losses between values, as torch.nn.functional. */
import { ProjError, withDefaults } from '@proj/kernel';
import { FloatScalar, type Tensor, where } from '@proj/tensor';
import { broadcastShapes } from '@proj/tensor/graph';
import { logsigmoid } from './activations.ts';
import { pairwiseDistance } from './distances.ts';
import { type OpRow, reduceLoss, type ReductionOptions, row, scalarLike } from './support.ts';

const broadcast = (op: string, input: Tensor, target: Tensor): [Tensor, Tensor] => {
  const shape = broadcastShapes(op, input.shape, target.shape);
  return [input.expand(shape), target.expand(shape)];
};

/** (input - target)². */
export function mseLoss(input: Tensor, target: Tensor, options: ReductionOptions = {}): Tensor {
  const { reduction } = withDefaults('mseLoss', { reduction: 'mean' }, options);
  const [a, b] = broadcast('mseLoss', input, target);
  const difference = a.sub(b);
  return reduceLoss(difference.mul(difference), reduction, 'mseLoss');
}
/** |input - target|. */
export function l1Loss(input: Tensor, target: Tensor, options: ReductionOptions = {}): Tensor {
  const { reduction } = withDefaults('l1Loss', { reduction: 'mean' }, options);
  const [a, b] = broadcast('l1Loss', input, target);
  return reduceLoss(a.sub(b).abs(), reduction, 'l1Loss');
}
export interface SmoothL1Options extends ReductionOptions {
  readonly beta?: number;
}
/** ½d²/beta for |d| < beta, |d| - ½beta beyond. */
export function smoothL1Loss(input: Tensor, target: Tensor, options: SmoothL1Options = {}): Tensor {
  const { reduction, beta } = withDefaults('smoothL1Loss', { reduction: 'mean', beta: 1 }, options);
  if (beta < 0) throw new ProjError('invalid-argument', `beta ${beta} is negative`, { op: 'smoothL1Loss' });
  const [a, b] = broadcast('smoothL1Loss', input, target);
  const difference = a.sub(b);
  const distance = difference.abs();
  if (beta === 0) return reduceLoss(distance, reduction, 'smoothL1Loss');
  return reduceLoss(
    where(distance.lt(beta), difference.mul(difference).mul(0.5 / beta), distance.sub(0.5 * beta)),
    reduction,
    'smoothL1Loss',
  );
}
export interface HuberOptions extends ReductionOptions {
  readonly delta?: number;
}
/** ½d² for |d| ≤ delta, delta·(|d| - ½delta) beyond. */
export function huberLoss(input: Tensor, target: Tensor, options: HuberOptions = {}): Tensor {
  const { reduction, delta } = withDefaults('huberLoss', { reduction: 'mean', delta: 1 }, options);
  if (delta <= 0) throw new ProjError('invalid-argument', `delta ${delta} is not positive`, { op: 'huberLoss' });
  const [a, b] = broadcast('huberLoss', input, target);
  const difference = a.sub(b);
  const distance = difference.abs();
  return reduceLoss(
    where(distance.le(delta), difference.mul(difference).mul(0.5), distance.sub(0.5 * delta).mul(delta)),
    reduction,
    'huberLoss',
  );
}

export interface WeightedOptions extends ReductionOptions {
  readonly weight?: Tensor | null;
}
/** -(target·log(input) + (1 - target)·log(1 - input)); logarithms are at least -100. */
export function binaryCrossEntropy(input: Tensor, target: Tensor, options: WeightedOptions = {}): Tensor {
  const { weight, reduction } = withDefaults('binaryCrossEntropy', { weight: null, reduction: 'mean' }, options);
  if (input.shape.join() !== target.shape.join())
    throw new ProjError('shape-mismatch', 'input and target differ in shape', {
      op: 'binaryCrossEntropy',
      shapes: [input.shape, target.shape],
    });
  const low = scalarLike(input, -100);
  const logOf = (x: Tensor): Tensor => x.log().maximum(low);
  const loss = target
    .sub(1)
    .mul(logOf(input.neg().add(1)))
    .sub(target.mul(logOf(input)));
  return reduceLoss(weight === null ? loss : loss.mul(weight), reduction, 'binaryCrossEntropy');
}
export interface BceWithLogitsOptions extends WeightedOptions {
  /** Factor of the positive term. */
  readonly posWeight?: Tensor | null;
}
/** Binary cross-entropy of sigmoid(input), computed without it. */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: BceWithLogitsOptions = {},
): Tensor {
  const { weight, reduction, posWeight } = withDefaults(
    'binaryCrossEntropyWithLogits',
    { weight: null, reduction: 'mean', posWeight: null },
    options,
  );
  if (input.shape.join() !== target.shape.join())
    throw new ProjError('shape-mismatch', 'input and target differ in shape', {
      op: 'binaryCrossEntropyWithLogits',
      shapes: [input.shape, target.shape],
    });
  const log = logsigmoid(input);
  const factor = posWeight === null ? null : posWeight.sub(1).mul(target).add(1);
  const loss = target
    .neg()
    .add(1)
    .mul(input)
    .sub(factor === null ? log : factor.mul(log));
  return reduceLoss(weight === null ? loss : loss.mul(weight), reduction, 'binaryCrossEntropyWithLogits');
}
export interface KlDivOptions {
  readonly reduction?: 'none' | 'mean' | 'sum' | 'batchmean';
  /** The target is given as logarithms. */
  readonly logTarget?: boolean;
}
/** target·(log(target) - input), for an input of log probabilities. */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  const { reduction, logTarget } = withDefaults('klDiv', { reduction: 'mean', logTarget: false }, options);
  const positive = target.gt(0);
  const loss = logTarget
    ? target.exp().mul(target.sub(input))
    : where(positive, target.mul(where(positive, target, scalarLike(target, 1)).log()), scalarLike(target, 0)).sub(
        target.mul(input),
      );
  if (reduction === 'batchmean') return loss.sum().div(input.shape[0] ?? 1);
  return reduceLoss(loss, reduction, 'klDiv');
}
export interface PoissonNllOptions extends ReductionOptions {
  readonly logInput?: boolean;
  /** Adds Stirling's approximation of the factorial. */
  readonly full?: boolean;
  readonly eps?: number;
}
/** Negative log likelihood of counts `target` under Poisson distributions with rate e^input (or input, without `logInput`). */
export function poissonNllLoss(input: Tensor, target: Tensor, options: PoissonNllOptions = {}): Tensor {
  const { logInput, full, eps, reduction } = withDefaults(
    'poissonNllLoss',
    { logInput: true, full: false, eps: 1e-8, reduction: 'mean' },
    options,
  );
  let loss = logInput ? input.exp().sub(target.mul(input)) : input.sub(target.mul(input.add(eps).log()));
  if (full) {
    const large = target.gt(1);
    const safe = where(large, target, scalarLike(target, 1));
    loss = loss.add(
      where(
        large,
        safe
          .mul(safe.log())
          .sub(safe)
          .add(
            safe
              .mul(2 * Math.PI)
              .log()
              .mul(0.5),
          ),
        scalarLike(target, 0),
      ),
    );
  }
  return reduceLoss(loss, reduction, 'poissonNllLoss');
}
export interface GaussianNllOptions extends ReductionOptions {
  readonly full?: boolean;
  readonly eps?: number;
}
/** ½(log(var) + (input - target)²/var), var at least eps (without gradient through the limit). */
export function gaussianNllLoss(
  input: Tensor,
  target: Tensor,
  variance: Tensor,
  options: GaussianNllOptions = {},
): Tensor {
  const { full, eps, reduction } = withDefaults(
    'gaussianNllLoss',
    { full: false, eps: 1e-6, reduction: 'mean' },
    options,
  );
  let v = variance;
  if (v.shape.join() !== input.shape.join()) {
    if (input.shape.slice(0, -1).join() === v.shape.join()) v = v.unsqueeze(-1);
    else if (
      v.ndim !== input.ndim ||
      v.shape[v.ndim - 1] !== 1 ||
      v.shape.slice(0, -1).join() !== input.shape.slice(0, -1).join()
    ) {
      throw new ProjError('shape-mismatch', 'the variance does not fit the input', {
        op: 'gaussianNllLoss',
        shapes: [input.shape, v.shape],
      });
    }
  }
  const limited = v.add(v.detach().clamp(eps).sub(v.detach()));
  const difference = input.sub(target);
  const loss = limited.log().add(difference.mul(difference).div(limited)).mul(0.5);
  return reduceLoss(full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, reduction, 'gaussianNllLoss');
}
export interface MarginOptions extends ReductionOptions {
  readonly margin?: number;
}
/** max(0, -target·(input1 - input2) + margin). */
export function marginRankingLoss(input1: Tensor, input2: Tensor, target: Tensor, options: MarginOptions = {}): Tensor {
  const { margin, reduction } = withDefaults('marginRankingLoss', { margin: 0, reduction: 'mean' }, options);
  if (input1.ndim !== input2.ndim || input1.ndim !== target.ndim)
    throw new ProjError('shape-mismatch', 'inputs and target must have the same number of dimensions', {
      op: 'marginRankingLoss',
      shapes: [input1.shape, input2.shape, target.shape],
    });
  return reduceLoss(
    clampedAtZero(target.neg().mul(input1.sub(input2)).add(new FloatScalar(margin))),
    reduction,
    'marginRankingLoss',
  );
}
/** max(x, 0) whose gradient at 0 is 1, as PyTorch's clamp_min. */
const clampedAtZero = (x: Tensor): Tensor => where(x.ge(0), x, scalarLike(x, 0));

/** x where the target is 1, max(0, margin - x) where it is -1. */
export function hingeEmbeddingLoss(input: Tensor, target: Tensor, options: MarginOptions = {}): Tensor {
  const { margin, reduction } = withDefaults('hingeEmbeddingLoss', { margin: 1, reduction: 'mean' }, options);
  const zero = scalarLike(input, 0);
  const negative = where(target.eq(1), zero, clampedAtZero(input.neg().add(margin)));
  return reduceLoss(negative.add(where(target.eq(-1), zero, input)), reduction, 'hingeEmbeddingLoss');
}
/** log(1 + exp(-target·input)). */
export function softMarginLoss(input: Tensor, target: Tensor, options: ReductionOptions = {}): Tensor {
  const { reduction } = withDefaults('softMarginLoss', { reduction: 'mean' }, options);
  return reduceLoss(logsigmoid(target.mul(input)).neg(), reduction, 'softMarginLoss');
}
/** The mean over classes of binary cross-entropies of logits. */
export function multilabelSoftMarginLoss(input: Tensor, target: Tensor, options: WeightedOptions = {}): Tensor {
  const { weight, reduction } = withDefaults('multilabelSoftMarginLoss', { weight: null, reduction: 'mean' }, options);
  const loss = target
    .mul(logsigmoid(input))
    .add(target.neg().add(1).mul(logsigmoid(input.neg())))
    .neg();
  const weighted = weight === null ? loss : loss.mul(weight);
  return reduceLoss(weighted.sum(-1).div(input.shape[input.ndim - 1] ?? 1), reduction, 'multilabelSoftMarginLoss');
}
/** 1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1. */
export function cosineEmbeddingLoss(
  input1: Tensor,
  input2: Tensor,
  target: Tensor,
  options: MarginOptions = {},
): Tensor {
  const { margin, reduction } = withDefaults('cosineEmbeddingLoss', { margin: 0, reduction: 'mean' }, options);
  if (target.ndim > 1 || (input1.ndim !== target.ndim + 1 && input2.ndim !== target.ndim + 1))
    throw new ProjError('shape-mismatch', 'inputs [N, D] and target [N] are needed, or [D] and []', {
      op: 'cosineEmbeddingLoss',
      shapes: [input1.shape, input2.shape, target.shape],
    });
  // The small constant keeps the gradient finite at zero vectors.
  const eps = 1e-12;
  const squared = (x: Tensor): Tensor => x.mul(x).sum(-1).add(eps);
  const cosine = input1
    .mul(input2)
    .sum(-1)
    .div(squared(input1).mul(squared(input2)).sqrt());
  const zero = scalarLike(cosine, 0);
  const loss = where(target.eq(1), cosine.neg().add(1), zero).add(
    where(target.eq(-1), clampedAtZero(cosine.sub(margin)), zero),
  );
  return reduceLoss(loss, reduction, 'cosineEmbeddingLoss');
}
export interface TripletOptions extends MarginOptions {
  readonly p?: number;
  readonly eps?: number;
  /** Uses the distance of positive and negative where it is smaller. */
  readonly swap?: boolean;
}
/** max(0, d(anchor, positive) - d(anchor, negative) + margin). */
export function tripletMarginLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletOptions = {},
): Tensor {
  const { margin, p, eps, swap, reduction } = withDefaults(
    'tripletMarginLoss',
    { margin: 1, p: 2, eps: 1e-6, swap: false, reduction: 'mean' },
    options,
  );
  return tripletMarginWithDistanceLoss(anchor, positive, negative, {
    distanceFunction: (a, b) => pairwiseDistance(a, b, { p, eps }),
    margin,
    swap,
    reduction,
  });
}
export interface TripletWithDistanceOptions extends MarginOptions {
  readonly distanceFunction?: ((a: Tensor, b: Tensor) => Tensor) | null;
  readonly swap?: boolean;
}
/** max(0, d(anchor, positive) - d(anchor, negative) + margin) with a distance of your own. */
export function tripletMarginWithDistanceLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletWithDistanceOptions = {},
): Tensor {
  const { distanceFunction, margin, swap, reduction } = withDefaults(
    'tripletMarginWithDistanceLoss',
    { distanceFunction: null, margin: 1, swap: false, reduction: 'mean' },
    options,
  );
  if (anchor.ndim !== positive.ndim || anchor.ndim !== negative.ndim)
    throw new ProjError('shape-mismatch', 'anchor, positive and negative must have the same number of dimensions', {
      op: 'tripletMarginLoss',
      shapes: [anchor.shape, positive.shape, negative.shape],
    });
  const distance = distanceFunction ?? ((a: Tensor, b: Tensor) => pairwiseDistance(a, b));
  const near = distance(anchor, positive);
  const direct = distance(anchor, negative);
  const far = swap ? direct.minimum(distance(positive, negative)) : direct;
  return reduceLoss(clampedAtZero(near.sub(far).add(margin)), reduction, 'tripletMarginLoss');
}

const tail = "size_average=None, reduce=None, reduction='mean'";
export const LOSSES: readonly OpRow[] = [
  row('mseLoss', mseLoss, `input, target, ${tail}`),
  row('l1Loss', l1Loss, `input, target, ${tail}`),
  row('smoothL1Loss', smoothL1Loss, `input, target, ${tail}, beta=1.0`),
  row('huberLoss', huberLoss, "input, target, reduction='mean', delta=1.0"),
  row('binaryCrossEntropy', binaryCrossEntropy, `input, target, weight=None, ${tail}`),
  row(
    'binaryCrossEntropyWithLogits',
    binaryCrossEntropyWithLogits,
    `input, target, weight=None, ${tail}, pos_weight=None`,
  ),
  row('klDiv', klDiv, `input, target, ${tail}, log_target=False`),
  row(
    'poissonNllLoss',
    poissonNllLoss,
    "input, target, log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction='mean'",
  ),
  row('gaussianNllLoss', gaussianNllLoss, "input, target, var, full=False, eps=1e-06, reduction='mean'"),
  row('marginRankingLoss', marginRankingLoss, `input1, input2, target, margin=0, ${tail}`, {
    torch: ['torch.margin_ranking_loss'],
  }),
  row('hingeEmbeddingLoss', hingeEmbeddingLoss, `input, target, margin=1.0, ${tail}`, {
    torch: ['torch.hinge_embedding_loss'],
  }),
  row('softMarginLoss', softMarginLoss, `input, target, ${tail}`),
  row('multilabelSoftMarginLoss', multilabelSoftMarginLoss, `input, target, weight=None, ${tail}`),
  row('cosineEmbeddingLoss', cosineEmbeddingLoss, `input1, input2, target, margin=0, ${tail}`, {
    torch: ['torch.cosine_embedding_loss'],
  }),
  row(
    'tripletMarginLoss',
    tripletMarginLoss,
    `anchor, positive, negative, margin=1.0, p=2, eps=1e-06, swap=False, ${tail}`,
    { torch: ['torch.triplet_margin_loss'] },
  ),
  row(
    'tripletMarginWithDistanceLoss',
    tripletMarginWithDistanceLoss,
    "anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction='mean'",
  ),
];
