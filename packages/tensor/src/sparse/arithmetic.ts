/** Sums, differences, products and quotients: of two sparse tensors, and of a sparse tensor and numbers or dense tensors. */
import { ProjError, withDefaults } from '@proj/kernel';
import { promotedType } from '../ops/arguments.ts';
import { cat } from '../ops/joining.ts';
import { broadcastsTo, Tensor } from '../tensor.ts';
import type { Scalar } from '../promotion.ts';
import { elementsAt } from './construct.ts';
import { sumGroups, takeRows } from './kernels.ts';
import { type Groups, joined, mapped, Pattern } from './pattern.ts';
import { requireSameShape, samePlaces, SparseTensor } from './sparse-tensor.ts';

type Operand = SparseTensor | Tensor | Scalar;

/** The result in the layout of `like`. */
export function inLayoutOf(like: SparseTensor, result: SparseTensor): SparseTensor {
  switch (like.layout) {
    case 'sparse_coo':
      return result;
    case 'sparse_csr':
      return result.toSparseCsr();
    case 'sparse_csc':
      return result.toSparseCsc();
    default:
      return like.layout satisfies never;
  }
}
const isPlain = (x: Operand): x is Scalar => !(x instanceof SparseTensor) && !(x instanceof Tensor);
/** The values of both in the dtype of their sum. */
function unified(a: Tensor, b: Tensor): [Tensor, Tensor] {
  const dtype = promotedType(a, b);
  return [a.to(dtype), b.to(dtype)];
}

/** Options of {@link add} and {@link sub}. */
export interface AddOptions {
  /** What `other` is multiplied by. */
  readonly alpha?: Scalar;
}

/** The sum of two sparse tensors. */
export function add(input: SparseTensor, other: SparseTensor, options?: AddOptions): SparseTensor;
/** A dense tensor plus a sparse one: dense. */
export function add(input: Tensor, other: SparseTensor, options?: AddOptions): Tensor;
/**
 * input + alpha · other. Two sparse tensors of one shape: their places together, coalesced if both are; in the layout of `input`. A dense `input` takes a sparse
 * `other`. PyTorch: `torch.add`. Errors: shapes that differ; a sparse tensor plus a dense one or a number, whose sum has no zeros.
 */
export function add(
  input: SparseTensor | Tensor,
  other: SparseTensor,
  options: AddOptions = {},
): SparseTensor | Tensor {
  const op = 'add';
  const { alpha } = withDefaults(op, { alpha: 1 }, options);
  if (!(other instanceof SparseTensor) || isPlain(input))
    throw new ProjError('invalid-argument', 'a sparse tensor plus a dense one or a number has no zeros', {
      op,
      cure: 'Write add(dense, sparse), which is dense',
    });
  requireSameShape(other, input, op);
  const scaled = alpha === 1 ? other : other.withValues(other.storedValues.mul(alpha));
  if (input instanceof Tensor) {
    const flat = scaled.toDense();
    return input.add(flat);
  }
  const [a, b] = [input, scaled].map((each) => (each.isSparse ? each : each.sorted()));
  const [x, y] = unified(a.storedValues, b.storedValues);
  if (a.sparseDim() !== b.sparseDim())
    throw new ProjError('shape-mismatch', `${a.sparseDim()} and ${b.sparseDim()} sparse dimensions`, { op });
  const coalesced = a.isCoalesced() && b.isCoalesced();
  if (coalesced && samePlaces(a.pattern, b.pattern)) return inLayoutOf(input, a.withValues(x.add(y)));
  const { pattern, groups } = interleaved(a.pattern, b.pattern);
  return inLayoutOf(input, new SparseTensor(pattern, sumGroups(cat([x, y], 0), groups), { coalesced }));
}

/** Which of two places comes first in rows; 0 for the same place. */
function comparePlaces(a: Pattern, i: number, b: Pattern, j: number): number {
  for (const [d, axis] of a.coordinates.entries())
    if (axis[i] !== b.coordinates[d][j]) return axis[i] - b.coordinates[d][j];
  return 0;
}

/** The places of two patterns in one, as in merging sorted lists, with the values of `a` and then those of `b` for each. */
function interleaved(a: Pattern, b: Pattern): { pattern: Pattern; groups: Groups } {
  const order: number[] = [];
  const pointers = [0];
  for (let i = 0, j = 0; i < a.count || j < b.count;) {
    const first = i === a.count ? 1 : j === b.count ? -1 : comparePlaces(a, i, b, j);
    if (first <= 0) order.push(i++);
    if (first >= 0) order.push(a.count + j++);
    pointers.push(order.length);
  }
  const both = new Pattern(
    a.sizes,
    a.coordinates.map((axis, d) => joined([axis, b.coordinates[d]], a.sizes[d])),
    a.count + b.count,
  );
  const firsts = Int32Array.from(pointers.slice(0, -1), (at) => order[at]);
  return { pattern: both.pick(firsts), groups: { pointers: Int32Array.from(pointers), order: Int32Array.from(order) } };
}

/** input - alpha · other, as {@link add}. PyTorch: `torch.sub`. */
export function sub(input: SparseTensor, other: SparseTensor, options?: AddOptions): SparseTensor;
export function sub(input: Tensor, other: SparseTensor, options?: AddOptions): Tensor;
export function sub(
  input: SparseTensor | Tensor,
  other: SparseTensor,
  options: AddOptions = {},
): SparseTensor | Tensor {
  const { alpha } = withDefaults('sub', { alpha: 1 }, options);
  if (!(other instanceof SparseTensor)) return add(input as SparseTensor, other);
  const negated = other.withValues(other.storedValues.mul(alpha).neg());
  return input instanceof Tensor ? add(input, negated) : add(input, negated);
}

/** The places that two sorted patterns have in common, as positions in each. */
function commonPlaces(a: Pattern, b: Pattern): [Int32Array, Int32Array] {
  const [inA, inB]: [number[], number[]] = [[], []];
  for (let i = 0, j = 0; i < a.count && j < b.count;) {
    const order = comparePlaces(a, i, b, j);
    if (order === 0) {
      inA.push(i++);
      inB.push(j++);
    } else if (order < 0) i++;
    else j++;
  }
  return [Int32Array.from(inA), Int32Array.from(inB)];
}

/** The elements of a dense tensor, broadcast to the shape of `input`, at the places of `input`. */
function beside(input: SparseTensor, dense: Tensor, op: string): Tensor {
  if (!broadcastsTo(dense.shape, input.shape))
    throw new ProjError('shape-mismatch', 'the dense operand does not broadcast to the sparse one', {
      op,
      shapes: [input.shape, dense.shape],
    });
  const full = dense.reshape([...input.shape.slice(dense.ndim).map(() => 1), ...dense.shape]);
  const dims = input.sparseDim();
  const sizes = full.shape.slice(0, dims);
  const axes = input.pattern.coordinates.map((axis, d) => (sizes[d] === 1 ? mapped(axis, 1, () => 0) : axis));
  return elementsAt(full, new Pattern(sizes, axes, input.nnz()));
}

/** Values times something; x may be anything that the values take. */
const timesValues = (input: SparseTensor, factor: Tensor | Scalar): SparseTensor =>
  input.withValues(input.storedValues.mul(factor));

/**
 * input · other, elementwise: at the common places of two sparse tensors of one shape, at the places of the sparse one where the other is dense (and broadcasts
 * to it), everywhere for numbers and 0-dim tensors. Sparse. PyTorch: `torch.mul`. Errors: shapes that do not fit.
 */
export function mul(input: SparseTensor | Tensor, other: Operand): SparseTensor {
  const op = 'mul';
  if (!(input instanceof SparseTensor)) return mul(other as SparseTensor, input);
  if (isPlain(other) || (other instanceof Tensor && other.ndim === 0)) return timesValues(input, other);
  if (other instanceof Tensor) return timesValues(input, beside(input, other, op));
  requireSameShape(input, other, op);
  const [a, b] = [input.sorted(), other.sorted()];
  if (samePlaces(a.pattern, b.pattern)) return inLayoutOf(input, timesValues(a, b.storedValues));
  const [inA, inB] = commonPlaces(a.pattern, b.pattern);
  const values = takeRows(a.storedValues, inA).mul(takeRows(b.storedValues, inB));
  const coalesced = [input, other].every((x) => !x.isSparse || x.isCoalesced());
  return inLayoutOf(input, new SparseTensor(a.pattern.pick(inA), values, { coalesced }));
}

/** Options of {@link div}. */
export interface DivOptions {
  readonly roundingMode?: 'trunc' | 'floor' | null;
}
/** input / other for a number or a 0-dim tensor. PyTorch: `torch.div`. Errors: another divisor, where zeros would be divided by zeros. */
export function div(input: SparseTensor, other: Tensor | Scalar, options: DivOptions = {}): SparseTensor {
  const { roundingMode } = withDefaults('div', { roundingMode: null }, options);
  requireScalar(other, 'div');
  const x = roundingMode === null || !input.isSparse ? input : input.coalesce();
  return x.withValues(x.storedValues.div(other, { roundingMode }));
}
/** ⌊input / other⌋ for a number or a 0-dim tensor. PyTorch: `torch.floor_divide`. */
export function floorDivide(input: SparseTensor, other: Tensor | Scalar): SparseTensor {
  return div(input, other, { roundingMode: 'floor' });
}
function requireScalar(other: unknown, op: string): void {
  if (other instanceof SparseTensor || (other instanceof Tensor && other.ndim > 0))
    throw new ProjError('invalid-argument', 'a sparse tensor is divided by numbers and 0-dim tensors only', {
      op,
      cure: 'Divide the values: x.withValues(…)',
    });
}

/** input to the power of a positive number. PyTorch: `torch.pow`. Errors: other exponents, of which zero is not zero. */
export function pow(input: SparseTensor, exponent: number): SparseTensor {
  if (typeof exponent !== 'number' || !(exponent > 0))
    throw new ProjError('invalid-argument', `the exponent ${String(exponent)}`, {
      op: 'pow',
      cure: 'Use a positive number: other powers of zero are not zero',
    });
  const x = input.isSparse ? input.coalesce() : input;
  return x.withValues(x.storedValues.pow(exponent));
}
