/**
 * Fake quantisation: values rounded to what integers could represent, for training with quantisation in mind. Gradients pass where the value was in
 * range (straight-through, Bengio et al. 2013); learnable scales and zero points follow Esser et al. 2020 (LSQ) as PyTorch computes them.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { where } from '../ops/elementwise.ts';
import type { Tensor } from '../tensor.ts';
import { alongAxis } from './quantized-tensor.ts';
import { checkChannels, requireFloat, scalarBeside, scaled } from './rounding.ts';

interface Rounded {
  /** What comes out. */
  readonly value: Tensor;
  /** Integers before they are limited to the range, in the dtype of `x`. */
  readonly integers: Tensor;
  readonly inRange: Tensor;
}

/** Errors: an input that is not floating-point; an empty range, or one that does not end in integers. */
function check(input: Tensor, quantMin: number, quantMax: number, op: string): void {
  requireFloat(input, op);
  if (Number.isInteger(quantMin) && Number.isInteger(quantMax) && quantMin <= quantMax) return;
  throw new ProjError('invalid-argument', `the range ${quantMin} … ${quantMax}`, {
    op,
    cure: 'Use integers, the smaller first',
  });
}

/** `scale` and `zeroPoint` are 0-dim, or vectors along `axis`. Zero points that are floats are added before rounding. */
function round(
  x: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number | null,
  quantMin: number,
  quantMax: number,
): Rounded {
  const offset = alongAxis(zeroPoint.to(x.dtype), axis, x.ndim);
  const integers = zeroPoint.dtype.startsWith('float')
    ? x
        .mul(alongAxis(scale.to('float32').reciprocal(), axis, x.ndim).to(x.dtype))
        .add(offset)
        .round()
    : scaled(x, scale, axis).add(offset);
  const step = alongAxis(scale.to('float32'), axis, x.ndim).to(x.dtype);
  const value = integers.clamp(quantMin, quantMax).sub(offset).mul(step);
  return { value, integers, inRange: integers.ge(quantMin).logicalAnd(integers.le(quantMax)) };
}

/** `rounded.value` as a function of `input` whose gradient passes where the value was in range. */
const straightThrough = (input: Tensor, { value, inRange }: Rounded): Tensor =>
  attachGradient(value, [input], (gradient) => [where(inRange, gradient, 0)]);

/**
 * (clamp(round(input / scale) + zeroPoint, quantMin, quantMax) - zeroPoint) · scale, [...] of the dtype of `input`; the gradient passes where nothing was clamped.
 * `scale` and `zeroPoint` are numbers or tensors of one element. PyTorch: `torch.fake_quantize_per_tensor_affine`. Errors: an input that is not
 * floating-point; an empty range; a zero point outside of it.
 */
export function fakeQuantizePerTensorAffine(
  input: Tensor,
  scale: number | Tensor,
  zeroPoint: number | Tensor,
  quantMin: number,
  quantMax: number,
): Tensor {
  const op = 'fakeQuantizePerTensorAffine';
  check(input, quantMin, quantMax, op);
  if (typeof zeroPoint === 'number' && !(zeroPoint >= quantMin && zeroPoint <= quantMax))
    throw new ProjError('invalid-argument', `the zero point ${zeroPoint} is not between ${quantMin} and ${quantMax}`, {
      op,
      cure: 'Use one of the integers',
    });
  const x = input.detach();
  const factor = scalarBeside(x, scale, 'float64', op);
  return straightThrough(input, round(x, factor, scalarBeside(x, zeroPoint, 'int64', op), null, quantMin, quantMax));
}

/**
 * As {@link fakeQuantizePerTensorAffine} with a scale (float32) and a zero point (int32, or floating-point) for each index of dimension `axis`. PyTorch:
 * `torch.fake_quantize_per_channel_affine`. Errors: vectors that do not fit; other dtypes.
 */
export function fakeQuantizePerChannelAffine(
  input: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number,
  quantMin: number,
  quantMax: number,
): Tensor {
  const op = 'fakeQuantizePerChannelAffine';
  check(input, quantMin, quantMax, op);
  checkChannels(input, scale, zeroPoint, axis, op);
  if (zeroPoint.dtype === 'int64' || zeroPoint.dtype === 'bool')
    throw new ProjError('dtype', `zero points of ${zeroPoint.dtype}`, { op, cure: 'Use int32 or float32' });
  return straightThrough(input, round(input.detach(), scale.detach(), zeroPoint.detach(), axis, quantMin, quantMax));
}

/** The sum over all dimensions but `axis`, in the shape of the parameter. */
function summedTo(parameter: Tensor, gradient: Tensor, axis: number | null): Tensor {
  const others = gradient.shape.map((_, i) => i).filter((i) => i !== axis);
  const total = others.length === 0 ? gradient : gradient.sum(others);
  return total.reshape(parameter.shape).to(parameter.dtype);
}

function learnable(
  input: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number | null,
  range: readonly [number, number],
  gradFactor: number,
): Tensor {
  const [quantMin, quantMax] = range;
  const x = input.detach();
  const nearest = zeroPoint.detach().round().clamp(quantMin, quantMax).to('int64');
  const offset = axis === null ? nearest.reshape([]) : nearest;
  const factor = axis === null ? scale.detach().reshape([]) : scale.detach();
  const rounded = round(x, factor, offset, axis, quantMin, quantMax);
  return attachGradient(rounded.value, [input, scale, zeroPoint], (gradient) => {
    const { integers, inRange, value } = rounded;
    const step = alongAxis(factor, axis, x.ndim).to(x.dtype);
    const shift = alongAxis(offset.to(x.dtype), axis, x.ndim);
    // How the value moves with the scale: with the limit of the range outside of it, with the rounding error inside.
    const atLimit = where(integers.lt(quantMin), shift.neg().add(quantMin), shift.neg().add(quantMax));
    const slope = where(inRange, value.sub(x).div(step), atLimit);
    const forScale = gradient.mul(slope).mul(gradFactor);
    const forZero = where(inRange, 0, gradient.mul(step).neg().mul(gradFactor));
    return [where(inRange, gradient, 0), summedTo(scale, forScale, axis), summedTo(zeroPoint, forZero, axis)];
  });
}

/** Options of the fake quantisers with learnable scales. */
export interface LearnableOptions {
  /** Scales the gradients of scale and zero point (default 1). */
  readonly gradFactor?: number;
}

/**
 * As {@link fakeQuantizePerTensorAffine}, with gradients for `scale` [1] and `zeroPoint` [1] (float32, rounded to the nearest integer in range). PyTorch:
 * `torch._fake_quantize_learnable_per_tensor_affine`. Errors: as there.
 */
export function fakeQuantizeLearnablePerTensorAffine(
  input: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  quantMin: number,
  quantMax: number,
  options: LearnableOptions = {},
): Tensor {
  const op = 'fakeQuantizeLearnablePerTensorAffine';
  const { gradFactor } = withDefaults(op, { gradFactor: 1 }, options);
  check(input, quantMin, quantMax, op);
  for (const parameter of [scale, zeroPoint])
    if (parameter.numel() !== 1)
      throw new ProjError('shape-mismatch', 'scale and zero point need one element each', {
        op,
        shapes: [parameter.shape],
      });
  return learnable(input, scale, zeroPoint, null, [quantMin, quantMax], gradFactor);
}

/**
 * As {@link fakeQuantizePerChannelAffine}, with gradients for `scale` [C] and `zeroPoint` [C] (float32, rounded to the nearest integers in range). PyTorch:
 * `torch._fake_quantize_learnable_per_channel_affine`. Errors: as there.
 */
export function fakeQuantizeLearnablePerChannelAffine(
  input: Tensor,
  scale: Tensor,
  zeroPoint: Tensor,
  axis: number,
  quantMin: number,
  quantMax: number,
  options: LearnableOptions = {},
): Tensor {
  const op = 'fakeQuantizeLearnablePerChannelAffine';
  const { gradFactor } = withDefaults(op, { gradFactor: 1 }, options);
  check(input, quantMin, quantMax, op);
  checkChannels(input, scale, zeroPoint, axis, op);
  return learnable(input, scale, zeroPoint, axis, [quantMin, quantMax], gradFactor);
}
