/** What the functions of linalg share: batches of matrices in and out of the float64 kernels, checks, small matrices. */
import { type DType, ProjError } from '@proj/kernel';
import { castNode, complexNode, concatNode, constantNode, partNode, reshapeNode } from '../graph/build.ts';
import { type AnyNode, elementCount, type Shape } from '../graph/node.ts';
import { broadcastShapes } from '../ops/arguments.ts';
import { eye } from '../ops/creation.ts';
import { isComplexDType, isIntegral, toReal } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { COMPLEX_KERNELS } from './complex-kernels.ts';
import { type Kernels, REAL_KERNELS } from './kernels.ts';

export const rowsOf = (x: Tensor): number => x.shape[x.ndim - 2];
export const columnsOf = (x: Tensor): number => x.shape[x.ndim - 1];
export const batchOf = (x: Tensor): Shape => x.shape.slice(0, -2);

export function requireMatrix(op: string, x: Tensor, square = false): void {
  if (x.ndim < 2) throw new ProjError('shape-mismatch', 'a matrix is needed', { op, shapes: [x.shape] });
  if (isIntegral(x.dtype))
    throw new ProjError('dtype', `${op} of ${x.dtype}`, {
      op,
      dtypes: [x.dtype],
      cure: 'Use a float or complex dtype',
    });
  if (square && rowsOf(x) !== columnsOf(x))
    throw new ProjError('shape-mismatch', 'a square matrix is needed', { op, shapes: [x.shape] });
}

/** The kernels for matrices like this one, and how many real blocks each of its kind is. */
export const kernelsFor = (x: Tensor): Kernels => (isComplexDType(x.dtype) ? COMPLEX_KERNELS : REAL_KERNELS);
export const blocksOf = (x: Tensor): 1 | 2 => (isComplexDType(x.dtype) ? 2 : 1);

/**
 * [..., m, n] as [batch, m, n] float64 without gradient; `batch` broadcasts leading dimensions first. Complex ones as [batch, 2m, n]: real parts
 * above imaginary ones.
 */
export function toKernel(x: Tensor, batch: Shape = batchOf(x)): Tensor {
  const [m, n] = [rowsOf(x), columnsOf(x)];
  const spread = x.detach().expand([...batch, m, n]).node;
  const rows = (part: AnyNode): AnyNode => reshapeNode(castNode(part, 'float64'), [elementCount(batch), m, n]);
  return wrap(
    isComplexDType(x.dtype)
      ? concatNode([rows(partNode(spread, false)), rows(partNode(spread, true))], 1)
      : rows(spread),
  );
}
/** `count` numbers from `offset` on of each packed row, as [...batch, ...shape]; of a complex dtype, from two blocks. */
export function cut(packed: Tensor, offset: number, batch: Shape, shape: Shape, dtype: DType): Tensor {
  if (isComplexDType(dtype)) {
    const part = (at: number): AnyNode => cut(packed, at, batch, shape, toReal(dtype)).node;
    return wrap(complexNode(part(offset), part(offset + elementCount(shape))));
  }
  const part = packed.narrow(1, offset, elementCount(shape));
  return wrap(castNode(reshapeNode(part.node, [...batch, ...shape]), dtype));
}
export const zerosOf = (like: Tensor, shape: Shape, dtype: DType = like.dtype): Tensor =>
  wrap(constantNode(like.device, dtype, shape, 0));
export const identityOf = (like: Tensor, n: number): Tensor => eye(n, { dtype: like.dtype, device: like.device });
export const commonBatch = (op: string, a: Tensor, b: Tensor): number[] => broadcastShapes(op, batchOf(a), batchOf(b));
/** Sums what broadcasting added to the leading dimensions. */
export const sumBatch = (gradient: Tensor, like: Tensor): Tensor =>
  gradient.ndim === like.ndim && gradient.shape.every((s, i) => s === like.shape[i])
    ? gradient
    : gradient.sumToSize(like.shape);

/** Throws `message` when any entry of `info` is not zero. Inside a capture nothing can be read, and nothing is checked. */
export function requireZero(op: string, info: Tensor, message: (value: number) => string): void {
  let values: number[];
  try {
    values = info.toFlatArray();
  } catch (error) {
    if (error instanceof ProjError && error.code === 'capture') return;
    throw error;
  }
  const bad = values.find((value) => value !== 0);
  if (bad !== undefined)
    throw new ProjError('invalid-argument', message(bad), {
      op,
      cure: 'Add a small multiple of the identity, or use the _ex variant or pinv',
    });
}
