/** Averaged stochastic gradient descent (Polyak and Juditsky 1992; schedule of Bottou's SGD). */
import { type Tensor, zerosLike } from '@proj/tensor';
import { requireRange } from '../checks.ts';
import { Optimizer, type ParamGroup, type Params, type Update, write } from '../optimizer.ts';

export interface ASGDOptions {
  lr: number;
  /** Decay term. */
  lambd: number;
  /** Power of the schedule of eta. */
  alpha: number;
  /** Step at which averaging starts. */
  t0: number;
  weightDecay: number;
  maximize: boolean;
}
type ASGDNumbers = Record<'keep' | 'eta' | 'mu' | 'rest', number>;

/** `p ← (1 - λη)p - ηg`, `ax ← ax + μ(p - ax)`; then `η = lr/(1 + λ·lr·t)^α`, `μ = 1/max(1, t - t0)` for the next step. */
export class ASGD extends Optimizer<ASGDOptions, ASGDNumbers> {
  constructor(params: Params<ASGDOptions>, options: Partial<ASGDOptions> = {}) {
    super(params, { lr: 0.01, lambd: 1e-4, alpha: 0.75, t0: 1e6, weightDecay: 0, maximize: false }, options);
  }
  protected check({ lr, weightDecay }: ASGDOptions): void {
    requireRange('ASGD', 'lr', lr, 0);
    requireRange('ASGD', 'weightDecay', weightDecay, 0);
  }
  protected initialState(param: Tensor): Record<string, Tensor> {
    return { ax: zerosLike(param) };
  }
  protected override initialNumbers({ lr }: ParamGroup<ASGDOptions>): Record<string, number> {
    return { eta: lr, mu: 1 };
  }
  protected numbers(
    { lr, lambd, alpha, t0 }: ParamGroup<ASGDOptions>,
    step: number,
    memory: Record<string, number>,
  ): ASGDNumbers {
    const { eta, mu } = memory;
    memory['eta'] = lr / (1 + lambd * lr * step) ** alpha;
    memory['mu'] = 1 / Math.max(1, step - t0);
    return { keep: 1 - lambd * eta, eta, mu, rest: 1 - mu };
  }
  protected update(
    { param, grad, tensors: { ax } }: Update,
    n: (name: keyof ASGDNumbers) => Tensor,
    { weightDecay }: ParamGroup<ASGDOptions>,
  ): void {
    const gradient = weightDecay === 0 ? grad : grad.add(param.mul(weightDecay));
    write(param, () => param.mul(n('keep')).sub(gradient.mul(n('eta'))));
    // With μ = 1 the average is the parameter itself, exactly.
    write(ax, () => ax.mul(n('rest')).add(param.mul(n('mu'))));
  }
}
