/** Convolution layers. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { elementCount } from '@proj/tensor/graph';
import {
  conv1d,
  conv2d,
  conv3d,
  CONVOLUTION,
  type ConvolutionOptions,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
  TRANSPOSED_CONVOLUTION,
  type TransposedConvolutionOptions,
} from '../functional/convolution.ts';
import { pad, type PaddingMode } from '../functional/padding.ts';
import { tuple } from '../functional/support.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';
import { joined, settings, unless } from '../printing.ts';
import { FACTORY, type FactoryOptions, requireSizes, uniformParameter } from './linear.ts';

type Size = number | readonly number[];
export interface ConvOptions extends FactoryOptions, ConvolutionOptions {
  readonly bias?: boolean;
  readonly paddingMode?: 'zeros' | Exclude<PaddingMode, 'constant'>;
}
export interface ConvTransposeOptions extends FactoryOptions, TransposedConvolutionOptions {
  readonly bias?: boolean;
  readonly paddingMode?: 'zeros';
}

const CONV: Defaults<ConvOptions> = { ...CONVOLUTION, bias: true, paddingMode: 'zeros', ...FACTORY };
const CONV_TRANSPOSE: Defaults<ConvTransposeOptions> = {
  ...TRANSPOSED_CONVOLUTION,
  bias: true,
  paddingMode: 'zeros',
  ...FACTORY,
};

type Convolution = (input: Tensor, weight: Tensor, bias: Tensor | null, options: ConvolutionOptions) => Tensor;
type TransposedConvolution = (
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: TransposedConvolutionOptions,
) => Tensor;

/** Channels, sizes, and what is not as by default. */
function shapeText(layer: Conv | ConvTranspose): string {
  const { inChannels, outChannels, kernelSize, stride, padding, dilation, groups, bias } = layer;
  const [zeros, ones] = [0, 1].map((value) => kernelSize.map(() => value));
  return joined(
    `${inChannels}, ${outChannels}`,
    settings({
      kernelSize,
      stride,
      padding: typeof padding === 'string' ? padding : unless(zeros, padding),
      dilation: unless(ones, dilation),
      outputPadding: layer instanceof ConvTranspose ? unless(zeros, layer.outputPadding) : undefined,
      groups: unless(1, groups),
      bias: unless(true, bias !== null),
    }),
  );
}

/** What the convolution layers share; weight [out, in / groups, ...kernel], uniform within ±1/√(fan in), as the bias. */
class Conv extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[] | 'same' | 'valid';
  readonly dilation: readonly number[];
  readonly groups: number;
  readonly paddingMode: NonNullable<ConvOptions['paddingMode']>;
  weight: Parameter;
  bias: Parameter | null;
  readonly run: Convolution;

  constructor(
    run: Convolution,
    spatial: number,
    inChannels: number,
    outChannels: number,
    kernelSize: Size,
    options: ConvOptions,
  ) {
    super();
    const op = new.target.name;
    requireSizes(op, { inChannels, outChannels });
    const { stride, padding, dilation, groups, bias, paddingMode, ...factory } = withDefaults(op, CONV, options);
    if (groups <= 0 || inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new ProjError(
        'invalid-argument',
        `${inChannels} and ${outChannels} channels do not divide into ${groups} groups`,
        { op },
      );
    if (typeof padding === 'string' && padding !== 'same' && padding !== 'valid')
      throw new ProjError('invalid-argument', `padding is "${String(padding)}"`, {
        op,
        cure: "Use 'same', 'valid', a number, or one for each dimension",
      });
    if (padding === 'same' && tuple(stride, spatial, 'stride', op).some((step) => step !== 1))
      throw new ProjError('invalid-argument', "padding 'same' with a stride", { op, cure: 'Use a stride of 1' });
    this.run = run;
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = tuple(kernelSize, spatial, 'kernelSize', op);
    this.stride = tuple(stride, spatial, 'stride', op);
    this.padding = typeof padding === 'string' ? padding : tuple(padding, spatial, 'padding', op);
    this.dilation = tuple(dilation, spatial, 'dilation', op);
    this.groups = groups;
    this.paddingMode = paddingMode;
    const shape = [outChannels, inChannels / groups, ...this.kernelSize];
    const bound = 1 / Math.sqrt(elementCount(shape.slice(1)));
    this.weight = uniformParameter(shape, bound, factory);
    this.bias = bias ? uniformParameter([outChannels], bound, factory) : null;
  }
  override forward(input: Tensor): Tensor {
    const { stride, padding, dilation, groups } = this;
    if (this.paddingMode === 'zeros')
      return this.run(input, this.weight, this.bias, { stride, padding, dilation, groups });
    const total = this.kernelSize.map((k, i) => dilation[i] * (k - 1));
    const amounts = this.kernelSize.map((_, i) =>
      padding === 'same'
        ? [Math.floor(total[i] / 2), total[i] - Math.floor(total[i] / 2)]
        : padding === 'valid'
          ? [0, 0]
          : [padding[i], padding[i]],
    );
    return this.run(pad(input, amounts.toReversed().flat(), { mode: this.paddingMode }), this.weight, this.bias, {
      stride,
      dilation,
      groups,
    });
  }
  override extraRepr(): string {
    return joined(shapeText(this), settings({ paddingMode: unless('zeros', this.paddingMode) }));
  }
}
/** Convolution of [N, C, L]. */
export class Conv1d extends Conv {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(conv1d, 1, inChannels, outChannels, kernelSize, options);
  }
}
/** Convolution of [N, C, H, W]. */
export class Conv2d extends Conv {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(conv2d, 2, inChannels, outChannels, kernelSize, options);
  }
}
/** Convolution of [N, C, D, H, W]. */
export class Conv3d extends Conv {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super(conv3d, 3, inChannels, outChannels, kernelSize, options);
  }
}

/** What the transposed convolution layers share; weight [in, out / groups, ...kernel]. */
class ConvTranspose extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly outputPadding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  weight: Parameter;
  bias: Parameter | null;
  readonly run: TransposedConvolution;

  constructor(
    run: TransposedConvolution,
    spatial: number,
    inChannels: number,
    outChannels: number,
    kernelSize: Size,
    options: ConvTransposeOptions,
  ) {
    super();
    const op = new.target.name;
    requireSizes(op, { inChannels, outChannels });
    const { stride, padding, outputPadding, groups, bias, dilation, paddingMode, ...factory } = withDefaults(
      op,
      CONV_TRANSPOSE,
      options,
    );
    if (paddingMode !== 'zeros')
      throw new ProjError('invalid-argument', `only paddingMode 'zeros' is supported`, { op });
    if (groups <= 0 || inChannels % groups !== 0 || outChannels % groups !== 0)
      throw new ProjError(
        'invalid-argument',
        `${inChannels} and ${outChannels} channels do not divide into ${groups} groups`,
        { op },
      );
    this.run = run;
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = tuple(kernelSize, spatial, 'kernelSize', op);
    this.stride = tuple(stride, spatial, 'stride', op);
    this.padding = tuple(padding, spatial, 'padding', op);
    this.outputPadding = tuple(outputPadding, spatial, 'outputPadding', op);
    this.dilation = tuple(dilation, spatial, 'dilation', op);
    this.groups = groups;
    const shape = [inChannels, outChannels / groups, ...this.kernelSize];
    const bound = 1 / Math.sqrt(elementCount(shape.slice(1)));
    this.weight = uniformParameter(shape, bound, factory);
    this.bias = bias ? uniformParameter([outChannels], bound, factory) : null;
  }
  /** `outputSize` chooses among the sizes that the stride leaves open. */
  override forward(input: Tensor, outputSize: readonly number[] | null = null): Tensor {
    const { stride, padding, dilation, groups, kernelSize } = this;
    let { outputPadding } = this;
    if (outputSize !== null) {
      const spatial = kernelSize.length;
      const wanted = outputSize.slice(-spatial);
      outputPadding = wanted.map(
        (size, i) =>
          size -
          ((input.shape[input.ndim - spatial + i] - 1) * stride[i] -
            2 * padding[i] +
            dilation[i] * (kernelSize[i] - 1) +
            1),
      );
      if (outputPadding.some((p, i) => p < 0 || p >= stride[i]))
        throw new ProjError('invalid-argument', `output size [${wanted.join(', ')}] cannot be reached`, {
          op: this.constructor.name,
          shapes: [input.shape],
        });
    }
    return this.run(input, this.weight, this.bias, { stride, padding, outputPadding, groups, dilation });
  }
  override extraRepr(): string {
    return shapeText(this);
  }
}
/** The adjoint of a convolution of [N, C, L]. */
export class ConvTranspose1d extends ConvTranspose {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(convTranspose1d, 1, inChannels, outChannels, kernelSize, options);
  }
}
/** The adjoint of a convolution of [N, C, H, W]. */
export class ConvTranspose2d extends ConvTranspose {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(convTranspose2d, 2, inChannels, outChannels, kernelSize, options);
  }
}
/** The adjoint of a convolution of [N, C, D, H, W]. */
export class ConvTranspose3d extends ConvTranspose {
  constructor(inChannels: number, outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super(convTranspose3d, 3, inChannels, outChannels, kernelSize, options);
  }
}
