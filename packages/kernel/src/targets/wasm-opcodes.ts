/**
 * Opcodes of WebAssembly (core 2.0, SIMD, relaxed SIMD, threads) by operation and type. Numbers of a prefixed instruction are
 * `prefix << 16 | code`. SIMD instructions are listed by the shape of their lanes.
 */
import type { CompareOp } from '../ir/ir.ts';
import { SCALARS, type ScalarType } from '../ir/types.ts';
import { F32, F64, I32, I64 } from './wasm-bytes.ts';

const simd = (code: number): number => (0xfd << 16) | code;
const saturating = (code: number): number => (0xfc << 16) | code;
const atomic = (code: number): number => (0xfe << 16) | code;

/** What a scalar is on the stack. Narrow integers are i32, extended as their sign says; f16 and bf16 are their bits. */
export type StackType = 'i32' | 'i64' | 'f32' | 'f64';
/** Lanes of a v128. */
export type LaneShape = 'i8' | 'i16' | 'i32' | 'i64' | 'f32' | 'f64';

export const stackType: Record<ScalarType, StackType> = {
  bool: 'i32',
  i8: 'i32',
  u8: 'i32',
  i16: 'i32',
  u16: 'i32',
  i32: 'i32',
  u32: 'i32',
  i64: 'i64',
  f16: 'i32',
  bf16: 'i32',
  f32: 'f32',
  f64: 'f64',
  index: 'i32',
};
export const wasmType: Record<StackType, number> = { i32: I32, i64: I64, f32: F32, f64: F64 };

/** Bits of a lane; a mask has those of what it was compared from, see wasm-plan.ts. */
export const laneBits = (scalar: ScalarType): number => (scalar === 'index' ? 32 : 8 * SCALARS[scalar].bytes);

export const laneShape: Record<Exclude<ScalarType, 'bool'>, LaneShape> = {
  i8: 'i8',
  u8: 'i8',
  i16: 'i16',
  u16: 'i16',
  i32: 'i32',
  u32: 'i32',
  i64: 'i64',
  f16: 'i16',
  bf16: 'i16',
  f32: 'f32',
  f64: 'f64',
  index: 'i32',
};
export const integerShape = (bits: number): 'i8' | 'i16' | 'i32' | 'i64' =>
  bits === 8 ? 'i8' : bits === 16 ? 'i16' : bits === 32 ? 'i32' : 'i64';

export const SELECT = 0x1b;
export const DROP = 0x1a;

type Integers = { readonly i32: number; readonly i64: number };
type Floats = { readonly f32: number; readonly f64: number };

export const EQZ: Integers = { i32: 0x45, i64: 0x50 };
export const ARITHMETIC: Record<'add' | 'sub' | 'mul', Record<StackType, number>> = {
  add: { i32: 0x6a, i64: 0x7c, f32: 0x92, f64: 0xa0 },
  sub: { i32: 0x6b, i64: 0x7d, f32: 0x93, f64: 0xa1 },
  mul: { i32: 0x6c, i64: 0x7e, f32: 0x94, f64: 0xa2 },
};
export const DIVIDE: Floats = { f32: 0x95, f64: 0xa3 };
export const INTEGER: Record<
  | 'divSigned'
  | 'divUnsigned'
  | 'remSigned'
  | 'remUnsigned'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shrSigned'
  | 'shrUnsigned'
  | 'popcount',
  Integers
> = {
  divSigned: { i32: 0x6d, i64: 0x7f },
  divUnsigned: { i32: 0x6e, i64: 0x80 },
  remSigned: { i32: 0x6f, i64: 0x81 },
  remUnsigned: { i32: 0x70, i64: 0x82 },
  and: { i32: 0x71, i64: 0x83 },
  or: { i32: 0x72, i64: 0x84 },
  xor: { i32: 0x73, i64: 0x85 },
  shl: { i32: 0x74, i64: 0x86 },
  shrSigned: { i32: 0x75, i64: 0x87 },
  shrUnsigned: { i32: 0x76, i64: 0x88 },
  popcount: { i32: 0x69, i64: 0x7b },
};
export const FLOAT: Record<'abs' | 'neg' | 'ceil' | 'floor' | 'trunc' | 'round' | 'sqrt', Floats> = {
  abs: { f32: 0x8b, f64: 0x99 },
  neg: { f32: 0x8c, f64: 0x9a },
  ceil: { f32: 0x8d, f64: 0x9b },
  floor: { f32: 0x8e, f64: 0x9c },
  trunc: { f32: 0x8f, f64: 0x9d },
  round: { f32: 0x90, f64: 0x9e },
  sqrt: { f32: 0x91, f64: 0x9f },
};
/** Signed comparisons of integers; the unsigned one follows each (but `eq` and `ne`). */
export const COMPARE: Record<CompareOp, Record<StackType, number>> = {
  eq: { i32: 0x46, i64: 0x51, f32: 0x5b, f64: 0x61 },
  ne: { i32: 0x47, i64: 0x52, f32: 0x5c, f64: 0x62 },
  lt: { i32: 0x48, i64: 0x53, f32: 0x5d, f64: 0x63 },
  gt: { i32: 0x4a, i64: 0x55, f32: 0x5e, f64: 0x64 },
  le: { i32: 0x4c, i64: 0x57, f32: 0x5f, f64: 0x65 },
  ge: { i32: 0x4e, i64: 0x59, f32: 0x60, f64: 0x66 },
};
export const EXTEND8 = 0xc0;
export const EXTEND16 = 0xc1;
export const CONVERT = {
  wrap: 0xa7,
  extendSigned: 0xac,
  extendUnsigned: 0xad,
  demote: 0xb6,
  promote: 0xbb,
  toFloat: {
    f32: { signed: 0xb2, unsigned: 0xb3, i64: 0xb4 },
    f64: { signed: 0xb7, unsigned: 0xb8, i64: 0xb9 },
  },
  toInteger: {
    f32: { signed: saturating(0), unsigned: saturating(1), i64: saturating(4) },
    f64: { signed: saturating(2), unsigned: saturating(3), i64: saturating(6) },
  },
  bitsOfF32: 0xbc,
  bitsOfF64: 0xbd,
  f32OfBits: 0xbe,
  f64OfBits: 0xbf,
} as const;

export const LOAD: Record<ScalarType, number> = {
  bool: 0x2d,
  i8: 0x2c,
  u8: 0x2d,
  i16: 0x2e,
  u16: 0x2f,
  i32: 0x28,
  u32: 0x28,
  i64: 0x29,
  f16: 0x2f,
  bf16: 0x2f,
  f32: 0x2a,
  f64: 0x2b,
  index: 0x28,
};
export const STORE: Record<ScalarType, number> = {
  bool: 0x3a,
  i8: 0x3a,
  u8: 0x3a,
  i16: 0x3b,
  u16: 0x3b,
  i32: 0x36,
  u32: 0x36,
  i64: 0x37,
  f16: 0x3b,
  bf16: 0x3b,
  f32: 0x38,
  f64: 0x39,
  index: 0x36,
};

export const ATOMIC = {
  notify: atomic(0x00),
  wait32: atomic(0x01),
  load: atomic(0x10),
  store: atomic(0x17),
  add: atomic(0x1e),
  sub: atomic(0x25),
} as const;

// SIMD

/** Bits of a lane → opcode. */
type ByBits = Readonly<Record<8 | 16 | 32 | 64, number>>;
const byBits = (b8: number, b16: number, b32: number, b64: number): ByBits => ({
  8: simd(b8),
  16: simd(b16),
  32: simd(b32),
  64: simd(b64),
});
export const byWidth = (table: ByBits, bits: number): number => table[bits as 8 | 16 | 32 | 64];
type ByShape = Readonly<Record<LaneShape, number>>;
const byShape = (i8: number, i16: number, i32: number, i64: number, f32: number, f64: number): ByShape => ({
  i8: simd(i8),
  i16: simd(i16),
  i32: simd(i32),
  i64: simd(i64),
  f32: simd(f32),
  f64: simd(f64),
});

export const V_LOAD = simd(0);
export const V_STORE = simd(11);
export const V_LOAD_SPLAT = byBits(7, 8, 9, 10);
export const V_LOAD_LANE = byBits(84, 85, 86, 87);
export const V_STORE_LANE = byBits(88, 89, 90, 91);
export const V_LOAD32_ZERO = simd(92);
export const V_LOAD64_ZERO = simd(93);
export const V_SPLAT: ByShape = byShape(15, 16, 17, 18, 19, 20);
export const V_EXTRACT: ByShape = byShape(21, 24, 27, 29, 31, 33);
export const V_EXTRACT_UNSIGNED = { i8: simd(22), i16: simd(25) } as const;
export const V_REPLACE: ByShape = byShape(23, 26, 28, 30, 32, 34);
export const V_ANY_TRUE = simd(83);
export const V_ALL_TRUE = byBits(99, 131, 163, 195);
export const V_BITMASK = byBits(100, 132, 164, 196);

export const V_NOT = simd(77);
export const V_AND = simd(78);
export const V_OR = simd(80);
export const V_XOR = simd(81);
export const V_BITSELECT = simd(82);
export const V_LANESELECT = byBits(0x109, 0x10a, 0x10b, 0x10c);

/** 0: there is none. */
export const V_ADD: ByShape = byShape(110, 142, 174, 206, 228, 240);
export const V_SUB: ByShape = byShape(113, 145, 177, 209, 229, 241);
export const V_MUL: Readonly<Record<Exclude<LaneShape, 'i8'>, number>> = {
  i16: simd(149),
  i32: simd(181),
  i64: simd(213),
  f32: simd(230),
  f64: simd(242),
};
export const V_DIV = { f32: simd(231), f64: simd(243) } as const;
export const V_PMIN = { f32: simd(234), f64: simd(246) } as const;
export const V_PMAX = { f32: simd(235), f64: simd(247) } as const;
export const V_MADD = { f32: simd(0x105), f64: simd(0x107) } as const;
export const V_MIN = {
  signed: { i8: simd(118), i16: simd(150), i32: simd(182) },
  unsigned: { i8: simd(119), i16: simd(151), i32: simd(183) },
} as const;
export const V_MAX = {
  signed: { i8: simd(120), i16: simd(152), i32: simd(184) },
  unsigned: { i8: simd(121), i16: simd(153), i32: simd(185) },
} as const;
export const V_SHL = byBits(107, 139, 171, 203);
export const V_SHR_SIGNED = byBits(108, 140, 172, 204);
export const V_SHR_UNSIGNED = byBits(109, 141, 173, 205);
export const V_ABS: ByShape = byShape(96, 128, 160, 192, 224, 236);
export const V_NEG: ByShape = byShape(97, 129, 161, 193, 225, 237);
export const V_FLOAT: Record<'sqrt' | 'floor' | 'ceil' | 'trunc' | 'round', Floats> = {
  sqrt: { f32: simd(227), f64: simd(239) },
  floor: { f32: simd(104), f64: simd(117) },
  ceil: { f32: simd(103), f64: simd(116) },
  trunc: { f32: simd(105), f64: simd(122) },
  round: { f32: simd(106), f64: simd(148) },
};
export const V_POPCOUNT8 = simd(98);

const integerOrder: readonly CompareOp[] = ['eq', 'ne', 'lt', 'gt', 'le', 'ge'];
/** The opcode of a lane-wise comparison. i64 lanes have signed ones only. */
export function compareLanes(op: CompareOp, shape: LaneShape, unsigned: boolean): number {
  const at = integerOrder.indexOf(op);
  switch (shape) {
    case 'f32':
      return simd(65 + at);
    case 'f64':
      return simd(71 + at);
    case 'i64':
      return simd(214 + at);
    case 'i8':
    case 'i16':
    case 'i32': {
      const first = shape === 'i8' ? 35 : shape === 'i16' ? 45 : 55;
      return simd(first + (at < 2 ? at : 2 + 2 * (at - 2) + (unsigned ? 1 : 0)));
    }
    default:
      return shape satisfies never;
  }
}

/** Half of the lanes at twice the width; the key is the width that comes in. */
export const V_EXTEND = {
  signed: { low: { 8: simd(135), 16: simd(167), 32: simd(199) }, high: { 8: simd(136), 16: simd(168), 32: simd(200) } },
  unsigned: {
    low: { 8: simd(137), 16: simd(169), 32: simd(201) },
    high: { 8: simd(138), 16: simd(170), 32: simd(202) },
  },
} as const;
/** Two vectors to one of half the width, saturating signed lanes; the key is the width that comes in. */
export const V_NARROW = {
  signed: { 16: simd(101), 32: simd(133) },
  unsigned: { 16: simd(102), 32: simd(134) },
} as const;
export const V_EXTMUL8 = { low: simd(158), high: simd(159) } as const;
export const V_PAIRWISE_UNSIGNED = { 8: simd(125), 16: simd(127) } as const;
export const V_DOT16 = simd(186);
export const V_RELAXED_DOT8 = simd(0x113);
export const V_DEMOTE = simd(94);
export const V_PROMOTE = simd(95);
export const V_TRUNC_F32 = { signed: simd(248), unsigned: simd(249) } as const;
export const V_TRUNC_F64 = { signed: simd(252), unsigned: simd(253) } as const;
export const V_TO_F32 = { signed: simd(250), unsigned: simd(251) } as const;
export const V_TO_F64 = { signed: simd(254), unsigned: simd(255) } as const;
