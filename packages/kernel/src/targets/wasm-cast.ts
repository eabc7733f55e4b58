/**
 * Casts of vectors. A cast takes all parts of its operand and gives all parts of its result, by steps that each change one thing: the
 * width of integers, integer to float, float to float. f16 and bf16 are converted in 32-bit integer lanes (the half-precision bit tricks
 * are those of Fabian Giesen, public domain).
 */
import type { Value } from '../ir/ir.ts';
import { isUnsigned, type ScalarType } from '../ir/types.ts';
import { V128 } from './wasm-bytes.ts';
import {
  compareLanes,
  INTEGER,
  laneBits,
  laneShape,
  V_ABS,
  V_ADD,
  V_AND,
  V_ANY_TRUE,
  V_DEMOTE,
  V_EXTEND,
  V_EXTRACT,
  V_FLOAT,
  V_MUL,
  V_NARROW,
  V_NOT,
  V_OR,
  V_PROMOTE,
  V_REPLACE,
  V_SHL,
  V_SHR_UNSIGNED,
  V_SPLAT,
  V_SUB,
  V_TO_F32,
  V_TO_F64,
  V_TRUNC_F32,
  V_TRUNC_F64,
  V_XOR,
} from './wasm-opcodes.ts';
import { scalarCast } from './wasm-scalar.ts';
import { integerLanes } from './wasm-constants.ts';
import { type Emitter, extractLane, keep, select } from './wasm-vector.ts';

type Parts = readonly number[];
type Width = 8 | 16 | 32;

const halfFormat = (scalar: ScalarType): scalar is 'f16' | 'bf16' => scalar === 'f16' || scalar === 'bf16';
const partsFor = (lanes: number, bits: number): number => Math.max(1, (lanes * bits) / 128);

/** The parts of `cast(v)`, in new locals. */
export function castVector(e: Emitter, v: Value): number[] {
  const [x] = v.args;
  const from = x.type.scalar;
  const to = v.type.scalar;
  const { lanes } = v.type;
  if (from === 'bool') return fromMask(e, v, x);
  const parts = Array.from({ length: e.parts(x) }, (_, i) => e.hold(x, i));
  if (to === 'bool') return notZero(e, halfFormat(from) ? masked(e, parts, 16, 0x7fffn) : parts, from);
  return castParts(e, parts, lanes, from, to);
}

/** Pushes a part of a cast that changes neither the width nor the order of lanes. */
export function castInPlace(e: Emitter, v: Value, part: number): void {
  const [x] = v.args;
  const to = v.type.scalar;
  e.push(x, part);
  if (x.type.scalar === 'f32') e.code.op(V_TRUNC_F32[to === 'u32' ? 'unsigned' : 'signed']);
  else if (to === 'f32') e.code.op(V_TO_F32[x.type.scalar === 'u32' ? 'unsigned' : 'signed']);
}

/** A cast of a scalar from or to f16 and bf16: as a vector of one lane. */
export function castHalfScalar(e: Emitter, from: ScalarType, to: ScalarType, push: () => void): void {
  const c = e.code;
  const source = from === 'bool' ? 'i32' : from;
  push();
  c.op(V_SPLAT[laneShape[source]]);
  let parts: number[] = [keep(e)];
  if (to === 'bool') {
    parts = notZero(e, masked(e, parts, 16, 0x7fffn), source);
    c.get(parts[0]).lane(V_EXTRACT.i32, 0).i32(1).op(INTEGER.and.i32);
    return;
  }
  parts = castParts(e, parts, 1, source, to);
  extractLane(c, parts[0], to, 0);
}

function castParts(e: Emitter, parts: Parts, lanes: number, from: ScalarType, to: ScalarType): number[] {
  if (from === to) return [...parts];
  if (halfFormat(from)) return castParts(e, fromHalf(e, parts, lanes, from), lanes, 'f32', to);
  if (halfFormat(to)) return toHalf(e, castParts(e, parts, lanes, from, 'f32'), lanes, to);
  const fromFloat = from === 'f32' || from === 'f64';
  const toFloat = to === 'f32' || to === 'f64';
  if (fromFloat && toFloat)
    return from === 'f32' ? promote(e, parts, lanes, V_PROMOTE) : demote(e, parts, lanes, V_DEMOTE);
  if (from === 'i64' && to === 'f64') return each(e, parts, (p) => longToDouble(e, p));
  if (from === 'i64' && to === 'f32') return longToFloat(e, parts, lanes);
  if (from === 'f32' && to === 'i64') return castParts(e, promote(e, parts, lanes, V_PROMOTE), lanes, 'f64', 'i64');
  if (from === 'f64' && to === 'i64') return doubleToLong(e, parts, lanes);
  if (toFloat) {
    const wide = resize(e, parts, lanes, laneBits(from), 32, isUnsigned(from));
    const sign = from === 'u32' ? 'unsigned' : 'signed';
    return to === 'f32'
      ? each(e, wide, (p) => e.code.get(p).op(V_TO_F32[sign]))
      : promote(e, wide, lanes, V_TO_F64[sign]);
  }
  if (fromFloat) {
    const sign = to === 'u32' ? 'unsigned' : 'signed';
    const words =
      from === 'f32'
        ? each(e, parts, (p) => e.code.get(p).op(V_TRUNC_F32[sign]))
        : demote(e, parts, lanes, V_TRUNC_F64[sign]);
    return laneBits(to) === 32 ? words : saturate(e, words, lanes, to);
  }
  return resize(e, parts, lanes, laneBits(from), laneBits(to), isUnsigned(from));
}

function each(e: Emitter, parts: Parts, write: (part: number) => void): number[] {
  return parts.map((part) => {
    write(part);
    return keep(e);
  });
}

/** Integers of another width: extended as the sign of the source says, or cut. */
function resize(e: Emitter, parts: Parts, lanes: number, from: number, to: number, unsigned: boolean): number[] {
  const c = e.code;
  if (from === to) return [...parts];
  if (from < to) {
    const wider = Array.from({ length: partsFor(lanes, 2 * from) }, (_, i) => {
      c.get(parts[i >> 1]).op(V_EXTEND[unsigned ? 'unsigned' : 'signed'][i % 2 === 0 ? 'low' : 'high'][from as Width]);
      return keep(e);
    });
    return resize(e, wider, lanes, 2 * from, to, unsigned);
  }
  const bytes = from / 16;
  const order = Uint8Array.from({ length: 16 }, (_, i) => Math.floor(i / bytes) * 2 * bytes + (i % bytes));
  const narrower = Array.from({ length: partsFor(lanes, from / 2) }, (_, i) => {
    c.get(parts[2 * i])
      .get(parts[2 * i + 1] ?? parts[2 * i])
      .shuffle(order);
    return keep(e);
  });
  return resize(e, narrower, lanes, from / 2, to, unsigned);
}

/** i32 lanes to a narrow integer type, saturating. */
function saturate(e: Emitter, parts: Parts, lanes: number, to: ScalarType): number[] {
  const c = e.code;
  const narrow = (list: Parts, opcode: number, bits: number): number[] =>
    Array.from({ length: partsFor(lanes, bits) }, (_, i) => {
      c.get(list[2 * i])
        .get(list[2 * i + 1] ?? list[2 * i])
        .op(opcode);
      return keep(e);
    });
  if (laneBits(to) === 16) return narrow(parts, V_NARROW[isUnsigned(to) ? 'unsigned' : 'signed'][32], 16);
  return narrow(narrow(parts, V_NARROW.signed[32], 16), V_NARROW[isUnsigned(to) ? 'unsigned' : 'signed'][16], 8);
}

/** 32-bit lanes to 64-bit ones by an instruction that takes the low two. */
function promote(e: Emitter, parts: Parts, lanes: number, opcode: number): number[] {
  return Array.from({ length: partsFor(lanes, 64) }, (_, i) => {
    const c = e.code.get(parts[i >> 1]);
    if (i % 2 === 1) c.get(parts[i >> 1]).shuffle([8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
    c.op(opcode);
    return keep(e);
  });
}

/** 64-bit lanes to 32-bit ones by an instruction that gives the low two. */
function demote(e: Emitter, parts: Parts, lanes: number, opcode: number): number[] {
  return Array.from({ length: partsFor(lanes, 32) }, (_, i) => {
    const c = e.code.get(parts[2 * i]).op(opcode);
    if (parts[2 * i + 1] !== undefined)
      c.get(parts[2 * i + 1])
        .op(opcode)
        .shuffle([0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
    return keep(e);
  });
}

/** Through scalars: what SIMD128 has no instruction for. */
function lanewise(e: Emitter, parts: Parts, lanes: number, from: ScalarType, to: ScalarType): number[] {
  const c = e.code;
  const perSource = 128 / laneBits(from);
  const perTarget = 128 / laneBits(to);
  return Array.from({ length: partsFor(lanes, laneBits(to)) }, (_, part) => {
    c.hoisted(integerLanes(8, 0n));
    for (let lane = 0; lane < Math.min(lanes, perTarget); lane++) {
      const at = part * perTarget + lane;
      scalarCast(c, from, to, () => extractLane(c, parts[Math.floor(at / perSource)], from, at % perSource));
      c.lane(V_REPLACE[laneShape[to === 'bool' ? 'u8' : to]], lane);
    }
    return keep(e);
  });
}

/** Pushes i64 lanes as f64: the halves become mantissas of 2^84 and 2^52, whose offsets cancel; only the last sum rounds. */
function longToDouble(e: Emitter, p: number): void {
  const c = e.code;
  c.get(p).i32(32).op(V_SHR_UNSIGNED[64]).hoisted(integerLanes(64, 0x4530000080000000n)).op(V_XOR);
  c.hoisted(integerLanes(64, 0x4530000080100000n)).op(V_SUB.f64);
  c.get(p)
    .hoisted(integerLanes(64, 0xffffffffn))
    .op(V_AND)
    .hoisted(integerLanes(64, 0x4330000000000000n))
    .op(V_OR)
    .op(V_ADD.f64);
}

/** i64 to f32 through f64 where that is exact, which is nearly always, else lane by lane. */
function longToFloat(e: Emitter, parts: Parts, lanes: number): number[] {
  const large = (p: number): void => {
    e.code
      .get(p)
      .hoisted(integerLanes(64, 2n ** 53n))
      .op(V_ADD.i64)
      .i32(54)
      .op(V_SHR_UNSIGNED[64]);
  };
  return unless(
    e,
    parts,
    large,
    () => lanewise(e, parts, lanes, 'i64', 'f32'),
    () =>
      demote(
        e,
        each(e, parts, (p) => longToDouble(e, p)),
        lanes,
        V_DEMOTE,
      ),
  );
}

/** f64 to i64: below 2^51 a sum with 1.5·2^52 leaves the integer in the mantissa; else lane by lane. */
function doubleToLong(e: Emitter, parts: Parts, lanes: number): number[] {
  const magic = integerLanes(64, 0x4338000000000000n);
  const large = (p: number): void => {
    e.code
      .get(p)
      .op(V_ABS.f64)
      .hoisted(integerLanes(64, 0x4320000000000000n))
      .op(compareLanes('lt', 'f64', false))
      .op(V_NOT);
  };
  const fast = (): number[] =>
    each(e, parts, (p) =>
      e.code.get(p).op(V_FLOAT.trunc.f64).hoisted(magic).op(V_ADD.f64).hoisted(magic).op(V_SUB.i64),
    );
  return unless(e, parts, large, () => lanewise(e, parts, lanes, 'f64', 'i64'), fast);
}

/** `slow` where some bit of what `test` pushes for the parts is set, else `fast`; both give as many parts. */
function unless(
  e: Emitter,
  parts: Parts,
  test: (part: number) => void,
  slow: () => number[],
  fast: () => number[],
): number[] {
  const c = e.code;
  parts.forEach((part, i) => {
    test(part);
    if (i > 0) c.op(V_OR);
  });
  c.op(V_ANY_TRUE).if();
  const rare = slow();
  const results = rare.map((local) => {
    const result = e.local(V128);
    c.get(local).set(result);
    return result;
  });
  c.else();
  fast().forEach((local, i) => c.get(local).set(results[i]));
  c.end();
  return results;
}

/** Masks to numbers: the bits of one where the lane is set. */
function fromMask(e: Emitter, v: Value, mask: Value): number[] {
  const to = v.type.scalar;
  const bits = laneBits(to);
  const ones: Partial<Record<ScalarType, bigint>> = {
    f32: 0x3f800000n,
    f64: 0x3ff0000000000000n,
    f16: 0x3c00n,
    bf16: 0x3f80n,
  };
  return Array.from({ length: partsFor(v.type.lanes, bits) }, (_, part) => {
    e.pushMask(mask, part, bits);
    e.code.hoisted(integerLanes(bits, ones[to] ?? 1n)).op(V_AND);
    return keep(e);
  });
}

/** Numbers to masks of the same width. */
function notZero(e: Emitter, parts: Parts, from: ScalarType): number[] {
  const shape = from === 'bool' ? 'i8' : laneShape[from];
  return each(e, parts, (part) =>
    e.code
      .get(part)
      .hoisted(integerLanes(8, 0n))
      .op(compareLanes('ne', shape, false)),
  );
}

const masked = (e: Emitter, parts: Parts, bits: number, bitMask: bigint): number[] =>
  each(e, parts, (part) => e.code.get(part).hoisted(integerLanes(bits, bitMask)).op(V_AND));

function fromHalf(e: Emitter, parts: Parts, lanes: number, from: 'f16' | 'bf16'): number[] {
  const c = e.code;
  const words = resize(e, parts, lanes, 16, 32, true);
  if (from === 'bf16') return each(e, words, (p) => c.get(p).i32(16).op(V_SHL[32]));
  return each(e, words, (p) => {
    const bits = e.local(V128);
    c.get(p).hoisted(integerLanes(32, 0x7fffn)).op(V_AND).i32(13).op(V_SHL[32]).tee(bits);
    // The exponent is moved by a product, which also normalises subnormal numbers; infinity and NaN get all bits of the exponent.
    c.hoisted(integerLanes(32, 0x77800000n)).op(V_MUL.f32);
    c.get(bits)
      .hoisted(integerLanes(32, 0x0f7fffffn))
      .op(compareLanes('gt', 'i32', false))
      .hoisted(integerLanes(32, 0x7f800000n))
      .op(V_AND)
      .op(V_OR);
    c.get(p).hoisted(integerLanes(32, 0x8000n)).op(V_AND).i32(16).op(V_SHL[32]).op(V_OR);
  });
}

function toHalf(e: Emitter, parts: Parts, lanes: number, to: 'f16' | 'bf16'): number[] {
  const c = e.code;
  const words = each(e, parts, (p) => (to === 'f16' ? roundToF16(e, p) : roundToBf16(e, p)));
  const narrow = Array.from({ length: partsFor(lanes, 16) }, (_, i) => {
    c.get(words[2 * i])
      .get(words[2 * i + 1] ?? words[2 * i])
      .op(V_NARROW.unsigned[32]);
    return keep(e);
  });
  return narrow;
}

/** Pushes the bf16 bits of f32 lanes, rounded to nearest even; NaN stays NaN. */
function roundToBf16(e: Emitter, p: number): void {
  const c = e.code;
  c.hoisted(integerLanes(32, 0x7fc0n));
  c.get(p)
    .get(p)
    .i32(16)
    .op(V_SHR_UNSIGNED[32])
    .hoisted(integerLanes(32, 1n))
    .op(V_AND)
    .op(V_ADD.i32)
    .hoisted(integerLanes(32, 0x7fffn))
    .op(V_ADD.i32)
    .i32(16)
    .op(V_SHR_UNSIGNED[32]);
  c.get(p)
    .get(p)
    .op(compareLanes('ne', 'f32', false));
  select(e, 32);
}

/** Pushes the f16 bits of f32 lanes, rounded to nearest even; NaN stays NaN, what is too large becomes infinite. */
function roundToF16(e: Emitter, p: number): void {
  const c = e.code;
  const word = (value: bigint): Uint8Array => integerLanes(32, value);
  const magnitude = e.local(V128);
  c.get(p).hoisted(word(0x7fffffffn)).op(V_AND).set(magnitude);
  const overflow = e.local(V128);
  c.hoisted(word(0x7e00n))
    .hoisted(word(0x7c00n))
    .get(magnitude)
    .hoisted(word(0x7f800000n))
    .op(compareLanes('gt', 'i32', false));
  select(e, 32);
  c.set(overflow);
  const normal = e.local(V128);
  c.get(magnitude).get(magnitude).i32(13).op(V_SHR_UNSIGNED[32]).hoisted(word(1n)).op(V_AND).op(V_ADD.i32);
  c.hoisted(word(0xc8000fffn)).op(V_ADD.i32).i32(13).op(V_SHR_UNSIGNED[32]).set(normal);
  // Subnormal results: adding 0.5 puts the last bit that f16 has at the end of the f32 mantissa, so the sum rounds as it should.
  const subnormal = e.local(V128);
  c.get(magnitude).hoisted(word(0x3f000000n)).op(V_ADD.f32).hoisted(word(0x3f000000n)).op(V_SUB.i32).set(subnormal);
  c.get(overflow);
  c.get(subnormal)
    .get(normal)
    .hoisted(word(0x38800000n))
    .get(magnitude)
    .op(compareLanes('gt', 'i32', false));
  select(e, 32);
  c.get(magnitude)
    .hoisted(word(0x477fffffn))
    .op(compareLanes('gt', 'i32', false));
  select(e, 32);
  c.get(p).i32(16).op(V_SHR_UNSIGNED[32]).hoisted(word(0x8000n)).op(V_AND).op(V_OR);
}
