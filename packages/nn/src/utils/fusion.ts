/** Batch normalisation in evaluation, folded into the layer before it. */
import { ProjError, withDefaults } from '@proj/kernel';
import { onesLike, type Tensor, zerosLike } from '@proj/tensor';
import type { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';

export interface FuseOptions {
  /** The convolution is a transposed one, whose weight has the output channels second. */
  readonly transpose?: boolean;
}
/** What a layer must have to be fused. */
export interface WeightAndBias extends Module {
  weight: Parameter;
  bias: Parameter | null;
}
/** What a batch normalisation must have to be fused. */
export interface BatchNormLike extends Module {
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
  readonly runningMean: Tensor | null;
  readonly runningVar: Tensor | null;
}

/** Weight and bias of one convolution that does what a convolution and the batch normalisation after it do. Missing ones (null) count as 0 and 1. */
export function fuseConvBnWeights(
  convW: Tensor,
  convB: Tensor | null,
  bnRm: Tensor,
  bnRv: Tensor,
  bnEps: number,
  bnW: Tensor | null = null,
  bnB: Tensor | null = null,
  options: FuseOptions = {},
): [Parameter, Parameter] {
  const { transpose } = withDefaults('fuseConvBnWeights', { transpose: false }, options);
  const scale = (bnW ?? onesLike(bnRm)).mul(bnRv.add(bnEps).rsqrt());
  const rest = new Array<number>(convW.ndim - 2).fill(1);
  const shift = (convB ?? zerosLike(bnRm)).sub(bnRm).mul(scale);
  return [
    new Parameter(convW.mul(scale.reshape(transpose ? [1, -1, ...rest] : [-1, 1, ...rest]))),
    new Parameter(bnB === null ? shift : shift.add(bnB)),
  ];
}
/** As {@link fuseConvBnWeights}, for a linear layer. */
export function fuseLinearBnWeights(
  linearW: Tensor,
  linearB: Tensor | null,
  bnRm: Tensor,
  bnRv: Tensor,
  bnEps: number,
  bnW: Tensor | null = null,
  bnB: Tensor | null = null,
): [Parameter, Parameter] {
  return fuseConvBnWeights(linearW, linearB, bnRm, bnRv, bnEps, bnW, bnB);
}

/** A copy of the convolution that does what it and the batch normalisation do. Errors: one of them is in training; no running statistics. */
export function fuseConvBnEval<M extends WeightAndBias>(conv: M, bn: BatchNormLike, options: FuseOptions = {}): M {
  return fused('fuseConvBnEval', conv, bn, (mean, variance) =>
    fuseConvBnWeights(conv.weight, conv.bias, mean, variance, bn.eps, bn.weight, bn.bias, options),
  );
}
/** A copy of the linear layer that does what it and the batch normalisation do. Errors: as {@link fuseConvBnEval}. */
export function fuseLinearBnEval<M extends WeightAndBias>(linear: M, bn: BatchNormLike): M {
  return fused('fuseLinearBnEval', linear, bn, (mean, variance) =>
    fuseLinearBnWeights(linear.weight, linear.bias, mean, variance, bn.eps, bn.weight, bn.bias),
  );
}

function fused<M extends WeightAndBias>(
  op: string,
  layer: M,
  bn: BatchNormLike,
  weights: (mean: Tensor, variance: Tensor) => [Parameter, Parameter],
): M {
  if (layer.training || bn.training)
    throw new ProjError('invalid-argument', `the ${layer.training ? 'layer' : 'batch normalisation'} is in training`, {
      op,
      cure: 'Call eval() on both first: in training the statistics are those of each batch',
    });
  const { runningMean, runningVar } = bn;
  if (runningMean === null || runningVar === null)
    throw new ProjError('invalid-argument', 'the batch normalisation has no running statistics', {
      op,
      cure: 'Make it with { trackRunningStats: true }',
    });
  const copy = layer.copy();
  [copy.weight, copy.bias] = weights(runningMean, runningVar);
  return copy;
}
