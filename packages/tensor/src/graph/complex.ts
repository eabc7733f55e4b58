/**
 * Arithmetic on complex values: each function of pairs (real part, imaginary part) written with real nodes, so that every device has it at once.
 * Functions carry their own gradient rule (see the primitive `complex`), so nothing here has to be differentiable. The formulas avoid overflow
 * and cancellation; those of the inverse functions are Kahan's ("Branch cuts for complex elementary functions", 1987).
 */
import { type DType, ProjError } from '@proj/kernel';
import {
  binaryNode,
  castNode,
  complexNode,
  constantNode,
  contractNode,
  padNode,
  partNode,
  permuteNode,
  reshapeNode,
  setComplexArithmetic,
  sliceNode,
  unaryNode,
  whereNode,
} from './build.ts';
import { type AnyNode, isComplexType, type Shape, withoutGradients } from './node.ts';
import { toReal } from '../promotion.ts';
import type { BinaryPrimitive, CumulateOperation, ReduceOperation, UnaryPrimitive } from './primitives.ts';

/** A complex value in the making: its real and imaginary part. */
type Pair = readonly [re: AnyNode, im: AnyNode];
type Operand = AnyNode | number;

const filled = (like: AnyNode, value: number): AnyNode => constantNode(like.device, like.dtype, like.shape, value);
const real =
  (fn: BinaryPrimitive) =>
  (a: AnyNode, b: Operand): AnyNode =>
    binaryNode(fn, a, typeof b === 'number' ? filled(a, b) : b);
const function_ =
  (fn: UnaryPrimitive) =>
  (x: AnyNode): AnyNode =>
    unaryNode(fn, x);
const add = real('add');
const sub = real('sub');
const mul = real('mul');
const div = real('div');
const atan2 = real('atan2');
const less = real('lt');
const greater = real('gt');
const equal = real('eq');
const or = real('or');
const and = real('and');
const neg = function_('neg');
const abs = function_('abs');
const sqrt = function_('sqrt');
const exp = function_('exp');
const log = function_('log');
const where = (condition: AnyNode, a: Operand, b: Operand, like: AnyNode): AnyNode =>
  whereNode(condition, typeof a === 'number' ? filled(like, a) : a, typeof b === 'number' ? filled(like, b) : b);

const pairOf = (z: AnyNode): Pair => [partNode(z, false), partNode(z, true)];

/** Whether a node is known to be zero everywhere: the imaginary part of what was real. */
function isZero(x: AnyNode): boolean {
  let node = x;
  while ((node.op === 'expand' || node.op === 'reshape') && node.sources.length > 0) [node] = node.sources;
  return node.op === 'constant' && node.attr.provider === null && Number(node.attr.value) === 0;
}
const plus = (a: AnyNode, b: AnyNode): AnyNode => (isZero(b) ? a : isZero(a) ? b : add(a, b));
const minus = (a: AnyNode, b: AnyNode): AnyNode => (isZero(b) ? a : isZero(a) ? neg(b) : sub(a, b));
const times = (a: AnyNode, b: AnyNode): AnyNode => (isZero(a) ? a : isZero(b) ? b : mul(a, b));

/** Whether the sign bit is set, that of zero included. */
const isNegative = (x: AnyNode): AnyNode => or(less(x, 0), less(unaryNode('reciprocal', x), 0));
/** |x| with the sign of `sign`. */
const withSign = (x: AnyNode, sign: AnyNode): AnyNode => whereNode(isNegative(sign), neg(abs(x)), abs(x));
/** A power of two with which neither x² + y² overflows nor the larger square is subnormal. */
function scaleOf(x: AnyNode, y: AnyNode): AnyNode {
  const large = binaryNode('maximum', abs(x), abs(y));
  const double = large.dtype === 'float64';
  const upward = where(less(large, double ? 2 ** -450 : 2 ** -40), double ? 2 ** 600 : 2 ** 100, 1, large);
  return where(greater(large, double ? 2 ** 500 : 2 ** 60), double ? 2 ** -600 : 2 ** -80, upward, large);
}

/**
 * √(x² + y²) of float32 or float64 without overflow, exact where squares and root are. The scale is a constant for gradients, which is exact: the
 * length grows with both.
 */
export function lengthOf(x: AnyNode, y: AnyNode): AnyNode {
  if (isZero(y)) return abs(x);
  const scale = withoutGradients(() => scaleOf(x, y));
  const [a, b] = [mul(x, scale), mul(y, scale)];
  const square = add(mul(a, a), mul(b, b));
  const zero = equal(square, 0);
  const length = div(sqrt(where(zero, 1, square, x)), scale);
  const infinite = or(equal(abs(x), Infinity), equal(abs(y), Infinity));
  return where(infinite, Infinity, where(zero, 0, length, x), x);
}

const timesPair = ([a, b]: Pair, [c, d]: Pair): Pair => [
  minus(times(a, c), times(b, d)),
  plus(times(a, d), times(b, c)),
];
function dividePair([a, b]: Pair, [c, d]: Pair): Pair {
  if (isZero(d)) return [div(a, c), isZero(b) ? b : div(b, c)];
  const scale = binaryNode('maximum', abs(c), abs(d));
  const [x, y] = [div(c, scale), div(d, scale)];
  const size = add(mul(c, x), mul(d, y));
  return [div(plus(times(a, x), times(b, y)), size), div(minus(times(b, x), times(a, y)), size)];
}
function expPair([a, b]: Pair): Pair {
  const size = exp(a);
  return [mul(size, unaryNode('cos', b)), mul(size, unaryNode('sin', b))];
}
/** log|z| by log1p(|z|² - 1) / 2 where |z| is near 1. */
function logPair([a, b]: Pair): Pair {
  const length = lengthOf(a, b);
  const [large, small] = [binaryNode('maximum', abs(a), abs(b)), binaryNode('minimum', abs(a), abs(b))];
  const excess = add(mul(sub(large, 1), add(large, 1)), mul(small, small));
  const near = and(greater(length, 0.5), less(length, 2));
  return [whereNode(near, mul(unaryNode('log1p', excess), 0.5), log(length)), atan2(b, a)];
}
function sqrtPair([a, b]: Pair): Pair {
  const [length, size] = [lengthOf(a, b), abs(a)];
  // Halves of great numbers, whose sum may overflow; small ones may have no half.
  const halves = add(mul(length, 0.5), mul(size, 0.5));
  const root = sqrt(whereNode(greater(length, 1), halves, mul(add(length, size), 0.5)));
  const [zero, infinite] = [equal(root, 0), equal(abs(b), Infinity)];
  const quotient = div(abs(b), mul(where(zero, 1, root, root), 2));
  const other = where(zero, 0, where(infinite, Infinity, quotient, root), root);
  const right = binaryNode('ge', a, filled(a, 0));
  return [whereNode(right, root, other), withSign(whereNode(right, other, root), b)];
}
/**
 * sinh a and cosh a times x and y. Beyond `limit` both are e^|a| / 2, of which e^limit goes into the first product and the rest, by halves, into
 * two more, so that it overflows only where the result does.
 */
function hyperbolicTimes(
  a: AnyNode,
  x: readonly ['sinh' | 'cosh', AnyNode],
  y: readonly ['sinh' | 'cosh', AnyNode],
): Pair {
  const limit = a.dtype === 'float64' ? 700 : 80;
  const bounded = binaryNode('maximum', binaryNode('minimum', a, filled(a, limit)), filled(a, -limit));
  const rest = exp(binaryNode('minimum', mul(sub(abs(a), abs(bounded)), 0.5), filled(a, limit + 8)));
  const product = ([fn, factor]: readonly ['sinh' | 'cosh', AnyNode]): AnyNode =>
    mul(mul(mul(unaryNode(fn, bounded), factor), rest), rest);
  return [product(x), product(y)];
}
const sinhPair = ([a, b]: Pair): Pair =>
  hyperbolicTimes(a, ['sinh', unaryNode('cos', b)], ['cosh', unaryNode('sin', b)]);
const coshPair = ([a, b]: Pair): Pair =>
  hyperbolicTimes(a, ['cosh', unaryNode('cos', b)], ['sinh', unaryNode('sin', b)]);
/** By exp(-2|a|), which cannot overflow. */
function tanhPair([a, b]: Pair): Pair {
  const size = abs(a);
  const decay = exp(mul(size, -2));
  const rest = unaryNode('expm1', mul(size, -2));
  const cos = unaryNode('cos', b);
  const below = add(mul(rest, rest), mul(mul(decay, 4), mul(cos, cos)));
  const above = neg(unaryNode('expm1', mul(size, -4)));
  return [withSign(div(above, below), a), div(mul(mul(decay, 4), mul(unaryNode('sin', b), cos)), below)];
}
/** i·f(-i·z), which turns a hyperbolic function into the circular one, and -i·f(i·z) back. */
const turned =
  (fn: (z: Pair) => Pair) =>
  ([a, b]: Pair): Pair => {
    const [x, y] = fn([b, neg(a)]);
    return [neg(y), x];
  };
const asinhOf = (x: AnyNode): AnyNode => unaryNode('asinh', x);
const conjPair = ([a, b]: Pair): Pair => [a, neg(b)];
function asinPair([a, b]: Pair): Pair {
  const below = sqrtPair([sub(filled(a, 1), a), neg(b)]);
  const above = sqrtPair([add(a, 1), b]);
  return [atan2(a, timesPair(below, above)[0]), asinhOf(timesPair(conjPair(below), above)[1])];
}
function acosPair([a, b]: Pair): Pair {
  const below = sqrtPair([sub(filled(a, 1), a), neg(b)]);
  const above = sqrtPair([add(a, 1), b]);
  return [mul(atan2(below[0], above[0]), 2), asinhOf(timesPair(conjPair(above), below)[1])];
}
function acoshPair([a, b]: Pair): Pair {
  const below = sqrtPair([sub(a, 1), b]);
  const above = sqrtPair([add(a, 1), b]);
  return [asinhOf(timesPair(conjPair(below), above)[0]), mul(atan2(below[1], above[0]), 2)];
}
function atanhPair([a, b]: Pair): Pair {
  const [size, square] = [abs(a), mul(b, b)];
  const under = sub(filled(a, 1), size);
  const quotient = mul(div(size, add(mul(under, under), square)), 4);
  return [
    withSign(mul(unaryNode('log1p', quotient), 0.25), a),
    mul(atan2(b, mul(sub(mul(under, add(size, 1)), square), 0.5)), 0.5),
  ];
}
const scaled = ([a, b]: Pair, factor: number): Pair => [mul(a, factor), mul(b, factor)];
const reciprocalPair = (z: Pair): Pair => dividePair([filled(z[0], 1), filled(z[0], 0)], z);
const sigmoidPair = ([a, b]: Pair): Pair => {
  const [x, y] = expPair([neg(a), neg(b)]);
  return reciprocalPair([add(x, 1), y]);
};

/** The functions that complex numbers have; null for those that need an order, or that PyTorch does not have either. */
const UNARY: Record<UnaryPrimitive, ((z: Pair) => Pair) | null> = {
  neg: ([a, b]) => [neg(a), neg(b)],
  abs: null,
  sign: null,
  sqrt: sqrtPair,
  rsqrt: (z) => reciprocalPair(sqrtPair(z)),
  reciprocal: reciprocalPair,
  floor: null,
  ceil: null,
  trunc: null,
  round: null,
  exp: expPair,
  exp2: null,
  expm1: null,
  log: logPair,
  log2: (z) => scaled(logPair(z), Math.LOG2E),
  log10: (z) => scaled(logPair(z), Math.LOG10E),
  log1p: null,
  sin: turned(sinhPair),
  cos: ([a, b]) => coshPair([neg(b), a]),
  tan: turned(tanhPair),
  asin: asinPair,
  acos: acosPair,
  atan: turned(atanhPair),
  sinh: sinhPair,
  cosh: coshPair,
  tanh: tanhPair,
  asinh: turned(asinPair),
  acosh: acoshPair,
  atanh: atanhPair,
  erf: null,
  erfc: null,
  erfinv: null,
  lgamma: null,
  digamma: null,
  sigmoid: sigmoidPair,
  relu: null,
  not: null,
};

function powPair(z: Pair, w: Pair): Pair {
  const zero = and(equal(z[0], 0), equal(z[1], 0));
  const one = where(zero, 1, z[0], z[0]);
  const [x, y] = expPair(timesPair(w, logPair([one, z[1]])));
  const atZero = whereNode(and(equal(w[0], 0), equal(w[1], 0)), filled(x, 1), filled(x, 0));
  return [whereNode(zero, atZero, x), where(zero, 0, y, y)];
}

const differ = (a: Pair, b: Pair): AnyNode => or(binaryNode('ne', a[0], b[0]), binaryNode('ne', a[1], b[1]));

type BinaryRule = ((a: Pair, b: Pair) => Pair) | 'eq' | 'ne' | null;
const BINARY: Record<BinaryPrimitive, BinaryRule> = {
  add: ([a, b], [c, d]) => [plus(a, c), plus(b, d)],
  sub: ([a, b], [c, d]) => [minus(a, c), minus(b, d)],
  mul: timesPair,
  div: dividePair,
  pow: powPair,
  eq: 'eq',
  ne: 'ne',
  atan2: null,
  maximum: null,
  minimum: null,
  remainder: null,
  fmod: null,
  floorDivide: null,
  and: null,
  or: null,
  xor: null,
  shiftLeft: null,
  shiftRight: null,
  lt: null,
  le: null,
  gt: null,
  ge: null,
};

const refused = (op: string, dtype: DType): ProjError =>
  new ProjError('dtype', `"${op}" is not implemented for ${dtype}`, {
    op,
    cure: 'Work on the real part, the imaginary part or the absolute value',
  });

/** re - i·im. */
export const conjNode = (z: AnyNode): AnyNode =>
  isComplexType(z.dtype) ? complexNode(partNode(z, false), neg(partNode(z, true))) : z;

function unary(fn: UnaryPrimitive, z: AnyNode): AnyNode {
  if (fn === 'abs') return lengthOf(...pairOf(z));
  const formula = UNARY[fn];
  if (formula === null) throw refused(fn, z.dtype);
  if (fn === 'neg') return complexNode(...formula(pairOf(z)));
  const [re, im] = withoutGradients(() => formula(pairOf(z)));
  return complexNode(re, im, fn, [z]);
}

function binary(fn: BinaryPrimitive, a: AnyNode, b: AnyNode): AnyNode {
  const formula = BINARY[fn];
  if (formula === null) throw refused(fn, a.dtype);
  if (formula === 'ne' || formula === 'eq') {
    const different = differ(pairOf(a), pairOf(b));
    return formula === 'ne' ? different : unaryNode('not', different);
  }
  if (fn === 'add' || fn === 'sub') return complexNode(...formula(pairOf(a), pairOf(b)));
  const [re, im] = withoutGradients(() => formula(pairOf(a), pairOf(b)));
  return complexNode(re, im, fn, [a, b]);
}

function cast(x: AnyNode, dtype: DType): AnyNode {
  const part = toReal(dtype);
  if (!isComplexType(x.dtype)) {
    const re = castNode(x, part);
    return complexNode(re, filled(re, 0));
  }
  const [re, im] = pairOf(x);
  if (isComplexType(dtype)) return complexNode(castNode(re, part), castNode(im, part));
  return dtype === 'bool' ? or(castNode(re, 'bool'), castNode(im, 'bool')) : castNode(re, dtype);
}

const whole = (shape: Shape): number[] => shape.map(() => 1);
/** `count` elements of the last dimension, from `start` on. */
const lastPart = (x: AnyNode, start: number, count: number): AnyNode =>
  sliceNode(
    x,
    x.shape.map((_, dim) => (dim === x.shape.length - 1 ? start : 0)),
    [...x.shape.slice(0, -1), count],
    whole(x.shape),
  );
const widened = (x: AnyNode, before: number, after: number, value: number): AnyNode => {
  const at = (n: number): number[] => x.shape.map((_, dim) => (dim === x.shape.length - 1 ? n : 0));
  return padNode(x, at(before), at(after), value);
};

/** Products by halves: every round multiplies the first half with the second. */
function reduce(fn: ReduceOperation, x: AnyNode, axes: readonly number[]): AnyNode {
  if (fn !== 'prod') throw refused(fn, x.dtype);
  const kept = x.shape.map((_, dim) => dim).filter((dim) => !axes.includes(dim));
  const shape = kept.map((dim) => x.shape[dim]);
  const count = axes.reduce((product, dim) => product * x.shape[dim], 1);
  if (count === 0) return constantNode(x.device, x.dtype, shape, 1);
  let rest = reshapeNode(permuteNode(x, [...kept, ...axes]), [...shape, count]);
  for (let size = count; size > 1; size = Math.ceil(size / 2)) {
    const half = Math.ceil(size / 2);
    const second = widened(lastPart(rest, half, size - half), 0, 2 * half - size, 1);
    rest = binaryNode('mul', lastPart(rest, 0, half), second);
  }
  return reshapeNode(rest, shape);
}

/** Running products by doubling (Hillis and Steele): after round k each element is the product of the last 2ᵏ. */
function cumulate(fn: CumulateOperation, x: AnyNode): AnyNode {
  if (fn !== 'prod') throw refused(fn, x.dtype);
  const length = x.shape.at(-1) ?? 1;
  let result = x;
  for (let reach = 1; reach < length; reach *= 2)
    result = binaryNode('mul', result, widened(lastPart(result, 0, length - reach), reach, 0, 1));
  return result;
}

/** Four real products. */
function contract(x: AnyNode, y: AnyNode): AnyNode {
  const [a, b] = pairOf(x);
  const [c, d] = pairOf(y);
  const product = (left: AnyNode, right: AnyNode): AnyNode =>
    isZero(left) || isZero(right)
      ? constantNode(left.device, left.dtype, [left.shape[0], left.shape[1], right.shape[2]], 0)
      : contractNode(left, right);
  return complexNode(minus(product(a, c), product(b, d)), plus(product(a, d), product(b, c)));
}

/** Makes the constructors take complex operands. Called once, when the package is loaded. */
export function installComplexArithmetic(): void {
  setComplexArithmetic({ unary, binary, cast, reduce, cumulate, contract });
}
