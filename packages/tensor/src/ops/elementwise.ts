/** Elementwise arithmetic, comparison and functions. All broadcast and promote as PyTorch does. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { binaryNode, castNode, constantNode, expandNode, partNode, unaryNode, whereNode } from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import type { BinaryPrimitive, UnaryPrimitive } from '../graph/primitives.ts';
import {
  ComplexScalar,
  isComplexDType,
  isIntegral,
  isOne,
  type Scalar,
  scalarProduct,
  scalarValue,
  toFloat,
} from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { nonzero } from './data-dependent.ts';
import { broadcastShapes, deviceOf, nodeOf, promotedType, type TensorLike, unify } from './arguments.ts';
import { type OpRow, row, type RowOptions } from './table.ts';

/** A constant of `like`'s dtype and shape. */
export const constantLike = (like: AnyNode, value: number | bigint | boolean): AnyNode =>
  constantNode(like.device, like.dtype, like.shape, value);

const floatUnary =
  (fn: UnaryPrimitive) =>
  (input: Tensor): Tensor =>
    wrap(unaryNode(fn, castNode(input.node, toFloat(input.dtype))));
const plainUnary =
  (fn: UnaryPrimitive) =>
  (input: Tensor): Tensor =>
    wrap(unaryNode(fn, input.node));
const notBool = (op: string, input: Tensor): Tensor => {
  if (input.dtype === 'bool') throw new ProjError('dtype', `${op} of bool`, { op, cure: 'Cast to an integer dtype' });
  return input;
};
/** Where PyTorch takes no number. */
export function requireTensor(op: string, x: TensorLike): Tensor {
  if (!(x instanceof Tensor))
    throw new ProjError('invalid-argument', `a tensor is needed, got ${String(x)}`, { op, cure: 'Use tensor(…)' });
  return x;
}
/** Rounding leaves integers as they are. */
const roundingUnary =
  (fn: UnaryPrimitive) =>
  (input: Tensor): Tensor =>
    isIntegral(notBool(fn, input).dtype) ? wrap(input.node) : wrap(unaryNode(fn, input.node));
const binaryOp =
  (name: string, fn: BinaryPrimitive) =>
  (input: TensorLike, other: TensorLike): Tensor => {
    const [a, b] = unify(name, [input, other]);
    return wrap(binaryNode(fn, a, b));
  };

const tensorFirst = (name: string, fn: BinaryPrimitive) => {
  const compute = binaryOp(name, fn);
  return (input: Tensor, other: TensorLike): Tensor => compute(requireTensor(name, input), other);
};
const tensorsOnly = (name: string, fn: BinaryPrimitive) => {
  const compute = binaryOp(name, fn);
  return (input: Tensor, other: Tensor): Tensor => compute(requireTensor(name, input), requireTensor(name, other));
};

/** e^x. Integers become floats. */
export const exp = floatUnary('exp');
/** 2^x. Integers become floats. */
export const exp2 = floatUnary('exp2');
/** e^x - 1, accurate near 0. */
export const expm1 = floatUnary('expm1');
/** Natural logarithm; NaN below 0. */
export const log = floatUnary('log');
/** Logarithm to base 2. */
export const log2 = floatUnary('log2');
/** Logarithm to base 10. */
export const log10 = floatUnary('log10');
/** ln(1 + x), accurate near 0. */
export const log1p = floatUnary('log1p');
/** Square root; NaN below 0. */
export const sqrt = floatUnary('sqrt');
/** 1 / √x. */
export const rsqrt = floatUnary('rsqrt');
/** 1 / x. */
export const reciprocal = floatUnary('reciprocal');
/** Sine of radians. */
export const sin = floatUnary('sin');
/** Cosine of radians. */
export const cos = floatUnary('cos');
/** Tangent of radians. */
export const tan = floatUnary('tan');
/** Arcsine in radians; NaN outside [-1, 1]. */
export const asin = floatUnary('asin');
/** Arccosine in radians; NaN outside [-1, 1]. */
export const acos = floatUnary('acos');
/** Arctangent in radians. */
export const atan = floatUnary('atan');
/** Hyperbolic sine. */
export const sinh = floatUnary('sinh');
/** Hyperbolic cosine. */
export const cosh = floatUnary('cosh');
/** Hyperbolic tangent. */
export const tanh = floatUnary('tanh');
/** Inverse hyperbolic sine. */
export const asinh = floatUnary('asinh');
/** Inverse hyperbolic cosine; NaN below 1. */
export const acosh = floatUnary('acosh');
/** Inverse hyperbolic tangent; NaN outside [-1, 1]. */
export const atanh = floatUnary('atanh');
/** Error function. */
export const erf = floatUnary('erf');
/** 1 - erf(x), accurate in the tail. */
export const erfc = floatUnary('erfc');
/** Inverse of the error function. */
export const erfinv = floatUnary('erfinv');
/** Logarithm of the absolute value of the gamma function. */
export const lgamma = floatUnary('lgamma');
/** Derivative of {@link lgamma}. */
export const digamma = floatUnary('digamma');
/** 1 / (1 + e^-x). */
export const sigmoid = floatUnary('sigmoid');
/** -x. Errors: bool. */
export const neg = (input: Tensor): Tensor => {
  if (input.dtype === 'bool')
    throw new ProjError('dtype', 'negation of a bool tensor', { op: 'neg', cure: 'Use logicalNot (~)' });
  return plainUnary('neg')(input);
};
/** Absolute value. */
export const abs = (input: Tensor): Tensor => plainUnary('abs')(notBool('abs', input));
/** -1, 0 or 1. */
export const sign = plainUnary('sign');
/** x where it is positive, 0 elsewhere. */
export const relu = plainUnary('relu');
/** The largest whole number that is not above x. */
export const floor = roundingUnary('floor');
/** The smallest whole number that is not below x. */
export const ceil = roundingUnary('ceil');
/** x without its fraction. */
export const trunc = roundingUnary('trunc');
/** Rounds half to even, to `decimals` decimal places. */
export function round(input: Tensor, options: { decimals?: number } = {}): Tensor {
  const { decimals } = withDefaults('round', { decimals: 0 }, options);
  if (decimals === 0) return roundingUnary('round')(input);
  const scale = 10 ** Math.abs(decimals);
  return decimals > 0 ? div(round(mul(input, scale)), scale) : mul(round(div(input, scale)), scale);
}
/** x². */
export function square(input: Tensor): Tensor {
  return input.dtype === 'bool' ? wrap(castNode(input.node, 'int64')) : mul(input, input);
}
/** x - trunc(x). */
export function frac(input: Tensor): Tensor {
  if (isIntegral(input.dtype))
    throw new ProjError('dtype', `frac of ${input.dtype}`, { op: 'frac', cure: 'Cast to a float dtype' });
  return sub(input, trunc(input));
}
/** x itself. */
export function positive(input: Tensor): Tensor {
  if (input.dtype === 'bool')
    throw new ProjError('dtype', 'positive of bool', { op: 'positive', cure: 'Cast to an integer dtype' });
  return wrap(input.node);
}

interface AlphaOptions {
  /** Factor of `other`. */
  readonly alpha?: Scalar;
}
/** alpha · other, in the dtype of the sum: in that of `other` alone the product might not fit. */
const scaled = (input: TensorLike, other: TensorLike, alpha: Scalar): TensorLike =>
  other instanceof Tensor
    ? mul(wrap(castNode(other.node, promotedType(input, other))), alpha)
    : scalarProduct(other, alpha);
/** input + alpha · other. */
export function add(input: TensorLike, other: TensorLike, options: AlphaOptions = {}): Tensor {
  const { alpha } = withDefaults('add', { alpha: 1 }, options);
  if (isOne(alpha)) return binaryOp('add', 'add')(input, other);
  return binaryOp('add', 'add')(input, scaled(input, other, alpha));
}
/** input - alpha · other. */
export function sub(input: TensorLike, other: TensorLike, options: AlphaOptions = {}): Tensor {
  const { alpha } = withDefaults('sub', { alpha: 1 }, options);
  if ([input, other].some((x) => (x instanceof Tensor ? x.dtype === 'bool' : typeof x === 'boolean')))
    throw new ProjError('dtype', 'subtraction of bool', {
      op: 'sub',
      cure: 'Use logicalXor, or cast to an integer dtype',
    });
  if (isOne(alpha)) return binaryOp('sub', 'sub')(input, other);
  return binaryOp('sub', 'sub')(input, scaled(input, other, alpha));
}
/** other - alpha · input. */
export function rsub(input: Tensor, other: TensorLike, options: AlphaOptions = {}): Tensor {
  requireTensor('rsub', input);
  return sub(other, input, options);
}
/** input · other. */
export const mul = binaryOp('mul', 'mul');

export type RoundingMode = 'trunc' | 'floor' | null;
/** True division; integers become floats unless `roundingMode` is 'trunc' or 'floor'. */
export function div(input: TensorLike, other: TensorLike, options: { roundingMode?: RoundingMode } = {}): Tensor {
  const { roundingMode } = withDefaults('div', { roundingMode: null }, options);
  const type = promotedType(input, other);
  if (roundingMode === null) {
    const [a, b] = unify('div', [input, other], toFloat(type));
    return wrap(binaryNode('div', a, b));
  }
  const [a, b] = unify('div', [input, other], type === 'bool' ? 'int64' : type);
  if (roundingMode === 'floor') return wrap(binaryNode('floorDivide', a, b));
  const quotient = binaryNode('div', a, b);
  return wrap(isIntegral(quotient.dtype) ? quotient : unaryNode('trunc', quotient));
}
/** As {@link div} without rounding. */
export function trueDivide(input: TensorLike, other: TensorLike): Tensor {
  return div(input, other);
}
/** Rounds down, as PyTorch 1.13's floor_divide. */
export function floorDivide(input: TensorLike, other: TensorLike): Tensor {
  return div(input, other, { roundingMode: 'floor' });
}
/** The remainder that has the sign of the divisor. */
export const remainder = binaryOp('remainder', 'remainder');
/** The remainder that has the sign of the dividend. */
export const fmod = tensorFirst('fmod', 'fmod');
/** The larger of two; NaN where either is. */
export const maximum = tensorsOnly('maximum', 'maximum');
/** The smaller of two; NaN where either is. */
export const minimum = tensorsOnly('minimum', 'minimum');
/** input to the power of exponent. Errors: integers to negative integer powers. */
export function pow(input: TensorLike, exponent: TensorLike): Tensor {
  const type = promotedType(input, exponent);
  if (type === 'bool') throw new ProjError('dtype', 'powers of bool', { op: 'pow', cure: 'Cast to an integer dtype' });
  if (!(exponent instanceof Tensor || exponent instanceof ComplexScalar) && input instanceof Tensor) {
    const e = Number(scalarValue(exponent));
    if (isIntegral(type) && e < 0)
      throw new ProjError('invalid-argument', 'integers to negative integer powers', {
        op: 'pow',
        cure: 'Cast the base to a float dtype',
      });
    const base = wrap(castNode(input.node, type));
    if (e === 1) return base;
    if (e === 2) return mul(base, base);
    if (e === 0.5) return sqrt(base);
  }
  const [a, b] = unify('pow', [input, exponent], type);
  return wrap(binaryNode('pow', a, b));
}
/** input to the power of exponent, in float64. */
export function floatPower(input: TensorLike, exponent: TensorLike): Tensor {
  const type = isComplexDType(promotedType(input, exponent)) ? 'complex128' : 'float64';
  const [a, b] = unify('floatPower', [input, exponent], type);
  return wrap(binaryNode('pow', a, b));
}
/** The angle of the point (other, input), in (-π, π]. */
export function atan2(input: Tensor, other: Tensor): Tensor {
  const [a, b] = unify(
    'atan2',
    [requireTensor('atan2', input), requireTensor('atan2', other)],
    toFloat(promotedType(input, other)),
  );
  return wrap(binaryNode('atan2', a, b));
}

/** input = other, as bool. */
export const eq = tensorFirst('eq', 'eq');
/** input ≠ other, as bool. */
export const ne = tensorFirst('ne', 'ne');
/** input < other, as bool. */
export const lt = tensorFirst('lt', 'lt');
/** input ≤ other, as bool. */
export const le = tensorFirst('le', 'le');
/** input > other, as bool. */
export const gt = tensorFirst('gt', 'gt');
/** input ≥ other, as bool. */
export const ge = tensorFirst('ge', 'ge');

/** Nonzero as true. */
export const truth = (node: AnyNode): AnyNode => castNode(node, 'bool');
const logical =
  (name: string, fn: 'and' | 'or' | 'xor') =>
  (input: Tensor, other: Tensor): Tensor => {
    const shape = broadcastShapes(name, input.shape, other.shape);
    return wrap(binaryNode(fn, expandNode(truth(input.node), shape), expandNode(truth(other.node), shape)));
  };
/** Whether both are not zero. */
export const logicalAnd = logical('logicalAnd', 'and');
/** Whether either is not zero. */
export const logicalOr = logical('logicalOr', 'or');
/** Whether exactly one is not zero. */
export const logicalXor = logical('logicalXor', 'xor');
/** Whether x is zero. */
export function logicalNot(input: Tensor): Tensor {
  return wrap(unaryNode('not', truth(input.node)));
}
const bitwise =
  (name: string, fn: BinaryPrimitive) =>
  (input: TensorLike, other: TensorLike): Tensor => {
    const type = promotedType(input, other);
    if (!isIntegral(type))
      throw new ProjError('dtype', `bit operations on ${type}`, { op: name, cure: 'Use an integer or bool dtype' });
    const [a, b] = unify(name, [input, other], type);
    return wrap(binaryNode(fn, a, b));
  };
/** Bits that both have. Errors: floats. */
export const bitwiseAnd = bitwise('bitwiseAnd', 'and');
/** Bits that either has. Errors: floats. */
export const bitwiseOr = bitwise('bitwiseOr', 'or');
/** Bits that exactly one has. Errors: floats. */
export const bitwiseXor = bitwise('bitwiseXor', 'xor');
const NARROW: ReadonlySet<DType> = new Set<DType>(['uint8', 'int8', 'int16']);
/** Narrow integers are shifted as int32, as in C: all their bits may go. */
const shift =
  (name: string, fn: 'shiftLeft' | 'shiftRight') =>
  (input: TensorLike, other: TensorLike): Tensor => {
    const type = promotedType(input, other);
    if (!NARROW.has(type)) return bitwise(name, fn)(input, other);
    const [a, b] = unify(name, [input, other], type);
    return wrap(castNode(binaryNode(fn, castNode(a, 'int32'), castNode(b, 'int32')), type));
  };
/** input · 2^other for integers. */
export const bitwiseLeftShift = shift('bitwiseLeftShift', 'shiftLeft');
/** input / 2^other, rounded down, for integers. */
export const bitwiseRightShift = shift('bitwiseRightShift', 'shiftRight');
/** All bits flipped (bool: negated). Errors: floats. */
export function bitwiseNot(input: Tensor): Tensor {
  if (!isIntegral(input.dtype)) throw new ProjError('dtype', `bitwiseNot of ${input.dtype}`, { op: 'bitwiseNot' });
  return wrap(unaryNode('not', input.node));
}

/** input where condition, other elsewhere; with a condition alone, the coordinates of its true elements (which reads it). */
export function where(condition: Tensor, input: TensorLike, other: TensorLike): Tensor;
export function where(condition: Tensor): Tensor[];
export function where(condition: Tensor, input?: TensorLike, other?: TensorLike): Tensor | Tensor[] {
  if (input === undefined || other === undefined) return nonzero(condition, { asTuple: true });
  const device = deviceOf('where', condition, input, other);
  const type = promotedType(input, other);
  const a = nodeOf(input, device, type);
  const b = nodeOf(other, device, type);
  const shape = broadcastShapes('where', condition.shape, a.shape, b.shape);
  return wrap(whereNode(expandNode(truth(condition.node), shape), expandNode(a, shape), expandNode(b, shape)));
}
/** The square root, with gradient zero at zero. */
export function safeRoot(x: Tensor): Tensor {
  if (!x.requiresGrad) return sqrt(x);
  const zero = x.eq(0);
  return where(zero, 0, sqrt(where(zero, 1, x)));
}
/** Values limited to [min, max]; NaN stays. */
export function clamp(input: Tensor, min?: TensorLike | null, max?: TensorLike | null): Tensor {
  if ((min === undefined || min === null) && (max === undefined || max === null))
    throw new ProjError('invalid-argument', 'at least one of min and max is needed', { op: 'clamp' });
  const bounds = [min, max].filter((x): x is TensorLike => x !== undefined && x !== null);
  const type = promotedType(input, ...bounds);
  let result = wrap(castNode(input.node, type));
  // By comparison, so that NaN stays and elements at a bound keep their whole gradient.
  if (min !== undefined && min !== null) result = where(lt(result, min), min, result);
  if (max !== undefined && max !== null) result = where(gt(result, max), max, result);
  return wrap(castNode(result.node, type));
}
/** Whether x is NaN. */
export function isnan(input: Tensor): Tensor {
  return ne(input, input);
}
/** A test of both parts of complex numbers. */
const ofParts = (fn: 'and' | 'or', test: (x: Tensor) => Tensor, input: Tensor): AnyNode =>
  binaryNode(fn, test(wrap(partNode(input.node, false))).node, test(wrap(partNode(input.node, true))).node);
/** Whether x is neither NaN nor infinite. */
export function isfinite(input: Tensor): Tensor {
  if (isIntegral(input.dtype)) return wrap(constantNode(input.device, 'bool', input.shape, true));
  if (isComplexDType(input.dtype)) return wrap(ofParts('and', isfinite, input));
  return lt(abs(input), Infinity);
}
/** Whether x is infinite. */
export function isinf(input: Tensor): Tensor {
  if (isIntegral(input.dtype)) return wrap(constantNode(input.device, 'bool', input.shape, false));
  if (isComplexDType(input.dtype)) return wrap(ofParts('or', isinf, input));
  return eq(abs(input), Infinity);
}
/** The value as another dtype; the same tensor's value when it has it already. */
export function cast(input: Tensor, dtype: DType): Tensor {
  return wrap(castNode(input.node, dtype));
}

const unary = (name: string, fn: (input: Tensor) => Tensor, options: RowOptions = {}): OpRow =>
  row(name, fn, 'input', { inPlace: true, ...options });
const both = (name: string, fn: (a: Tensor, b: Tensor) => Tensor, options: RowOptions = {}): OpRow =>
  row(name, fn as never, 'input, other', { inPlace: true, ...options });
const alias = (torchName: string): readonly string[] => [`torch.${torchName}`, `Tensor.${torchName}`];

export const ELEMENTWISE: readonly OpRow[] = [
  unary('exp', exp),
  unary('exp2', exp2, { torch: ['torch.exp2', 'Tensor.exp2', 'torch.special.exp2'] }),
  unary('expm1', expm1, { torch: ['torch.expm1', 'Tensor.expm1', 'torch.special.expm1'] }),
  unary('log', log),
  unary('log2', log2),
  unary('log10', log10),
  unary('log1p', log1p, { torch: ['torch.log1p', 'Tensor.log1p', 'torch.special.log1p'] }),
  unary('sqrt', sqrt),
  unary('rsqrt', rsqrt),
  unary('reciprocal', reciprocal),
  unary('square', square),
  unary('sin', sin),
  unary('cos', cos),
  unary('tan', tan),
  unary('asin', asin),
  unary('acos', acos),
  unary('atan', atan),
  unary('arcsin', asin, { torch: alias('arcsin') }),
  unary('arccos', acos, { torch: alias('arccos') }),
  unary('arctan', atan, { torch: alias('arctan') }),
  unary('sinh', sinh),
  unary('cosh', cosh),
  unary('tanh', tanh, { torch: ['torch.tanh', 'Tensor.tanh', 'torch.nn.functional.tanh'] }),
  unary('asinh', asinh),
  unary('acosh', acosh),
  unary('atanh', atanh),
  unary('arcsinh', asinh, { torch: alias('arcsinh') }),
  unary('arccosh', acosh, { torch: alias('arccosh') }),
  unary('arctanh', atanh, { torch: alias('arctanh') }),
  unary('erf', erf, { torch: ['torch.erf', 'Tensor.erf', 'torch.special.erf'] }),
  unary('erfc', erfc, { torch: ['torch.erfc', 'Tensor.erfc', 'torch.special.erfc'] }),
  unary('erfinv', erfinv, { torch: ['torch.erfinv', 'Tensor.erfinv', 'torch.special.erfinv'] }),
  unary('lgamma', lgamma, { torch: ['torch.lgamma', 'Tensor.lgamma', 'torch.special.gammaln'] }),
  unary('digamma', digamma, {
    torch: ['torch.digamma', 'Tensor.digamma', 'torch.special.digamma', 'torch.special.psi'],
  }),
  unary('sigmoid', sigmoid, {
    torch: ['torch.sigmoid', 'Tensor.sigmoid', 'torch.special.expit', 'torch.nn.functional.sigmoid'],
  }),
  unary('neg', neg),
  unary('negative', neg),
  unary('abs', abs, { torch: ['torch.abs', 'Tensor.abs', 'torch.absolute', 'Tensor.absolute'] }),
  unary('absolute', abs, { torch: [] }),
  unary('sign', sign),
  unary('relu', relu, { torch: ['torch.relu', 'Tensor.relu', 'torch.nn.functional.relu'] }),
  unary('floor', floor),
  unary('ceil', ceil),
  unary('trunc', trunc),
  unary('fix', trunc),
  unary('frac', frac),
  unary('positive', positive, { inPlace: false }),
  row('round', round, 'input, *, decimals=0', { inPlace: true }),
  row('add', add as never, 'input, other, *, alpha=1', { inPlace: true }),
  row('sub', sub as never, 'input, other, *, alpha=1', { inPlace: true }),
  row('subtract', sub as never, 'input, other, *, alpha=1', { inPlace: true }),
  row('rsub', rsub, 'input, other, *, alpha=1'),
  both('mul', mul),
  both('multiply', mul),
  row('div', div as never, 'input, other, *, rounding_mode=None', { inPlace: true }),
  row('divide', div as never, 'input, other, *, rounding_mode=None', { inPlace: true }),
  both('trueDivide', trueDivide),
  both('floorDivide', floorDivide),
  both('remainder', remainder),
  both('fmod', fmod),
  both('maximum', maximum, { inPlace: false }),
  both('minimum', minimum, { inPlace: false }),
  row('pow', pow as never, 'input, exponent', { inPlace: true }),
  row('floatPower', floatPower as never, 'input, exponent', { inPlace: true }),
  both('atan2', atan2),
  both('arctan2', atan2),
  both('eq', eq, { differentiable: false }),
  both('ne', ne, { differentiable: false }),
  both('lt', lt, { differentiable: false }),
  both('le', le, { differentiable: false }),
  both('gt', gt, { differentiable: false }),
  both('ge', ge, { differentiable: false }),
  both('notEqual', ne, { differentiable: false }),
  both('less', lt, { differentiable: false }),
  both('lessEqual', le, { differentiable: false }),
  both('greater', gt, { differentiable: false }),
  both('greaterEqual', ge, { differentiable: false }),
  row('logicalAnd', logicalAnd, 'input, other', { inPlace: true, differentiable: false }),
  row('logicalOr', logicalOr, 'input, other', { inPlace: true, differentiable: false }),
  row('logicalXor', logicalXor, 'input, other', { inPlace: true, differentiable: false }),
  unary('logicalNot', logicalNot, { differentiable: false }),
  both('bitwiseAnd', bitwiseAnd, { differentiable: false }),
  both('bitwiseOr', bitwiseOr, { differentiable: false }),
  both('bitwiseXor', bitwiseXor, { differentiable: false }),
  both('bitwiseLeftShift', bitwiseLeftShift, { differentiable: false }),
  both('bitwiseRightShift', bitwiseRightShift, { differentiable: false }),
  unary('bitwiseNot', bitwiseNot, { differentiable: false }),
  row('where', where as never, 'condition, input, other', { method: false }),
  row(
    'where',
    ((input: Tensor, condition: Tensor, other: TensorLike) => where(condition, input, other)) as never,
    'input, condition, other',
    { torch: ['Tensor.where'] },
  ),
  row('clamp', clamp, 'input, min=None, max=None', { inPlace: true }),
  row('clip', clamp, 'input, min=None, max=None', { inPlace: true }),
  unary('isnan', isnan, { inPlace: false, differentiable: false }),
  unary('isfinite', isfinite, { inPlace: false, differentiable: false }),
  unary('isinf', isinf, { inPlace: false, differentiable: false }),
];
