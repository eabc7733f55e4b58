/**
 * Vector operations as SIMD128. A vector of any power of two lanes is a list of v128 parts (one, partly used, when it is smaller);
 * most operations are written part by part. What SIMD128 lacks goes lane by lane through the scalar operations.
 */
import type { BinaryOp, CompareOp, HorizontalOp, UnaryOp, Value } from '../ir/ir.ts';
import { isFloat, isUnsigned, type ScalarType } from '../ir/types.ts';
import { type FunctionBody, V128 } from './wasm-bytes.ts';
import {
  ARITHMETIC,
  compareLanes,
  byWidth,
  CONVERT,
  INTEGER,
  integerShape,
  type LaneShape,
  laneShape,
  SELECT,
  V_ABS,
  V_ADD,
  V_AND,
  V_BITSELECT,
  V_DIV,
  V_DOT16,
  V_EXTEND,
  V_EXTMUL8,
  V_EXTRACT,
  V_EXTRACT_UNSIGNED,
  V_FLOAT,
  V_LANESELECT,
  V_MADD,
  V_MAX,
  V_MIN,
  V_MUL,
  V_NARROW,
  V_NEG,
  V_NOT,
  V_OR,
  V_PAIRWISE_UNSIGNED,
  V_PMAX,
  V_PMIN,
  V_POPCOUNT8,
  V_RELAXED_DOT8,
  V_REPLACE,
  V_SHL,
  V_SHR_SIGNED,
  V_SHR_UNSIGNED,
  V_SPLAT,
  V_SUB,
  V_XOR,
  wasmType,
} from './wasm-opcodes.ts';
import { type Push, scalarBinary, scalarUnary } from './wasm-scalar.ts';

/** What the engine can do beyond SIMD128. */
export interface WasmFeatures {
  readonly relaxed: boolean;
  /** Relaxed multiply-add is one rounded operation here. */
  readonly fused: boolean;
  /** The relaxed int8 dot product takes all of u8 × i8 exactly here. */
  readonly exactDot: boolean;
}

/** What vector code needs of the renderer. */
export interface Emitter {
  readonly code: FunctionBody;
  readonly features: WasmFeatures;
  /** Pushes a part of a value. */
  push(value: Value, part: number): void;
  /** Pushes a part of a mask whose lanes are `bits` wide. */
  pushMask(value: Value, part: number, bits: number): void;
  /** A local that holds a part of a value. */
  hold(value: Value, part: number): number;
  bits(value: Value): number;
  parts(value: Value): number;
  /** A local that is given back at the end of the block. */
  local(type: number): number;
}

export const shapeOf = (scalar: ScalarType, bits: number): LaneShape =>
  scalar === 'bool' ? integerShape(bits) : laneShape[scalar];

/** Keeps the v128 on the stack in a new local. */
export function keep(e: Emitter): number {
  const local = e.local(V128);
  e.code.set(local);
  return local;
}

/** Pushes lane `lane` of a held part as a scalar. */
export function extractLane(c: FunctionBody, part: number, scalar: ScalarType, lane: number): void {
  const shape = shapeOf(scalar, 8);
  c.get(part);
  if ((shape === 'i8' || shape === 'i16') && scalar !== 'i8' && scalar !== 'i16')
    c.lane(V_EXTRACT_UNSIGNED[shape], lane);
  else c.lane(V_EXTRACT[shape], lane);
}

const lanesOfPart = (value: Value, bits: number): number => Math.min(value.type.lanes, 128 / bits);

/** Writes `scalar` for each lane of the part, from the lanes of the held operands. */
function laneByLane(e: Emitter, v: Value, part: number, one: (operands: readonly Push[]) => void): void {
  const { scalar } = v.type;
  const held = v.args.map((arg) => e.hold(arg, part));
  e.code.get(held[0]);
  for (let lane = 0; lane < lanesOfPart(v, e.bits(v)); lane++) {
    one(held.map((local, i) => () => extractLane(e.code, local, v.args[i].type.scalar, lane)));
    e.code.lane(V_REPLACE[shapeOf(scalar, e.bits(v))], lane);
  }
}

export function vectorUnary(e: Emitter, v: Value, part: number): void {
  const op = v.op as UnaryOp;
  const { scalar } = v.type;
  const bits = e.bits(v);
  const shape = shapeOf(scalar, bits);
  const [x] = v.args;
  switch (op) {
    case 'neg':
      e.push(x, part);
      e.code.op(V_NEG[shape]);
      return;
    case 'abs':
      e.push(x, part);
      if (!isUnsigned(scalar)) e.code.op(V_ABS[shape]);
      return;
    case 'not':
      if (scalar === 'bool') e.pushMask(x, part, bits);
      else e.push(x, part);
      e.code.op(V_NOT);
      return;
    case 'sqrt':
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
      e.push(x, part);
      if (shape === 'f32' || shape === 'f64') e.code.op(V_FLOAT[op][shape]);
      return;
    case 'popcount':
      if (shape === 'i64') return laneByLane(e, v, part, ([lane]) => scalarUnary(e.code, 'popcount', scalar, lane));
      e.push(x, part);
      e.code.op(V_POPCOUNT8);
      if (bits > 8) e.code.op(V_PAIRWISE_UNSIGNED[8]);
      if (bits > 16) e.code.op(V_PAIRWISE_UNSIGNED[16]);
      return;
    default:
      op satisfies never;
  }
}

/** An operation of two v128 on the stack; only what exists or can be composed without knowing the values. */
function combine(e: Emitter, op: 'add' | 'mul' | 'min' | 'max', scalar: ScalarType, left: Push, right: Push): void {
  const c = e.code;
  const shape = shapeOf(scalar, 8);
  const float = shape === 'f32' || shape === 'f64';
  switch (op) {
    case 'add':
      left();
      right();
      c.op(V_ADD[shape]);
      return;
    case 'mul': {
      if (shape !== 'i8') {
        left();
        right();
        c.op(V_MUL[shape]);
        return;
      }
      left();
      const a = keep(e);
      right();
      const b = keep(e);
      c.get(a).get(b).op(V_EXTMUL8.low).get(a).get(b).op(V_EXTMUL8.high);
      c.shuffle([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]);
      return;
    }
    case 'min':
    case 'max': {
      if (float) {
        // pmin(x, y) is y < x ? y : x.
        right();
        left();
        c.op((op === 'min' ? V_PMIN : V_PMAX)[shape]);
        return;
      }
      if (shape !== 'i64') {
        left();
        right();
        c.op((op === 'min' ? V_MIN : V_MAX)[isUnsigned(scalar) ? 'unsigned' : 'signed'][shape]);
        return;
      }
      left();
      const a = keep(e);
      right();
      const b = keep(e);
      c.get(a)
        .get(b)
        .get(a)
        .get(b)
        .op(compareLanes(op === 'min' ? 'lt' : 'gt', shape, false));
      select(e, 64);
      return;
    }
    default:
      op satisfies never;
  }
}

/** x where the mask is set, else y; the three are on the stack. */
export function select(e: Emitter, bits: number): void {
  e.code.op(e.features.relaxed ? byWidth(V_LANESELECT, bits) : V_BITSELECT);
}

export function vectorBinary(e: Emitter, v: Value, part: number): void {
  const op = v.op as BinaryOp;
  const c = e.code;
  const { scalar } = v.type;
  const bits = e.bits(v);
  const [a, b] = v.args;
  const both = (): void => {
    if (scalar === 'bool') {
      e.pushMask(a, part, bits);
      e.pushMask(b, part, bits);
    } else {
      e.push(a, part);
      e.push(b, part);
    }
  };
  switch (op) {
    case 'add':
    case 'mul':
    case 'min':
    case 'max':
      return combine(
        e,
        op,
        scalar,
        () => e.push(a, part),
        () => e.push(b, part),
      );
    case 'sub':
      both();
      c.op(V_SUB[shapeOf(scalar, bits)]);
      return;
    case 'and':
      both();
      c.op(V_AND);
      return;
    case 'or':
      both();
      c.op(V_OR);
      return;
    case 'xor':
      both();
      c.op(V_XOR);
      return;
    case 'div':
    case 'rem': {
      const shape = shapeOf(scalar, bits);
      if (shape === 'f32' || shape === 'f64') {
        both();
        c.op(V_DIV[shape]);
      } else
        laneByLane(e, v, part, ([x, y]) =>
          scalarBinary(c, op, scalar, x, y, b.op === 'const' ? Number(b.constant) : null),
        );
      return;
    }
    case 'shl':
    case 'shr': {
      if (b.op !== 'const' && b.op !== 'splat')
        return laneByLane(e, v, part, ([x, y]) => scalarBinary(c, op, scalar, x, y));
      e.push(a, part);
      if (b.op === 'const') c.i32(Number(b.constant) & (bits - 1));
      else {
        e.push(b, 0);
        c.lane(V_EXTRACT[integerShape(bits)], 0);
        if (bits === 64) c.op(CONVERT.wrap);
      }
      c.op(byWidth(op === 'shl' ? V_SHL : isUnsigned(scalar) ? V_SHR_UNSIGNED : V_SHR_SIGNED, bits));
      return;
    }
    default:
      op satisfies never;
  }
}

export function vectorCompare(e: Emitter, v: Value, part: number, op: CompareOp): void {
  const [a, b] = v.args;
  const { scalar } = a.type;
  const bits = e.bits(v);
  if (scalar === 'bool') {
    // As integers true is -1, below false.
    const [x, y] = op === 'eq' || op === 'ne' ? [a, b] : [b, a];
    e.pushMask(x, part, bits);
    e.pushMask(y, part, bits);
  } else {
    e.push(a, part);
    e.push(b, part);
  }
  e.code.op(compareLanes(op, shapeOf(scalar, bits), isUnsigned(scalar)));
}

export function vectorSelect(e: Emitter, v: Value, part: number): void {
  const bits = e.bits(v);
  const [mask, x, y] = v.args;
  if (v.type.scalar === 'bool') {
    e.pushMask(x, part, bits);
    e.pushMask(y, part, bits);
  } else {
    e.push(x, part);
    e.push(y, part);
  }
  e.pushMask(mask, part, bits);
  select(e, bits);
}

/** a·b + c on vectors; also for scalars (in lane 0), so that both round alike. */
export function multiplyAdd(e: Emitter, scalar: ScalarType, a: Push, b: Push, c: Push): void {
  const shape = shapeOf(scalar, 8);
  if ((shape === 'f32' || shape === 'f64') && e.features.relaxed) {
    a();
    b();
    c();
    e.code.op(V_MADD[shape]);
    return;
  }
  combine(e, 'mul', scalar, a, b);
  c();
  e.code.op(V_ADD[shape]);
}

export function splat(e: Emitter, v: Value): void {
  const [x] = v.args;
  e.push(x, 0);
  if (v.type.scalar === 'bool') {
    const flag = e.code.local(wasmType.i32);
    e.code.set(flag).i32(0).get(flag).op(ARITHMETIC.sub.i32).op(V_SPLAT.i32);
    e.code.release(flag);
  } else e.code.op(V_SPLAT[laneShape[v.type.scalar]]);
}

/** Pushes lane `lane` of a vector as a scalar. */
export function extract(e: Emitter, x: Value, lane: number): void {
  const bits = e.bits(x);
  const perPart = 128 / bits;
  const { scalar } = x.type;
  const part = e.hold(x, Math.floor(lane / perPart));
  if (scalar !== 'bool') return extractLane(e.code, part, scalar, lane % perPart);
  e.code.get(part).lane(V_EXTRACT[integerShape(bits)], lane % perPart);
  if (bits === 64) e.code.op(CONVERT.wrap);
  e.code.i32(1).op(INTEGER.and.i32);
}

/** The parts of a shuffle. Each is gathered from one source part after the other. */
export function shuffle(e: Emitter, v: Value): number[] {
  const c = e.code;
  const [a, b] = v.args;
  const bits = e.bits(v);
  const bytes = bits / 8;
  const perPart = 16 / bytes;
  const pattern = v.pattern ?? [];
  const source = (x: Value, part: number): number => {
    if (v.type.scalar !== 'bool') return e.hold(x, part);
    e.pushMask(x, part, bits);
    return keep(e);
  };
  const out: number[] = [];
  for (let start = 0; start < pattern.length; start += perPart) {
    const lanes = pattern.slice(start, start + perPart).map((p) => {
      const inA = p < a.type.lanes;
      const lane = inA ? p : p - a.type.lanes;
      return {
        key: `${inA ? 'a' : 'b'}${Math.floor(lane / perPart)}`,
        of: inA ? a : b,
        part: Math.floor(lane / perPart),
        lane: lane % perPart,
      };
    });
    const keys = [...new Set(lanes.map((l) => l.key))];
    const locals = new Map(
      keys.map((key) => {
        const one = lanes.find((l) => l.key === key) ?? lanes[0];
        return [key, source(one.of, one.part)];
      }),
    );
    /** Lanes that are in place already come from the first operand. */
    const step = (first: number, second: number, laneOf: (i: number) => number): number => {
      const order = new Uint8Array(16);
      for (let i = 0; i < perPart; i++) for (let k = 0; k < bytes; k++) order[i * bytes + k] = laneOf(i) * bytes + k;
      c.get(first).get(second).shuffle(order);
      return keep(e);
    };
    const first = locals.get(keys[0]) ?? 0;
    const second = locals.get(keys[1] ?? keys[0]) ?? first;
    let result = step(first, second, (i) =>
      lanes[i] === undefined
        ? 0
        : lanes[i].lane + (lanes[i].key === keys[0] ? 0 : lanes[i].key === keys[1] ? perPart : 0),
    );
    for (const key of keys.slice(2))
      result = step(result, locals.get(key) ?? 0, (i) => (lanes[i]?.key === key ? perPart + lanes[i].lane : i));
    out.push(result);
  }
  return out;
}

/** Pushes the combination of all lanes: halves with halves, down to one lane. */
export function horizontal(e: Emitter, v: Value): void {
  const c = e.code;
  const [x] = v.args;
  const { scalar } = v.type;
  const names: Record<HorizontalOp, 'add' | 'mul' | 'min' | 'max'> = {
    reduceAdd: 'add',
    reduceMul: 'mul',
    reduceMin: 'min',
    reduceMax: 'max',
  };
  const op = names[v.op as HorizontalOp];
  let parts = Array.from({ length: e.parts(x) }, (_, i) => e.hold(x, i));
  while (parts.length > 1) {
    const half = parts.length / 2;
    parts = parts.slice(0, half).map((low, i) => {
      combine(
        e,
        op,
        scalar,
        () => c.get(low),
        () => c.get(parts[i + half]),
      );
      return keep(e);
    });
  }
  const bytes = e.bits(x) / 8;
  let [result] = parts;
  for (let half = Math.min(x.type.lanes, 16 / bytes) / 2; half >= 1; half /= 2) {
    const order = Uint8Array.from({ length: 16 }, (_, i) => (i < half * bytes ? i + half * bytes : i));
    const low = result;
    combine(
      e,
      op,
      scalar,
      () => c.get(low),
      () => c.get(low).get(low).shuffle(order),
    );
    result = keep(e);
  }
  extractLane(c, result, scalar, 0);
}

/** acc + the sums of four products of adjacent u8 and i8 lanes. */
export function dot4(e: Emitter, v: Value, part: number): void {
  const c = e.code;
  const [acc, a, b] = v.args;
  const scalar = acc.type.lanes === 1;
  const pushAcc = (): void => {
    e.push(acc, part);
    if (scalar) c.op(V_SPLAT.i32);
  };
  if (e.features.exactDot) {
    e.push(b, part);
    e.push(a, part);
    pushAcc();
    c.op(V_RELAXED_DOT8);
  } else {
    const x = e.hold(a, part);
    const y = e.hold(b, part);
    const pairs = (half: 'low' | 'high'): number => {
      c.get(x).op(V_EXTEND.unsigned[half][8]).get(y).op(V_EXTEND.signed[half][8]).op(V_DOT16);
      return keep(e);
    };
    const low = pairs('low');
    const high = pairs('high');
    const every = (first: number): number[] =>
      [0, 1, 2, 3].flatMap((i) => [0, 1, 2, 3].map((k) => 8 * i + 4 * first + k));
    pushAcc();
    c.get(low).get(high).shuffle(every(0)).op(V_ADD.i32);
    c.get(low).get(high).shuffle(every(1)).op(V_ADD.i32);
  }
  if (scalar) c.lane(V_EXTRACT.i32, 0);
}

/** Pushes a part of a mask as lanes of `to` bits, from parts of `from` bits that `source` pushes. */
export function convertMask(
  c: FunctionBody,
  from: number,
  to: number,
  parts: number,
  part: number,
  source: (part: number) => void,
): void {
  if (from === to) return source(part);
  if (from < to) {
    convertMask(c, from, to / 2, parts, part >> 1, source);
    c.op(V_EXTEND.signed[part % 2 === 0 ? 'low' : 'high'][(to / 2) as 8 | 16 | 32]);
    return;
  }
  // Two parts of twice the width make one; a lone part is its own neighbour.
  const wider = (p: number): void =>
    convertMask(c, from, 2 * to, parts, Math.min(p, Math.max(0, (parts * (2 * to)) / from - 1)), source);
  wider(2 * part);
  wider(2 * part + 1);
  if (to === 32) c.shuffle([0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
  else c.op(V_NARROW.signed[(2 * to) as 16 | 32]);
}

/** Pushes a·b + c for scalars. */
export function scalarMultiplyAdd(e: Emitter, scalar: ScalarType, a: Push, b: Push, c: Push): void {
  if (isFloat(scalar) && e.features.relaxed) {
    const shape = laneShape[scalar === 'f64' ? 'f64' : 'f32'];
    const lift = (push: Push) => (): void => {
      push();
      e.code.op(V_SPLAT[shape]);
    };
    multiplyAdd(e, scalar, lift(a), lift(b), lift(c));
    e.code.lane(V_EXTRACT[shape], 0);
    return;
  }
  scalarBinary(e.code, 'mul', scalar, a, b);
  scalarBinary(e.code, 'add', scalar, () => {}, c);
}

/** Pushes x where the condition holds, else y. */
export function scalarSelect(e: Emitter, condition: Push, x: Push, y: Push): void {
  x();
  y();
  condition();
  e.code.op(SELECT);
}
