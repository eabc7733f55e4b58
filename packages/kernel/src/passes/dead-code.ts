/** Dead code elimination: which values a kernel needs. Targets leave out the rest. */
import type { Block, Kernel, Statement, Value } from '../ir/ir.ts';

/** Values that reach a store, a loop bound or a branch, with how often each is used. */
export function liveValues(kernel: Kernel): Map<Value, number> {
  const uses = new Map<Value, number>();
  const pending: Value[] = [];
  const use = (value: Value): void => {
    const n = uses.get(value);
    uses.set(value, (n ?? 0) + 1);
    if (n === undefined) pending.push(value);
  };
  const loops: Statement[] = [];
  const visit = (block: Block): void => {
    for (const s of block.statements) {
      switch (s.kind) {
        case 'let':
          break;
        case 'store':
          use(s.index);
          use(s.value);
          if (s.mask !== null) use(s.mask);
          break;
        case 'scatter':
          use(s.indices);
          use(s.value);
          if (s.mask !== null) use(s.mask);
          break;
        case 'prefetch':
          use(s.index);
          break;
        case 'for':
          use(s.start);
          use(s.end);
          loops.push(s);
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
  const carriedOf = new Map<Value, { initial: Value; next: Value; inner: Value }>();
  for (const loop of loops) {
    if (loop.kind !== 'for') continue;
    for (const c of loop.carried) {
      carriedOf.set(c.inner, c);
      carriedOf.set(c.result, c);
    }
  }
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    for (const arg of value.args) use(arg);
    const c = carriedOf.get(value);
    if (c !== undefined) {
      use(c.initial);
      use(c.next);
      use(c.inner);
    }
  }
  return uses;
}
