/**
 * Algebraic identities, applied as a value is built. Only those that hold for every input of the type, NaN, infinities and signed zero
 * included: `x + 0` is not an identity of floats (-0 + 0 is 0), `x * 1` and `x - 0` are.
 */
import type { BinaryOp, Constant, Value } from '../ir/ir.ts';
import { isFloat } from '../ir/types.ts';

const constantOf = (value: Value): Constant | undefined => (value.op === 'const' ? value.constant : undefined);
const is = (value: Value, n: number): boolean => {
  const constant = constantOf(value);
  return constant !== undefined && typeof constant !== 'boolean' && Number(constant) === n && !Object.is(constant, -0);
};

/** The operand or constant that `op(a, b)` equals, or null. */
export function simplifyBinary(op: BinaryOp, a: Value, b: Value): Value | null {
  const integer = !isFloat(a.type.scalar) && a.type.scalar !== 'bool';
  switch (op) {
    case 'add':
      if (integer && is(b, 0)) return a;
      if (integer && is(a, 0)) return b;
      return null;
    case 'sub':
      return is(b, 0) ? a : null;
    case 'mul':
      if (is(b, 1)) return a;
      if (is(a, 1)) return b;
      if (integer && is(a, 0)) return a;
      if (integer && is(b, 0)) return b;
      return null;
    case 'div':
      return is(b, 1) ? a : null;
    case 'and':
      if (constantOf(a) === true) return b;
      if (constantOf(b) === true) return a;
      if (constantOf(a) === false) return a;
      if (constantOf(b) === false) return b;
      return a === b ? a : null;
    case 'or':
      if (constantOf(a) === false) return b;
      if (constantOf(b) === false) return a;
      if (constantOf(a) === true) return a;
      if (constantOf(b) === true) return b;
      return a === b ? a : null;
    case 'min':
    case 'max':
      return a === b ? a : null;
    case 'shl':
    case 'shr':
      return is(b, 0) ? a : null;
    case 'rem':
    case 'xor':
      return null;
    default:
      return op satisfies never;
  }
}
