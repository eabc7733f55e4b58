/**
 * All gradients: for each primitive, what it contributes to the gradient of each of its sources. A rule builds ordinary nodes, so that gradients
 * fuse and have gradients themselves; only the thunks of sources that need a gradient are called. Where a formula can be written in terms
 * of the output (exp, tanh, relu, sqrt …) it is, so that the input need not be kept. The total-table shape of this file follows tinygrad's.
 *
 * Terms: `g` is the gradient of the node's value; `saved.input(i)` and `saved.output()` are values kept from the forward pass: reading one
 * that has been freed or overwritten is an error.
 */
import {
  type AnyNode,
  type BinaryPrimitive,
  binaryNode,
  castNode,
  complexNode,
  conjNode,
  constantNode,
  contractNode,
  cropNode,
  type CumulateOperation,
  cumulateNode,
  elementCount,
  expandNode,
  foldNode,
  iotaNode,
  isComplexType,
  type Node,
  partNode,
  permuteNode,
  type Primitive,
  type ReduceOperation,
  reduceNode,
  reshapeNode,
  scatterNode,
  type ScatterMode,
  sliceNode,
  takeNode,
  unaryNode,
  type UnaryPrimitive,
  windowNode,
} from '@proj/tensor/graph';
import {
  add,
  atLeast,
  broadcastReduced,
  constantValue,
  cos,
  cosh,
  div,
  equal,
  exp,
  filled,
  greater,
  less,
  log,
  mul,
  neg,
  pow,
  rsqrt,
  sign,
  sin,
  sinh,
  square,
  sub,
  sumTo,
  trunc,
  where,
} from './arithmetic.ts';
import { scanProducts, shareProducts } from './products.ts';
import { trigamma } from './trigamma.ts';

/** Values of the forward pass that a rule reads. */
export interface Saved {
  input(index: number): AnyNode;
  output(): AnyNode;
}
/** A gradient that belongs to part of a value only: gradients of many slices are put together in one pass. */
export interface PartialGradient {
  readonly value: AnyNode;
  readonly starts: readonly number[];
  readonly steps: readonly number[];
}
export type Contribution = AnyNode | PartialGradient | null;
/** One thunk for each source; null for a source that can have no gradient. */
export type GradientRule<P extends Primitive> = (
  g: AnyNode,
  node: Node<P>,
  saved: Saved,
) => readonly ((() => Contribution) | null)[];

const none = (): readonly null[] => [];
const zero = (g: AnyNode): AnyNode => filled(g, 0);
const inverse = (order: readonly number[]): number[] => order.map((_, dim) => order.indexOf(dim));
const SQRT_PI = Math.sqrt(Math.PI);

type UnaryRule = (g: AnyNode, saved: Saved) => AnyNode;
const fromInput =
  (rule: (g: AnyNode, x: AnyNode) => AnyNode): UnaryRule =>
  (g, saved) =>
    rule(g, saved.input(0));
const fromOutput =
  (rule: (g: AnyNode, y: AnyNode) => AnyNode): UnaryRule =>
  (g, saved) =>
    rule(g, saved.output());

const UNARY: Record<UnaryPrimitive, UnaryRule> = {
  neg: (g) => neg(g),
  abs: fromInput((g, x) => mul(g, sign(x))),
  sign: zero,
  floor: zero,
  ceil: zero,
  trunc: zero,
  round: zero,
  not: zero,
  sqrt: fromOutput((g, y) => div(g, mul(y, 2))),
  rsqrt: fromOutput((g, y) => mul(mul(g, -0.5), mul(y, square(y)))),
  reciprocal: fromOutput((g, y) => neg(mul(g, square(y)))),
  exp: fromOutput(mul),
  exp2: fromOutput((g, y) => mul(mul(g, y), Math.LN2)),
  expm1: fromOutput((g, y) => mul(g, add(y, 1))),
  log: fromInput(div),
  log2: fromInput((g, x) => div(g, mul(x, Math.LN2))),
  log10: fromInput((g, x) => div(g, mul(x, Math.LN10))),
  log1p: fromInput((g, x) => div(g, add(x, 1))),
  sin: fromInput((g, x) => mul(g, cos(x))),
  cos: fromInput((g, x) => neg(mul(g, sin(x)))),
  tan: fromOutput((g, y) => mul(g, add(square(y), 1))),
  asin: fromInput((g, x) => mul(g, rsqrt(sub(1, square(x))))),
  acos: fromInput((g, x) => neg(mul(g, rsqrt(sub(1, square(x)))))),
  atan: fromInput((g, x) => div(g, add(square(x), 1))),
  sinh: fromInput((g, x) => mul(g, cosh(x))),
  cosh: fromInput((g, x) => mul(g, sinh(x))),
  tanh: fromOutput((g, y) => mul(g, sub(1, square(y)))),
  asinh: fromInput((g, x) => mul(g, rsqrt(add(square(x), 1)))),
  acosh: fromInput((g, x) => mul(g, rsqrt(sub(square(x), 1)))),
  atanh: fromInput((g, x) => div(g, sub(1, square(x)))),
  erf: fromInput((g, x) => mul(mul(g, 2 / SQRT_PI), exp(neg(square(x))))),
  erfc: fromInput((g, x) => mul(mul(g, -2 / SQRT_PI), exp(neg(square(x))))),
  erfinv: fromOutput((g, y) => mul(mul(g, SQRT_PI / 2), exp(square(y)))),
  lgamma: fromInput((g, x) => mul(g, unaryNode('digamma', x))),
  digamma: fromInput((g, x) => mul(g, trigamma(x))),
  sigmoid: fromOutput((g, y) => mul(g, mul(y, sub(1, y)))),
  relu: fromOutput((g, y) => where(greater(y, 0), g, 0)),
};

type BinaryRule = (g: AnyNode, saved: Saved) => readonly [() => AnyNode, () => AnyNode];
const noGradient: BinaryRule = (g) => [() => zero(g), () => zero(g)];
/** Where both operands are equal, each gets half. */
const extreme =
  (loses: (a: AnyNode, b: AnyNode) => AnyNode): BinaryRule =>
  (g, saved) => {
    const share = (own: AnyNode, other: AnyNode): AnyNode =>
      where(equal(own, other), mul(g, 0.5), where(loses(own, other), 0, g));
    return [() => share(saved.input(0), saved.input(1)), () => share(saved.input(1), saved.input(0))];
  };

/** x >= 0; a complex number is when it is real. */
const atLeastZero = (x: AnyNode): AnyNode =>
  isComplexType(x.dtype)
    ? binaryNode('and', equal(partNode(x, true), 0), atLeast(partNode(x, false), 0))
    : atLeast(x, 0);

const BINARY: Record<BinaryPrimitive, BinaryRule> = {
  add: (g) => [() => g, () => g],
  sub: (g) => [() => g, () => neg(g)],
  mul: (g, saved) => [() => mul(g, saved.input(1)), () => mul(g, saved.input(0))],
  div: (g, saved) => [() => div(g, saved.input(1)), () => neg(mul(g, div(saved.output(), saved.input(1))))],
  pow: (g, saved) => [
    () => {
      const exponent = saved.input(1);
      const e = constantValue(exponent);
      if (e === 0) return zero(g);
      if (e !== null) return mul(mul(g, e), pow(saved.input(0), e - 1));
      const isZero = equal(exponent, 0);
      return mul(mul(g, exponent), pow(saved.input(0), where(isZero, 0, sub(exponent, 1))));
    },
    () => {
      const base = saved.input(0);
      const flat = binaryNode('and', equal(base, 0), atLeastZero(saved.input(1)));
      return where(flat, 0, mul(g, mul(saved.output(), log(where(flat, 1, base)))));
    },
  ],
  atan2: (g, saved) => {
    const over = (): AnyNode => div(g, add(square(saved.input(0)), square(saved.input(1))));
    return [() => mul(over(), saved.input(1)), () => neg(mul(over(), saved.input(0)))];
  },
  maximum: extreme(less),
  minimum: extreme(greater),
  remainder: (g, saved) => [() => g, () => neg(mul(g, binaryNode('floorDivide', saved.input(0), saved.input(1))))],
  fmod: (g, saved) => [() => g, () => neg(mul(g, trunc(div(saved.input(0), saved.input(1)))))],
  floorDivide: noGradient,
  and: noGradient,
  or: noGradient,
  xor: noGradient,
  shiftLeft: noGradient,
  shiftRight: noGradient,
  eq: noGradient,
  ne: noGradient,
  lt: noGradient,
  le: noGradient,
  gt: noGradient,
  ge: noGradient,
};

type ReduceRule = (g: AnyNode, node: Node<'reduce'>, saved: Saved) => AnyNode;
/**
 * Elements that equal the extreme share its gradient evenly. It is found anew here and in the rules below, as is all that is not in memory any more, perhaps with another last bit:
 * the output, which may have been computed before, need not be among the elements then.
 */
const evenly: ReduceRule = (g, node, saved) => {
  const x = saved.input(0);
  const { axes, fn } = node.attr;
  const winners = castNode(equal(x, broadcastReduced(reduceNode(fn, x, axes), x.shape, axes)), x.dtype);
  return mul(winners, broadcastReduced(div(g, reduceNode('sum', winners, axes)), x.shape, axes));
};
const REDUCE: Record<ReduceOperation, ReduceRule> = {
  sum: (g, node) => broadcastReduced(g, node.sources[0].shape, node.attr.axes),
  prod: (g, node, saved) => {
    const x = saved.input(0);
    const kept = x.shape.map((_, dim) => dim).filter((dim) => !node.attr.axes.includes(dim));
    const order = [...kept, ...node.attr.axes];
    const rows = elementCount(g.shape);
    const moved = permuteNode(x, order);
    const shares = shareProducts(
      reshapeNode(g, [rows, 1]),
      reshapeNode(moved, [rows, rows === 0 ? 0 : elementCount(x.shape) / rows]),
    );
    return permuteNode(reshapeNode(shares, moved.shape), inverse(order));
  },
  max: evenly,
  min: evenly,
};

const reversed = (x: AnyNode): AnyNode => {
  const last = x.shape.length - 1;
  return sliceNode(
    x,
    x.shape.map((size, dim) => (dim === last ? Math.max(0, size - 1) : 0)),
    x.shape,
    x.shape.map((_, dim) => (dim === last ? -1 : 1)),
  );
};
/** The gradient of a running extreme goes to the latest position that holds it. */
const toPositions =
  (fn: 'max' | 'min') =>
  (g: AnyNode, saved: Saved): AnyNode => {
    const x = saved.input(0);
    const length = x.shape[x.shape.length - 1];
    const rows = length === 0 ? 0 : elementCount(x.shape) / length;
    const positions = expandNode(iotaNode(x.device, 'int64', length, 0, 1), x.shape);
    const held = cumulateNode('max', where(equal(x, cumulateNode(fn, x)), positions, 0));
    const offsets = expandNode(reshapeNode(iotaNode(x.device, 'int64', rows, 0, length), [rows, 1]), [rows, length]);
    const index = reshapeNode(add(reshapeNode(held, [rows, length]), offsets), [rows * length]);
    const base = constantNode(g.device, g.dtype, [rows * length], 0);
    return reshapeNode(scatterNode('add', base, index, reshapeNode(g, [rows * length])), x.shape);
  };
const CUMULATE: Record<CumulateOperation, (g: AnyNode, saved: Saved) => AnyNode> = {
  sum: (g) => reversed(cumulateNode('sum', reversed(g))),
  prod: (g, saved) => scanProducts(g, saved.input(0)),
  max: toPositions('max'),
  min: toPositions('min'),
};

type ScatterRule = (g: AnyNode, saved: Saved) => readonly [() => AnyNode, null, () => AnyNode];
const scatterExtreme =
  (mode: 'max' | 'min'): ScatterRule =>
  (g, saved) => {
    const [base, index, updates] = [0, 1, 2].map((i) => saved.input(i));
    const extremes = scatterNode(mode, base, index, updates);
    const isBase = (): AnyNode => castNode(equal(base, extremes), g.dtype);
    const isUpdate = (): AnyNode => castNode(equal(updates, takeNode(extremes, index)), g.dtype);
    const share = (): AnyNode => div(g, scatterNode('add', isBase(), index, isUpdate()));
    return [() => mul(isBase(), share()), null, () => mul(isUpdate(), takeNode(share(), index))];
  };
const SCATTER: Record<ScatterMode, ScatterRule> = {
  set: (g, saved) => [
    () => scatterNode('set', g, saved.input(1), filled(saved.input(2), 0)),
    null,
    () => takeNode(g, saved.input(1)),
  ],
  add: (g, saved) => [() => g, null, () => takeNode(g, saved.input(1))],
  mul: (g, saved) => [
    () => mul(g, scatterNode('mul', filled(g, 1), saved.input(1), saved.input(2))),
    null,
    () => {
      const index = saved.input(1);
      const updates = saved.input(2);
      const isZero = equal(updates, 0);
      const zeros = takeNode(scatterNode('add', filled(g, 0), index, castNode(isZero, g.dtype)), index);
      const onlyZero = binaryNode('and', isZero, equal(zeros, 1));
      const withoutIt = scatterNode('mul', saved.input(0), index, where(onlyZero, 1, updates));
      return where(
        onlyZero,
        takeNode(mul(g, withoutIt), index),
        div(takeNode(mul(g, saved.output()), index), where(isZero, 1, updates)),
      );
    },
  ],
  max: scatterExtreme('max'),
  min: scatterExtreme('min'),
};

/**
 * Functions of complex numbers have the rules of real ones, conjugated: the gradient of a real loss L is dL/dRe + i·dL/dIm, and y = f(z) sends
 * g on as g·conj(f'(z)).
 */
const complexRule: GradientRule<'complex'> = (g, node, saved) => {
  const { fn } = node.attr;
  if (fn === null) return [() => partNode(g, false), () => partNode(g, true)];
  const operands: Saved = { input: (index) => saved.input(index + 2), output: () => saved.output() };
  const conjugated = conjNode(g);
  const thunks =
    fn in UNARY
      ? [() => UNARY[fn as UnaryPrimitive](conjugated, operands)]
      : BINARY[fn as BinaryPrimitive](conjugated, operands);
  return [null, null, ...thunks.map((thunk) => () => conjNode(thunk()))];
};

const transposed = (x: AnyNode): AnyNode => permuteNode(x, [0, 2, 1]);
const whole = (shape: readonly number[]): number[] => shape.map(() => 1);

export const RULES: { readonly [P in Primitive]: GradientRule<P> } = {
  buffer: none,
  constant: none,
  iota: none,
  random: none,
  detach: none,
  leaf: none,
  argsort: none,
  bitcast: none,
  complex: complexRule,
  part: (g, node) => [() => (node.attr.imaginary ? complexNode(zero(g), g) : complexNode(g, zero(g)))],
  reshape: (g, node) => [() => reshapeNode(g, node.sources[0].shape)],
  permute: (g, node) => [() => permuteNode(g, inverse(node.attr.order))],
  expand: (g, node) => [() => sumTo(g, node.sources[0].shape)],
  pad: (g, node) => [() => cropNode(g, node.attr.before, node.sources[0].shape)],
  slice: (g, node) => [() => ({ value: g, starts: node.attr.starts, steps: node.attr.steps })],
  window: (g, node) => [() => foldNode(g, node.attr.dim, node.sources[0].shape[node.attr.dim], node.attr)],
  fold: (g, node) => [() => windowNode(g, node.attr.dim, node.sources[0].shape[node.attr.dim], node.attr)],
  unary: (g, node, saved) => [() => UNARY[node.attr.fn](g, saved)],
  binary: (g, node, saved) => BINARY[node.attr.fn](g, saved),
  where: (g, _, saved) => [null, () => where(saved.input(0), g, 0), () => where(saved.input(0), 0, g)],
  cast: (g, node) => [() => castNode(g, node.sources[0].dtype)],
  contiguous: (g) => [() => g],
  reduce: (g, node, saved) => [() => REDUCE[node.attr.fn](g, node, saved)],
  contract: (g, _, saved) => [
    () => contractNode(g, transposed(saved.input(1))),
    () => contractNode(transposed(saved.input(0)), g),
  ],
  take: (g, node, saved) => [
    () => {
      const index = saved.input(1);
      const [x] = node.sources;
      const count = elementCount(index.shape);
      return scatterNode(
        'add',
        constantNode(g.device, g.dtype, x.shape, 0),
        reshapeNode(index, [count]),
        reshapeNode(g, [count, ...x.shape.slice(1)]),
      );
    },
    null,
  ],
  scatter: (g, node, saved) => SCATTER[node.attr.mode](g, saved),
  concat: (g, node) => {
    let at = 0;
    return node.sources.map((part) => {
      const start = at;
      at += part.shape[node.attr.dim];
      return () =>
        sliceNode(
          g,
          part.shape.map((_, dim) => (dim === node.attr.dim ? start : 0)),
          part.shape,
          whole(part.shape),
        );
    });
  },
  accumulateSlices: (g, node) => [
    () => g,
    ...node.sources
      .slice(1)
      .map((part, i) => () => sliceNode(g, node.attr.regions[i].starts, part.shape, node.attr.regions[i].steps)),
  ],
  cumulate: (g, node, saved) => [() => CUMULATE[node.attr.fn](g, saved)],
  // All outputs of a custom operation are differentiated together, by `links.ts`.
  custom: none,
};
