/** Dropout layers: active in training mode only. */
import { withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import * as F from '../functional/dropout.ts';
import type { InplaceOptions } from '../functional/support.ts';
import { Module } from '../module.ts';
import { settings } from '../printing.ts';

class DropoutBase extends Module {
  /** Probability of a zero. */
  readonly p: number;
  readonly inplace: boolean;
  readonly run: (input: Tensor, options: F.DropoutOptions) => Tensor;
  constructor(
    run: (input: Tensor, options: F.DropoutOptions) => Tensor,
    p: ProbabilityArgument,
    options: InplaceOptions,
  ) {
    super();
    const given = withDefaults(
      new.target.name,
      { p: 0.5, inplace: false },
      typeof p === 'number' ? { ...options, p } : { ...options, ...p },
    );
    this.run = run;
    this.p = given.p;
    this.inplace = given.inplace;
    F.checkProbability(this.p, this.constructor.name);
  }
  override forward(input: Tensor): Tensor {
    return this.run(input, { p: this.p, training: this.training, inplace: this.inplace });
  }
  override extraRepr(): string {
    return settings({ p: this.p, inplace: this.inplace });
  }
}
type ProbabilityArgument = number | (InplaceOptions & { readonly p?: number });

/** Zeros elements with probability p. */
export class Dropout extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.dropout, p, options);
  }
}
/** Zeros whole channels of [N, C, L]. */
export class Dropout1d extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.dropout1d, p, options);
  }
}
/** Zeros whole channels of [N, C, H, W]. */
export class Dropout2d extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.dropout2d, p, options);
  }
}
/** Zeros whole channels of [N, C, D, H, W]. */
export class Dropout3d extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.dropout3d, p, options);
  }
}
/** Dropout that keeps mean and variance under SELU. */
export class AlphaDropout extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.alphaDropout, p, options);
  }
}
/** {@link AlphaDropout} of whole channels. */
export class FeatureAlphaDropout extends DropoutBase {
  constructor(p: ProbabilityArgument = 0.5, options: InplaceOptions = {}) {
    super(F.featureAlphaDropout, p, options);
  }
}
