/**
 * Builds kernels from TypeScript. Building is also optimising: each value is folded, simplified, hoisted to the outermost block where its
 * operands exist, and merged with an equal value that is already there.
 */
import { ProjError } from '../errors.ts';
import { coerce, foldBinary, foldCast, foldCompare, foldUnary } from '../passes/fold.ts';
import { simplifyBinary } from '../passes/simplify.ts';
import type {
  BinaryOp,
  Block,
  Builtin,
  Carried,
  CompareOp,
  Constant,
  HorizontalOp,
  Kernel,
  Memory,
  Op,
  Parameter,
  ScalarParameter,
  Statement,
  UnaryOp,
  Value,
} from './ir.ts';
import {
  isFloat,
  isStorageOnly,
  isTile,
  SCALARS,
  type ScalarType,
  type ValueType,
  typeName,
  valueType,
} from './types.ts';
import { type Attributes, safeDivisor, valueKey } from './value-key.ts';

/** Anything that a builder method takes as an operand: a value, or a constant of the other operand's type. */
export type Operand = Value | number | bigint | boolean;

const isValue = (operand: Operand): operand is Value => typeof operand === 'object';

/** Adds operations to a kernel; see {@link buildKernel}. Operands may be plain numbers where another operand tells their type. */
export class KernelBuilder {
  readonly name: string;
  #parameters: Parameter[] = [];
  #locals: Memory[] = [];
  #constants: Memory[] = [];
  #root: Block = { parent: null, depth: 0, statements: [] };
  #block: Block = this.#root;
  #known = new Map<Block, Map<string, Value>>();
  #count = 0;
  /** Memories that the kernel writes: loads from them keep their place. */
  #written = new Set<Memory>();

  constructor(name: string) {
    this.name = name;
  }

  // Parameters

  /** A buffer parameter of elements `element`. */
  buffer(name: string, element: ScalarType, access: Memory['access'] = 'read'): Memory {
    const memory: Memory = { kind: 'buffer', name, element, access, length: 0, position: this.#parameters.length };
    this.#parameters.push(memory);
    if (access !== 'read') this.#written.add(memory);
    return memory;
  }

  /** A scalar parameter. */
  scalar(name: string, type: ScalarType): Value {
    const parameter: ScalarParameter = { kind: 'scalar', name, type, position: this.#parameters.length };
    this.#parameters.push(parameter);
    return this.#emit('param', valueType(type), [], { parameter });
  }

  /** Scratch memory of one thread, uninitialised, at most 64 KiB in all. */
  local(name: string, element: ScalarType, length: number): Memory {
    const memory: Memory = {
      kind: 'local',
      name: `${name}${this.#locals.length}`,
      element,
      access: 'readwrite',
      length,
      position: this.#locals.length,
    };
    this.#locals.push(memory);
    this.#written.add(memory);
    return memory;
  }

  /** Read-only memory with these elements (little-endian), which becomes part of the compiled code; at most 4 MiB in all. */
  table(name: string, element: ScalarType, contents: Uint8Array): Memory {
    const memory: Memory = {
      kind: 'constant',
      name: `${name}${this.#constants.length}`,
      element,
      access: 'read',
      length: contents.length / SCALARS[element].bytes,
      position: this.#constants.length,
      contents,
    };
    this.#constants.push(memory);
    return memory;
  }

  /** First element of the part of the parallel range that this call covers. */
  get begin(): Value {
    return this.#builtin('begin');
  }
  /** One past the last element of that part. */
  get end(): Value {
    return this.#builtin('end');
  }
  /** Index of the running thread. */
  get thread(): Value {
    return this.#builtin('thread');
  }

  // Constants and conversions

  constant(value: Constant, type: ScalarType | ValueType): Value {
    const full = typeof type === 'string' ? valueType(type) : type;
    return this.#emit('const', full, [], { constant: coerce(value, full.scalar) });
  }
  index(value: number): Value {
    return this.constant(value, 'index');
  }
  /** All lanes equal to `x`; a scalar when `lanes` is 1. */
  splat(x: Value, lanes: number): Value {
    if (x.type.lanes === lanes) return x;
    this.#require(x.type.lanes === 1, `splat of ${typeName(x.type)} to ${lanes} lanes`);
    const type = valueType(x.type.scalar, lanes);
    return x.op === 'const' && x.constant !== undefined
      ? this.constant(x.constant, type)
      : this.#emit('splat', type, [x]);
  }
  /** `x` as another element type. To and from `f16` and `bf16` the way goes through `f32`. */
  cast(x: Value, scalar: ScalarType): Value {
    const from = x.type.scalar;
    if (from === scalar) return x;
    if (x.op === 'const' && x.constant !== undefined)
      return this.constant(foldCast(x.constant, from, scalar), valueType(scalar, x.type.lanes));
    if ((isStorageOnly(from) && scalar !== 'f32') || (isStorageOnly(scalar) && from !== 'f32'))
      return this.cast(this.cast(x, 'f32'), scalar);
    return this.#emit('cast', valueType(scalar, x.type.lanes), [x]);
  }
  /** The same bits as another type: of the same width, or, of integer vectors, wider or narrower lanes (the low end of a lane first). */
  bitcast(x: Value, scalar: ScalarType): Value {
    if (x.type.scalar === scalar) return x;
    const lanes = (x.type.lanes * SCALARS[x.type.scalar].bytes) / SCALARS[scalar].bytes;
    return this.#emit('bitcast', valueType(scalar, lanes), [x]);
  }
  /** 0, 1, 2 … in the lanes. */
  iota(scalar: ScalarType, lanes: number): Value {
    return lanes === 1 ? this.constant(0, scalar) : this.#emit('iota', valueType(scalar, lanes), []);
  }

  // Arithmetic

  unary(op: UnaryOp, x: Value): Value {
    if (x.op === 'const' && x.constant !== undefined) {
      const folded = foldUnary(op, x.type.scalar, x.constant);
      if (folded !== null) return this.constant(folded, x.type);
    }
    if (!isFloat(x.type.scalar) && (op === 'floor' || op === 'ceil' || op === 'trunc' || op === 'round')) return x;
    return this.#emit(op, x.type, [x]);
  }
  binary(op: BinaryOp, a: Operand, b: Operand): Value {
    const [x, y] = this.#pair(a, b, op);
    if (x.op === 'const' && y.op === 'const' && x.constant !== undefined && y.constant !== undefined) {
      const folded = foldBinary(op, x.type.scalar, x.constant, y.constant);
      if (folded !== null) return this.constant(folded, x.type);
    }
    return simplifyBinary(op, x, y) ?? this.#emit(op, x.type, [x, y]);
  }
  compare(op: CompareOp, a: Operand, b: Operand): Value {
    const [x, y] = this.#pair(a, b, op);
    const type = valueType('bool', x.type.lanes);
    if (x.op === 'const' && y.op === 'const' && x.constant !== undefined && y.constant !== undefined) {
      return this.constant(foldCompare(op, x.constant, y.constant), type);
    }
    return this.#emit(op, type, [x, y]);
  }

  neg(x: Value): Value {
    return this.unary('neg', x);
  }
  abs(x: Value): Value {
    return this.unary('abs', x);
  }
  sqrt(x: Value): Value {
    return this.unary('sqrt', x);
  }
  floor(x: Value): Value {
    return this.unary('floor', x);
  }
  ceil(x: Value): Value {
    return this.unary('ceil', x);
  }
  trunc(x: Value): Value {
    return this.unary('trunc', x);
  }
  round(x: Value): Value {
    return this.unary('round', x);
  }
  not(x: Value): Value {
    return this.unary('not', x);
  }
  popcount(x: Value): Value {
    return this.unary('popcount', x);
  }
  add(a: Operand, b: Operand): Value {
    return this.binary('add', a, b);
  }
  sub(a: Operand, b: Operand): Value {
    return this.binary('sub', a, b);
  }
  mul(a: Operand, b: Operand): Value {
    return this.binary('mul', a, b);
  }
  div(a: Operand, b: Operand): Value {
    return this.binary('div', a, b);
  }
  rem(a: Operand, b: Operand): Value {
    return this.binary('rem', a, b);
  }
  min(a: Operand, b: Operand): Value {
    return this.binary('min', a, b);
  }
  max(a: Operand, b: Operand): Value {
    return this.binary('max', a, b);
  }
  and(a: Operand, b: Operand): Value {
    return this.binary('and', a, b);
  }
  or(a: Operand, b: Operand): Value {
    return this.binary('or', a, b);
  }
  xor(a: Operand, b: Operand): Value {
    return this.binary('xor', a, b);
  }
  shl(a: Operand, b: Operand): Value {
    return this.binary('shl', a, b);
  }
  shr(a: Operand, b: Operand): Value {
    return this.binary('shr', a, b);
  }
  eq(a: Operand, b: Operand): Value {
    return this.compare('eq', a, b);
  }
  ne(a: Operand, b: Operand): Value {
    return this.compare('ne', a, b);
  }
  lt(a: Operand, b: Operand): Value {
    return this.compare('lt', a, b);
  }
  le(a: Operand, b: Operand): Value {
    return this.compare('le', a, b);
  }
  gt(a: Operand, b: Operand): Value {
    return this.compare('gt', a, b);
  }
  ge(a: Operand, b: Operand): Value {
    return this.compare('ge', a, b);
  }

  /** a·b + c, fused where the target can. */
  mulAdd(a: Operand, b: Operand, c: Operand): Value {
    const [x, y] = this.#pair(a, b, 'mulAdd');
    const [p, z] = this.#pair(x, c, 'mulAdd');
    return this.#emit('mulAdd', p.type, [p, this.splat(y, p.type.lanes), z]);
  }
  select(condition: Value, a: Operand, b: Operand): Value {
    const [x, y] = this.#pair(a, b, 'select');
    const lanes = Math.max(condition.type.lanes, x.type.lanes);
    if (condition.op === 'const') return this.splat(condition.constant === true ? x : y, lanes);
    if (x === y) return this.splat(x, lanes);
    return this.#emit('select', valueType(x.type.scalar, lanes), [
      this.splat(condition, lanes),
      this.splat(x, lanes),
      this.splat(y, lanes),
    ]);
  }

  // Vectors

  extract(x: Value, lane: number): Value {
    if (x.type.lanes === 1) return x;
    if (x.op === 'const' && x.constant !== undefined) return this.constant(x.constant, x.type.scalar);
    if (x.op === 'splat') return x.args[0];
    return this.#emit('extract', valueType(x.type.scalar), [x], { lane });
  }
  /** Lane i of the result is lane `pattern[i]` of a, or of b when `pattern[i]` >= lanes. Scalars count as vectors of one lane. */
  shuffle(a: Value, b: Value, pattern: readonly number[]): Value {
    this.#require(a.type === b.type, `shuffle of ${typeName(a.type)} and ${typeName(b.type)}`);
    const { lanes } = a.type;
    const result = pattern.length;
    this.#require(
      pattern.every((from) => Number.isInteger(from) && from >= 0 && from < 2 * lanes),
      `shuffle pattern ${pattern.join(' ')} of ${lanes} lanes`,
    );
    if (result === 1) return this.extract(pattern[0] < lanes ? a : b, pattern[0] % lanes);
    if (lanes === 1)
      return this.shuffle(
        this.splat(a, result),
        this.splat(b, result),
        pattern.map((from, i) => from * result + i),
      );
    return this.#emit('shuffle', valueType(a.type.scalar, result), [a, b], { pattern });
  }
  /** Combines all lanes to a scalar, halves first (see {@link HorizontalOp}). */
  horizontal(op: HorizontalOp, x: Value): Value {
    return x.type.lanes === 1 ? x : this.#emit(op, valueType(x.type.scalar), [x]);
  }
  /** i32 lanes: acc + the sum of four products of adjacent u8 lanes of `a` with i8 lanes of `b`; exact in 32 bits. */
  dot4(acc: Value, a: Value, b: Value): Value {
    this.#require(
      acc.type.scalar === 'i32' &&
        a.type.scalar === 'u8' &&
        b.type.scalar === 'i8' &&
        a.type.lanes === 4 * acc.type.lanes &&
        b.type.lanes === a.type.lanes,
      `dot4 of ${typeName(acc.type)}, ${typeName(a.type)}, ${typeName(b.type)}`,
    );
    return this.#emit('dot4', acc.type, [acc, a, b]);
  }

  /**
   * Matrices: acc + left · right, of tiles (see {@link isTile}). Floats: `acc` is f32 [16, 16], `left` bf16 [16, 32], `right` bf16 [16, 16, 2], depths in
   * pairs; products are exact, in what order they are summed is the target's choice, and subnormal numbers may count as zero. Integers: `acc` is i32 [16, 16],
   * `left` u8 [16, 64], `right` i8 [16, 16, 4]; exact in 32 bits.
   */
  tileDot(acc: Value, left: Value, right: Value): Value {
    const [a, x, y] = [acc, left, right].map(({ type }) => (isTile(type) ? type.scalar : 'no tile'));
    this.#require(
      (a === 'f32' && x === 'bf16' && y === 'bf16') || (a === 'i32' && x === 'u8' && y === 'i8'),
      `tileDot of ${typeName(acc.type)}, ${typeName(left.type)}, ${typeName(right.type)}`,
    );
    return this.#emit('tileDot', acc.type, [acc, left, right]);
  }

  // Memory

  /** `lanes` consecutive elements from `index` (in elements). Masked-off lanes give 0 and are not read. */
  load(memory: Memory, index: Operand, lanes = 1, mask: Value | null = null): Value {
    const at = this.#index(index);
    const type = valueType(memory.element, lanes);
    if (mask?.op === 'const') return mask.constant === true ? this.load(memory, at, lanes) : this.constant(0, type);
    return this.#emit('load', type, mask === null ? [at] : [at, this.splat(mask, lanes)], { memory });
  }
  /** One element for each lane of `indices`. */
  gather(memory: Memory, indices: Value, mask: Value | null = null): Value {
    const lanes = indices.type.lanes;
    if (lanes === 1) return this.load(memory, indices, 1, mask);
    const type = valueType(memory.element, lanes);
    if (mask?.op === 'const') return mask.constant === true ? this.gather(memory, indices) : this.constant(0, type);
    return this.#emit('gather', type, mask === null ? [indices] : [indices, this.splat(mask, lanes)], { memory });
  }
  store(memory: Memory, index: Operand, value: Value, mask: Value | null = null): void {
    this.#requireWritable(memory);
    if (mask?.op === 'const' && mask.constant === false) return;
    const condition =
      mask === null || (mask.op === 'const' && mask.constant === true) ? null : this.splat(mask, value.type.lanes);
    this.#push({
      kind: 'store',
      memory,
      index: this.#index(index),
      value: this.#stored(value, memory),
      mask: condition,
    });
  }
  scatter(memory: Memory, indices: Value, value: Value, mask: Value | null = null): void {
    if (indices.type.lanes === 1) return this.store(memory, indices, value, mask);
    this.#requireWritable(memory);
    this.#push({
      kind: 'scatter',
      memory,
      indices,
      value: this.#stored(this.splat(value, indices.type.lanes), memory),
      mask: mask === null ? null : this.splat(mask, indices.type.lanes),
    });
  }
  prefetch(memory: Memory, index: Operand, level: 1 | 2 = 1): void {
    this.#push({ kind: 'prefetch', memory, index: this.#index(index), level });
  }

  // Control

  /**
   * `for (i = start; i < end; i += step)`. `body` gets i and the carried values and returns what the next iteration starts with; the
   * values after the last iteration are returned.
   */
  for(
    start: Operand,
    end: Operand,
    step: number,
    initial: readonly Value[],
    body: (i: Value, ...carried: Value[]) => readonly Value[] | void,
  ): Value[] {
    this.#require(Number.isInteger(step) && step > 0, `loop step ${step}: a positive integer is needed`);
    const first = this.#index(start);
    const last = this.#index(end);
    const inside: Block = { parent: this.#block, depth: this.#block.depth + 1, statements: [] };
    const variable = this.#create('loopVariable', valueType('index'), [], {}, inside);
    const carried: Carried[] = initial.map((value) => ({
      inner: this.#create('carried', value.type, [], {}, inside),
      initial: value,
      next: value,
      result: this.#create('result', value.type, [], {}, this.#block),
    }));
    const outside = this.#block;
    this.#block = inside;
    const next = body(variable, ...carried.map((c) => c.inner)) ?? [];
    this.#block = outside;
    this.#require(
      next.length === carried.length,
      `the loop body returns ${next.length} values for ${carried.length} carried ones`,
    );
    carried.forEach((c, i) => {
      this.#require(
        next[i].type === c.inner.type,
        `carried value ${i} is ${typeName(c.inner.type)}, the body returns ${typeName(next[i].type)}`,
      );
      c.next = next[i];
    });
    this.#push({ kind: 'for', variable, start: first, end: last, step, carried, body: inside });
    return carried.map((c) => c.result);
  }

  if(condition: Value, then: () => void, otherwise?: () => void): void {
    if (condition.op === 'const') {
      if (condition.constant === true) then();
      else otherwise?.();
      return;
    }
    const outside = this.#block;
    const branch = (body: () => void): Block => {
      const block: Block = { parent: outside, depth: outside.depth + 1, statements: [] };
      this.#block = block;
      body();
      this.#block = outside;
      return block;
    };
    const thenBlock = branch(then);
    const otherwiseBlock = otherwise === undefined ? null : branch(otherwise);
    this.#push({ kind: 'if', condition, then: thenBlock, otherwise: otherwiseBlock });
  }

  /** The block that code is being added to. */
  get block(): Block {
    return this.#block;
  }

  /** Adds the code that `body` makes to an enclosing block, before the loops that are still open inside it. */
  within<T>(block: Block, body: () => T): T {
    const current = this.#block;
    let enclosing: Block | null = current;
    while (enclosing !== null && enclosing !== block) enclosing = enclosing.parent;
    this.#require(enclosing === block, 'within() of a block that does not enclose this code');
    this.#block = block;
    try {
      return body();
    } finally {
      this.#block = current;
    }
  }

  /** The finished kernel. */
  build(): Kernel {
    return {
      name: this.name,
      parameters: this.#parameters,
      locals: this.#locals,
      constants: this.#constants,
      body: this.#root,
    };
  }

  // Internals

  #builtin(builtin: Builtin): Value {
    return this.#emit('builtin', valueType('index'), [], { builtin });
  }

  #index(operand: Operand): Value {
    const value = isValue(operand) ? operand : this.constant(operand, 'index');
    return value.type.scalar === 'index' ? value : this.cast(value, 'index');
  }

  #stored(value: Value, memory: Memory): Value {
    this.#require(
      value.type.scalar === memory.element,
      `a store of ${typeName(value.type)} into ${memory.name}, whose elements are ${memory.element}`,
    );
    return value;
  }

  /** Both operands as values of one type: constants take the other's type, scalars are splatted. */
  #pair(a: Operand, b: Operand, what: string): [Value, Value] {
    if (!isValue(a) && !isValue(b))
      throw this.#error(`${what} of two bare constants: make one a value with constant()`);
    const x = isValue(a) ? a : this.constant(a, valueType((b as Value).type.scalar));
    const y = isValue(b) ? b : this.constant(b, valueType(x.type.scalar));
    this.#require(x.type.scalar === y.type.scalar, `${what} of ${typeName(x.type)} and ${typeName(y.type)}: cast one`);
    const lanes = Math.max(x.type.lanes, y.type.lanes);
    return [this.splat(x, lanes), this.splat(y, lanes)];
  }

  #emit(op: Op, type: ValueType, args: readonly Value[], attributes: Attributes = {}): Value {
    const target = this.#place(op, args, attributes);
    const key = valueKey(op, type, args, attributes);
    const reusable = !(attributes.memory !== undefined && this.#written.has(attributes.memory));
    if (reusable) {
      for (let block: Block | null = target; block !== null; block = block.parent) {
        const found = this.#known.get(block)?.get(key);
        if (found !== undefined) return found;
      }
    }
    const value = this.#create(op, type, args, attributes, target);
    target.statements.push({ kind: 'let', value });
    if (reusable) {
      let known = this.#known.get(target);
      if (known === undefined) this.#known.set(target, (known = new Map()));
      known.set(key, value);
    }
    return value;
  }

  /** Hoisting: the outermost block where all operands exist. Loads and integer divisions can fault and stay where they are written. */
  #place(op: Op, args: readonly Value[], attributes: Attributes): Block {
    if (op === 'const' || op === 'param' || op === 'builtin' || op === 'iota') return this.#root;
    if (attributes.memory !== undefined) return this.#block;
    if ((op === 'div' || op === 'rem') && !isFloat(args[0].type.scalar) && !safeDivisor(args[1])) return this.#block;
    let deepest = this.#root;
    for (const arg of args) if (arg.block.depth > deepest.depth) deepest = arg.block;
    return deepest;
  }

  #create(op: Op, type: ValueType, args: readonly Value[], attributes: Attributes, block: Block): Value {
    return { id: this.#count++, op, type, args, block, ...attributes };
  }

  #push(statement: Statement): void {
    this.#block.statements.push(statement);
  }

  #requireWritable(memory: Memory): void {
    this.#require(memory.access !== 'read', `a store into ${memory.name}, which is read-only`);
  }
  #require(condition: boolean, message: string): void {
    if (!condition) throw this.#error(message);
  }
  #error(message: string): ProjError {
    return new ProjError('kernel-verification', `kernel ${this.name}: ${message}`);
  }
}

/** Builds a kernel: `body` declares its parameters and code through the builder. */
export function buildKernel(name: string, body: (builder: KernelBuilder) => void): Kernel {
  const builder = new KernelBuilder(name);
  body(builder);
  return builder.build();
}

/**
 * Runs `body` for `[start, end)` in steps of `lanes`, then one by one for the rest; `body` gets the index and how many lanes to work on.
 */
export function vectorLoop(
  b: KernelBuilder,
  start: Operand,
  end: Operand,
  lanes: number,
  body: (i: Value, lanes: number) => void,
): void {
  const last = isValue(end) ? end : b.index(Number(end));
  if (lanes === 1) {
    b.for(start, last, 1, [], (i) => body(i, 1));
    return;
  }
  const first = isValue(start) ? start : b.index(Number(start));
  const whole = b.add(first, b.mul(b.div(b.sub(last, first), lanes), lanes));
  b.for(first, whole, lanes, [], (i) => body(i, lanes));
  if (whole !== last) b.for(whole, last, 1, [], (i) => body(i, 1));
}
