/** Tensors of one shape as one, along a new first dimension. */
import type { Tensor } from '@proj/tensor';
import { concatNode, reshapeNode, wrap } from '@proj/tensor/graph';

export const stackTensors = (parts: readonly Tensor[]): Tensor =>
  wrap(
    concatNode(
      parts.map(({ node }) => reshapeNode(node, [1, ...node.shape])),
      0,
    ),
  );
