/** Relatives of Adam: Adamax (Kingma and Ba 2015), NAdam (Dozat 2016), RAdam (Liu et al. 2020), and the lazy form for sparse gradients. */
import { type Tensor, where, zerosLike } from '@proj/tensor';
import { requireBetas, requireRange } from '../checks.ts';
import { Optimizer, type ParamGroup, type Params, type Update, write } from '../optimizer.ts';

export interface AdamVariantOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  maximize: boolean;
}
type Moments = Record<'beta1' | 'rest1' | 'beta2' | 'rest2', number>;
const momentsOf = ([beta1, beta2]: readonly [number, number]): Moments => ({
  beta1,
  rest1: 1 - beta1,
  beta2,
  rest2: 1 - beta2,
});

abstract class AdamVariant<H extends AdamVariantOptions, N extends Moments> extends Optimizer<H, N> {
  protected check(group: H): void {
    const op = this.constructor.name;
    requireRange(op, 'lr', group.lr, 0);
    requireBetas(op, group.betas);
    requireRange(op, 'eps', group.eps, 0);
    requireRange(op, 'weightDecay', group.weightDecay, 0);
  }
  protected initialState(param: Tensor): Record<string, Tensor> {
    return { expAvg: zerosLike(param), expAvgSq: zerosLike(param) };
  }
  protected decayed({ grad, param }: Update, { weightDecay }: ParamGroup<H>): Tensor {
    return weightDecay === 0 ? grad : grad.add(param.mul(weightDecay));
  }
  protected updateMoments(
    { expAvg, expAvgSq }: Record<string, Tensor>,
    gradient: Tensor,
    n: (name: keyof Moments) => Tensor,
  ): void {
    write(expAvg, () => expAvg.mul(n('beta1')).add(gradient.mul(n('rest1'))));
    write(expAvgSq, () => expAvgSq.mul(n('beta2')).add(gradient.mul(gradient).mul(n('rest2'))));
  }
}

type AdamaxNumbers = Moments & Record<'stepSize', number>;
/** Adam with the infinity norm: `u ← max(β₂u, |g| + eps)`, `p ← p - lr/(1-β₁ᵗ) · m/u`. */
export class Adamax extends AdamVariant<AdamVariantOptions, AdamaxNumbers> {
  constructor(params: Params<AdamVariantOptions>, options: Partial<AdamVariantOptions> = {}) {
    super(params, { lr: 0.002, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false }, options);
  }
  protected override initialState(param: Tensor): Record<string, Tensor> {
    return { expAvg: zerosLike(param), expInf: zerosLike(param) };
  }
  protected numbers({ lr, betas }: ParamGroup<AdamVariantOptions>, step: number): AdamaxNumbers {
    return { ...momentsOf(betas), stepSize: lr / (1 - betas[0] ** step) };
  }
  protected update(
    update: Update,
    n: (name: keyof AdamaxNumbers) => Tensor,
    group: ParamGroup<AdamVariantOptions>,
  ): void {
    const { expAvg, expInf } = update.tensors;
    const gradient = this.decayed(update, group);
    write(expAvg, () => expAvg.mul(n('beta1')).add(gradient.mul(n('rest1'))));
    write(expInf, () => expInf.mul(n('beta2')).maximum(gradient.abs().add(group.eps)));
    write(update.param, () => update.param.sub(expAvg.mul(n('stepSize')).div(expInf)));
  }
}

export interface NAdamOptions extends AdamVariantOptions {
  /** Decay of the momentum schedule (default 0.004). */
  momentumDecay: number;
}
type NAdamNumbers = Moments & Record<'correction2' | 'gradientRate' | 'momentRate', number>;
/** Adam with Nesterov momentum and a momentum schedule `μₜ = β₁(1 - ½·0.96^(t·momentumDecay))`. */
export class NAdam extends AdamVariant<NAdamOptions, NAdamNumbers> {
  constructor(params: Params<NAdamOptions>, options: Partial<NAdamOptions> = {}) {
    super(
      params,
      {
        lr: 0.002,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weightDecay: 0,
        momentumDecay: 0.004,
        maximize: false,
      },
      options,
    );
  }
  protected override initialNumbers(): Record<string, number> {
    return { muProduct: 1 };
  }
  protected numbers(
    { lr, betas, momentumDecay }: ParamGroup<NAdamOptions>,
    step: number,
    memory: Record<string, number>,
  ): NAdamNumbers {
    const mu = (t: number): number => betas[0] * (1 - 0.5 * 0.96 ** (t * momentumDecay));
    memory['muProduct'] *= mu(step);
    return {
      ...momentsOf(betas),
      correction2: 1 - betas[1] ** step,
      gradientRate: (lr * (1 - mu(step))) / (1 - memory['muProduct']),
      momentRate: (lr * mu(step + 1)) / (1 - memory['muProduct'] * mu(step) * mu(step + 1)),
    };
  }
  protected update(update: Update, n: (name: keyof NAdamNumbers) => Tensor, group: ParamGroup<NAdamOptions>): void {
    const { expAvg, expAvgSq } = update.tensors;
    const gradient = this.decayed(update, group);
    this.updateMoments(update.tensors, gradient, n);
    write(update.param, () => {
      const scale = expAvgSq.div(n('correction2')).sqrt().add(group.eps);
      return update.param.sub(gradient.div(scale).mul(n('gradientRate'))).sub(expAvg.div(scale).mul(n('momentRate')));
    });
  }
}

type RAdamNumbers = Moments & Record<'rate' | 'rectified' | 'adaptiveRate', number>;
/** Adam that follows plain momentum until the variance of its step size is known (a simple moving average longer than 5). */
export class RAdam extends AdamVariant<AdamVariantOptions, RAdamNumbers> {
  constructor(params: Params<AdamVariantOptions>, options: Partial<AdamVariantOptions> = {}) {
    super(params, { lr: 0.001, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false }, options);
  }
  protected numbers({ lr, betas }: ParamGroup<AdamVariantOptions>, step: number): RAdamNumbers {
    const [beta1, beta2] = betas;
    const correction2 = 1 - beta2 ** step;
    const limit = 2 / (1 - beta2) - 1;
    const length = limit - (2 * step * beta2 ** step) / correction2;
    const rectified = length > 5;
    const rate = lr / (1 - beta1 ** step);
    const rectification = rectified
      ? Math.sqrt(((length - 4) * (length - 2) * limit) / ((limit - 4) * (limit - 2) * length))
      : 0;
    return {
      ...momentsOf(betas),
      rate,
      rectified: Number(rectified),
      adaptiveRate: rate * rectification * Math.sqrt(correction2),
    };
  }
  protected update(
    update: Update,
    n: (name: keyof RAdamNumbers) => Tensor,
    group: ParamGroup<AdamVariantOptions>,
  ): void {
    const { expAvg, expAvgSq } = update.tensors;
    this.updateMoments(update.tensors, this.decayed(update, group), n);
    write(update.param, () => {
      const adaptive = n('adaptiveRate').div(expAvgSq.sqrt().add(group.eps));
      return update.param.sub(expAvg.mul(where(n('rectified').gt(0), adaptive, n('rate'))));
    });
  }
}

type SparseAdamNumbers = Moments & Record<'stepSize', number>;
/** Adam that touches only the rows (first dimension) in which the gradient has an element other than zero. */
export class SparseAdam extends AdamVariant<AdamVariantOptions, SparseAdamNumbers> {
  protected override readonly stepLayout = 'number';
  constructor(params: Params<AdamVariantOptions>, options: Partial<AdamVariantOptions> = {}) {
    super(params, { lr: 0.001, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false }, options);
  }
  protected numbers({ lr, betas: [beta1, beta2] }: ParamGroup<AdamVariantOptions>, step: number): SparseAdamNumbers {
    return { ...momentsOf([beta1, beta2]), stepSize: (lr * Math.sqrt(1 - beta2 ** step)) / (1 - beta1 ** step) };
  }
  protected update(
    { param, grad, tensors: { expAvg, expAvgSq } }: Update,
    n: (name: keyof SparseAdamNumbers) => Tensor,
    { eps }: ParamGroup<AdamVariantOptions>,
  ): void {
    const rows = grad.ne(0);
    const within = Array.from({ length: Math.max(0, grad.ndim - 1) }, (_, i) => i + 1);
    const touched =
      within.length === 0
        ? rows
        : rows
            .reshape([grad.shape[0], -1])
            .any(1)
            .reshape([grad.shape[0], ...within.map(() => 1)])
            .expand(grad.shape);
    write(expAvg, () => where(touched, expAvg.add(grad.sub(expAvg).mul(n('rest1'))), expAvg));
    write(expAvgSq, () => where(touched, expAvgSq.add(grad.mul(grad).sub(expAvgSq).mul(n('rest2'))), expAvgSq));
    write(param, () => where(touched, param.sub(expAvg.mul(n('stepSize')).div(expAvgSq.sqrt().add(eps))), param));
  }
}
