/**
 * What is left of a large f64 angle after whole quarters of a turn, whatever its size (Payne and Hanek, 1983). An angle is X·2^e with X of 53
 * bits, so all but some 180 bits of 1/(2π) are too high to matter (they make whole turns) or too low. A table has, for every e, the first
 * digit of 26 bits that matters; the next ones stand 26 places further on. Digits are signed, so that products with the halves of X, and sums
 * of those that have one weight, are exact in f64: all targets find the same bits, fused or not.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Memory, Value } from '../ir/ir.ts';
import { bits, fromBits } from './support.ts';

/** The first 1,280 bits of 1/(2π). */
const INVERSE_TURN = BigInt(
  '0x28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b801924bba827464873f877ac72c4a69cf' +
    'ba208d7d4baed1213a671c09ad17df904e64758e60d4ce7d272117e2ef7e4a0ec7fe25fff7816603fbcbc462d6829b47db4d9fb3c9f2c26dd3' +
    'd18fd9a797fa8b5d49eeb1faf97c5ecf41ce7de294a4ba9afed7ec47e357421580cc11bf1edaeafc33ef0826bd0d87',
);
const KNOWN_BITS = 1280;
const DIGIT_BITS = 26;
const DIGIT = 2 ** DIGIT_BITS;
/** Digits of a product: what they leave out is less than 2^-130 of a turn, and no f64 is nearer to a quarter than 2^-63. */
const DIGITS = 6;
/** The exponent fields of the least angle, 2^22, and of infinity, which gives numbers that nobody uses. */
const FIRST_FIELD = 1023 + 22;
const LAST_FIELD = 2047;
/** X is the mantissa times 2^52. */
const FIRST_EXPONENT = FIRST_FIELD - 1023 - 52;

/** round(2^places / (2π)), halves up. */
const roundedInverse = (places: number): bigint => ((INVERSE_TURN >> BigInt(KNOWN_BITS - places - 1)) + 1n) >> 1n;

/** For each place from `FIRST_EXPONENT` on: the signed digit of 1/(2π) whose lowest bit has the value 2^-(place + 26). */
function digitTable(): Uint8Array {
  const length = LAST_FIELD - FIRST_FIELD + 1 + DIGIT_BITS * DIGITS;
  const digits = Int32Array.from({ length }, (_, i) => {
    const place = FIRST_EXPONENT + i;
    return Number(roundedInverse(place + DIGIT_BITS) - (roundedInverse(place) << BigInt(DIGIT_BITS)));
  });
  return new Uint8Array(digits.buffer);
}

const contents = { bytes: null as Uint8Array | null };
const tables = new WeakMap<KernelBuilder, Memory>();

function tableOf(b: KernelBuilder): Memory {
  let table = tables.get(b);
  if (table === undefined) tables.set(b, (table = b.table('turnDigits', 'i32', (contents.bytes ??= digitTable()))));
  return table;
}

/** π/2 as a number of 26 bits and the rest. */
const HALF_PI_HIGH = 1.5707963109016418;
const HALF_PI_REST = 1.5893254773528196e-8;

export interface LargeAngle {
  /** Quarters of a turn, some whole number of turns left out. */
  readonly quarters: Value;
  /** The angle that is left, in [-π/4, π/4], and what its rounding lost. */
  readonly angle: Value;
  readonly low: Value;
}

/** `magnitude` (f64) less whole quarters, for 2^22 <= magnitude < ∞; any numbers elsewhere. */
export function reduceLargeAngle(b: KernelBuilder, magnitude: Value): LargeAngle {
  const field = b.cast(b.shr(bits(b, magnitude), 52n), 'index');
  const place = b.max(b.sub(field, FIRST_FIELD), 0);
  const inverse = Array.from({ length: DIGITS + 1 }, (_, i) =>
    b.cast(b.gather(tableOf(b), b.add(place, DIGIT_BITS * i)), 'f64'),
  );
  const mantissa = fromBits(b, b.or(b.and(bits(b, magnitude), 0xfffffffffffffn), 0x3ff0000000000000n), magnitude);
  const upper = b.sub(b.add(mantissa, 1.5 * DIGIT), 1.5 * DIGIT);
  const high = b.mul(upper, DIGIT);
  const low = b.mul(b.sub(mantissa, upper), DIGIT * DIGIT);
  const digits = Array.from({ length: DIGITS }, (_, i) => b.add(b.mul(high, inverse[i + 1]), b.mul(low, inverse[i])));
  for (let i = DIGITS - 1; i > 0; i--) {
    const carry = b.round(b.mul(digits[i], 1 / DIGIT));
    digits[i] = b.sub(digits[i], b.mul(carry, DIGIT));
    digits[i - 1] = b.add(digits[i - 1], carry);
  }
  const quarters = b.round(b.mul(digits[0], 4 / DIGIT));
  digits[0] = b.sub(digits[0], b.mul(quarters, DIGIT / 4));
  // Two digits fill an f64. Their sum is in the order of size: the first pair is 0 or larger than the others.
  const [first, second, third] = [0, 2, 4].map((i) =>
    b.add(b.mul(digits[i], 4 * DIGIT ** -(i + 1)), b.mul(digits[i + 1], 4 * DIGIT ** -(i + 2))),
  );
  const sum = b.add(first, second);
  const rest = b.add(b.sub(second, b.sub(sum, first)), third);
  const head = fromBits(b, b.and(bits(b, sum), -0x8000000n), sum);
  const main = b.mul(head, HALF_PI_HIGH);
  const tail = b.add(b.mul(head, HALF_PI_REST), b.mul(b.add(b.sub(sum, head), rest), Math.PI / 2));
  const angle = b.add(main, tail);
  return { quarters, angle, low: b.sub(tail, b.sub(angle, main)) };
}
