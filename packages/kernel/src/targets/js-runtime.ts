/** What generated JavaScript calls for operations that the language has no operator for. */
import { bfloatBitsToFloat, floatToBfloatBits, floatToHalfBits, halfBitsToFloat } from '../dtypes/half.ts';
import { bigintToF32, popcount32, roundHalfEven } from '../ir/arithmetic.ts';

const f64 = new Float64Array(1);
const f32 = new Float32Array(f64.buffer);
const u32 = new Uint32Array(f64.buffer);
const i64 = new BigInt64Array(f64.buffer);

const popcount64 = (x: bigint): bigint =>
  BigInt(popcount32(Number(BigInt.asIntN(32, x))) + popcount32(Number(BigInt.asIntN(32, x >> 32n))));

/** Float to an integer of at most 32 bits: truncates, saturates, NaN gives 0. */
const saturate = (x: number, low: number, high: number): number =>
  x >= high ? high : x <= low ? low : x !== x ? 0 : Math.trunc(x) + 0;

function saturate64(x: number): bigint {
  if (x !== x) return 0n;
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  if (x <= -(2 ** 63)) return -(2n ** 63n);
  return BigInt(Math.trunc(x));
}

/** The bytes of hexadecimal text. */
function bytesOf(text: string): ArrayBuffer {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes.buffer;
}

const small = (a: number): boolean => (a | 0) === a;
const onIndex =
  (op: (a: bigint, b: bigint) => bigint, fast: (a: number, b: number) => number) =>
  (a: number, b: number): number =>
    small(a) && small(b) ? fast(a, b) : Number(BigInt.asIntN(64, op(BigInt(a), BigInt(b))));

/** Exact a·b + c in f64, rounded once (Dekker's product and Knuth's sum, the tail rounded to odd: Boldo and Melquiond 2008). */
function fma64(a: number, b: number, c: number): number {
  const product = a * b;
  if (
    !Number.isFinite(product) ||
    !Number.isFinite(c) ||
    product === 0 ||
    Math.abs(product) > 2 ** 970 ||
    Math.abs(product) < 2 ** -900 ||
    Math.abs(a) > 2 ** 990 ||
    Math.abs(b) > 2 ** 990
  )
    return product + c;
  const split = 134217729;
  const aHigh = a * split - (a * split - a);
  const bHigh = b * split - (b * split - b);
  const aLow = a - aHigh;
  const bLow = b - bHigh;
  const productLow = aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
  const [low, lowError] = twoSum(c, productLow);
  const [high, highError] = twoSum(product, low);
  const [tail, tailError] = twoSum(highError, lowError);
  if (tailError !== 0) {
    f64[0] = tail;
    if ((u32[0] & 1) === 0) i64[0] += tail > 0 === tailError > 0 ? 1n : -1n;
    return high + f64[0];
  }
  return high + tail;
}

function twoSum(a: number, b: number): [number, number] {
  const sum = a + b;
  const part = sum - a;
  return [sum, a - (sum - part) + (b - part)];
}

/** Helpers by the name that generated code uses. */
export const JS_RUNTIME = {
  bytesOf,
  roundHalfEven,
  popcount32,
  popcount64,
  saturate,
  saturate64,
  bigintToF32,
  fma64,
  f32ToBits: (x: number): number => ((f32[0] = x), u32[0]),
  bitsToF32: (x: number): number => ((u32[0] = x), f32[0]),
  f64ToBits: (x: number): bigint => ((f64[0] = x), i64[0]),
  bitsToF64: (x: bigint): number => ((i64[0] = x), f64[0]),
  f16ToF32: halfBitsToFloat,
  f32ToF16: floatToHalfBits,
  bf16ToF32: bfloatBitsToFloat,
  f32ToBf16: floatToBfloatBits,
  divide64: (a: bigint, b: bigint): bigint => (b === 0n ? 0n : BigInt.asIntN(64, a / b)),
  remainder64: (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a % b),
  indexAnd: onIndex(
    (a, b) => a & b,
    (a, b) => a & b,
  ),
  indexOr: onIndex(
    (a, b) => a | b,
    (a, b) => a | b,
  ),
  indexXor: onIndex(
    (a, b) => a ^ b,
    (a, b) => a ^ b,
  ),
  outside: (name: string, index: number, length: number): never => {
    throw new RangeError(`element ${index} of ${name}, which has ${length}`);
  },
} as const;

/** A helper of generated code. */
export type JsHelper = keyof typeof JS_RUNTIME;
