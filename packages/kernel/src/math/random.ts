/** Counter-based random numbers: Philox-4x32-10 (Salmon, Moraes, Dror and Shaw, 2011). The same counter and key give the same numbers on every target. */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { log } from './logarithm.ts';
import { sinCosTurns } from './trigonometric.ts';

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
const KEY_STEPS = [0x9e3779b9, 0xbb67ae85] as const;
const ROUNDS = 10;

/** Upper 32 bits of `x` times a constant, from four products of 16-bit halves. */
function multiplyHigh(b: KernelBuilder, x: Value, constant: number): Value {
  const low = constant & 0xffff;
  const high = constant >>> 16;
  const xLow = b.and(x, 0xffff);
  const xHigh = b.shr(x, 16);
  const cross = b.mul(xHigh, low);
  const middle = b.add(b.add(b.shr(b.mul(xLow, low), 16), b.and(cross, 0xffff)), b.mul(xLow, high));
  return b.add(b.add(b.mul(xHigh, high), b.shr(cross, 16)), b.shr(middle, 16));
}

/** Four u32 values from a counter and a key of four and two u32 values each; `counter` words may be shorter in lanes than others. */
export function philox4x32(
  b: KernelBuilder,
  counter: readonly [Value, Value, Value, Value],
  key: readonly [Value, Value],
): [Value, Value, Value, Value] {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) {
      k0 = b.add(k0, KEY_STEPS[0]);
      k1 = b.add(k1, KEY_STEPS[1]);
    }
    const high0 = multiplyHigh(b, x0, MULTIPLIERS[0]);
    const high1 = multiplyHigh(b, x2, MULTIPLIERS[1]);
    const low0 = b.mul(x0, MULTIPLIERS[0]);
    const low1 = b.mul(x2, MULTIPLIERS[1]);
    [x0, x1, x2, x3] = [b.xor(b.xor(high1, x1), k0), low1, b.xor(b.xor(high0, x3), k1), low0];
  }
  return [x0, x1, x2, x3];
}

/** Four u32 values for the 64-bit counter (counterLo, counterHi) and the 64-bit key (keyLo, keyHi). */
export function philox(
  b: KernelBuilder,
  counterLo: Value,
  counterHi: Value,
  keyLo: Value,
  keyHi: Value,
): [Value, Value, Value, Value] {
  const zero = b.constant(0, 'u32');
  return philox4x32(b, [counterLo, counterHi, zero, zero], [keyLo, keyHi]);
}

/** f32 in [0, 1): the upper 24 bits of `x`, evenly spaced. */
export const uniform = (b: KernelBuilder, x: Value): Value =>
  b.mul(b.cast(b.bitcast(b.shr(x, 8), 'i32'), 'f32'), 2 ** -24);

/** f64 in [0, 1) of 53 bits from two u32 values. */
export function uniformDouble(b: KernelBuilder, x: Value, y: Value): Value {
  const high = b.cast(b.bitcast(b.shr(x, 5), 'i32'), 'f64');
  const low = b.cast(b.bitcast(b.shr(y, 6), 'i32'), 'f64');
  return b.mul(b.mulAdd(high, 2 ** 26, low), 2 ** -53);
}

/** Two independent standard normal f32 values from two u32 values (Box and Muller, 1958); |value| < 5.9. */
export function normal(b: KernelBuilder, x: Value, y: Value): [Value, Value] {
  const radius = b.sqrt(b.mul(log(b, b.sub(1, uniform(b, x))), -2));
  const { sin, cos } = sinCosTurns(b, uniform(b, y));
  return [b.mul(radius, cos), b.mul(radius, sin)];
}
