/** What every kernel made of nodes shares: parameters for the memory, constants and checks that its code turns out to need. */
import type { Kernel, KernelBuilder, Memory, Parameter, Value } from '@proj/kernel';
import type { AnyNode } from '../graph/node.ts';
import { computeScalar, type Emitter, type Environment, type Position, scalarOfDType } from './emitter.ts';
import type { IndexExpression } from './index-expression.ts';

/** What a kernel parameter is bound to. `N`: a node, or what stands for one. */
export type KernelArgument<N = AnyNode> =
  /** The memory of a node, from element `offset` on. */
  | { readonly kind: 'node'; readonly node: N; readonly offset: number }
  | { readonly kind: 'constant'; readonly node: N }
  | { readonly kind: 'status' }
  /** Scratch memory of the group, from byte `offset` on. */
  | { readonly kind: 'workspace'; readonly offset: number };

export interface LoweredKernel<N = AnyNode> {
  readonly kernel: Kernel;
  /** One for each parameter of the kernel. */
  readonly args: readonly KernelArgument<N>[];
  readonly begin: number;
  readonly end: number;
  readonly grain: number;
  readonly align: number;
  /** Nodes whose indices are checked, by slot of the status buffer. */
  readonly checks: readonly N[];
  /** Nodes that are read only at the position being written, before it is written: a result may take their memory. */
  readonly inPlace: readonly N[];
}

export interface Read {
  readonly node: AnyNode;
  readonly position: Position;
}

export class KernelEnvironment implements Environment {
  readonly b: KernelBuilder;
  readonly accesses: IndexExpression[] = [];
  /** Elements ahead of those it reads that contiguous vector loads ask for; 0 for none. */
  ahead = 0;
  readonly reads: Read[] = [];
  readonly checks: AnyNode[] = [];
  readonly #arguments = new Map<Parameter, KernelArgument>();
  readonly #inMemory: (node: AnyNode) => boolean;
  readonly #memories = new Map<string, Memory>();
  readonly #scalars = new Map<AnyNode, Value>();
  #status: Memory | null = null;

  constructor(b: KernelBuilder, inMemory: (node: AnyNode) => boolean) {
    this.b = b;
    this.#inMemory = inMemory;
  }

  memoryOf(node: AnyNode, constant: number, position: Position): Memory | null {
    if (!this.#inMemory(node)) return null;
    this.reads.push({ node, position });
    return this.bind(node, constant);
  }

  /** The buffer of a node that is in memory, from element `constant` on. */
  bind(node: AnyNode, constant: number): Memory {
    const key = `${node.id}:${constant}`;
    let memory = this.#memories.get(key);
    if (memory === undefined) {
      memory = this.b.buffer(`in${this.#arguments.size}`, scalarOfDType(node.dtype));
      this.#arguments.set(memory, { kind: 'node', node, offset: constant });
      this.#memories.set(key, memory);
    }
    return memory;
  }

  output(node: AnyNode, access: 'write' | 'readwrite' = 'write', offset = 0): Memory {
    const memory = this.b.buffer(`out${this.#arguments.size}`, scalarOfDType(node.dtype), access);
    this.#arguments.set(memory, { kind: 'node', node, offset });
    return memory;
  }

  scalarOf(node: AnyNode): Value {
    let value = this.#scalars.get(node);
    if (value === undefined) {
      value = this.b.scalar(`s${this.#arguments.size}`, computeScalar(node.dtype));
      if (value.parameter !== undefined) this.#arguments.set(value.parameter, { kind: 'constant', node });
      this.#scalars.set(node, value);
    }
    return value;
  }

  boundsCheck(node: AnyNode): { memory: Memory; slot: number } {
    if (this.#status === null) {
      this.#status = this.b.buffer('status', 'i32', 'write');
      this.#arguments.set(this.#status, { kind: 'status' });
    }
    let slot = this.checks.indexOf(node);
    if (slot < 0) slot = this.checks.push(node) - 1;
    return { memory: this.#status, slot };
  }

  reducedValue(_node: AnyNode, _position: Position): Value | null {
    return null;
  }
  spilled(_node: AnyNode, _position: Position, _level: Emitter): Value | null {
    return null;
  }
  onAccess(expression: IndexExpression): void {
    this.accesses.push(expression);
  }

  /** Whether the kernel was built with this environment. */
  owns(kernel: Kernel): boolean {
    return kernel.parameters.some((parameter) => this.#arguments.has(parameter));
  }

  /** Bindings of a kernel's parameters; those that nobody here declared are the workspace. */
  argumentsOf(kernel: Kernel): KernelArgument[] {
    return kernel.parameters.map((parameter) => this.#arguments.get(parameter) ?? { kind: 'workspace', offset: 0 });
  }
}
