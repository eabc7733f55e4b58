// PyTorch names to ours, by the API rule (architecture.md §4.1): camelCase, the underscore of in-place operations kept.

const special: Readonly<Record<string, string>> = {
  __getitem__: 'index',
  __setitem__: 'setIndex',
  __len__: 'length',
};

/** `masked_fill_` → `maskedFill_`; class names and one-letter names stay as they are. */
export function camelCase(name: string): string {
  const known = special[name];
  if (known !== undefined) return known;
  const body = name.replace(/^_+/, '');
  const trailing = body.endsWith('_') ? '_' : '';
  return (
    body.replace(/_+$/, '').replace(/_+([a-zA-Z0-9])/g, (_match, letter: string) => letter.toUpperCase()) + trailing
  );
}

/** The option of a parameter; torch.dropout has a name of its own for what nn.functional.dropout calls training. */
export const optionName = (name: string): string => (name === 'train' ? 'training' : camelCase(name));

/** Names under which an export may be found: ours first; JavaScript's reserved words may carry a trailing underscore. */
export function candidateNames(name: string): string[] {
  const camel = camelCase(name);
  const names = [camel];
  if (/^(var|in|with|new|delete|default|function|class|switch|do)$/.test(camel)) names.push(`${camel}_`);
  if (name === '__setitem__') names.push('set', 'indexPut_', 'setItem', 'setIndex_', 'indexSet_');
  if (name === '__getitem__') names.push('getItem', 'at');
  return names;
}

/** The operator behind a reflected dunder method: `__radd__(a, b)` is `add(b, a)`. */
export const reflectedOperators: Readonly<Record<string, string>> = {
  __radd__: 'add',
  __rsub__: 'sub',
  __rmul__: 'mul',
  __rdiv__: 'div',
  __rtruediv__: 'div',
  __rfloordiv__: 'floor_divide',
  __rmod__: 'remainder',
  __rpow__: 'pow',
  __rmatmul__: 'matmul',
  __rand__: 'bitwise_and',
  __ror__: 'bitwise_or',
  __rxor__: 'bitwise_xor',
};

/** The operator behind a plain dunder method. */
export const plainOperators: Readonly<Record<string, string>> = {
  __add__: 'add',
  __sub__: 'sub',
  __mul__: 'mul',
  __div__: 'div',
  __truediv__: 'div',
  __floordiv__: 'floor_divide',
  __mod__: 'remainder',
  __pow__: 'pow',
  __matmul__: 'matmul',
  __and__: 'bitwise_and',
  __or__: 'bitwise_or',
  __xor__: 'bitwise_xor',
  __lshift__: 'bitwise_left_shift',
  __rshift__: 'bitwise_right_shift',
  __invert__: 'bitwise_not',
  __neg__: 'neg',
  __abs__: 'abs',
  __eq__: 'eq',
  __ne__: 'ne',
  __lt__: 'lt',
  __le__: 'le',
  __gt__: 'gt',
  __ge__: 'ge',
  __iadd__: 'add_',
  __isub__: 'sub_',
  __imul__: 'mul_',
  __idiv__: 'div_',
  __itruediv__: 'div_',
  __ifloordiv__: 'floor_divide_',
  __imod__: 'remainder_',
  __ipow__: 'pow_',
  __iand__: 'bitwise_and_',
  __ior__: 'bitwise_or_',
  __ixor__: 'bitwise_xor_',
  __ilshift__: 'bitwise_left_shift_',
  __irshift__: 'bitwise_right_shift_',
  __bool__: 'is_nonzero',
};
