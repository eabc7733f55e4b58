/** The operations of the language by kind, as types, as lists and as questions. */

export const UNARY = ['neg', 'abs', 'sqrt', 'floor', 'ceil', 'trunc', 'round', 'not', 'popcount'] as const;
export const BINARY = ['add', 'sub', 'mul', 'div', 'rem', 'min', 'max', 'and', 'or', 'xor', 'shl', 'shr'] as const;
export const COMPARISONS = ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const;
export const HORIZONTAL = ['reduceAdd', 'reduceMul', 'reduceMin', 'reduceMax'] as const;
const GIVEN = ['const', 'param', 'builtin', 'loopVariable', 'carried', 'result'] as const;

export type UnaryOp = (typeof UNARY)[number];
export type BinaryOp = (typeof BINARY)[number];
export type CompareOp = (typeof COMPARISONS)[number];
/** Horizontal reductions combine halves: lane i with lane i + lanes/2, and so on, the same order on every target. */
export type HorizontalOp = (typeof HORIZONTAL)[number];
/** Values that are not computed where they stand: constants, parameters, what loops carry. */
export type GivenOp = (typeof GIVEN)[number];

/** All value-producing operations. */
export type Op =
  | UnaryOp
  | BinaryOp
  | CompareOp
  | HorizontalOp
  | GivenOp
  | 'mulAdd'
  | 'select'
  | 'cast'
  | 'bitcast'
  | 'splat'
  | 'extract'
  | 'iota'
  | 'shuffle'
  | 'dot4'
  | 'tileDot'
  | 'load'
  | 'gather';

function among<T extends Op>(ops: readonly T[]): (op: Op) => op is T {
  const set: ReadonlySet<Op> = new Set(ops);
  return (op): op is T => set.has(op);
}
export const isUnary = among(UNARY);
export const isBinary = among(BINARY);
export const isComparison = among(COMPARISONS);
export const isHorizontal = among(HORIZONTAL);
export const isGiven = among(GIVEN);
