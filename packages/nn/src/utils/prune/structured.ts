/** Pruning methods that remove whole channels. */
import { ProjError } from '@proj/kernel';
import { onesLike, rand, type Tensor } from '@proj/tensor';
import { normalizeDim } from '@proj/tensor/graph';
import type { Module } from '../../module.ts';
import { type Amount, countOf, requireAmount } from './amount.ts';
import { BasePruningMethod, type ImportanceOptions } from './method.ts';

/** The mask without the `amount` channels along `dim` whose scores are smallest. */
function withoutChannels(
  t: Tensor,
  mask: Tensor,
  { amount, dim }: { readonly amount: Amount; readonly dim: number },
  scoresOf: (at: number) => Tensor,
): Tensor {
  if (t.ndim < 2)
    throw new ProjError('shape-mismatch', 'channels are pruned of tensors with two dimensions or more', {
      op: 'prune',
      shapes: [t.shape],
      cure: 'Use randomUnstructured or l1Unstructured',
    });
  const at = normalizeDim(dim, t.ndim, 'prune');
  const count = countOf(amount, t.shape[at]);
  if (count === 0) return mask;
  const { indices } = scoresOf(at).topk(count, { largest: false });
  return onesLike(t).indexFill(at, indices, 0).mul(mask.to(t.dtype));
}

/** Removes channels at random. */
export class RandomStructured extends BasePruningMethod {
  readonly pruningType = 'structured';
  readonly amount: Amount;
  override readonly dim: number;
  constructor(amount: Amount, dim = -1) {
    super();
    this.amount = requireAmount(amount);
    this.dim = dim;
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    return withoutChannels(t, defaultMask, this, (at) => rand(t.shape[at], { device: t.device }));
  }
}
/** A norm's order: a number (Infinity for the largest element), or 'fro'. */
export type NormOrder = number | 'fro' | 'nuc';
/** Removes the channels of smallest norm. */
export class LnStructured extends BasePruningMethod {
  readonly pruningType = 'structured';
  readonly amount: Amount;
  readonly n: NormOrder;
  override readonly dim: number;
  constructor(amount: Amount, n: NormOrder, dim = -1) {
    super();
    this.amount = requireAmount(amount);
    this.n = n;
    this.dim = dim;
  }
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    return withoutChannels(t, defaultMask, this, (at) => {
      const others = t.shape.map((_, d) => d).filter((d) => d !== at);
      return t.norm(this.n, others);
    });
  }
}

/** Sets whole channels along `dim` to zero at random. Gives the module. */
export function randomStructured<M extends Module>(module: M, name: string, amount: Amount, dim: number): M {
  new RandomStructured(amount, dim).applyTo(module, name);
  return module;
}
/** Sets the channels along `dim` whose `n`-norm is smallest to zero. Gives the module. */
export function lnStructured<M extends Module>(
  module: M,
  name: string,
  amount: Amount,
  n: NormOrder,
  dim: number,
  options: ImportanceOptions = {},
): M {
  new LnStructured(amount, n, dim).applyTo(module, name, options);
  return module;
}
