/** Reading operands and cutting ranges: what the parts of the contraction template share. */
import type { KernelBuilder, ScalarType, Value } from '@proj/kernel';
import type { ContractionOperand } from './contraction-types.ts';

/** An operand at one batch: `base` is where its elements begin there, null where elements can only be had through `load`. */
export interface OperandAt {
  readonly operand: ContractionOperand;
  readonly batch: Value;
  readonly base: Value | null;
}

export function operandAt(b: KernelBuilder, operand: ContractionOperand, batch: Value, element: ScalarType): OperandAt {
  const { strided, windows } = operand;
  if (windows !== null) return { operand, batch, base: windows.base(b, batch) };
  return {
    operand,
    batch,
    base: strided === null || strided.memory.element !== element ? null : strided.base(b, batch),
  };
}

/** `lanes` elements along `axis` from (outer, depth). `outer` and `depth` come with constants apart, so that the variable part is shared. */
export function fetch(
  b: KernelBuilder,
  { operand, batch, base }: OperandAt,
  outer: Value,
  depth: Value,
  axis: 'outer' | 'depth',
  lanes: number,
  extra = { outer: 0, depth: 0 },
): Value {
  const { strided } = operand;
  if (strided === null || base === null) {
    return operand.load(b, { batch, outer: b.add(outer, extra.outer), depth: b.add(depth, extra.depth) }, axis, lanes);
  }
  const varying = b.add(b.add(base, b.mul(outer, strided.outer)), b.mul(depth, strided.depth));
  const index = b.add(varying, extra.outer * strided.outer + extra.depth * strided.depth);
  const stride = axis === 'outer' ? strided.outer : strided.depth;
  if (lanes === 1 || stride === 1) return b.load(strided.memory, index, lanes);
  return b.gather(strided.memory, b.add(b.splat(index, lanes), b.mul(b.iota('index', lanes), stride)));
}

/** Asks for the cache line of an element that will be read soon; it may be outside the operand. */
export function prefetchRow(
  b: KernelBuilder,
  { operand, base }: OperandAt,
  outer: Value,
  depth: Value,
  extra: { readonly outer: number; readonly depth: number },
): void {
  const { strided } = operand;
  if (strided === null || base === null) return;
  const varying = b.add(b.add(base, b.mul(outer, strided.outer)), b.mul(depth, strided.depth));
  b.prefetch(strided.memory, b.add(varying, extra.outer * strided.outer + extra.depth * strided.depth));
}

/** Whether vectors along `axis` are single loads. */
export const isContiguous = (operand: ContractionOperand, axis: 'outer' | 'depth'): boolean =>
  operand.strided === null ? operand.contiguous === axis : operand.strided[axis] === 1;

/** ceil(x / size) */
export const ceilDiv = (b: KernelBuilder, x: Value, size: number | Value): Value =>
  b.div(b.sub(b.add(x, size), 1), size);

/**
 * Walks `[begin, end)` as groups of `size`: `body` gets the number of a group and the part of `[0, size)` that is inside. `count` is how many
 * groups there can be: with one there is no loop.
 */
export function forGroups(
  b: KernelBuilder,
  begin: Value,
  end: Value,
  size: number | Value,
  count: number,
  body: (group: Value, begin: Value, end: Value) => void,
): void {
  if (count === 1) {
    body(b.index(0), begin, end);
    return;
  }
  b.for(b.div(begin, size), ceilDiv(b, end, size), 1, [], (group) => {
    const start = b.mul(group, size);
    body(group, b.max(b.sub(begin, start), 0), b.min(b.sub(end, start), size));
  });
}

/** Powers of two that sum to `n`, largest first. */
export function powersOf(n: number): number[] {
  const powers: number[] = [];
  for (let power = 1 << 20; power >= 1; power >>= 1) if ((n & power) !== 0) powers.push(power);
  return powers;
}

/** Lanes `[from, from + lanes)` of `x`. */
export function slice(b: KernelBuilder, x: Value, from: number, lanes: number): Value {
  if (lanes === x.type.lanes) return x;
  return lanes === 1
    ? b.extract(x, from)
    : b.shuffle(
        x,
        x,
        Array.from({ length: lanes }, (_, i) => from + i),
      );
}
