/** What the builder asks of a value before it makes another: whether it is there already, and whether it may be moved. */
import type { Op, Value } from './ir.ts';
import type { ValueType } from './types.ts';

/** What a value is beside its operation and its operands. */
export type Attributes = Pick<Value, 'constant' | 'parameter' | 'builtin' | 'memory' | 'lane' | 'pattern'>;

/** Whether an integer division by `value` can never fault. */
export const safeDivisor = (value: Value): boolean =>
  value.op === 'const' && Number(value.constant) !== 0 && Number(value.constant) !== -1;

/** The same for values that compute the same. */
export function valueKey(op: Op, type: ValueType, args: readonly Value[], a: Attributes): string {
  let key = `${op}:${type.scalar}:${type.lanes}`;
  for (const arg of args) key += `,${arg.id}`;
  if (a.constant !== undefined) key += `#${typeof a.constant}${Object.is(a.constant, -0) ? '-0' : a.constant}`;
  if (a.parameter !== undefined) key += `p${a.parameter.position}`;
  if (a.builtin !== undefined) key += a.builtin;
  if (a.memory !== undefined) key += `${a.memory.kind}${a.memory.position}`;
  if (a.lane !== undefined) key += `@${a.lane}`;
  if (a.pattern !== undefined) key += `[${a.pattern}]`;
  return key;
}
