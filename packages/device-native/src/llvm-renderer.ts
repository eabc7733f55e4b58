/**
 * The `llvm` target: kernels as text of LLVM assembly, vectors as LLVM vectors.
 *
 * Each kernel becomes two functions. The entry has the launch ABI of every target, `void (ptr args, i64 begin, i64 end, i64 thread)`: it
 * loads the parameters from their 8-byte slots and calls the body, whose pointers are `noalias`. Values of the kernel are in single
 * assignment already, so that rendering is one walk; loops are guarded, then run from their latch.
 */
import { type Block, hashKernel, type Kernel, liveValues, type Memory, type Parameter, ProjError, SCALARS, type ScalarType, type Statement, type Value } from '@proj/kernel';
import {
  binaryText, castText, compareText, dot4Text, horizontalText, iotaText, mulAddText, selectText, shuffleText, splatValue, unaryText,
} from './llvm-operations.ts';
import { constantText, elementType, FunctionText, memoryType, type RenderFeatures, splatText, suffixOf, typeText, vectorOf } from './llvm-text.ts';

export type { RenderFeatures } from './llvm-text.ts';

export interface RenderOptions {
  readonly features: RenderFeatures;
  /** The name of a kernel's entry point; by its hash unless given. */
  readonly symbol?: (kernel: Kernel) => string;
  /** LLVM's name of the processor whose timings to schedule for. */
  readonly tuneCpu?: string;
}

/** The entry point of a kernel: equal kernels have equal symbols. */
export const kernelSymbol = (kernel: Kernel): string => `kernel_${hashKernel(kernel)}`;

/** One module with an entry point for each kernel. */
export function renderLLVM(kernels: readonly Kernel[], options: RenderOptions): string {
  const declarations = new Set<string>();
  const functions = kernels.map((kernel) => new KernelRenderer(kernel, options, declarations).render());
  // Both widths at 512: LLVM would split wide vectors on processors that it tunes for 256 bits.
  const tuning = options.tuneCpu === undefined ? '' : ` "tune-cpu"="${options.tuneCpu}"`;
  const attributes = `attributes #0 = { nounwind noinline "min-legal-vector-width"="512" "prefer-vector-width"="512"${tuning} }`;
  return `${[...declarations].join('\n')}\n\n${functions.join('\n\n')}\n\n${attributes}\n`;
}

const parameterType = (p: Parameter): string => (p.kind === 'buffer' ? 'ptr' : p.kind === 'scalar' ? elementType(p.type) : 'ptr');

class KernelRenderer {
  readonly #kernel: Kernel;
  readonly #features: RenderFeatures;
  readonly #symbol: string;
  readonly #f: FunctionText;
  readonly #live: ReadonlyMap<Value, number>;
  readonly #names = new Map<Value, string>();

  constructor(kernel: Kernel, options: RenderOptions, declarations: Set<string>) {
    this.#kernel = kernel;
    this.#features = options.features;
    this.#symbol = (options.symbol ?? kernelSymbol)(kernel);
    this.#f = new FunctionText(declarations);
    this.#live = liveValues(kernel);
  }

  render(): string {
    const { parameters, locals } = this.#kernel;
    for (const local of locals) this.#f.line(`${this.#base(local)} = alloca [${local.length} x ${memoryType(local.element)}], align 64`);
    this.#block(this.#kernel.body);
    this.#f.line('ret void');
    const declared = parameters.map((p) => {
      if (p.kind !== 'buffer') return `${parameterType(p)} %p${p.position}`;
      return `ptr noalias ${p.access === 'read' ? 'readonly ' : ''}%p${p.position}`;
    });
    const body = `define internal void @${this.#symbol}.body(${[...declared, 'i64 %begin', 'i64 %end', 'i64 %thread'].join(', ')}) #0 {\nentry:\n${this.#f.lines.join('\n')}\n}`;
    return `${this.#entry()}\n\n${body}`;
  }

  #entry(): string {
    const f = new FunctionText(this.#f.declarations);
    const args = this.#kernel.parameters.map((p) => {
      const slot = f.value(`getelementptr inbounds i64, ptr %args, i64 ${p.position}`);
      if (p.kind !== 'scalar') return `ptr ${f.value(`load ptr, ptr ${slot}, align 8`)}`;
      const raw = f.value(`load ${memoryType(p.type)}, ptr ${slot}, align 8`);
      return `${elementType(p.type)} ${p.type === 'bool' ? f.value(`icmp ne i8 ${raw}, 0`) : raw}`;
    });
    f.line(`call void @${this.#symbol}.body(${[...args, 'i64 %begin', 'i64 %end', 'i64 %thread'].join(', ')})`);
    f.line('ret void');
    return `define void @${this.#symbol}(ptr readonly %args, i64 %begin, i64 %end, i64 %thread) #0 {\nentry:\n${f.lines.join('\n')}\n}`;
  }

  // Statements

  #block(block: Block): void {
    for (const statement of block.statements) this.#statement(statement);
  }

  #statement(s: Statement): void {
    switch (s.kind) {
      case 'let':
        if (this.#live.has(s.value)) this.#define(s.value);
        return;
      case 'store': return this.#store(s.memory, s.index, s.value, s.mask);
      case 'scatter': return this.#scatter(s.memory, s.indices, s.value, s.mask);
      case 'prefetch': {
        const address = this.#f.value(`getelementptr ${memoryType(s.memory.element)}, ptr ${this.#base(s.memory)}, i64 ${this.#use(s.index)}`);
        this.#f.call('llvm.prefetch.p0', 'void', [['ptr', address], ['i32', '0'], ['i32', '3'], ['i32', '1']]);
        return;
      }
      case 'for': return this.#loop(s);
      case 'if': return this.#branch(this.#use(s.condition), () => this.#block(s.then), s.otherwise === null ? null : () => this.#block(s.otherwise as Block));
      default: s satisfies never;
    }
  }

  #loop(loop: Extract<Statement, { kind: 'for' }>): void {
    const f = this.#f;
    const [start, end] = [this.#use(loop.start), this.#use(loop.end)];
    const carried = loop.carried.filter((c) => this.#live.has(c.inner) || this.#live.has(c.result));
    const initial = carried.map((c) => this.#use(c.initial));
    const [head, exit] = [f.fresh('loop'), f.fresh('done')];
    const before = f.label;
    const runs = loop.start.op === 'const' && loop.end.op === 'const' && Number(loop.start.constant) < Number(loop.end.constant);
    if (runs) f.line(`br label %${head}`);
    else f.line(`br i1 ${f.value(`icmp slt i64 ${start}, ${end}`)}, label %${head}, label %${exit}`);
    f.begin(head);
    const variable = f.fresh('%i');
    const next = f.fresh('%n');
    this.#names.set(loop.variable, variable);
    const inner = carried.map((c) => {
      const name = f.fresh('%c');
      this.#names.set(c.inner, name);
      return name;
    });
    const phis = f.lines.length;
    this.#block(loop.body);
    const after = carried.map((c) => this.#use(c.next));
    f.line(`${next} = add nsw i64 ${variable}, ${loop.step}`);
    const latch = f.label;
    f.line(`br i1 ${f.value(`icmp slt i64 ${next}, ${end}`)}, label %${head}, label %${exit}`);
    const types = carried.map((c) => typeText(c.inner.type));
    f.lines.splice(phis, 0, `  ${variable} = phi i64 [ ${start}, %${before} ], [ ${next}, %${latch} ]`,
      ...carried.map((_, k) => `  ${inner[k]} = phi ${types[k]} [ ${initial[k]}, %${before} ], [ ${after[k]}, %${latch} ]`));
    f.begin(exit);
    carried.forEach((c, k) => {
      this.#names.set(c.result, runs ? after[k] : f.value(`phi ${types[k]} [ ${initial[k]}, %${before} ], [ ${after[k]}, %${latch} ]`));
    });
  }

  #branch(condition: string, then: () => void, otherwise: (() => void) | null): void {
    const f = this.#f;
    const [yes, no, done] = [f.fresh('then'), f.fresh('else'), f.fresh('done')];
    f.line(`br i1 ${condition}, label %${yes}, label %${otherwise === null ? done : no}`);
    f.begin(yes);
    then();
    f.line(`br label %${done}`);
    if (otherwise !== null) {
      f.begin(no);
      otherwise();
      f.line(`br label %${done}`);
    }
    f.begin(done);
  }

  // Memory

  #base(memory: Memory): string {
    return memory.kind === 'local' ? `%local${memory.position}` : `%p${memory.position}`;
  }

  #address(memory: Memory, index: Value): string {
    return this.#f.value(`getelementptr inbounds ${memoryType(memory.element)}, ptr ${this.#base(memory)}, i64 ${this.#use(index)}`);
  }

  #addresses(memory: Memory, indices: Value): string {
    return this.#f.value(`getelementptr inbounds ${memoryType(memory.element)}, ptr ${this.#base(memory)}, ${typeText(indices.type)} ${this.#use(indices)}`);
  }

  #load(memory: Memory, index: Value, lanes: number, mask: Value | undefined): string {
    const f = this.#f;
    const element = memoryType(memory.element);
    const type = vectorOf(element, lanes);
    const align = SCALARS[memory.element].bytes;
    if (mask === undefined) return this.#loaded(memory.element, lanes, f.value(`load ${type}, ptr ${this.#address(memory, index)}, align ${align}`));
    if (lanes > 1) {
      const args = [['ptr', this.#address(memory, index)], ['i32', String(align)], [vectorOf('i1', lanes), this.#use(mask)], [type, 'zeroinitializer']] as const;
      return this.#loaded(memory.element, lanes, f.call(`llvm.masked.load.${suffixOf(element, lanes)}.p0`, type, args));
    }
    const before = f.label;
    const condition = this.#use(mask);
    let read = '';
    let from = '';
    this.#branch(condition, () => {
      read = f.value(`load ${type}, ptr ${this.#address(memory, index)}, align ${align}`);
      from = f.label;
    }, null);
    const zero = splatText(constantText(memory.element === 'i64' ? 0n : 0, memory.element === 'bool' ? 'i8' : memory.element), element, 1);
    return this.#loaded(memory.element, 1, f.value(`phi ${type} [ ${zero}, %${before} ], [ ${read}, %${from} ]`));
  }

  #gather(memory: Memory, indices: Value, mask: Value | undefined): string {
    const { lanes } = indices.type;
    const element = memoryType(memory.element);
    const type = vectorOf(element, lanes);
    const condition = mask === undefined ? splatText('true', 'i1', lanes) : this.#use(mask);
    const args = [[vectorOf('ptr', lanes), this.#addresses(memory, indices)], ['i32', String(SCALARS[memory.element].bytes)], [vectorOf('i1', lanes), condition], [type, 'zeroinitializer']] as const;
    return this.#loaded(memory.element, lanes, this.#f.call(`llvm.masked.gather.${suffixOf(element, lanes)}.${suffixOf('ptr', lanes)}`, type, args));
  }

  #store(memory: Memory, index: Value, value: Value, mask: Value | null): void {
    const f = this.#f;
    const { lanes } = value.type;
    const element = memoryType(memory.element);
    const type = vectorOf(element, lanes);
    const align = SCALARS[memory.element].bytes;
    const stored = this.#stored(memory.element, value);
    if (mask === null) return f.line(`store ${type} ${stored}, ptr ${this.#address(memory, index)}, align ${align}`);
    if (lanes === 1) return this.#branch(this.#use(mask), () => f.line(`store ${type} ${stored}, ptr ${this.#address(memory, index)}, align ${align}`), null);
    f.call(`llvm.masked.store.${suffixOf(element, lanes)}.p0`, 'void', [[type, stored], ['ptr', this.#address(memory, index)], ['i32', String(align)], [vectorOf('i1', lanes), this.#use(mask)]]);
  }

  /** LLVM's masked scatter writes in lane order too. */
  #scatter(memory: Memory, indices: Value, value: Value, mask: Value | null): void {
    const { lanes } = value.type;
    const element = memoryType(memory.element);
    const condition = mask === null ? splatText('true', 'i1', lanes) : this.#use(mask);
    this.#f.call(`llvm.masked.scatter.${suffixOf(element, lanes)}.${suffixOf('ptr', lanes)}`, 'void', [
      [vectorOf(element, lanes), this.#stored(memory.element, value)], [vectorOf('ptr', lanes), this.#addresses(memory, indices)],
      ['i32', String(SCALARS[memory.element].bytes)], [vectorOf('i1', lanes), condition],
    ]);
  }

  #loaded(scalar: ScalarType, lanes: number, x: string): string {
    return scalar === 'bool' ? this.#f.value(`icmp ne ${vectorOf('i8', lanes)} ${x}, ${splatText('0', 'i8', lanes)}`) : x;
  }

  #stored(scalar: ScalarType, value: Value): string {
    const x = this.#use(value);
    return scalar === 'bool' ? this.#f.value(`zext ${typeText(value.type)} ${x} to ${vectorOf('i8', value.type.lanes)}`) : x;
  }

  // Values

  #use(value: Value): string {
    if (value.op === 'const') {
      const lane = constantText(value.constant ?? 0, value.type.scalar);
      return splatText(lane, elementType(value.type.scalar), value.type.lanes);
    }
    const name = this.#names.get(value);
    if (name === undefined) throw new ProjError('kernel-verification', `kernel ${this.#kernel.name}: ${value.op} (value ${value.id}) is used before it is defined`, { op: 'renderLLVM' });
    return name;
  }

  #define(value: Value): void {
    if (value.op !== 'const') this.#names.set(value, this.#text(value));
  }

  #text(v: Value): string {
    const f = this.#f;
    const arg = (i: number): string => this.#use(v.args[i]);
    switch (v.op) {
      case 'const': return '';
      case 'param': return `%p${v.parameter?.position}`;
      case 'builtin': return `%${v.builtin}`;
      case 'iota': return iotaText(v.type);
      case 'neg': case 'abs': case 'sqrt': case 'floor': case 'ceil': case 'trunc': case 'round': case 'not': case 'popcount':
        return unaryText(f, v.op, v.type, arg(0));
      case 'add': case 'sub': case 'mul': case 'div': case 'rem': case 'min': case 'max': case 'and': case 'or': case 'xor': case 'shl': case 'shr':
        return binaryText(f, v.op, v.type, arg(0), arg(1), v.args[1].op === 'const');
      case 'eq': case 'ne': case 'lt': case 'le': case 'gt': case 'ge': return compareText(f, v.op, v.args[0].type, arg(0), arg(1));
      case 'mulAdd': return mulAddText(f, this.#features, v.type, arg(0), arg(1), arg(2));
      case 'select': return selectText(f, v.type, arg(0), arg(1), arg(2));
      case 'cast': return castText(f, v.args[0].type, v.type, arg(0));
      case 'bitcast': return typeText(v.type) === typeText(v.args[0].type) ? arg(0) : f.value(`bitcast ${typeText(v.args[0].type)} ${arg(0)} to ${typeText(v.type)}`);
      case 'splat': return splatValue(f, v.type, arg(0));
      case 'extract': return f.value(`extractelement ${typeText(v.args[0].type)} ${arg(0)}, i64 ${v.lane}`);
      case 'shuffle': return shuffleText(f, v.args[0].type, arg(0), arg(1), v.pattern ?? []);
      case 'dot4': return dot4Text(f, this.#features, v.type, arg(0), arg(1), arg(2));
      case 'reduceAdd': case 'reduceMul': case 'reduceMin': case 'reduceMax': return horizontalText(f, v.op, v.args[0].type, arg(0));
      case 'load': return this.#load(v.memory as Memory, v.args[0], v.type.lanes, v.args[1]);
      case 'gather': return this.#gather(v.memory as Memory, v.args[0], v.args[1]);
      case 'loopVariable': case 'carried': case 'result': return this.#use(v);
      default: return v.op satisfies never;
    }
  }
}
