/** Attention (Vaswani et al. 2017). */
import { ProjError, withDefaults } from '@proj/kernel';
import { matmul, type Tensor, where } from '@proj/tensor';
import { castNode, concatNode, constantNode, expandNode, iotaNode, reshapeNode, wrap } from '@proj/tensor/graph';
import { softmax } from './activations.ts';
import { dropout } from './dropout.ts';
import { linear } from './linear.ts';
import { type OpRow, row, scalarLike } from './support.ts';

export interface AttentionOptions {
  /** true: attend (bool), or added to the scores. Broadcast to [..., L, S]. */
  readonly attnMask?: Tensor | null;
  readonly dropoutP?: number;
  /** Position i attends to positions 0 … i. */
  readonly isCausal?: boolean;
  /** Factor of the scores; 1/√E by default. */
  readonly scale?: number | null;
}

/** [L, S]: whether query i may see key j ≤ i. */
function causalMask(like: Tensor, queries: number, keys: number): Tensor {
  const rows = reshapeNode(iotaNode(like.device, 'int64', queries, 0, 1), [queries, 1]);
  const columns = iotaNode(like.device, 'int64', keys, 0, 1);
  return wrap(expandNode(rows, [queries, keys])).ge(wrap(expandNode(columns, [queries, keys])));
}

/** softmax(query · keyᵀ · scale + mask) · value: [..., L, E], [..., S, E], [..., S, V] give [..., L, V]. */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const { attnMask, dropoutP, isCausal, scale } = withDefaults(
    'scaledDotProductAttention',
    { attnMask: null, dropoutP: 0, isCausal: false, scale: null },
    options,
  );
  if (attnMask !== null && isCausal)
    throw new ProjError('invalid-argument', 'attnMask and isCausal exclude each other', {
      op: 'scaledDotProductAttention',
    });
  if (query.ndim < 2 || key.ndim < 2 || value.ndim < 2)
    throw new ProjError('shape-mismatch', 'query, key and value need at least 2 dimensions', {
      op: 'scaledDotProductAttention',
      shapes: [query.shape, key.shape, value.shape],
    });
  const factor = scale ?? 1 / Math.sqrt(query.shape[query.ndim - 1]);
  let scores = matmul(query, key.transpose(-2, -1)).mul(scalarLike(query, factor));
  const minusInfinity = scalarLike(scores, -Infinity);
  if (isCausal)
    scores = where(causalMask(query, query.shape[query.ndim - 2], key.shape[key.ndim - 2]), scores, minusInfinity);
  else if (attnMask !== null)
    scores = attnMask.dtype === 'bool' ? where(attnMask, scores, minusInfinity) : scores.add(attnMask);
  const weights = softmax(scores, -1);
  return matmul(dropoutP > 0 ? dropout(weights, { p: dropoutP }) : weights, value);
}

export interface MultiHeadOptions {
  readonly training?: boolean;
  /** [N, S] (or [S]): keys to ignore (bool), or added to their scores. */
  readonly keyPaddingMask?: Tensor | null;
  readonly needWeights?: boolean;
  /** [L, S] or [N · heads, L, S]: pairs to forbid (bool), or added to the scores. */
  readonly attnMask?: Tensor | null;
  readonly useSeparateProjWeight?: boolean;
  readonly qProjWeight?: Tensor | null;
  readonly kProjWeight?: Tensor | null;
  readonly vProjWeight?: Tensor | null;
  readonly staticK?: Tensor | null;
  readonly staticV?: Tensor | null;
  /** Averages the returned weights over the heads (default true). */
  readonly averageAttnWeights?: boolean;
  readonly isCausal?: boolean;
}

/** What is added to scores: -∞ where a bool mask forbids. */
function additive(mask: Tensor, like: Tensor): Tensor {
  if (mask.dtype === 'bool' || mask.dtype === 'uint8')
    return where(
      mask.dtype === 'bool' ? mask : wrap(castNode(mask.node, 'bool')),
      scalarLike(like, -Infinity),
      scalarLike(like, 0),
    );
  return mask;
}
const cat = (parts: readonly Tensor[], dim: number): Tensor =>
  wrap(
    concatNode(
      parts.map(({ node }) => node),
      dim,
    ),
  );

/**
 * Attention with several heads and projections of query [L, N, E], key [S, N, K] and value [S, N, V] (or without N). Gives the output [L, N, E] and, with
 * `needWeights`, the attention weights [N, L, S] averaged over heads, or [N, heads, L, S].
 */
export function multiHeadAttentionForward(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  embedDimToCheck: number,
  numHeads: number,
  inProjWeight: Tensor | null,
  inProjBias: Tensor | null,
  biasK: Tensor | null,
  biasV: Tensor | null,
  addZeroAttn: boolean,
  dropoutP: number,
  outProjWeight: Tensor,
  outProjBias: Tensor | null,
  options: MultiHeadOptions = {},
): [Tensor, Tensor | null] {
  const {
    training,
    keyPaddingMask,
    needWeights,
    attnMask,
    useSeparateProjWeight,
    qProjWeight,
    kProjWeight,
    vProjWeight,
    staticK,
    staticV,
    averageAttnWeights,
    isCausal,
  } = withDefaults(
    'multiHeadAttentionForward',
    {
      training: true,
      keyPaddingMask: null,
      needWeights: true,
      attnMask: null,
      useSeparateProjWeight: false,
      qProjWeight: null,
      kProjWeight: null,
      vProjWeight: null,
      staticK: null,
      staticV: null,
      averageAttnWeights: true,
      isCausal: false,
    },
    options,
  );
  const op = 'multiHeadAttentionForward';
  const batched = query.ndim === 3;
  if (query.ndim !== 2 && query.ndim !== 3)
    throw new ProjError('shape-mismatch', 'the query must have 2 or 3 dimensions', { op, shapes: [query.shape] });
  if (key.ndim !== query.ndim || value.ndim !== query.ndim)
    throw new ProjError('shape-mismatch', 'query, key and value must have the same number of dimensions', {
      op,
      shapes: [query.shape, key.shape, value.shape],
    });
  const [q3, k3, v3] = batched ? [query, key, value] : [query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)];
  const paddingMask = keyPaddingMask === null || batched ? keyPaddingMask : keyPaddingMask.unsqueeze(0);
  const [targets, batch, embedding] = q3.shape;
  if (embedding !== embedDimToCheck)
    throw new ProjError('shape-mismatch', `the query has ${embedding} features, ${embedDimToCheck} are expected`, {
      op,
      shapes: [query.shape],
    });
  if (embedding % numHeads !== 0)
    throw new ProjError('invalid-argument', `${embedding} features do not divide into ${numHeads} heads`, { op });
  const headSize = embedding / numHeads;

  const biasPart = (i: number): Tensor | null => inProjBias?.narrow(0, i * embedding, embedding) ?? null;
  let q: Tensor;
  let k: Tensor;
  let v: Tensor;
  if (useSeparateProjWeight) {
    if (qProjWeight === null || kProjWeight === null || vProjWeight === null)
      throw new ProjError('invalid-argument', 'separate projections need qProjWeight, kProjWeight and vProjWeight', {
        op,
      });
    [q, k, v] = [
      linear(q3, qProjWeight, biasPart(0)),
      linear(k3, kProjWeight, biasPart(1)),
      linear(v3, vProjWeight, biasPart(2)),
    ];
  } else if (inProjWeight === null) throw new ProjError('invalid-argument', 'inProjWeight is needed', { op });
  else if (query === key && key === value) {
    const all = linear(q3, inProjWeight, inProjBias);
    [q, k, v] = [0, 1, 2].map((i) => all.narrow(2, i * embedding, embedding));
  } else {
    [q, k, v] = [q3, k3, v3].map((x, i) => linear(x, inProjWeight.narrow(0, i * embedding, embedding), biasPart(i)));
  }

  let mask = attnMask === null ? null : additive(attnMask, q);
  if (mask !== null) {
    const shape = mask.shape.join();
    if (
      mask.ndim === 2
        ? shape !== [targets, k3.shape[0]].join()
        : shape !== [batch * numHeads, targets, k3.shape[0]].join()
    ) {
      throw new ProjError(
        'shape-mismatch',
        `the attention mask must be [${targets}, ${k3.shape[0]}] or [${batch * numHeads}, ${targets}, ${k3.shape[0]}]`,
        { op, shapes: [mask.shape] },
      );
    }
  }
  let padding = paddingMask === null ? null : additive(paddingMask, q);
  const extend = (x: Tensor): Tensor =>
    cat([x, wrap(constantNode(x.device, x.dtype, [...x.shape.slice(0, -1), 1], 0))], x.ndim - 1);
  if (biasK !== null && biasV !== null) {
    k = cat([k, biasK.expand([1, batch, biasK.shape[2]])], 0);
    v = cat([v, biasV.expand([1, batch, biasV.shape[2]])], 0);
    mask = mask === null ? null : extend(mask);
    padding = padding === null ? null : extend(padding);
  }
  // [T, N, E] → [N, heads, T, size]
  const heads = (x: Tensor): Tensor => x.reshape([x.shape[0], batch, numHeads, headSize]).permute([1, 2, 0, 3]);
  const qHeads = heads(q);
  let kHeads = staticK === null ? heads(k) : staticK.reshape([batch, numHeads, staticK.shape[1], headSize]);
  let vHeads = staticV === null ? heads(v) : staticV.reshape([batch, numHeads, staticV.shape[1], headSize]);
  if (addZeroAttn) {
    const zero = wrap(constantNode(q.device, q.dtype, [batch, numHeads, 1, headSize], 0));
    kHeads = cat([kHeads, zero], 2);
    vHeads = cat([vHeads, zero], 2);
    mask = mask === null ? null : extend(mask);
    padding = padding === null ? null : extend(padding);
  }
  const sources = kHeads.shape[2];
  let scores = matmul(qHeads.mul(scalarLike(q, 1 / Math.sqrt(headSize))), kHeads.transpose(-2, -1));
  if (mask !== null) scores = scores.add(mask.ndim === 2 ? mask : mask.reshape([batch, numHeads, targets, sources]));
  else if (isCausal) scores = where(causalMask(q, targets, sources), scores, scalarLike(scores, -Infinity));
  if (padding !== null) scores = scores.add(padding.reshape([batch, 1, 1, sources]));
  const attention = softmax(scores, -1);
  const weights = training && dropoutP > 0 ? dropout(attention, { p: dropoutP }) : attention;
  const context = matmul(weights, vHeads).permute([2, 0, 1, 3]).reshape([targets, batch, embedding]);
  const projected = linear(context, outProjWeight, outProjBias);
  const output = batched ? projected : projected.squeeze(1);
  if (!needWeights) return [output, null];
  const returned = averageAttnWeights ? weights.mean(1) : weights;
  return [output, batched ? returned : returned.squeeze(0)];
}

export const ATTENTION: readonly OpRow[] = [
  row(
    'scaledDotProductAttention',
    scaledDotProductAttention,
    'query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False',
  ),
  row(
    'multiHeadAttentionForward',
    multiHeadAttentionForward,
    'query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True',
  ),
];
