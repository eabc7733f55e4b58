/**
 * The gamma family: arguments are raised by the recurrence until Stirling's series (or the Euler-Maclaurin sum of the zeta function) converges to
 * f64, and negative ones are reflected. Evaluated in f64.
 */
import { ProjError } from '../errors.ts';
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { log } from './logarithm.ts';
import { pow } from './power.ts';
import { inDouble, isDouble, polynomial } from './support.ts';
import { cos, sinPi } from './trigonometric.ts';

/** Bernoulli numbers B2, B4, … B20. */
const BERNOULLI = [
  1 / 6,
  -1 / 30,
  1 / 42,
  -1 / 30,
  5 / 66,
  -691 / 2730,
  7 / 6,
  -3617 / 510,
  43867 / 798,
  -174611 / 330,
];
/** B2k / (2k·(2k - 1)) and -B2k / 2k: the series of lgamma and digamma in 1/x². */
const STIRLING = BERNOULLI.slice(0, 8).map((value, i) => value / ((2 * i + 2) * (2 * i + 1)));
const DIGAMMA = BERNOULLI.slice(0, 8).map((value, i) => -value / (2 * i + 2));
const SHIFT = 8;
const HALF_LOG_TWO_PI = 0.9189385332046728;

/** log Γ(x) / ((x - 1)·(x - 2)) in x - 3/2, for 1 <= x <= 2. */
const LOG_GAMMA_CENTRE = [
  0.4831289505409809, -0.14595989591430775, 0.06291140107457681, -0.03130848750064875, 0.016797098629688093,
  -0.009425622471340078, 0.005446457921734853, -0.0032120734293867577, 0.0019229140673986183, -0.0011644242107547598,
  0.0007115545400563264, -0.00043791241731945096, 0.00027097154950553933, -0.00016928410807715084,
  0.0001073951412584833, -6.547143850750369e-5, 3.570386355283401e-5, -2.6172615493419936e-5, 2.7681242071332622e-5,
  -1.4767804550381378e-5,
];

/** log|Γ(x)| of x >= 1/2: by the zeros at 1 and 2 from [1, 2], which one step of the recurrence reaches, above from Stirling's series. */
function logGammaPositive(b: KernelBuilder, x: Value): Value {
  let product: Value = b.constant(1, x.type);
  let raised = x;
  for (let i = 3; i < SHIFT; i++) {
    const low = b.lt(raised, SHIFT);
    product = b.select(low, b.mul(product, raised), product);
    raised = b.select(low, b.add(raised, 1), raised);
  }
  const inverse = b.div(b.constant(1, x.type), raised);
  const series = b.mul(polynomial(b, b.mul(inverse, inverse), STIRLING), inverse);
  // (x - 1/2)·(log x - 1) stays finite as long as the result does.
  const main = b.mul(b.sub(raised, 0.5), b.sub(log(b, raised), 1));
  const large = b.add(b.add(main, HALF_LOG_TWO_PI - 0.5), series);
  const below = b.lt(x, 1);
  const above = b.gt(x, 2);
  const near = b.select(below, b.add(x, 1), b.select(above, b.sub(x, 1), x));
  const small = b.mul(b.mul(b.sub(near, 1), b.sub(near, 2)), polynomial(b, b.sub(near, 1.5), LOG_GAMMA_CENTRE));
  const central = b.lt(x, 3);
  const factor = b.select(central, b.select(below, x, b.select(above, near, b.constant(1, x.type))), product);
  const logFactor = log(b, factor);
  const result = b.add(b.select(central, small, large), b.select(b.and(central, above), logFactor, b.neg(logFactor)));
  return b.select(b.eq(x, Infinity), x, result);
}

/**
 * log|Γ(x)|. For x > 0 at most 16 ulp in f64; below, where there are more zeros, absolute or relative error below 2^-48. +inf at
 * the poles.
 */
export function lgamma(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'lgamma');
  return inDouble(b, [x], (y) => {
    const magnitude = b.abs(y);
    const reflect = b.lt(y, 0.5);
    const value = logGammaPositive(b, b.select(reflect, b.sub(1, y), y));
    // Near 0 it is -log|y|, which is accurate for subnormal numbers as well.
    const tiny = b.lt(magnitude, 2 ** -60);
    const sine = b.select(tiny, magnitude, b.abs(sinPi(b, y)));
    const logPi = b.select(tiny, b.constant(0, y.type), b.constant(Math.log(Math.PI), y.type));
    const reflected = b.sub(b.sub(logPi, log(b, sine)), value);
    const whole = b.or(b.eq(magnitude, Infinity), b.lt(y, -(2 ** 52)));
    // Adding 0 makes the value at 1 and 2 +0.
    return b.select(
      whole,
      b.constant(Infinity, y.type),
      b.add(b.select(reflect, reflected, value), b.constant(0, y.type)),
    );
  });
}

/** Derivative of log Γ(x). Absolute and relative error below 2^-47 in f64; NaN at negative integers, -inf at 0 (+inf at -0). */
export function digamma(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'digamma');
  return inDouble(b, [x], (y) => {
    const reflect = b.lt(y, 0);
    let raised = b.select(reflect, b.sub(1, y), y);
    let sum: Value = b.constant(0, y.type);
    for (let i = 0; i < SHIFT; i++) {
      const low = b.lt(raised, SHIFT);
      sum = b.select(low, b.add(sum, b.div(b.constant(1, y.type), raised)), sum);
      raised = b.select(low, b.add(raised, 1), raised);
    }
    const inverse = b.div(b.constant(1, y.type), raised);
    const square = b.mul(inverse, inverse);
    const series = b.mul(polynomial(b, square, DIGAMMA), square);
    const value = b.sub(b.add(b.sub(log(b, raised), b.mul(inverse, 0.5)), series), sum);
    const fraction = b.sub(y, b.round(y));
    const cotangent = b.mul(b.div(cos(b, b.mul(fraction, Math.PI)), sinPi(b, fraction)), Math.PI);
    const reflected = b.select(b.eq(fraction, 0), b.constant(NaN, y.type), b.sub(value, cotangent));
    return b.select(b.eq(y, 0), b.div(b.constant(-1, y.type), y), b.select(reflect, reflected, value));
  });
}

const TERMS = 10;

/** Sum of (q + k)^-s over k >= 0, where `power` gives z^-s: ten terms and Euler-Maclaurin's rest. */
function hurwitz(b: KernelBuilder, s: Value, q: Value, power: (z: Value) => Value): Value {
  let sum: Value = b.constant(0, q.type);
  for (let k = 0; k < TERMS; k++) sum = b.add(sum, power(b.add(q, k)));
  const z = b.add(q, TERMS);
  const last = power(z);
  sum = b.add(sum, b.mul(last, b.add(b.div(z, b.sub(s, 1)), 0.5)));
  const inverse = b.div(b.constant(1, q.type), z);
  let factor = b.mul(b.mul(last, inverse), s);
  let factorial = 2;
  for (let j = 0; j < BERNOULLI.length; j++) {
    sum = b.mulAdd(factor, BERNOULLI[j] / factorial, sum);
    factor = b.mul(b.mul(factor, b.mul(b.add(s, 2 * j + 1), inverse)), b.mul(b.add(s, 2 * j + 2), inverse));
    factorial *= (2 * j + 3) * (2 * j + 4);
  }
  return sum;
}

/** Hurwitz zeta function ζ(s, q) for s > 1 and q > 0: relative error below 2^-46 in f64. inf at s = 1, NaN elsewhere. */
export function zeta(b: KernelBuilder, s: Value, q: Value): Value {
  isDouble(s, 'zeta');
  return inDouble(b, [s, q], (order, y) => {
    const value = hurwitz(b, order, y, (z) => pow(b, z, b.neg(order)));
    const inside = b.select(b.eq(order, 1), b.constant(Infinity, order.type), value);
    return b.select(b.and(b.ge(order, 1), b.gt(y, 0)), inside, b.constant(NaN, order.type));
  });
}

/**
 * The n-th derivative of digamma, n >= 0 a fixed integer. Relative error below 2^-46 in f64 for x > 0. The trigamma function (n = 1) is reflected
 * for x < 0; higher orders are NaN there.
 */
export function polygamma(b: KernelBuilder, n: number, x: Value): Value {
  isDouble(x, 'polygamma');
  if (!Number.isInteger(n) || n < 0 || n > 20)
    throw new ProjError('invalid-argument', `order ${n}: an integer from 0 to 20 is needed`, { op: 'polygamma' });
  if (n === 0) return digamma(b, x);
  return inDouble(b, [x], (y) => {
    const power = (z: Value): Value => {
      const inverse = b.div(b.constant(1, z.type), z);
      let result = inverse;
      for (let i = 0; i < n; i++) result = b.mul(result, inverse);
      return result;
    };
    let factorial = 1;
    for (let i = 2; i <= n; i++) factorial *= i;
    const of = (q: Value): Value =>
      b.mul(hurwitz(b, b.constant(n + 1, q.type), q, power), n % 2 === 1 ? factorial : -factorial);
    const negative = b.lt(y, 0);
    if (n > 1) return b.select(negative, b.constant(NaN, y.type), of(y));
    const value = of(b.select(negative, b.sub(1, y), y));
    const sine = b.div(b.constant(Math.PI, y.type), sinPi(b, y));
    return b.select(negative, b.sub(b.mul(sine, sine), value), value);
  });
}
