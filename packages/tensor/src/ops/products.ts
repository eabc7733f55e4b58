/** Matrix products. Everything ends in the `contract` primitive: [B, M, K] × [B, K, N]. */
import { ProjError } from '@proj/kernel';
import { castNode, contractNode, expandNode, reshapeNode } from '../graph/build.ts';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, promotedType } from './arguments.ts';
import { type OpRow, row } from './table.ts';

/** Batched product of [..., M, K] and [..., K, N] with leading dimensions broadcast. */
export function matmulNodes(a: AnyNode, b: AnyNode): AnyNode {
  const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2));
  const [m, k] = a.shape.slice(-2);
  const n = b.shape[b.shape.length - 1];
  // A right operand without batch multiplies all rows of the left one at once.
  if (elementCount(b.shape.slice(0, -2)) === 1 && batch.length > 0) {
    const rows = elementCount(batch) * m;
    return reshapeNode(
      contractNode(reshapeNode(expandNode(a, [...batch, m, k]), [1, rows, k]), reshapeNode(b, [1, k, n])),
      [...batch, m, n],
    );
  }
  const count = elementCount(batch);
  const left = reshapeNode(expandNode(a, [...batch, m, k]), [count, m, k]);
  const right = reshapeNode(expandNode(b, [...batch, k, n]), [count, k, n]);
  return reshapeNode(contractNode(left, right), [...batch, m, n]);
}

/** Matrix product with PyTorch's rules for vectors and batches. Errors: sizes that do not fit, different dtypes. */
export function matmul(input: Tensor, other: Tensor): Tensor {
  if (!(input instanceof Tensor && other instanceof Tensor))
    throw new ProjError('invalid-argument', 'both operands must be tensors', {
      op: 'matmul',
      cure: 'mul() multiplies with numbers, tensor() makes tensors of arrays',
    });
  if (input.ndim === 0 || other.ndim === 0)
    throw new ProjError('shape-mismatch', 'both operands need at least one dimension', {
      op: 'matmul',
      shapes: [input.shape, other.shape],
      dtypes: [input.dtype, other.dtype],
    });
  if (input.dtype !== other.dtype)
    throw new ProjError('dtype', `operands of ${input.dtype} and ${other.dtype}`, {
      op: 'matmul',
      cure: 'Cast one of them',
    });
  const type = promotedType(input, other);
  let a = castNode(input.node, type);
  let b = castNode(other.node, type);
  const vectorLeft = a.shape.length === 1;
  const vectorRight = b.shape.length === 1;
  if (vectorLeft) a = reshapeNode(a, [1, ...a.shape]);
  if (vectorRight) b = reshapeNode(b, [...b.shape, 1]);
  if (a.shape[a.shape.length - 1] !== b.shape[b.shape.length - 2]) {
    throw new ProjError(
      'shape-mismatch',
      `the inner sizes ${a.shape[a.shape.length - 1]} and ${b.shape[b.shape.length - 2]} differ`,
      {
        op: 'matmul',
        shapes: [input.shape, other.shape],
        dtypes: [input.dtype, other.dtype],
        cure: 'The last dimension of the left operand must be the second to last of the right one',
      },
    );
  }
  let product = matmulNodes(a, b);
  if (vectorLeft)
    product = reshapeNode(product, [...product.shape.slice(0, -2), product.shape[product.shape.length - 1]]);
  if (vectorRight) product = reshapeNode(product, product.shape.slice(0, -1));
  return wrap(product);
}
const ofRank =
  (name: string, left: number, right: number) =>
  (input: Tensor, other: Tensor): Tensor => {
    if (input.ndim !== left || other.ndim !== right)
      throw new ProjError('shape-mismatch', `${left}- and ${right}-dimensional operands are needed`, {
        op: name,
        shapes: [input.shape, other.shape],
        dtypes: [input.dtype, other.dtype],
      });
    if (name === 'bmm' && input.shape[0] !== other.shape[0])
      throw new ProjError('shape-mismatch', 'batch sizes differ', { op: name, shapes: [input.shape, other.shape] });
    return matmul(input, other);
  };
/** Matrix product [M, K] · [K, N]. */
export const mm = ofRank('mm', 2, 2);
/** Matrix times vector: [M, K] · [K]. */
export const mv = ofRank('mv', 2, 1);
/** Inner product of two vectors. */
export const dot = ofRank('dot', 1, 1);
/** Batched matrix product [B, M, K] · [B, K, N]. */
export const bmm = ofRank('bmm', 3, 3);

export const PRODUCTS: readonly OpRow[] = [
  row('matmul', matmul, 'input, other'),
  row('mm', mm, 'input, mat2'),
  row('mv', mv, 'input, vec'),
  row('dot', dot, 'input, other'),
  row('bmm', bmm, 'input, mat2'),
];
