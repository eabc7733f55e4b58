/** Per-element learning rates from the history of squared gradients: Adagrad (Duchi et al. 2011), Adadelta (Zeiler 2012), RMSprop (Hinton 2012). */
import { fullLike, type Tensor, zerosLike } from '@proj/tensor';
import { requireRange } from '../checks.ts';
import { Optimizer, type ParamGroup, type Params, type Update, write } from '../optimizer.ts';

const decayed = ({ grad, param }: Update, weightDecay: number): Tensor =>
  weightDecay === 0 ? grad : grad.add(param.mul(weightDecay));

export interface AdagradOptions {
  lr: number;
  lrDecay: number;
  weightDecay: number;
  initialAccumulatorValue: number;
  eps: number;
  maximize: boolean;
}
/** `s ← s + g²`, `p ← p - lr/(1 + (t-1)·lrDecay) · g/(√s + eps)`. */
export class Adagrad extends Optimizer<AdagradOptions, Record<'rate', number>> {
  constructor(params: Params<AdagradOptions>, options: Partial<AdagradOptions> = {}) {
    super(
      params,
      {
        lr: 0.01,
        lrDecay: 0,
        weightDecay: 0,
        initialAccumulatorValue: 0,
        eps: 1e-10,
        maximize: false,
      },
      options,
    );
  }
  protected check({ lr, lrDecay, weightDecay, initialAccumulatorValue, eps }: AdagradOptions): void {
    for (const [name, value] of Object.entries({ lr, lrDecay, weightDecay, initialAccumulatorValue, eps }))
      requireRange('Adagrad', name, value, 0);
  }
  protected initialState(
    param: Tensor,
    { initialAccumulatorValue }: ParamGroup<AdagradOptions>,
  ): Record<string, Tensor> {
    return { sum: fullLike(param, initialAccumulatorValue) };
  }
  protected numbers({ lr, lrDecay }: ParamGroup<AdagradOptions>, step: number): Record<'rate', number> {
    return { rate: lr / (1 + (step - 1) * lrDecay) };
  }
  protected update(
    update: Update,
    n: (name: 'rate') => Tensor,
    { weightDecay, eps }: ParamGroup<AdagradOptions>,
  ): void {
    const { sum } = update.tensors;
    const gradient = decayed(update, weightDecay);
    write(sum, () => sum.add(gradient.mul(gradient)));
    write(update.param, () => update.param.sub(gradient.mul(n('rate')).div(sum.sqrt().add(eps))));
  }
}

export interface AdadeltaOptions {
  lr: number;
  rho: number;
  eps: number;
  weightDecay: number;
  maximize: boolean;
}
/** `v ← ρv + (1-ρ)g²`, `δ = √(a+eps)/√(v+eps) · g`, `a ← ρa + (1-ρ)δ²`, `p ← p - lr·δ`. */
export class Adadelta extends Optimizer<AdadeltaOptions, Record<'lr', number>> {
  protected override readonly stepLayout = 'number';
  constructor(params: Params<AdadeltaOptions>, options: Partial<AdadeltaOptions> = {}) {
    super(params, { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0, maximize: false }, options);
  }
  protected check({ lr, rho, eps, weightDecay }: AdadeltaOptions): void {
    requireRange('Adadelta', 'rho', rho, 0, 1, true);
    for (const [name, value] of Object.entries({ lr, eps, weightDecay })) requireRange('Adadelta', name, value, 0);
  }
  protected initialState(param: Tensor): Record<string, Tensor> {
    return { squareAvg: zerosLike(param), accDelta: zerosLike(param) };
  }
  protected numbers({ lr }: ParamGroup<AdadeltaOptions>): Record<'lr', number> {
    return { lr };
  }
  protected update(
    update: Update,
    n: (name: 'lr') => Tensor,
    { rho, eps, weightDecay }: ParamGroup<AdadeltaOptions>,
  ): void {
    const { squareAvg, accDelta } = update.tensors;
    const gradient = decayed(update, weightDecay);
    write(squareAvg, () => squareAvg.mul(rho).add(gradient.mul(gradient).mul(1 - rho)));
    const delta = accDelta.add(eps).sqrt().div(squareAvg.add(eps).sqrt()).mul(gradient);
    write(accDelta, () => accDelta.mul(rho).add(delta.mul(delta).mul(1 - rho)));
    write(update.param, () => update.param.sub(delta.mul(n('lr'))));
  }
}

export interface RMSpropOptions {
  lr: number;
  alpha: number;
  eps: number;
  weightDecay: number;
  momentum: number;
  /** Divide by the standard deviation of the gradient instead of its root mean square. */
  centered: boolean;
  maximize: boolean;
}
type RMSpropNumbers = Record<'lr' | 'momentum', number>;
/** `v ← αv + (1-α)g²`, `p ← p - lr·g/(√v + eps)`, with optional momentum on the quotient. */
export class RMSprop extends Optimizer<RMSpropOptions, RMSpropNumbers> {
  protected override readonly stepLayout = 'number';
  constructor(params: Params<RMSpropOptions>, options: Partial<RMSpropOptions> = {}) {
    super(
      params,
      {
        lr: 0.01,
        alpha: 0.99,
        eps: 1e-8,
        weightDecay: 0,
        momentum: 0,
        centered: false,
        maximize: false,
      },
      options,
    );
  }
  protected check({ lr, alpha, eps, weightDecay, momentum }: RMSpropOptions): void {
    for (const [name, value] of Object.entries({ lr, alpha, eps, weightDecay, momentum }))
      requireRange('RMSprop', name, value, 0);
  }
  protected initialState(param: Tensor, { momentum, centered }: ParamGroup<RMSpropOptions>): Record<string, Tensor> {
    return {
      squareAvg: zerosLike(param),
      ...(momentum > 0 ? { momentumBuffer: zerosLike(param) } : {}),
      ...(centered ? { gradAvg: zerosLike(param) } : {}),
    };
  }
  protected numbers({ lr, momentum }: ParamGroup<RMSpropOptions>): RMSpropNumbers {
    return { lr, momentum };
  }
  protected update(
    update: Update,
    n: (name: keyof RMSpropNumbers) => Tensor,
    { alpha, eps, weightDecay, momentum, centered }: ParamGroup<RMSpropOptions>,
  ): void {
    const { squareAvg, gradAvg } = update.tensors;
    const gradient = decayed(update, weightDecay);
    write(squareAvg, () => squareAvg.mul(alpha).add(gradient.mul(gradient).mul(1 - alpha)));
    if (centered) write(gradAvg, () => gradAvg.mul(alpha).add(gradient.mul(1 - alpha)));
    let direction = gradient.div((centered ? squareAvg.sub(gradAvg.mul(gradAvg)) : squareAvg).sqrt().add(eps));
    if (momentum > 0) {
      const buffer = (update.tensors['momentumBuffer'] ??= zerosLike(update.param));
      const quotient = direction;
      write(buffer, () => buffer.mul(n('momentum')).add(quotient));
      direction = buffer;
    }
    write(update.param, () => update.param.sub(direction.mul(n('lr'))));
  }
}
