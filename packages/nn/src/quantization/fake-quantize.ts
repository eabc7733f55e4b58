/** Modules that observe and fake-quantise what passes, for training with quantisation in mind (`torch.ao.quantization.fake_quantize`). */
import { checkOptions, ProjError } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, type Tensor, zeros, ones } from '@proj/tensor';
import {
  chooseQuantizationParameters,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  QUANTIZED_DTYPES,
  type QuantizationScheme,
  type QuantizedDType,
} from '@proj/tensor/quantized';
import { Module } from '../module.ts';
import { FixedQParamsObserver } from './fixed-observers.ts';
import {
  MovingAverageMinMaxObserver,
  type MovingAverageOptions,
  MovingAveragePerChannelMinMaxObserver,
  type PerChannelOptions,
} from './min-max-observer.ts';
import { isPerChannel, type Observer, type QuantizationVectors } from './observer.ts';

/** What a fake quantiser needs of its observer. */
export interface RangeObserver extends Observer {
  readonly qscheme: QuantizationScheme;
  readonly quantMin: number;
  readonly quantMax: number;
  readonly chAxis?: number;
}

/** The base: two switches that are state, as uint8 [1]. */
export abstract class FakeQuantizeBase extends Module {
  declare fakeQuantEnabled: Tensor;
  declare observerEnabled: Tensor;
  /** What a switch was at a version of its storage: reading is rare, so that steps can be captured. */
  private readonly read = new WeakMap<Tensor, { readonly version: number; readonly on: boolean }>();

  constructor() {
    super();
    this.registerBuffer('fakeQuantEnabled', fromArray([1], [1], 'uint8'));
    this.registerBuffer('observerEnabled', fromArray([1], [1], 'uint8'));
  }
  abstract override forward(input: Tensor): Tensor;
  abstract calculateQparams(): QuantizationVectors;

  protected isOn(flag: Tensor): boolean {
    const known = this.read.get(flag);
    if (known !== undefined && known.version === flag.version) return known.on;
    const on = flag.item() === 1;
    this.read.set(flag, { version: flag.version, on });
    return on;
  }
  /** Switches rounding on or off. */
  enableFakeQuant(enabled = true): void {
    noGrad(() => this.fakeQuantEnabled.fill_(enabled ? 1 : 0));
  }
  disableFakeQuant(): void {
    this.enableFakeQuant(false);
  }
  /** Switches observing on or off. */
  enableObserver(enabled = true): void {
    noGrad(() => this.observerEnabled.fill_(enabled ? 1 : 0));
  }
  disableObserver(): void {
    this.enableObserver(false);
  }
}

/** Options of {@link FakeQuantize}; the rest goes to the observer. */
export interface FakeQuantizeOptions extends MovingAverageOptions, PerChannelOptions {
  /** The class of the observer. Default `MovingAverageMinMaxObserver`. */
  readonly observer?: new (options: MovingAverageOptions & PerChannelOptions) => RangeObserver;
}

/** Names only: which of them it takes, and what it takes them for, is the observer's affair. */
const FAKE_QUANTIZE: Record<keyof FakeQuantizeOptions, true> = {
  observer: true,
  dtype: true,
  qscheme: true,
  reduceRange: true,
  quantMin: true,
  quantMax: true,
  eps: true,
  averagingConstant: true,
  chAxis: true,
};

/** Observes its input and rounds it to what the integers of the observer's scale can represent. Gradients pass where nothing was clamped. */
export class FakeQuantize extends FakeQuantizeBase {
  readonly dtype: QuantizedDType;
  readonly qscheme: QuantizationScheme;
  readonly chAxis: number;
  readonly quantMin: number;
  readonly quantMax: number;
  activationPostProcess: RangeObserver;
  declare scale: Tensor;
  declare zeroPoint: Tensor;

  constructor(given: FakeQuantizeOptions = {}) {
    checkOptions(new.target.name, FAKE_QUANTIZE, given);
    super();
    const { observer, ...options } = given;
    const Observer: NonNullable<FakeQuantizeOptions['observer']> = observer ?? MovingAverageMinMaxObserver;
    const { quantMin = null, quantMax = null, dtype = 'quint8' } = options;
    const { min, max } = QUANTIZED_DTYPES[dtype];
    if (quantMin !== null && quantMax !== null && !(quantMin >= min && quantMax <= max && quantMin <= quantMax))
      throw new ProjError('invalid-argument', `the range ${quantMin} … ${quantMax} of ${dtype}`, {
        op: 'FakeQuantize',
        cure: `Use integers from ${min} to ${max}, the smaller first`,
      });
    const inner = new Observer(options);
    this.dtype = inner.dtype as QuantizedDType;
    this.qscheme = inner.qscheme;
    this.chAxis = inner.chAxis ?? -1;
    this.quantMin = inner.quantMin;
    this.quantMax = inner.quantMax;
    this.registerBuffer('scale', fromArray([1], [1], 'float32'));
    const floats = this.qscheme === 'per_channel_affine_float_qparams';
    this.registerBuffer('zeroPoint', fromArray([0], [1], floats ? 'float32' : 'int32'));
    this.activationPostProcess = inner;
  }
  override calculateQparams(): QuantizationVectors {
    return this.activationPostProcess.calculateQparams();
  }
  /** Scale and zero point to round with. */
  protected rounding(): QuantizationVectors {
    return this.calculateQparams();
  }
  override forward(input: Tensor): Tensor {
    if (this.isOn(this.observerEnabled)) {
      this.activationPostProcess.forward(input.detach());
      const { scale, zeroPoint } = this.rounding();
      this.resize(scale.shape);
      noGrad(() => {
        this.scale.copy_(scale);
        this.zeroPoint.copy_(zeroPoint);
      });
    }
    if (!this.isOn(this.fakeQuantEnabled)) return input;
    const { scale, zeroPoint, quantMin, quantMax } = this;
    return isPerChannel(this.qscheme)
      ? fakeQuantizePerChannelAffine(input, scale, zeroPoint, this.chAxis, quantMin, quantMax)
      : fakeQuantizePerTensorAffine(input, scale, zeroPoint, quantMin, quantMax);
  }
  private resize(shape: readonly number[]): void {
    if (this.scale.numel() === shape[0]) return;
    this.scale = ones([...shape]);
    this.zeroPoint = zeros([...shape], { dtype: this.zeroPoint.dtype });
  }
  override prepareLoad(given: (name: string) => Tensor | undefined): void {
    const value = given('scale');
    if (value !== undefined) this.resize(value.shape);
  }
}

/** {@link FakeQuantize} with a moving average, which is all it may observe with (`torch.ao.quantization.FusedMovingAvgObsFakeQuantize`). */
export class FusedMovingAvgObsFakeQuantize extends FakeQuantize {
  constructor(options: FakeQuantizeOptions = {}) {
    super({ quantMin: 0, quantMax: 255, ...options });
    const { activationPostProcess: observer } = this;
    if (!(observer instanceof MovingAverageMinMaxObserver || observer instanceof MovingAveragePerChannelMinMaxObserver))
      throw new ProjError('invalid-argument', `the observer ${observer.constructor.name}`, {
        op: 'FusedMovingAvgObsFakeQuantize',
        cure: 'Use MovingAverageMinMaxObserver or MovingAveragePerChannelMinMaxObserver',
      });
    this.fakeQuantEnabled = fromArray([1], [1], 'int64');
    this.observerEnabled = fromArray([1], [1], 'int64');
  }
  /** PyTorch's fused kernel chooses scales as dynamic quantisation does, not as its observers do. */
  protected override rounding(): QuantizationVectors {
    const { minVal, maxVal, quantMin, quantMax } = this.activationPostProcess as MovingAverageMinMaxObserver;
    const { scale, zeroPoint } = chooseQuantizationParameters(
      minVal.reshape([-1]),
      maxVal.reshape([-1]),
      quantMin,
      quantMax,
      { symmetric: this.qscheme.endsWith('symmetric') },
    );
    return { scale: scale.to('float32'), zeroPoint };
  }
}

/** Rounds with the scale of a {@link FixedQParamsObserver} (`torch.ao.quantization.FixedQParamsFakeQuantize`). */
export class FixedQParamsFakeQuantize extends FakeQuantizeBase {
  activationPostProcess: FixedQParamsObserver;
  declare scale: Tensor;
  declare zeroPoint: Tensor;

  /** `observer` makes the observer, or is one. */
  constructor(observer: FixedQParamsObserver | (() => FixedQParamsObserver)) {
    super();
    const made = observer instanceof FixedQParamsObserver ? observer : observer();
    this.registerBuffer('scale', made.scale);
    this.registerBuffer('zeroPoint', made.zeroPoint);
    this.activationPostProcess = made;
  }
  override calculateQparams(): QuantizationVectors {
    return { scale: this.scale, zeroPoint: this.zeroPoint };
  }
  override forward(input: Tensor): Tensor {
    if (!this.isOn(this.fakeQuantEnabled)) return input;
    const { quantMin, quantMax } = this.activationPostProcess;
    return fakeQuantizePerTensorAffine(input, this.scale, this.zeroPoint, quantMin, quantMax);
  }
}

const each = (module: Module, change: (fake: FakeQuantizeBase) => void): void => {
  for (const part of module.modules()) if (part instanceof FakeQuantizeBase) change(part);
};
/** Switches rounding off in every fake quantiser of `module`. */
export const disableFakeQuant = (module: Module): void => each(module, (fake) => fake.disableFakeQuant());
/** Switches rounding on in every fake quantiser of `module`. */
export const enableFakeQuant = (module: Module): void => each(module, (fake) => fake.enableFakeQuant());
/** Switches observing off in every fake quantiser of `module`. */
export const disableObserver = (module: Module): void => each(module, (fake) => fake.disableObserver());
/** Switches observing on in every fake quantiser of `module`. */
export const enableObserver = (module: Module): void => each(module, (fake) => fake.enableObserver());
