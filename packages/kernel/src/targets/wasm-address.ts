/**
 * Address arithmetic. An index is taken apart into a sum of multiples of values plus a constant; the constant becomes the offset of the
 * memory instruction, and the sum is grouped by the block in which its values live, so that what does not change in a loop is added up
 * before it. Equal sums of a block are one `AddressNode`, computed once; one that only follows the loop's variable is a pointer that the
 * loop moves on.
 *
 * The offset of a memory instruction is added without wrapping, so the rest of the address must not be negative: offsets are below
 * 64 KiB, and nothing that a kernel may touch lies in the first 64 KiB of memory.
 */
import type { Block, Memory, Value } from '../ir/ir.ts';
import { SCALARS } from '../ir/types.ts';

/** Index = constant + sum of factor · value. */
interface Linear {
  readonly constant: number;
  readonly terms: ReadonlyMap<Value, number>;
}

export interface AddressNode {
  /** The address that this one adds to, or the memory that it is the start of. */
  readonly base: AddressNode | Memory;
  readonly block: Block;
  readonly terms: readonly (readonly [Value, number])[];
  readonly constant: number;
  /** How often its value is needed; more than once: it is kept in a local. */
  uses: number;
  /** Set while code is written. */
  local: number;
}

export interface Address {
  readonly node: AddressNode;
  /** Non-negative, below 64 KiB. */
  readonly offset: number;
}

const OFFSET_MASK = 0xffff;
/** More pointers than this in a loop would crowd the registers. */
const MAX_POINTERS = 10;

export const isMemory = (base: AddressNode | Memory): base is Memory => 'kind' in base;

export class AddressPlanner {
  readonly #linear = new Map<Value, Linear>();
  readonly #roots = new Map<Memory, AddressNode>();
  readonly #nodes = new Map<AddressNode, Map<string, AddressNode>>();
  readonly #pointers = new Map<Block, AddressNode[]>();
  readonly #root: Block;

  constructor(root: Block) {
    this.#root = root;
  }

  /** The memory's first byte. */
  start(memory: Memory): AddressNode {
    let node = this.#roots.get(memory);
    if (node === undefined)
      this.#roots.set(memory, (node = { base: memory, block: this.#root, terms: [], constant: 0, uses: 0, local: -1 }));
    return node;
  }

  /** The sums of a loop's body that add a multiple of the loop's variable to what does not change in the loop. */
  pointers(body: Block): readonly AddressNode[] {
    return this.#pointers.get(body) ?? [];
  }

  /** Memories that some address begins at. */
  memories(): ReadonlyMap<Memory, AddressNode> {
    return this.#roots;
  }

  /** Where element `index` lies, for an access in `block` that needs the address `times` times. */
  address(memory: Memory, index: Value, block: Block, times: number): Address {
    const bytes = SCALARS[memory.element].bytes;
    const { constant, terms } = this.#take(index);
    const total = Math.imul(constant | 0, bytes);
    const offset = total & OFFSET_MASK;
    const byBlock = new Map<Block, [Value, number][]>();
    for (const [value, factor] of terms) {
      const list = byBlock.get(value.block);
      if (list === undefined) byBlock.set(value.block, [[value, Math.imul(factor, bytes)]]);
      else list.push([value, Math.imul(factor, bytes)]);
    }
    let node = this.start(memory);
    for (const [level, list] of [...byBlock].sort((a, b) => a[0].depth - b[0].depth)) {
      const stepped = list.filter(([value]) => value.op === 'loopVariable');
      const others = list.filter(([value]) => value.op !== 'loopVariable');
      if (stepped.length > 0) node = this.#child(node, level, stepped, 0);
      if (others.length > 0) node = this.#child(node, level, others, 0);
    }
    if (total !== offset) node = this.#child(node, block, [], total - offset);
    node.uses += times;
    return { node, offset };
  }

  #child(base: AddressNode, block: Block, terms: readonly (readonly [Value, number])[], constant: number): AddressNode {
    let known = this.#nodes.get(base);
    if (known === undefined) this.#nodes.set(base, (known = new Map()));
    const key = `${terms.map(([value, factor]) => `${value.id}*${factor}`).join('+')}+${constant}@${block.depth}`;
    const equal = known.get(key);
    if (equal?.block === block) return equal;
    const node: AddressNode = { base, block, terms, constant, uses: 0, local: -1 };
    base.uses++;
    known.set(key, node);
    if (terms.length === 1 && terms[0][0].op === 'loopVariable') {
      const list = this.#pointers.get(block);
      if (list === undefined) this.#pointers.set(block, [node]);
      else if (list.length < MAX_POINTERS) list.push(node);
    }
    return node;
  }

  #take(value: Value): Linear {
    let linear = this.#linear.get(value);
    if (linear === undefined) this.#linear.set(value, (linear = this.#decompose(value)));
    return linear;
  }

  #decompose(value: Value): Linear {
    const itself: Linear = { constant: 0, terms: new Map([[value, 1]]) };
    const constantOf = (v: Value): number | null => (v.op === 'const' ? Number(v.constant) | 0 : null);
    const scaled = (v: Value, factor: number): Linear => {
      const { constant, terms } = this.#take(v);
      return {
        constant: Math.imul(constant, factor),
        terms: new Map([...terms].map(([term, f]) => [term, Math.imul(f, factor)])),
      };
    };
    const sum = (a: Linear, b: Linear): Linear => {
      const terms = new Map(a.terms);
      for (const [term, factor] of b.terms) {
        const together = ((terms.get(term) ?? 0) + factor) | 0;
        if (together === 0) terms.delete(term);
        else terms.set(term, together);
      }
      return { constant: (a.constant + b.constant) | 0, terms };
    };
    let result: Linear;
    switch (value.op) {
      case 'const':
        return { constant: constantOf(value) ?? 0, terms: new Map() };
      case 'add':
        result = sum(this.#take(value.args[0]), this.#take(value.args[1]));
        break;
      case 'sub':
        result = sum(this.#take(value.args[0]), scaled(value.args[1], -1));
        break;
      case 'neg':
        result = scaled(value.args[0], -1);
        break;
      case 'mul': {
        const left = constantOf(value.args[0]);
        const right = constantOf(value.args[1]);
        if (right !== null) result = scaled(value.args[0], right);
        else if (left !== null) result = scaled(value.args[1], left);
        else return itself;
        break;
      }
      case 'shl': {
        const count = constantOf(value.args[1]);
        if (count === null) return itself;
        result = scaled(value.args[0], 1 << count);
        break;
      }
      default:
        return itself;
    }
    // A sum of several values of one block is better computed once, unless taking it apart frees something.
    let here = 0;
    for (const term of result.terms.keys()) if (term.block === value.block) here++;
    return here >= 2 && here === result.terms.size && result.constant === 0 ? itself : result;
  }
}
