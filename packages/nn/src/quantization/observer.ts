/**
 * Observers: modules that let a tensor pass and remember what it takes to quantise it (`torch.ao.quantization.observer`). This file has the base of all
 * and the arithmetic from a range to a scale; Jacob et al. 2018.
 */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { fromArray, ones, type Tensor, where, zeros } from '@proj/tensor';
import { QUANTIZED_DTYPES, type QuantizationScheme, type QuantizedDType } from '@proj/tensor/quantized';
import { Module } from '../module.ts';
import { settings } from '../printing.ts';

/** Scale and zero point, each a vector: of one element, or of one for each channel. */
export interface QuantizationVectors {
  /** float32. */
  readonly scale: Tensor;
  /** int32 or int64; float32 for `per_channel_affine_float_qparams`. */
  readonly zeroPoint: Tensor;
}

/** The base of all observers. `forward` gives its input. */
export abstract class Observer extends Module {
  /** What the tensor is to be quantised to. */
  readonly dtype: string;

  constructor(dtype: string) {
    super();
    this.dtype = dtype;
  }
  abstract override forward(input: Tensor): Tensor;
  /** Scale and zero point for what was seen. */
  abstract calculateQparams(): QuantizationVectors;
}

/** Options of observers that derive a scale from a range. */
export interface ObserverOptions {
  /** Default quint8. */
  readonly dtype?: QuantizedDType;
  /** Default: affine, per tensor or channel as the observer is. */
  readonly qscheme?: QuantizationScheme | null;
  /** Use half of the integers. */
  readonly reduceRange?: boolean;
  /** The smallest and largest integer; those of the dtype unless given. */
  readonly quantMin?: number | null;
  readonly quantMax?: number | null;
  /** No scale is smaller. Default 2^-23. */
  readonly eps?: number;
}
/** What every observer of ranges may be told. */
export const RANGE: Defaults<ObserverOptions> = {
  dtype: 'quint8',
  qscheme: null,
  reduceRange: false,
  quantMin: null,
  quantMax: null,
  eps: 2 ** -23,
};

/** A range of integers that is given or follows from the dtype. Errors: one without zero, or too long for the dtype. */
function integerRange(
  quantMin: number | null,
  quantMax: number | null,
  dtype: QuantizedDType,
  reduceRange: boolean,
): [number, number] {
  const half = (x: number): number => (reduceRange ? Math.floor(x / 2) : x);
  const { min, max } = QUANTIZED_DTYPES[dtype];
  if (quantMin === null || quantMax === null) return dtype === 'qint32' ? [min, max] : [half(min), half(max + 1) - 1];
  if (!(quantMin <= 0 && quantMax >= 0 && quantMin < quantMax))
    throw new ProjError('invalid-argument', `the range ${quantMin} … ${quantMax}`, {
      op: 'Observer',
      cure: 'Use a range that includes zero, the smaller end first',
    });
  if (dtype === 'qint8' && quantMax - quantMin + 1 > 256)
    throw new ProjError('invalid-argument', `${quantMax - quantMin + 1} integers for ${dtype}`, { op: 'Observer' });
  return [half(quantMin), half(quantMax)];
}

/** Which schemes have a scale for each channel, and which are symmetric about zero. */
const SCHEMES: Record<QuantizationScheme, { readonly perChannel: boolean; readonly symmetric: boolean }> = {
  per_tensor_affine: { perChannel: false, symmetric: false },
  per_tensor_symmetric: { perChannel: false, symmetric: true },
  per_channel_affine: { perChannel: true, symmetric: false },
  per_channel_symmetric: { perChannel: true, symmetric: true },
  per_channel_affine_float_qparams: { perChannel: true, symmetric: false },
};
/** Whether a scheme has a scale for each channel. */
export const isPerChannel = (scheme: QuantizationScheme): boolean => SCHEMES[scheme].perChannel;

/** Observers with a uniform grid of integers: the range decides. `minVal` and `maxVal` are what was seen. */
export abstract class UniformObserver extends Observer {
  declare readonly dtype: QuantizedDType;
  readonly qscheme: QuantizationScheme;
  readonly reduceRange: boolean;
  readonly quantMin: number;
  readonly quantMax: number;
  private readonly customRange: boolean;
  declare eps: Tensor;
  declare minVal: Tensor;
  declare maxVal: Tensor;

  constructor(options: ObserverOptions, perChannel: boolean) {
    const { dtype, qscheme, reduceRange, quantMin, quantMax, eps } = withDefaults(new.target.name, RANGE, options);
    super(dtype);
    const scheme = qscheme ?? (perChannel ? 'per_channel_affine' : 'per_tensor_affine');
    if (!Object.hasOwn(SCHEMES, scheme) || isPerChannel(scheme) !== perChannel)
      throw new ProjError('invalid-argument', `the scheme ${scheme}`, {
        op: new.target.name,
        cure: `Use a scheme whose name begins with ${perChannel ? 'per_channel' : 'per_tensor'}`,
      });
    if (!Object.hasOwn(QUANTIZED_DTYPES, dtype))
      throw new ProjError('dtype', `observing for ${dtype as string}`, {
        op: new.target.name,
        cure: "Use 'qint8' or 'quint8'",
      });
    this.qscheme = scheme;
    this.reduceRange = reduceRange;
    this.customRange = quantMin !== null && quantMax !== null;
    [this.quantMin, this.quantMax] = integerRange(quantMin, quantMax, dtype, reduceRange);
    this.registerBuffer('eps', fromArray([eps], [1], 'float32'));
  }

  /** Errors: half of a range that is symmetric, of quint8. */
  protected refuseHalfSymmetric(): void {
    if (SCHEMES[this.qscheme].symmetric && this.reduceRange && this.dtype === 'quint8')
      throw new ProjError('invalid-argument', 'a reduced range that is symmetric, of quint8', {
        op: this.constructor.name,
        cure: "Use 'qint8'",
      });
  }

  override calculateQparams(): QuantizationVectors {
    return this.qparamsOf(this.minVal, this.maxVal);
  }

  /** Scale and zero point of the range from `min` to `max` (0-dim or [C]); 1 and 0 where nothing was seen. */
  protected qparamsOf(min: Tensor, max: Tensor): QuantizationVectors {
    if (min.numel() === 0) return { scale: ones([1]), zeroPoint: zeros([1], { dtype: 'int64' }) };
    const low = min.reshape([-1]);
    const high = max.reshape([-1]);
    const unseen = low.eq(Infinity).logicalAnd(high.eq(-Infinity));
    const { scale, zeroPoint } = this.parametersOf(low, high);
    return { scale: where(unseen, 1, scale), zeroPoint: where(unseen, 0, zeroPoint).to(zeroPoint.dtype) };
  }

  private parametersOf(low: Tensor, high: Tensor): QuantizationVectors {
    const { quantMin, quantMax, qscheme } = this;
    const steps = quantMax - quantMin;
    if (qscheme === 'per_channel_affine_float_qparams') {
      const exact = high.sub(low).div(steps);
      const scale = where(exact.gt(this.eps), exact, 1);
      return { scale, zeroPoint: low.neg().div(scale) };
    }
    const below = low.clamp(null, 0);
    const above = high.clamp(0, null);
    if (SCHEMES[qscheme].symmetric) {
      const scale = below
        .neg()
        .maximum(above)
        .div(steps / 2)
        .maximum(this.eps);
      const middle = this.customRange ? Math.floor((quantMin + quantMax) / 2) : 128;
      const zero = low.mul(0).to('int64');
      return { scale, zeroPoint: this.dtype === 'quint8' ? zeros(low.shape, { dtype: 'int64' }).add(middle) : zero };
    }
    const scale = above.sub(below).div(steps).maximum(this.eps);
    const zeroPoint = below.div(scale).round().to('int32').neg().add(quantMin).clamp(quantMin, quantMax);
    return { scale, zeroPoint };
  }

  override extraRepr(): string {
    return settings({ minVal: this.minVal.toString(), maxVal: this.maxVal.toString() });
  }
}
