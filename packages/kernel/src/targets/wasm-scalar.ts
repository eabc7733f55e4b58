/**
 * Scalar operations as WebAssembly. Operands are given as functions that push them, each is pushed once. Narrow integers lie on the stack
 * as i32, extended as their sign says, so every operation that can leave their range wraps its result.
 */
import type { BinaryOp, CompareOp, UnaryOp } from '../ir/ir.ts';
import { isFloat, isUnsigned, type ScalarType } from '../ir/types.ts';
import type { FunctionBody } from './wasm-bytes.ts';
import {
  ARITHMETIC,
  COMPARE,
  CONVERT,
  DIVIDE,
  EQZ,
  EXTEND16,
  EXTEND8,
  FLOAT,
  INTEGER,
  laneBits,
  SELECT,
  stackType,
  wasmType,
} from './wasm-opcodes.ts';

export type Push = () => void;

/** Pushes `value` as an integer constant of the type on the stack. */
function integerConstant(c: FunctionBody, type: 'i32' | 'i64', value: number): void {
  if (type === 'i32') c.i32(value);
  else c.i64(BigInt(value));
}

/** Brings an i32 back into the range of a narrow type. */
export function wrap(c: FunctionBody, scalar: ScalarType): void {
  switch (scalar) {
    case 'i8':
      c.op(EXTEND8);
      return;
    case 'i16':
      c.op(EXTEND16);
      return;
    case 'u8':
      c.i32(0xff).op(INTEGER.and.i32);
      return;
    case 'u16':
    case 'f16':
    case 'bf16':
      c.i32(0xffff).op(INTEGER.and.i32);
      return;
    case 'bool':
    case 'i32':
    case 'u32':
    case 'i64':
    case 'f32':
    case 'f64':
    case 'index':
      return;
    default:
      scalar satisfies never;
  }
}

function kept(c: FunctionBody, scalar: ScalarType, push: Push): number {
  push();
  const local = c.local(wasmType[stackType[scalar]]);
  c.set(local);
  return local;
}

export function scalarUnary(c: FunctionBody, op: UnaryOp, scalar: ScalarType, x: Push): void {
  const type = stackType[scalar];
  if (type === 'f32' || type === 'f64') {
    if (op === 'not' || op === 'popcount') throw new TypeError(`${op} on ${scalar}`);
    x();
    c.op(FLOAT[op][type]);
    return;
  }
  switch (op) {
    case 'neg':
      integerConstant(c, type, 0);
      x();
      c.op(ARITHMETIC.sub[type]);
      wrap(c, scalar);
      return;
    case 'abs': {
      if (isUnsigned(scalar) || scalar === 'bool') return x();
      const value = kept(c, scalar, x);
      const sign = c.local(wasmType[type]);
      c.get(value);
      integerConstant(c, type, type === 'i32' ? 31 : 63);
      c.op(INTEGER.shrSigned[type]).tee(sign).get(value).op(INTEGER.xor[type]).get(sign).op(ARITHMETIC.sub[type]);
      wrap(c, scalar);
      c.release(value);
      c.release(sign);
      return;
    }
    case 'not':
      x();
      if (scalar === 'bool') c.op(EQZ.i32);
      else {
        integerConstant(c, type, -1);
        c.op(INTEGER.xor[type]);
        if (isUnsigned(scalar)) wrap(c, scalar);
      }
      return;
    case 'popcount':
      x();
      if (laneBits(scalar) < 32) c.i32((1 << laneBits(scalar)) - 1).op(INTEGER.and.i32);
      c.op(INTEGER.popcount[type]);
      return;
    case 'sqrt':
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
      return x();
    default:
      op satisfies never;
  }
}

/** `divisor`: its value where it is a constant. */
export function scalarBinary(
  c: FunctionBody,
  op: BinaryOp,
  scalar: ScalarType,
  a: Push,
  b: Push,
  divisor: number | null = null,
): void {
  const type = stackType[scalar];
  switch (op) {
    case 'add':
    case 'sub':
    case 'mul':
      a();
      b();
      c.op(ARITHMETIC[op][type]);
      wrap(c, scalar);
      return;
    case 'div':
    case 'rem':
      if (type === 'f32' || type === 'f64') {
        a();
        b();
        c.op(DIVIDE[type]);
      } else integerDivision(c, op, scalar, type, a, b, divisor);
      return;
    case 'min':
    case 'max': {
      const left = kept(c, scalar, a);
      const right = kept(c, scalar, b);
      c.get(left).get(right).get(left).get(right);
      scalarCompare(c, op === 'min' ? 'lt' : 'gt', scalar);
      c.op(SELECT);
      c.release(left);
      c.release(right);
      return;
    }
    case 'and':
    case 'or':
    case 'xor':
      a();
      b();
      c.op(INTEGER[op][type === 'i64' ? 'i64' : 'i32']);
      return;
    case 'shl':
    case 'shr': {
      const wide = type === 'i64' ? 'i64' : 'i32';
      a();
      b();
      if (laneBits(scalar) < 32) c.i32(laneBits(scalar) - 1).op(INTEGER.and.i32);
      c.op(INTEGER[op === 'shl' ? 'shl' : isUnsigned(scalar) ? 'shrUnsigned' : 'shrSigned'][wide]);
      if (op === 'shl') wrap(c, scalar);
      return;
    }
    default:
      op satisfies never;
  }
}

/** WebAssembly traps on x / 0 and on the lowest number / -1: such divisors are replaced, so that the one gives something and the other wraps. */
function integerDivision(
  c: FunctionBody,
  op: 'div' | 'rem',
  scalar: ScalarType,
  type: 'i32' | 'i64',
  a: Push,
  b: Push,
  divisor: number | null,
): void {
  const opcode = INTEGER[`${op}${isUnsigned(scalar) ? 'Unsigned' : 'Signed'}`][type];
  if (divisor !== null && divisor !== 0 && divisor !== -1) {
    a();
    b();
    c.op(opcode);
    return;
  }
  const left = kept(c, scalar, a);
  const right = kept(c, scalar, b);
  const one = (): void => integerConstant(c, type, 1);
  if (isUnsigned(scalar)) {
    c.get(left);
    one();
    c.get(right).get(right).op(EQZ[type]).op(SELECT).op(opcode);
  } else {
    // 1 in place of 0 and -1; for -1 the quotient is the negative.
    const negative = (): void => {
      c.get(right);
      integerConstant(c, type, -1);
      c.op(COMPARE.eq[type]);
    };
    if (op === 'div') {
      integerConstant(c, type, 0);
      c.get(left).op(ARITHMETIC.sub[type]);
    }
    c.get(left);
    one();
    c.get(right).get(right);
    one();
    c.op(ARITHMETIC.add[type]);
    integerConstant(c, type, 2);
    c.op(COMPARE.lt[type] + 1)
      .op(SELECT)
      .op(opcode);
    if (op === 'div') {
      negative();
      c.op(SELECT);
    }
  }
  wrap(c, scalar);
  c.release(left);
  c.release(right);
}

/** Compares the two values on the stack. */
export function scalarCompare(c: FunctionBody, op: CompareOp, scalar: ScalarType): void {
  const type = stackType[scalar];
  const unsigned = scalar === 'u32' && op !== 'eq' && op !== 'ne';
  c.op(COMPARE[op][type] + (unsigned ? 1 : 0));
}

/** Casts between the types that are not f16, bf16 (those go through vectors). */
export function scalarCast(c: FunctionBody, from: ScalarType, to: ScalarType, x: Push): void {
  const source = stackType[from];
  const target = stackType[to];
  x();
  if (to === 'bool') {
    if (source === 'f32') c.f32(0).op(COMPARE.ne.f32);
    else if (source === 'f64') c.f64(0).op(COMPARE.ne.f64);
    else c.op(EQZ[source]).op(EQZ.i32);
    return;
  }
  if (source === 'f32' || source === 'f64') {
    if (target === 'f32' || target === 'f64') {
      if (source !== target) c.op(target === 'f32' ? CONVERT.demote : CONVERT.promote);
    } else if (target === 'i64') c.op(CONVERT.toInteger[source].i64);
    else if (to === 'u32') c.op(CONVERT.toInteger[source].unsigned);
    else {
      c.op(CONVERT.toInteger[source].signed);
      if (laneBits(to) < 32) clamp(c, to);
    }
    return;
  }
  if (target === 'f32' || target === 'f64') {
    c.op(CONVERT.toFloat[target][source === 'i64' ? 'i64' : from === 'u32' ? 'unsigned' : 'signed']);
    return;
  }
  if (source === 'i64' && target === 'i32') c.op(CONVERT.wrap);
  if (source === 'i32' && target === 'i64') c.op(from === 'u32' ? CONVERT.extendUnsigned : CONVERT.extendSigned);
  if (target === 'i32' && (source === 'i64' || !fits(from, to))) wrap(c, to);
}

function fits(from: ScalarType, to: ScalarType): boolean {
  if (from === 'bool' || from === to) return true;
  return laneBits(from) < laneBits(to) && (isUnsigned(from) || !isUnsigned(to));
}

/** Saturates an i32 to a narrow integer type. */
function clamp(c: FunctionBody, scalar: ScalarType): void {
  const bits = laneBits(scalar);
  const [low, high] = isUnsigned(scalar) ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const value = c.local(wasmType.i32);
  c.set(value);
  c.i32(low).get(value).get(value).i32(low).op(COMPARE.lt.i32).op(SELECT).set(value);
  c.i32(high).get(value).get(value).i32(high).op(COMPARE.gt.i32).op(SELECT);
  c.release(value);
}

/** The same bits as another scalar type. */
export function scalarBitcast(c: FunctionBody, from: ScalarType, to: ScalarType, x: Push): void {
  const source = stackType[from];
  const target = stackType[to];
  x();
  if (source === target) {
    if (to === 'bool') c.i32(0).op(COMPARE.ne.i32);
    else if (!isFloat(to) || to === 'f16' || to === 'bf16') wrap(c, to);
    return;
  }
  if (source === 'f32') c.op(CONVERT.bitsOfF32);
  else if (source === 'f64') c.op(CONVERT.bitsOfF64);
  else if (target === 'f32') c.op(CONVERT.f32OfBits);
  else if (target === 'f64') c.op(CONVERT.f64OfBits);
  else c.op(source === 'i64' ? CONVERT.wrap : CONVERT.extendSigned);
}
