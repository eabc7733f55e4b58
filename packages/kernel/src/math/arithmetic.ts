/** Remainders and quotients as C and Python define them, and comparisons that carry NaN through. */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { isFloat, isUnsigned } from '../ir/types.ts';
import { copySign, inDouble, isNaNValue } from './support.ts';

/** The larger of x and y; NaN where either is. */
export const maximum = (b: KernelBuilder, x: Value, y: Value): Value =>
  isFloat(x.type.scalar) ? b.select(isNaNValue(b, x), x, b.max(x, y)) : b.max(x, y);

/** The smaller of x and y; NaN where either is. */
export const minimum = (b: KernelBuilder, x: Value, y: Value): Value =>
  isFloat(x.type.scalar) ? b.select(isNaNValue(b, x), x, b.min(x, y)) : b.min(x, y);

/** -1, 0 or 1, of any type but bool; 0 at NaN. */
export function sign(b: KernelBuilder, x: Value): Value {
  const zero = b.constant(0, x.type);
  const one = b.constant(1, x.type);
  const positive = b.select(b.gt(x, zero), one, zero);
  return isUnsigned(x.type.scalar) ? positive : b.select(b.lt(x, zero), b.constant(-1, x.type), positive);
}

/** Bits of the quotient that one step of the long division finds, so that products with it are exact. */
const STEP_32 = 28;
const STEP_64 = 24;

/** x - y·trunc(x / y) of f32 numbers x >= 0 and y > 0 held in f64, exactly: long division by y·2^252, y·2^224, … y. */
function remainderOfSingles(b: KernelBuilder, x: Value, y: Value): Value {
  const steps = 10;
  const [result] = b.for(0, steps, 1, [x, b.mul(y, 2 ** (STEP_32 * (steps - 1)))], (_, rest, multiple) => {
    const reduced = b.sub(rest, b.mul(b.trunc(b.div(rest, multiple)), multiple));
    const low = b.select(b.lt(reduced, 0), b.add(reduced, multiple), reduced);
    return [b.select(b.ge(low, multiple), b.sub(low, multiple), low), b.mul(multiple, 2 ** -STEP_32)];
  });
  return result;
}

/** x = mantissa·2^exponent with the mantissa in [1, 2), for finite x > 0 in f64. */
function mantissaAndExponent(b: KernelBuilder, x: Value): { readonly mantissa: Value; readonly exponent: Value } {
  const tiny = b.lt(x, 2 ** -1022);
  const raw = b.bitcast(b.select(tiny, b.mul(x, 2 ** 54), x), 'i64');
  const mantissa = b.bitcast(b.or(b.and(raw, 0xfffffffffffffn), 0x3ff0000000000000n), 'f64');
  const biased = b.sub(b.bitcast(b.add(b.shr(raw, 52n), 0x4338000000000000n), 'f64'), 6755399441055744 + 1023);
  return { mantissa, exponent: b.select(tiny, b.sub(biased, 54), biased) };
}

/** 2^n of a small integer n in f64, -126 <= n <= 127. */
const powerOfTwo = (b: KernelBuilder, n: Value): Value =>
  b.cast(b.bitcast(b.shl(b.bitcast(b.add(b.cast(n, 'f32'), 12582912 + 127), 'i32'), 23), 'f32'), 'f64');

/** As {@link remainderOfSingles} for any f64: the mantissas are divided, 24 bits of the quotient at a time. */
function remainderOfDoubles(b: KernelBuilder, x: Value, y: Value): Value {
  const dividend = mantissaAndExponent(b, x);
  const divisor = mantissaAndExponent(b, y);
  const high = b.bitcast(b.and(b.bitcast(divisor.mantissa, 'i64'), -0x8000000n), 'f64');
  const low = b.sub(divisor.mantissa, high);
  const bits = b.max(0, b.sub(dividend.exponent, divisor.exponent));
  const [rest] = b.for(0, 88, 1, [dividend.mantissa, bits], (_, part, left) => {
    const step = b.min(STEP_64, left);
    const raised = b.mul(part, powerOfTwo(b, step));
    const quotient = b.trunc(b.div(raised, divisor.mantissa));
    const reduced = b.sub(b.sub(raised, b.mul(quotient, high)), b.mul(quotient, low));
    const positive = b.select(b.lt(reduced, 0), b.add(reduced, divisor.mantissa), reduced);
    return [b.select(b.ge(positive, divisor.mantissa), b.sub(positive, divisor.mantissa), positive), b.sub(left, step)];
  });
  const tenth = b.floor(b.mul(divisor.exponent, 0.1));
  const scale = powerOfTwo(b, tenth);
  let result = b.mul(rest, powerOfTwo(b, b.mulAdd(tenth, -9, divisor.exponent)));
  for (let i = 0; i < 9; i++) result = b.mul(result, scale);
  return result;
}

/**
 * C's remainder x - y·trunc(x / y), exact over the whole range. Floats: NaN for infinite x or zero y. Integers: 0 for zero y.
 */
export function fmod(b: KernelBuilder, x: Value, y: Value): Value {
  const { scalar } = x.type;
  if (!isFloat(scalar)) return integerDivision(b, x, y).remainder;
  return inDouble(b, [x, y], (p, q) => {
    const ax = b.abs(p);
    const ay = b.abs(q);
    const exact = copySign(b, scalar === 'f32' ? remainderOfSingles(b, ax, ay) : remainderOfDoubles(b, ax, ay), p);
    const defined = b.select(b.lt(ax, ay), p, exact);
    const valid = b.and(b.lt(ax, Infinity), b.gt(ay, 0));
    return b.select(b.and(valid, b.eq(ay, Infinity)), p, b.select(valid, defined, b.constant(NaN, p.type)));
  });
}

/** Python's remainder x - y·floor(x / y), which has the sign of y. Exactness and special values as {@link fmod}. */
export function remainder(b: KernelBuilder, x: Value, y: Value): Value {
  const rest = fmod(b, x, y);
  if (isUnsigned(x.type.scalar)) return rest;
  const zero = b.constant(0, rest.type);
  const wrong = b.and(b.ne(rest, zero), b.xor(b.lt(rest, zero), b.lt(y, zero)));
  return b.select(wrong, b.add(rest, y), rest);
}

/** Quotient towards zero and its remainder, defined for every divisor: by zero both are 0. */
function integerDivision(
  b: KernelBuilder,
  x: Value,
  y: Value,
): { readonly quotient: Value; readonly remainder: Value } {
  const zero = b.constant(0, x.type);
  const one = b.constant(1, x.type);
  const byZero = b.eq(y, zero);
  if (isUnsigned(x.type.scalar)) {
    const divisor = b.select(byZero, one, y);
    return { quotient: b.select(byZero, zero, b.div(x, divisor)), remainder: b.rem(x, divisor) };
  }
  // The smallest number divided by -1 has no quotient, so -1 is taken apart.
  const byMinusOne = b.eq(y, b.constant(-1, x.type));
  const divisor = b.select(b.or(byZero, byMinusOne), one, y);
  const quotient = b.select(byMinusOne, b.neg(x), b.div(x, divisor));
  return { quotient: b.select(byZero, zero, quotient), remainder: b.rem(x, divisor) };
}

/** x / y rounded towards zero. Integers by zero give 0. */
export function truncDiv(b: KernelBuilder, x: Value, y: Value): Value {
  return isFloat(x.type.scalar) ? b.trunc(b.div(x, y)) : integerDivision(b, x, y).quotient;
}

/** x / y rounded down, as Python's `//`: for floats from the exact remainder. Integers by zero give 0, floats x / 0. */
export function floorDiv(b: KernelBuilder, x: Value, y: Value): Value {
  const { scalar } = x.type;
  const zero = b.constant(0, x.type);
  if (!isFloat(scalar)) {
    const { quotient, remainder: rest } = integerDivision(b, x, y);
    if (isUnsigned(scalar)) return quotient;
    const wrong = b.and(b.ne(rest, zero), b.xor(b.lt(rest, zero), b.lt(y, zero)));
    return b.select(wrong, b.sub(quotient, b.constant(1, x.type)), quotient);
  }
  const rest = fmod(b, x, y);
  const whole = b.div(b.sub(x, rest), y);
  const wrong = b.and(b.ne(rest, zero), b.xor(b.lt(rest, zero), b.lt(y, zero)));
  const nearest = b.round(b.select(wrong, b.sub(whole, 1), whole));
  const signed = b.select(b.eq(nearest, zero), b.mul(b.div(x, y), 0), nearest);
  return b.select(b.eq(y, zero), b.div(x, y), signed);
}
