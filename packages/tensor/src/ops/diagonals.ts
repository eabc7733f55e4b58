/** Diagonals, triangles, and windows of a tensor. Diagonals and windows are views. */
import { type Defaults, type DType, ProjError, withDefaults } from '@proj/kernel';
import {
  binaryNode,
  constantNode,
  padNode,
  permuteNode,
  reshapeNode,
  scatterNode,
  takeNode,
  whereNode,
  windowNode,
} from '../graph/build.ts';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { toSum } from '../promotion.ts';
import { windowed } from '../layout.ts';
import { layoutOf, type Tensor, type ViewStep, wrap } from '../tensor.ts';
import { leading, normalizeDim } from './arguments.ts';
import { positionsAlong } from './axis.ts';
import { fromArray, type TensorOptions } from './creation.ts';
import { type OpRow, row } from './table.ts';
import { chainStep, permuteStep, reshapeStep, sliceStep } from './views.ts';

export interface DiagonalOptions {
  /** 0 is the main diagonal, positive ones lie above it. */
  readonly offset?: number;
  readonly dim1?: number;
  readonly dim2?: number;
}

function planeOf(op: string, input: Tensor, dim1: number, dim2: number): [number, number] {
  const a = normalizeDim(dim1, input.ndim, op);
  const b = normalizeDim(dim2, input.ndim, op);
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions is needed', {
      op,
      shapes: [input.shape],
    });
  if (a === b) throw new ProjError('invalid-argument', `dim1 and dim2 are both ${a}`, { op });
  return [a, b];
}

/** A diagonal of the plane of `dim1` and `dim2`, as the last dimension. A view. */
export function diagonal(input: Tensor, options: DiagonalOptions = {}): Tensor {
  const { offset, dim1, dim2 } = withDefaults('diagonal', { offset: 0, dim1: 0, dim2: 1 }, options);
  const [a, b] = planeOf('diagonal', input, dim1, dim2);
  const rest = input.shape.map((_, i) => i).filter((i) => i !== a && i !== b);
  const lead = rest.map((i) => input.shape[i]);
  const [rows, columns] = [input.shape[a], input.shape[b]];
  const count = Math.max(0, offset >= 0 ? Math.min(rows, columns - offset) : Math.min(rows + offset, columns));
  const start = count === 0 ? 0 : offset >= 0 ? offset : -offset * columns;
  const order = [...rest, a, b];
  // In a flattened matrix a diagonal is every (columns + 1)-th element.
  const steps = [
    permuteStep(order),
    reshapeStep([...lead, rows, columns], [...lead, rows * columns]),
    sliceStep([...lead.map(() => 0), start], [...lead, count], [...lead.map(() => 1), columns + 1]),
  ];
  return input.view_(
    chainStep(steps, ({ strides, offset: first }) => ({
      shape: [...lead, count],
      strides: [...rest.map((d) => strides[d]), strides[a] + strides[b]],
      offset: first + (count === 0 ? 0 : offset >= 0 ? offset * strides[b] : -offset * strides[a]),
    })),
  );
}

/** Tensors whose diagonals (in the plane of `dim1` and `dim2`) are the last dimension of the input, zeros elsewhere. */
export function diagEmbed(input: Tensor, options: DiagonalOptions = {}): Tensor {
  const { offset, dim1, dim2 } = withDefaults('diagEmbed', { offset: 0, dim1: -2, dim2: -1 }, options);
  const rank = input.ndim + 1;
  const a = normalizeDim(dim1, rank, 'diagEmbed');
  const b = normalizeDim(dim2, rank, 'diagEmbed');
  if (a === b) throw new ProjError('invalid-argument', `dim1 and dim2 are both ${a}`, { op: 'diagEmbed' });
  const lead = input.shape.slice(0, -1);
  const length = input.shape[input.ndim - 1];
  const size = length + Math.abs(offset);
  const shape = [...lead, size, size];
  const [i, j] = [positionsAlong(input.device, shape, rank - 2), positionsAlong(input.device, shape, rank - 1)];
  const on = binaryNode('eq', binaryNode('sub', j, i), constantNode(input.device, 'int64', shape, offset));
  // Element k of the input stands in row k (offset >= 0) or in column k; the rest of the line is masked off.
  const line = wrap(
    padNode(
      input.node,
      input.shape.map(() => 0),
      [...lead.map(() => 0), size - length],
    ),
  );
  const spread = offset >= 0 ? line.unsqueeze(-1).expand(shape) : line.unsqueeze(-2).expand(shape);
  const filled = whereNode(on, spread.node, constantNode(input.device, input.dtype, shape, 0));
  const order: number[] = [];
  let next = 0;
  for (let d = 0; d < rank; d++) order.push(d === a ? rank - 2 : d === b ? rank - 1 : next++);
  return wrap(permuteNode(filled, order));
}
/** A vector's diagonal matrix, or a matrix's diagonal. */
export function diag(input: Tensor, diagonalOffset: number | { diagonal?: number } = 0): Tensor {
  const { diagonal: offset } = leading<{ diagonal?: number }>('diag', { diagonal: 0 }, 'diagonal', diagonalOffset);
  if (input.ndim === 1) return diagEmbed(input, { offset });
  if (input.ndim === 2) return wrap(diagonal(input, { offset }).node);
  throw new ProjError('shape-mismatch', 'a vector or a matrix is needed', { op: 'diag', shapes: [input.shape] });
}
/** The flattened input as the diagonal of a matrix. */
export function diagflat(input: Tensor, offset: number | { offset?: number } = 0): Tensor {
  return diagEmbed(input.reshape([-1]), leading<{ offset?: number }>('diagflat', { offset: 0 }, 'offset', offset));
}
/** Sum of the main diagonal of a matrix. */
export function trace(input: Tensor): Tensor {
  if (input.ndim !== 2)
    throw new ProjError('shape-mismatch', 'a matrix is needed', { op: 'trace', shapes: [input.shape] });
  return diagonal(input).sum(null, { dtype: toSum(input.dtype) });
}

/** A copy with `src` on a diagonal. */
export function diagonalScatter(input: Tensor, src: Tensor, options: DiagonalOptions = {}): Tensor {
  const copy = wrap(input.node);
  const part = diagonal(copy, options);
  requireShape('diagonalScatter', part, src);
  part.assign(src.node, 'copy_');
  return wrap(copy.node);
}
function requireShape(op: string, part: Tensor, src: Tensor): void {
  if (part.ndim !== src.ndim || part.shape.some((size, i) => size !== src.shape[i]))
    throw new ProjError('shape-mismatch', 'the source has another shape than the part it replaces', {
      op,
      shapes: [part.shape, src.shape],
    });
}
/** A copy with entry `index` of `dim` replaced. */
export function selectScatter(input: Tensor, src: Tensor, dim: number, index: number): Tensor {
  const copy = wrap(input.node);
  const part = copy.select(dim, index);
  requireShape('selectScatter', part, src);
  part.assign(src.node, 'copy_');
  return wrap(copy.node);
}
export interface SliceScatterOptions {
  readonly dim?: number;
  readonly start?: number | null;
  readonly end?: number | null;
  readonly step?: number;
}
/** A copy with elements start, start+step, … of `dim` replaced. */
export function sliceScatter(input: Tensor, src: Tensor, options: SliceScatterOptions = {}): Tensor {
  const { dim, start, end, step } = withDefaults('sliceScatter', { dim: 0, start: null, end: null, step: 1 }, options);
  const copy = wrap(input.node);
  const part = copy.slice(dim, start, end, step);
  requireShape('sliceScatter', part, src);
  part.assign(src.node, 'copy_');
  return wrap(copy.node);
}

function triangle(op: string, keep: 'ge' | 'le') {
  return (input: Tensor, diagonalOffset: number | { diagonal?: number } = 0): Tensor => {
    const { diagonal: offset } = leading<{ diagonal?: number }>(op, { diagonal: 0 }, 'diagonal', diagonalOffset);
    if (input.ndim < 2)
      throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions is needed', {
        op,
        shapes: [input.shape],
      });
    const { shape, device } = input;
    const distance = binaryNode(
      'sub',
      positionsAlong(device, shape, input.ndim - 1),
      positionsAlong(device, shape, input.ndim - 2),
    );
    const inside = binaryNode(keep, distance, constantNode(device, 'int64', shape, offset));
    return wrap(whereNode(inside, input.node, constantNode(device, input.dtype, shape, 0)));
  };
}
/** The matrices with zeros above a diagonal. */
export const tril = triangle('tril', 'le');
/** The matrices with zeros below a diagonal. */
export const triu = triangle('triu', 'ge');

type TriangleOptions = Pick<TensorOptions, 'dtype' | 'device'> & { readonly offset?: number };
const TRIANGLE: Defaults<TriangleOptions> = { dtype: 'int64', device: null, offset: 0 };
const triangleIndices =
  (op: string, inside: (i: number, j: number, offset: number) => boolean) =>
  (rowCount: number, col: number, offset: number | TriangleOptions = 0, options: TriangleOptions = {}): Tensor => {
    const { dtype, device, offset: given } = leading<TriangleOptions>(op, TRIANGLE, 'offset', offset, options);
    if (rowCount < 0 || col < 0) throw new ProjError('invalid-argument', `a ${rowCount} × ${col} matrix`, { op });
    const pairs: [number, number][] = [];
    for (let i = 0; i < rowCount; i++) for (let j = 0; j < col; j++) if (inside(i, j, given)) pairs.push([i, j]);
    return fromArray(
      [...pairs.map(([i]) => i), ...pairs.map(([, j]) => j)],
      [2, pairs.length],
      (dtype ?? 'int64') as DType,
      { device },
    );
  };
/** Row and column indices of the lower triangle of a matrix. */
export const trilIndices = triangleIndices('trilIndices', (i, j, offset) => j - i <= offset);
/** Row and column indices of the upper triangle of a matrix. */
export const triuIndices = triangleIndices('triuIndices', (i, j, offset) => j - i >= offset);

/** Windows of `size` elements every `step` along `dim`, as a new last dimension. A view that cannot be written to. */
export function unfold(input: Tensor, dimension: number, size: number, step: number): Tensor {
  const at = normalizeDim(dimension, input.ndim, 'unfold');
  const length = input.ndim === 0 ? 1 : input.shape[at];
  if (size < 0 || size > length || step <= 0)
    throw new ProjError('invalid-argument', `windows of ${size} every ${step} of ${length} elements`, {
      op: 'unfold',
      shapes: [input.shape],
    });
  if (input.ndim === 0) return input.view_(reshapeStep([], [size]));
  const count = Math.floor((length - size) / step) + 1;
  return input.view_({
    apply: (base) => windowNode(base, at, count, { size, stride: step, dilation: 1, padding: 0 }),
    write: null,
    layout: (base) => windowed(base, at, count, size, step),
  });
}

/** Linear positions of a strided view. */
function stridedPositions(like: AnyNode, size: readonly number[], stride: readonly number[], offset: number): AnyNode {
  let linear = constantNode(like.device, 'int64', size, offset);
  size.forEach((_, d) => {
    if (stride[d] !== 0)
      linear = binaryNode(
        'add',
        linear,
        binaryNode('mul', positionsAlong(like.device, size, d), constantNode(like.device, 'int64', size, stride[d])),
      );
  });
  return linear;
}
const stridedStep = (size: readonly number[], stride: readonly number[], offset: number): ViewStep => ({
  apply: (base) =>
    takeNode(reshapeNode(base, [elementCount(base.shape)]), stridedPositions(base, size, stride, offset)),
  write: (base, value) => {
    const count = elementCount(size);
    return reshapeNode(
      scatterNode(
        'set',
        reshapeNode(base, [elementCount(base.shape)]),
        reshapeNode(stridedPositions(base, size, stride, offset), [count]),
        reshapeNode(value, [count]),
      ),
      base.shape,
    );
  },
  layout: () => ({ shape: size, strides: stride, offset }),
});
function checkStrided(
  op: string,
  input: Tensor,
  size: readonly number[],
  stride: readonly number[],
  offset: number,
): void {
  if (size.length !== stride.length)
    throw new ProjError('invalid-argument', `${size.length} sizes and ${stride.length} strides`, { op });
  if (stride.some((s) => s < 0)) throw new ProjError('invalid-argument', 'strides cannot be negative', { op });
  const last = size.includes(0) ? -1 : offset + size.reduce((sum, s, i) => sum + (s - 1) * stride[i], 0);
  if (last >= elementCount(input.storage.node.shape))
    throw new ProjError(
      'index-out-of-range',
      `element ${last} of a storage of ${elementCount(input.storage.node.shape)}`,
      { op, shapes: [input.shape] },
    );
}
interface StorageOffset {
  readonly storageOffset?: number | null;
}
/** The storage of the input (row by row) seen with other sizes and strides, from where the input begins if nothing else is said. A view. */
export function asStrided(
  input: Tensor,
  size: readonly number[],
  stride: readonly number[],
  storageOffset: number | null | StorageOffset = null,
): Tensor {
  const given = leading<StorageOffset>('asStrided', { storageOffset: null }, 'storageOffset', storageOffset);
  const offset = given.storageOffset ?? layoutOf(input).offset;
  checkStrided('asStrided', input, size, stride, offset);
  return input.fromStorage_(stridedStep(size, stride, offset));
}
/** {@link asStrided} in place: the tensor itself becomes the window. */
export function asStrided_(
  input: Tensor,
  size: readonly number[],
  stride: readonly number[],
  storageOffset: number | null | StorageOffset = null,
): Tensor {
  const [step] = asStrided(input, size, stride, storageOffset).viewSteps;
  input.viewSteps = [];
  return input.restep_(step);
}
/** A copy with `src` at the places that {@link asStrided} shows. */
export function asStridedScatter(
  input: Tensor,
  src: Tensor,
  size: readonly number[],
  stride: readonly number[],
  storageOffset: number | null | StorageOffset = 0,
): Tensor {
  const given = leading<StorageOffset>('asStridedScatter', { storageOffset: null }, 'storageOffset', storageOffset);
  const offset = given.storageOffset ?? 0;
  checkStrided('asStridedScatter', input, size, stride, offset);
  const step = stridedStep(size, stride, offset);
  return wrap((step.write as NonNullable<ViewStep['write']>)(input.node, src.node));
}

export const DIAGONALS: readonly OpRow[] = [
  row('diagonal', diagonal, 'input, offset=0, dim1=0, dim2=1'),
  row('diagEmbed', diagEmbed, 'input, offset=0, dim1=-2, dim2=-1'),
  row('diag', diag, 'input, diagonal=0'),
  row('diagflat', diagflat, 'input, offset=0'),
  row('trace', trace, 'input'),
  row('diagonalScatter', diagonalScatter, 'input, src, offset=0, dim1=0, dim2=1'),
  row('selectScatter', selectScatter, 'input, src, dim, index'),
  row('sliceScatter', sliceScatter, 'input, src, dim=0, start=None, end=None, step=1'),
  row('tril', tril, 'input, diagonal=0', { inPlace: true }),
  row('triu', triu, 'input, diagonal=0', { inPlace: true }),
  row('trilIndices', trilIndices, 'row, col, offset=0, *, dtype=int64', { differentiable: false }),
  row('triuIndices', triuIndices, 'row, col, offset=0, *, dtype=int64', { differentiable: false }),
  row('unfold', unfold, 'input, dimension, size, step', { torch: ['Tensor.unfold'] }),
  row('asStrided', asStrided, 'input, size, stride, storage_offset=None'),
  row('asStrided_', asStrided_ as never, 'input, size, stride, storage_offset=None', {
    torch: ['torch.as_strided_', 'Tensor.as_strided_'],
    differentiable: false,
  }),
  row('asStridedScatter', asStridedScatter, 'input, src, size, stride, storage_offset=None'),
];
