/** What the function files share: float checks, polynomials, sign bits, exponents. */
import { ProjError } from '../errors.ts';
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';

/** A function of one float value, of any lanes. */
export type UnaryFunction = (b: KernelBuilder, x: Value) => Value;
/** A function of two float values of one type. */
export type BinaryFunction = (b: KernelBuilder, x: Value, y: Value) => Value;

/** Whether `x` is f64 (true) or f32 (false); throws for other types, naming the function. */
export function isDouble(x: Value, name: string): boolean {
  const { scalar } = x.type;
  if (scalar !== 'f32' && scalar !== 'f64')
    throw new ProjError('dtype', `a value of ${scalar}`, { op: name, cure: 'Cast it to f32 or f64 first' });
  return scalar === 'f64';
}

/** c0 + c1·x + c2·x² …, by Horner's rule. */
export function polynomial(b: KernelBuilder, x: Value, coefficients: readonly number[]): Value {
  let sum: Value = b.constant(coefficients[coefficients.length - 1], x.type);
  for (let i = coefficients.length - 2; i >= 0; i--) sum = b.mulAdd(sum, x, coefficients[i]);
  return sum;
}

/** Chebyshev series c0/2 + c1·T1(t) + c2·T2(t) …, by Clenshaw's recurrence. */
export function chebyshev(b: KernelBuilder, t: Value, coefficients: readonly number[]): Value {
  const twice = b.add(t, t);
  let last: Value = b.constant(0, t.type);
  let beforeLast: Value = last;
  for (let i = coefficients.length - 1; i > 0; i--) {
    const next = b.add(b.sub(b.mul(twice, last), beforeLast), coefficients[i]);
    beforeLast = last;
    last = next;
  }
  return b.add(b.sub(b.mul(t, last), beforeLast), coefficients[0] / 2);
}

/** Evaluates `f` in f64 and rounds to the type of `x`: for functions whose speed in f32 does not matter. */
export function inDouble(b: KernelBuilder, args: readonly Value[], f: (...args: Value[]) => Value): Value {
  const { scalar } = args[0].type;
  return scalar === 'f64' ? f(...args) : b.cast(f(...args.map((arg) => b.cast(arg, 'f64'))), scalar);
}

/** The bits as signed integers of the same width. */
export const bits = (b: KernelBuilder, x: Value): Value => b.bitcast(x, x.type.scalar === 'f64' ? 'i64' : 'i32');
/** The float of the type of `like` with these bits. */
export const fromBits = (b: KernelBuilder, x: Value, like: Value): Value => b.bitcast(x, like.type.scalar);

const SIGN_32 = -0x80000000;
const SIGN_64 = -(2n ** 63n);
/** The sign bit of `x`, as an integer. */
export const signBit = (b: KernelBuilder, x: Value): Value =>
  b.and(bits(b, x), x.type.scalar === 'f64' ? SIGN_64 : SIGN_32);
/** `x` with its sign flipped where the integer `sign` has the sign bit. */
export const flipSign = (b: KernelBuilder, x: Value, sign: Value): Value => fromBits(b, b.xor(bits(b, x), sign), x);
/** `magnitude`, which is not negative, with the sign of `sign`. */
export const copySign = (b: KernelBuilder, magnitude: Value, sign: Value): Value =>
  fromBits(b, b.or(bits(b, magnitude), signBit(b, sign)), magnitude);

/** Lanes that are NaN. */
export const isNaNValue = (b: KernelBuilder, x: Value): Value => b.ne(x, x);
