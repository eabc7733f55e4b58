/** Where a model begins and ends to be quantised. */
import { type Tensor } from '@proj/tensor';
import { quantizePerTensor, QuantizedTensor, type QuantizedDType } from '@proj/tensor/quantized';
import { fromArray } from '@proj/tensor';
import { Module } from '../module.ts';
import type { FakeQuantize } from './fake-quantize.ts';
import type { Observer } from './observer.ts';

/** Marks where floats become integers: gives its input, observes it once prepared, and becomes a {@link Quantize} when converted. */
export class QuantStub extends Module {
  activationPostProcess: Observer | FakeQuantize | null = null;
  override forward(input: Tensor): Tensor {
    return this.activationPostProcess === null ? input : this.activationPostProcess.forward(input);
  }
}

/** Quantises float32 with a fixed scale. PyTorch: `torch.ao.nn.quantized.Quantize`. */
export class Quantize extends Module {
  readonly dtype: QuantizedDType;
  declare scale: Tensor;
  declare zeroPoint: Tensor;

  constructor(scale: number | Tensor, zeroPoint: number | Tensor, dtype: QuantizedDType) {
    super();
    this.dtype = dtype;
    this.registerBuffer('scale', typeof scale === 'number' ? fromArray([scale], [1], 'float32') : scale);
    this.registerBuffer('zeroPoint', typeof zeroPoint === 'number' ? fromArray([zeroPoint], [1], 'int64') : zeroPoint);
  }
  override forward(input: Tensor): QuantizedTensor {
    return quantizePerTensor(input, this.scale, this.zeroPoint, this.dtype);
  }
}

/** Marks where integers become floats again; floats pass. */
export class DeQuantStub extends Module {
  override forward(input: Tensor | QuantizedTensor): Tensor {
    return input instanceof QuantizedTensor ? input.dequantize() : input;
  }
}

/** max(x, 0) on integers. PyTorch: `torch.nn.ReLU` on a quantised tensor. */
export class QuantizedReLU extends Module {
  override forward(input: QuantizedTensor): QuantizedTensor {
    return input.relu();
  }
}
