/**
 * The WebAssembly target: kernels as functions of one module, `(args, begin, end, thread)`, all i32. `args` points to 8-byte slots in
 * linear memory, one a parameter: addresses and scalars. The module imports the memory `e.m`, the function table `e.t` (into which it puts
 * its functions) and the global `e.s`, the address of the running thread's locals. Constant memories are a data segment.
 *
 * Code is written in the order of the kernel: a value goes to a local where it is defined, unless its only use follows at once and takes it
 * from the stack. The engine's own compiler allocates registers in that order, so the order in which a kernel is written matters.
 */
import { floatToBfloatBits, floatToHalfBits } from '../dtypes/half.ts';
import { ProjError } from '../errors.ts';
import type { Block, Kernel, Loop, Memory, Statement, Value } from '../ir/ir.ts';
import { isBinary, isComparison, isGiven, isHorizontal, isUnary } from '../ir/operations.ts';
import { verifyKernel } from '../ir/verify.ts';
import { SCALARS, typeName } from '../ir/types.ts';
import { lowerTiles } from '../passes/lower-tiles.ts';
import { type Address, type AddressNode, isMemory } from './wasm-address.ts';
import { encodeModule, FunctionBody, I32, V128 } from './wasm-bytes.ts';
import { inLines, placeConstants, typedLanes } from './wasm-constants.ts';
import { castHalfScalar, castInPlace, castVector } from './wasm-cast.ts';
import {
  gather,
  loadMasked,
  loadScalar,
  loadSplat,
  loadVector,
  type MemoryEmitter,
  scatter,
  store,
} from './wasm-memory.ts';
import { ARITHMETIC, COMPARE, INTEGER, laneBits, LOAD, stackType, wasmType } from './wasm-opcodes.ts';
import { streamsOf, touchAhead } from './wasm-stream.ts';
import { inPlaceCast, type Plan, planKernel } from './wasm-plan.ts';
import { scalarBinary, scalarBitcast, scalarCast, scalarCompare, scalarUnary } from './wasm-scalar.ts';
import {
  convertMask,
  dot4,
  extract,
  horizontal,
  multiplyAdd,
  scalarMultiplyAdd,
  scalarSelect,
  shuffle,
  splat,
  vectorBinary,
  vectorCompare,
  vectorSelect,
  vectorUnary,
  type WasmFeatures,
} from './wasm-vector.ts';

export { wasmConstantBytes } from './wasm-constants.ts';
export type { WasmFeatures } from './wasm-vector.ts';

const [ARGS, BEGIN, END, THREAD] = [0, 1, 2, 3];

export interface WasmOptions {
  readonly features: WasmFeatures;
  readonly sharedMemory: boolean;
  /** Index in the function table of the first kernel. */
  readonly tableStart: number;
  /** Address of `wasmConstantBytes(kernels)` bytes for the constant memories of the kernels, a multiple of 64. */
  readonly constantsStart?: number;
}

/** One module of all these kernels. */
export function renderWasm(sources: readonly Kernel[], options: WasmOptions): Uint8Array<ArrayBuffer> {
  const kernels = sources.map((kernel) => {
    verifyKernel(kernel);
    return lowerTiles(kernel);
  });
  const { places, bytes } = placeConstants(kernels, options.constantsStart ?? 0);
  const functions = kernels.map((kernel) => {
    try {
      return { type: 0, body: new Renderer(kernel, options.features, places).render(), name: '' };
    } catch (error) {
      throw new ProjError(
        'kernel-compilation',
        `kernel ${kernel.name} has no WebAssembly form: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  });
  return encodeModule({
    types: [{ parameters: [I32, I32, I32, I32], results: [] }],
    functions,
    sharedMemory: options.sharedMemory,
    tableStart: options.tableStart,
    stack: true,
    ...(bytes.length === 0 ? {} : { data: { address: options.constantsStart ?? 0, bytes } }),
  });
}

class Renderer implements MemoryEmitter {
  readonly code = new FunctionBody(4);
  readonly features: WasmFeatures;
  readonly #kernel: Kernel;
  readonly #plan: Plan;
  readonly #constants: ReadonlyMap<Memory, number>;
  readonly #locals = new Map<Value, readonly number[]>();
  /** Loops that are open. */
  #loops = 0;
  /** Locals to give back at the end of each open block. */
  readonly #open: number[][] = [[]];

  constructor(kernel: Kernel, features: WasmFeatures, constants: ReadonlyMap<Memory, number>) {
    this.#kernel = kernel;
    this.#constants = constants;
    this.features = features;
    this.#plan = planKernel(kernel);
  }

  render(): FunctionBody {
    this.#enter();
    this.#block(this.#kernel.body);
    return this.code;
  }

  // What the vector and memory code uses

  bits(value: Value): number {
    return this.#plan.bits(value);
  }
  parts(value: Value): number {
    return this.#plan.parts(value);
  }
  local(type: number): number {
    const local = this.code.local(type);
    this.#open[this.#open.length - 1].push(local);
    return local;
  }
  hold(value: Value, part: number): number {
    const locals = this.#locals.get(value);
    if (locals !== undefined) return locals[part];
    this.push(value, part);
    const local = this.local(this.#typeOf(value));
    this.code.set(local);
    return local;
  }
  push(value: Value, part: number): void {
    const locals = this.#locals.get(value);
    if (locals !== undefined) this.code.get(locals[part]);
    else if (value.op === 'const') this.#constant(value);
    else if (value.type.lanes === 1) this.#scalar(value);
    else this.#vector(value, part);
  }
  pushMask(value: Value, part: number, bits: number): void {
    if (this.#plan.uniform(value)) this.push(value, 0);
    else convertMask(this.code, this.bits(value), bits, this.parts(value), part, (p) => this.push(value, p));
  }
  addressOf(key: Parameters<MemoryEmitter['addressOf']>[0]): Address {
    const address = this.#plan.addresses.get(key);
    if (address === undefined) throw new TypeError('an access without an address');
    return address;
  }
  pushAddress(address: Address): void {
    this.#pushNode(address.node);
  }

  // Values

  #typeOf(value: Value): number {
    return value.type.lanes === 1 ? wasmType[stackType[value.type.scalar]] : V128;
  }

  /** Parameters, builtins and memories. */
  #enter(): void {
    const c = this.code;
    for (const [memory, node] of this.#plan.addressPlanner.memories()) {
      node.local = this.local(I32);
      switch (memory.kind) {
        case 'buffer':
          c.get(ARGS).memory(LOAD.i32, 2, 8 * memory.position);
          break;
        case 'local': {
          const before = this.#kernel.locals
            .slice(0, memory.position)
            .reduce((sum, m) => sum + inLines(m.length * SCALARS[m.element].bytes), 0);
          c.global(0).i32(before).op(ARITHMETIC.add.i32);
          break;
        }
        case 'constant':
          c.i32(this.#constants.get(memory) ?? 0);
          break;
        default:
          memory.kind satisfies never;
      }
      c.set(node.local);
    }
    for (const value of this.#plan.uses.keys()) {
      if (value.op === 'param' && value.parameter !== undefined) {
        const type = stackType[value.type.scalar];
        const local = this.local(wasmType[type]);
        c.get(ARGS)
          .memory(LOAD[type], 2, 8 * value.parameter.position)
          .set(local);
        this.#locals.set(value, [local]);
      } else if (value.op === 'builtin') {
        this.#locals.set(value, [value.builtin === 'begin' ? BEGIN : value.builtin === 'end' ? END : THREAD]);
      }
    }
  }

  #keepUniform(value: Value): void {
    const local = this.local(this.#typeOf(value));
    this.code.set(local);
    this.#locals.set(value, new Array<number>(this.parts(value)).fill(local));
  }

  #constant(value: Value): void {
    const c = this.code;
    const { scalar, lanes } = value.type;
    const number = Number(value.constant);
    if (lanes === 1) {
      switch (stackType[scalar]) {
        case 'i64':
          c.i64(BigInt(value.constant ?? 0));
          return;
        case 'f32':
          c.f32(number);
          return;
        case 'f64':
          c.f64(number);
          return;
        default:
          c.i32(scalar === 'f16' ? floatToHalfBits(number) : scalar === 'bf16' ? floatToBfloatBits(number) : number);
          return;
      }
    }
    const { constant = 0 } = value;
    this.#vectorConstant(typedLanes(scalar, () => constant));
  }

  /** Constants outside of loops need no local. */
  #vectorConstant(bytes: Uint8Array): void {
    if (this.#loops > 0) this.code.hoisted(bytes);
    else this.code.v128(bytes);
  }

  #scalar(v: Value): void {
    const c = this.code;
    const { scalar } = v.type;
    const arg = (i: number) => (): void => this.push(v.args[i], 0);
    if (isUnary(v.op)) return scalarUnary(c, v.op, scalar, arg(0));
    if (isBinary(v.op)) {
      const right = v.args[1].op === 'const' ? Number(v.args[1].constant) : null;
      return scalarBinary(c, v.op, scalar, arg(0), arg(1), right);
    }
    if (isComparison(v.op)) {
      arg(0)();
      arg(1)();
      return scalarCompare(c, v.op, v.args[0].type.scalar);
    }
    if (isHorizontal(v.op)) return horizontal(this, v);
    if (isGiven(v.op)) throw this.#misplaced(v);
    switch (v.op) {
      case 'mulAdd':
        return scalarMultiplyAdd(this, scalar, arg(0), arg(1), arg(2));
      case 'select':
        return scalarSelect(this, arg(0), arg(1), arg(2));
      case 'cast': {
        const from = v.args[0].type.scalar;
        const half = from === 'f16' || from === 'bf16' || scalar === 'f16' || scalar === 'bf16';
        return half ? castHalfScalar(this, from, scalar, arg(0)) : scalarCast(c, from, scalar, arg(0));
      }
      case 'bitcast':
        return scalarBitcast(c, v.args[0].type.scalar, scalar, arg(0));
      case 'extract':
        return extract(this, v.args[0], v.lane ?? 0);
      case 'shuffle':
        return extract(
          this,
          v.args[(v.pattern?.[0] ?? 0) < v.args[0].type.lanes ? 0 : 1],
          (v.pattern?.[0] ?? 0) % v.args[0].type.lanes,
        );
      case 'dot4':
        return dot4(this, v, 0);
      case 'load':
      case 'gather':
        return loadScalar(this, v);
      case 'splat':
      case 'iota':
      case 'tileDot':
        throw this.#misplaced(v);
      default:
        v.op satisfies never;
    }
  }

  #misplaced(v: Value): TypeError {
    return new TypeError(`${v.op} (value ${v.id}: ${typeName(v.type)}) has no place`);
  }

  #vector(v: Value, part: number): void {
    if (isUnary(v.op)) return vectorUnary(this, v, part);
    if (isBinary(v.op)) return vectorBinary(this, v, part);
    if (isComparison(v.op)) return vectorCompare(this, v, part, v.op);
    if (isHorizontal(v.op) || isGiven(v.op)) throw this.#misplaced(v);
    switch (v.op) {
      case 'mulAdd':
        return multiplyAdd(
          this,
          v.type.scalar,
          () => this.push(v.args[0], part),
          () => this.push(v.args[1], part),
          () => this.push(v.args[2], part),
        );
      case 'select':
        return vectorSelect(this, v, part);
      case 'cast':
        return castInPlace(this, v, part);
      case 'bitcast':
        return this.push(v.args[0], part);
      case 'splat': {
        const [x] = v.args;
        if (x.op === 'load' && this.#plan.inlined.has(x) && loadSplat(this, x)) return;
        return splat(this, v);
      }
      case 'iota':
        return this.#iota(v, part);
      case 'dot4':
        return dot4(this, v, part);
      case 'load':
        return loadVector(this, v, part);
      case 'extract':
      case 'shuffle':
      case 'gather':
      case 'tileDot':
        throw this.#misplaced(v);
      default:
        v.op satisfies never;
    }
  }

  #iota({ type: { scalar, lanes } }: Value, part: number): void {
    const first = (part * 128) / laneBits(scalar);
    this.#vectorConstant(typedLanes(scalar, (lane) => (first + lane < lanes ? first + lane : 0)));
  }

  /** Computes a value into locals, where it is defined. */
  #define(v: Value): void {
    if (v.op === 'const' || this.#locals.has(v) || this.#plan.inlined.has(v) || !this.#plan.uses.has(v)) return;
    const whole = this.#whole(v);
    if (whole !== null) {
      this.#locals.set(v, whole);
      return;
    }
    if (this.#plan.uniform(v)) {
      this.push(v, 0);
      this.#keepUniform(v);
      return;
    }
    const locals: number[] = [];
    for (let part = 0; part < this.parts(v); part++) {
      this.push(v, part);
      const local = this.local(this.#typeOf(v));
      this.code.set(local);
      locals.push(local);
    }
    this.#locals.set(v, locals);
  }

  /** Vector operations that give all their parts at once. */
  #whole(v: Value): number[] | null {
    if (v.type.lanes === 1) return null;
    switch (v.op) {
      case 'cast':
        return inPlaceCast(v) ? null : castVector(this, v);
      case 'shuffle':
        return shuffle(this, v);
      case 'gather':
        return gather(this, v);
      case 'load':
        return v.args.length > 1 ? loadMasked(this, v) : null;
      default:
        return null;
    }
  }

  #pushNode(node: AddressNode): void {
    const c = this.code;
    if (node.local >= 0) {
      c.get(node.local);
      return;
    }
    if (isMemory(node.base)) throw new TypeError(`memory ${node.base.name} has no address`);
    this.#pushNode(node.base);
    for (const [value, factor] of node.terms) {
      if (factor === 1 || factor === -1) this.push(value, 0);
      else {
        this.push(value, 0);
        if (factor > 0 && (factor & (factor - 1)) === 0) c.i32(31 - Math.clz32(factor)).op(INTEGER.shl.i32);
        else c.i32(factor).op(ARITHMETIC.mul.i32);
      }
      c.op(factor === -1 ? ARITHMETIC.sub.i32 : ARITHMETIC.add.i32);
    }
    if (node.constant !== 0) c.i32(node.constant).op(ARITHMETIC.add.i32);
    if (node.uses > 1) {
      node.local = this.local(I32);
      c.tee(node.local);
    }
  }

  // Statements

  #block(block: Block): void {
    for (const s of block.statements) this.#statement(s);
  }

  #statement(s: Statement): void {
    const c = this.code;
    for (const node of this.#plan.before.get(s) ?? []) {
      if (node.local >= 0) continue;
      this.#pushNode(node);
      if (node.local < 0) node.local = this.local(I32);
      c.set(node.local);
    }
    switch (s.kind) {
      case 'let':
        this.#define(s.value);
        return;
      case 'store':
        store(this, s);
        return;
      case 'scatter':
        scatter(this, s);
        return;
      case 'prefetch':
        return;
      case 'for':
        this.#loop(s);
        return;
      case 'if':
        this.push(s.condition, 0);
        c.if();
        this.#inside(s.then);
        if (s.otherwise !== null) {
          c.else();
          this.#inside(s.otherwise);
        }
        c.end();
        return;
      default:
        s satisfies never;
    }
  }

  #inside(block: Block, atEnd: () => void = () => {}): void {
    this.#open.push([]);
    this.#block(block);
    atEnd();
    for (const local of this.#open.pop() ?? []) this.code.release(local);
  }

  #loop(s: Loop): void {
    const c = this.code;
    const carried = s.carried.filter((one) => this.#plan.uses.has(one.inner));
    const variable = this.local(I32);
    this.push(s.start, 0);
    c.set(variable);
    this.#locals.set(s.variable, [variable]);
    const end = s.end.op === 'const' ? -1 : this.hold(s.end, 0);
    const pushEnd = (): void => {
      if (end < 0) this.push(s.end, 0);
      else c.get(end);
    };
    for (const { inner, initial, result } of carried) {
      const locals: number[] = [];
      for (let part = 0; part < this.parts(inner); part++) {
        this.#pushCarried(initial, inner, part);
        const local = this.local(this.#typeOf(inner));
        c.set(local);
        locals.push(local);
      }
      this.#locals.set(inner, locals);
      this.#locals.set(result, locals);
    }
    const surelyEntered =
      s.start.op === 'const' && s.end.op === 'const' && Number(s.start.constant) < Number(s.end.constant);
    if (!surelyEntered) {
      c.get(variable);
      pushEnd();
      c.op(COMPARE.lt.i32).if();
    }
    const pointers = this.#plan.addressPlanner.pointers(s.body);
    for (const node of pointers) {
      this.#pushNode({ ...node, uses: 0, terms: [[s.variable, node.terms[0][1]]] });
      node.local = this.local(I32);
      c.set(node.local);
    }
    const streamed = streamsOf(s, this.#plan);
    const chunkEnd = streamed === null ? -1 : this.local(I32);
    if (streamed !== null) {
      c.loop();
      touchAhead(c, streamed, { variable, chunkEnd, pushEnd });
    }
    c.loop();
    this.#loops++;
    this.#inside(s.body, () => {
      for (const { inner, next } of carried)
        for (let part = 0; part < this.parts(inner); part++) this.#pushCarried(next, inner, part);
      for (const { inner } of [...carried].reverse())
        for (const local of [...(this.#locals.get(inner) ?? [])].reverse()) c.set(local);
      for (const { local, terms } of pointers)
        c.get(local).i32(Math.imul(terms[0][1], s.step)).op(ARITHMETIC.add.i32).set(local);
      c.get(variable).i32(s.step).op(ARITHMETIC.add.i32).tee(variable);
      if (chunkEnd >= 0) c.get(chunkEnd);
      else pushEnd();
      c.op(COMPARE.lt.i32).branchIf(0);
    });
    this.#loops--;
    c.end();
    if (streamed !== null) {
      c.get(variable);
      pushEnd();
      c.op(COMPARE.lt.i32).branchIf(0).end();
    }
    if (!surelyEntered) c.end();
  }

  #pushCarried(value: Value, inner: Value, part: number): void {
    if (value.type.scalar === 'bool' && value.type.lanes > 1) this.pushMask(value, part, this.bits(inner));
    else this.push(value, part);
  }
}
