/** What each elementwise primitive is in the kernel language. Arithmetic on float16 and bfloat16 happens in f32 and is rounded after every operation, as PyTorch does. */
import { DTYPES, type DType, type KernelBuilder, math, type Value } from '@proj/kernel';
import { type BinaryPrimitive, isComparison, type UnaryPrimitive } from '../graph/primitives.ts';

type UnaryLowering = (b: KernelBuilder, x: Value, dtype: DType) => Value;
type BinaryLowering = (b: KernelBuilder, x: Value, y: Value, dtype: DType) => Value;

/** `value` (of dtype `from`, in storage or compute type) as dtype `to`, in compute type. */
export function castValue(b: KernelBuilder, value: Value, from: DType, to: DType): Value {
  const target = DTYPES[to].scalar;
  const compute = target === 'f16' || target === 'bf16' ? 'f32' : target;
  if (value.type.scalar === target) return b.cast(value, compute);
  const widened = value.type.scalar === 'f16' || value.type.scalar === 'bf16' ? b.cast(value, 'f32') : value;
  if (target === 'f16' || target === 'bf16') {
    if (from === to) return widened;
    const single = b.cast(widened, 'f32');
    return b.cast(b.cast(single, target), 'f32');
  }
  if (from === to) return widened;
  // PyTorch converts floats to narrow integers through a 64-bit one, so that values wrap.
  if (widened.type.scalar === 'f32' || widened.type.scalar === 'f64') {
    if (target === 'i8' || target === 'u8' || target === 'i16') return b.cast(b.cast(widened, 'i64'), target);
  }
  return b.cast(widened, compute);
}

/** What is stored for a value in compute type. */
export const storeValue = (b: KernelBuilder, value: Value, dtype: DType): Value => b.cast(value, DTYPES[dtype].scalar);

const rounded = (b: KernelBuilder, value: Value, dtype: DType): Value =>
  dtype === 'float16'
    ? b.cast(b.cast(value, 'f16'), 'f32')
    : dtype === 'bfloat16'
      ? b.cast(b.cast(value, 'bf16'), 'f32')
      : value;

const float =
  (fn: (b: KernelBuilder, x: Value) => Value): UnaryLowering =>
  (b, x, dtype) =>
    rounded(b, fn(b, x), dtype);
const exact =
  (fn: (b: KernelBuilder, x: Value) => Value): UnaryLowering =>
  (b, x) =>
    fn(b, x);

export const UNARY: Record<UnaryPrimitive, UnaryLowering> = {
  neg: exact((b, x) => b.neg(x)),
  abs: (b, x, dtype) => (dtype === 'bool' || dtype === 'uint8' ? x : b.abs(x)),
  sign: (b, x, dtype) => {
    if (dtype === 'bool') return x;
    const one = b.constant(1, x.type);
    const zero = b.constant(0, x.type);
    const positive = b.select(b.gt(x, 0), one, zero);
    return dtype === 'uint8' ? positive : b.select(b.lt(x, 0), b.constant(-1, x.type), positive);
  },
  sqrt: float((b, x) => b.sqrt(x)),
  rsqrt: float((b, x) => b.div(b.constant(1, x.type), b.sqrt(x))),
  reciprocal: float((b, x) => b.div(b.constant(1, x.type), x)),
  floor: exact((b, x) => b.floor(x)),
  ceil: exact((b, x) => b.ceil(x)),
  trunc: exact((b, x) => b.trunc(x)),
  round: exact((b, x) => b.round(x)),
  exp: float(math.exp),
  exp2: float(math.exp2),
  expm1: float(math.expm1),
  log: float(math.log),
  log2: float(math.log2),
  log10: float(math.log10),
  log1p: float(math.log1p),
  sin: float(math.sin),
  cos: float(math.cos),
  tan: float(math.tan),
  asin: float(math.asin),
  acos: float(math.acos),
  atan: float(math.atan),
  sinh: float(math.sinh),
  cosh: float(math.cosh),
  tanh: float(math.tanh),
  asinh: float(math.asinh),
  acosh: float(math.acosh),
  atanh: float(math.atanh),
  erf: float(math.erf),
  erfc: float(math.erfc),
  erfinv: float(math.erfinv),
  lgamma: float(math.lgamma),
  digamma: float(math.digamma),
  sigmoid: float(math.sigmoid),
  // max(0, x) with NaN kept: `max` gives its second operand when a comparison fails.
  relu: (b, x) => b.max(b.constant(0, x.type), x),
  not: exact((b, x) => b.not(x)),
};

const arithmetic =
  (fn: (b: KernelBuilder, x: Value, y: Value) => Value, onBool: 'or' | 'and' | 'xor'): BinaryLowering =>
  (b, x, y, dtype) =>
    dtype === 'bool' ? b.binary(onBool, x, y) : rounded(b, fn(b, x, y), dtype);
const numeric =
  (fn: (b: KernelBuilder, x: Value, y: Value) => Value): BinaryLowering =>
  (b, x, y, dtype) =>
    rounded(b, fn(b, x, y), dtype);
const bitwise =
  (op: 'and' | 'or' | 'xor' | 'shl' | 'shr'): BinaryLowering =>
  (b, x, y) =>
    b.binary(op, x, y);

const compare =
  (op: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'): BinaryLowering =>
  (b, x, y, dtype) => {
    if (dtype !== 'bool') return b.compare(op, x, y);
    return b.compare(op, b.cast(x, 'i32'), b.cast(y, 'i32'));
  };

/** x·y + z in one operation where x·y is the product just made (floats only). */
function fuseMultiply(b: KernelBuilder, x: Value, y: Value): Value | null {
  if (x.type.scalar !== 'f32' && x.type.scalar !== 'f64') return null;
  if (x.op === 'mul') return b.mulAdd(x.args[0], x.args[1], y);
  if (y.op === 'mul') return b.mulAdd(y.args[0], y.args[1], x);
  return null;
}

const isFloatValue = (x: Value): boolean => x.type.scalar === 'f32' || x.type.scalar === 'f64';

/**
 * The larger (or smaller), NaN when either is NaN. The comparison keeps a NaN in `x` and the selection one in `y`, so that of a running
 * maximum in `x` only one operation waits for the one before.
 */
const extreme =
  (op: 'max' | 'min') =>
  (b: KernelBuilder, x: Value, y: Value): Value => {
    const picked = b.binary(op, y, x);
    return isFloatValue(x) ? b.select(b.ne(y, y), y, picked) : picked;
  };

/** For functions that loop or branch inside: both operands with the same number of lanes (one of them may be the same for all). */
const sameLanes =
  (fn: (b: KernelBuilder, x: Value, y: Value) => Value) =>
  (b: KernelBuilder, x: Value, y: Value): Value => {
    const lanes = Math.max(x.type.lanes, y.type.lanes);
    return fn(b, b.splat(x, lanes), b.splat(y, lanes));
  };

export const BINARY: Record<BinaryPrimitive, BinaryLowering> = {
  add: arithmetic((b, x, y) => fuseMultiply(b, x, y) ?? b.add(x, y), 'or'),
  sub: arithmetic((b, x, y) => b.sub(x, y), 'xor'),
  mul: arithmetic((b, x, y) => b.mul(x, y), 'and'),
  div: numeric((b, x, y) => (isFloatValue(x) ? b.div(x, y) : sameLanes(math.truncDiv)(b, x, y))),
  pow: (b, x, y, dtype) => rounded(b, sameLanes(isFloatValue(x) ? math.pow : math.powInteger)(b, x, y), dtype),
  atan2: numeric(sameLanes(math.atan2)),
  maximum: arithmetic(extreme('max'), 'or'),
  minimum: arithmetic(extreme('min'), 'and'),
  remainder: numeric(sameLanes(math.remainder)),
  fmod: numeric(sameLanes(math.fmod)),
  floorDivide: numeric(sameLanes(math.floorDiv)),
  and: bitwise('and'),
  or: bitwise('or'),
  xor: bitwise('xor'),
  shiftLeft: bitwise('shl'),
  shiftRight: bitwise('shr'),
  eq: compare('eq'),
  ne: compare('ne'),
  lt: compare('lt'),
  le: compare('le'),
  gt: compare('gt'),
  ge: compare('ge'),
};

export { isComparison };
