/** Powers of floats and integers, with the special cases of C's `pow`. */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { isUnsigned } from '../ir/types.ts';
import { exp, expOfSum } from './exponential.ts';
import { log } from './logarithm.ts';
import { bits, flipSign, fromBits, inDouble, isDouble, isNaNValue, polynomial, signBit } from './support.ts';

const LEAST_64 = 0x3fe6a09e667f3bcdn;
const MAGIC_64 = 6755399441055744;
/** (log((1 + s) / (1 - s)) - 2s - 2s³/3) / s⁵ in s². */
const LOG_TAIL = [
  0.40000000000002256, 0.28571428570099594, 0.22222222519919851, 0.18181784367399764, 0.1538675731719094,
  0.13256818109908852, 0.1319632498558586,
];

interface Double {
  readonly high: Value;
  readonly low: Value;
}

const upper = (b: KernelBuilder, x: Value): Value => fromBits(b, b.and(bits(b, x), -0x8000000n), x);

/** a·b exactly, as a sum of two (Dekker 1971). */
function product(b: KernelBuilder, x: Value, y: Value): Double {
  const high = b.mul(x, y);
  const xHigh = upper(b, x);
  const yHigh = upper(b, y);
  const xLow = b.sub(x, xHigh);
  const yLow = b.sub(y, yHigh);
  const rest = b.sub(b.sub(b.sub(high, b.mul(xHigh, yHigh)), b.mul(xLow, yHigh)), b.mul(xHigh, yLow));
  return { high, low: b.sub(b.mul(xLow, yLow), rest) };
}

/** x + y exactly where |x| >= |y| (Dekker). */
function quickSum(b: KernelBuilder, x: Value, y: Value): Double {
  const high = b.add(x, y);
  return { high, low: b.sub(y, b.sub(high, x)) };
}

/** log x of a positive, finite x to about 2^-63, as a sum of two f64. */
function preciseLog(b: KernelBuilder, x: Value): Double {
  const tiny = b.lt(x, 2 ** -1022);
  const shifted = b.add(bits(b, b.select(tiny, b.mul(x, 2 ** 54), x)), 0x3ff0000000000000n - LEAST_64);
  const biased = fromBits(b, b.add(b.shr(shifted, 52n), 0x4338000000000000n), x);
  const e = b.sub(biased, b.select(tiny, b.constant(MAGIC_64 + 1077, x.type), b.constant(MAGIC_64 + 1023, x.type)));
  const f = b.sub(fromBits(b, b.add(b.and(shifted, 0xfffffffffffffn), LEAST_64), x), 1);
  // s = f / (2 + f) and what its rounding lost.
  const denominator = quickSum(b, b.constant(2, x.type), f);
  const s = b.div(f, denominator.high);
  const back = product(b, s, denominator.high);
  const sLow = b.div(b.sub(b.sub(b.sub(f, back.high), back.low), b.mul(s, denominator.low)), denominator.high);
  // 2s + 2s³/3 + s⁵·P(s²), the first two to twice the precision.
  const square = product(b, s, s);
  const z = square.high;
  const zLow = b.mulAdd(b.mul(s, sLow), 2, square.low);
  const cube = product(b, s, z);
  const cubeLow = b.add(cube.low, b.add(b.mul(s, zLow), b.mul(sLow, z)));
  const third = product(b, cube.high, b.constant(2 / 3, x.type));
  const thirdLow = b.add(third.low, b.add(b.mul(cubeLow, 2 / 3), b.mul(cube.high, 3.700743415417188e-17)));
  const tail = b.mul(b.mul(cube.high, z), polynomial(b, z, LOG_TAIL));
  const twice = b.add(s, s);
  const first = quickSum(b, twice, third.high);
  const lowSum = b.add(b.add(first.low, tail), b.add(thirdLow, b.mul(sLow, 2)));
  const exponent = b.mul(e, 0.6931471803691238);
  // e·ln2 is 0 or larger than the rest.
  const total = quickSum(b, exponent, first.high);
  const low = b.add(b.mul(e, 1.9082149292705877e-10), b.add(total.low, lowSum));
  return quickSum(b, total.high, low);
}

/** |x|^y in f64 where neither is special. */
function positivePower(b: KernelBuilder, magnitude: Value, y: Value): Value {
  const logarithm = preciseLog(b, magnitude);
  const main = product(b, logarithm.high, y);
  const rest = b.add(main.low, b.mul(logarithm.low, y));
  // Out of range the rest may not be finite; e^main is the answer.
  return expOfSum(b, main.high, b.select(b.lt(b.abs(main.high), 800), rest, b.constant(0, y.type)));
}

/** |x|^y in f64: 0, 1 or infinity where |x| is 0 or infinite or y is huge. */
function boundedPower(b: KernelBuilder, magnitude: Value, y: Value): Value {
  const constant = (value: number): Value => b.constant(value, y.type);
  const grows = b.xor(b.gt(magnitude, 1), b.lt(y, 0));
  const limit = b.select(b.eq(magnitude, 1), constant(1), b.select(grows, constant(Infinity), constant(0)));
  const ordinary = b.and(b.and(b.gt(magnitude, 0), b.lt(magnitude, Infinity)), b.lt(b.abs(y), 2 ** 80));
  return b.select(ordinary, positivePower(b, magnitude, y), limit);
}

/** x^y with the special cases of C: at most 1 ulp; what is a float itself, as 7^3, comes out exactly. */
export function pow(b: KernelBuilder, x: Value, y: Value): Value {
  const double = isDouble(x, 'pow');
  return inDouble(b, [x, y], (base, exponent) => {
    const one = b.constant(1, base.type);
    const magnitude = b.abs(base);
    const value = double ? boundedPower(b, magnitude, exponent) : exp(b, b.mul(exponent, log(b, magnitude)));
    const isInteger = b.eq(exponent, b.floor(exponent));
    const half = b.mul(exponent, 0.5);
    const isOdd = b.and(isInteger, b.ne(half, b.floor(half)));
    const signed = b.select(isOdd, flipSign(b, value, signBit(b, base)), value);
    const noRoot = b.and(b.and(b.lt(base, 0), b.gt(base, -Infinity)), b.not(isInteger));
    const defined = b.select(noRoot, b.constant(NaN, base.type), signed);
    const unordered = b.or(isNaNValue(b, base), isNaNValue(b, exponent));
    const withNaN = b.select(unordered, b.add(base, exponent), defined);
    const isOne = b.or(b.or(b.eq(base, 1), b.eq(exponent, 0)), b.and(b.eq(base, -1), b.eq(b.abs(exponent), Infinity)));
    return b.select(isOne, one, withNaN);
  });
}

/**
 * x^y of integers, wrapping. A negative y gives 0, but for x = 1 (1) and x = -1 (±1), as in PyTorch.
 */
export function powInteger(b: KernelBuilder, x: Value, y: Value): Value {
  const { scalar, lanes } = x.type;
  const wide = scalar === 'i64' || scalar === 'index';
  const constant = (value: number): Value => b.constant(value, x.type);
  const positive = b.splat(y, lanes);
  const steps = wide ? 63 : 32;
  const [result] = b.for(0, steps, 1, [constant(1), x, positive], (_, product, square, rest) => {
    const odd = b.ne(b.and(rest, constant(1)), constant(0));
    return [b.select(odd, b.mul(product, square), product), b.mul(square, square), b.shr(rest, constant(1))];
  });
  if (isUnsigned(scalar)) return result;
  const odd = b.ne(b.and(positive, constant(1)), constant(0));
  const minusOne = b.select(odd, constant(-1), constant(1));
  const inverse = b.select(b.eq(x, constant(1)), constant(1), b.select(b.eq(x, constant(-1)), minusOne, constant(0)));
  return b.select(b.lt(positive, constant(0)), inverse, result);
}
