/**
 * The kernel language: values in single assignment inside structured blocks.
 *
 * A kernel runs over a part `[begin, end)` of its parallel range. Values are pure except loads; statements are stores, counted loops with
 * carried values, and branches without results. Memory is reached through `Memory` objects (parameters, locals, constants), never through raw
 * pointers, so that the same kernel means the same on machine code, on WebAssembly and on typed arrays.
 *
 * Numbers: integer arithmetic wraps; `div` and `rem` of integers truncate towards zero (x / 0, and the smallest number / -1, are undefined: guard them); shifts take the count
 * modulo the width; comparisons are ordered but for `ne`; `min` is `a < b ? a : b` and `max` is `a > b ? a : b` (so a NaN in `b` comes
 * through, one in `a` does not); `round` is half to even; `mulAdd` is a·b+c, fused where the target can; casts from float to integer
 * truncate and saturate (NaN gives 0), from integer to a narrower integer wrap, to `bool` compare with zero (NaN is
 * true). `f16` and `bf16` are cast to and from `f32` only, rounding to nearest even. Memory has no `index` elements.
 */
import type { Op } from './operations.ts';
import type { ScalarType, ValueType } from './types.ts';

export type { BinaryOp, CompareOp, HorizontalOp, Op, UnaryOp } from './operations.ts';

export type Builtin = 'begin' | 'end' | 'thread';

export interface Memory {
  readonly kind: 'buffer' | 'local' | 'constant';
  readonly name: string;
  readonly element: ScalarType;
  readonly access: 'read' | 'write' | 'readwrite';
  /** Locals and constants: number of elements. */
  readonly length: number;
  /** Among the kernel's parameters, locals, or constants. */
  readonly position: number;
  /** Constants: the elements, little-endian. They are part of the compiled code. */
  readonly contents?: Uint8Array;
}

export interface ScalarParameter {
  readonly kind: 'scalar';
  readonly name: string;
  readonly type: ScalarType;
  readonly position: number;
}

export type Parameter = Memory | ScalarParameter;

/** Constants: a number, or a bigint for `i64`, or a boolean for `bool`. */
export type Constant = number | bigint | boolean;

export interface Value {
  readonly id: number;
  readonly op: Op;
  readonly type: ValueType;
  readonly args: readonly Value[];
  readonly block: Block;
  /** `const`: the constant (splatted when the type is a vector). */
  readonly constant?: Constant;
  /** `param`: which one. */
  readonly parameter?: ScalarParameter;
  readonly builtin?: Builtin;
  /** `load`, `gather`: args are [index] or [index, mask]; masked-off lanes give 0 and do not touch memory. */
  readonly memory?: Memory;
  /** `extract`: the lane. `shuffle`: for each result lane, a lane of a (0..n-1) or of b (n..2n-1). */
  readonly lane?: number;
  readonly pattern?: readonly number[];
}

/** A store: contiguous from `index` when the value is a vector; masked-off lanes are left untouched. */
export interface Store {
  readonly kind: 'store';
  readonly memory: Memory;
  readonly index: Value;
  readonly value: Value;
  readonly mask: Value | null;
}

/** Lane by lane store to `indices` (in lane order, so that the last of equal indices wins). */
export interface Scatter {
  readonly kind: 'scatter';
  readonly memory: Memory;
  readonly indices: Value;
  readonly value: Value;
  readonly mask: Value | null;
}

/** Hint to bring the cache line of an element near. It never faults; targets without it leave it out. */
export interface Prefetch {
  readonly kind: 'prefetch';
  readonly memory: Memory;
  readonly index: Value;
  /** Which cache: 1, for soon, or 2, for a long way ahead: that cache can have more lines on their way at a time. */
  readonly level: 1 | 2;
}

export interface Carried {
  /** The value inside the body. */
  readonly inner: Value;
  readonly initial: Value;
  /** What the next iteration starts with. Set when the body is complete. */
  next: Value;
  /** The value after the loop. */
  readonly result: Value;
}

/** `for (variable = start; variable < end; variable += step)`; step is a positive constant. */
export interface Loop {
  readonly kind: 'for';
  readonly variable: Value;
  readonly start: Value;
  readonly end: Value;
  readonly step: number;
  readonly carried: Carried[];
  readonly body: Block;
}

export interface Branch {
  readonly kind: 'if';
  readonly condition: Value;
  readonly then: Block;
  readonly otherwise: Block | null;
}

export interface Definition {
  readonly kind: 'let';
  readonly value: Value;
}

export type Statement = Definition | Store | Scatter | Prefetch | Loop | Branch;

export interface Block {
  readonly parent: Block | null;
  readonly depth: number;
  /** The loop or branch that owns the block tells whether pure code may be moved out of it. */
  readonly statements: Statement[];
}

export interface Kernel {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  readonly locals: readonly Memory[];
  readonly constants: readonly Memory[];
  readonly body: Block;
}
