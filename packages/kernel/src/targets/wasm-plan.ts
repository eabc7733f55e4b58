/**
 * What the WebAssembly renderer decides before it writes code: which values are needed and how often, which are written in place of their
 * only use instead of going through a local, how wide the lanes of each mask are, and where addresses are added up.
 */
import type { Block, Kernel, Loop, Scatter, Statement, Store, Value } from '../ir/ir.ts';
import { isHorizontal } from '../ir/operations.ts';
import { isFloat } from '../ir/types.ts';
import { type Address, type AddressNode, AddressPlanner, isMemory } from './wasm-address.ts';
import { laneBits } from './wasm-opcodes.ts';

export interface Plan {
  /** How often each needed value is used; those that are missing are dead. */
  readonly uses: ReadonlyMap<Value, number>;
  readonly inlined: ReadonlySet<Value>;
  /** By load or gather, or by store or scatter. */
  readonly addresses: ReadonlyMap<Value | Store | Scatter, Address>;
  /** Addresses to compute before a loop or branch. */
  readonly before: ReadonlyMap<Statement, readonly AddressNode[]>;
  readonly addressPlanner: AddressPlanner;
  /** Bits of a lane: of a mask, those that it is kept in. */
  bits(value: Value): number;
  /** How many v128 (or, of a scalar, scalars) it takes. */
  parts(value: Value): number;
  /** All parts are the same, whatever the width. */
  uniform(value: Value): boolean;
}

const isUniform = (value: Value): boolean => value.op === 'const' || value.op === 'splat';

/** Operations whose vector form reads an operand's parts in another pattern than one by one. */
function readsOutOfOrder(consumer: Value, arg: Value): boolean {
  if (isHorizontal(consumer.op)) return true;
  switch (consumer.op) {
    case 'extract':
    case 'shuffle':
    case 'gather':
    case 'load':
      return true;
    case 'shl':
    case 'shr':
      return consumer.type.lanes > 1 && arg === consumer.args[1];
    case 'cast':
      return consumer.type.lanes > 1 || arg.type.lanes > 1;
    case 'dot4':
      return consumer.type.lanes === 1;
    default:
      return false;
  }
}

export function planKernel(kernel: Kernel): Plan {
  const planner = new AddressPlanner(kernel.body);
  const owner = new Map<Block, Statement>();
  const carriedOf = new Map<Value, { loop: Loop; at: number }>();
  const index = (block: Block): void => {
    for (const s of block.statements) {
      if (s.kind === 'for') {
        owner.set(s.body, s);
        s.carried.forEach((c, at) => {
          carriedOf.set(c.inner, { loop: s, at });
          carriedOf.set(c.result, { loop: s, at });
        });
        index(s.body);
      } else if (s.kind === 'if') {
        owner.set(s.then, s);
        index(s.then);
        if (s.otherwise !== null) {
          owner.set(s.otherwise, s);
          index(s.otherwise);
        }
      }
    }
  };
  index(kernel.body);

  // Masks

  const maskBits = new Map<Value, number>();
  const widthOfMask = (mask: Value): number => {
    const known = maskBits.get(mask);
    if (known !== undefined) return known;
    maskBits.set(mask, 0);
    const widest = (values: readonly Value[]): number =>
      Math.max(0, ...values.filter((v) => v.type.scalar === 'bool').map((v) => widthOfMask(v)));
    let bits: number;
    switch (mask.op) {
      case 'const':
      case 'splat':
        bits = 0;
        break;
      case 'eq':
      case 'ne':
      case 'lt':
      case 'le':
      case 'gt':
      case 'ge':
      case 'cast':
        bits = mask.args[0].type.scalar === 'bool' ? widest(mask.args) : laneBits(mask.args[0].type.scalar);
        break;
      case 'carried':
      case 'result': {
        const c = carriedOf.get(mask);
        bits = c === undefined ? 8 : widest([c.loop.carried[c.at].initial, c.loop.carried[c.at].next]);
        if (c !== undefined) {
          maskBits.set(c.loop.carried[c.at].inner, bits === 0 ? 8 : bits);
          maskBits.set(c.loop.carried[c.at].result, bits === 0 ? 8 : bits);
        }
        break;
      }
      case 'load':
      case 'gather':
        bits = 8;
        break;
      default:
        bits = widest(mask.args);
    }
    if (bits === 0 && !isUniform(mask)) bits = 8;
    maskBits.set(mask, bits);
    return bits;
  };
  const bitsOf = (value: Value): number => {
    if (value.type.scalar !== 'bool') return laneBits(value.type.scalar);
    const bits = value.type.lanes === 1 ? 8 : widthOfMask(value);
    return bits === 0 ? 8 : bits;
  };
  const partsOf = (value: Value): number =>
    value.type.lanes === 1 ? 1 : Math.max(1, (value.type.lanes * bitsOf(value)) / 128);

  // Uses

  const uses = new Map<Value, number>();
  const pinned = new Set<Value>();
  const addresses = new Map<Value | Store | Scatter, Address>();
  const before = new Map<Statement, AddressNode[]>();
  const pending: Value[] = [];
  const use = (value: Value): void => {
    const count = uses.get(value);
    uses.set(value, (count ?? 0) + 1);
    if (count === undefined) pending.push(value);
  };
  /** Addresses of outer blocks are computed before the statement that leads to the access. */
  const place = (address: Address, block: Block): void => {
    for (let node: AddressNode = address.node; ; node = node.base) {
      for (const [value] of node.terms) {
        use(value);
        pinned.add(value);
      }
      if (isMemory(node.base)) return;
      if (node.block === block) continue;
      let inner = block;
      while (inner.parent !== null && inner.parent !== node.block) inner = inner.parent;
      const statement = owner.get(inner);
      if (statement === undefined) continue;
      const list = before.get(statement);
      if (list === undefined) before.set(statement, [node]);
      else if (!list.includes(node)) list.push(node);
    }
  };
  const access = (
    key: Value | Store | Scatter,
    memory: Store['memory'],
    at: Value,
    block: Block,
    times: number,
  ): void => {
    if (at.type.lanes > 1) {
      const node = planner.start(memory);
      addresses.set(key, { node, offset: 0 });
      use(at);
      return;
    }
    const address = planner.address(memory, at, block, times);
    addresses.set(key, address);
    place(address, block);
  };
  const drain = (): void => {
    for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
      const { block } = value;
      const c = carriedOf.get(value);
      if (c !== undefined) {
        const { initial, next, inner } = c.loop.carried[c.at];
        use(initial);
        use(next);
        if (!uses.has(inner)) use(inner);
        continue;
      }
      if (value.memory !== undefined) {
        access(value, value.memory, value.args[0], block, partsOf(value) * (value.args.length > 1 ? 2 : 1));
        if (value.args.length > 1) use(value.args[1]);
        continue;
      }
      for (const arg of value.args) use(arg);
    }
  };
  const visit = (block: Block): void => {
    for (const s of block.statements) {
      switch (s.kind) {
        case 'let':
        case 'prefetch':
          break;
        case 'store':
        case 'scatter':
          use(s.value);
          if (s.mask !== null) use(s.mask);
          access(
            s,
            s.memory,
            s.kind === 'store' ? s.index : s.indices,
            block,
            partsOf(s.value) * (s.mask === null ? 1 : 2),
          );
          break;
        case 'for':
          use(s.start);
          use(s.end);
          visit(s.body);
          break;
        case 'if':
          use(s.condition);
          visit(s.then);
          if (s.otherwise !== null) visit(s.otherwise);
          break;
        default:
          s satisfies never;
      }
    }
  };
  visit(kernel.body);
  drain();

  // Values that are written where they are used: only the one use, right after the definition, so that nothing changes its order.

  const inlined = new Set<Value>();
  const mayInline = (arg: Value, consumer: Value | null): boolean => {
    if (uses.get(arg) !== 1 || pinned.has(arg)) return false;
    const parts = partsOf(arg);
    if (arg.type.lanes > 1) {
      if (parts > 1 && isUniform(arg)) return false;
      if (
        (arg.op === 'cast' && !inPlaceCast(arg)) ||
        arg.op === 'shuffle' ||
        arg.op === 'gather' ||
        (arg.op === 'load' && arg.args.length > 1)
      )
        return false;
    }
    if (consumer === null) return true;
    if (readsOutOfOrder(consumer, arg) && !(consumer.op === 'cast' && inPlaceCast(consumer))) return false;
    if (arg.type.scalar === 'bool' && arg.type.lanes > 1 && bitsOf(arg) !== bitsOf(consumer)) return false;
    return consumer.op === 'splat' ? partsOf(consumer) === 1 : consumer.type.lanes === 1 || partsOf(consumer) === parts;
  };
  const inlineBlock = (block: Block, atEnd: readonly Value[]): void => {
    const list = block.statements.filter(
      (s) => s.kind !== 'prefetch' && (s.kind !== 'let' || (s.value.op !== 'const' && uses.has(s.value))),
    );
    let at = list.length - 1;
    const absorb = (args: readonly Value[], consumer: Value | null, acceptable: (v: Value) => boolean): void => {
      for (let i = args.length - 1; i >= 0; i--) {
        const s = list[at];
        if (
          s === undefined ||
          s.kind !== 'let' ||
          s.value !== args[i] ||
          !mayInline(s.value, consumer) ||
          !acceptable(s.value)
        )
          continue;
        inlined.add(s.value);
        at--;
        absorb(s.value.memory === undefined ? s.value.args : [], s.value, acceptable);
      }
    };
    const any = (): boolean => true;
    absorb(atEnd, null, any);
    while (at >= 0) {
      const s = list[at--];
      switch (s.kind) {
        case 'let':
          absorb(s.value.memory === undefined ? s.value.args : [], s.value, any);
          break;
        case 'store': {
          // Parts are written one after the other: a load of the same memory must have read them all before, or read just what it replaces.
          const many = partsOf(s.value) > 1;
          const target = addresses.get(s);
          const needsNarrowing = s.value.type.scalar === 'bool' && s.value.type.lanes > 1 && bitsOf(s.value) !== 8;
          if (s.mask === null && !needsNarrowing)
            absorb(
              [s.value],
              null,
              (v) => !many || v.op !== 'load' || v.memory?.access === 'read' || sameAddress(addresses.get(v), target),
            );
          break;
        }
        case 'scatter':
        case 'prefetch':
          break;
        case 'for': {
          inlineBlock(
            s.body,
            s.carried
              .filter((c) => uses.has(c.inner))
              .map((c) => c.next)
              .filter(notMask),
          );
          absorb(
            [
              s.start,
              s.end,
              ...s.carried
                .filter((c) => uses.has(c.inner))
                .map((c) => c.initial)
                .filter(notMask),
            ],
            null,
            any,
          );
          break;
        }
        case 'if':
          inlineBlock(s.then, []);
          if (s.otherwise !== null) inlineBlock(s.otherwise, []);
          absorb([s.condition], null, any);
          break;
        default:
          s satisfies never;
      }
    }
  };
  inlineBlock(kernel.body, []);
  return {
    uses,
    inlined,
    addresses,
    before,
    addressPlanner: planner,
    bits: bitsOf,
    parts: partsOf,
    uniform: isUniform,
  };
}

const notMask = (value: Value): boolean => value.type.scalar !== 'bool' || value.type.lanes === 1;
const sameAddress = (a: Address | undefined, b: Address | undefined): boolean =>
  a !== undefined && b !== undefined && a.node === b.node && a.offset === b.offset;

/** Casts of vectors that keep the width and take each part by itself. */
export function inPlaceCast(cast: Value): boolean {
  const from = cast.args[0].type.scalar;
  const to = cast.type.scalar;
  if (cast.type.lanes === 1) return true;
  if (from === 'bool' || to === 'bool' || laneBits(from) !== laneBits(to)) return false;
  if (isFloat(from) !== isFloat(to)) return laneBits(from) === 32;
  return !isFloat(from);
}
