/** Observers that learn nothing: fixed scales, placeholders, and one that records what it sees. */
import { ProjError, withDefaults } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import type { QuantizationScheme, QuantizedDType } from '@proj/tensor/quantized';
import { Observer, type QuantizationVectors } from './observer.ts';

const noParameters = (observer: Observer): never => {
  throw new ProjError('invalid-argument', 'this observer has no scale', {
    op: `${observer.constructor.name}.calculateQparams`,
    cure: 'Use an observer of ranges, such as MinMaxObserver',
  });
};

export interface FixedQParamsOptions {
  readonly dtype?: QuantizedDType;
  readonly qscheme?: QuantizationScheme;
  readonly quantMin?: number;
  readonly quantMax?: number;
}
/** Always gives the same scale and zero point (`torch.ao.quantization.FixedQParamsObserver`). */
export class FixedQParamsObserver extends Observer {
  readonly qscheme: QuantizationScheme;
  readonly quantMin: number;
  readonly quantMax: number;
  declare scale: Tensor;
  declare zeroPoint: Tensor;

  constructor(scale: number, zeroPoint: number, options: FixedQParamsOptions = {}) {
    const { dtype, qscheme, quantMin, quantMax } = withDefaults(
      new.target.name,
      { dtype: 'quint8', qscheme: 'per_tensor_affine', quantMin: 0, quantMax: 255 },
      options,
    );
    super(dtype);
    this.qscheme = qscheme;
    this.quantMin = quantMin;
    this.quantMax = quantMax;
    this.registerBuffer('scale', fromArray([scale], [1], 'float32'));
    this.registerBuffer('zeroPoint', fromArray([zeroPoint], [1], 'int32'));
  }
  override forward(input: Tensor): Tensor {
    return input;
  }
  override calculateQparams(): QuantizationVectors {
    return { scale: this.scale, zeroPoint: this.zeroPoint };
  }
}

/** Stands where no range is needed: for dynamic quantisation (`torch.ao.quantization.PlaceholderObserver`). */
export class PlaceholderObserver extends Observer {
  constructor(options: { dtype?: string } = {}) {
    const { dtype } = withDefaults(new.target.name, { dtype: 'float32' }, options);
    super(dtype);
  }
  override forward(input: Tensor): Tensor {
    return input;
  }
  override calculateQparams(): QuantizationVectors {
    return noParameters(this);
  }
}

/** Lets everything pass (`torch.ao.quantization.NoopObserver`). */
export class NoopObserver extends PlaceholderObserver {
  constructor(options: { dtype?: string } = {}) {
    super({ dtype: 'float16', ...options });
  }
}

/** Keeps a copy of every input (`torch.ao.quantization.RecordingObserver`). */
export class RecordingObserver extends PlaceholderObserver {
  private readonly seen: Tensor[] = [];

  constructor(options: { dtype?: string } = {}) {
    super({ dtype: 'quint8', ...options });
  }
  override forward(input: Tensor): Tensor {
    this.seen.push(input.detach().clone());
    return input;
  }
  /** What was seen, in order. */
  getTensorValue(): readonly Tensor[] {
    return this.seen;
  }
}
