/** Node arithmetic for gradient formulas: scalars broadcast, and multiplications by 1 vanish. */
import { ProjError } from '@proj/kernel';
import {
  type AnyNode,
  binaryNode,
  type BinaryPrimitive,
  constantNode,
  expandNode,
  reduceNode,
  reshapeNode,
  type Shape,
  unaryNode,
  type UnaryPrimitive,
  whereNode,
} from '@proj/tensor/graph';

export type Operand = AnyNode | number;

/** The number that a node is everywhere, or null. */
export function constantValue(x: AnyNode): number | null {
  let node = x;
  while (node.op === 'expand' || node.op === 'reshape' || node.op === 'permute' || node.op === 'complex') {
    if (node.sources.length === 0) return null;
    if (node.op === 'complex' && constantValue(node.sources[1]) !== 0) return null;
    node = node.sources[0];
  }
  return node.op === 'constant' && node.attr.provider === null ? Number(node.attr.value) : null;
}

/** A constant with the dtype and shape of `like`. */
export const filled = (like: AnyNode, value: number): AnyNode =>
  constantNode(like.device, like.dtype, like.shape, value);

const pair = (a: Operand, b: Operand): readonly [AnyNode, AnyNode] => {
  if (typeof a !== 'number') return [a, typeof b === 'number' ? filled(a, b) : b];
  if (typeof b !== 'number') return [filled(b, a), b];
  throw new ProjError('invalid-argument', 'one operand of a node operation must be a node');
};
const valueOf = (x: Operand): number | null => (typeof x === 'number' ? x : constantValue(x));
const binary =
  (fn: BinaryPrimitive) =>
  (a: Operand, b: Operand): AnyNode =>
    binaryNode(fn, ...pair(a, b));

export const add = binary('add');
export const sub = binary('sub');
export const div = binary('div');
export const atLeast = binary('ge');
export const greater = binary('gt');
export const less = binary('lt');
export const equal = binary('eq');
const product = binary('mul');
export const mul = (a: Operand, b: Operand): AnyNode => {
  if (valueOf(a) === 1 && typeof b !== 'number') return b;
  if (valueOf(b) === 1 && typeof a !== 'number') return a;
  return product(a, b);
};
const unary =
  (fn: UnaryPrimitive) =>
  (x: AnyNode): AnyNode =>
    unaryNode(fn, x);
export const neg = unary('neg');
export const exp = unary('exp');
export const log = unary('log');
export const sin = unary('sin');
export const cos = unary('cos');
export const sinh = unary('sinh');
export const cosh = unary('cosh');
export const rsqrt = unary('rsqrt');
export const reciprocal = unary('reciprocal');
export const sign = unary('sign');
export const trunc = unary('trunc');
export const square = (x: AnyNode): AnyNode => mul(x, x);
const power = binary('pow');
/** xᵉ; small constant exponents as products, so that derivatives of any order stay exact at 0. */
export const pow = (x: AnyNode, exponent: Operand): AnyNode => {
  const e = valueOf(exponent);
  if (e === 0) return filled(x, 1);
  if (e === 1) return x;
  if (e === 2) return square(x);
  return power(x, exponent);
};
/** a where the condition holds, b elsewhere. */
export function where(condition: AnyNode, a: Operand, b: Operand): AnyNode {
  return whereNode(condition, ...pair(a, b));
}

/** The sum over the dimensions in which `shape` was broadcast to the shape of `x`. */
export function sumTo(x: AnyNode, shape: Shape): AnyNode {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((size, dim) => (dim < lead || (shape[dim - lead] === 1 && size !== 1) ? [dim] : []));
  return reshapeNode(reduceNode('sum', x, axes), shape);
}
/** `x`, which lacks the reduced `axes` of `shape`, broadcast to `shape`. */
export function broadcastReduced(x: AnyNode, shape: Shape, axes: readonly number[]): AnyNode {
  return expandNode(
    reshapeNode(
      x,
      shape.map((size, dim) => (axes.includes(dim) ? 1 : size)),
    ),
    shape,
  );
}
