/** Type promotion, as PyTorch's: dimensioned tensors first, then 0-dim tensors, then numbers; a later one counts only when its category is higher. */
import { DTYPES, type DType, isDType, ProjError } from '@proj/kernel';

/**
 * A JavaScript number that counts as a floating-point scalar although its value is integral (Python's `2.0`). A plain integral number
 * counts as an integer.
 */
export class FloatScalar {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  valueOf(): number {
    return this.value;
  }
}

/** A number as an operand: integral numbers and bigints are integers, others floats. */
export type Scalar = number | bigint | boolean | FloatScalar;

export const scalarValue = (s: Scalar): number | bigint | boolean => (s instanceof FloatScalar ? s.value : s);
export const isScalar = (x: unknown): x is Scalar =>
  typeof x === 'number' || typeof x === 'bigint' || typeof x === 'boolean' || x instanceof FloatScalar;

let defaultFloat: DType = 'float32';
/** The dtype of new floating-point tensors. */
export const getDefaultDtype = (): DType => defaultFloat;
/** Sets the dtype of new floating-point tensors (float32 at the start). */
export function setDefaultDtype(dtype: DType): void {
  defaultFloat = dtype;
}

/** The dtype that a number alone would have. */
export function scalarDType(s: Scalar): DType {
  if (typeof s === 'boolean') return 'bool';
  if (typeof s === 'bigint') return 'int64';
  if (s instanceof FloatScalar) return defaultFloat;
  return Number.isInteger(s) ? 'int64' : defaultFloat;
}

const RANK = { bool: 0, integer: 1, float: 2, complex: 3 } as const;
/** Throws for a name that is not a dtype: names come from users. */
export function requireDType(dtype: DType): void {
  if (!isDType(dtype))
    throw new ProjError('dtype', `unknown dtype "${String(dtype)}"`, {
      cure: `Use one of ${Object.keys(DTYPES).join(', ')}`,
    });
}
function rank(dtype: DType): number {
  requireDType(dtype);
  return RANK[DTYPES[dtype].category];
}

const INTEGER_ORDER: readonly DType[] = ['int8', 'int16', 'int32', 'int64'];
const FLOAT_ORDER: readonly DType[] = ['float16', 'float32', 'float64'];

/** The smallest dtype that holds both, by PyTorch's table (`torch.promote_types`). */
export function promoteTypes(a: DType, b: DType): DType {
  if (a === b) return a;
  if (rank(a) !== rank(b)) {
    const [high, low] = rank(a) > rank(b) ? [a, b] : [b, a];
    return high === 'complex64' && low === 'float64' ? 'complex128' : high;
  }
  if (DTYPES[a].category === 'complex') return 'complex128';
  if (DTYPES[a].category === 'integer') {
    if (a === 'uint8' || b === 'uint8') {
      const other = a === 'uint8' ? b : a;
      return other === 'int8' ? 'int16' : other;
    }
    return INTEGER_ORDER[Math.max(INTEGER_ORDER.indexOf(a), INTEGER_ORDER.indexOf(b))];
  }
  if (a === 'bfloat16' || b === 'bfloat16') {
    const other = a === 'bfloat16' ? b : a;
    return other === 'float16' ? 'float32' : other;
  }
  return FLOAT_ORDER[Math.max(FLOAT_ORDER.indexOf(a), FLOAT_ORDER.indexOf(b))];
}

export interface Promotable {
  readonly dtype: DType;
  readonly kind: 'dimensioned' | 'zeroDim' | 'number';
}

/** The dtype of an operation on these operands (`torch.result_type`). */
export function resultType(operands: readonly Promotable[]): DType {
  let result: DType | null = null;
  for (const kind of ['dimensioned', 'zeroDim', 'number'] as const) {
    let level: DType | null = null;
    for (const operand of operands) {
      if (operand.kind === kind) level = level === null ? operand.dtype : promoteTypes(level, operand.dtype);
    }
    if (level === null) continue;
    if (result === null) result = level;
    else if (rank(level) > rank(result))
      result =
        kind === 'number' && DTYPES[level].category === 'float'
          ? rank(result) < RANK.float
            ? defaultFloat
            : result
          : promoteTypes(level, result);
  }
  return result ?? defaultFloat;
}

/** What functions such as `sqrt` and `mean` turn integers into. */
export const toFloat = (dtype: DType): DType => (rank(dtype) < RANK.float ? defaultFloat : dtype);
/** What `sum` and `prod` turn small integers and bool into. */
export const toSum = (dtype: DType): DType => (rank(dtype) < RANK.float ? 'int64' : dtype);
export const isFloatingPoint = (dtype: DType): boolean => DTYPES[dtype].category === 'float';
export const isIntegral = (dtype: DType): boolean => rank(dtype) < RANK.float;
