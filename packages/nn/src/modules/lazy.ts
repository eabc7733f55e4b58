/** Layers that learn their input size from the first input, and become the ordinary layer then. */
import { ProjError } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { become, Module } from '../module.ts';
import {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
} from './convolution.ts';
import { Linear, type LinearOptions } from './linear.ts';
import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  type BatchNormModuleOptions,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
} from './normalization.ts';

type Size = number | readonly number[];

/** A layer whose parameters do not exist before the first call: asked for them (by an optimiser, `to`, a state dict), it says so. */
export class LazyModule extends Module {
  readonly make: (input: Tensor) => Module;
  constructor(make: (input: Tensor) => Module) {
    super();
    this.make = make;
  }
  override get isLazy(): boolean {
    return true;
  }
  override forward(input: Tensor): Tensor {
    const { training } = this;
    become(this, this.make(input));
    this.train(training);
    return (this as Module as Module & { forward(x: Tensor): Tensor }).forward(input);
  }
}

/** Channels of an input [N, C, ...spatial] or [C, ...spatial]. */
function channels(input: Tensor, spatial: number): number {
  if (input.ndim !== spatial + 1 && input.ndim !== spatial + 2)
    throw new ProjError('shape-mismatch', `an input of ${spatial + 1} or ${spatial + 2} dimensions is needed`, {
      op: 'lazy layer',
      shapes: [input.shape],
    });
  return input.shape[input.ndim - spatial - 1];
}

/** {@link Linear} for inputs of any number of features. */
export class LazyLinear extends LazyModule {
  constructor(outFeatures: number, options: LinearOptions = {}) {
    super((input) => new Linear(input.shape[input.ndim - 1], outFeatures, options));
  }
}
/** {@link Conv1d} for inputs [N, C, L] of any number of channels. */
export class LazyConv1d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super((input) => new Conv1d(channels(input, 1), outChannels, kernelSize, options));
  }
}
/** {@link Conv2d} for inputs [N, C, H, W] of any number of channels. */
export class LazyConv2d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super((input) => new Conv2d(channels(input, 2), outChannels, kernelSize, options));
  }
}
/** {@link Conv3d} for inputs [N, C, D, H, W] of any number of channels. */
export class LazyConv3d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvOptions = {}) {
    super((input) => new Conv3d(channels(input, 3), outChannels, kernelSize, options));
  }
}
/** {@link ConvTranspose1d} for inputs [N, C, L] of any number of channels. */
export class LazyConvTranspose1d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super((input) => new ConvTranspose1d(channels(input, 1), outChannels, kernelSize, options));
  }
}
/** {@link ConvTranspose2d} for inputs [N, C, H, W] of any number of channels. */
export class LazyConvTranspose2d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super((input) => new ConvTranspose2d(channels(input, 2), outChannels, kernelSize, options));
  }
}
/** {@link ConvTranspose3d} for inputs [N, C, D, H, W] of any number of channels. */
export class LazyConvTranspose3d extends LazyModule {
  constructor(outChannels: number, kernelSize: Size, options: ConvTransposeOptions = {}) {
    super((input) => new ConvTranspose3d(channels(input, 3), outChannels, kernelSize, options));
  }
}
/** {@link BatchNorm1d} of any number of channels. */
export class LazyBatchNorm1d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new BatchNorm1d(input.shape[1], options));
  }
}
/** {@link BatchNorm2d} of any number of channels. */
export class LazyBatchNorm2d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new BatchNorm2d(input.shape[1], options));
  }
}
/** {@link BatchNorm3d} of any number of channels. */
export class LazyBatchNorm3d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new BatchNorm3d(input.shape[1], options));
  }
}
/** {@link InstanceNorm1d} of any number of channels. */
export class LazyInstanceNorm1d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new InstanceNorm1d(channels(input, 1), options));
  }
}
/** {@link InstanceNorm2d} of any number of channels. */
export class LazyInstanceNorm2d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new InstanceNorm2d(channels(input, 2), options));
  }
}
/** {@link InstanceNorm3d} of any number of channels. */
export class LazyInstanceNorm3d extends LazyModule {
  constructor(options: BatchNormModuleOptions = {}) {
    super((input) => new InstanceNorm3d(channels(input, 3), options));
  }
}
