/** Working along one dimension: positions, moving it to the end, picking elements by computed indices. */
import type { Device, DType } from '@proj/kernel';
import {
  binaryNode,
  castNode,
  constantNode,
  expandNode,
  iotaNode,
  permuteNode,
  reshapeNode,
  takeNode,
  whereNode,
} from '../graph/build.ts';
import { type AnyNode, elementCount, type Shape } from '../graph/node.ts';
import { stridesOf } from '../layout.ts';

/** Each element's position along `dim`. */
export function positionsAlong(device: Device, shape: Shape, dim: number, dtype: DType = 'int64'): AnyNode {
  const line = iotaNode(device, dtype, shape[dim], 0, 1);
  return expandNode(
    reshapeNode(
      line,
      shape.map((size, i) => (i === dim ? size : 1)),
    ),
    shape,
  );
}

/** The order that moves `dim` to the end. */
export const orderWithLast = (rank: number, dim: number): number[] => [
  ...Array.from({ length: rank }, (_, i) => i).filter((i) => i !== dim),
  dim,
];
export const inverseOrder = (order: readonly number[]): number[] => order.map((_, i) => order.indexOf(i));

/** Applies `fn`, which works along the last dimension, along `dim`. A 0-dim node counts as one element. */
export function alongDim(x: AnyNode, dim: number, fn: (node: AnyNode) => AnyNode): AnyNode {
  if (x.shape.length === 0) return reshapeNode(fn(reshapeNode(x, [1])), []);
  const order = orderWithLast(x.shape.length, dim);
  return permuteNode(fn(permuteNode(x, order)), inverseOrder(order));
}

const scaled = (x: AnyNode, factor: number): AnyNode =>
  factor === 1 ? x : binaryNode('mul', x, constantNode(x.device, 'int64', x.shape, factor));

/** The linear position in `shape` of the elements that `index` names along `dim`; an index that is out of range becomes one that the take and scatter kernels refuse. */
export function linearIndex(shape: Shape, dim: number, index: AnyNode, trusted = false): AnyNode {
  const strides = stridesOf(shape);
  let linear = scaled(index, strides[dim]);
  index.shape.forEach((size, d) => {
    if (d !== dim && size > 1)
      linear = binaryNode('add', linear, scaled(positionsAlong(index.device, index.shape, d), strides[d]));
  });
  if (trusted) return linear;
  const constant = (value: number): AnyNode => constantNode(index.device, 'int64', index.shape, value);
  const inside = binaryNode('and', binaryNode('ge', index, constant(0)), binaryNode('lt', index, constant(shape[dim])));
  return whereNode(inside, linear, constant(elementCount(shape)));
}

/** x at `index` along `dim` (`torch.gather`); `trusted` indices are known to be in range. */
export function gatherNode(x: AnyNode, dim: number, index: AnyNode, trusted = false): AnyNode {
  if (x.shape.length === 0)
    return reshapeNode(
      gatherNode(reshapeNode(x, [1]), 0, reshapeNode(index, [elementCount(index.shape)]), trusted),
      index.shape,
    );
  const wide = castNode(index, 'int64');
  return takeNode(reshapeNode(x, [elementCount(x.shape)]), linearIndex(x.shape, dim, wide, trusted));
}

/** Indices from the end (-1 is the last) as indices from the start. */
export function fromEnd(index: AnyNode, size: number): AnyNode {
  const wide = castNode(index, 'int64');
  const constant = (value: number): AnyNode => constantNode(wide.device, 'int64', wide.shape, value);
  return whereNode(binaryNode('lt', wide, constant(0)), binaryNode('add', wide, constant(size)), wide);
}
