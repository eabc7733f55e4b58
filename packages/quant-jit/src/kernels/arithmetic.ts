/**
 * `../arithmetic.ts` in the kernel language: the same operations in the same order, none of them a multiply-add where the product is not exact, so that all devices
 * have the same bits.
 */
import type { KernelBuilder, Value } from '@proj/kernel';
import { EXP, GELU, LEFT_OUT, SMALLEST_PEAK, TANH, TURN } from '../arithmetic.ts';

/** Partial sums, each in lanes, to one: the first half plus the second, until one is left. */
export function joinParts(b: KernelBuilder, parts: readonly Value[]): Value {
  let current = parts;
  while (current.length > 1) {
    const half = current.length / 2;
    const upper = current.slice(half);
    current = current.slice(0, half).map((v, i) => b.add(v, upper[i]));
  }
  return current[0];
}

/** As {@link joinParts}, and then over the lanes. */
export const joinLanes = (b: KernelBuilder, parts: readonly Value[]): Value =>
  b.horizontal('reduceAdd', joinParts(b, parts));

/** x rounded to 17 significant bits. */
export const shortened = (b: KernelBuilder, x: Value): Value =>
  b.bitcast(b.and(b.add(b.bitcast(x, 'i32'), 1 << (LEFT_OUT - 1)), -(1 << LEFT_OUT)), 'f32');

/** 127 / absmax, or 0 where that is next to nothing. */
export const codesPerUnit = (b: KernelBuilder, absmax: Value): Value =>
  b.select(b.lt(absmax, SMALLEST_PEAK), b.constant(0, 'f32'), b.div(b.constant(127, 'f32'), absmax));

/** A polynomial, from the highest power down. */
function series(b: KernelBuilder, x: Value, coefficients: readonly number[]): Value {
  const [highest, ...others] = coefficients;
  return others.reduce((sum, each) => b.add(b.mul(sum, x), each), b.constant(highest, x.type));
}

/** e^x, 0 below −87. */
export function exp(b: KernelBuilder, x: Value): Value {
  const bounded = b.min(EXP.highest, b.max(EXP.lowest, x));
  const rounded = b.add(b.mul(bounded, EXP.log2e), EXP.round);
  const n = b.sub(rounded, EXP.round);
  const r = b.sub(b.sub(bounded, b.mul(n, EXP.high)), b.mul(n, EXP.low));
  const p = b.add(b.add(b.mul(b.mul(r, r), series(b, r, EXP.series)), r), 1);
  const power = b.bitcast(b.shl(b.add(b.bitcast(rounded, 'i32'), 127), 23), 'f32');
  return b.select(b.lt(x, EXP.lowest), b.constant(0, x.type), b.mul(p, power));
}

/** tanh x. */
export function tanh(b: KernelBuilder, x: Value): Value {
  const magnitude = b.abs(x);
  const z = b.mul(x, x);
  const small = b.add(b.mul(b.mul(z, x), series(b, z, TANH.series)), x);
  const large = b.sub(1, b.div(b.constant(2, x.type), b.add(exp(b, b.mul(magnitude, 2)), 1)));
  const signed = b.select(b.lt(x, 0), b.neg(large), large);
  return b.select(b.lt(magnitude, TANH.small), small, signed);
}

/** GELU by tanh, as in Gemma. */
export const gelu = (b: KernelBuilder, x: Value): Value =>
  b.div(x, b.add(exp(b, b.mul(x, b.add(b.mul(b.mul(x, x), GELU.cubic), GELU.linear))), 1));

/** Sine and cosine of angles of 0 to 2^20. */
export function sineAndCosine(b: KernelBuilder, angle: Value): { readonly sin: Value; readonly cos: Value } {
  const x = b.cast(angle, 'f64');
  const n = b.floor(b.add(b.mul(x, 2 / Math.PI), 0.5));
  const r = b.sub(b.sub(x, b.mul(n, TURN.high)), b.mul(n, TURN.low));
  const z = b.mul(r, r);
  const sin = b.add(b.mul(b.mul(series(b, z, TURN.sin), z), r), r);
  const cos = b.add(b.mul(series(b, z, TURN.cos), z), 1);
  const quarter = b.sub(n, b.mul(b.floor(b.mul(n, 0.25)), 4));
  const odd = b.or(b.eq(quarter, 1), b.eq(quarter, 3));
  const negative = (value: Value, where: Value): Value => b.cast(b.select(where, b.neg(value), value), 'f32');
  return {
    sin: negative(b.select(odd, cos, sin), b.ge(quarter, 2)),
    cos: negative(b.select(odd, sin, cos), b.or(b.eq(quarter, 1), b.eq(quarter, 2))),
  };
}
