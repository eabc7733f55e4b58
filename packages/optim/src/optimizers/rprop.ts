/** Resilient backpropagation (Riedmiller and Braun 1993): only the sign of the gradient counts, with a step size for each element. */
import { ProjError } from '@proj/kernel';
import { fullLike, type Tensor, where, zerosLike } from '@proj/tensor';
import { requireRange } from '../checks.ts';
import { Optimizer, type ParamGroup, type Params, type Update, write } from '../optimizer.ts';

export interface RpropOptions {
  /** First step size of each element (default 0.01). */
  lr: number;
  /** Factors of the step size after a change of sign, and otherwise (default 0.5, 1.2). */
  etas: readonly [number, number];
  /** Smallest and largest step size (default 1e-6, 50). */
  stepSizes: readonly [number, number];
  maximize: boolean;
}

/** Where the gradient keeps its sign the step grows, where it flips the step shrinks and this update is left out. */
export class Rprop extends Optimizer<RpropOptions> {
  protected override readonly stepLayout = 'number';
  constructor(params: Params<RpropOptions>, options: Partial<RpropOptions> = {}) {
    super(params, { lr: 0.01, etas: [0.5, 1.2], stepSizes: [1e-6, 50], maximize: false }, options);
  }
  protected check({ lr, etas: [minus, plus] }: RpropOptions): void {
    requireRange('Rprop', 'lr', lr, 0);
    if (!(minus > 0 && minus < 1 && plus > 1))
      throw new ProjError('invalid-argument', `etas are ${minus}, ${plus}`, {
        op: 'Rprop',
        cure: 'They must satisfy 0 < etas[0] < 1 < etas[1]',
      });
  }
  protected initialState(param: Tensor, { lr }: ParamGroup<RpropOptions>): Record<string, Tensor> {
    return { prev: zerosLike(param), stepSize: fullLike(param, lr) };
  }
  protected numbers(): Record<string, number> {
    return {};
  }
  protected update(
    { param, grad, tensors: { prev, stepSize } }: Update,
    _n: (name: string) => Tensor,
    { etas: [minus, plus], stepSizes: [low, high] }: ParamGroup<RpropOptions>,
  ): void {
    const agreement = grad.mul(prev);
    const flipped = agreement.lt(0);
    const factor = where(
      agreement.gt(0),
      fullLike(grad, plus),
      where(flipped, fullLike(grad, minus), fullLike(grad, 1)),
    );
    write(stepSize, () => stepSize.mul(factor).clamp(low, high));
    const used = where(flipped, zerosLike(grad), grad);
    write(param, () => param.sub(used.sign().mul(stepSize)));
    write(prev, () => used);
  }
}
