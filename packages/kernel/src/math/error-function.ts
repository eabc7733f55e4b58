/**
 * The error function and the normal distribution. erfc(x) = e^(-x²)·P(t)/(1 + 2x) with t = (x - 4)/(x + 4), which maps the half line to a finite
 * interval (the idea of Schonfelder, 1978, and Shepherd and Laframboise, 1981); the quantile is an asymptotic fit, refined by Halley's step.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { exp, expOfSum, roughExp2 } from './exponential.ts';
import { log, log1p } from './logarithm.ts';
import { bits, copySign, fromBits, inDouble, isDouble, polynomial } from './support.ts';

/** erf(x)/x - 1 in x² for |x| <= 0.95 and 0.9. */
const ERF_32 = [
  0.12837916612625122, -0.3761262893676758, 0.11283625662326813, -0.026855764910578728, 0.005192525219172239,
  -0.0008051553159020841, 8.005869312910363e-5,
];
const ERF_64 = [
  0.1283791670955126, -0.3761263890318411, 0.11283791670972039, -0.026866170648260395, 0.0052239776550751975,
  -0.0008548328652138153, 0.00012055388218946153, -1.4926829841430138e-5, 1.6477632936401948e-6, -1.6479680167015503e-7,
  1.5098190831932625e-8, -1.0824792397075138e-9,
];
/** log2(erfc(x)) for 0.9 <= x <= 4, to 2^-28 of erf. */
const LOG2_ERFC_32 = [
  -0.00025609650765545666, -1.6269985437393188, -0.919083297252655, -0.15009380877017975, 0.03213883191347122,
  -0.004408251028507948, 0.0002844669215846807,
];
/** (1 + 2x)·e^(x²)·erfc(x) in t, for x >= 0.84. */
const ERFC_64 = [
  1.2329951186255526, -0.13962111684056383, 0.01537965210260444, 0.06809705425484985, -0.10103906603550372,
  0.09373283499266125, -0.06633036582711707, 0.037167515633693284, -0.01619773393976326, 0.005031969083925448,
  -0.0007577735741960701, -0.00019925182955365394, 0.0001506200616097912, -2.4414729787475894e-5,
  -1.1208517572632617e-5, 5.736363924004774e-6, 2.5398461206499284e-7, -8.41336872290193e-7, 1.2937849327253579e-7,
  9.469097720774529e-8, -4.620509122791695e-8, 6.758630702624881e-9,
];

/** e^(x²)·erfc(x) for x >= 0.85, f64. */
function scaledTail(b: KernelBuilder, magnitude: Value): Value {
  const t = b.div(b.sub(magnitude, 4), b.add(magnitude, 4));
  return b.div(polynomial(b, t, ERFC_64), b.mulAdd(magnitude, 2, b.constant(1, magnitude.type)));
}

/** e^(-factor·x²) for a factor that is a power of two, f64: x² to twice the precision (Dekker's product). */
function gaussian(b: KernelBuilder, magnitude: Value, factor: number): Value {
  const high = fromBits(b, b.and(bits(b, magnitude), -0x8000000n), magnitude);
  const low = b.sub(magnitude, high);
  const square = b.mul(high, high);
  return expOfSum(b, b.mul(square, -factor), b.mul(b.mul(low, b.add(magnitude, high)), -factor));
}

/** erfc of 0.85 <= x, f64. */
function upperTail(b: KernelBuilder, magnitude: Value): Value {
  const bounded = b.min(28, magnitude);
  return b.mul(gaussian(b, bounded, 1), scaledTail(b, bounded));
}

/** erf(x) of |x| <= 0.9, f64. */
function centre(b: KernelBuilder, x: Value): Value {
  const z = b.mul(x, x);
  return b.mulAdd(x, polynomial(b, z, ERF_64), x);
}

/** The error function. At most 2 ulp. */
export function erf(b: KernelBuilder, x: Value): Value {
  const magnitude = b.abs(x);
  if (isDouble(x, 'erf'))
    return copySign(b, b.select(b.lt(magnitude, 0.875), centre(b, magnitude), b.sub(1, upperTail(b, magnitude))), x);
  const z = b.mul(magnitude, magnitude);
  const small = b.mulAdd(magnitude, polynomial(b, z, ERF_32), magnitude);
  const large = b.sub(1, roughExp2(b, polynomial(b, b.min(4, magnitude), LOG2_ERFC_32)));
  return copySign(b, b.select(b.lt(magnitude, 0.9375), small, large), x);
}

function erfcDouble(b: KernelBuilder, x: Value): Value {
  const magnitude = b.abs(x);
  const tail = upperTail(b, magnitude);
  const outer = b.select(b.lt(x, 0), b.sub(2, tail), tail);
  return b.select(b.lt(magnitude, 0.875), b.sub(1, centre(b, x)), outer);
}

/** 1 - erf(x), accurate in the tail. At most 4 ulp in f64 (more where the result is subnormal), 1 in f32. */
export function erfc(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'erfc');
  return inDouble(b, [x], (y) => erfcDouble(b, y));
}

/** Corrections of the first terms of -ndtri(q) in 1/z, z = sqrt(-2·log q): relative error 2^-21 for q <= 0.13. */
const TAIL = [
  -0.9180215474039426, -0.1451245951802197, -3.1910534805391744, 24.192696651062064, -123.69208532099488,
  433.46546699549083, -1013.2936891172664, 1502.3445800791023, -1273.9304014824122, 469.6812675277568,
];
/** erfinv(x)/x in x² for |x| <= 3/4, relative error 2^-27. */
const ERFINV = [
  0.8862269198813636, 0.23201555831887954, 0.12745063443310178, 0.08882080449352057, 0.040444441666529295,
  0.20155666684792406, -0.5011290676597944, 1.2086551915398818, -1.3740274006073263, 0.7804370073459361,
];

/** y with erfc(y) = 2q for 0 < q <= 1/8, f64. */
function tailQuantile(b: KernelBuilder, q: Value): Value {
  const logQ = log(b, q);
  const z = b.sqrt(b.mul(logQ, -2));
  const inverse = b.div(b.constant(1, q.type), z);
  const first = b.mulAdd(b.sub(polynomial(b, inverse, TAIL), log(b, z)), inverse, z);
  const y = b.mul(first, Math.SQRT1_2);
  // Halley's step on log erfc(y) - log 2q, whose derivative is -(2/√π) / (e^(y²)·erfc(y)).
  const scaled = scaledTail(b, y);
  const excess = b.sub(b.sub(log(b, scaled), b.mul(y, y)), b.add(logQ, Math.LN2));
  const slope = b.div(b.constant(-2 / Math.sqrt(Math.PI), q.type), scaled);
  const step = b.div(excess, slope);
  // Second derivative over first: -2y - slope.
  return b.sub(y, b.div(step, b.add(b.mul(b.mul(step, 0.5), b.add(b.mul(y, 2), slope)), 1)));
}

/** y with erf(y) = x for 0 <= x <= 3/4, f64. */
function centreQuantile(b: KernelBuilder, x: Value): Value {
  const y = b.mul(x, polynomial(b, b.mul(x, x), ERFINV));
  const value = b.select(b.lt(y, 0.875), centre(b, y), b.sub(1, upperTail(b, b.max(0.85, y))));
  const step = b.mul(b.sub(value, x), b.mul(exp(b, b.mul(y, y)), Math.sqrt(Math.PI) / 2));
  return b.sub(y, b.div(step, b.mulAdd(y, step, b.constant(1, x.type))));
}

/** Inverse error function. At most 8 ulp in f64, 1 in f32. ±inf at ±1, NaN beyond. */
export function erfinv(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'erfinv');
  return inDouble(b, [x], (y) => {
    const magnitude = b.abs(y);
    const outer = b.select(
      b.eq(magnitude, 1),
      b.constant(Infinity, y.type),
      tailQuantile(b, b.mul(b.sub(1, magnitude), 0.5)),
    );
    return copySign(b, b.select(b.lt(magnitude, 0.75), centreQuantile(b, magnitude), outer), y);
  });
}

/** Quantile of the standard normal distribution. At most 8 ulp in f64 (absolute 2^-52 near 1/2), 1 in f32. NaN outside [0, 1]. */
export function ndtri(b: KernelBuilder, p: Value): Value {
  isDouble(p, 'ndtri');
  return inDouble(b, [p], (y) => {
    const upper = b.gt(y, 0.5);
    const q = b.select(upper, b.sub(1, y), y);
    const outer = b.select(b.eq(q, 0), b.constant(Infinity, y.type), b.mul(tailQuantile(b, q), Math.SQRT2));
    const inner = b.mul(centreQuantile(b, b.mulAdd(q, -2, b.constant(1, y.type))), Math.SQRT2);
    const value = b.select(b.gt(q, 0.125), inner, outer);
    return b.select(upper, value, b.neg(value));
  });
}

/** ndtr in f64. */
function ndtrDouble(b: KernelBuilder, x: Value): Value {
  const magnitude = b.min(40, b.abs(x));
  const tail = b.mul(b.mul(gaussian(b, magnitude, 0.5), scaledTail(b, b.mul(magnitude, Math.SQRT1_2))), 0.5);
  const outer = b.select(b.gt(x, 0), b.sub(1, tail), tail);
  return b.select(
    b.lt(magnitude, 1.2),
    b.mulAdd(centre(b, b.mul(x, Math.SQRT1_2)), 0.5, b.constant(0.5, x.type)),
    outer,
  );
}

/** Distribution function of the standard normal distribution. At most 6 ulp in f64 (more where the result is subnormal), 1 in f32. */
export function ndtr(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'ndtr');
  return inDouble(b, [x], (y) => ndtrDouble(b, y));
}

/** Logarithm of the distribution function of the standard normal distribution, accurate in both tails: relative error below 2^-49 in f64. */
export function logNdtr(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'logNdtr');
  return inDouble(b, [x], (y) => {
    const deep = b.max(1, b.mul(y, -Math.SQRT1_2));
    const lower = b.sub(b.sub(log(b, scaledTail(b, deep)), Math.LN2), b.mul(b.mul(y, y), 0.5));
    const upper = log1p(b, b.neg(ndtrDouble(b, b.neg(y))));
    return b.select(b.lt(y, -Math.SQRT2), lower, upper);
  });
}
