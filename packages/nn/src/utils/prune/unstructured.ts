/** Pruning methods that look at elements one by one. */
import { ProjError } from '@proj/kernel';
import { randLike, type Tensor } from '@proj/tensor';
import type { Module } from '../../module.ts';
import { type Amount, countOf, requireAmount } from './amount.ts';
import { BasePruningMethod, type ImportanceOptions } from './method.ts';

/** Removes nothing, but brings the parameter into the form of pruned ones. */
export class Identity extends BasePruningMethod {
  readonly pruningType = 'unstructured';
  override computeMask(_t: Tensor, defaultMask: Tensor): Tensor {
    return defaultMask;
  }
}

/** `mask` without the `count` elements whose scores are smallest. */
function withoutSmallest(scores: Tensor, mask: Tensor, count: number): Tensor {
  if (count === 0) return mask.clone();
  const { indices } = scores.flatten().topk(count, { largest: false });
  return mask
    .flatten()
    .indexFill(0, indices, 0)
    .reshape([...mask.shape]);
}
/** Removes an amount of elements: those of the smallest scores. */
abstract class ByScore extends BasePruningMethod {
  readonly pruningType = 'unstructured';
  readonly amount: Amount;
  constructor(amount: Amount) {
    super();
    this.amount = requireAmount(amount);
  }
  protected abstract scores(t: Tensor): Tensor;
  override computeMask(t: Tensor, defaultMask: Tensor): Tensor {
    return withoutSmallest(this.scores(t), defaultMask, countOf(this.amount, t.numel()));
  }
}
/** Removes elements at random. */
export class RandomUnstructured extends ByScore {
  protected scores(t: Tensor): Tensor {
    return randLike(t);
  }
}
/** Removes the elements of smallest magnitude. */
export class L1Unstructured extends ByScore {
  protected scores(t: Tensor): Tensor {
    return t.abs();
  }
}
/** Keeps what a given mask keeps. */
export class CustomFromMask extends BasePruningMethod {
  readonly pruningType = 'global';
  readonly mask: Tensor;
  constructor(mask: Tensor) {
    super();
    this.mask = mask;
  }
  override computeMask(_t: Tensor, defaultMask: Tensor): Tensor {
    if (this.mask.shape.join() !== defaultMask.shape.join())
      throw new ProjError('shape-mismatch', 'the mask must have the shape of the tensor', {
        op: 'customFromMask',
        shapes: [this.mask.shape, defaultMask.shape],
      });
    return defaultMask.mul(this.mask.detach().to(defaultMask.dtype));
  }
}

/** Brings a parameter into the form of pruned ones (`weight_orig`, `weight_mask`) without removing anything. Gives the module. */
export function identity<M extends Module>(module: M, name: string): M {
  new Identity().applyTo(module, name);
  return module;
}
/** Sets elements to zero at random. Gives the module. */
export function randomUnstructured<M extends Module>(module: M, name: string, amount: Amount): M {
  new RandomUnstructured(amount).applyTo(module, name);
  return module;
}
/** Sets the elements of smallest magnitude (or smallest score) to zero. Gives the module. */
export function l1Unstructured<M extends Module>(
  module: M,
  name: string,
  amount: Amount,
  options: ImportanceOptions = {},
): M {
  new L1Unstructured(amount).applyTo(module, name, options);
  return module;
}
/** Sets the elements to zero where the mask has 0. Gives the module. */
export function customFromMask<M extends Module>(module: M, name: string, mask: Tensor): M {
  new CustomFromMask(mask).applyTo(module, name);
  return module;
}
