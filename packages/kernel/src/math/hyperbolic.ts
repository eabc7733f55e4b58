/** Hyperbolic functions and their inverses, from exp, expm1 and log1p; all but tanh are evaluated in f64. */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { expm1, roughExp, scaledExp } from './exponential.ts';
import { log, log1p } from './logarithm.ts';
import { copySign, inDouble, isDouble, polynomial } from './support.ts';

/** (tanh x - x) / x³ in x² for |x| <= 0.61, f32. */
const TANH_32 = [
  -0.33333292603492737, 0.13331753015518188, -0.053767524659633636, 0.020735986530780792, -0.005820197053253651,
];
/** (sinh x - x) / x³ in x² for |x| <= 1. */
const SINH_64 = [
  0.16666666666666669, 0.008333333333332912, 0.0001984126984159341, 2.7557319106756046e-6, 2.505213099888385e-8,
  1.6056659152478724e-10, 7.776600614663735e-13,
];

/** Hyperbolic tangent. At most 2 ulp (f64: 3). */
export function tanh(b: KernelBuilder, x: Value): Value {
  const magnitude = b.abs(x);
  if (isDouble(x, 'tanh')) {
    const e = expm1(b, b.mul(b.min(20, magnitude), 2));
    return copySign(b, b.div(e, b.add(e, 2)), x);
  }
  const e = roughExp(b, b.mul(b.min(10, magnitude), 2));
  const large = b.sub(1, b.div(b.constant(2, x.type), b.add(e, 1)));
  const z = b.mul(x, x);
  const small = b.mulAdd(b.mul(z, magnitude), polynomial(b, z, TANH_32), magnitude);
  return copySign(b, b.select(b.lt(magnitude, 0.61), small, large), x);
}

/** Hyperbolic sine. At most 3 ulp in f64, 1 in f32. */
export function sinh(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'sinh');
  return inDouble(b, [x], (y) => {
    const magnitude = b.abs(y);
    const half = scaledExp(b, magnitude, -1);
    const large = b.sub(half, b.div(b.constant(0.25, y.type), half));
    const z = b.mul(y, y);
    const small = b.mulAdd(b.mul(z, magnitude), polynomial(b, z, SINH_64), magnitude);
    return copySign(b, b.select(b.lt(magnitude, 1), small, large), y);
  });
}

/** Hyperbolic cosine. At most 2 ulp in f64, 1 in f32. */
export function cosh(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'cosh');
  return inDouble(b, [x], (y) => {
    const half = scaledExp(b, b.abs(y), -1);
    return b.add(half, b.div(b.constant(0.25, y.type), half));
  });
}

/** Inverse hyperbolic sine. At most 3 ulp in f64, 1 in f32. */
export function asinh(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'asinh');
  return inDouble(b, [x], (y) => {
    const magnitude = b.abs(y);
    const square = b.mul(magnitude, magnitude);
    const value = log1p(b, b.add(magnitude, b.div(square, b.add(b.sqrt(b.add(square, 1)), 1))));
    const large = b.add(log(b, magnitude), Math.LN2);
    return copySign(b, b.select(b.gt(magnitude, 2 ** 28), large, value), y);
  });
}

/** Inverse hyperbolic cosine. At most 3 ulp in f64, 1 in f32. NaN below 1. */
export function acosh(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'acosh');
  return inDouble(b, [x], (y) => {
    const t = b.sub(y, 1);
    const value = log1p(b, b.add(t, b.sqrt(b.mul(t, b.add(t, 2)))));
    return b.select(b.gt(y, 2 ** 28), b.add(log(b, y), Math.LN2), b.select(b.ge(y, 1), value, b.constant(NaN, y.type)));
  });
}

/** Inverse hyperbolic tangent. At most 3 ulp in f64, 1 in f32. ±inf at ±1, NaN beyond. */
export function atanh(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'atanh');
  return inDouble(b, [x], (y) => {
    const magnitude = b.abs(y);
    const ratio = b.div(b.add(magnitude, magnitude), b.sub(1, magnitude));
    return copySign(b, b.mul(log1p(b, ratio), 0.5), y);
  });
}
