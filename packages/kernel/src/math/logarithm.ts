/**
 * Logarithms. x = 2^e·(1 + f) with 1 + f near 1, so that log x = e·ln2 + log(1 + f). In f32 log(1 + f) is f - f²/2 + f³·Q(f); in f64 it is
 * the odd series in s = f/(2 + f) that fdlibm (Sun Microsystems, 1993) uses, with minimax coefficients of our own.
 */
import type { KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import { bits, fromBits, inDouble, isDouble, polynomial } from './support.ts';

// ln 2 in two parts: e·HIGH is exact.
const LN2_HIGH_32 = 0.693145751953125;
const LN2_LOW_32 = 1.428606765330187e-6;
const LN2_HIGH_64 = 0.6931471803691238;
const LN2_LOW_64 = 1.9082149292705877e-10;
/** Bits of 2/3: 1 + f lies in [2/3, 4/3). */
const LEAST_32 = 0x3f2aaaab;
/** Bits of sqrt(1/2): 1 + f lies in [0.707, 1.414). */
const LEAST_64 = 0x3fe6a09e667f3bcdn;
const ONE_64 = 0x3ff0000000000000n;
const MANTISSA_64 = 0xfffffffffffffn;
/** 1.5·2^52: its bits plus an integer are the bits of it plus that integer. */
const MAGIC_64 = 6755399441055744;
const MAGIC_BITS_64 = 0x4338000000000000n;
/** (log(1 + f) - f + f²/2) / f³, relative error of log(1 + f) 2^-27. */
const LOG_32 = [
  0.3333321511745453, -0.24999801814556122, 0.20010457932949066, -0.16680270433425903, 0.14004956185817719,
  -0.12187642604112625, 0.13989196717739105, -0.1287536919116974,
];
/** (log((1 + s) / (1 - s)) - 2s) / s³ in s². */
const LOG_64 = [
  0.6666666666666734, 0.3999999999941654, 0.2857142874206506, 0.22222198600128834, 0.1818356315591124,
  0.15314075976342412, 0.1479573159266868,
];

interface Parts {
  /** The exponent. */
  readonly e: Value;
  /** The fraction: x = 2^e·(1 + f). */
  readonly f: Value;
  /** 2^-e. */
  readonly inverse: Value;
}

/** Exponent and fraction of x > 0; subnormals are scaled first. */
function split(b: KernelBuilder, x: Value): Parts {
  const double = x.type.scalar === 'f64';
  const tiny = b.lt(x, double ? 2 ** -1022 : 2 ** -126);
  const scaled = bits(b, b.select(tiny, b.mul(x, double ? 2 ** 54 : 2 ** 23), x));
  if (double) {
    const shifted = b.add(scaled, ONE_64 - LEAST_64);
    const biased = fromBits(b, b.add(b.shr(shifted, 52n), MAGIC_BITS_64), x);
    const e = b.sub(
      biased,
      b.select(tiny, b.constant(MAGIC_64 + 1023 + 54, x.type), b.constant(MAGIC_64 + 1023, x.type)),
    );
    const f = b.sub(fromBits(b, b.add(b.and(shifted, MANTISSA_64), LEAST_64), x), 1);
    const inverse = fromBits(b, b.shl(b.sub(2046n, b.shr(shifted, 52n)), 52n), x);
    return { e, f, inverse };
  }
  const exponent = b.and(b.sub(scaled, LEAST_32), -0x800000);
  const f = b.sub(fromBits(b, b.sub(scaled, exponent), x), 1);
  const unscaled = b.sub(exponent, b.select(tiny, b.constant(23 << 23, exponent.type), b.constant(0, exponent.type)));
  const inverse = fromBits(b, b.sub(127 << 23, exponent), x);
  return { e: b.mul(b.cast(unscaled, 'f32'), 2 ** -23), f, inverse };
}

/** e·ln2 + log(1 + f). */
function combine(b: KernelBuilder, e: Value, f: Value): Value {
  const square = b.mul(f, f);
  if (f.type.scalar === 'f32') {
    const rest = b.mulAdd(square, b.mulAdd(f, polynomial(b, f, LOG_32), -0.5), b.mul(e, LN2_LOW_32));
    return b.mulAdd(e, LN2_HIGH_32, b.add(f, rest));
  }
  const half = b.mul(square, 0.5);
  const s = b.div(f, b.add(f, 2));
  const z = b.mul(s, s);
  const tail = b.mul(s, b.mulAdd(z, polynomial(b, z, LOG_64), half));
  return b.mulAdd(e, LN2_HIGH_64, b.sub(f, b.sub(half, b.mulAdd(e, LN2_LOW_64, tail))));
}

/** `result` for x > 0, and the values at 0, infinity, NaN and below 0. */
function special(b: KernelBuilder, x: Value, result: Value): Value {
  const atLimit = b.select(b.eq(x, 0), b.constant(-Infinity, x.type), b.constant(NaN, x.type));
  return b.select(b.eq(x, Infinity), x, b.select(b.gt(x, 0), result, atLimit));
}

/** Natural logarithm. At most 1 ulp. -inf at 0, NaN below. */
export function log(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'log');
  const { e, f } = split(b, x);
  return special(b, x, combine(b, e, f));
}

/** log(1 + x). At most 2 ulp. -inf at -1, NaN below. */
export function log1p(b: KernelBuilder, x: Value): Value {
  const double = isDouble(x, 'log1p');
  const { e, f, inverse } = split(b, b.add(x, 1));
  const exact = b.mulAdd(x, inverse, b.sub(inverse, 1));
  const large = b.gt(x, double ? 2 ** 60 : 2 ** 30);
  const result = combine(b, e, b.select(large, f, exact));
  const atLimit = b.select(b.eq(x, -1), b.constant(-Infinity, x.type), b.constant(NaN, x.type));
  return b.select(b.or(b.eq(x, Infinity), b.eq(x, 0)), x, b.select(b.gt(x, -1), result, atLimit));
}

/** `x` in f64 with the lower half of its mantissa cleared. */
const upperHalf = (b: KernelBuilder, x: Value): Value => fromBits(b, b.and(bits(b, x), -0x100000000n), x);

/** log(1 + f) in f64 as an upper part of 21 bits and a rest. */
function logParts(b: KernelBuilder, f: Value): { readonly high: Value; readonly low: Value } {
  const half = b.mul(b.mul(f, f), 0.5);
  const s = b.div(f, b.add(f, 2));
  const z = b.mul(s, s);
  const tail = b.mul(s, b.mulAdd(z, polynomial(b, z, LOG_64), half));
  const high = upperHalf(b, b.sub(f, half));
  return { high, low: b.add(b.sub(b.sub(f, high), half), tail) };
}

// log2(e), log10(e) and log10(2): a few leading bits, and the rest.
const LOG2E_HIGH_64 = 1.4426950407214463;
const LOG2E_LOW_64 = 1.6751713164886512e-10;
const LOG10E_HIGH_64 = 0.4342944818781689;
const LOG10E_LOW_64 = 2.5082946711645275e-11;
const LOG10OF2_HIGH_64 = 0.30102999566361177;
const LOG10OF2_LOW_64 = 3.694239077158931e-13;
const LOG2E_HIGH_32 = 1.4375;
const LOG2E_LOW_32 = 0.00519504088896338;

/** Base-2 logarithm. At most 2 ulp; exact at powers of two. */
export function log2(b: KernelBuilder, x: Value): Value {
  const double = isDouble(x, 'log2');
  const { e, f } = split(b, x);
  if (!double) {
    const rest = b.mul(b.mul(f, f), b.mulAdd(f, polynomial(b, f, LOG_32), -0.5));
    const small = b.mulAdd(f, LOG2E_LOW_32, b.mul(rest, LOG2E_HIGH_32 + LOG2E_LOW_32));
    return special(b, x, b.add(e, b.mulAdd(f, LOG2E_HIGH_32, small)));
  }
  const { high, low } = logParts(b, f);
  const main = b.mul(high, LOG2E_HIGH_64);
  const rest = b.mulAdd(b.add(low, high), LOG2E_LOW_64, b.mul(low, LOG2E_HIGH_64));
  const sum = b.add(e, main);
  return special(b, x, b.add(sum, b.add(rest, b.add(b.sub(e, sum), main))));
}

/** Base-10 logarithm. At most 2 ulp in f64, 1 in f32 (through f64). */
export function log10(b: KernelBuilder, x: Value): Value {
  isDouble(x, 'log10');
  return inDouble(b, [x], (y) => {
    const { e, f } = split(b, y);
    const { high, low } = logParts(b, f);
    const main = b.mul(high, LOG10E_HIGH_64);
    const exponent = b.mul(e, LOG10OF2_HIGH_64);
    const rest = b.mulAdd(e, LOG10OF2_LOW_64, b.mulAdd(b.add(low, high), LOG10E_LOW_64, b.mul(low, LOG10E_HIGH_64)));
    const sum = b.add(exponent, main);
    return special(b, y, b.add(sum, b.add(rest, b.add(b.sub(exponent, sum), main))));
  });
}

/** x·log y, 0 where x is 0 (NaN where y is NaN). */
export function xlogy(b: KernelBuilder, x: Value, y: Value): Value {
  const product = b.mul(x, log(b, y));
  return b.select(b.and(b.eq(x, 0), b.eq(y, y)), b.constant(0, product.type), product);
}

/** x·log(1 + y), 0 where x is 0 (NaN where y is NaN). */
export function xlog1p(b: KernelBuilder, x: Value, y: Value): Value {
  const product = b.mul(x, log1p(b, y));
  return b.select(b.and(b.eq(x, 0), b.eq(y, y)), b.constant(0, product.type), product);
}

/** -x·log x; 0 at 0, -inf below. */
export function entr(b: KernelBuilder, x: Value): Value {
  const product = b.neg(b.mul(x, log(b, x)));
  const atLimit = b.select(b.lt(x, 0), b.constant(-Infinity, x.type), product);
  return b.select(b.eq(x, 0), b.constant(0, x.type), atLimit);
}
