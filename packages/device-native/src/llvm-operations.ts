/** How each value-producing operation of the kernel language is written in LLVM IR. */
import {
  isFloat,
  isUnsigned,
  SCALARS,
  valueType,
  type BinaryOp,
  type CompareOp,
  type HorizontalOp,
  type UnaryOp,
  type Value,
  type ValueType,
} from '@proj/kernel';
import type { CpuTarget } from './cpu.ts';
import { lanesOf, literal, llvmType, mangled, scalarLiteral, vectorLiteral } from './llvm-types.ts';

/** Where the text of a function gathers. */
export interface Emitter {
  readonly cpu: CpuTarget;
  /** Writes `%n = text` and gives `%n`. */
  define(text: string): string;
  /** Writes a statement. */
  line(text: string): void;
  /** Calls an intrinsic, declaring it: `call result @name(type operand, …)`. `result` may be `void`. */
  call(result: string, name: string, operands: readonly (readonly [type: string, operand: string])[]): string;
  /** The name or the literal of a value. */
  operand(value: Value): string;
}

const INTEGER_INSTRUCTION: Readonly<Record<Exclude<BinaryOp, 'div' | 'rem' | 'min' | 'max' | 'shl' | 'shr'>, string>> =
  {
    add: 'add',
    sub: 'sub',
    mul: 'mul',
    and: 'and',
    or: 'or',
    xor: 'xor',
  };

const FLOAT_INTRINSIC: Readonly<Record<Exclude<UnaryOp, 'neg' | 'not' | 'popcount'>, string>> = {
  abs: 'fabs',
  sqrt: 'sqrt',
  floor: 'floor',
  ceil: 'ceil',
  trunc: 'trunc',
  round: 'roundeven',
};

/** A unary operation. */
export function unary(e: Emitter, op: UnaryOp, value: Value, x: string): string {
  const { scalar } = value.type;
  const type = llvmType(value.type);
  switch (op) {
    case 'neg':
      return isFloat(scalar) ? e.define(`fneg ${type} ${x}`) : e.define(`sub ${type} ${literal(0, value.type)}, ${x}`);
    case 'not':
      return e.define(`xor ${type} ${x}, ${scalar === 'bool' ? literal(true, value.type) : literal(-1, value.type)}`);
    case 'popcount':
      return e.call(type, `llvm.ctpop.${mangled(type)}`, [[type, x]]);
    case 'abs':
      if (!isFloat(scalar))
        return isUnsigned(scalar)
          ? x
          : e.call(type, `llvm.abs.${mangled(type)}`, [
              [type, x],
              ['i1', 'false'],
            ]);
      return e.call(type, `llvm.fabs.${mangled(type)}`, [[type, x]]);
    case 'sqrt':
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
      return e.call(type, `llvm.${FLOAT_INTRINSIC[op]}.${mangled(type)}`, [[type, x]]);
    default:
      return op satisfies never;
  }
}

/** A binary operation on values of one type. */
export function binary(e: Emitter, op: BinaryOp, type: ValueType, x: string, y: string, divisor: Value): string {
  const { scalar } = type;
  const spelled = llvmType(type);
  const float = isFloat(scalar);
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
      if (float) return e.define(`f${op} ${spelled} ${x}, ${y}`);
      return e.define(`${op} ${scalar === 'index' ? 'nsw ' : ''}${spelled} ${x}, ${y}`);
    case 'and':
    case 'or':
    case 'xor':
      return e.define(`${INTEGER_INSTRUCTION[op]} ${spelled} ${x}, ${y}`);
    case 'div':
    case 'rem':
      return float
        ? e.define(`f${op} ${spelled} ${x}, ${behindFence(e, type, y, divisor)}`)
        : divide(e, op, type, x, y, divisor);
    case 'min':
    case 'max': {
      if (float) {
        const condition = e.define(`fcmp ${op === 'min' ? 'olt' : 'ogt'} ${spelled} ${x}, ${y}`);
        return e.define(`select ${lanesOf('i1', type)} ${condition}, ${spelled} ${x}, ${spelled} ${y}`);
      }
      return e.call(spelled, `llvm.${isUnsigned(scalar) || scalar === 'bool' ? 'u' : 's'}${op}.${mangled(spelled)}`, [
        [spelled, x],
        [spelled, y],
      ]);
    }
    case 'shl':
    case 'shr': {
      const count = e.define(`and ${spelled} ${y}, ${literal(SCALARS[scalar].bytes * 8 - 1, type)}`);
      return e.define(`${op === 'shl' ? 'shl' : isUnsigned(scalar) ? 'lshr' : 'ashr'} ${spelled} ${x}, ${count}`);
    }
    default:
      return op satisfies never;
  }
}

/**
 * The divisors of a vector where LLVM cannot see which of them are zero: it takes the quotient of two zeros for zero (`SimplifyDemandedVectorElts`), and leaves
 * out the selection that would put something else in place of the NaN. No instruction comes of it.
 */
function behindFence(e: Emitter, type: ValueType, y: string, divisor: Value): string {
  if (type.lanes === 1 || divisor.op === 'const') return y;
  const spelled = llvmType(type);
  return e.call(spelled, `llvm.arithmetic.fence.${mangled(spelled)}`, [[spelled, y]]);
}

/** Division by zero, or of the least number by -1, would stop the process: such lanes divide by 1 instead. */
function divide(e: Emitter, op: 'div' | 'rem', type: ValueType, x: string, y: string, divisor: Value): string {
  const spelled = llvmType(type);
  const signed = !isUnsigned(type.scalar);
  const constant = divisor.op === 'const' ? Number(divisor.constant) : undefined;
  let safe = y;
  if (constant === undefined || constant === 0) {
    const zero = e.define(`icmp eq ${spelled} ${y}, ${literal(0, type)}`);
    safe = e.define(`select ${lanesOf('i1', type)} ${zero}, ${spelled} ${literal(1, type)}, ${spelled} ${y}`);
  }
  if (signed && type.scalar !== 'index' && (constant === undefined || constant === -1)) {
    const minusOne = e.define(`icmp eq ${spelled} ${safe}, ${literal(-1, type)}`);
    const positive = e.define(
      `select ${lanesOf('i1', type)} ${minusOne}, ${spelled} ${literal(1, type)}, ${spelled} ${safe}`,
    );
    const result = e.define(`s${op} ${spelled} ${x}, ${positive}`);
    if (op === 'rem') return result;
    const negated = e.define(`sub ${spelled} ${literal(0, type)}, ${x}`);
    return e.define(`select ${lanesOf('i1', type)} ${minusOne}, ${spelled} ${negated}, ${spelled} ${result}`);
  }
  return e.define(`${signed ? 's' : 'u'}${op} ${spelled} ${x}, ${safe}`);
}

/** A comparison of `x` and `y`, which have type `type`. */
export function compare(e: Emitter, op: CompareOp, type: ValueType, x: string, y: string): string {
  if (isFloat(type.scalar)) return e.define(`fcmp ${op === 'ne' ? 'une' : `o${op}`} ${llvmType(type)} ${x}, ${y}`);
  const sign = op === 'eq' || op === 'ne' ? '' : isUnsigned(type.scalar) || type.scalar === 'bool' ? 'u' : 's';
  return e.define(`icmp ${sign}${op} ${llvmType(type)} ${x}, ${y}`);
}

/** a·b + c in one rounding where the processor can. */
export function mulAdd(e: Emitter, type: ValueType, a: string, b: string, c: string): string {
  const spelled = llvmType(type);
  if (!isFloat(type.scalar)) return e.define(`add ${spelled} ${e.define(`mul ${spelled} ${a}, ${b}`)}, ${c}`);
  if (fuses(e.cpu))
    return e.call(spelled, `llvm.fma.${mangled(spelled)}`, [
      [spelled, a],
      [spelled, b],
      [spelled, c],
    ]);
  return e.define(`fadd ${spelled} ${e.define(`fmul ${spelled} ${a}, ${b}`)}, ${c}`);
}

/** Whether the processor has a fused multiply-add. */
export const fuses = (cpu: CpuTarget): boolean => cpu.architecture === 'arm64' || cpu.has('fma');

/** All lanes equal to `x`. */
export function splat(e: Emitter, type: ValueType, x: string): string {
  const spelled = llvmType(type);
  const first = e.define(`insertelement ${spelled} poison, ${llvmType(valueType(type.scalar))} ${x}, i64 0`);
  return e.define(`shufflevector ${spelled} ${first}, ${spelled} poison, ${lanesOf('i32', type)} zeroinitializer`);
}

/** 0, 1, 2, … */
export function iota({ scalar, lanes }: ValueType): string {
  return vectorLiteral(
    llvmType(valueType(scalar)),
    Array.from({ length: lanes }, (_, lane) => scalarLiteral(scalar === 'bool' ? lane !== 0 : lane, scalar)),
  );
}

/** One lane of a vector. */
export const extract = (e: Emitter, type: ValueType, x: string, lane: number): string =>
  e.define(`extractelement ${llvmType(type)} ${x}, i64 ${lane}`);

/** Lanes of `x` and `y`, which have type `type`, by `pattern`. */
export function shuffle(e: Emitter, type: ValueType, x: string, y: string, pattern: readonly number[]): string {
  const [lane = 0] = pattern;
  if (type.lanes === 1) {
    const vector = llvmType(valueType(type.scalar, pattern.length));
    const lanes = pattern.map((from) => (from === 0 ? x : y));
    return pattern.length === 1
      ? (lanes[0] ?? x)
      : lanes.reduce(
          (made, value, at) => e.define(`insertelement ${vector} ${made}, ${llvmType(type)} ${value}, i64 ${at}`),
          'poison',
        );
  }
  if (pattern.length === 1)
    return lane < type.lanes ? extract(e, type, x, lane) : extract(e, type, y, lane - type.lanes);
  const spelled = llvmType(type);
  return e.define(
    `shufflevector ${spelled} ${x}, ${spelled} ${y}, <${pattern.length} x i32> ${vectorLiteral('i32', pattern)}`,
  );
}

const REDUCTION: Readonly<Record<HorizontalOp, BinaryOp>> = {
  reduceAdd: 'add',
  reduceMul: 'mul',
  reduceMin: 'min',
  reduceMax: 'max',
};

/** Combines the upper half of the lanes with the lower one until one is left. */
export function horizontal(e: Emitter, op: HorizontalOp, value: Value, x: string): string {
  const { scalar } = value.type;
  let current = x;
  for (let lanes = value.type.lanes; lanes > 1; lanes /= 2) {
    const full = valueType(scalar, lanes);
    const half = lanes / 2;
    const combine = (type: ValueType, low: string, high: string): string =>
      binary(e, REDUCTION[op], type, low, high, value);
    if (half === 1) return combine(valueType(scalar), extract(e, full, current, 0), extract(e, full, current, 1));
    const take = (first: number): string =>
      shuffle(
        e,
        full,
        current,
        'poison',
        Array.from({ length: half }, (_, lane) => first + lane),
      );
    current = combine(valueType(scalar, half), take(0), take(half));
  }
  return current;
}

/** Bounds of a float value that follow from clamps by constants; undefined when nothing is known or it may be NaN. */
function floatBounds(value: Value): { readonly low: number; readonly high: number } | undefined {
  const [x, y] = value.args;
  switch (value.op) {
    case 'const': {
      const constant = Number(value.constant);
      return Number.isNaN(constant) ? undefined : { low: constant, high: constant };
    }
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round': {
      const inner = x === undefined ? undefined : floatBounds(x);
      return inner === undefined ? undefined : { low: Math.floor(inner.low), high: Math.ceil(inner.high) };
    }
    case 'min':
    case 'max': {
      // The second operand comes through when the first is NaN, so a known second operand bounds the result.
      const second = y === undefined ? undefined : floatBounds(y);
      if (second === undefined || x === undefined) return undefined;
      const first = floatBounds(x) ?? { low: -Infinity, high: Infinity };
      const pick = value.op === 'min' ? Math.min : Math.max;
      return { low: pick(first.low, second.low), high: pick(first.high, second.high) };
    }
    case 'splat':
      return x === undefined ? undefined : floatBounds(x);
    default:
      return undefined;
  }
}

/** Conversion of a value to another element type. */
export function cast(e: Emitter, from: Value, to: ValueType): string {
  const source = from.type.scalar;
  const target = to.scalar;
  const x = e.operand(from);
  if (source === 'f16' || source === 'bf16') {
    const wide = valueType('f32', to.lanes);
    const widened = source === 'bf16' ? bf16ToF32(e, wide, x) : f16ToF32(e, wide, x);
    return target === 'f32' ? widened : convert(e, widened, wide, to, undefined);
  }
  return convert(e, x, from.type, to, from);
}

function convert(e: Emitter, x: string, from: ValueType, to: ValueType, value: Value | undefined): string {
  const source = from.scalar;
  const target = to.scalar;
  const fromType = llvmType(from);
  const toType = llvmType(to);
  if (target === 'f16' || target === 'bf16') {
    const wide = valueType('f32', to.lanes);
    const float = source === 'f32' ? x : convert(e, x, from, wide, value);
    return target === 'bf16' ? f32ToBf16(e, wide, float) : f32ToF16(e, wide, float);
  }
  if (target === 'bool')
    return isFloat(source)
      ? e.define(`fcmp une ${fromType} ${x}, ${literal(0, from)}`)
      : e.define(`icmp ne ${fromType} ${x}, ${literal(0, from)}`);
  if (source === 'bool') return e.define(`${isFloat(target) ? 'uitofp' : 'zext'} ${fromType} ${x} to ${toType}`);
  if (isFloat(source)) {
    if (isFloat(target))
      return e.define(
        `${SCALARS[source].bytes < SCALARS[target].bytes ? 'fpext' : 'fptrunc'} ${fromType} ${x} to ${toType}`,
      );
    return floatToInteger(e, x, from, to, value);
  }
  if (isFloat(target)) return e.define(`${isUnsigned(source) ? 'uitofp' : 'sitofp'} ${fromType} ${x} to ${toType}`);
  const difference = SCALARS[target].bytes - SCALARS[source].bytes;
  if (difference === 0) return x;
  return e.define(`${difference < 0 ? 'trunc' : isUnsigned(source) ? 'zext' : 'sext'} ${fromType} ${x} to ${toType}`);
}

function floatToInteger(e: Emitter, x: string, from: ValueType, to: ValueType, value: Value | undefined): string {
  const fromType = llvmType(from);
  const toType = llvmType(to);
  const unsigned = isUnsigned(to.scalar);
  const bits = SCALARS[to.scalar].bytes * 8;
  const [low, high] = unsigned ? [0, 2 ** bits] : [-(2 ** (bits - 1)), 2 ** (bits - 1)];
  const bounds = value === undefined ? undefined : floatBounds(value);
  if (bounds !== undefined && bounds.low >= low && bounds.high < high)
    return e.define(`fpto${unsigned ? 'u' : 's'}i ${fromType} ${x} to ${toType}`);
  const conversion = `fpto${unsigned ? 'u' : 's'}i`;
  if (from.lanes === 1)
    return e.call(toType, `llvm.${conversion}.sat.${mangled(toType)}.${mangled(fromType)}`, [[fromType, x]]);
  // LLVM takes vectors apart for its saturating conversion.
  const mask = lanesOf('i1', from);
  const compare = (predicate: string, bound: number): string =>
    e.define(`fcmp ${predicate} ${fromType} ${x}, ${literal(bound, from)}`);
  const inside = e.define(`and ${mask} ${compare('oge', low)}, ${compare('olt', high)}`);
  const safe = e.define(`select ${mask} ${inside}, ${fromType} ${x}, ${fromType} ${literal(0, from)}`);
  const whole = e.define(`${conversion} ${fromType} ${safe} to ${toType}`);
  const smallest = unsigned ? 0n : -(1n << BigInt(bits - 1));
  const largest = (1n << BigInt(unsigned ? bits : bits - 1)) - 1n;
  const spell = (bound: bigint): string => literal(bits === 64 ? bound : Number(bound), to);
  const floored = e.define(`select ${mask} ${compare('olt', low)}, ${toType} ${spell(smallest)}, ${toType} ${whole}`);
  return e.define(`select ${mask} ${compare('oge', high)}, ${toType} ${spell(largest)}, ${toType} ${floored}`);
}

function bf16ToF32(e: Emitter, wide: ValueType, x: string): string {
  const words = lanesOf('i32', wide);
  const word = e.define(`zext ${lanesOf('i16', wide)} ${x} to ${words}`);
  const shifted = e.define(`shl ${words} ${word}, ${literal(16, valueType('i32', wide.lanes))}`);
  return e.define(`bitcast ${words} ${shifted} to ${llvmType(wide)}`);
}

/** Rounds half to even; a NaN stays a (quiet) NaN. */
function f32ToBf16(e: Emitter, wide: ValueType, x: string): string {
  const integers = valueType('i32', wide.lanes);
  const words = llvmType(integers);
  const word = e.define(`bitcast ${llvmType(wide)} ${x} to ${words}`);
  const upper = e.define(`lshr ${words} ${word}, ${literal(16, integers)}`);
  const odd = e.define(`and ${words} ${upper}, ${literal(1, integers)}`);
  const bias = e.define(`add ${words} ${odd}, ${literal(0x7fff, integers)}`);
  const rounded = e.define(`lshr ${words} ${e.define(`add ${words} ${word}, ${bias}`)}, ${literal(16, integers)}`);
  const quiet = e.define(`or ${words} ${upper}, ${literal(0x40, integers)}`);
  const nan = e.define(`fcmp uno ${llvmType(wide)} ${x}, ${x}`);
  const chosen = e.define(`select ${lanesOf('i1', wide)} ${nan}, ${words} ${quiet}, ${words} ${rounded}`);
  return e.define(`trunc ${words} ${chosen} to ${lanesOf('i16', wide)}`);
}

const hasHalf = (cpu: CpuTarget): boolean => cpu.architecture === 'arm64' || cpu.has('f16c');

/** Without F16C, LLVM would call a function of the compiler's library for each lane: integer arithmetic does it instead. */
function f16ToF32(e: Emitter, wide: ValueType, x: string): string {
  const halves = lanesOf('half', wide);
  if (hasHalf(e.cpu))
    return e.define(
      `fpext ${halves} ${e.define(`bitcast ${lanesOf('i16', wide)} ${x} to ${halves}`)} to ${llvmType(wide)}`,
    );
  const integers = valueType('i32', wide.lanes);
  const words = llvmType(integers);
  const floats = llvmType(wide);
  const mask = lanesOf('i1', wide);
  const word = e.define(`zext ${lanesOf('i16', wide)} ${x} to ${words}`);
  const sign = e.define(
    `shl ${words} ${e.define(`and ${words} ${word}, ${literal(0x8000, integers)}`)}, ${literal(16, integers)}`,
  );
  const magnitude = e.define(`and ${words} ${word}, ${literal(0x7fff, integers)}`);
  // Exponent and mantissa in place, then times 2^112 moves the bias and normalises what was subnormal.
  const placed = e.define(
    `bitcast ${words} ${e.define(`shl ${words} ${magnitude}, ${literal(13, integers)}`)} to ${floats}`,
  );
  const scaled = e.define(
    `bitcast ${floats} ${e.define(`fmul ${floats} ${placed}, ${literal(2 ** 112, wide)}`)} to ${words}`,
  );
  const special = e.define(`icmp uge ${words} ${magnitude}, ${literal(0x7c00, integers)}`);
  const infinite = e.define(`or ${words} ${scaled}, ${literal(0x7f800000, integers)}`);
  const chosen = e.define(`select ${mask} ${special}, ${words} ${infinite}, ${words} ${scaled}`);
  return e.define(`bitcast ${words} ${e.define(`or ${words} ${chosen}, ${sign}`)} to ${floats}`);
}

function f32ToF16(e: Emitter, wide: ValueType, x: string): string {
  const halves = lanesOf('half', wide);
  const result = lanesOf('i16', wide);
  if (hasHalf(e.cpu))
    return e.define(`bitcast ${halves} ${e.define(`fptrunc ${llvmType(wide)} ${x} to ${halves}`)} to ${result}`);
  const integers = valueType('i32', wide.lanes);
  const words = llvmType(integers);
  const floats = llvmType(wide);
  const mask = lanesOf('i1', wide);
  const constant = (value: number): string => literal(value, integers);
  const word = e.define(`bitcast ${floats} ${x} to ${words}`);
  const sign = e.define(`and ${words} ${e.define(`lshr ${words} ${word}, ${constant(16)}`)}, ${constant(0x8000)}`);
  const magnitude = e.define(`and ${words} ${word}, ${constant(0x7fffffff)}`);
  // Normal results: move the bias, round half to even on the 13 bits that go.
  const odd = e.define(`and ${words} ${e.define(`lshr ${words} ${magnitude}, ${constant(13)}`)}, ${constant(1)}`);
  const biased = e.define(`add ${words} ${magnitude}, ${constant(0xfff - (112 << 23))}`);
  const normal = e.define(`lshr ${words} ${e.define(`add ${words} ${biased}, ${odd}`)}, ${constant(13)}`);
  // Subnormal results: adding 0.5 makes the adder shift and round.
  const added = e.define(
    `fadd ${floats} ${e.define(`bitcast ${words} ${magnitude} to ${floats}`)}, ${literal(0.5, wide)}`,
  );
  const subnormal = e.define(
    `sub ${words} ${e.define(`bitcast ${floats} ${added} to ${words}`)}, ${constant(0x3f000000)}`,
  );
  const tiny = e.define(`icmp ult ${words} ${magnitude}, ${constant(113 << 23)}`);
  const huge = e.define(`icmp uge ${words} ${magnitude}, ${constant(143 << 23)}`);
  const nan = e.define(`icmp ugt ${words} ${magnitude}, ${constant(0x7f800000)}`);
  const finite = e.define(`select ${mask} ${tiny}, ${words} ${subnormal}, ${words} ${normal}`);
  const limited = e.define(`select ${mask} ${huge}, ${words} ${constant(0x7c00)}, ${words} ${finite}`);
  const chosen = e.define(`select ${mask} ${nan}, ${words} ${constant(0x7e00)}, ${words} ${limited}`);
  return e.define(`trunc ${words} ${e.define(`or ${words} ${chosen}, ${sign}`)} to ${result}`);
}

const VNNI_WIDTHS: Readonly<Record<number, string>> = { 4: '128', 8: '256', 16: '512' };

function hasDot4(cpu: CpuTarget, lanes: number): boolean {
  if (lanes === 16) return cpu.has('avx512vnni');
  return (lanes === 4 || lanes === 8) && ((cpu.has('avx512vnni') && cpu.has('avx512vl')) || cpu.has('avxvnni'));
}

/** acc + the sums of four products of unsigned with signed bytes. */
export function dot4(e: Emitter, type: ValueType, acc: string, a: string, b: string): string {
  const { lanes } = type;
  const words = llvmType(type);
  const bytes = `<${lanes * 4} x i8>`;
  if (hasDot4(e.cpu, lanes)) {
    const operands = [a, b].map((name): readonly [string, string] => [
      words,
      e.define(`bitcast ${bytes} ${name} to ${words}`),
    ]);
    return e.call(words, `llvm.x86.avx512.vpdpbusd.${VNNI_WIDTHS[lanes]}`, [[words, acc], ...operands]);
  }
  if (lanes === 4 && e.cpu.architecture === 'arm64' && e.cpu.has('i8mm'))
    return e.call(words, 'llvm.aarch64.neon.usdot.v4i32.v16i8', [
      [words, acc],
      [bytes, a],
      [bytes, b],
    ]);
  // Products of adjacent pairs in 16 bits fit 32; LLVM turns the pairs into vpmaddwd where that exists.
  const wide = `<${lanes * 4} x i32>`;
  const product = e.define(
    `mul nsw ${wide} ${e.define(`zext ${bytes} ${a} to ${wide}`)}, ${e.define(`sext ${bytes} ${b} to ${wide}`)}`,
  );
  let current = product;
  for (let width = lanes * 4; width > lanes; width /= 2) {
    const pick = (first: number): string =>
      shuffle(
        e,
        valueType('i32', width),
        current,
        'poison',
        Array.from({ length: width / 2 }, (_, lane) => 2 * lane + first),
      );
    current = e.define(`add ${llvmType(valueType('i32', width / 2))} ${pick(0)}, ${pick(1)}`);
  }
  return e.define(`add ${words} ${current}, ${acc}`);
}

/** The same bits as another type of the same width. */
export function bitcast(e: Emitter, from: ValueType, to: ValueType, x: string): string {
  const before = llvmType(from);
  const after = llvmType(to);
  return before === after ? x : e.define(`bitcast ${before} ${x} to ${after}`);
}
