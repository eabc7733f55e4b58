/** Linear layers and changes of shape. */
import { type Defaults, describeValue, type DType, ProjError, withDefaults } from '@proj/kernel';
import { zeros, type Tensor } from '@proj/tensor';
import { bilinear, linear } from '../functional/linear.ts';
import { uniform_ } from '../init.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { settings } from '../printing.ts';

/** Where parameters are made. */
export interface FactoryOptions {
  readonly dtype?: DType | null;
  readonly device?: string | null;
}

/** Where parameters are made unless it is said. */
export const FACTORY: Defaults<FactoryOptions> = { dtype: null, device: null };

/** A parameter uniform in (-bound, bound). */
export const uniformParameter = (shape: readonly number[], bound: number, options: FactoryOptions = {}): Parameter => {
  const { dtype, device } = withDefaults('uniformParameter', { dtype: null, device: null }, options);
  const parameter = new Parameter(zeros([...shape], { dtype, device }));
  uniform_(parameter, -bound, bound);
  return parameter;
};

/** Refuses sizes that are no whole numbers from 0 on, in the name of the layer. */
export function requireSizes(op: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes))
    if (!Number.isInteger(size) || size < 0)
      throw new ProjError('invalid-argument', `${name} is ${describeValue(size)}`, {
        op,
        cure: `Write new ${op}(${Object.keys(sizes).join(', ')}, …) with whole numbers`,
      });
}

export interface LinearOptions extends FactoryOptions {
  readonly bias?: boolean;
}
/** input · weightᵀ + bias: [..., inFeatures] → [..., outFeatures]. Weight and bias start uniform within ±1/√inFeatures. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    requireSizes('Linear', { inFeatures, outFeatures });
    const { bias, ...factory } = withDefaults('Linear', { bias: true, ...FACTORY }, options);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    const bound = inFeatures > 0 ? 1 / Math.sqrt(inFeatures) : 0;
    this.weight = uniformParameter([outFeatures, inFeatures], bound, factory);
    this.bias = bias ? uniformParameter([outFeatures], bound, factory) : null;
  }
  override forward(input: Tensor): Tensor {
    return linear(input, this.weight, this.bias);
  }
  override extraRepr(): string {
    const { inFeatures, outFeatures } = this;
    return settings({ inFeatures, outFeatures, bias: this.bias !== null });
  }
}

/** input1 · weight[k] · input2ᵀ + bias[k] for each output feature k. */
export class Bilinear extends Module {
  weight: Parameter;
  bias: Parameter | null;

  constructor(in1Features: number, in2Features: number, outFeatures: number, options: LinearOptions = {}) {
    super();
    const { bias, ...factory } = withDefaults('Bilinear', { bias: true, ...FACTORY }, options);
    const bound = 1 / Math.sqrt(in1Features);
    this.weight = uniformParameter([outFeatures, in1Features, in2Features], bound, factory);
    this.bias = bias ? uniformParameter([outFeatures], bound, factory) : null;
  }
  override forward(input1: Tensor, input2: Tensor): Tensor {
    return bilinear(input1, input2, this.weight, this.bias);
  }
  override extraRepr(): string {
    const [outFeatures, in1Features, in2Features] = this.weight.shape;
    return settings({ in1Features, in2Features, outFeatures, bias: this.bias !== null });
  }
}

/** Gives its input. Arguments of the constructor are ignored. */
export class Identity extends Module {
  constructor(..._args: readonly unknown[]) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return input;
  }
}
export interface FlattenOptions {
  readonly startDim?: number;
  readonly endDim?: number;
}
/** Merges dimensions startDim … endDim. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  constructor(options: FlattenOptions = {}) {
    super();
    const { startDim, endDim } = withDefaults('Flatten', { startDim: 1, endDim: -1 }, options);
    this.startDim = startDim;
    this.endDim = endDim;
  }
  override forward(input: Tensor): Tensor {
    return input.flatten(this.startDim, this.endDim);
  }
  override extraRepr(): string {
    return settings({ startDim: this.startDim, endDim: this.endDim });
  }
}
/** Splits dimension `dim` into `unflattenedSize`. */
export class Unflatten extends Module {
  readonly dim: number;
  readonly unflattenedSize: readonly number[];

  constructor(dim: number, unflattenedSize: readonly number[]) {
    super();
    this.dim = dim;
    this.unflattenedSize = unflattenedSize;
  }
  override forward(input: Tensor): Tensor {
    return input.unflatten(this.dim, this.unflattenedSize);
  }
  override extraRepr(): string {
    return settings({ dim: this.dim, unflattenedSize: this.unflattenedSize });
  }
}
