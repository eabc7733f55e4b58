/**
 * Half conversions in terms of 32-bit integer operations and one f32 operation each, for targets without casts of their own: the bits that
 * `dtypes/half.ts` gives, in the language. Rounding is to nearest even; infinities, signed zeros, subnormals and NaN are kept.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';

const SIGN = 0x80000000;
const INFINITY = 0x7f800000;
/** f32 bits of 2^-14, the least normal f16, and of 65520, the least number that rounds to infinity. */
const LEAST_NORMAL = 0x38800000;
const OVERFLOW = 0x477ff000;

/** f32 of a value of f16 or bf16. */
export function loadAsFloat(b: KernelBuilder, x: Value): Value {
  const raw = b.cast(b.bitcast(x, 'u16'), 'u32');
  if (x.type.scalar === 'bf16') return b.bitcast(b.shl(raw, 16), 'f32');
  const magnitude = b.shl(b.and(raw, 0x7fff), 13);
  // 2^112 moves the exponent from f16's bias to f32's, and normalises subnormals.
  const finite = b.bitcast(b.mul(b.bitcast(magnitude, 'f32'), 2 ** 112), 'u32');
  const special = b.or(magnitude, INFINITY);
  const absolute = b.select(b.ge(magnitude, 0x1f << 23), special, finite);
  return b.bitcast(b.or(absolute, b.shl(b.and(raw, 0x8000), 16)), 'f32');
}

/** The f16 or bf16 nearest to a value of f32. */
export function castStorage(b: KernelBuilder, x: Value, to: 'f16' | 'bf16'): Value {
  const raw = b.bitcast(x, 'u32');
  const upper = b.shr(raw, 16);
  const magnitude = b.and(raw, SIGN - 1);
  const isNaN = b.gt(magnitude, INFINITY);
  if (to === 'bf16') {
    const rounded = b.shr(b.add(b.add(raw, 0x7fff), b.and(upper, 1)), 16);
    return b.bitcast(b.cast(b.select(isNaN, b.or(upper, 0x40), rounded), 'u16'), 'bf16');
  }
  const normal = b.shr(
    b.add(b.sub(b.add(magnitude, 0xfff), LEAST_NORMAL - 0x800000), b.and(b.shr(magnitude, 13), 1)),
    13,
  );
  // Adding 1/2 shifts a subnormal's bits to the end of the mantissa, and the addition rounds it.
  const subnormal = b.sub(b.bitcast(b.add(b.bitcast(magnitude, 'f32'), 0.5), 'u32'), 0x3f000000);
  const finite = b.select(b.lt(magnitude, LEAST_NORMAL), subnormal, normal);
  const quiet = b.or(b.and(b.shr(magnitude, 13), 0x3ff), 0x7e00);
  const absolute = b.select(isNaN, quiet, b.select(b.ge(magnitude, OVERFLOW), b.constant(0x7c00, raw.type), finite));
  return b.bitcast(b.cast(b.or(absolute, b.and(upper, 0x8000)), 'u16'), to);
}
