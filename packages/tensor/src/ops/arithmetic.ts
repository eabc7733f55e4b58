/** The rest of elementwise arithmetic: fused forms, rounding tests, number theory, bit-level functions, closeness. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { binaryNode, bitcastNode, castNode, constantNode, unaryNode } from '../graph/build.ts';
import { lengthOf } from '../graph/complex.ts';
import type { AnyNode } from '../graph/node.ts';
import {
  ComplexScalar,
  FloatScalar,
  isFloatingPoint,
  isOne,
  isIntegral,
  type Scalar,
  scalarValue,
  toFloat,
} from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { leading, promotedType, type TensorLike, unify } from './arguments.ts';
import {
  abs,
  add,
  clamp,
  constantLike,
  div,
  exp,
  isfinite,
  isinf,
  isnan,
  log,
  maximum,
  minimum,
  mul,
  requireTensor,
  sin,
  sub,
  where,
} from './elementwise.ts';
import { all } from './reductions.ts';
import { type OpRow, row, type RowOptions } from './table.ts';

const asFloat = (x: Tensor): Tensor => wrap(castNode(x.node, toFloat(x.dtype)));
const constant = (like: Tensor, value: number): Tensor => wrap(constantLike(like.node, value));
const requireTensors = (op: string, ...operands: readonly TensorLike[]): void => {
  for (const x of operands) requireTensor(op, x);
};
const unifyTensors = (op: string, operands: readonly TensorLike[], dtype?: DType): Tensor[] =>
  unify(op, operands, dtype).map(wrap);
const floatPair = (op: string, a: TensorLike, b: TensorLike): Tensor[] =>
  unifyTensors(op, [a, b], toFloat(promotedType(a, b)));

/** input + value · tensor1 · tensor2. */
export function addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, options: { value?: Scalar } = {}): Tensor {
  const { value } = withDefaults('addcmul', { value: 1 }, options);
  const [x, a, b] = unifyTensors('addcmul', [input, tensor1, tensor2]);
  const term = mul(a, b);
  const factor = isIntegral(term.dtype) ? Math.trunc(Number(scalarValue(value))) : value;
  return add(x, isOne(factor) ? term : mul(term, factor));
}
/** input + value · tensor1 / tensor2. */
export function addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, options: { value?: Scalar } = {}): Tensor {
  const { value } = withDefaults('addcdiv', { value: 1 }, options);
  if (isIntegral(tensor1.dtype) && isIntegral(tensor2.dtype))
    throw new ProjError('dtype', 'integer division', {
      op: 'addcdiv',
      cure: 'Cast to a float dtype, or add(div(…, { roundingMode }))',
    });
  const [x, a, b] = unifyTensors('addcdiv', [input, tensor1, tensor2]);
  return add(x, isOne(value) ? div(a, b) : mul(div(a, b), value));
}
/** start + weight · (end - start), exact at both ends. */
export function lerp(input: Tensor, end: Tensor, weight: Tensor | Scalar): Tensor {
  if (input.dtype !== end.dtype || (weight instanceof Tensor && weight.dtype !== input.dtype))
    throw new ProjError('dtype', `operands of ${input.dtype} and ${end.dtype}`, {
      op: 'lerp',
      cure: 'Cast them to one dtype',
    });
  if (!(weight instanceof Tensor)) {
    const span = sub(end, input);
    if (weight instanceof ComplexScalar) return add(input, mul(span, weight));
    const w = Number(scalarValue(weight));
    return w < 0.5 ? add(input, mul(span, new FloatScalar(w))) : sub(end, mul(span, new FloatScalar(1 - w)));
  }
  const [a, b, w] = unifyTensors('lerp', [input, end, weight]);
  const span = sub(b, a);
  return where(abs(w).lt(0.5), add(a, mul(w, span)), sub(b, mul(span, sub(1, w))));
}

/** The length of (a, b), without overflow. Its gradient at zero and infinity is zero. */
export function hypot(input: Tensor, other: Tensor): Tensor {
  requireTensors('hypot', input, other);
  const [x, y] = floatPair('hypot', input, other);
  return wrap(castNode(lengthOf(wide(x.node), wide(y.node)), x.dtype));
}
const logAdd =
  (op: string, fn: 'exp' | 'exp2', inverse: 'log1p' | 'log2') =>
  (input: Tensor, other: Tensor): Tensor => {
    const [a, b] = unifyTensors(op, [input, other]);
    if (!isFloatingPoint(a.dtype))
      throw new ProjError('dtype', `${op} of ${a.dtype}`, { op, cure: 'Cast to a float dtype' });
    const same = a.eq(b).logicalAnd(isinf(a));
    // Equal infinities would give inf - inf.
    const above = where(same, constant(a, 0), sub(a, b));
    // Either could be taken out where both are near; changing at 1 keeps every derivative right where they are equal.
    const first = above.gt(1);
    const top = where(first, a, b);
    const gap = where(first, above.neg(), above);
    const grown = fn === 'exp' ? exp(gap) : gap.exp2();
    return where(same, a, add(top, inverse === 'log1p' ? grown.log1p() : grown.add(1).log2()));
  };
/** log(exp(a) + exp(b)), without overflow. */
export const logaddexp = logAdd('logaddexp', 'exp', 'log1p');
/** log2(2^a + 2^b), without overflow. */
export const logaddexp2 = logAdd('logaddexp2', 'exp2', 'log2');

/** x · log(y), zero where x is zero (unless y is NaN). */
export function xlogy(input: TensorLike, other: TensorLike): Tensor {
  const [x, y] = floatPair('xlogy', input, other);
  const zero = x.eq(0).logicalAnd(isnan(y).logicalNot());
  const safe = where(zero, constant(y, 1), y);
  return where(isnan(y), y, where(zero, constant(x, 0), mul(x, log(safe))));
}
/** 0 below zero, 1 above, `values` at zero. */
export function heaviside(input: Tensor, values: Tensor): Tensor {
  if (input.dtype !== values.dtype)
    throw new ProjError('dtype', `operands of ${input.dtype} and ${values.dtype}`, {
      op: 'heaviside',
      cure: 'Cast one of them',
    });
  const [x, v] = unifyTensors('heaviside', [input, values]);
  return where(x.eq(0), v, where(x.lt(0).logicalOr(isnan(x)), constant(x, 0), constant(x, 1)));
}

// Bits of floating-point numbers

const BITS: Partial<Record<DType, { readonly integer: DType; readonly mantissa: number }>> = {
  float32: { integer: 'int32', mantissa: 23 },
  float64: { integer: 'int64', mantissa: 52 },
};
/** The value as a dtype whose bits can be looked at, exactly. */
const wide = (x: AnyNode): AnyNode => (x.dtype === 'float16' || x.dtype === 'bfloat16' ? castNode(x, 'float32') : x);
const bitsOf = (x: AnyNode): AnyNode => bitcastNode(x, (BITS[x.dtype] as { integer: DType }).integer);

/** Whether the sign bit is set (-0 has one). */
export function signbit(input: Tensor): Tensor {
  if (isIntegral(input.dtype))
    return input.dtype === 'bool' || input.dtype === 'uint8'
      ? wrap(constantNode(input.device, 'bool', input.shape, false))
      : input.lt(0);
  const bits = bitsOf(wide(input.detach().node));
  return wrap(binaryNode('lt', bits, constantLike(bits, 0)));
}
/** The magnitude of the first with the sign of the second. */
export function copysign(input: Tensor, other: TensorLike): Tensor {
  requireTensor('copysign', input);
  const [x, y] = floatPair('copysign', input, other);
  const differ = signbit(x).logicalXor(signbit(y));
  const result = where(differ, x.neg(), x);
  // The gradient at zero is zero.
  return x.requiresGrad ? where(x.eq(0), result.detach(), result) : result;
}
/** The next representable number after the first in the direction of the second. */
export function nextafter(input: Tensor, other: Tensor): Tensor {
  const [x, y] = unifyTensors('nextafter', [input, other]);
  if (x.dtype !== 'float32' && x.dtype !== 'float64')
    throw new ProjError('dtype', `nextafter of ${x.dtype}`, { op: 'nextafter', cure: 'Use float32 or float64' });
  const bits = wrap(bitsOf(x.node));
  // Away from zero the magnitude grows with the bits, whatever the sign.
  const away = y.gt(x).eq(x.gt(0));
  const moved = wrap(bitcastNode(where(away, bits.add(1), bits.sub(1)).node, x.dtype));
  const least = x.dtype === 'float32' ? 2 ** -149 : 2 ** -1074;
  const fromZero = where(y.gt(0), constant(x, least), constant(x, -least));
  return where(isnan(x).logicalOr(isnan(y)), add(x, y), where(x.eq(y), y, where(x.eq(0), fromZero, moved)));
}
/** Mantissa in (-1, -0.5] or [0.5, 1) and exponent: input = mantissa · 2^exponent. */
export function frexp(input: Tensor): { mantissa: Tensor; exponent: Tensor } {
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `frexp of ${input.dtype}`, { op: 'frexp', cure: 'Cast to a float dtype' });
  const x = wrap(wide(input.node));
  const { integer, mantissa: width } = BITS[x.dtype] as { integer: DType; mantissa: number };
  const [mask, bias] = width === 23 ? [255, 126] : [2047, 1022];
  const exponentBits = (t: Tensor): Tensor =>
    wrap(bitcastNode(t.detach().node, integer)).bitwiseRightShift(width).bitwiseAnd(mask);
  // Subnormal numbers are scaled up first.
  const tiny = exponentBits(x).eq(0);
  const scaled = where(tiny, mul(x, 2 ** (width + 2)), x);
  const plain = x.eq(0).logicalOr(isfinite(x).logicalNot());
  const exponent = where(
    plain,
    0,
    exponentBits(scaled)
      .sub(bias)
      .sub(where(tiny, width + 2, 0)),
  );
  const e = wrap(castNode(exponent.node, 'int32'));
  const power = wrap(castNode(e.node, x.dtype)).neg();
  const half = power.div(2).floor();
  const mantissa = where(plain, x, mul(mul(x, half.exp2()), sub(power, half).exp2()));
  return { mantissa: wrap(castNode(mantissa.node, input.dtype)), exponent: e };
}
/** input · 2^other. */
export function ldexp(input: Tensor, other: Tensor): Tensor {
  requireTensors('ldexp', input, other);
  const power = asFloat(other);
  return mul(input, wrap(binaryNode('pow', constantLike(power.node, 2), power.node)));
}

// Replacing, limiting, comparing

export interface NanToNumOptions {
  readonly nan?: number | null;
  readonly posinf?: number | null;
  readonly neginf?: number | null;
}
const LARGEST: Partial<Record<DType, number>> = {
  float32: 3.4028234663852886e38,
  float64: Number.MAX_VALUE,
  float16: 65504,
  bfloat16: 3.3895313892515355e38,
};
/** NaN and infinities replaced by numbers: 0, the largest and the smallest unless given. */
export function nanToNum(input: Tensor, options: NanToNumOptions = {}): Tensor {
  const { nan, posinf, neginf } = withDefaults('nanToNum', { nan: null, posinf: null, neginf: null }, options);
  if (!isFloatingPoint(input.dtype)) return wrap(input.node);
  const largest = LARGEST[input.dtype] as number;
  const finite = where(isnan(input), constant(input, nan ?? 0), input);
  return where(
    finite.eq(Infinity).logicalAnd(isnan(input).logicalNot()),
    constant(input, posinf ?? largest),
    where(input.eq(-Infinity), constant(input, neginf ?? -largest), finite),
  );
}
/** Values at least `min`; NaN stays. */
export function clampMin(input: Tensor, min: TensorLike): Tensor {
  return clamp(input, min);
}
/** Values at most `max`; NaN stays. */
export function clampMax(input: Tensor, max: TensorLike): Tensor {
  return clamp(input, null, max);
}
/** Of two equal numbers the first is taken, and gets the whole gradient. */
const extremeIgnoringNaN =
  (op: string, fn: typeof maximum, first: (a: Tensor, b: Tensor) => Tensor) =>
  (input: Tensor, other: Tensor): Tensor => {
    requireTensors(op, input, other);
    const [a, b] = unifyTensors(op, [input, other]);
    if (!isFloatingPoint(a.dtype)) return fn(a, b);
    return where(first(a, b).logicalOr(isnan(b)), a, b);
  };
/** The larger of two; a number wins over NaN. */
export const fmax = extremeIgnoringNaN('fmax', maximum, (a, b) => a.ge(b));
/** The smaller of two; a number wins over NaN. */
export const fmin = extremeIgnoringNaN('fmin', minimum, (a, b) => a.le(b));

export interface CloseOptions {
  readonly rtol?: number;
  readonly atol?: number;
  /** Whether NaN is close to NaN. */
  readonly equalNan?: boolean;
}
/** |input - other| <= atol + rtol · |other|, elementwise. */
export function isclose(input: Tensor, other: Tensor, options: CloseOptions = {}): Tensor {
  const { rtol, atol, equalNan } = withDefaults('isclose', { rtol: 1e-5, atol: 1e-8, equalNan: false }, options);
  requireTensors('isclose', input, other);
  if (input.dtype !== other.dtype)
    throw new ProjError('dtype', `operands of ${input.dtype} and ${other.dtype}`, {
      op: 'isclose',
      cure: 'Cast one of them',
    });
  if (rtol < 0 || atol < 0) throw new ProjError('invalid-argument', 'tolerances cannot be negative', { op: 'isclose' });
  const [a, b] = unifyTensors('isclose', [input, other]);
  let close = a.eq(b);
  if (equalNan && !isIntegral(a.dtype)) close = close.logicalOr(isnan(a).logicalAnd(isnan(b)));
  if (rtol === 0 && atol === 0) return close;
  const [x, y] = [a, b].map((t) => (isIntegral(t.dtype) ? wrap(castNode(t.node, 'float64')) : t));
  const difference = abs(sub(x, y));
  return close.logicalOr(
    isfinite(difference).logicalAnd(difference.le(add(mul(abs(y), new FloatScalar(rtol)), new FloatScalar(atol)))),
  );
}
/** Whether all elements are close. Reads both tensors. */
export function allclose(input: Tensor, other: Tensor, options: CloseOptions = {}): boolean {
  return all(isclose(input, other, options)).item<boolean>();
}
const infinite =
  (sign: 1 | -1) =>
  (input: Tensor): Tensor =>
    isFloatingPoint(input.dtype)
      ? input.eq(sign * Infinity)
      : wrap(constantNode(input.device, 'bool', input.shape, false));
/** Elements that are +∞. */
export const isposinf = infinite(1);
/** Elements that are -∞. */
export const isneginf = infinite(-1);
/** Degrees to radians. */
export function deg2rad(input: Tensor): Tensor {
  return mul(asFloat(input), new FloatScalar(Math.PI / 180));
}
/** Radians to degrees. */
export function rad2deg(input: Tensor): Tensor {
  return mul(asFloat(input), new FloatScalar(180 / Math.PI));
}
/** log(x / (1 - x)); `eps` keeps x in [eps, 1 - eps]. */
export function logit(input: Tensor, eps?: number | null | { eps?: number | null }): Tensor {
  const x = asFloat(input);
  const { eps: bound } = leading<{ eps?: number | null }>('logit', { eps: null }, 'eps', eps);
  const inside = bound === null ? x : clamp(x, new FloatScalar(bound), new FloatScalar(1 - bound));
  return log(div(inside, sub(1, inside)));
}
/** sin(πx) / (πx), 1 at zero. */
export function sinc(input: Tensor): Tensor {
  const x = asFloat(input);
  const zero = x.eq(0);
  const angle = mul(where(zero, constant(x, 1), x), new FloatScalar(Math.PI));
  // Near zero the value is flat: 1 - (πx)²/6, so that all its derivatives are those of the function.
  const series = sub(1, mul(mul(x, x), new FloatScalar((Math.PI * Math.PI) / 6)));
  return where(zero, series, div(sin(angle), angle));
}

// Number theory

const requireIntegers = (op: string, x: AnyNode): void => {
  if (!isIntegral(x.dtype) || x.dtype === 'bool')
    throw new ProjError('dtype', `${op} of ${x.dtype}`, { op, cure: 'Use integers' });
};
/** Steps of Euclid's algorithm that any pair of the dtype may need (Lamé). */
const EUCLID_STEPS: Partial<Record<DType, number>> = { uint8: 13, int8: 11, int16: 23, int32: 46, int64: 91 };
/** Greatest common divisor. */
export function gcd(input: Tensor, other: Tensor): Tensor {
  requireTensors('gcd', input, other);
  const [x, y] = unify('gcd', [input, other]);
  requireIntegers('gcd', x);
  let [a, b] = [wrap(unaryNode('abs', x)), wrap(unaryNode('abs', y))];
  for (let i = 0; i < (EUCLID_STEPS[x.dtype] as number); i++) {
    const done = b.eq(0);
    const rest = a.remainder(where(done, constant(b, 1), b));
    [a, b] = [where(done, a, b), where(done, b, rest)];
  }
  return a;
}
/** Least common multiple. */
export function lcm(input: Tensor, other: Tensor): Tensor {
  requireTensors('lcm', input, other);
  const [x, y] = unifyTensors('lcm', [input, other]);
  requireIntegers('lcm', x.node);
  const divisor = gcd(x, y);
  return abs(mul(x.div(where(divisor.eq(0), constant(divisor, 1), divisor), { roundingMode: 'trunc' }), y));
}

const unary = (name: string, fn: (input: Tensor) => Tensor, options: RowOptions = {}): OpRow =>
  row(name, fn, 'input', { inPlace: true, ...options });
const both = (name: string, fn: (a: Tensor, b: Tensor) => Tensor, options: RowOptions = {}): OpRow =>
  row(name, fn, 'input, other', { inPlace: true, ...options });
const flags: RowOptions = { inPlace: false, differentiable: false };

/** x where |x| is above lambd, 0 elsewhere. */
export function hardshrink(input: Tensor, options: { readonly lambd?: number } = {}): Tensor {
  const { lambd } = withDefaults('hardshrink', { lambd: 0.5 }, options);
  return where(abs(input).le(lambd), constant(input, 0), input);
}
/** x where it is positive, else multiplied with one slope, or with that of its channel (dimension 1). */
export function prelu(input: Tensor, weight: Tensor): Tensor {
  requireTensors('prelu', input, weight);
  if (weight.ndim > 1)
    throw new ProjError('shape-mismatch', 'the weight must be a number or a vector', {
      op: 'prelu',
      shapes: [weight.shape],
    });
  const slopes = weight.numel();
  if (slopes !== 1 && (input.ndim < 2 || input.shape[1] !== slopes))
    throw new ProjError('shape-mismatch', 'one slope, or one for each channel, is needed', {
      op: 'prelu',
      shapes: [input.shape, weight.shape],
    });
  const slope = weight.reshape(slopes === 1 ? [] : input.shape.map((_, dim) => (dim === 1 ? slopes : 1)));
  return where(input.gt(0), input, mul(input, slope));
}

export const ARITHMETIC: readonly OpRow[] = [
  row('addcmul', addcmul, 'input, tensor1, tensor2, *, value=1', { inPlace: true }),
  row('addcdiv', addcdiv, 'input, tensor1, tensor2, *, value=1', { inPlace: true }),
  row('lerp', lerp, 'input, end, weight', { inPlace: true }),
  both('hypot', hypot),
  both('logaddexp', logaddexp, { inPlace: false }),
  both('logaddexp2', logaddexp2, { inPlace: false }),
  row('xlogy', xlogy as never, 'input, other', {
    inPlace: true,
    torch: ['torch.xlogy', 'Tensor.xlogy', 'torch.special.xlogy'],
  }),
  row('heaviside', heaviside, 'input, values', { inPlace: true, differentiable: false }),
  unary('signbit', signbit, flags),
  row('copysign', copysign as never, 'input, other', { inPlace: true }),
  both('nextafter', nextafter, { differentiable: false }),
  unary('frexp', frexp as never, { inPlace: false }),
  both('ldexp', ldexp),
  row('nanToNum', nanToNum, 'input, nan=None, posinf=None, neginf=None', { inPlace: true }),
  row('clampMin', clampMin as never, 'input, min', { inPlace: true }),
  row('clampMax', clampMax as never, 'input, max', { inPlace: true }),
  both('fmax', fmax, { inPlace: false }),
  both('fmin', fmin, { inPlace: false }),
  row('isclose', isclose, 'input, other, rtol=1e-05, atol=1e-08, equal_nan=False', { differentiable: false }),
  row('allclose', allclose, 'input, other, rtol=1e-05, atol=1e-08, equal_nan=False', { differentiable: false }),
  unary('isposinf', isposinf, flags),
  unary('isneginf', isneginf, flags),
  unary('deg2rad', deg2rad),
  unary('rad2deg', rad2deg),
  row('hardshrink', hardshrink, 'input, lambd=0.5'),
  row('prelu', prelu, 'input, weight'),
  row('logit', logit, 'input, eps=None', {
    inPlace: true,
    torch: ['torch.logit', 'Tensor.logit', 'torch.special.logit'],
  }),
  unary('sinc', sinc, { torch: ['torch.sinc', 'Tensor.sinc', 'torch.special.sinc'] }),
  both('gcd', gcd, { differentiable: false }),
  both('lcm', lcm, { differentiable: false }),
];
