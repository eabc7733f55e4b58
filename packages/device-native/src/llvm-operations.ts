/** How each pure operation of the kernel language is said in LLVM assembly. No fast-math flags: the meaning is the language's, bit for bit. */
import { type BinaryOp, type CompareOp, type HorizontalOp, isFloat, isUnsigned, type ScalarType, SCALARS, type UnaryOp, type ValueType, valueType } from '@proj/kernel';
import { constantText, elementType, type FunctionText, laneList, type RenderFeatures, splatText, suffixOf, typeText, vectorOf } from './llvm-text.ts';

const constant = (value: number | boolean, type: ValueType): string =>
  splatText(constantText(type.scalar === 'i64' ? BigInt(value) : value, type.scalar), elementType(type.scalar), type.lanes);

const suffix = (type: ValueType): string => suffixOf(elementType(type.scalar), type.lanes);

const UNARY_INTRINSICS = { sqrt: 'sqrt', floor: 'floor', ceil: 'ceil', trunc: 'trunc', round: 'roundeven' } as const;

export function unaryText(f: FunctionText, op: UnaryOp, type: ValueType, x: string): string {
  const text = typeText(type);
  switch (op) {
    case 'neg': return f.value(isFloat(type.scalar) ? `fneg ${text} ${x}` : `sub ${text} ${constant(0, type)}, ${x}`);
    case 'abs':
      if (isFloat(type.scalar)) return f.call(`llvm.fabs.${suffix(type)}`, text, [[text, x]]);
      return isUnsigned(type.scalar) ? x : f.call(`llvm.abs.${suffix(type)}`, text, [[text, x], ['i1', 'false']]);
    case 'sqrt': case 'floor': case 'ceil': case 'trunc': case 'round':
      return f.call(`llvm.${UNARY_INTRINSICS[op]}.${suffix(type)}`, text, [[text, x]]);
    case 'not': return f.value(`xor ${text} ${x}, ${constant(type.scalar === 'bool' ? true : -1, type)}`);
    case 'popcount': return f.call(`llvm.ctpop.${suffix(type)}`, text, [[text, x]]);
    default: return op satisfies never;
  }
}

export function binaryText(f: FunctionText, op: BinaryOp, type: ValueType, a: string, b: string, constantDivisor: boolean): string {
  const { scalar } = type;
  const float = isFloat(scalar);
  const plain = (name: string): string => f.value(`${name} ${typeText(type)} ${a}, ${b}`);
  // Addresses do not overflow, and saying so lets LLVM fold them into addressing modes.
  const integer = (name: string): string => plain(scalar === 'index' ? `${name} nsw` : name);
  switch (op) {
    case 'add': return float ? plain('fadd') : integer('add');
    case 'sub': return float ? plain('fsub') : integer('sub');
    case 'mul': return float ? plain('fmul') : integer('mul');
    case 'div': case 'rem': return float ? plain('fdiv') : divisionText(f, op, type, a, b, constantDivisor);
    case 'min': return selectText(f, type, compareText(f, 'lt', type, a, b), a, b);
    case 'max': return selectText(f, type, compareText(f, 'gt', type, a, b), a, b);
    case 'and': case 'or': case 'xor': return plain(op);
    case 'shl': case 'shr': {
      if (scalar === 'bool') return a;
      const count = f.value(`and ${typeText(type)} ${b}, ${constant(8 * SCALARS[scalar].bytes - 1, type)}`);
      return f.value(`${op === 'shl' ? 'shl' : isUnsigned(scalar) ? 'lshr' : 'ashr'} ${typeText(type)} ${a}, ${count}`);
    }
    default: return op satisfies never;
  }
}

/** Integer division that cannot trap: a divisor of 0 counts as 1, and of -1 negates. */
function divisionText(f: FunctionText, op: 'div' | 'rem', type: ValueType, a: string, b: string, constantDivisor: boolean): string {
  const text = typeText(type);
  const unsigned = isUnsigned(type.scalar);
  const name = `${unsigned ? 'u' : 's'}${op}`;
  if (constantDivisor) return f.value(`${name} ${text} ${a}, ${b}`);
  const guard = (is: string, divisor: string): string => selectText(f, type, is, constant(1, type), divisor);
  const nonZero = guard(compareText(f, 'eq', type, b, constant(0, type)), b);
  if (unsigned) return f.value(`${name} ${text} ${a}, ${nonZero}`);
  const minusOne = compareText(f, 'eq', type, b, constant(-1, type));
  const quotient = f.value(`${name} ${text} ${a}, ${guard(minusOne, nonZero)}`);
  return selectText(f, type, minusOne, op === 'rem' ? constant(0, type) : unaryText(f, 'neg', type, a), quotient);
}

const FLOAT_COMPARES: Record<CompareOp, string> = { eq: 'oeq', ne: 'une', lt: 'olt', le: 'ole', gt: 'ogt', ge: 'oge' };

/** `type` is that of the operands. */
export function compareText(f: FunctionText, op: CompareOp, type: ValueType, a: string, b: string): string {
  if (isFloat(type.scalar)) return f.value(`fcmp ${FLOAT_COMPARES[op]} ${typeText(type)} ${a}, ${b}`);
  const sign = op === 'eq' || op === 'ne' ? '' : isUnsigned(type.scalar) || type.scalar === 'bool' ? 'u' : 's';
  return f.value(`icmp ${sign}${op} ${typeText(type)} ${a}, ${b}`);
}

export function selectText(f: FunctionText, type: ValueType, condition: string, a: string, b: string): string {
  return f.value(`select ${vectorOf('i1', type.lanes)} ${condition}, ${typeText(type)} ${a}, ${typeText(type)} ${b}`);
}

export function mulAddText(f: FunctionText, features: RenderFeatures, type: ValueType, a: string, b: string, c: string): string {
  const text = typeText(type);
  if (isFloat(type.scalar) && features.fused) return f.call(`llvm.fma.${suffix(type)}`, text, [[text, a], [text, b], [text, c]]);
  return binaryText(f, 'add', type, binaryText(f, 'mul', type, a, b, false), c, false);
}

export function splatValue(f: FunctionText, type: ValueType, x: string): string {
  const text = typeText(type);
  const one = f.value(`insertelement ${text} poison, ${elementType(type.scalar)} ${x}, i64 0`);
  return f.value(`shufflevector ${text} ${one}, ${text} poison, ${vectorOf('i32', type.lanes)} zeroinitializer`);
}

export function iotaText(type: ValueType): string {
  return laneList(Array.from({ length: type.lanes }, (_, i) => constantText(type.scalar === 'i64' ? BigInt(i) : i, type.scalar)), elementType(type.scalar));
}

/** `from` is the type of `a` and `b`. */
export function shuffleText(f: FunctionText, from: ValueType, a: string, b: string, pattern: readonly number[]): string {
  const text = typeText(from);
  if (from.lanes === 1) {
    if (pattern.length === 1) return pattern[0] === 0 ? a : b;
    let vector = 'poison';
    pattern.forEach((lane, i) => {
      vector = f.value(`insertelement ${vectorOf(text, pattern.length)} ${vector}, ${text} ${lane === 0 ? a : b}, i64 ${i}`);
    });
    return vector;
  }
  if (pattern.length === 1) return f.value(`extractelement ${text} ${pattern[0] < from.lanes ? a : b}, i64 ${pattern[0] % from.lanes}`);
  return f.value(`shufflevector ${text} ${a}, ${text} ${b}, ${vectorOf('i32', pattern.length)} ${laneList(pattern.map(String), 'i32')}`);
}

const HORIZONTAL: Record<HorizontalOp, BinaryOp> = { reduceAdd: 'add', reduceMul: 'mul', reduceMin: 'min', reduceMax: 'max' };

/** Lane i with lane i + lanes/2, until one is left. */
export function horizontalText(f: FunctionText, op: HorizontalOp, from: ValueType, x: string): string {
  let vector = x;
  for (let type = from; type.lanes > 1;) {
    const half = type.lanes / 2;
    const low = Array.from({ length: half }, (_, i) => i);
    const a = shuffleText(f, type, vector, 'poison', low);
    const b = shuffleText(f, type, vector, 'poison', low.map((lane) => lane + half));
    type = valueType(type.scalar, half);
    vector = binaryText(f, HORIZONTAL[op], type, a, b, false);
  }
  return vector;
}

/** acc + the four products of adjacent bytes: one instruction with VNNI, else pairs of 16-bit products (the shape of `pmaddwd`). */
export function dot4Text(f: FunctionText, features: RenderFeatures, type: ValueType, acc: string, a: string, b: string): string {
  const { lanes } = type;
  const words = typeText(type);
  const bytes = vectorOf('i8', 4 * lanes);
  if (features.dotBytes.includes(4 * lanes)) {
    const whole = (x: string): string => f.value(`bitcast ${bytes} ${x} to ${words}`);
    return f.call(`llvm.x86.avx512.vpdpbusd.${32 * lanes}`, words, [[words, acc], [words, whole(a)], [words, whole(b)]]);
  }
  const bytesType = valueType('i8', 4 * lanes);
  const part = (x: string, k: number, extend: string): string => {
    const every4th = shuffleText(f, bytesType, x, x, Array.from({ length: lanes }, (_, i) => 4 * i + k));
    return f.value(`${extend} ${vectorOf('i8', lanes)} ${every4th} to ${words}`);
  };
  let sum = acc;
  for (let k = 0; k < 4; k++) sum = f.value(`add ${words} ${sum}, ${f.value(`mul ${words} ${part(a, k, 'zext')}, ${part(b, k, 'sext')}`)}`);
  return sum;
}

const KIND = (scalar: ScalarType): 'bool' | 'integer' | 'half' | 'brain' | 'float' => {
  if (scalar === 'bool') return 'bool';
  if (scalar === 'f16') return 'half';
  if (scalar === 'bf16') return 'brain';
  return isFloat(scalar) ? 'float' : 'integer';
};

export function castText(f: FunctionText, from: ValueType, to: ValueType, x: string): string {
  const target = KIND(to.scalar);
  const source = KIND(from.scalar);
  const f32 = valueType('f32', from.lanes);
  if (source === 'half') return castText(f, f32, to, fromHalf(f, from.lanes, x));
  if (source === 'brain') return castText(f, f32, to, fromBrain(f, from.lanes, x));
  if (from.scalar === to.scalar) return x;
  if (target === 'bool') return compareText(f, 'ne', from, x, constant(0, from));
  if (target === 'half') return toHalf(f, source === 'float' ? from : f32, source === 'float' ? x : castText(f, from, f32, x));
  if (target === 'brain') return toBrain(f, from.lanes, castText(f, from, f32, x));
  const said = (name: string): string => f.value(`${name} ${typeText(from)} ${x} to ${typeText(to)}`);
  if (source === 'bool') return said(target === 'float' ? 'uitofp' : 'zext');
  if (source === 'float') {
    if (target === 'float') return said(to.scalar === 'f64' ? 'fpext' : 'fptrunc');
    return f.call(`llvm.fpto${isUnsigned(to.scalar) ? 'u' : 's'}i.sat.${suffix(to)}.${suffix(from)}`, typeText(to), [[typeText(from), x]]);
  }
  if (target === 'float') return said(isUnsigned(from.scalar) ? 'uitofp' : 'sitofp');
  const [wide, narrow] = [SCALARS[from.scalar].bytes, SCALARS[to.scalar].bytes];
  if (wide === narrow) return x;
  return said(wide > narrow ? 'trunc' : isUnsigned(from.scalar) ? 'zext' : 'sext');
}

function fromHalf(f: FunctionText, lanes: number, x: string): string {
  const half = f.value(`bitcast ${vectorOf('i16', lanes)} ${x} to ${vectorOf('half', lanes)}`);
  return f.value(`fpext ${vectorOf('half', lanes)} ${half} to ${vectorOf('float', lanes)}`);
}

function toHalf(f: FunctionText, from: ValueType, x: string): string {
  const half = f.value(`fptrunc ${typeText(from)} ${x} to ${vectorOf('half', from.lanes)}`);
  return f.value(`bitcast ${vectorOf('half', from.lanes)} ${half} to ${vectorOf('i16', from.lanes)}`);
}

function fromBrain(f: FunctionText, lanes: number, x: string): string {
  const i32 = valueType('i32', lanes);
  const wide = f.value(`zext ${vectorOf('i16', lanes)} ${x} to ${typeText(i32)}`);
  const bits = f.value(`shl ${typeText(i32)} ${wide}, ${constant(16, i32)}`);
  return f.value(`bitcast ${typeText(i32)} ${bits} to ${vectorOf('float', lanes)}`);
}

/** Round to nearest even on the bits; a NaN keeps its upper half and stays quiet. */
function toBrain(f: FunctionText, lanes: number, x: string): string {
  const type = valueType('u32', lanes);
  const text = typeText(type);
  const bits = f.value(`bitcast ${vectorOf('float', lanes)} ${x} to ${text}`);
  const upper = f.value(`lshr ${text} ${bits}, ${constant(16, type)}`);
  const odd = f.value(`and ${text} ${upper}, ${constant(1, type)}`);
  const biased = f.value(`add ${text} ${f.value(`add ${text} ${bits}, ${constant(0x7fff, type)}`)}, ${odd}`);
  const rounded = f.value(`lshr ${text} ${biased}, ${constant(16, type)}`);
  const quiet = f.value(`or ${text} ${upper}, ${constant(0x40, type)}`);
  const nan = f.value(`fcmp uno ${vectorOf('float', lanes)} ${x}, ${constant(0, valueType('f32', lanes))}`);
  return f.value(`trunc ${text} ${selectText(f, type, nan, quiet, rounded)} to ${vectorOf('i16', lanes)}`);
}
