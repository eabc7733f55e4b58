/** Activation functions as modules. */
import { withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { fullLike, zeros } from '@proj/tensor';
import * as F from '../functional/activations.ts';
import { rrelu } from '../functional/dropout.ts';
import type { InplaceOptions } from '../functional/support.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { settings, unless } from '../printing.ts';
import type { FactoryOptions } from './linear.ts';

/** A function of one tensor with fixed options. */
class Activation<Options = undefined> extends Module {
  readonly options: Options;
  readonly run: (input: Tensor, options: Options) => Tensor;
  constructor(run: (input: Tensor, options: Options) => Tensor, options: Options) {
    super();
    this.run = run;
    this.options = options;
  }
  override forward(input: Tensor): Tensor {
    return this.run(input, this.options);
  }
  override extraRepr(): string {
    const { options } = this;
    if (options === undefined || options === null) return '';
    if (typeof options !== 'object') return settings({ dim: options });
    return settings({ ...options, inplace: unless(false, (options as InplaceOptions).inplace ?? false) });
  }
}
const plain =
  (fn: (input: Tensor) => Tensor) =>
  (input: Tensor): Tensor =>
    fn(input);

/** alpha, positionally or among the options. */
const alphaOptions = (op: string, given: number | F.AlphaOptions, options: InplaceOptions): F.AlphaOptions =>
  withDefaults(op, { alpha: 1, inplace: false }, typeof given === 'number' ? { ...options, alpha: given } : given);
const lambdaOptions = (op: string, given: number | F.LambdaOptions): F.LambdaOptions =>
  withDefaults(op, { lambd: 0.5 }, typeof given === 'number' ? { lambd: given } : given);

/** max(x, 0) */
export class ReLU extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.relu, withDefaults('ReLU', { inplace: false }, options));
  }
}
/** min(max(x, 0), 6) */
export class ReLU6 extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.relu6, withDefaults('ReLU6', { inplace: false }, options));
  }
}
/** x for x > 0, negativeSlope·x elsewhere. */
export class LeakyReLU extends Activation<F.LeakyReluOptions> {
  constructor(negativeSlope: number | F.LeakyReluOptions = {}, options: InplaceOptions = {}) {
    super(
      F.leakyRelu,
      withDefaults(
        'LeakyReLU',
        { negativeSlope: 0.01, inplace: false },
        typeof negativeSlope === 'number' ? { ...options, negativeSlope } : negativeSlope,
      ),
    );
  }
}
/** x for x > 0, alpha·(exp(x) - 1) elsewhere. */
export class ELU extends Activation<F.AlphaOptions> {
  constructor(alpha: number | F.AlphaOptions = {}, options: InplaceOptions = {}) {
    super(F.elu, alphaOptions('ELU', alpha, options));
  }
}
/** x for x > 0, alpha·(exp(x / alpha) - 1) elsewhere. */
export class CELU extends Activation<F.AlphaOptions> {
  constructor(alpha: number | F.AlphaOptions = {}, options: InplaceOptions = {}) {
    super(F.celu, alphaOptions('CELU', alpha, options));
  }
}
/** Scaled ELU (Klambauer et al. 2017). */
export class SELU extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.selu, withDefaults('SELU', { inplace: false }, options));
  }
}
/** x·Φ(x), or its approximation by tanh. */
export class GELU extends Activation<F.GeluOptions> {
  constructor(options: F.GeluOptions = {}) {
    super(F.gelu, withDefaults('GELU', { approximate: 'none' }, options));
  }
}
/** x·sigmoid(x) */
export class SiLU extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.silu, withDefaults('SiLU', { inplace: false }, options));
  }
}
/** x·tanh(softplus(x)) */
export class Mish extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.mish, withDefaults('Mish', { inplace: false }, options));
  }
}
/** (x + 3) / 6, limited to [0, 1]. */
export class Hardsigmoid extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.hardsigmoid, withDefaults('Hardsigmoid', { inplace: false }, options));
  }
}
/** x · hardsigmoid(x). */
export class Hardswish extends Activation<InplaceOptions> {
  constructor(options: InplaceOptions = {}) {
    super(F.hardswish, withDefaults('Hardswish', { inplace: false }, options));
  }
}
/** x limited to [minVal, maxVal]. */
export class Hardtanh extends Activation<F.HardtanhOptions> {
  constructor(options: F.HardtanhOptions = {}) {
    super(F.hardtanh, withDefaults('Hardtanh', { minVal: -1, maxVal: 1, inplace: false }, options));
  }
}
/** x where |x| is above lambd, 0 elsewhere. */
export class Hardshrink extends Activation<F.LambdaOptions> {
  constructor(lambd: number | F.LambdaOptions = 0.5) {
    super(F.hardshrink, lambdaOptions('Hardshrink', lambd));
  }
}
/** x moved towards 0 by lambd, 0 within lambd of it. */
export class Softshrink extends Activation<F.LambdaOptions> {
  constructor(lambd: number | F.LambdaOptions = 0.5) {
    super(F.softshrink, lambdaOptions('Softshrink', lambd));
  }
}
/** log(1 + exp(beta·x)) / beta */
export class Softplus extends Activation<F.SoftplusOptions> {
  constructor(options: F.SoftplusOptions = {}) {
    super(F.softplus, withDefaults('Softplus', { beta: 1, threshold: 20 }, options));
  }
}
/** x / (1 + |x|). */
export class Softsign extends Activation<undefined> {
  constructor() {
    super(plain(F.softsign), undefined);
  }
}
/** x - tanh(x). */
export class Tanhshrink extends Activation<undefined> {
  constructor() {
    super(plain(F.tanhshrink), undefined);
  }
}
/** 1 / (1 + e^-x). */
export class Sigmoid extends Activation<undefined> {
  constructor() {
    super(plain(F.sigmoid), undefined);
  }
}
/** ln(sigmoid(x)). */
export class LogSigmoid extends Activation<undefined> {
  constructor() {
    super(plain(F.logsigmoid), undefined);
  }
}
/** Hyperbolic tangent. */
export class Tanh extends Activation<undefined> {
  constructor() {
    super(plain(F.tanh), undefined);
  }
}
/** x where it exceeds `threshold`, `value` elsewhere. */
export class Threshold extends Activation<InplaceOptions> {
  constructor(threshold: number, value: number, options: InplaceOptions = {}) {
    super(
      (input, options) => F.threshold(input, threshold, value, options),
      withDefaults('Threshold', { inplace: false }, options),
    );
  }
}
/** The first half times the sigmoid of the second. */
export class GLU extends Activation<number> {
  constructor(dim: number | { readonly dim?: number } = -1) {
    super(F.glu, typeof dim === 'number' ? dim : withDefaults('GLU', { dim: -1 }, dim).dim);
  }
}
type DimArgument = number | null | { readonly dim?: number | null };
const dimOf = (op: string, dim: DimArgument): number | null =>
  typeof dim === 'object' && dim !== null ? withDefaults(op, { dim: null }, dim).dim : dim;
/** e^x / Σ e^x along `dim`. */
export class Softmax extends Activation<number | null> {
  constructor(dim: DimArgument = null) {
    super((input, at) => F.softmax(input, at), dimOf('Softmax', dim));
  }
}
/** Softmax of -x. */
export class Softmin extends Activation<number | null> {
  constructor(dim: DimArgument = null) {
    super((input, at) => F.softmin(input, at), dimOf('Softmin', dim));
  }
}
/** ln(softmax(x)) along `dim`. */
export class LogSoftmax extends Activation<number | null> {
  constructor(dim: DimArgument = null) {
    super((input, at) => F.logSoftmax(input, at), dimOf('LogSoftmax', dim));
  }
}
/** Softmax over the channels of [N, C, H, W]. */
export class Softmax2d extends Activation<undefined> {
  constructor() {
    super((input) => F.softmax(input, -3), undefined);
  }
}
export interface RReLUOptions extends InplaceOptions {
  readonly lower?: number;
  readonly upper?: number;
}
/** A leaky relu with slopes drawn at random in training. */
export class RReLU extends Module {
  readonly options: RReLUOptions;
  constructor(options: RReLUOptions = {}) {
    super();
    const { lower, upper, inplace } = withDefaults('RReLU', { lower: 1 / 8, upper: 1 / 3, inplace: false }, options);
    this.options = { lower, upper, inplace };
  }
  override forward(input: Tensor): Tensor {
    return rrelu(input, { ...this.options, training: this.training });
  }
}
export interface PReLUOptions extends FactoryOptions {
  /** 1, or the number of channels. */
  readonly numParameters?: number;
  readonly init?: number;
}
/** A leaky relu whose slopes are trained. */
export class PReLU extends Module {
  weight: Parameter;
  constructor(options: PReLUOptions = {}) {
    super();
    const { numParameters, init, dtype, device } = withDefaults(
      'PReLU',
      { numParameters: 1, init: 0.25, dtype: null, device: null },
      options,
    );
    this.weight = new Parameter(fullLike(zeros([numParameters], { dtype, device }), init));
  }
  override forward(input: Tensor): Tensor {
    return F.prelu(input, this.weight);
  }
  override extraRepr(): string {
    return settings({ numParameters: this.weight.numel() });
  }
}
