/**
 * Partial evaluation over memory: a kernel with the contents of some of its read-only buffers built in. What is compiled then has no parameter for
 * them, and reads what they held from its own constants.
 */
import { ProjError } from '../errors.ts';
import type { Block, Carried, Kernel, Memory, Parameter, ScalarParameter, Statement, Value } from '../ir/ir.ts';
import { SCALARS } from '../ir/types.ts';

/**
 * The kernel without the buffer parameters that `contents` names, whose bytes (little-endian) become constants. The other parameters keep their order.
 *
 * @throws ProjError `invalid-argument` for a name that is no buffer, for one that the kernel writes, and for bytes that are no whole elements.
 */
export function embedConstants(
  kernel: Kernel,
  contents: ReadonlyMap<string, Uint8Array>,
  name: string = kernel.name,
): Kernel {
  return new Embedding(kernel, contents).run(name);
}

class Embedding {
  readonly #kernel: Kernel;
  readonly #constants: Memory[];
  readonly #parameters: Parameter[] = [];
  readonly #memories = new Map<Memory, Memory>();
  readonly #scalars = new Map<ScalarParameter, ScalarParameter>();
  readonly #values = new Map<Value, Value>();
  readonly #blocks = new Map<Block, Block>();

  constructor(kernel: Kernel, contents: ReadonlyMap<string, Uint8Array>) {
    this.#kernel = kernel;
    this.#constants = [...kernel.constants];
    const left = new Set(contents.keys());
    for (const parameter of kernel.parameters) {
      const bytes = contents.get(parameter.name);
      left.delete(parameter.name);
      const position = this.#parameters.length;
      if (bytes !== undefined) this.#embed(parameter, bytes);
      else if (parameter.kind === 'scalar') {
        const moved = { ...parameter, position };
        this.#parameters.push(moved);
        this.#scalars.set(parameter, moved);
      } else {
        const moved = { ...parameter, position };
        this.#parameters.push(moved);
        this.#memories.set(parameter, moved);
      }
    }
    if (left.size > 0) throw this.#error(`there is no parameter ${[...left].join(', ')}`);
  }

  run(name: string): Kernel {
    const body = this.#block(this.#kernel.body);
    return { name, parameters: this.#parameters, locals: this.#kernel.locals, constants: this.#constants, body };
  }

  #embed(parameter: Parameter, bytes: Uint8Array): void {
    if (parameter.kind !== 'buffer' || parameter.access !== 'read')
      throw this.#error(`parameter ${parameter.name} is no read-only buffer`);
    const { element } = parameter;
    const length = bytes.length / SCALARS[element].bytes;
    if (!Number.isInteger(length))
      throw this.#error(`${bytes.length} bytes are no whole elements of ${parameter.name}, which are ${element}`);
    const position = this.#constants.length;
    const memory: Memory = {
      kind: 'constant',
      name: `${parameter.name}${position}`,
      element,
      access: 'read',
      length,
      position,
      contents: bytes,
    };
    this.#constants.push(memory);
    this.#memories.set(parameter, memory);
  }

  #memory(memory: Memory): Memory {
    return this.#memories.get(memory) ?? memory;
  }

  #block(block: Block): Block {
    const statements: Statement[] = [];
    const parent = block.parent === null ? null : (this.#blocks.get(block.parent) ?? null);
    const copy: Block = { parent, depth: block.depth, statements };
    this.#blocks.set(block, copy);
    for (const statement of block.statements) {
      const copied = this.#statement(statement);
      if (copied !== null) statements.push(copied);
    }
    return copy;
  }

  #value(value: Value): Value {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    const copy: Value = {
      ...value,
      args: value.args.map((arg) => this.#value(arg)),
      block: this.#blocks.get(value.block) ?? value.block,
      ...(value.memory === undefined ? {} : { memory: this.#memory(value.memory) }),
      ...(value.parameter === undefined ? {} : { parameter: this.#scalars.get(value.parameter) ?? value.parameter }),
    };
    this.#values.set(value, copy);
    return copy;
  }

  #maybe(value: Value | null): Value | null {
    return value === null ? null : this.#value(value);
  }

  #statement(s: Statement): Statement | null {
    switch (s.kind) {
      case 'let':
        return { ...s, value: this.#value(s.value) };
      case 'store':
        return {
          ...s,
          memory: this.#memory(s.memory),
          index: this.#value(s.index),
          value: this.#value(s.value),
          mask: this.#maybe(s.mask),
        };
      case 'scatter':
        return {
          ...s,
          memory: this.#memory(s.memory),
          indices: this.#value(s.indices),
          value: this.#value(s.value),
          mask: this.#maybe(s.mask),
        };
      case 'prefetch': {
        // Constants are small: they are near after the first time.
        const memory = this.#memory(s.memory);
        return memory.kind === 'constant' ? null : { ...s, memory, index: this.#value(s.index) };
      }
      case 'for': {
        const initial = s.carried.map((c) => this.#value(c.initial));
        const [start, end] = [this.#value(s.start), this.#value(s.end)];
        // The loop's own values belong to its body, which is made now and filled next.
        const body = this.#block(s.body);
        const carried = s.carried.map((c, i): Carried => ({
          inner: this.#value(c.inner),
          initial: initial[i],
          next: this.#value(c.next),
          result: this.#value(c.result),
        }));
        return { ...s, variable: this.#value(s.variable), start, end, carried, body };
      }
      case 'if':
        return {
          ...s,
          condition: this.#value(s.condition),
          then: this.#block(s.then),
          otherwise: s.otherwise === null ? null : this.#block(s.otherwise),
        };
      default:
        return s satisfies never;
    }
  }

  #error(what: string): ProjError {
    return new ProjError('invalid-argument', `kernel ${this.#kernel.name}: ${what}`, {
      op: 'embedConstants',
      cure: 'Name read-only buffers of the kernel, and give their bytes',
    });
  }
}
