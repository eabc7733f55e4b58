/** From floats to integers with a scale (`torch.quantize_per_tensor` and relatives). */
import { ProjError, withDefaults } from '@proj/kernel';
import { Tensor } from '../tensor.ts';
import { where } from '../ops/elementwise.ts';
import { quantizedDType, type QuantizedDType, type QuantizedDTypeInfo } from './dtypes.ts';
import { alongAxis, QuantizedTensor } from './quantized-tensor.ts';
import { checkChannels, requireFloat32, scalarBeside, scaled } from './rounding.ts';

/** Nearest integer plus zero point, within the range. 32-bit ranges need float64, where they are exact. */
function toIntegers(
  x: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number | null,
  info: QuantizedDTypeInfo,
): Tensor {
  const wide = info.stored === 'int32' ? 'float64' : 'float32';
  const offset = alongAxis(zeroPoint.to(wide), axis, x.ndim);
  return scaled(x, scale, axis).to(wide).add(offset).clamp(info.min, info.max).to(info.stored);
}

/** Zero points that are known now must lie in the range of the dtype. */
function checkZeroPoint(zeroPoint: number | Tensor, dtype: string, { min, max }: QuantizedDTypeInfo, op: string): void {
  if (typeof zeroPoint !== 'number' || (Number.isInteger(zeroPoint) && zeroPoint >= min && zeroPoint <= max)) return;
  throw new ProjError('invalid-argument', `the zero point ${zeroPoint} is none of ${dtype}`, {
    op,
    cure: `Use an integer from ${min} to ${max}`,
  });
}

/** The tensor quantised with one scale and zero point. */
export function quantizePerTensor(
  input: Tensor,
  scale: number | Tensor,
  zeroPoint: number | Tensor,
  dtype: QuantizedDType,
): QuantizedTensor;
/** A list of tensors, each quantised with its own scale and zero point. */
export function quantizePerTensor(
  input: readonly Tensor[],
  scale: Tensor,
  zeroPoint: Tensor,
  dtype: QuantizedDType,
): QuantizedTensor[];
/**
 * round(input / scale) + zeroPoint, within the range of `dtype`; halves go to the even integer. `input` [...] float32, `scale` and `zeroPoint`
 * numbers or tensors of one element; a list of tensors takes a vector of each. PyTorch: `torch.quantize_per_tensor`. Errors: another dtype of `input`, an
 * unknown `dtype`, a zero point outside its range.
 */
export function quantizePerTensor(
  input: Tensor | readonly Tensor[],
  scale: number | Tensor,
  zeroPoint: number | Tensor,
  dtype: QuantizedDType,
): QuantizedTensor | QuantizedTensor[] {
  const op = 'quantizePerTensor';
  if (!(input instanceof Tensor))
    return input.map((x, i) =>
      quantizePerTensor(
        x,
        typeof scale === 'number' ? scale : scale.select(0, i),
        typeof zeroPoint === 'number' ? zeroPoint : zeroPoint.select(0, i),
        dtype,
      ),
    );
  requireFloat32(input, op);
  const info = quantizedDType(dtype, op);
  checkZeroPoint(zeroPoint, dtype, info, op);
  const parameters = {
    scale: scalarBeside(input, scale, 'float64', op),
    zeroPoint: scalarBeside(input, zeroPoint, 'int64', op),
    axis: null,
  };
  const integers = toIntegers(input.detach(), parameters.scale, parameters.zeroPoint, null, info);
  return new QuantizedTensor(integers, dtype, parameters);
}

/**
 * As {@link quantizePerTensor} with a scale and a zero point for each index of dimension `axis`. `input` [...] float32, `scales` and `zeroPoints`
 * vectors of that dimension's length; floating-point zero points are added before rounding (`per_channel_affine_float_qparams`). PyTorch:
 * `torch.quantize_per_channel`. Errors: other dtypes, vectors that do not fit.
 */
export function quantizePerChannel(
  input: Tensor,
  scales: Tensor,
  zeroPoints: Tensor,
  axis: number,
  dtype: QuantizedDType,
): QuantizedTensor {
  const op = 'quantizePerChannel';
  requireFloat32(input, op);
  const info = quantizedDType(dtype, op);
  checkChannels(input, scales, zeroPoints, axis, op);
  const x = input.detach();
  if (zeroPoints.dtype.startsWith('float')) {
    const parameters = { scale: scales.detach().to('float32'), zeroPoint: zeroPoints.detach().to('float32'), axis };
    const inverse = alongAxis(parameters.scale.reciprocal(), axis, x.ndim);
    const offset = alongAxis(parameters.zeroPoint, axis, x.ndim);
    const integers = x.mul(inverse).add(offset).round().clamp(info.min, info.max).to(info.stored);
    return new QuantizedTensor(integers, dtype, parameters);
  }
  const parameters = { scale: scales.detach().to('float64'), zeroPoint: zeroPoints.detach().to('int64'), axis };
  return new QuantizedTensor(toIntegers(x, parameters.scale, parameters.zeroPoint, axis, info), dtype, parameters);
}

/** Below it PyTorch widens the range, so that no reciprocal overflows. */
const SMALLEST_SCALE = Math.fround(6.1e-5);

/**
 * Scale (float64) and zero point (int64) for values between `min` and `max` (float32, one range or many, of one shape), so that zero is represented
 * exactly. The integers are qmin … qmax; `symmetric` widens ranges on both sides of zero until it lies in their middle. PyTorch: `ChooseQuantizationParams` in
 * its sources.
 */
export function chooseQuantizationParameters(
  min: Tensor,
  max: Tensor,
  qmin: number,
  qmax: number,
  options: { readonly symmetric?: boolean } = {},
): { scale: Tensor; zeroPoint: Tensor } {
  const { symmetric } = withDefaults('chooseQuantizationParameters', { symmetric: false }, options);
  const steps = qmax - qmin;
  let low = min.to('float64').clamp(null, 0);
  let high = max.to('float64').clamp(0, null);
  const centred = symmetric ? low.lt(0).logicalAnd(high.gt(0)) : null;
  if (centred !== null) {
    const half = Math.trunc(steps / 2);
    const reach = min
      .div(-(half + 1))
      .abs()
      .maximum(max.div(half).abs())
      .to('float64');
    low = where(
      centred,
      reach
        .mul(-(half + 1))
        .to('float32')
        .to('float64'),
      low,
    );
    high = where(centred, reach.mul(half).to('float32').to('float64'), high);
  }
  const exact = high.sub(low).div(steps);
  // A scale of zero stands for no range at all.
  const scale0 = where(exact.to('float32').reciprocal().isinf(), exact.mul(0).add(0.1), exact);
  const small = scale0.lt(SMALLEST_SCALE);
  const amplifier = scale0.to('float32').to('float64').reciprocal().mul(SMALLEST_SCALE);
  const reach = SMALLEST_SCALE * steps;
  const [lowWide, highWide] = [
    where(low.eq(0), low, where(high.eq(0), low.mul(0).sub(reach), low.mul(amplifier))),
    where(low.eq(0), high.mul(0).add(reach), where(high.eq(0), high, high.mul(amplifier))),
  ];
  low = where(small, lowWide, low);
  high = where(small, highWide, high);
  const scale = where(small, scale0.mul(0).add(SMALLEST_SCALE), scale0);
  // The end that is represented with the smaller error decides.
  const fromMin = low.div(scale).neg().add(qmin);
  const fromMax = high.div(scale).neg().add(qmax);
  const errorOfMin = low.div(scale).abs().neg().add(Math.abs(qmin));
  const errorOfMax = high.div(scale).abs().neg().add(Math.abs(qmax));
  const nearest = where(errorOfMin.lt(errorOfMax), fromMin, fromMax);
  const initial = centred === null ? nearest : where(centred, (qmin + qmax) / 2, nearest);
  return { scale, zeroPoint: initial.clamp(qmin, qmax).round().to('int64') };
}

/** Half of a quantised range, cut towards zero. */
const halved = (x: number): number => Math.trunc(x / 2);

/**
 * As {@link quantizePerTensor} with scale and zero point chosen from the smallest and largest element (nothing is read: they stay lazy). `input` [...]
 * float32, `dtype` qint8 or quint8; `reduceRange` uses half of the integers. PyTorch: `torch.quantize_per_tensor_dynamic`. Errors: other dtypes.
 */
export function quantizePerTensorDynamic(input: Tensor, dtype: QuantizedDType, reduceRange: boolean): QuantizedTensor {
  const op = 'quantizePerTensorDynamic';
  requireFloat32(input, op);
  if (dtype !== 'qint8' && dtype !== 'quint8')
    throw new ProjError('dtype', `dynamic ranges for ${dtype}`, { op, cure: "Use 'qint8' or 'quint8'" });
  const { min, max } = quantizedDType(dtype, op);
  const x = input.detach();
  const { scale, zeroPoint } = chooseQuantizationParameters(
    x.amin(),
    x.amax(),
    reduceRange ? halved(min) : min,
    reduceRange ? halved(max) : max,
  );
  return quantizePerTensor(x, scale, zeroPoint, dtype);
}

/** The values of one quantised tensor. */
export function dequantize(tensor: QuantizedTensor | Tensor): Tensor;
/** The values of several quantised tensors. */
export function dequantize(tensors: readonly QuantizedTensor[]): Tensor[];
/** (integer - zeroPoint) · scale in float32, of one quantised tensor or of each of a list; a float tensor as it is. PyTorch: `torch.dequantize`. */
export function dequantize(input: QuantizedTensor | Tensor | readonly QuantizedTensor[]): Tensor | Tensor[] {
  if (input instanceof Tensor) return input.to('float32');
  return input instanceof QuantizedTensor ? input.dequantize() : input.map((each) => each.dequantize());
}
