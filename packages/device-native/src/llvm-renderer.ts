/**
 * The `llvm` target: a kernel as the text of an LLVM module.
 *
 * The module exports `kernel(args, begin, end, thread)`, which loads the parameters from their slots and calls the body. The body is a
 * function of its own because only parameters can say `noalias`. So a buffer may be bound to two parameters of a launch only where each
 * element is read and written by the same item of the range, reads first (in-place elementwise work).
 *
 * Kernels arrive vectorised and simplified; arithmetic carries no fast-math flags, so results are those of the kernel as written.
 */
import {
  isBinary,
  isComparison,
  isHorizontal,
  isTile,
  isUnary,
  liveValues,
  lowerTiles,
  ProjError,
  SCALARS,
  valueType,
  type Block,
  type Kernel,
  type Loop,
  type Memory,
  type Statement,
  type Value,
} from '@proj/kernel';
import type { CpuTarget } from './cpu.ts';
import {
  binary,
  bitcast,
  cast,
  compare,
  dot4,
  extract,
  horizontal,
  iota,
  mulAdd,
  shuffle,
  splat,
  unary,
  type Emitter,
} from './llvm-operations.ts';
import { TILE_CONFIGURATION, TileRegisters } from './llvm-tiles.ts';
import { bytesLiteral, lanesOf, literal, llvmType, mangled, memoryType } from './llvm-types.ts';

/** The symbol that every rendered module exports. */
export const KERNEL_SYMBOL = 'kernel';

/** The attributes of functions that run on `cpu`. */
export function functionAttributes(cpu: CpuTarget): string {
  return `nounwind "target-cpu"="${cpu.baseCpu}" "tune-cpu"="${cpu.tuneCpu}" "target-features"="${cpu.featureString}" "prefer-vector-width"="${cpu.vectorBytes * 8}" "min-legal-vector-width"="${cpu.vectorBytes * 8}" "no-trapping-math"="true"`;
}

/** The text of the module that holds `kernel`. */
export function renderLlvm(kernel: Kernel, cpu: CpuTarget): string {
  return new Renderer(cpu.tiles.length === 0 ? lowerTiles(kernel) : kernel, cpu).module();
}

class Renderer implements Emitter {
  readonly cpu: CpuTarget;
  readonly #kernel: Kernel;
  readonly #live: ReadonlyMap<Value, number>;
  /** Loads that become the memory operand of a multiply-add. */
  readonly #absorbed: ReadonlySet<Value>;
  /** Addresses in the current LLVM block that instruction selection takes as they are. */
  readonly #registers = new Map<string, string>();
  readonly #names = new Map<Value, string>();
  readonly #declarations = new Map<string, string>();
  readonly #lines: string[] = [];
  #count = 0;
  readonly #tiles: TileRegisters;
  /** The block of the kernel that is being written. */
  #current: Block;
  /** The label of the LLVM block that is being written. */
  #label = 'entry';

  constructor(kernel: Kernel, cpu: CpuTarget) {
    this.#kernel = kernel;
    this.cpu = cpu;
    this.#tiles = new TileRegisters(this, kernel);
    this.#current = kernel.body;
    this.#live = liveValues(kernel);
    this.#absorbed = cpu.architecture === 'x64' ? absorbedLoads(this.#live) : new Set();
  }

  module(): string {
    const { parameters, locals, constants, body } = this.#kernel;
    for (const { position, element, length } of locals)
      this.line(`%local.${position} = alloca [${length} x ${memoryType(valueType(element))}], align 64`);
    const tiles = this.#live.size > 0 && [...this.#live.keys()].some(({ type }) => isTile(type));
    if (tiles) {
      this.line(`%tiles = alloca [8192 x i8], align 64`);
      this.call('void', 'llvm.x86.ldtilecfg', [['ptr', '@tiles']]);
    }
    this.#block(body);
    if (tiles) this.call('void', 'llvm.x86.tilerelease', []);
    this.line('ret void');
    const formal = parameters.map((p) =>
      p.kind === 'scalar'
        ? `${llvmType(valueType(p.type))} %p${p.position}`
        : `ptr noalias ${p.access === 'read' ? 'readonly ' : ''}%p${p.position}`,
    );
    return [
      ...(tiles ? [`@tiles = private constant [64 x i8] c"${bytesLiteral(TILE_CONFIGURATION)}", align 64`] : []),
      ...constants.map(
        ({ position, contents = new Uint8Array() }) =>
          `@constant.${position} = private constant [${contents.length} x i8] c"${bytesLiteral(contents)}", align 64`,
      ),
      `define internal void @body(${[...formal, 'i64 %begin', 'i64 %end', 'i64 %thread'].join(', ')}) noinline #0 {`,
      'entry:',
      ...this.#lines,
      '}',
      ...this.#entryPoint(),
      ...this.#declarations.values(),
      `attributes #0 = { ${functionAttributes(this.cpu)} }`,
      '',
    ].join('\n');
  }

  #entryPoint(): string[] {
    const lines: string[] = [];
    const actual = this.#kernel.parameters.map((p) => {
      const slot = `%s${p.position}`;
      lines.push(`  ${slot} = getelementptr i64, ptr %args, i64 ${p.position}`);
      if (p.kind === 'scalar' && p.type === 'bool') {
        lines.push(
          `  %b${p.position} = load i8, ptr ${slot}, align 8`,
          `  %v${p.position} = icmp ne i8 %b${p.position}, 0`,
        );
        return `i1 %v${p.position}`;
      }
      const type = p.kind === 'scalar' ? llvmType(valueType(p.type)) : 'ptr';
      lines.push(`  %v${p.position} = load ${type}, ptr ${slot}, align 8`);
      return `${type} %v${p.position}`;
    });
    return [
      `define void @${KERNEL_SYMBOL}(ptr %args, i64 %begin, i64 %end, i64 %thread) #0 {`,
      ...lines,
      `  call void @body(${[...actual, 'i64 %begin', 'i64 %end', 'i64 %thread'].join(', ')})`,
      '  ret void',
      '}',
    ];
  }

  // Emitter

  define(text: string): string {
    const name = `%${this.#fresh('t')}`;
    this.line(`${name} = ${text}`);
    return name;
  }

  line(text: string): void {
    this.#lines.push(`  ${text}`);
  }

  call(result: string, name: string, operands: readonly (readonly [type: string, operand: string])[]): string {
    if (!this.#declarations.has(name))
      this.#declarations.set(name, `declare ${result} @${name}(${operands.map(([type]) => type).join(', ')})`);
    const text = `call ${result} @${name}(${operands.map((operand) => operand.join(' ')).join(', ')})`;
    if (result !== 'void') return this.define(text);
    this.line(text);
    return '';
  }

  operand(value: Value): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const text = this.#implicit(value);
    this.#names.set(value, text);
    return text;
  }

  /** Values that need no instruction. */
  #implicit(value: Value): string {
    if (value.op === 'const' && value.constant !== undefined) return literal(value.constant, value.type);
    if (value.op === 'param' && value.parameter !== undefined) return `%p${value.parameter.position}`;
    if (value.op === 'builtin' && value.builtin !== undefined) return `%${value.builtin}`;
    if (value.op === 'iota') return iota(value.type);
    throw this.#broken(`value ${value.id} (${value.op}) is used before it is defined`);
  }

  #broken(what: string): ProjError {
    return new ProjError('kernel-verification', `kernel ${this.#kernel.name}: ${what}`, {
      op: 'renderLlvm',
      cure: 'Run verifyKernel on it',
    });
  }

  // Statements

  #fresh(prefix: string): string {
    return `${prefix}${this.#count++}`;
  }

  #start(label: string): void {
    this.#lines.push(`${label}:`);
    this.#label = label;
    this.#registers.clear();
  }

  #block(block: Block): void {
    const outside = this.#current;
    this.#current = block;
    for (const statement of block.statements) this.#statement(statement);
    this.#current = outside;
  }

  #statement(s: Statement): void {
    switch (s.kind) {
      case 'let':
        if (isTile(s.value.type)) this.#tile(s.value);
        else if (this.#live.has(s.value)) this.#names.set(s.value, this.#value(s.value));
        return;
      case 'store':
        return this.#store(s.memory, this.operand(s.index), s.value, s.mask);
      case 'scatter': {
        const { type } = s.value;
        const stored = this.#toMemory(s.value);
        const pointers = this.#pointers(s.memory, s.indices);
        const elements = memoryType(type);
        const pointerType = lanesOf('ptr', type);
        const mask = s.mask === null ? literal(true, valueType('bool', type.lanes)) : this.operand(s.mask);
        this.call('void', `llvm.masked.scatter.${mangled(elements)}.${mangled(pointerType)}`, [
          [elements, stored],
          [pointerType, pointers],
          ['i32', String(SCALARS[s.memory.element].bytes)],
          [lanesOf('i1', type), mask],
        ]);
        return;
      }
      case 'prefetch':
        this.call('void', 'llvm.prefetch.p0', [
          ['ptr', this.#pointer(s.memory, this.operand(s.index))],
          ['i32', '0'],
          ['i32', s.level === 1 ? '3' : '2'],
          ['i32', '1'],
        ]);
        return;
      case 'for':
        return this.#loop(s);
      case 'if': {
        const then = this.#fresh('then');
        const end = this.#fresh('end');
        const otherwise = s.otherwise === null ? end : this.#fresh('else');
        this.line(`br i1 ${this.operand(s.condition)}, label %${then}, label %${otherwise}`);
        this.#start(then);
        this.#block(s.then);
        this.#tiles.leave(s.then);
        this.line(`br label %${end}`);
        if (s.otherwise !== null) {
          this.#start(otherwise);
          this.#block(s.otherwise);
          this.#tiles.leave(s.otherwise);
          this.line(`br label %${end}`);
        }
        this.#start(end);
        return;
      }
      default:
        s satisfies never;
    }
  }

  /** A loop with its test at the bottom, behind a test whether it runs at all. */
  #loop(loop: Loop): void {
    const carried = loop.carried.filter(
      (c) => !isTile(c.inner.type) && (this.#live.has(c.result) || this.#live.has(c.inner)),
    );
    this.#tiles.enter(loop, this.#current);
    const before = this.#label;
    const head = this.#fresh('loop');
    const end = this.#fresh('end');
    const start = this.operand(loop.start);
    const limit = this.operand(loop.end);
    const initial = carried.map((c) => this.operand(c.initial));
    this.line(`br i1 ${this.define(`icmp slt i64 ${start}, ${limit}`)}, label %${head}, label %${end}`);
    this.#start(head);
    // The latch is known when the body is written: its incoming edges are filled in then.
    const latchMark = `<latch of ${head}>`;
    const variable = `%${this.#fresh('i')}`;
    const next = `${variable}.next`;
    const firstPhi = this.#lines.length;
    this.line(`${variable} = phi i64 [ ${start}, %${before} ], [ ${next}, %${latchMark} ]`);
    this.#names.set(loop.variable, variable);
    carried.forEach((c, position) => {
      const name = `%${this.#fresh('c')}`;
      this.#names.set(c.inner, name);
      this.line(
        `${name} = phi ${llvmType(c.inner.type)} [ ${initial[position]}, %${before} ], [ <next ${position}>, %${latchMark} ]`,
      );
    });
    this.#block(loop.body);
    this.#tiles.next(loop);
    const following = carried.map((c) => this.operand(c.next));
    const latch = this.#label;
    for (let at = firstPhi; at <= firstPhi + carried.length; at++) {
      this.#lines[at] = (this.#lines[at] ?? '')
        .replace(latchMark, latch)
        .replace(/<next (\d+)>/, (_, position: string) => following[Number(position)] ?? '');
    }
    this.line(`${next} = add nsw i64 ${variable}, ${loop.step}`);
    this.line(`br i1 ${this.define(`icmp slt i64 ${next}, ${limit}`)}, label %${head}, label %${end}`);
    this.#start(end);
    this.#tiles.exit(loop);
    carried.forEach((c, position) => {
      this.#names.set(
        c.result,
        this.define(
          `phi ${llvmType(c.result.type)} [ ${initial[position]}, %${before} ], [ ${following[position]}, %${latch} ]`,
        ),
      );
    });
  }

  // Values

  #value(value: Value): string {
    const { op, type, args } = value;
    const [a, b, c] = args;
    switch (op) {
      case 'const':
      case 'param':
      case 'builtin':
      case 'iota':
        return this.operand(value);
      case 'loopVariable':
      case 'carried':
      case 'result':
        throw this.#broken(`${op} outside a loop header`);
      case 'load':
      case 'gather':
        return this.#load(value);
      default:
    }
    if (a === undefined) throw this.#broken(`${op} without operands`);
    const x = this.operand(a);
    if (isUnary(op)) return unary(this, op, value, x);
    if (isHorizontal(op)) return horizontal(this, op, a, x);
    switch (op) {
      case 'cast':
        return cast(this, a, type);
      case 'bitcast':
        return bitcast(this, a.type, type, x);
      case 'splat':
        return splat(this, type, x);
      case 'extract':
        return extract(this, a.type, x, value.lane ?? 0);
      default:
    }
    if (b === undefined) throw this.#broken(`${op} with one operand`);
    const y = this.operand(b);
    if (isBinary(op)) return binary(this, op, type, x, y, b);
    if (isComparison(op)) return compare(this, op, a.type, x, y);
    if (op === 'shuffle') return shuffle(this, a.type, x, y, value.pattern ?? []);
    if (c === undefined) throw this.#broken(`${op} with two operands`);
    const z = this.operand(c);
    switch (op) {
      case 'mulAdd':
        return mulAdd(this, type, x, y, z);
      case 'select':
        return this.define(`select ${lanesOf('i1', type)} ${x}, ${llvmType(type)} ${y}, ${llvmType(type)} ${z}`);
      case 'dot4':
        return dot4(this, type, x, y, z);
      case 'tileDot':
        throw this.#broken('tileDot without a tile');
      default:
        return op satisfies never;
    }
  }

  /** Tiles have no names: they are in registers that we give out. */
  #tile(value: Value): void {
    const [index] = value.args;
    if (value.op === 'tileDot') this.#tiles.dot(value);
    else if (value.op === 'load' && value.memory !== undefined && index !== undefined)
      this.#tiles.load(value, this.#pointer(value.memory, this.operand(index)));
  }

  // Memory

  #base(memory: Memory): string {
    switch (memory.kind) {
      case 'buffer':
        return `%p${memory.position}`;
      case 'local':
        return `%local.${memory.position}`;
      case 'constant':
        return `@constant.${memory.position}`;
      default:
        return memory.kind satisfies never;
    }
  }

  #pointer(memory: Memory, index: string): string {
    return this.define(
      `getelementptr inbounds ${memoryType(valueType(memory.element))}, ptr ${this.#base(memory)}, i64 ${index}`,
    );
  }

  /**
   * A pointer that is one register and a constant. x86-64 splits a multiply-add whose memory operand has two registers in two operations,
   * which would halve how far the processor looks ahead in a matrix product. The empty assembly keeps LLVM from rearranging the address.
   */
  #plainPointer(memory: Memory, index: Value): string {
    const [varying, constant] = index.args;
    const apart = index.op === 'add' && varying !== undefined && constant?.op === 'const';
    const from = this.operand(apart ? varying : index);
    const key = `${this.#base(memory)} ${from}`;
    let register = this.#registers.get(key);
    if (register === undefined) {
      register = this.define(`call ptr asm "", "=r,0"(ptr ${this.#pointer(memory, from)})`);
      this.#registers.set(key, register);
    }
    if (!apart) return register;
    return this.define(
      `getelementptr inbounds ${memoryType(valueType(memory.element))}, ptr ${register}, i64 ${this.operand(constant)}`,
    );
  }

  #pointers(memory: Memory, indices: Value): string {
    return this.define(
      `getelementptr inbounds ${memoryType(valueType(memory.element))}, ptr ${this.#base(memory)}, ${llvmType(indices.type)} ${this.operand(indices)}`,
    );
  }

  #load(value: Value): string {
    const { memory, type, args } = value;
    const [index, mask] = args;
    if (memory === undefined || index === undefined) throw this.#broken(`${value.op} without memory`);
    const elements = memoryType(type);
    const align = SCALARS[memory.element].bytes;
    const zero =
      elements.includes('float') || elements.includes('double')
        ? type.lanes === 1
          ? '0.0'
          : 'zeroinitializer'
        : type.lanes === 1
          ? '0'
          : 'zeroinitializer';
    if (value.op === 'gather') {
      const pointerType = lanesOf('ptr', type);
      const condition = mask === undefined ? literal(true, valueType('bool', type.lanes)) : this.operand(mask);
      return this.#fromMemory(
        type,
        this.call(elements, `llvm.masked.gather.${mangled(elements)}.${mangled(pointerType)}`, [
          [pointerType, this.#pointers(memory, index)],
          ['i32', String(align)],
          [lanesOf('i1', type), condition],
          [elements, zero],
        ]),
      );
    }
    const pointer = this.#absorbed.has(value)
      ? this.#plainPointer(memory, index)
      : this.#pointer(memory, this.operand(index));
    if (mask === undefined)
      return this.#fromMemory(type, this.define(`load ${elements}, ptr ${pointer}, align ${align}`));
    if (type.lanes > 1) {
      return this.#fromMemory(
        type,
        this.call(elements, `llvm.masked.load.${mangled(elements)}.p0`, [
          ['ptr', pointer],
          ['i32', String(align)],
          [lanesOf('i1', type), this.operand(mask)],
          [elements, zero],
        ]),
      );
    }
    const before = this.#label;
    const then = this.#fresh('then');
    const end = this.#fresh('end');
    this.line(`br i1 ${this.operand(mask)}, label %${then}, label %${end}`);
    this.#start(then);
    const loaded = this.define(`load ${elements}, ptr ${pointer}, align ${align}`);
    this.line(`br label %${end}`);
    this.#start(end);
    return this.#fromMemory(type, this.define(`phi ${elements} [ ${loaded}, %${then} ], [ ${zero}, %${before} ]`));
  }

  #store(memory: Memory, index: string, value: Value, mask: Value | null): void {
    if (isTile(value.type)) return this.#tiles.store(value, this.#pointer(memory, index), this.#current);
    const elements = memoryType(value.type);
    const align = SCALARS[memory.element].bytes;
    const stored = this.#toMemory(value);
    const pointer = this.#pointer(memory, index);
    if (mask === null) return this.line(`store ${elements} ${stored}, ptr ${pointer}, align ${align}`);
    if (value.type.lanes > 1) {
      this.call('void', `llvm.masked.store.${mangled(elements)}.p0`, [
        [elements, stored],
        ['ptr', pointer],
        ['i32', String(align)],
        [lanesOf('i1', value.type), this.operand(mask)],
      ]);
      return;
    }
    const then = this.#fresh('then');
    const end = this.#fresh('end');
    this.line(`br i1 ${this.operand(mask)}, label %${then}, label %${end}`);
    this.#start(then);
    this.line(`store ${elements} ${stored}, ptr ${pointer}, align ${align}`);
    this.line(`br label %${end}`);
    this.#start(end);
  }

  /** A loaded value: a boolean is one bit of its byte. */
  #fromMemory(type: Value['type'], loaded: string): string {
    if (type.scalar !== 'bool') return loaded;
    return this.define(`icmp ne ${memoryType(type)} ${loaded}, ${literal(0, valueType('u8', type.lanes))}`);
  }

  #toMemory(value: Value): string {
    const x = this.operand(value);
    return value.type.scalar === 'bool'
      ? this.define(`zext ${llvmType(value.type)} ${x} to ${memoryType(value.type)}`)
      : x;
  }
}

/** Loads, broadcast or not, that nothing but one multiply-add reads. */
function absorbedLoads(live: ReadonlyMap<Value, number>): Set<Value> {
  const loads = new Set<Value>();
  for (const value of live.keys()) {
    if (value.op !== 'mulAdd') continue;
    for (const arg of value.args) {
      const load = arg.op === 'splat' && live.get(arg) === 1 ? arg.args[0] : arg;
      if (load?.op === 'load' && load.args.length === 1 && live.get(load) === 1) loads.add(load);
    }
  }
  return loads;
}
