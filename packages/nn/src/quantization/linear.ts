/** Linear layers with integer weights, whose products are sums of integers, and the layer that is observed before it becomes one. */
import { ProjError } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import {
  linear as quantizedLinear,
  linearDynamic,
  quantizePerChannel,
  quantizePerTensor,
  QuantizedTensor,
} from '@proj/tensor/quantized';
import { linear } from '../functional/linear.ts';
import { Linear } from '../modules/linear.ts';
import { Module } from '../module.ts';
import { settings } from '../printing.ts';
import { FakeQuantize } from './fake-quantize.ts';
import { PerChannelMinMaxObserver } from './min-max-observer.ts';
import { isPerChannel, type Observer, UniformObserver } from './observer.ts';
import type { QConfig } from './qconfig.ts';

/** A weight [out, in] as qint8 with the scale that `observer` chooses; per channel of axis 0 where its scheme says so. */
function quantizeWeight(weight: Tensor, observer: Observer): QuantizedTensor {
  if (!(observer instanceof UniformObserver || observer instanceof FakeQuantize) || observer.dtype !== 'qint8')
    throw new ProjError('invalid-argument', `${observer.constructor.name} of ${observer.dtype} for weights`, {
      op: 'quantize',
      cure: "Use an observer of ranges whose dtype is 'qint8'",
    });
  const axis = isPerChannel(observer.qscheme) ? 0 : null;
  if (observer instanceof PerChannelMinMaxObserver && observer.chAxis !== 0)
    throw new ProjError('invalid-argument', `channels along axis ${observer.chAxis} of a weight`, {
      op: 'quantize',
      cure: 'Use chAxis 0',
    });
  const { scale, zeroPoint } = observer.calculateQparams();
  return axis === null
    ? quantizePerTensor(weight.detach(), scale, zeroPoint, 'qint8')
    : quantizePerChannel(weight.detach(), scale, zeroPoint, axis, 'qint8');
}

/** A weight after an observer that has not seen it yet. */
function observedWeight(weight: Tensor, observer: Observer): QuantizedTensor {
  observer.forward(weight.detach());
  return quantizeWeight(weight, observer);
}

/** What both integer layers keep: the weight's integers [out, in] with their scale and zero point (0-dim, or [out]), and the bias [out]. */
abstract class IntegerLinear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  declare weight: Tensor;
  declare weightScale: Tensor;
  declare weightZeroPoint: Tensor;
  declare bias: Tensor | null;

  constructor(weight: QuantizedTensor, bias: Tensor | null) {
    super();
    [this.outFeatures, this.inFeatures] = weight.shape;
    const { scale, zeroPoint } = weight.parameters;
    this.registerBuffer('weight', weight.intRepr().realize());
    this.registerBuffer('weightScale', scale.realize());
    this.registerBuffer('weightZeroPoint', zeroPoint.realize());
    this.registerBuffer('bias', bias === null ? null : bias.detach().clone());
  }
  /** The weight with its scale. */
  quantizedWeight(): QuantizedTensor {
    return new QuantizedTensor(this.weight, 'qint8', {
      scale: this.weightScale,
      zeroPoint: this.weightZeroPoint,
      axis: this.weightScale.ndim === 0 ? null : 0,
    });
  }
  override extraRepr(): string {
    const { inFeatures, outFeatures } = this;
    return settings({ inFeatures, outFeatures, qscheme: this.quantizedWeight().qscheme() });
  }
}

/**
 * A linear layer on quantised input [..., in] with integer sums; gives [..., out] quantised with its own scale. PyTorch:
 * `torch.ao.nn.quantized.Linear`. Errors: a float input.
 */
export class QuantizedLinear extends IntegerLinear {
  declare scale: Tensor;
  declare zeroPoint: Tensor;

  constructor(weight: QuantizedTensor, bias: Tensor | null, scale: number | Tensor, zeroPoint: number | Tensor) {
    super(weight, bias);
    const one = (value: number | Tensor, dtype: 'float32' | 'int64'): Tensor =>
      typeof value === 'number' ? fromArray([value], [], dtype) : value.detach().reshape([]).to(dtype);
    this.registerBuffer('scale', one(scale, 'float32'));
    this.registerBuffer('zeroPoint', one(zeroPoint, 'int64'));
  }
  /** The integer form of an observed layer: what its observers saw gives the scales. */
  static fromFloat(layer: ObservedLinear): QuantizedLinear {
    const { scale, zeroPoint } = layer.activationPostProcess.calculateQparams();
    const weight =
      layer.weightFakeQuant === null
        ? observedWeight(layer.weight, layer.qconfig.weight())
        : quantizeWeight(layer.weight, layer.weightFakeQuant as unknown as Observer);
    return new QuantizedLinear(weight, layer.bias, scale, zeroPoint);
  }
  override forward(input: QuantizedTensor): QuantizedTensor {
    if (!(input instanceof QuantizedTensor))
      throw new ProjError('dtype', 'a quantised layer was given floats', {
        op: 'QuantizedLinear',
        cure: 'Put a QuantStub before it in the model',
      });
    return quantizedLinear(input, this.quantizedWeight(), this.bias, this.scale, this.zeroPoint);
  }
}

/**
 * A linear layer with integer weights on float32 input [..., in], which is quantised by its own range at each call; gives float32 [..., out]. PyTorch:
 * `torch.ao.nn.quantized.dynamic.Linear`.
 */
export class DynamicQuantizedLinear extends IntegerLinear {
  /** The integer form of a layer, its weight quantised by `observer`. */
  static fromFloat(layer: Linear, observer: Observer): DynamicQuantizedLinear {
    return new DynamicQuantizedLinear(observedWeight(layer.weight, observer), layer.bias);
  }
  override forward(input: Tensor): Tensor {
    // Half of the integers, as PyTorch's layer asks for.
    return linearDynamic(input, this.quantizedWeight(), this.bias, { reduceRange: true });
  }
}

/** A float layer whose output is observed; for training with quantisation in mind its weight is fake-quantised too. Made by `prepare` and `prepareQat`. */
export class ObservedLinear extends Linear {
  readonly qconfig: QConfig;
  weightFakeQuant: FakeQuantize | null;
  activationPostProcess: Observer | FakeQuantize;

  constructor(layer: Linear, qconfig: QConfig, weightFakeQuant: FakeQuantize | null) {
    super(layer.inFeatures, layer.outFeatures, { bias: false });
    this.weight = layer.weight;
    this.bias = layer.bias;
    this.qconfig = qconfig;
    this.weightFakeQuant = weightFakeQuant;
    this.activationPostProcess = qconfig.activation();
  }
  override forward(input: Tensor): Tensor {
    const weight = this.weightFakeQuant === null ? this.weight : this.weightFakeQuant.forward(this.weight);
    return this.activationPostProcess.forward(linear(input, weight, this.bias));
  }
}
