/** Stochastic gradient descent with momentum as PyTorch defines it (Sutskever et al. 2013 without the learning rate inside the velocity). */
import { ProjError } from '@proj/kernel';
import { type Tensor, zerosLike } from '@proj/tensor';
import { requireRange } from '../checks.ts';
import {
  Optimizer,
  type ParameterState,
  type ParamGroup,
  type Params,
  type StateDictValue,
  type Update,
  write,
} from '../optimizer.ts';

export interface SGDOptions {
  lr: number;
  /** Share of the velocity that is kept (default 0: no velocity). */
  momentum: number;
  /** Share of the gradient that does not enter the velocity (default 0). */
  dampening: number;
  /** L2 penalty (default 0). */
  weightDecay: number;
  nesterov: boolean;
  maximize: boolean;
}
type SGDNumbers = Record<'lr' | 'momentum' | 'gradientShare', number>;

/**
 * `v ← momentum·v + (1 - dampening)·g` (the first time `v ← g`), `p ← p - lr·v`; with `nesterov`, `p ← p - lr·(g + momentum·v)`.
 * `lr` is required.
 */
export class SGD extends Optimizer<SGDOptions, SGDNumbers> {
  protected override readonly stepLayout = 'none';

  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(
      params,
      {
        lr: Number.NaN,
        momentum: 0,
        dampening: 0,
        weightDecay: 0,
        nesterov: false,
        maximize: false,
      },
      options,
    );
  }

  protected check({ lr, momentum, dampening, weightDecay, nesterov }: SGDOptions): void {
    requireRange('SGD', 'lr', lr, 0);
    requireRange('SGD', 'momentum', momentum, 0);
    requireRange('SGD', 'weightDecay', weightDecay, 0);
    if (nesterov && (momentum <= 0 || dampening !== 0))
      throw new ProjError('invalid-argument', 'Nesterov momentum needs a momentum and no dampening', { op: 'SGD' });
  }

  protected initialState(param: Tensor, { momentum }: ParamGroup<SGDOptions>): Record<string, Tensor> {
    return momentum === 0 ? {} : { momentumBuffer: zerosLike(param) };
  }

  protected numbers({ lr, momentum, dampening }: ParamGroup<SGDOptions>, step: number): SGDNumbers {
    return { lr, momentum, gradientShare: step === 1 ? 1 : 1 - dampening };
  }

  protected update(
    { param, grad, tensors }: Update,
    n: (name: keyof SGDNumbers) => Tensor,
    { momentum, weightDecay, nesterov }: ParamGroup<SGDOptions>,
  ): void {
    let direction = weightDecay === 0 ? grad : grad.add(param.mul(weightDecay));
    if (momentum !== 0) {
      const gradient = direction;
      const velocity = (tensors['momentumBuffer'] ??= zerosLike(param));
      write(velocity, () => velocity.mul(n('momentum')).add(gradient.mul(n('gradientShare'))));
      direction = nesterov ? gradient.add(velocity.mul(n('momentum'))) : velocity;
    }
    write(param, () => param.sub(direction.mul(n('lr'))));
  }

  protected override saveState(state: ParameterState): Record<string, StateDictValue> {
    return { momentum_buffer: state.tensors['momentumBuffer'] ?? null };
  }
}
