/**
 * The primitives of the lazy graph: everything that a tensor can be is a tree of these. Each has a row in the total tables of shape rules
 * (`node.ts` constructors), lowering (`lower/`) and gradients (`@proj/autograd`).
 */
import type { DType } from '@proj/kernel';
import type { CustomOperation } from './custom.ts';

export type UnaryPrimitive =
  | 'neg'
  | 'abs'
  | 'sign'
  | 'sqrt'
  | 'rsqrt'
  | 'reciprocal'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'round'
  | 'exp'
  | 'exp2'
  | 'expm1'
  | 'log'
  | 'log2'
  | 'log10'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'erf'
  | 'erfc'
  | 'erfinv'
  | 'lgamma'
  | 'digamma'
  | 'sigmoid'
  | 'relu'
  | 'not';

export type BinaryPrimitive =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'pow'
  | 'atan2'
  | 'maximum'
  | 'minimum'
  | 'remainder'
  | 'fmod'
  | 'floorDivide'
  | 'and'
  | 'or'
  | 'xor'
  | 'shiftLeft'
  | 'shiftRight'
  | 'eq'
  | 'ne'
  | 'lt'
  | 'le'
  | 'gt'
  | 'ge';

/** Functions that take tens of instructions. */
export const TRANSCENDENTAL: ReadonlySet<UnaryPrimitive | BinaryPrimitive> = new Set([
  'exp',
  'exp2',
  'expm1',
  'log',
  'log2',
  'log10',
  'log1p',
  'sin',
  'cos',
  'tan',
  'asin',
  'acos',
  'atan',
  'sinh',
  'cosh',
  'tanh',
  'asinh',
  'acosh',
  'atanh',
  'erf',
  'erfc',
  'erfinv',
  'lgamma',
  'digamma',
  'sigmoid',
  'pow',
  'atan2',
]);

export type ReduceOperation = 'sum' | 'prod' | 'max' | 'min';
export type ScatterMode = 'set' | 'add' | 'mul' | 'max' | 'min';
export type CumulateOperation = 'sum' | 'prod' | 'max' | 'min';

/** What each primitive carries beside its sources. Shapes and dtypes of results stand on the node itself. */
export interface Attributes {
  // Leaves
  /** Realised memory, contiguous. */
  buffer: null;
  /** One number everywhere. `provider` is asked anew at each run of a captured program. */
  constant: { readonly value: number | bigint | boolean; readonly provider: (() => number) | null };
  /** start + step · (linear position). */
  iota: { readonly start: number; readonly step: number };
  /** 32 random bits (int64, 0 … 2³²-1) for each position, from stream `seed` at `offset`; both are constants' sources. */
  random: null;

  // Movement
  reshape: null;
  permute: { readonly order: readonly number[] };
  expand: null;
  /** Zeros (or `value`) around: before[i], after[i] elements in dimension i. */
  pad: { readonly before: readonly number[]; readonly after: readonly number[]; readonly value: number };
  /** Element start + i·step in each dimension; steps may be negative. */
  slice: { readonly starts: readonly number[]; readonly steps: readonly number[] };
  /** Sliding windows over dimension `dim`: [.., L, ..] → [.., O, .., K] with element o·stride + k·dilation - padding (0 outside). */
  window: {
    readonly dim: number;
    readonly size: number;
    readonly stride: number;
    readonly dilation: number;
    readonly padding: number;
  };
  /** The adjoint of `window`: [.., O, .., K] → [.., L, ..], overlapping elements added. */
  fold: {
    readonly dim: number;
    readonly size: number;
    readonly stride: number;
    readonly dilation: number;
    readonly padding: number;
  };

  // Elementwise
  unary: { readonly fn: UnaryPrimitive };
  binary: { readonly fn: BinaryPrimitive };
  where: null;
  cast: null;
  bitcast: null;
  /** The value itself, forced into memory. */
  contiguous: null;
  /** The value itself, cut off from gradients. */
  detach: null;
  /** The value itself, as a leaf of the gradient graph. */
  leaf: null;

  // Complex values
  /**
   * re + i·im from two real values of one shape. With `fn` it is that function of the further sources: gradients go to them by the rule of the
   * function, and the parts carry none.
   */
  complex: { readonly fn: UnaryPrimitive | BinaryPrimitive | null };
  /** The real or imaginary part of a complex value. */
  part: { readonly imaginary: boolean };

  // Reductions and products
  reduce: { readonly fn: ReduceOperation; readonly axes: readonly number[] };
  /** [B, M, K] × [B, K, N] → [B, M, N]. */
  contract: null;

  // Indexing
  /** x[N, …rest], index[…I] → […I, …rest]; negative indices are not allowed here; `bound` checks are made by the kernel. */
  take: null;
  /** base[N, …rest], index[I], updates[I, …rest] → base with rows combined in order of I. */
  scatter: { readonly mode: ScatterMode };
  /** Sources side by side along `dim`. */
  concat: { readonly dim: number };
  /** base plus each further source, added into the region at starts[i] with steps[i]. */
  accumulateSlices: {
    readonly regions: readonly { readonly starts: readonly number[]; readonly steps: readonly number[] }[];
  };
  /** Running sums, products, maxima or minima along the last dimension. */
  cumulate: { readonly fn: CumulateOperation };
  /** Positions (int64) that sort the last dimension, stable. */
  argsort: { readonly descending: boolean };
  custom: { readonly operation: CustomOperation; readonly output: number; readonly options: unknown };
}

export type Primitive = keyof Attributes;

/** How a primitive takes part in scheduling. */
export type PrimitiveKind = 'leaf' | 'movement' | 'elementwise' | 'reduce' | 'opaque';

export const KIND: Record<Primitive, PrimitiveKind> = {
  buffer: 'leaf',
  constant: 'leaf',
  iota: 'leaf',
  random: 'elementwise',
  reshape: 'movement',
  permute: 'movement',
  expand: 'movement',
  pad: 'movement',
  slice: 'movement',
  window: 'movement',
  fold: 'reduce',
  unary: 'elementwise',
  binary: 'elementwise',
  where: 'elementwise',
  cast: 'elementwise',
  bitcast: 'elementwise',
  contiguous: 'elementwise',
  detach: 'movement',
  leaf: 'movement',
  complex: 'movement',
  part: 'movement',
  reduce: 'reduce',
  contract: 'opaque',
  take: 'elementwise',
  scatter: 'opaque',
  concat: 'opaque',
  accumulateSlices: 'opaque',
  cumulate: 'opaque',
  argsort: 'opaque',
  custom: 'opaque',
};

const COMPARISONS: ReadonlySet<BinaryPrimitive> = new Set(['eq', 'ne', 'lt', 'le', 'gt', 'ge']);
export const isComparison = (fn: BinaryPrimitive): boolean => COMPARISONS.has(fn);

export type { DType };
