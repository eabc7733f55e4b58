/** Layers that pad, rearrange, resample and compare. */
import { ProjError, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { cosineSimilarity, pairwiseDistance, type PairwiseDistanceOptions } from '../functional/distances.ts';
import { pad, type PaddingMode } from '../functional/padding.ts';
import {
  channelShuffle,
  fold,
  interpolate,
  type InterpolateOptions,
  type InterpolationMode,
  pixelShuffle,
  pixelUnshuffle,
  unfold,
  type UnfoldOptions,
} from '../functional/vision.ts';
import { Module } from '../module.ts';
import { python, settings } from '../printing.ts';

type Size = number | readonly number[];

class Padding extends Module {
  /** Amounts before and after, the last dimension first. */
  readonly padding: readonly number[];
  readonly mode: PaddingMode;
  readonly value: number;
  constructor(spatial: number, padding: Size, mode: PaddingMode, value = 0) {
    super();
    this.padding = typeof padding === 'number' ? new Array<number>(2 * spatial).fill(padding) : padding;
    if (this.padding.length !== 2 * spatial)
      throw new ProjError('invalid-argument', `${2 * spatial} amounts are needed`, { op: this.constructor.name });
    this.mode = mode;
    this.value = value;
  }
  override forward(input: Tensor): Tensor {
    return pad(input, this.padding, { mode: this.mode, value: this.value });
  }
  override extraRepr(): string {
    return python(this.padding);
  }
}
/** Pads the last dimensions with a number. */
export class ConstantPad1d extends Padding {
  constructor(padding: Size, value: number) {
    super(1, padding, 'constant', value);
  }
}
/** Pads the last dimensions with a number. */
export class ConstantPad2d extends Padding {
  constructor(padding: Size, value: number) {
    super(2, padding, 'constant', value);
  }
}
/** Pads the last dimensions with a number. */
export class ConstantPad3d extends Padding {
  constructor(padding: Size, value: number) {
    super(3, padding, 'constant', value);
  }
}
/** Pads the last two dimensions with zeros. */
export class ZeroPad2d extends Padding {
  constructor(padding: Size) {
    super(2, padding, 'constant');
  }
}
/** Pads with the input mirrored at its edges. */
export class ReflectionPad1d extends Padding {
  constructor(padding: Size) {
    super(1, padding, 'reflect');
  }
}
/** Pads with the input mirrored at its edges. */
export class ReflectionPad2d extends Padding {
  constructor(padding: Size) {
    super(2, padding, 'reflect');
  }
}
/** Pads with the input mirrored at its edges. */
export class ReflectionPad3d extends Padding {
  constructor(padding: Size) {
    super(3, padding, 'reflect');
  }
}
/** Pads with the elements at the edges. */
export class ReplicationPad1d extends Padding {
  constructor(padding: Size) {
    super(1, padding, 'replicate');
  }
}
/** Pads with the elements at the edges. */
export class ReplicationPad2d extends Padding {
  constructor(padding: Size) {
    super(2, padding, 'replicate');
  }
}
/** Pads with the elements at the edges. */
export class ReplicationPad3d extends Padding {
  constructor(padding: Size) {
    super(3, padding, 'replicate');
  }
}

/** Resizes spatial dimensions. */
export class Upsample extends Module {
  readonly options: InterpolateOptions;
  constructor(options: Omit<InterpolateOptions, 'antialias'> = {}) {
    super();
    this.options = withDefaults(
      'Upsample',
      { size: null, scaleFactor: null, mode: 'nearest', alignCorners: null, recomputeScaleFactor: null },
      options,
    );
  }
  override forward(input: Tensor): Tensor {
    return interpolate(input, this.options);
  }
  override extraRepr(): string {
    const { size, scaleFactor, mode } = this.options;
    return settings({ size: size ?? undefined, scaleFactor: scaleFactor ?? undefined, mode });
  }
}
const upsampling = (
  mode: InterpolationMode,
  alignCorners: boolean | null,
  size: Size | null,
  scaleFactor: Size | null,
): Omit<InterpolateOptions, 'antialias'> => ({ mode, alignCorners, size, scaleFactor });
/** Resizes [N, C, H, W] to `size` or by `scaleFactor`; each element is the nearest of the input. */
export class UpsamplingNearest2d extends Upsample {
  constructor(options: Pick<InterpolateOptions, 'size' | 'scaleFactor'> = {}) {
    const { size, scaleFactor } = withDefaults('UpsamplingNearest2d', { size: null, scaleFactor: null }, options);
    super(upsampling('nearest', null, size, scaleFactor));
  }
}
/** Resizes [N, C, H, W] to `size` or by `scaleFactor`, linearly between elements; corners stay corners. */
export class UpsamplingBilinear2d extends Upsample {
  constructor(options: Pick<InterpolateOptions, 'size' | 'scaleFactor'> = {}) {
    const { size, scaleFactor } = withDefaults('UpsamplingBilinear2d', { size: null, scaleFactor: null }, options);
    super(upsampling('bilinear', true, size, scaleFactor));
  }
}
/** Channels to space: [N, C·r², H, W] → [N, C, H·r, W·r] (Shi et al. 2016). */
export class PixelShuffle extends Module {
  readonly upscaleFactor: number;
  constructor(upscaleFactor: number) {
    super();
    this.upscaleFactor = upscaleFactor;
  }
  override forward(input: Tensor): Tensor {
    return pixelShuffle(input, this.upscaleFactor);
  }
}
/** Space to channels, the inverse of {@link PixelShuffle}: [N, C, H·r, W·r] → [N, C·r², H, W]. */
export class PixelUnshuffle extends Module {
  readonly downscaleFactor: number;
  constructor(downscaleFactor: number) {
    super();
    this.downscaleFactor = downscaleFactor;
  }
  override forward(input: Tensor): Tensor {
    return pixelUnshuffle(input, this.downscaleFactor);
  }
}
/** Interleaves groups of channels of [N, C, ...] (Zhang et al. 2018). */
export class ChannelShuffle extends Module {
  readonly groups: number;
  constructor(groups: number) {
    super();
    this.groups = groups;
  }
  override forward(input: Tensor): Tensor {
    return channelShuffle(input, this.groups);
  }
}
/** Windows as columns. */
export class Unfold extends Module {
  readonly kernelSize: Size;
  readonly options: UnfoldOptions;
  constructor(kernelSize: Size, options: UnfoldOptions = {}) {
    super();
    const { dilation, padding, stride } = withDefaults('Unfold', { dilation: 1, padding: 0, stride: 1 }, options);
    this.kernelSize = kernelSize;
    this.options = { dilation, padding, stride };
  }
  override forward(input: Tensor): Tensor {
    return unfold(input, this.kernelSize, this.options);
  }
}
/** The adjoint of {@link Unfold}. */
export class Fold extends Module {
  readonly outputSize: Size;
  readonly kernelSize: Size;
  readonly options: UnfoldOptions;
  constructor(outputSize: Size, kernelSize: Size, options: UnfoldOptions = {}) {
    super();
    const { dilation, padding, stride } = withDefaults('Fold', { dilation: 1, padding: 0, stride: 1 }, options);
    this.outputSize = outputSize;
    this.kernelSize = kernelSize;
    this.options = { dilation, padding, stride };
  }
  override forward(input: Tensor): Tensor {
    return fold(input, this.outputSize, this.kernelSize, this.options);
  }
}
/** x1·x2 / max(|x1|·|x2|, eps) along `dim`. */
export class CosineSimilarity extends Module {
  readonly dim: number;
  readonly eps: number;
  constructor(options: { readonly dim?: number; readonly eps?: number } = {}) {
    super();
    const { dim, eps } = withDefaults('CosineSimilarity', { dim: 1, eps: 1e-8 }, options);
    this.dim = dim;
    this.eps = eps;
  }
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return cosineSimilarity(x1, x2, { dim: this.dim, eps: this.eps });
  }
}
/** The p-norm of x1 - x2 + eps over the last dimension. */
export class PairwiseDistance extends Module {
  readonly options: PairwiseDistanceOptions;
  constructor(options: PairwiseDistanceOptions = {}) {
    super();
    const { p, eps, keepdim } = withDefaults('PairwiseDistance', { p: 2, eps: 1e-6, keepdim: false }, options);
    this.options = { p, eps, keepdim };
  }
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return pairwiseDistance(x1, x2, this.options);
  }
}
