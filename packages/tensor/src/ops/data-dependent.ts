/** Operations whose result's shape depends on the values: they compute their input at once and count on the host. */
import { type Defaults, DTYPES, ProjError, withDefaults } from '@proj/kernel';
import { castNode, reshapeNode, takeNode } from '../graph/build.ts';
import { elementCount } from '../graph/node.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, normalizeDim } from './arguments.ts';
import { stridesOf } from '../layout.ts';
import { fromArray } from './creation.ts';
import { type OpRow, row } from './table.ts';

function nonzeroLinear(input: Tensor): number[] {
  const values = input.detach().toTypedArray();
  const width = DTYPES[input.dtype].category === 'complex' ? 2 : 1;
  const found: number[] = [];
  for (let i = 0; i < values.length; i += width)
    if (Number(values[i]) !== 0 || (width === 2 && Number(values[i + 1]) !== 0)) found.push(i / width);
  return found;
}

/** For each dimension the coordinates of the elements that are not zero, row by row. */
export function nonzeroPositions(input: Tensor): Tensor[] {
  const found = nonzeroLinear(input);
  const strides = stridesOf(input.shape);
  return input.shape.map((size, d) =>
    fromArray(
      found.map((at) => Math.floor(at / strides[d]) % size),
      [found.length],
      'int64',
      { device: input.device },
    ),
  );
}

export interface NonzeroOptions {
  readonly asTuple?: boolean;
}
/** Coordinates of the elements that are not zero, as rows; with `asTuple` as one vector for each dimension. Reads the tensor. */
export function nonzero(input: Tensor, options: { readonly asTuple: true }): Tensor[];
export function nonzero(input: Tensor, options?: NonzeroOptions): Tensor;
export function nonzero(input: Tensor, options: NonzeroOptions = {}): Tensor | Tensor[] {
  const { asTuple } = withDefaults('nonzero', { asTuple: false }, options);
  if (asTuple) return nonzeroPositions(input.ndim === 0 ? input.reshape([1]) : input);
  const found = nonzeroLinear(input);
  const strides = stridesOf(input.shape);
  return fromArray(
    found.flatMap((at) => input.shape.map((size, d) => Math.floor(at / strides[d]) % size)),
    [found.length, input.ndim],
    'int64',
    { device: input.device },
  );
}
/** Coordinates of the elements that are not zero, as rows. Reads the tensor. */
export function argwhere(input: Tensor): Tensor {
  return nonzero(input);
}
/** The elements where `mask` is true, as a vector. Reads the mask. */
export function maskedSelect(input: Tensor, mask: Tensor): Tensor {
  if (mask.dtype !== 'bool' && mask.dtype !== 'uint8')
    throw new ProjError('dtype', `a mask of ${mask.dtype}`, { op: 'maskedSelect', cure: 'Use a bool tensor' });
  const shape = broadcastShapes('maskedSelect', input.shape, mask.shape);
  const found = nonzeroLinear(mask.expand(shape));
  const flat = reshapeNode(input.expand(shape).node, [elementCount(shape)]);
  return wrap(takeNode(flat, fromArray(found, [found.length], 'int64', { device: input.device }).node));
}

export interface UniqueOptions {
  readonly sorted?: boolean;
  readonly returnInverse?: boolean;
  readonly returnCounts?: boolean;
  readonly dim?: number | null;
}

const UNIQUE: Defaults<UniqueOptions> = { sorted: true, returnInverse: false, returnCounts: false, dim: null };

/** Rows along `dim` (elements, when null) as lists of numbers, compared in the order that they have once `dim` and 0 are swapped. */
function rowsAlong(input: Tensor, dim: number | null): { rows: number[][]; at: number } {
  const seen = dim === null ? input.detach() : input.detach().transpose(0, dim);
  const values = Array.from(seen.toTypedArray() as ArrayLike<number | bigint>, Number);
  if (dim === null) return { rows: values.map((v) => [v]), at: 0 };
  const length = values.length / Math.max(1, seen.shape[0]);
  const rows = Array.from({ length: seen.shape[0] }, (_, i) => values.slice(i * length, (i + 1) * length));
  return { rows, at: dim };
}
const compareRows = (a: readonly number[], b: readonly number[]): number => {
  for (let i = 0; i < a.length; i++) {
    if (a[i] < b[i]) return -1;
    if (a[i] > b[i]) return 1;
    if (Number.isNaN(a[i]) !== Number.isNaN(b[i])) return Number.isNaN(a[i]) ? 1 : -1;
  }
  return 0;
};
/** Positions grouped by value, the value that is met last first: the order in which PyTorch's hash table gives them back where no two collide. */
function lastMetFirst(values: readonly number[]): number[] {
  const groups = new Map<number, number[]>();
  values.forEach((value, i) => (groups.get(value) ?? groups.set(value, []).get(value))?.push(i));
  return [...groups.values()].reverse().flat();
}
const sameRow = (a: readonly number[], b: readonly number[]): boolean => a.every((x, i) => x === b[i]);

function uniqueOf(
  input: Tensor,
  order: readonly number[],
  { rows, at }: { rows: number[][]; at: number },
  { returnInverse, returnCounts, dim }: Defaults<UniqueOptions>,
): Tensor | Tensor[] {
  const inverse = new Array<number>(rows.length).fill(0);
  const firsts: number[] = [];
  const counts: number[] = [];
  order.forEach((position, i) => {
    if (i === 0 || !sameRow(rows[position], rows[order[i - 1]])) {
      firsts.push(position);
      counts.push(0);
    }
    inverse[position] = firsts.length - 1;
    counts[counts.length - 1]++;
  });
  const { device } = input;
  const chosen = fromArray(firsts, [firsts.length], 'int64', { device });
  const values =
    dim === null ? wrap(takeNode(reshapeNode(input.node, [input.numel()]), chosen.node)) : takeAlong(input, at, chosen);
  const result = [values.detach()];
  if (returnInverse)
    result.push(fromArray(inverse, dim === null ? input.shape : [inverse.length], 'int64', { device }));
  if (returnCounts) result.push(fromArray(counts, [counts.length], 'int64', { device }));
  return result.length === 1 ? result[0] : result;
}
function takeAlong(input: Tensor, dim: number, rows: Tensor): Tensor {
  const order = [dim, ...input.shape.map((_, i) => i).filter((i) => i !== dim)];
  const moved = takeNode(input.permute(order).node, rows.node);
  return wrap(wrap(moved).permute(order.map((_, i) => order.indexOf(i))).node);
}

/** The different elements (or slices along `dim`), sorted unless `sorted` is false; optionally the place of each input element among them and how often each occurs. Reads the tensor. */
export function unique(input: Tensor, options: UniqueOptions = {}): Tensor | Tensor[] {
  const given = withDefaults('unique', UNIQUE, options);
  const dim = given.dim === null ? null : normalizeDim(given.dim, input.ndim, 'unique');
  const split = rowsAlong(input, dim);
  const positions = split.rows.map((_, i) => i);
  const order =
    given.sorted || dim !== null || input.dtype === 'bool'
      ? positions.sort((a, b) => compareRows(split.rows[a], split.rows[b]) || a - b)
      : lastMetFirst(split.rows.map(([value]) => value));
  return uniqueOf(input, order, split, { ...given, dim });
}
/** As {@link unique}, but only neighbours that are equal are merged. Reads the tensor. */
export function uniqueConsecutive(input: Tensor, options: UniqueOptions = {}): Tensor | Tensor[] {
  const given = withDefaults('uniqueConsecutive', UNIQUE, options);
  const dim = given.dim === null ? null : normalizeDim(given.dim, input.ndim, 'uniqueConsecutive');
  const split = rowsAlong(input, dim);
  return uniqueOf(
    input,
    split.rows.map((_, i) => i),
    split,
    { ...given, dim },
  );
}

/** How often each non-negative integer occurs, or the sum of its weights. Reads the tensor. */
export function bincount(input: Tensor, options: { weights?: Tensor | null; minlength?: number } = {}): Tensor {
  const { weights, minlength } = withDefaults('bincount', { weights: null, minlength: 0 }, options);
  if (input.ndim !== 1)
    throw new ProjError('shape-mismatch', 'a vector is needed', { op: 'bincount', shapes: [input.shape] });
  if (minlength < 0) throw new ProjError('invalid-argument', `minlength ${minlength}`, { op: 'bincount' });
  if (weights !== null && weights.numel() !== input.numel())
    throw new ProjError('shape-mismatch', 'weights and input have different lengths', {
      op: 'bincount',
      shapes: [input.shape, weights.shape],
    });
  const values = input.toFlatArray();
  for (const value of values)
    if (value < 0 || !Number.isInteger(value))
      throw new ProjError('invalid-argument', `element ${value}`, {
        op: 'bincount',
        cure: 'Elements must be non-negative integers',
      });
  const length = Math.max(
    minlength,
    values.reduce((top, v) => Math.max(top, v + 1), 0),
  );
  const totals = new Float64Array(length);
  const amounts = weights === null ? null : weights.toFlatArray();
  values.forEach((v, i) => (totals[v] += amounts === null ? 1 : amounts[i]));
  return fromArray(totals, [length], weights === null ? 'int64' : weights.dtype === 'float32' ? 'float32' : 'float64', {
    device: input.device,
  });
}

/** Elements of the input that are also in `testElements`. */
export function isin(
  elements: Tensor | number,
  testElements: Tensor | number,
  options: { assumeUnique?: boolean; invert?: boolean } = {},
): Tensor {
  const { invert } = withDefaults('isin', { assumeUnique: false, invert: false }, options);
  const device = typeof elements === 'number' ? (testElements as Tensor).device : elements.device;
  const known = new Set(typeof testElements === 'number' ? [testElements] : testElements.toFlatArray());
  const values = typeof elements === 'number' ? [elements] : elements.toFlatArray();
  const shape = typeof elements === 'number' ? [] : elements.shape;
  return fromArray(
    values.map((v) => known.has(v) !== invert),
    shape,
    'bool',
    { device },
  );
}

/** Whether two tensors have the same shape and elements. Reads both. */
export function equal(input: Tensor, other: Tensor): boolean {
  if (input.ndim !== other.ndim || input.shape.some((size, i) => size !== other.shape[i])) return false;
  if (input.numel() === 0) return true;
  return Boolean(
    wrap(castNode(input.eq(other).node, 'bool'))
      .all()
      .item(),
  );
}

export const DATA_DEPENDENT: readonly OpRow[] = [
  row('nonzero', nonzero as never, 'input, *, as_tuple=False', { differentiable: false }),
  row('argwhere', argwhere, 'input', { differentiable: false }),
  row('maskedSelect', maskedSelect, 'input, mask'),
  row('unique', unique as never, 'input, sorted=True, return_inverse=False, return_counts=False, dim=None', {
    differentiable: false,
  }),
  row('uniqueConsecutive', uniqueConsecutive as never, 'input, return_inverse=False, return_counts=False, dim=None', {
    differentiable: false,
  }),
  row('bincount', bincount, 'input, weights=None, minlength=0', { differentiable: false }),
  row('isin', isin, 'elements, test_elements, *, assume_unique=False, invert=False', { differentiable: false }),
  row('equal', equal, 'input, other', { differentiable: false }),
];
