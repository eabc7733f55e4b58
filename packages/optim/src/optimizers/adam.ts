/** Adam (Kingma and Ba 2015), with decoupled weight decay AdamW (Loshchilov and Hutter 2019), both with AMSGrad (Reddi et al. 2018). */
import { type Tensor, zerosLike } from '@proj/tensor';
import { requireBetas, requireRange } from '../checks.ts';
import { Optimizer, type ParamGroup, type Params, type Update, write } from '../optimizer.ts';

export interface AdamOptions {
  /** Default 0.001. */
  lr: number;
  /** Decay of the running means of the gradient and of its square (default 0.9, 0.999). */
  betas: readonly [number, number];
  eps: number;
  /** L2 penalty for Adam (default 0), decoupled decay for AdamW (default 0.01). */
  weightDecay: number;
  /** Divide by the largest second moment so far. */
  amsgrad: boolean;
  maximize: boolean;
}
type AdamNumbers = Record<'beta1' | 'rest1' | 'beta2' | 'rest2' | 'stepSize' | 'correction2' | 'keep', number>;

abstract class AdamFamily extends Optimizer<AdamOptions, AdamNumbers> {
  protected abstract readonly decoupled: boolean;

  protected check({ lr, betas, eps, weightDecay }: AdamOptions): void {
    const op = this.constructor.name;
    requireRange(op, 'lr', lr, 0);
    requireBetas(op, betas);
    requireRange(op, 'eps', eps, 0);
    requireRange(op, 'weightDecay', weightDecay, 0);
  }

  protected initialState(param: Tensor, { amsgrad }: ParamGroup<AdamOptions>): Record<string, Tensor> {
    const moments = { expAvg: zerosLike(param), expAvgSq: zerosLike(param) };
    return amsgrad ? { ...moments, maxExpAvgSq: zerosLike(param) } : moments;
  }

  protected numbers({ lr, betas: [beta1, beta2], weightDecay }: ParamGroup<AdamOptions>, step: number): AdamNumbers {
    return {
      beta1,
      rest1: 1 - beta1,
      beta2,
      rest2: 1 - beta2,
      stepSize: lr / (1 - beta1 ** step),
      correction2: Math.sqrt(1 - beta2 ** step),
      keep: 1 - lr * weightDecay,
    };
  }

  protected update(
    { param, grad, tensors }: Update,
    n: (name: keyof AdamNumbers) => Tensor,
    { weightDecay, eps, amsgrad }: ParamGroup<AdamOptions>,
  ): void {
    const { expAvg, expAvgSq } = tensors;
    const decays = weightDecay !== 0;
    const gradient = decays && !this.decoupled ? grad.add(param.mul(weightDecay)) : grad;
    write(expAvg, () => expAvg.mul(n('beta1')).add(gradient.mul(n('rest1'))));
    write(expAvgSq, () => expAvgSq.mul(n('beta2')).add(gradient.mul(gradient).mul(n('rest2'))));
    let second = expAvgSq;
    if (amsgrad) {
      const largest = (tensors['maxExpAvgSq'] ??= zerosLike(param));
      write(largest, () => largest.maximum(expAvgSq));
      second = largest;
    }
    write(param, () => {
      const start = decays && this.decoupled ? param.mul(n('keep')) : param;
      return start.sub(expAvg.mul(n('stepSize')).div(second.sqrt().div(n('correction2')).add(eps)));
    });
  }
}

/** `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`, `p ← p - lr/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + eps)`; weight decay enters the gradient. */
export class Adam extends AdamFamily {
  protected readonly decoupled = false;

  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(
      params,
      {
        lr: 0.001,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 0,
        amsgrad: false,
        maximize: false,
      },
      options,
    );
  }
}

/** As {@link Adam}, but weight decay shrinks the parameter itself: `p ← (1 - lr·weightDecay)·p` first. */
export class AdamW extends AdamFamily {
  protected readonly decoupled = true;

  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(
      params,
      {
        lr: 0.001,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 0.01,
        amsgrad: false,
        maximize: false,
      },
      options,
    );
  }
}
