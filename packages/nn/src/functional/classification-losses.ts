/**
 * Losses over classes. The entry of the target class is picked by comparing positions with the target inside the reduction over classes, so that
 * softmax, logarithm, pick and weight are one pass over the logits.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { type Tensor, where } from '@proj/tensor';
import { castNode, constantNode, expandNode, iotaNode, reshapeNode, takeNode, wrap } from '@proj/tensor/graph';
import { logSoftmax } from './activations.ts';
import { type OpRow, reduceLoss, type Reduction, type ReductionOptions, row, scalarLike } from './support.ts';

export interface NllLossOptions extends ReductionOptions {
  /** A factor for each class. */
  readonly weight?: Tensor | null;
  /** Targets with this value count nothing. */
  readonly ignoreIndex?: number;
}
export interface CrossEntropyOptions extends NllLossOptions {
  /** Share of the target that is spread evenly over all classes. */
  readonly labelSmoothing?: number;
}

const classDim = (input: Tensor): number => (input.ndim === 1 ? 0 : 1);

function checkTargets(input: Tensor, target: Tensor, weight: Tensor | null, op: string): void {
  const details = { op, shapes: [input.shape, target.shape], dtypes: [input.dtype, target.dtype] };
  if (input.ndim === 0) throw new ProjError('shape-mismatch', 'the input needs a dimension of classes', details);
  const expected = input.shape.filter((_, dim) => dim !== classDim(input));
  if (target.shape.join() !== expected.join())
    throw new ProjError('shape-mismatch', `the target must have shape [${expected.join(', ')}]`, details);
  if (target.dtype !== 'int64' && target.dtype !== 'uint8' && target.dtype !== 'int32')
    throw new ProjError('dtype', `class indices of ${target.dtype}`, { ...details, cure: 'Cast the target to int64' });
  if (weight !== null && (weight.ndim !== 1 || weight.shape[0] !== input.shape[classDim(input)]))
    throw new ProjError('shape-mismatch', 'the weight must have one element for each class', {
      op,
      shapes: [weight.shape],
    });
}

/** Along the class dimension of a tensor of shape `like`: the position, as a tensor of that shape. */
function classPositions(like: Tensor, dim: number): Tensor {
  const line = iotaNode(like.device, 'int64', like.shape[dim], 0, 1);
  return wrap(
    expandNode(
      reshapeNode(
        line,
        like.shape.map((size, d) => (d === dim ? size : 1)),
      ),
      like.shape,
    ),
  );
}
const perClass = (weight: Tensor, like: Tensor, dim: number): Tensor =>
  weight.reshape(like.shape.map((size, d) => (d === dim ? size : 1)));

/** Σ over classes of -factor · values where the class is the target; and the factor of each target. */
function negativeLikelihood(
  logProbabilities: Tensor,
  target: Tensor,
  {
    weight,
    ignoreIndex,
    reduction,
    smoothing,
  }: { weight: Tensor | null; ignoreIndex: number; reduction: Reduction; smoothing: number },
): Tensor {
  const dim = classDim(logProbabilities);
  const index = wrap(castNode(target.node, 'int64'));
  const isTarget = classPositions(logProbabilities, dim).eq(index.unsqueeze(dim));
  const zero = scalarLike(logProbabilities, 0);
  const counted = index.ne(ignoreIndex);
  const picked = where(isTarget, logProbabilities, zero).sum(dim).neg();
  // Looked up rather than picked, because a look-up refuses classes that do not exist.
  const factors =
    weight ?? wrap(constantNode(logProbabilities.device, logProbabilities.dtype, [logProbabilities.shape[dim]], 1));
  const known = wrap(takeNode(factors.node, where(counted, index, 0).node));
  const factor = where(counted, known, zero);
  const losses = where(counted, picked.mul(known), zero);
  const total = (x: Tensor): Tensor =>
    reduction === 'mean' ? x.sum().div(factor.sum()) : reduceLoss(x, reduction, 'nllLoss');
  if (smoothing === 0) return total(losses);
  const weighted = weight === null ? logProbabilities : logProbabilities.mul(perClass(weight, logProbabilities, dim));
  const spread = where(counted, weighted.sum(dim).neg(), zero);
  const classes = logProbabilities.shape[dim];
  return total(losses)
    .mul(1 - smoothing)
    .add(total(spread).mul(smoothing / classes));
}

/** The negative of the target's entry of log probabilities: input [N, C, ...] or [C], target of class indices [N, ...] or []. */
export function nllLoss(input: Tensor, target: Tensor, options: NllLossOptions = {}): Tensor {
  const { weight, ignoreIndex, reduction } = withDefaults(
    'nllLoss',
    { weight: null, ignoreIndex: -100, reduction: 'mean' },
    options,
  );
  checkTargets(input, target, weight, 'nllLoss');
  return negativeLikelihood(input, target, { weight, ignoreIndex, reduction, smoothing: 0 });
}

/** The cross-entropy of softmax(input) with class indices, or with probabilities of the input's shape. */
export function crossEntropy(input: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { weight, ignoreIndex, reduction, labelSmoothing } = withDefaults(
    'crossEntropy',
    { weight: null, ignoreIndex: -100, reduction: 'mean', labelSmoothing: 0 },
    options,
  );
  if (labelSmoothing < 0 || labelSmoothing > 1)
    throw new ProjError('invalid-argument', `labelSmoothing ${labelSmoothing} is not between 0 and 1`, {
      op: 'crossEntropy',
    });
  const dim = classDim(input);
  const logProbabilities = logSoftmax(input, dim);
  if (target.shape.join() !== input.shape.join() || target.dtype === 'int64') {
    checkTargets(input, target, weight, 'crossEntropy');
    return negativeLikelihood(logProbabilities, target, { weight, ignoreIndex, reduction, smoothing: labelSmoothing });
  }
  if (!/float/.test(target.dtype))
    throw new ProjError('dtype', `class probabilities of ${target.dtype}`, {
      op: 'crossEntropy',
      shapes: [input.shape, target.shape],
      dtypes: [input.dtype, target.dtype],
    });
  const classes = input.shape[dim];
  const smoothed = labelSmoothing === 0 ? target : target.mul(1 - labelSmoothing).add(labelSmoothing / classes);
  const terms = logProbabilities.mul(smoothed);
  const losses = (weight === null ? terms : terms.mul(perClass(weight, input, dim))).sum(dim).neg();
  return reduction === 'mean'
    ? losses.sum().div(input.numel() / classes)
    : reduceLoss(losses, reduction, 'crossEntropy');
}

export interface MultiMarginOptions extends ReductionOptions {
  readonly p?: number;
  readonly margin?: number;
  readonly weight?: Tensor | null;
}
/** Σ over other classes of max(0, margin - x[target] + x[i])ᵖ / C. */
export function multiMarginLoss(input: Tensor, target: Tensor, options: MultiMarginOptions = {}): Tensor {
  const { p, margin, weight, reduction } = withDefaults(
    'multiMarginLoss',
    { p: 1, margin: 1, weight: null, reduction: 'mean' },
    options,
  );
  if (p !== 1 && p !== 2)
    throw new ProjError('invalid-argument', 'only p = 1 and p = 2 are supported', { op: 'multiMarginLoss' });
  const x = input.ndim < 2 ? input.reshape([1, -1]) : input;
  const index = target.reshape([x.shape[0], 1]);
  const isTarget = classPositions(x, 1).eq(index);
  const zero = scalarLike(x, 0);
  const own = where(isTarget, x, zero).sum(1, { keepdim: true });
  const gap = where(isTarget, zero, x.sub(own).add(margin).relu());
  const powered = p === 1 ? gap : gap.mul(gap);
  const weighted =
    weight === null ? powered : powered.mul(where(isTarget, weight.reshape([1, -1]), zero).sum(1, { keepdim: true }));
  const losses = weighted.sum(1).div(x.shape[1]);
  return reduceLoss(input.ndim < 2 ? losses.reshape([]) : losses, reduction, 'multiMarginLoss');
}

/** Σ over target classes i and other classes j of max(0, 1 - x[i] + x[j]) / C; targets are listed first, ended by -1. */
export function multilabelMarginLoss(input: Tensor, target: Tensor, options: ReductionOptions = {}): Tensor {
  const { reduction } = withDefaults('multilabelMarginLoss', { reduction: 'mean' }, options);
  const x = input.ndim < 2 ? input.reshape([1, -1]) : input;
  const labels = target.reshape(x.shape);
  const [batch, classes] = x.shape;
  const zero = scalarLike(x, 0);
  // A target counts while no -1 has come before it: the number of stops up to its position is 0.
  const stops = labels.lt(0);
  const upTo = wrap(iotaNode(x.device, 'int64', classes, 0, 1));
  const stopped = stops
    .reshape([batch, 1, classes])
    .logicalAnd(upTo.reshape([1, 1, classes]).le(upTo.reshape([1, classes, 1])))
    .any(2);
  const chosen = labels
    .reshape([batch, classes, 1])
    .eq(upTo.reshape([1, 1, classes]))
    .logicalAnd(stopped.logicalNot().reshape([batch, classes, 1]));
  const isTarget = chosen.any(1);
  const own = where(chosen, x.reshape([batch, 1, classes]), zero).sum(2);
  const gap = own
    .neg()
    .add(1)
    .reshape([batch, classes, 1])
    .add(x.reshape([batch, 1, classes]))
    .relu();
  const counted = stopped
    .logicalNot()
    .reshape([batch, classes, 1])
    .logicalAnd(isTarget.logicalNot().reshape([batch, 1, classes]));
  const losses = where(counted, gap, zero).sum([1, 2]).div(classes);
  return reduceLoss(input.ndim < 2 ? losses.reshape([]) : losses, reduction, 'multilabelMarginLoss');
}

const reductionTail = "size_average=None, reduce=None, reduction='mean'";
export const CLASSIFICATION_LOSSES: readonly OpRow[] = [
  row(
    'nllLoss',
    nllLoss,
    "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
  ),
  row(
    'crossEntropy',
    crossEntropy,
    "input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', label_smoothing=0.0",
  ),
  row('multiMarginLoss', multiMarginLoss, `input, target, p=1, margin=1.0, weight=None, ${reductionTail}`),
  row('multilabelMarginLoss', multilabelMarginLoss, `input, target, ${reductionTail}`),
];
