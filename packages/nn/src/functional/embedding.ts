/** Looking up rows of a table by index. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, type Tensor, where } from '@proj/tensor';
import {
  castNode,
  concatNode,
  constantNode,
  expandNode,
  iotaNode,
  reshapeNode,
  scatterNode,
  takeNode,
  whereNode,
  wrap,
} from '@proj/tensor/graph';
import { vectorNorm } from './normalization.ts';
import { type OpRow, row, scalarLike } from './support.ts';

function checkIndices(input: Tensor, op: string): void {
  if (input.dtype !== 'int64' && input.dtype !== 'int32')
    throw new ProjError('dtype', `indices of ${input.dtype}`, {
      op,
      shapes: [input.shape],
      dtypes: [input.dtype],
      cure: 'Cast them to int64',
    });
}

export interface EmbeddingOptions {
  /** This row gets no gradient. */
  readonly paddingIdx?: number | null;
  /** Rows with a larger norm are scaled down to it, in the table. */
  readonly maxNorm?: number | null;
  readonly normType?: number;
  /** Divides gradients by how often the row occurs. */
  readonly scaleGradByFreq?: boolean;
  /** Accepted for compatibility: gradients are dense. */
  readonly sparse?: boolean;
}

const paddingRow = (paddingIdx: number, rows: number, op: string): number => {
  if (paddingIdx >= rows || paddingIdx < -rows)
    throw new ProjError('index-out-of-range', `paddingIdx ${paddingIdx} of ${rows} rows`, { op });
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
};

/** Scales down, in place, the rows of `weight` that `input` names and whose norm exceeds `maxNorm`. */
function renormalize(weight: Tensor, input: Tensor, maxNorm: number, normType: number): void {
  noGrad(() => {
    const value = weight.detach();
    const norms = vectorNorm(value, normType, 1);
    const used = occurrences(weight, input).gt(0).unsqueeze(1);
    const factor = where(
      norms.gt(maxNorm).logicalAnd(used),
      norms.add(1e-7).reciprocal().mul(maxNorm),
      scalarLike(value, 1),
    );
    weight.assign(value.mul(factor).node, 'embedding');
  });
}
/** How often each row is named. */
function occurrences(weight: Tensor, input: Tensor): Tensor {
  const index = reshapeNode(castNode(input.node, 'int64'), [input.numel()]);
  return wrap(
    scatterNode(
      'add',
      constantNode(weight.device, weight.dtype, [weight.shape[0]], 0),
      index,
      constantNode(weight.device, weight.dtype, [input.numel()], 1),
    ),
  );
}
/** The value of `x` with its gradient scaled by `factor` (no gradient itself). */
const scaleGradient = (x: Tensor, factor: Tensor): Tensor => x.mul(factor).add(x.detach().mul(factor.neg().add(1)));

/** Rows of `weight` `[V, D]` at the indices `input` `[...]`: `[..., D]`. Errors: an index out of range, when it is computed. */
export function embedding(input: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  const { paddingIdx, maxNorm, normType, scaleGradByFreq } = withDefaults(
    'embedding',
    { paddingIdx: null, maxNorm: null, normType: 2, scaleGradByFreq: false, sparse: false },
    options,
  );
  checkIndices(input, 'embedding');
  if (weight.ndim !== 2)
    throw new ProjError('shape-mismatch', 'the weight must have 2 dimensions', {
      op: 'embedding',
      shapes: [weight.shape],
    });
  if (maxNorm !== null) renormalize(weight, input, maxNorm, normType);
  const index = castNode(input.node, 'int64');
  let rows = wrap(takeNode(weight.node, index));
  if (scaleGradByFreq)
    rows = scaleGradient(rows, wrap(takeNode(occurrences(weight, input).reciprocal().node, index)).unsqueeze(-1));
  if (paddingIdx === null || !rows.requiresGrad) return rows;
  const isPadding = wrap(index)
    .eq(paddingRow(paddingIdx, weight.shape[0], 'embedding'))
    .unsqueeze(-1);
  return where(isPadding, rows.detach(), rows);
}

export interface EmbeddingBagOptions extends EmbeddingOptions {
  readonly mode?: 'sum' | 'mean' | 'max';
  /** A factor for each index (mode 'sum'). */
  readonly perSampleWeights?: Tensor | null;
  /** `offsets` ends with the number of indices. */
  readonly includeLastOffset?: boolean;
}
/** Sums, means or maxima of rows over bags of indices: the rows of a 2-dim `input`, or the parts of a 1-dim one that begin at `offsets`. */
export function embeddingBag(
  input: Tensor,
  weight: Tensor,
  offsets: Tensor | null = null,
  options: EmbeddingBagOptions = {},
): Tensor {
  const { mode, perSampleWeights, includeLastOffset, paddingIdx, maxNorm, normType, scaleGradByFreq } = withDefaults(
    'embeddingBag',
    {
      mode: 'mean',
      perSampleWeights: null,
      includeLastOffset: false,
      paddingIdx: null,
      maxNorm: null,
      normType: 2,
      scaleGradByFreq: false,
      sparse: false,
    },
    options,
  );
  // PyTorch takes the table and the indices in either order.
  if (weight.dtype === 'int64' && /float/.test(input.dtype))
    return embeddingBag(weight, input, offsets, {
      mode,
      perSampleWeights,
      includeLastOffset,
      paddingIdx,
      maxNorm,
      normType,
      scaleGradByFreq,
    });
  checkIndices(input, 'embeddingBag');
  if (perSampleWeights !== null && mode !== 'sum')
    throw new ProjError('invalid-argument', "perSampleWeights need mode 'sum'", { op: 'embeddingBag' });
  if (perSampleWeights !== null && perSampleWeights.shape.join() !== input.shape.join())
    throw new ProjError('shape-mismatch', 'perSampleWeights must have the shape of the input', {
      op: 'embeddingBag',
      shapes: [input.shape, perSampleWeights.shape],
    });
  if (input.ndim === 2 && offsets !== null)
    throw new ProjError('invalid-argument', 'offsets are for a 1-dim input', { op: 'embeddingBag' });
  if (input.ndim === 1 && offsets === null)
    throw new ProjError('invalid-argument', 'a 1-dim input needs offsets', { op: 'embeddingBag' });
  if (input.ndim !== 1 && input.ndim !== 2)
    throw new ProjError('shape-mismatch', 'the input must have 1 or 2 dimensions', {
      op: 'embeddingBag',
      shapes: [input.shape],
    });
  const count = input.numel();
  const bags = input.ndim === 2 ? input.shape[0] : (offsets as Tensor).numel() - (includeLastOffset ? 1 : 0);
  const flat = input.reshape([count]);
  // [bags, count]: whether an index belongs to a bag.
  const position = wrap(expandNode(iotaNode(input.device, 'int64', count, 0, 1), [bags, count]));
  let begin: Tensor;
  let end: Tensor;
  if (input.ndim === 2) {
    begin = wrap(iotaNode(input.device, 'int64', bags, 0, input.shape[1])).unsqueeze(1);
    end = begin.add(input.shape[1]);
  } else {
    const starts = wrap(castNode((offsets as Tensor).node, 'int64'));
    begin = starts.narrow(0, 0, bags).unsqueeze(1);
    const closing = fromArray(BigInt64Array.of(BigInt(count)), [1], 'int64', { device: input.device });
    end = (
      includeLastOffset ? starts.narrow(0, 1, bags) : concat([starts.narrow(0, 1, Math.max(0, bags - 1)), closing])
    ).unsqueeze(1);
  }
  let member = position.ge(begin).logicalAnd(position.lt(end));
  if (paddingIdx !== null) member = member.logicalAnd(flat.ne(paddingRow(paddingIdx, weight.shape[0], 'embeddingBag')));
  const rows = embedding(flat, weight, { maxNorm, normType, scaleGradByFreq });
  const scaled = perSampleWeights === null ? rows : rows.mul(perSampleWeights.reshape([count, 1]));
  if (mode === 'max') {
    const spread = wrap(expandNode(scaled.node, [bags, count, weight.shape[1]]));
    const masked = where(member.unsqueeze(2), spread, scalarLike(weight, -Infinity));
    const filled = member.any(1).unsqueeze(1);
    return where(filled, masked.amax(1), scalarLike(weight, 0));
  }
  const membership = wrap(castNode(member.node, weight.dtype));
  const sums = membership.matmul(scaled);
  if (mode === 'sum') return sums;
  return sums.div(membership.sum(1, { keepdim: true }).clamp(1));
}
const concat = (parts: readonly Tensor[]): Tensor =>
  wrap(
    concatNode(
      parts.map(({ node }) => node),
      0,
    ),
  );

export interface OneHotOptions {
  /** Found from the largest value where it is -1, which computes the input. */
  readonly numClasses?: number;
}
/** 1 at the position that the input names, 0 elsewhere, along a new last dimension; int64. */
export function oneHot(input: Tensor, numClasses: number | OneHotOptions = -1): Tensor {
  checkIndices(input, 'oneHot');
  const given = typeof numClasses === 'number' ? numClasses : (numClasses.numClasses ?? -1);
  if (input.numel() === 0 && given <= 0)
    throw new ProjError('invalid-argument', 'the number of classes cannot be found from an empty tensor', {
      op: 'oneHot',
      cure: 'Give numClasses',
    });
  const values = input.toFlatArray();
  const largest = values.reduce((a, b) => Math.max(a, b), -1);
  if (values.some((x) => x < 0))
    throw new ProjError('index-out-of-range', 'class values must not be negative', { op: 'oneHot' });
  const classes = given === -1 ? largest + 1 : given;
  if (classes < 1 || largest >= classes)
    throw new ProjError('index-out-of-range', `class ${largest} of ${classes}`, { op: 'oneHot' });
  const shape = [...input.shape, classes];
  const positions = expandNode(iotaNode(input.device, 'int64', classes, 0, 1), shape);
  const hit = wrap(positions).eq(wrap(castNode(input.node, 'int64')).unsqueeze(-1)).node;
  return wrap(
    whereNode(hit, constantNode(input.device, 'int64', shape, 1), constantNode(input.device, 'int64', shape, 0)),
  );
}

export const EMBEDDING: readonly OpRow[] = [
  row(
    'embedding',
    embedding,
    'input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False',
  ),
  row(
    'embeddingBag',
    embeddingBag,
    "input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode='mean', sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None",
  ),
  row('oneHot', oneHot, 'input, num_classes=-1', { differentiable: false }),
];
