/**
 * Trigonometric functions. f32 arguments are reduced in f64 against 200 bits of 1/(2π), cut into parts whose products with a 24-bit number
 * are exact (the idea of Payne and Hanek, 1983, with parts fixed in advance). f64 arguments are reduced by π/2 in four parts (Cody and
 * Waite, 1980) up to 2^22; where a lane is larger, a branch reduces the vector by `large-angles.ts`. So both are accurate over the whole
 * range. Sine and cosine on [-π/4, π/4] are minimax polynomials.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { reduceLargeAngle } from './large-angles.ts';
import { bits, copySign, flipSign, inDouble, isDouble, isNaNValue, polynomial, signBit } from './support.ts';

/** 1/(2π) in parts of 29 bits, the last of 53. */
const TURNS = [
  0.15915494225919247, 8.327028684640414e-10, 5.69002511952534e-19, 6.317065083361892e-27, 5.595982707708916e-36,
  6.551007954373285e-45,
];
/** π/2 in parts of 26, 26, 31 and 53 bits. */
const HALF_PI = [1.5707963407039642, -1.3909067675399456e-8, 6.12323399409214e-17, 1.6446256936324258e-26];
const MAGIC_32 = 12582912;
const MAGIC_64 = 6755399441055744;
/** (sin x - x) / x³ and (cos x - 1 + x²/2) / x⁴ in x². */
const SIN_32 = [-0.16666655242443085, 0.008332188241183758, -0.00019518092449288815];
const COS_32 = [0.04166664555668831, -0.00138873013202101, 2.4430670237052254e-5];
const SIN_64 = [
  -0.1666666666666663, 0.00833333333332184, -0.00019841269829358517, 2.755731353850503e-6, -2.5050734386896366e-8,
  1.5895433100685653e-10,
];
const COS_64 = [
  0.0416666666666666, -0.001388888888887447, 2.480158728966687e-5, -2.7557314399242466e-7, 2.0875728989193317e-9,
  -1.1359916970410765e-11,
];

interface Reduced {
  /** |x| = quarters·π/2 + an angle in [-π/4, π/4]; the low bits hold the number of quarters. */
  readonly quarters: Value;
  readonly sin: Value;
  readonly cos: Value;
}

function sinCos32(b: KernelBuilder, y: Value): { readonly sin: Value; readonly cos: Value } {
  const z = b.mul(y, y);
  return {
    sin: b.mulAdd(b.mul(y, z), polynomial(b, z, SIN_32), y),
    cos: b.add(b.mulAdd(b.mul(z, z), polynomial(b, z, COS_32), b.mul(z, -0.5)), 1),
  };
}

/** The greatest angle that is reduced by parts of π/2: products of its quarters with the first three are exact. */
const MODERATE = 2 ** 22;

interface Angle {
  readonly whole: Value;
  readonly y: Value;
  readonly low: Value;
}

/** What `moderate` says of angles up to `MODERATE`, and `reduceLargeAngle` of larger ones, in a loop that runs once or not at all. */
function withLargeAngles(b: KernelBuilder, magnitude: Value, moderate: Angle): Angle {
  // The sum is large or NaN if a lane is.
  const isLarge = b.not(b.le(b.horizontal('reduceAdd', magnitude), MODERATE));
  const initial = [magnitude, moderate.whole, moderate.y, moderate.low];
  const [, whole, y, low] = b.for(0, b.cast(isLarge, 'index'), 1, initial, (_, x, ...known) => {
    const large = reduceLargeAngle(b, x);
    const choose = b.and(b.gt(x, MODERATE), b.lt(x, Infinity));
    const found = [b.add(large.quarters, MAGIC_64), large.angle, large.low];
    return [x, ...found.map((value, i) => b.select(choose, value, known[i]))];
  });
  return { whole, y, low };
}

/** Reductions of f64 angles, whose loop the builder would not find again: a sine and a cosine of one angle share them. */
const reductions = new WeakMap<Value, Reduced>();

/** Sine and cosine of the part of `magnitude` that is left after whole quarters. */
function reduce(b: KernelBuilder, magnitude: Value): Reduced {
  if (magnitude.type.scalar === 'f32') return reduceSingle(b, magnitude);
  let reduced = reductions.get(magnitude);
  if (reduced === undefined) {
    reduced = b.within(magnitude.block, () => reduceDouble(b, magnitude));
    reductions.set(magnitude, reduced);
  }
  return reduced;
}

function reduceSingle(b: KernelBuilder, magnitude: Value): Reduced {
  const x = b.cast(magnitude, 'f64');
  const parts = TURNS.map((part, i) => {
    const turns = b.mul(x, part);
    return i < TURNS.length - 1 ? b.sub(turns, b.round(turns)) : turns;
  });
  const sum = parts.reduceRight((total, part) => b.add(total, part));
  const quarters = b.round(b.mul(sum, 4));
  const rest = parts.slice(1).reduce((total, part) => b.add(total, part), b.mulAdd(quarters, -0.25, parts[0]));
  const whole = b.add(b.cast(quarters, 'f32'), MAGIC_32);
  return { quarters: bits(b, whole), ...sinCos32(b, b.cast(b.mul(rest, 2 * Math.PI), 'f32')) };
}

/** As {@link reduce} in f64 for angles up to `MODERATE`. */
function reduceModerate(b: KernelBuilder, magnitude: Value): Angle {
  const whole = b.add(b.mul(magnitude, 2 / Math.PI), MAGIC_64);
  const n = b.sub(whole, MAGIC_64);
  const first = b.sub(b.sub(magnitude, b.mul(n, HALF_PI[0])), b.mul(n, HALF_PI[1]));
  const third = b.mul(n, HALF_PI[2]);
  const sum = b.sub(first, third);
  const part = b.sub(first, sum);
  // What rounding `sum` lost (Knuth's two-sum), and the last part of π/2.
  const lost = b.add(b.sub(first, b.add(sum, part)), b.sub(part, third));
  return { whole, y: sum, low: b.sub(lost, b.mul(n, HALF_PI[3])) };
}

function reduceDouble(b: KernelBuilder, magnitude: Value): Reduced {
  const { whole, y, low } = withLargeAngles(b, magnitude, reduceModerate(b, magnitude));
  const z = b.mul(y, y);
  const v = b.mul(z, y);
  const sinRest = polynomial(b, z, SIN_64.slice(1));
  const sinTail = b.sub(b.mul(z, b.sub(b.mul(low, 0.5), b.mul(v, sinRest))), low);
  const half = b.mul(z, 0.5);
  const w = b.sub(1, half);
  const cosTail = b.add(b.sub(b.sub(1, w), half), b.sub(b.mul(b.mul(z, z), polynomial(b, z, COS_64)), b.mul(y, low)));
  return { quarters: bits(b, whole), sin: b.sub(y, b.sub(sinTail, b.mul(v, SIN_64[0]))), cos: b.add(w, cosTail) };
}

/** The sign bit of an integer whose bit `bit` is set. */
const bitToSign = (b: KernelBuilder, quarters: Value, bit: 0 | 1): Value =>
  quarters.type.scalar === 'i64'
    ? b.shl(b.and(quarters, BigInt(1 << bit)), BigInt(63 - bit))
    : b.shl(b.and(quarters, 1 << bit), 31 - bit);

const isOdd = (b: KernelBuilder, quarters: Value): Value =>
  b.ne(b.and(quarters, quarters.type.scalar === 'i64' ? 1n : 1), quarters.type.scalar === 'i64' ? 0n : 0);

/** Sine of radians. At most 2 ulp in f32, 1 in f64, over the whole range. */
export function sin(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'sin');
  const reduced = reduce(b, b.abs(x));
  const value = b.select(isOdd(b, reduced.quarters), reduced.cos, reduced.sin);
  return flipSign(b, value, b.xor(bitToSign(b, reduced.quarters, 1), signBit(b, x)));
}

/** Cosine of radians. As accurate as {@link sin}. */
export function cos(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'cos');
  const reduced = reduce(b, b.abs(x));
  const value = b.select(isOdd(b, reduced.quarters), reduced.sin, reduced.cos);
  const next = b.add(reduced.quarters, reduced.quarters.type.scalar === 'i64' ? 1n : 1);
  return flipSign(b, value, bitToSign(b, next, 1));
}

/** Tangent of radians. At most 4 ulp (f64: 2) over the whole range. */
export function tan(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'tan');
  const reduced = reduce(b, b.abs(x));
  const odd = isOdd(b, reduced.quarters);
  const value = b.div(b.select(odd, reduced.cos, reduced.sin), b.select(odd, reduced.sin, reduced.cos));
  return flipSign(b, value, b.xor(bitToSign(b, reduced.quarters, 0), signBit(b, x)));
}

/** Sine and cosine of 2π·`turns`, f32, for 0 <= turns <= 1: exact reduction. At most 2 ulp. */
export function sinCosTurns(b: KernelBuilder, turns: Value): { readonly sin: Value; readonly cos: Value } {
  const whole = b.mulAdd(turns, 4, MAGIC_32);
  const quarters = bits(b, whole);
  const parts = sinCos32(b, b.mul(b.sub(b.mul(turns, 4), b.sub(whole, MAGIC_32)), Math.PI / 2));
  const odd = isOdd(b, quarters);
  return {
    sin: flipSign(b, b.select(odd, parts.cos, parts.sin), bitToSign(b, quarters, 1)),
    cos: flipSign(b, b.select(odd, parts.sin, parts.cos), bitToSign(b, b.add(quarters, 1), 1)),
  };
}

/** sin(πx)/x in x² for |x| <= 1/2, f64. */
const SIN_PI_64 = [
  3.141592653589793, -5.167712780049894, 2.550164039869508, -0.5992645290083611, 0.08214588034271156,
  -0.007370360036152156, 0.0004658302221759769, -2.0075363784429572e-5, -3.0755987511529035e-6, 3.3756861670000623e-6,
];

/** sin(πx), f64, for any x: exact at integers. At most 3 ulp. */
export function sinPi(b: KernelBuilder, x: Value): Value {
  const nearest = b.round(x);
  const fraction = b.sub(x, nearest);
  const value = b.mul(fraction, polynomial(b, b.mul(fraction, fraction), SIN_PI_64));
  const half = b.mul(nearest, 0.5);
  return b.select(b.eq(half, b.floor(half)), value, b.neg(value));
}

/** sin(πx)/(πx), 1 at 0. At most 4 ulp in f64, 1 in f32. */
export function sinc(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'sinc');
  return inDouble(b, [x], (y) => b.select(b.eq(y, 0), b.constant(1, y.type), b.div(sinPi(b, y), b.mul(y, Math.PI))));
}

/** (asin x - x) / x³ and (atan x - x) / x³ in x². */
const ASIN_32 = [
  0.16666659712791443, 0.07500521838665009, 0.04451338201761246, 0.03183881193399429, 0.014317329041659832,
  0.037690337747335434,
];
const ASIN_64 = [
  0.16666666666665408, 0.07500000000337154, 0.04464285682819921, 0.030381959142743675, 0.02237175790348432,
  0.017359707081031957, 0.013885211746311785, 0.012169372017450528, 0.00652726380061305, 0.019530257172953328,
  -0.016227444765006222, 0.031914500856237565,
];
const ATAN_32 = [
  -0.33333316445350647, 0.19998528063297272, -0.14244386553764343, 0.10599101334810257, -0.060897961258888245,
];
const ATAN_64 = [
  -0.333333333333332, 0.19999999999953613, -0.14285714280190118, 0.11111110782904261, -0.09090897738060305,
  0.07692059827877963, -0.06663099404802186, 0.058478544666475354, -0.0503914507938769, 0.03806047263090591,
  -0.017902722698982094,
];

/** A constant and what its rounding to the type of `x` lost. */
function twoParts(x: Value, value: number, low: number): readonly [number, number] {
  if (x.type.scalar === 'f64') return [value, low];
  return [Math.fround(value), value - Math.fround(value)];
}
const halfPi = (x: Value): readonly [number, number] => twoParts(x, Math.PI / 2, 6.123233995736766e-17);
const quarterPi = (x: Value): readonly [number, number] => twoParts(x, Math.PI / 4, 3.061616997868383e-17);
const pi = (x: Value): readonly [number, number] => twoParts(x, Math.PI, 1.2246467991473532e-16);

/** asin of |x| <= 1/2 as it is, else asin sqrt((1 - |x|) / 2): what asin and acos are put together from. */
function arcSineCore(b: KernelBuilder, x: Value): { readonly large: Value; readonly value: Value } {
  const magnitude = b.abs(x);
  const large = b.gt(magnitude, 0.5);
  const z = b.select(large, b.mulAdd(magnitude, -0.5, b.constant(0.5, x.type)), b.mul(magnitude, magnitude));
  const s = b.select(large, b.sqrt(z), magnitude);
  return { large, value: b.mulAdd(b.mul(s, z), polynomial(b, z, isDouble(x, 'asin') ? ASIN_64 : ASIN_32), s) };
}

/** Arc sine. At most 3 ulp. NaN outside [-1, 1]. */
export function asin(b: KernelBuilder, x: Value): Value {
  const { large, value } = arcSineCore(b, x);
  const [high, low] = halfPi(x);
  return copySign(b, b.select(large, b.sub(high, b.sub(b.add(value, value), low)), value), x);
}

/** Arc cosine. At most 2 ulp. NaN outside [-1, 1]. */
export function acos(b: KernelBuilder, x: Value): Value {
  const { large, value } = arcSineCore(b, x);
  const twice = b.add(value, value);
  const [high, low] = halfPi(x);
  const [piHigh, piLow] = pi(x);
  const negative = b.lt(x, 0);
  const outer = b.select(negative, b.sub(piHigh, b.sub(twice, piLow)), twice);
  return b.select(large, outer, b.sub(high, b.sub(copySign(b, value, x), low)));
}

/** base + atan(t) for |t| <= tan(π/8). */
function arcTangentCore(b: KernelBuilder, t: Value, base: Value, baseLow: Value): Value {
  const z = b.mul(t, t);
  const tail = b.mul(b.mul(t, z), polynomial(b, z, isDouble(t, 'atan') ? ATAN_64 : ATAN_32));
  return b.add(base, b.add(b.add(tail, baseLow), t));
}

/** Arc tangent. At most 2 ulp. */
export function atan(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'atan');
  const magnitude = b.abs(x);
  const constant = (value: number): Value => b.constant(value, x.type);
  const large = b.gt(magnitude, 2.414213562373095);
  const medium = b.gt(magnitude, 0.41421356237309503);
  const choose = (atLarge: Value, atMedium: Value, atSmall: Value): Value =>
    b.select(large, atLarge, b.select(medium, atMedium, atSmall));
  const t = b.div(
    choose(constant(-1), b.sub(magnitude, 1), magnitude),
    choose(magnitude, b.add(magnitude, 1), constant(1)),
  );
  const [half, halfLow] = halfPi(x);
  const [quarter, quarterLow] = quarterPi(x);
  const zero = constant(0);
  return copySign(
    b,
    arcTangentCore(
      b,
      t,
      choose(constant(half), constant(quarter), zero),
      choose(constant(halfLow), constant(quarterLow), zero),
    ),
    x,
  );
}

/** The angle of the point (x, y) in (-π, π]. At most 3 ulp. Signed zeros and infinities as in C. */
export function atan2(b: KernelBuilder, y: Value, x: Value): Value {
  isDouble(y, 'atan2');
  const constant = (value: number): Value => b.constant(value, y.type);
  const ax = b.abs(x);
  const ay = b.abs(y);
  const steep = b.gt(ay, ax);
  const larger = b.select(steep, ay, ax);
  const quotient = b.div(b.select(steep, ax, ay), larger);
  const ratio = b.select(
    b.eq(larger, 0),
    constant(0),
    b.select(b.and(b.eq(ax, Infinity), b.eq(ay, Infinity)), constant(1), quotient),
  );
  const medium = b.gt(ratio, 0.41421356237309503);
  const t = b.select(medium, b.div(b.sub(ratio, 1), b.add(ratio, 1)), ratio);
  const [quarter, quarterLow] = quarterPi(y);
  const [half, halfLow] = halfPi(y);
  const [whole, wholeLow] = pi(y);
  const xBits = bits(b, x);
  const left = b.lt(xBits, xBits.type.scalar === 'i64' ? 0n : 0);
  const angle = arcTangentCore(
    b,
    t,
    b.select(medium, constant(quarter), constant(0)),
    b.select(medium, constant(quarterLow), constant(0)),
  );
  const turned = b.select(b.xor(steep, left), b.neg(angle), angle);
  const chooseBase = (upright: number, opposite: number): Value =>
    b.select(steep, constant(upright), b.select(left, constant(opposite), constant(0)));
  const result = copySign(b, b.add(chooseBase(half, whole), b.add(turned, chooseBase(halfLow, wholeLow))), y);
  return b.select(b.or(isNaNValue(b, x), isNaNValue(b, y)), b.add(x, y), result);
}
