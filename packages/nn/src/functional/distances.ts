/** Distances and similarities of vectors. */
import { withDefaults } from '@proj/kernel';
import { FloatScalar, fromArray, type Tensor } from '@proj/tensor';
import { broadcastShapes, normalizeDim, takeNode, wrap } from '@proj/tensor/graph';
import { vectorNorm } from './normalization.ts';
import { type OpRow, row } from './support.ts';

export interface CosineSimilarityOptions {
  readonly dim?: number;
  readonly eps?: number;
}
/** x1·x2 / (max(|x1|, eps) · max(|x2|, eps)) along `dim`. */
export function cosineSimilarity(x1: Tensor, x2: Tensor, options: CosineSimilarityOptions = {}): Tensor {
  const { dim, eps } = withDefaults('cosineSimilarity', { dim: 1, eps: 1e-8 }, options);
  const shape = broadcastShapes('cosineSimilarity', x1.shape, x2.shape);
  const at = normalizeDim(dim, shape.length, 'cosineSimilarity');
  const a = x1.expand(shape);
  const b = x2.expand(shape);
  const unit = (x: Tensor): Tensor => x.div(vectorNorm(x, 2, at).clamp(eps));
  return unit(a).mul(unit(b)).sum(at);
}
export interface PairwiseDistanceOptions {
  readonly p?: number;
  readonly eps?: number;
  readonly keepdim?: boolean;
}
/** |x1 - x2 + eps|ₚ along the last dimension. */
export function pairwiseDistance(x1: Tensor, x2: Tensor, options: PairwiseDistanceOptions = {}): Tensor {
  const { p, eps, keepdim } = withDefaults('pairwiseDistance', { p: 2, eps: 1e-6, keepdim: false }, options);
  const difference = x1.sub(x2).add(new FloatScalar(eps));
  const norm = vectorNorm(difference, p, -1);
  return keepdim ? norm : norm.squeeze(-1);
}
/** Distances between all pairs of rows i < j. */
export function pdist(input: Tensor, options: { p?: number } = {}): Tensor {
  const { p } = withDefaults('pdist', { p: 2 }, options);
  const count = input.shape[0];
  const rows = Array.from({ length: count }, (_, i) => i);
  const left = rows.flatMap((i) => rows.filter((j) => j > i).map(() => i));
  const right = rows.flatMap((i) => rows.filter((j) => j > i));
  const difference = pick(input, left).sub(pick(input, right));
  return vectorNorm(difference, p, -1).squeeze(-1);
}
const pick = (x: Tensor, rows: readonly number[]): Tensor =>
  wrap(
    takeNode(x.node, fromArray(BigInt64Array.from(rows, BigInt), [rows.length], 'int64', { device: x.device }).node),
  );

export const DISTANCES: readonly OpRow[] = [
  row('cosineSimilarity', cosineSimilarity, 'x1, x2, dim=1, eps=1e-8', { torch: ['torch.cosine_similarity'] }),
  row('pairwiseDistance', pairwiseDistance, 'x1, x2, p=2.0, eps=1e-6, keepdim=False', {
    torch: ['torch.pairwise_distance'],
  }),
  row('pdist', pdist, 'input, p=2.0', { torch: ['torch.pdist'] }),
];
