/** Constant folding: an operation on constants becomes its result, in the exact arithmetic of the type. */
import type { BinaryOp, CompareOp, Constant, UnaryOp } from '../ir/ir.ts';
import { bfloatBitsToFloat, floatToBfloatBits, floatToHalfBits, halfBitsToFloat } from '../dtypes/half.ts';
import { isFloat, isInteger, type ScalarType } from '../ir/types.ts';
import { bigintToF32, roundHalfEven } from '../ir/arithmetic.ts';

const f32 = (value: Constant): number => (typeof value === 'bigint' ? bigintToF32(value) : Math.fround(Number(value)));

/** A constant of type `from` cast to `type`. */
export function foldCast(value: Constant, from: ScalarType, type: ScalarType): Constant {
  if (isFloat(from) && isInteger(type) && type !== 'i64' && type !== 'index') return saturate(Number(value), type);
  return coerce(value, type);
}

/** `value` as a constant of `type`: integers wrap, fractions truncate and saturate, floats round. */
export function coerce(value: Constant, type: ScalarType): Constant {
  if (type === 'bool') return typeof value === 'number' ? value !== 0 : Boolean(value);
  if (type === 'i64') {
    if (typeof value === 'bigint') return BigInt.asIntN(64, value);
    const number = Number(value);
    if (Number.isNaN(number)) return 0n;
    if (number >= 2 ** 63) return 2n ** 63n - 1n;
    if (number <= -(2 ** 63)) return -(2n ** 63n);
    return BigInt(Math.trunc(number));
  }
  if (type === 'f64') return Number(value);
  if (type === 'f32') return f32(value);
  if (type === 'f16') return halfBitsToFloat(floatToHalfBits(f32(value)));
  if (type === 'bf16') return bfloatBitsToFloat(floatToBfloatBits(f32(value)));
  if (type === 'index') return Number.isNaN(Number(value)) ? 0 : Math.trunc(Number(value)) + 0;
  if (typeof value === 'number' && !Number.isInteger(value)) return saturate(value, type);
  const bits = bitsOf(type);
  return Number(type.startsWith('u') ? BigInt.asUintN(bits, BigInt(value)) : BigInt.asIntN(bits, BigInt(value)));
}

const bitsOf = (type: ScalarType): number =>
  type === 'i8' || type === 'u8' ? 8 : type === 'i16' || type === 'u16' ? 16 : 32;

function saturate(number: number, type: ScalarType): number {
  const bits = bitsOf(type);
  const [low, high] = type.startsWith('u') ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  return Number.isNaN(number) ? 0 : Math.trunc(Math.min(high, Math.max(low, number))) + 0;
}

export function foldUnary(op: UnaryOp, type: ScalarType, a: Constant): Constant | null {
  if (op === 'not') return type === 'bool' ? !a : coerce(typeof a === 'bigint' ? ~a : -1 - Number(a), type);
  if (typeof a !== 'number' || type === 'i64') return typeof a === 'bigint' && op === 'neg' ? coerce(-a, type) : null;
  switch (op) {
    case 'neg':
      return coerce(-a, type);
    case 'abs':
      return coerce(Math.abs(a), type);
    case 'sqrt':
      return coerce(Math.sqrt(a), type);
    case 'floor':
      return coerce(Math.floor(a), type);
    case 'ceil':
      return coerce(Math.ceil(a), type);
    case 'trunc':
      return coerce(Math.trunc(a), type);
    case 'round':
      return coerce(roundHalfEven(a), type);
    case 'popcount':
      return null;
    default:
      return op satisfies never;
  }
}

export function foldBinary(op: BinaryOp, type: ScalarType, a: Constant, b: Constant): Constant | null {
  if (type === 'bool') {
    if (op === 'and') return Boolean(a) && Boolean(b);
    if (op === 'or') return Boolean(a) || Boolean(b);
    if (op === 'xor') return Boolean(a) !== Boolean(b);
    return null;
  }
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    switch (op) {
      case 'add':
        return coerce(a + b, type);
      case 'sub':
        return coerce(a - b, type);
      case 'mul':
        return coerce(a * b, type);
      case 'and':
        return coerce(a & b, type);
      case 'or':
        return coerce(a | b, type);
      case 'xor':
        return coerce(a ^ b, type);
      case 'shl':
        return coerce(a << (b & 63n), type);
      case 'shr':
        return coerce(a >> (b & 63n), type);
      default:
        return null;
    }
  }
  if (typeof a !== 'number' || typeof b !== 'number') return null;
  const integer = !isFloat(type);
  switch (op) {
    case 'add':
      return coerce(a + b, type);
    case 'sub':
      return coerce(a - b, type);
    case 'mul': {
      const product = a * b;
      return integer && !Number.isSafeInteger(product) ? coerce(BigInt(a) * BigInt(b), type) : coerce(product, type);
    }
    case 'div':
      return integer ? (b === 0 ? null : coerce(Math.trunc(a / b), type)) : coerce(a / b, type);
    case 'rem':
      return integer ? (b === 0 ? null : coerce(a % b, type)) : null;
    case 'min':
      return a < b ? a : b;
    case 'max':
      return a > b ? a : b;
    case 'and':
      return type === 'index' ? Number(BigInt(a) & BigInt(b)) : coerce(a & b, type);
    case 'or':
      return type === 'index' ? Number(BigInt(a) | BigInt(b)) : coerce(a | b, type);
    case 'xor':
      return type === 'index' ? Number(BigInt(a) ^ BigInt(b)) : coerce(a ^ b, type);
    case 'shl':
      return type === 'index'
        ? b < 32
          ? coerce(a * 2 ** b, type)
          : null
        : coerce(a << (b & (bitsOf(type) - 1)), type);
    case 'shr':
      return type === 'index'
        ? b < 32
          ? Math.floor(a / 2 ** b)
          : null
        : coerce(type === 'u32' ? a >>> (b & 31) : a >> (b & (bitsOf(type) - 1)), type);
    default:
      return op satisfies never;
  }
}

export function foldCompare(op: CompareOp, a: Constant, b: Constant): boolean {
  switch (op) {
    case 'eq':
      return a === b;
    case 'ne':
      return a !== b;
    case 'lt':
      return a < b;
    case 'le':
      return a <= b;
    case 'gt':
      return a > b;
    case 'ge':
      return a >= b;
    default:
      return op satisfies never;
  }
}
