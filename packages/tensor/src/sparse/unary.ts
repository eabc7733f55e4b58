/**
 * Functions of one element that are zero at zero: they change the values and leave the places. Places that occur several times are coalesced first where
 * f(a + b) is not f(a) + f(b). Each has its PyTorch name; functions that are not zero at zero do not exist here.
 */
import type { Tensor } from '../tensor.ts';
import { zeros } from '../ops/creation.ts';
import { patternAt } from './pattern.ts';
import { SparseTensor } from './sparse-tensor.ts';

type Unary = (input: SparseTensor) => SparseTensor;

/** f of the values, coalesced. */
const pointwise =
  (fn: (values: Tensor) => Tensor): Unary =>
  (input) => {
    const x = input.isSparse ? input.coalesce() : input;
    return x.withValues(fn(x.storedValues));
  };
/** f of the values as they are stored. */
const linear =
  (fn: (values: Tensor) => Tensor): Unary =>
  (input) =>
    input.withValues(fn(input.storedValues));

/** Elements negated, as `Tensor.neg`. */
export const neg = linear((x) => x.neg());
export { neg as negative };
/** The tensor itself. */
export const positive: Unary = (input) => input;
/** Degrees to radians. */
export const deg2rad = linear((x) => x.deg2rad());
/** Radians to degrees. */
export const rad2deg = linear((x) => x.rad2deg());
/** Complex conjugates. */
export const conj = linear((x) => x.conj());
/** Real parts. */
export const real = linear((x) => x.real());
/** Imaginary parts. */
export const imag = linear((x) => x.imag());

/** Absolute values. */
export const abs = pointwise((x) => x.abs());
export { abs as absolute };
/** Arc sine. */
export const asin = pointwise((x) => x.asin());
export { asin as arcsin };
/** Inverse hyperbolic sine. */
export const asinh = pointwise((x) => x.asinh());
export { asinh as arcsinh };
/** Arc tangent. */
export const atan = pointwise((x) => x.atan());
export { atan as arctan };
/** Inverse hyperbolic tangent. */
export const atanh = pointwise((x) => x.atanh());
export { atanh as arctanh };
/** The next integer above. */
export const ceil = pointwise((x) => x.ceil());
/** The error function. */
export const erf = pointwise((x) => x.erf());
/** The inverse of the error function. */
export const erfinv = pointwise((x) => x.erfinv());
/** exp(x) - 1. */
export const expm1 = pointwise((x) => x.expm1());
/** The next integer below. */
export const floor = pointwise((x) => x.floor());
/** What follows the decimal point. */
export const frac = pointwise((x) => x.frac());
/** log(1 + x). */
export const log1p = pointwise((x) => x.log1p());
/** max(x, 0). */
export const relu = pointwise((x) => x.relu());
/** The nearest integer, halves to the even one. */
export const round = pointwise((x) => x.round());
/** x / |x|, 0 at 0. */
export const sgn = pointwise((x) => x.sgn());
/** -1, 0 or 1. */
export const sign = pointwise((x) => x.sign());
/** Whether the sign bit is set. */
export const signbit = pointwise((x) => x.signbit());
/** Sine. */
export const sin = pointwise((x) => x.sin());
/** Hyperbolic sine. */
export const sinh = pointwise((x) => x.sinh());
/** Square root. */
export const sqrt = pointwise((x) => x.sqrt());
/** x². */
export const square = pointwise((x) => x.square());
/** Tangent. */
export const tan = pointwise((x) => x.tan());
/** Hyperbolic tangent. */
export const tanh = pointwise((x) => x.tanh());
/** The integer towards zero. */
export const trunc = pointwise((x) => x.trunc());
export { trunc as fix };
/** Whether an element is NaN. */
export const isnan = pointwise((x) => x.isnan());
/** Whether an element is infinite. */
export const isinf = pointwise((x) => x.isinf());
/** Whether an element is +∞. */
export const isposinf = pointwise((x) => x.isposinf());
/** Whether an element is -∞. */
export const isneginf = pointwise((x) => x.isneginf());
/** The angle in the complex plane: 0, or π for negative numbers. */
export const angle = pointwise((x) => x.angle());
/** NaN as 0, infinities as the largest numbers. */
export const nanToNum = pointwise((x) => x.nanToNum());

/** No values, the same shape, dtype and layout. */
export function zerosLike(input: SparseTensor): SparseTensor {
  const { dtype, device, layout, pattern, storedValues } = input;
  return new SparseTensor(patternAt([], pattern.sizes), zeros([0, ...storedValues.shape.slice(1)], { dtype, device }), {
    layout,
    coalesced: true,
  });
}
export { zerosLike as emptyLike };
