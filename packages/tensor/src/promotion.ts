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

/** A complex number: Python's `1 + 2j` is `new ComplexScalar(1, 2)`, or `complexScalar(1, 2)`. */
export class ComplexScalar {
  readonly re: number;
  readonly im: number;
  constructor(re: number, im: number) {
    this.re = re;
    this.im = im;
  }
  toString(): string {
    return `${this.re}${this.im < 0 || Object.is(this.im, -0) ? '-' : '+'}${Math.abs(this.im)}j`;
  }
}
/** re + im·j as an operand of tensors. */
export const complexScalar = (re: number, im = 0): ComplexScalar => new ComplexScalar(re, im);

/** A number as an operand: integral numbers and bigints are integers, others floats. */
export type Scalar = number | bigint | boolean | FloatScalar | ComplexScalar;

/** The plain number. Errors: a complex one. */
export function scalarValue(s: Scalar): number | bigint | boolean {
  if (s instanceof FloatScalar) return s.value;
  if (s instanceof ComplexScalar)
    throw new ProjError('dtype', `a real number is needed, got ${s.toString()}`, { cure: 'Use a complex tensor' });
  return s;
}
/** Whether a factor changes nothing. */
export const isOne = (s: Scalar): boolean => !(s instanceof ComplexScalar) && scalarValue(s) === 1;
/** Whether a factor leaves nothing. */
export const isNothing = (s: Scalar): boolean => !(s instanceof ComplexScalar) && Number(scalarValue(s)) === 0;
const partsOf = (s: Scalar): readonly [number, number] =>
  s instanceof ComplexScalar ? [s.re, s.im] : [Number(scalarValue(s)), 0];
export function scalarProduct(a: Scalar, b: Scalar): Scalar {
  const [x, y] = partsOf(a);
  const [u, v] = partsOf(b);
  return a instanceof ComplexScalar || b instanceof ComplexScalar
    ? new ComplexScalar(x * u - y * v, x * v + y * u)
    : x * u;
}
export const isScalar = (x: unknown): x is Scalar =>
  typeof x === 'number' ||
  typeof x === 'bigint' ||
  typeof x === 'boolean' ||
  x instanceof FloatScalar ||
  x instanceof ComplexScalar;

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
  if (s instanceof ComplexScalar) return toComplex(defaultFloat);
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
        (kind === 'number' && rank(level) >= RANK.float) || rank(result) === RANK.float
          ? ofCategory(level, result)
          : promoteTypes(level, result);
  }
  return result ?? defaultFloat;
}

/** The dtype of a number of the category of `number` with operands of dtype `other`, whose precision counts if it has one. */
function ofCategory(number: DType, other: DType): DType {
  const float = rank(other) < RANK.float ? defaultFloat : other;
  return DTYPES[number].category === 'complex' ? toComplex(float) : float;
}
/** The complex dtype with parts of (at least) this dtype. */
export const toComplex = (dtype: DType): DType =>
  dtype === 'float64' || dtype === 'complex128' ? 'complex128' : 'complex64';
/** The dtype of the parts of a complex dtype, and of the absolute value; a real dtype itself. */
export const toReal = (dtype: DType): DType =>
  dtype === 'complex128' ? 'float64' : dtype === 'complex64' ? 'float32' : dtype;
/** What functions such as `sqrt` and `mean` turn integers into. */
export const toFloat = (dtype: DType): DType => (rank(dtype) < RANK.float ? defaultFloat : dtype);
/** What `sum` and `prod` turn small integers and bool into. */
export const toSum = (dtype: DType): DType => (rank(dtype) < RANK.float ? 'int64' : dtype);
export const isComplexDType = (dtype: DType): boolean => dtype === 'complex64' || dtype === 'complex128';
export const isFloatingPoint = (dtype: DType): boolean => DTYPES[dtype].category === 'float';
export const isIntegral = (dtype: DType): boolean => rank(dtype) < RANK.float;
