/**
 * Memory access as WebAssembly. Whole parts are one instruction; masked ones are too when all lanes are on, else lane by lane, so that
 * lanes that are off never touch memory. Gathers and scatters go lane by lane.
 */
import type { Memory, Scatter, Store, Value } from '../ir/ir.ts';
import { SCALARS } from '../ir/types.ts';
import type { Address } from './wasm-address.ts';
import { I32, V128 } from './wasm-bytes.ts';
import {
  byWidth,
  compareLanes,
  COMPARE,
  CONVERT,
  INTEGER,
  laneBits,
  LOAD,
  stackType,
  STORE,
  V_ADD,
  V_ALL_TRUE,
  V_AND,
  V_BITMASK,
  V_EXTRACT,
  V_LOAD,
  V_LOAD32_ZERO,
  V_LOAD64_ZERO,
  V_LOAD_LANE,
  V_LOAD_SPLAT,
  V_REPLACE,
  V_SHL,
  V_SPLAT,
  V_STORE,
  V_STORE_LANE,
  wasmType,
} from './wasm-opcodes.ts';
import { integerLanes } from './wasm-constants.ts';
import { type Emitter, extractLane, keep } from './wasm-vector.ts';

/** What memory code needs beside the vector code's view of the renderer. */
export interface MemoryEmitter extends Emitter {
  addressOf(key: Value | Store | Scatter): Address;
  pushAddress(address: Address): void;
}

const memoryOf = (v: Value): Memory => {
  if (v.memory === undefined) throw new TypeError(`${v.op} without memory`);
  return v.memory;
};
const logOf = (bytes: number): number => 31 - Math.clz32(bytes);
const ZERO = integerLanes(8, 0n);

/** Memory whose elements are as wide as the lanes; elements of `index` are 8 bytes of which 4 are used. */
const dense = (memory: Memory): boolean => memory.element !== 'index';

export function loadScalar(e: MemoryEmitter, v: Value): void {
  const memory = memoryOf(v);
  const address = e.addressOf(v);
  const type = stackType[memory.element];
  const load = (): void => {
    e.pushAddress(address);
    e.code.memory(
      LOAD[memory.element],
      memory.element === 'index' ? 2 : logOf(SCALARS[memory.element].bytes),
      address.offset,
    );
    if (memory.element === 'bool') e.code.i32(0).op(COMPARE.ne.i32);
  };
  if (v.args.length < 2) return load();
  const pointer = holdAddress(e, address);
  e.push(v.args[1], 0);
  e.code.if(wasmType[type]);
  e.code
    .get(pointer)
    .memory(
      LOAD[memory.element],
      memory.element === 'index' ? 2 : logOf(SCALARS[memory.element].bytes),
      address.offset,
    );
  if (memory.element === 'bool') e.code.i32(0).op(COMPARE.ne.i32);
  e.code.else();
  pushZero(e, type);
  e.code.end();
}

function pushZero(e: Emitter, kind: 'i32' | 'i64' | 'f32' | 'f64'): void {
  switch (kind) {
    case 'i32':
      e.code.i32(0);
      return;
    case 'i64':
      e.code.i64(0n);
      return;
    case 'f32':
      e.code.f32(0);
      return;
    case 'f64':
      e.code.f64(0);
      return;
    default:
      kind satisfies never;
  }
}

/** The address without its offset, in a local. */
function holdAddress(e: MemoryEmitter, address: Address): number {
  e.pushAddress(address);
  const local = e.local(I32);
  e.code.set(local);
  return local;
}

/** A scalar load that fills all lanes, where one instruction does it. */
export function loadSplat(e: MemoryEmitter, load: Value): boolean {
  const memory = memoryOf(load);
  if (load.args.length > 1 || memory.element === 'bool' || !dense(memory)) return false;
  const address = e.addressOf(load);
  e.pushAddress(address);
  e.code.memory(byWidth(V_LOAD_SPLAT, laneBits(memory.element)), logOf(SCALARS[memory.element].bytes), address.offset);
  return true;
}

/** Bytes to a mask of bytes. */
function toMask(e: Emitter): void {
  e.code.hoisted(ZERO).op(compareLanes('ne', 'i8', false));
}

/** Pushes part `part` of an unmasked vector load. */
export function loadVector(e: MemoryEmitter, v: Value, part: number): void {
  const memory = memoryOf(v);
  const address = e.addressOf(v);
  const bits = laneBits(memory.element);
  const lanes = Math.min(v.type.lanes, 128 / bits);
  if (!dense(memory)) {
    const pointer = holdAddress(e, address);
    e.code.hoisted(ZERO);
    for (let lane = 0; lane < lanes; lane++)
      e.code
        .get(pointer)
        .memory(LOAD.index, 2, address.offset + 8 * (part * lanes + lane))
        .lane(V_REPLACE.i32, lane);
    return;
  }
  const offset = address.offset + 16 * part;
  const alignment = logOf(SCALARS[memory.element].bytes);
  const bytes = (lanes * bits) / 8;
  if (bytes < 4) {
    e.pushAddress(address);
    e.code.hoisted(ZERO).memoryLane(V_LOAD_LANE[16], alignment, offset, 0);
  } else {
    e.pushAddress(address);
    e.code.memory(bytes === 16 ? V_LOAD : bytes === 8 ? V_LOAD64_ZERO : V_LOAD32_ZERO, alignment, offset);
  }
  if (memory.element === 'bool') toMask(e);
}

/** One bit a lane of part `part` of a mask, in a local. */
function maskBits(e: Emitter, mask: Value, part: number, bits: number, held: number | null): number {
  if (held === null) e.pushMask(mask, part, bits);
  else e.code.get(held);
  const local = e.local(I32);
  e.code.op(byWidth(V_BITMASK, bits)).set(local);
  return local;
}

function ifLane(e: Emitter, bits: number, lane: number, then: () => void): void {
  e.code
    .get(bits)
    .i32(1 << lane)
    .op(INTEGER.and.i32)
    .if();
  then();
  e.code.end();
}

export function loadMasked(e: MemoryEmitter, v: Value): number[] {
  const c = e.code;
  const memory = memoryOf(v);
  const address = e.addressOf(v);
  const bits = laneBits(memory.element);
  const alignment = logOf(SCALARS[memory.element].bytes);
  const lanes = Math.min(v.type.lanes, 128 / bits);
  const pointer = holdAddress(e, address);
  return Array.from({ length: e.parts(v) }, (_, part) => {
    const result = e.local(V128);
    e.pushMask(v.args[1], part, bits);
    const mask = keep(e);
    const whole = lanes * bits === 128 && dense(memory);
    if (whole)
      c.get(mask)
        .op(byWidth(V_ALL_TRUE, bits))
        .if()
        .get(pointer)
        .memory(V_LOAD, alignment, address.offset + 16 * part)
        .set(result)
        .else();
    c.hoisted(ZERO).set(result);
    const on = maskBits(e, v.args[1], part, bits, mask);
    for (let lane = 0; lane < lanes; lane++) {
      ifLane(e, on, lane, () => {
        const offset = address.offset + SCALARS[memory.element].bytes * (part * lanes + lane);
        c.get(pointer)
          .get(result)
          .memoryLane(byWidth(V_LOAD_LANE, bits), dense(memory) ? alignment : 2, offset, lane)
          .set(result);
      });
    }
    if (whole) c.end();
    if (memory.element === 'bool') {
      c.get(result);
      toMask(e);
      c.set(result);
    }
    return result;
  });
}

/** Addresses of the elements at `indices`, four a part, in locals. */
function addresses(e: MemoryEmitter, memory: Memory, base: Address, indices: Value): number[] {
  const c = e.code;
  const shift = logOf(SCALARS[memory.element].bytes);
  return Array.from({ length: e.parts(indices) }, (_, part) => {
    e.push(indices, part);
    if (shift > 0) c.i32(shift).op(V_SHL[32]);
    e.pushAddress(base);
    c.op(V_SPLAT.i32).op(V_ADD.i32);
    return keep(e);
  });
}

const pushLaneAddress = (e: Emitter, parts: readonly number[], lane: number): void => {
  e.code.get(parts[lane >> 2]).lane(V_EXTRACT.i32, lane & 3);
};

export function gather(e: MemoryEmitter, v: Value): number[] {
  const c = e.code;
  const memory = memoryOf(v);
  const bits = laneBits(memory.element);
  const alignment = dense(memory) ? logOf(SCALARS[memory.element].bytes) : 2;
  const at = addresses(e, memory, e.addressOf(v), v.args[0]);
  const lanes = Math.min(v.type.lanes, 128 / bits);
  return Array.from({ length: e.parts(v) }, (_, part) => {
    const result = e.local(V128);
    c.hoisted(ZERO).set(result);
    const on = v.args.length > 1 ? maskBits(e, v.args[1], part, bits, null) : null;
    for (let lane = 0; lane < lanes; lane++) {
      const one = (): void => {
        pushLaneAddress(e, at, part * lanes + lane);
        c.get(result).memoryLane(byWidth(V_LOAD_LANE, bits), alignment, 0, lane).set(result);
      };
      if (on === null) one();
      else ifLane(e, on, lane, one);
    }
    if (memory.element === 'bool') {
      c.get(result);
      toMask(e);
      c.set(result);
    }
    return result;
  });
}

/** Pushes a part of what is to be stored, as it is in memory. */
function pushStored(e: Emitter, value: Value, part: number): void {
  if (value.type.scalar !== 'bool') return e.push(value, part);
  e.pushMask(value, part, 8);
  e.code.hoisted(integerLanes(8, 1n)).op(V_AND);
}

function storeScalarAt(e: Emitter, memory: Memory, offset: number): void {
  if (!dense(memory)) e.code.op(CONVERT.extendSigned).memory(STORE.i64, 3, offset);
  else e.code.memory(STORE[memory.element], logOf(SCALARS[memory.element].bytes), offset);
}

export function store(e: MemoryEmitter, s: Store): void {
  const c = e.code;
  const { memory, value, mask } = s;
  const address = e.addressOf(s);
  if (value.type.lanes === 1) {
    if (mask !== null) {
      const pointer = holdAddress(e, address);
      e.push(value, 0);
      const kept = e.local(wasmType[stackType[memory.element]]);
      c.set(kept);
      e.push(mask, 0);
      c.if().get(pointer).get(kept);
      storeScalarAt(e, memory, address.offset);
      c.end();
      return;
    }
    e.pushAddress(address);
    e.push(value, 0);
    storeScalarAt(e, memory, address.offset);
    return;
  }
  const bits = laneBits(memory.element);
  const lanes = Math.min(value.type.lanes, 128 / bits);
  const parts = Math.max(1, (value.type.lanes * bits) / 128);
  const bytes = (lanes * bits) / 8;
  const alignment = logOf(SCALARS[memory.element].bytes);
  const pointer = mask === null && dense(memory) ? -1 : holdAddress(e, address);
  for (let part = 0; part < parts; part++) {
    const offset = address.offset + 16 * part;
    if (pointer < 0) {
      e.pushAddress(address);
      pushStored(e, value, part);
      if (bytes === 16) c.memory(V_STORE, alignment, offset);
      else c.memoryLane(byWidth(V_STORE_LANE, 8 * bytes), alignment, offset, 0);
      continue;
    }
    pushStored(e, value, part);
    const kept = keep(e);
    const one = (lane: number): void => {
      const at = address.offset + SCALARS[memory.element].bytes * (part * lanes + lane);
      c.get(pointer);
      if (dense(memory)) c.get(kept).memoryLane(byWidth(V_STORE_LANE, bits), alignment, at, lane);
      else {
        extractLane(c, kept, 'i32', lane);
        storeScalarAt(e, memory, at);
      }
    };
    if (mask === null) {
      for (let lane = 0; lane < lanes; lane++) one(lane);
      continue;
    }
    e.pushMask(mask, part, bits);
    const held = keep(e);
    const whole = lanes * bits === 128 && dense(memory);
    if (whole)
      c.get(held).op(byWidth(V_ALL_TRUE, bits)).if().get(pointer).get(kept).memory(V_STORE, alignment, offset).else();
    const on = maskBits(e, mask, part, bits, held);
    for (let lane = 0; lane < lanes; lane++) ifLane(e, on, lane, () => one(lane));
    if (whole) c.end();
  }
}

export function scatter(e: MemoryEmitter, s: Scatter): void {
  const c = e.code;
  const { memory, indices, value, mask } = s;
  const bits = laneBits(memory.element);
  const at = addresses(e, memory, e.addressOf(s), indices);
  const lanes = Math.min(value.type.lanes, 128 / bits);
  const parts = Math.max(1, (value.type.lanes * bits) / 128);
  for (let part = 0; part < parts; part++) {
    pushStored(e, value, part);
    const kept = keep(e);
    const on = mask === null ? null : maskBits(e, mask, part, bits, null);
    for (let lane = 0; lane < lanes; lane++) {
      const one = (): void => {
        pushLaneAddress(e, at, part * lanes + lane);
        extractLane(c, kept, memory.element === 'bool' ? 'u8' : memory.element, lane);
        storeScalarAt(e, memory, 0);
      };
      if (on === null) one();
      else ifLane(e, on, lane, one);
    }
  }
}
