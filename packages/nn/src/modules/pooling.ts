/** Pooling layers. */
import { checkOptions, type Defaults, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import * as F from '../functional/pooling.ts';
import {
  FRACTIONAL_POOL,
  fractionalMaxPool2d,
  fractionalMaxPool3d,
  type FractionalPoolOptions,
  maxUnpool1d,
  maxUnpool2d,
  maxUnpool3d,
} from '../functional/unpooling.ts';
import { Module } from '../module.ts';
import { settings } from '../printing.ts';

type Size = number | readonly number[];
/** `stride` may be given positionally or among the options; null means the kernel size. */
type StrideArgument<Options> = Size | null | (Options & { readonly stride?: Size | null });

function strideAndOptions<Options extends object>(
  op: string,
  stride: StrideArgument<Options>,
  options: Options,
  known: Defaults<Options>,
): { stride: Size | null; options: Options } {
  checkOptions(op, known, options);
  if (typeof stride !== 'object' || stride === null || Array.isArray(stride))
    return { stride: stride as Size | null, options };
  checkOptions(op, { ...known, stride: null }, stride);
  const { stride: given = null, ...rest } = stride as Options & { readonly stride?: Size | null };
  return { stride: given, options: { ...rest, ...options } as Options };
}

class Pool<Options extends object> extends Module {
  readonly kernelSize: Size;
  readonly stride: Size | null;
  readonly options: Options;
  readonly run: (input: Tensor, kernelSize: Size, stride: Size | null, options: Options) => Tensor;

  constructor(
    run: (input: Tensor, kernelSize: Size, stride: Size | null, options: Options) => Tensor,
    kernelSize: Size,
    stride: StrideArgument<Options>,
    options: Options,
    known: Defaults<Options>,
  ) {
    super();
    const given = strideAndOptions(new.target.name, stride, options, known);
    this.run = run;
    this.kernelSize = kernelSize;
    this.stride = given.stride;
    this.options = given.options;
  }
  /** With `returnIndices`, a pair of values and positions (typed as a tensor). */
  override forward(input: Tensor): Tensor {
    return this.run(input, this.kernelSize, this.stride, this.options);
  }
  override extraRepr(): string {
    return settings({ kernelSize: this.kernelSize, stride: this.stride ?? this.kernelSize, ...this.options });
  }
}
/** The largest element of each window of [N, C, L]. */
export class MaxPool1d extends Pool<F.MaxPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.MaxPoolOptions> = null, options: F.MaxPoolOptions = {}) {
    super(F.maxPool1d, kernelSize, stride, options, F.MAX_POOL);
  }
}
/** The largest element of each window of [N, C, H, W]. */
export class MaxPool2d extends Pool<F.MaxPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.MaxPoolOptions> = null, options: F.MaxPoolOptions = {}) {
    super(F.maxPool2d, kernelSize, stride, options, F.MAX_POOL);
  }
}
/** The largest element of each window of [N, C, D, H, W]. */
export class MaxPool3d extends Pool<F.MaxPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.MaxPoolOptions> = null, options: F.MaxPoolOptions = {}) {
    super(F.maxPool3d, kernelSize, stride, options, F.MAX_POOL);
  }
}
/** The average of each window of [N, C, L]. */
export class AvgPool1d extends Pool<F.AvgPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.AvgPoolOptions> = null, options: F.AvgPoolOptions = {}) {
    super(F.avgPool1d, kernelSize, stride, options, F.AVG_POOL);
  }
}
/** The average of each window of [N, C, H, W]. */
export class AvgPool2d extends Pool<F.AvgPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.AvgPoolOptions> = null, options: F.AvgPoolOptions = {}) {
    super(F.avgPool2d, kernelSize, stride, options, F.AVG_POOL);
  }
}
/** The average of each window of [N, C, D, H, W]. */
export class AvgPool3d extends Pool<F.AvgPoolOptions> {
  constructor(kernelSize: Size, stride: StrideArgument<F.AvgPoolOptions> = null, options: F.AvgPoolOptions = {}) {
    super(F.avgPool3d, kernelSize, stride, options, F.AVG_POOL);
  }
}
/** (Σ xᵖ)^(1/p) over windows of [N, C, L]. */
export class LPPool1d extends Pool<F.LpPoolOptions> {
  constructor(
    normType: number,
    kernelSize: Size,
    stride: StrideArgument<F.LpPoolOptions> = null,
    options: F.LpPoolOptions = {},
  ) {
    super(
      (input, kernel, step, rest) => F.lpPool1d(input, normType, kernel, step, rest),
      kernelSize,
      stride,
      options,
      F.LP_POOL,
    );
  }
}
/** (Σ xᵖ)^(1/p) over windows of [N, C, H, W]. */
export class LPPool2d extends Pool<F.LpPoolOptions> {
  constructor(
    normType: number,
    kernelSize: Size,
    stride: StrideArgument<F.LpPoolOptions> = null,
    options: F.LpPoolOptions = {},
  ) {
    super(
      (input, kernel, step, rest) => F.lpPool2d(input, normType, kernel, step, rest),
      kernelSize,
      stride,
      options,
      F.LP_POOL,
    );
  }
}

type OutputSize = number | null | readonly (number | null)[];
class AdaptivePool extends Module {
  readonly outputSize: OutputSize;
  readonly run: (input: Tensor, outputSize: OutputSize) => Tensor;
  constructor(run: (input: Tensor, outputSize: OutputSize) => Tensor, outputSize: OutputSize) {
    super();
    this.run = run;
    this.outputSize = outputSize;
  }
  override forward(input: Tensor): Tensor {
    return this.run(input, this.outputSize);
  }
  override extraRepr(): string {
    return settings({ outputSize: this.outputSize });
  }
}
/** Averages so that the output has the given size. */
export class AdaptiveAvgPool1d extends AdaptivePool {
  constructor(outputSize: OutputSize) {
    super(F.adaptiveAvgPool1d, outputSize);
  }
}
/** Averages so that the output has the given size. */
export class AdaptiveAvgPool2d extends AdaptivePool {
  constructor(outputSize: OutputSize) {
    super(F.adaptiveAvgPool2d, outputSize);
  }
}
/** Averages so that the output has the given size. */
export class AdaptiveAvgPool3d extends AdaptivePool {
  constructor(outputSize: OutputSize) {
    super(F.adaptiveAvgPool3d, outputSize);
  }
}
/** Maxima so that the output has the given size. */
export class AdaptiveMaxPool1d extends AdaptivePool {
  constructor(outputSize: OutputSize, options: F.ReturnIndicesOptions = {}) {
    const checked = withDefaults('AdaptiveMaxPool1d', { returnIndices: false }, options);
    super((input, size) => F.adaptiveMaxPool1d(input, size, checked) as Tensor, outputSize);
  }
}
/** Maxima so that the output has the given size. */
export class AdaptiveMaxPool2d extends AdaptivePool {
  constructor(outputSize: OutputSize, options: F.ReturnIndicesOptions = {}) {
    const checked = withDefaults('AdaptiveMaxPool2d', { returnIndices: false }, options);
    super((input, size) => F.adaptiveMaxPool2d(input, size, checked) as Tensor, outputSize);
  }
}
/** Maxima so that the output has the given size. */
export class AdaptiveMaxPool3d extends AdaptivePool {
  constructor(outputSize: OutputSize, options: F.ReturnIndicesOptions = {}) {
    const checked = withDefaults('AdaptiveMaxPool3d', { returnIndices: false }, options);
    super((input, size) => F.adaptiveMaxPool3d(input, size, checked) as Tensor, outputSize);
  }
}

class Unpool extends Module {
  readonly kernelSize: Size;
  readonly stride: Size | null;
  readonly padding: Size;
  readonly run: typeof maxUnpool1d;
  constructor(
    run: typeof maxUnpool1d,
    kernelSize: Size,
    stride: StrideArgument<UnpoolOptions>,
    options: UnpoolOptions,
  ) {
    super();
    const given = strideAndOptions(new.target.name, stride, options, { padding: 0 });
    this.run = run;
    this.kernelSize = kernelSize;
    this.stride = given.stride;
    this.padding = given.options.padding ?? 0;
  }
  override forward(input: Tensor, indices: Tensor, outputSize: readonly number[] | null = null): Tensor {
    return this.run(input, indices, this.kernelSize, this.stride, { padding: this.padding, outputSize });
  }
}
export interface UnpoolOptions {
  readonly padding?: Size;
}
/** Puts the values of {@link MaxPool1d} back where they came from. */
export class MaxUnpool1d extends Unpool {
  constructor(kernelSize: Size, stride: StrideArgument<UnpoolOptions> = null, options: UnpoolOptions = {}) {
    super(maxUnpool1d, kernelSize, stride, options);
  }
}
/** Puts the values of {@link MaxPool2d} back where they came from. */
export class MaxUnpool2d extends Unpool {
  constructor(kernelSize: Size, stride: StrideArgument<UnpoolOptions> = null, options: UnpoolOptions = {}) {
    super(maxUnpool2d, kernelSize, stride, options);
  }
}
/** Puts the values of {@link MaxPool3d} back where they came from. */
export class MaxUnpool3d extends Unpool {
  constructor(kernelSize: Size, stride: StrideArgument<UnpoolOptions> = null, options: UnpoolOptions = {}) {
    super(maxUnpool3d, kernelSize, stride, options);
  }
}

/** Maxima of windows at random places. */
class FractionalPool extends Module {
  readonly kernelSize: Size;
  readonly options: FractionalPoolOptions;
  readonly run: typeof fractionalMaxPool2d;
  constructor(run: typeof fractionalMaxPool2d, kernelSize: Size, options: FractionalPoolOptions) {
    super();
    this.run = run;
    this.kernelSize = kernelSize;
    this.options = options;
  }
  override forward(input: Tensor): Tensor {
    return this.run(input, this.kernelSize, this.options) as Tensor;
  }
}
/** Maxima over windows at random places of [N, C, H, W] (Graham 2014), for an output of `outputSize`, or `outputRatio` of the input. */
export class FractionalMaxPool2d extends FractionalPool {
  constructor(kernelSize: Size, options: FractionalPoolOptions = {}) {
    super(fractionalMaxPool2d, kernelSize, withDefaults('FractionalMaxPool2d', FRACTIONAL_POOL, options));
  }
}
/** As {@link FractionalMaxPool2d}, of [N, C, D, H, W]. */
export class FractionalMaxPool3d extends FractionalPool {
  constructor(kernelSize: Size, options: FractionalPoolOptions = {}) {
    super(fractionalMaxPool3d, kernelSize, withDefaults('FractionalMaxPool3d', FRACTIONAL_POOL, options));
  }
}
