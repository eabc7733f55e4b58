/**
 * exp and its relatives. x = n·ln2 + r with |r| <= ln2/2 (n by adding 1.5·2^p, which rounds and leaves n in the low bits), a minimax
 * polynomial for e^r, and 2^n as the product of two powers, so that overflow and gradual underflow come out of the last multiplication.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { bits, fromBits, isDouble, polynomial } from './support.ts';

/** Adding it rounds an f32 to an integer, which then stands in the low bits. */
const ROUND_32 = 12582912;
const ROUND_64 = 6755399441055744;
const LOG2E = 1.4426950408889634;
// ln 2 in two parts: n·HIGH is exact.
const LN2_HIGH_32 = 0.693145751953125;
const LN2_LOW_32 = 1.428606765330187e-6;
const LN2_HIGH_64 = 0.6931471803691238;
const LN2_LOW_64 = 1.9082149292705877e-10;
/** (e^r - 1 - r) / r² for |r| <= 0.347, relative error of e^r 2^-28 and 2^-57. */
const EXP_32 = [
  0.4999999403953552, 0.16666515171527863, 0.04166807979345322, 0.00836937315762043, 0.0013841429026797414,
];
const EXP_64 = [
  0.5000000000000011, 0.1666666666666643, 0.04166666666652566, 0.008333333333478923, 0.0013888888944871658,
  0.00019841269549159292, 2.4801491915365845e-5, 2.755754583101177e-6, 2.7630606198835433e-7, 2.501228671923525e-8,
];
/** (2^r - 1) / r for |r| <= 1/2. */
const EXP2_32 = [
  0.6931471824645996, 0.24022594094276428, 0.055503662675619125, 0.009625445120036602, 0.0013387927319854498,
  0.0001333269610768184,
];
const EXP2_32_SHORT = [
  0.6931470036506653, 0.2402222454547882, 0.05550650879740715, 0.009672614745795727, 0.0013302784645929933,
];

/** p·2^n, where the low bits of `rounded` hold n + 2·bias (+ `shift` by which the result is scaled as well). */
function scale(b: KernelBuilder, p: Value, rounded: Value, shift: number): Value {
  const double = p.type.scalar === 'f64';
  const raw = b.bitcast(rounded, double ? 'i64' : 'i32');
  const n = shift === 0 ? raw : b.add(raw, double ? BigInt(shift) : shift);
  const half = b.shr(n, double ? 1n : 1);
  const mantissaBits = double ? 52n : 23;
  const first = fromBits(b, b.shl(half, mantissaBits), p);
  const second = fromBits(b, b.shl(b.sub(n, half), mantissaBits), p);
  return b.mul(b.mul(p, first), second);
}

/** e^x · 2^shift. */
export function scaledExp(b: KernelBuilder, x: Value, shift: number): Value {
  const double = isDouble(x, 'exp');
  const magic = double ? ROUND_64 + 2046 : ROUND_32 + 254;
  // What vanishes (masked attention scores are -Infinity) is computed as e^0: a product that underflows costs a hundred times another.
  const vanishes = b.lt(x, double ? -746 : -104);
  const bounded = b.select(vanishes, 0, b.min(double ? 711 : 90, x));
  const rounded = b.mulAdd(bounded, LOG2E, magic);
  const n = b.sub(rounded, magic);
  const r = b.mulAdd(n, double ? -LN2_LOW_64 : -LN2_LOW_32, b.mulAdd(n, double ? -LN2_HIGH_64 : -LN2_HIGH_32, bounded));
  const p = b.add(b.mulAdd(b.mul(r, r), polynomial(b, r, double ? EXP_64 : EXP_32), r), 1);
  return b.select(vanishes, 0, scale(b, p, rounded, shift));
}

/** e^x. At most 1 ulp, subnormal results included. */
export const exp = (b: KernelBuilder, x: Value): Value => scaledExp(b, x, 0);

/** e^(high + low), f64, for |low| < 2^-10: within 0.7 ulp, so that results that are f64 come out exactly. */
export function expOfSum(b: KernelBuilder, high: Value, low: Value): Value {
  const magic = ROUND_64 + 2046;
  const vanishes = b.lt(high, -746);
  const bounded = b.select(vanishes, 0, b.min(711, high));
  const rounded = b.mulAdd(bounded, LOG2E, magic);
  const n = b.sub(rounded, magic);
  const main = b.mulAdd(n, -LN2_HIGH_64, bounded);
  const rest = b.mulAdd(n, -LN2_LOW_64, low);
  // 1 + r and what its rounding and that of r lost are summed up last.
  const r = b.add(main, rest);
  const lost = b.add(b.sub(main, r), rest);
  const tail = b.mulAdd(b.mul(r, r), polynomial(b, r, EXP_64), lost);
  const one = b.add(r, 1);
  const p = b.add(one, b.add(b.sub(r, b.sub(one, 1)), tail));
  return b.select(vanishes, 0, scale(b, p, rounded, 0));
}

/** 2^x. At most 1 ulp, subnormal results included. */
export function exp2(b: KernelBuilder, x: Value): Value {
  const double = isDouble(x, 'exp2');
  const magic = double ? ROUND_64 + 2046 : ROUND_32 + 254;
  const bounded = b.max(double ? -1076 : -151, b.min(double ? 1025 : 129, x));
  const rounded = b.add(bounded, magic);
  const fraction = b.sub(bounded, b.sub(rounded, magic));
  if (!double) return scale(b, b.mulAdd(fraction, polynomial(b, fraction, EXP2_32), 1), rounded, 0);
  const r = b.mul(fraction, Math.LN2);
  return scale(b, b.add(b.mulAdd(b.mul(r, r), polynomial(b, r, EXP_64), r), 1), rounded, 0);
}

/** e^x - 1. At most 2 ulp. */
export function expm1(b: KernelBuilder, x: Value): Value {
  const double = isDouble(x, 'expm1');
  const magic = double ? ROUND_64 + 1022 : ROUND_32 + 126;
  const bounded = b.max(double ? -60 : -30, b.min(double ? 710 : 89, x));
  const rounded = b.mulAdd(bounded, LOG2E, magic);
  const n = b.sub(rounded, magic);
  const r = b.mulAdd(n, double ? -LN2_LOW_64 : -LN2_LOW_32, b.mulAdd(n, double ? -LN2_HIGH_64 : -LN2_HIGH_32, bounded));
  const p = b.mulAdd(b.mul(r, r), polynomial(b, r, double ? EXP_64 : EXP_32), r);
  // 2^(n-1), so that n = 128 (1024) is still a number.
  const half = fromBits(b, b.shl(bits(b, rounded), double ? 52n : 23), x);
  const result = b.mul(b.mulAdd(p, half, b.sub(half, 0.5)), 2);
  return b.select(b.eq(x, 0), x, result);
}

/** 1 / (1 + e^-x). At most 3 ulp; results under 2^-126 (f32) and 2^-1022 (f64) are 0. */
export const sigmoid = (b: KernelBuilder, x: Value): Value => b.div(b.constant(1, x.type), b.add(exp(b, b.neg(x)), 1));

/** e^x of 0 <= x <= 64 to 2^-20, f32: for sums in which it is small. */
export function roughExp(b: KernelBuilder, x: Value): Value {
  const magic = ROUND_32 + 127;
  const rounded = b.mulAdd(x, LOG2E, magic);
  const r = b.mulAdd(b.sub(rounded, magic), -Math.LN2, x);
  const p = b.add(b.mulAdd(b.mul(r, r), polynomial(b, r, EXP_32), r), 1);
  return b.mul(p, b.bitcast(b.shl(b.bitcast(rounded, 'i32'), 23), 'f32'));
}

/** 2^x of -126 <= x <= 127 to 2^-22, f32: for sums in which it is small. */
export function roughExp2(b: KernelBuilder, x: Value): Value {
  const magic = ROUND_32 + 127;
  const rounded = b.add(x, magic);
  const fraction = b.sub(x, b.sub(rounded, magic));
  const p = b.mulAdd(fraction, polynomial(b, fraction, EXP2_32_SHORT), 1);
  return b.mul(p, b.bitcast(b.shl(b.bitcast(rounded, 'i32'), 23), 'f32'));
}
