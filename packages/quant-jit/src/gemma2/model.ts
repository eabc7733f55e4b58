/**
 * Gemma 2 (Gemma Team 2024, arXiv 2408.00118) in modules, with the names and the arithmetic of `Gemma2ForCausalLM` in transformers (eager attention).
 * State-dict keys are those of Hugging Face's files: `model.layers.0.self_attn.q_proj.weight` and so on. For training, inference, and as the reference that
 * converted models are measured against.
 */
import { noGrad } from '@proj/autograd';
import { type DType, ProjError } from '@proj/kernel';
import { Embedding, Linear, Module, ModuleList, Parameter } from '@proj/nn';
import { crossEntropy, dropout, gelu, linear, softmax } from '@proj/nn/functional';
import { arange, cat, FloatScalar, full, type Tensor, where, zeros } from '@proj/tensor';
import type { KeyValueCache } from './cache.ts';
import type { Gemma2Config, LayerType } from './config.ts';
import { rotate, type Rotation, rotationOf } from './rotary.ts';

/** Where the weights are made. */
export interface Gemma2ModelOptions {
  readonly dtype?: DType;
  readonly device?: string | null;
  /** Weights start as zeros: for a model that is about to be loaded (default false: normal with `initializerRange`). */
  readonly empty?: boolean;
}

const reduced = (dtype: DType): boolean => dtype === 'float16' || dtype === 'bfloat16';
/** Sums and exponentials of 16-bit models are computed in float32. */
const widened = (x: Tensor): Tensor => (reduced(x.dtype) ? x.to('float32') : x);

/** A 0-dim constant with the dtype and device of `like`, rounded to that dtype. */
const constant = (like: Tensor, value: number): Tensor =>
  full([], new FloatScalar(value), { dtype: like.dtype, device: like.device });
/** What a score is where a query may not look: finite, so that a row without any key gives numbers. */
const lowest = (like: Tensor): Tensor => constant(like, like.dtype === 'float16' ? -65504 : -3e38);

/** cap · tanh(x / cap). */
const softCap = (x: Tensor, cap: number | null): Tensor => (cap === null ? x : x.div(cap).tanh().mul(cap));

function makeLinear(
  from: number,
  to: number,
  { initializerRange }: Gemma2Config,
  { dtype = 'float32', device = null, empty = false }: Gemma2ModelOptions,
  bias = false,
): Linear {
  const layer = new Linear(from, to, { bias, dtype, device });
  noGrad(() => {
    layer.weight.zero_();
    if (!empty) layer.weight.normal_(0, initializerRange);
    layer.bias?.zero_();
  });
  return layer;
}

/** x / rms(x) · (1 + weight), with the multiplication before the rounding to a 16-bit dtype. */
export class Gemma2RmsNorm extends Module {
  readonly weight: Parameter;
  readonly eps: number;

  constructor(size: number, eps: number, { dtype = 'float32', device = null }: Gemma2ModelOptions = {}) {
    super();
    this.eps = eps;
    this.weight = new Parameter(zeros([size], { dtype, device }));
  }

  override forward(input: Tensor): Tensor {
    const x = widened(input);
    const scale = x.square().mean(-1, { keepdim: true }).add(this.eps).rsqrt();
    return x.mul(scale).mul(widened(this.weight).add(1)).to(input.dtype);
  }
}

/** down(gelu(gate(x)) · up(x)). */
export class Gemma2Mlp extends Module {
  readonly gateProj: Linear;
  readonly upProj: Linear;
  readonly downProj: Linear;

  constructor(config: Gemma2Config, options: Gemma2ModelOptions = {}) {
    super();
    this.gateProj = makeLinear(config.hiddenSize, config.intermediateSize, config, options);
    this.upProj = makeLinear(config.hiddenSize, config.intermediateSize, config, options);
    this.downProj = makeLinear(config.intermediateSize, config.hiddenSize, config, options);
  }

  override forward(x: Tensor): Tensor {
    return this.downProj.call(gelu(this.gateProj.call(x), { approximate: 'tanh' }).mul(this.upProj.call(x)));
  }
}

/** What one call of the model shares among its layers. */
interface Step {
  readonly rotation: Rotation;
  /** Which keys each query may see, [B or 1, 1, T, S], by type of layer. */
  readonly visible: Readonly<Record<LayerType, Tensor>>;
  readonly cache: KeyValueCache | null;
}

/** Attention where `numAttentionHeads / numKeyValueHeads` query heads share the keys and values of one head. */
export class Gemma2Attention extends Module {
  readonly qProj: Linear;
  readonly kProj: Linear;
  readonly vProj: Linear;
  readonly oProj: Linear;
  readonly config: Gemma2Config;
  readonly layer: number;

  constructor(config: Gemma2Config, layer: number, options: Gemma2ModelOptions = {}) {
    super();
    this.config = config;
    this.layer = layer;
    const { hiddenSize, headDim, attentionBias } = config;
    const [queries, keys] = [config.numAttentionHeads * headDim, config.numKeyValueHeads * headDim];
    this.qProj = makeLinear(hiddenSize, queries, config, options, attentionBias);
    this.kProj = makeLinear(hiddenSize, keys, config, options, attentionBias);
    this.vProj = makeLinear(hiddenSize, keys, config, options, attentionBias);
    this.oProj = makeLinear(queries, hiddenSize, config, options, attentionBias);
  }

  /** The output [B, T, hiddenSize] and the probabilities [B, heads, T, S]. */
  override forward(
    x: Tensor,
    { rotation, visible, cache }: Step,
  ): { readonly output: Tensor; readonly probabilities: Tensor } {
    const { headDim, numAttentionHeads: heads, numKeyValueHeads: shared } = this.config;
    const [batch, length] = x.shape;
    const byHead = (t: Tensor): Tensor => t.reshape([batch, length, -1, headDim]);
    const query = rotate(byHead(this.qProj.call(x)), rotation).transpose(1, 2);
    let key = rotate(byHead(this.kProj.call(x)), rotation).transpose(1, 2);
    let value = byHead(this.vProj.call(x)).transpose(1, 2);
    if (cache !== null) ({ keys: key, values: value } = cache.update(this.layer, key, value));

    // Query heads of one group stand below each other, so that each key/value head takes part in one product.
    const stacked = query.reshape([batch, shared, (heads / shared) * length, headDim]);
    const raw = stacked.matmul(key.transpose(2, 3)).mul(this.config.queryPreAttnScalar ** -0.5);
    const scores = softCap(raw, this.config.attnLogitSoftcapping).reshape([batch, heads, length, key.shape[2]]);
    const masked = where(visible[this.config.layerTypes[this.layer]], scores, lowest(scores));
    const probabilities = softmax(widened(masked), -1).to(x.dtype);
    const kept = dropout(probabilities, { p: this.config.attentionDropout, training: this.training });
    const mixed = kept.reshape(raw.shape).matmul(value);
    const output = mixed
      .reshape([batch, heads, length, headDim])
      .transpose(1, 2)
      .reshape([batch, length, heads * headDim]);
    return { output: this.oProj.call(output), probabilities };
  }
}

/** One layer: attention and feed-forward, each with a norm before and after. */
export class Gemma2DecoderLayer extends Module {
  readonly selfAttn: Gemma2Attention;
  readonly mlp: Gemma2Mlp;
  readonly inputLayernorm: Gemma2RmsNorm;
  readonly postAttentionLayernorm: Gemma2RmsNorm;
  readonly preFeedforwardLayernorm: Gemma2RmsNorm;
  readonly postFeedforwardLayernorm: Gemma2RmsNorm;

  constructor(config: Gemma2Config, layer: number, options: Gemma2ModelOptions = {}) {
    super();
    const norm = (): Gemma2RmsNorm => new Gemma2RmsNorm(config.hiddenSize, config.rmsNormEps, options);
    this.selfAttn = new Gemma2Attention(config, layer, options);
    this.mlp = new Gemma2Mlp(config, options);
    this.inputLayernorm = norm();
    this.postAttentionLayernorm = norm();
    this.preFeedforwardLayernorm = norm();
    this.postFeedforwardLayernorm = norm();
  }

  override forward(x: Tensor, step: Step): { readonly output: Tensor; readonly probabilities: Tensor } {
    const { output, probabilities } = this.selfAttn.call(this.inputLayernorm.call(x), step);
    const attended = x.add(this.postAttentionLayernorm.call(output));
    const fed = this.mlp.call(this.preFeedforwardLayernorm.call(attended));
    return { output: attended.add(this.postFeedforwardLayernorm.call(fed)), probabilities };
  }
}

/** How a batch of tokens is run. */
export interface Gemma2ForwardOptions {
  /** [B, S], zero where a token is padding (on the left); with a cache it covers the tokens of the cache too. */
  readonly attentionMask?: Tensor | null;
  /** [B, T] or [1, T]; by default the place of each token among those that are not padding. */
  readonly positionIds?: Tensor | null;
  /** Tokens that came before, and where these are added. */
  readonly cache?: KeyValueCache | null;
  readonly outputHiddenStates?: boolean;
  readonly outputAttentions?: boolean;
}

/** What the layers give. */
export interface Gemma2Hidden {
  /** [B, T, hiddenSize], after the last norm. */
  readonly lastHiddenState: Tensor;
  /** The embeddings, and the residual stream after each layer (before the last norm). */
  readonly hiddenStates: readonly Tensor[];
  /** [B, heads, T, S] of each layer. */
  readonly attentions: readonly Tensor[];
}

/** The embeddings, layers and last norm. */
export class Gemma2Model extends Module {
  readonly embedTokens: Embedding;
  readonly layers: ModuleList;
  readonly norm: Gemma2RmsNorm;
  readonly config: Gemma2Config;

  constructor(config: Gemma2Config, options: Gemma2ModelOptions = {}) {
    super();
    const { dtype = 'float32', device = null, empty = false } = options;
    this.config = config;
    const table = new Parameter(zeros([config.vocabSize, config.hiddenSize], { dtype, device }));
    if (!empty) noGrad(() => table.normal_(0, config.initializerRange));
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize, { _weight: table });
    this.layers = new ModuleList(config.layerTypes.map((_, i) => new Gemma2DecoderLayer(config, i, options)));
    this.norm = new Gemma2RmsNorm(config.hiddenSize, config.rmsNormEps, options);
  }

  override forward(inputIds: Tensor, options: Gemma2ForwardOptions = {}): Gemma2Hidden {
    const { outputHiddenStates = false, outputAttentions = false, cache = null } = options;
    if (inputIds.ndim !== 2)
      throw new ProjError('shape-mismatch', 'input ids must be [batch, tokens]', {
        op: 'Gemma2Model',
        shapes: [inputIds.shape],
        cure: 'Give one sequence as ids.unsqueeze(0)',
      });
    const length = inputIds.shape[1];
    cache?.reserve(length);
    // √d rounded as the reference rounds it: to the dtype of the hidden states.
    const rows = this.embedTokens.call(inputIds);
    let x = rows.mul(constant(rows, Math.sqrt(this.config.hiddenSize)));
    const step = this.#step(x, length, options);
    const hiddenStates = outputHiddenStates ? [x] : [];
    const attentions: Tensor[] = [];
    for (const layer of this.layers) {
      const { output, probabilities } = (layer as Gemma2DecoderLayer).call(x, step);
      x = output;
      if (outputHiddenStates) hiddenStates.push(x);
      if (outputAttentions) attentions.push(probabilities);
    }
    return { lastHiddenState: this.norm.call(x), hiddenStates, attentions };
  }

  #step(
    like: Tensor,
    length: number,
    { attentionMask = null, positionIds = null, cache = null }: Gemma2ForwardOptions,
  ): Step {
    const { headDim, ropeTheta, slidingWindow } = this.config;
    const { device } = like;
    const keys = cache === null ? length : cache.capacity;
    const range = (n: number): Tensor => arange(n, { device });
    const places = cache === null ? range(length) : range(length).add(cache.position);
    const queryPlace = places.unsqueeze(-1);
    const keyPlace = range(keys);
    let seen = keyPlace.le(queryPlace).reshape([1, 1, length, keys]);
    let positions = positionIds;
    if (attentionMask !== null) {
      const real = attentionMask.ne(0);
      if (real.shape[1] > keys)
        throw new ProjError('shape-mismatch', `a mask of ${real.shape[1]} tokens, of which there are ${keys}`, {
          op: 'Gemma2Model',
          shapes: [attentionMask.shape],
        });
      const missing = keys - real.shape[1];
      const filler = zeros([real.shape[0], missing], { dtype: 'bool', device });
      const padded = missing === 0 ? real : cat([real, filler], 1);
      seen = seen.logicalAnd(padded.reshape([-1, 1, 1, keys]));
      positions ??= real
        .to('int64')
        .cumsum(1)
        .sub(1)
        .clamp(0)
        .narrow(1, real.shape[1] - length, length);
    }
    const near = keyPlace.gt(queryPlace.sub(slidingWindow)).reshape([1, 1, length, keys]);
    return {
      rotation: rotationOf(positions ?? places.unsqueeze(0), headDim, ropeTheta, like),
      visible: { sliding: seen.logicalAnd(near), global: seen },
      cache,
    };
  }
}

/** Logits, and what was asked for besides. */
export interface Gemma2Output extends Gemma2Hidden {
  /** [B, T, vocabSize], capped. */
  readonly logits: Tensor;
}

/** Gemma 2 with its output projection: ids [B, T] to logits [B, T, vocabSize]. */
export class Gemma2ForCausalLM extends Module {
  readonly model: Gemma2Model;
  /** Null where the projection is the embedding table. */
  readonly lmHead: Linear | null;
  readonly config: Gemma2Config;

  constructor(config: Gemma2Config, options: Gemma2ModelOptions = {}) {
    super();
    this.config = config;
    this.model = new Gemma2Model(config, options);
    this.lmHead = config.tieWordEmbeddings ? null : makeLinear(config.hiddenSize, config.vocabSize, config, options);
  }

  override forward(inputIds: Tensor, options: Gemma2ForwardOptions = {}): Gemma2Output {
    const hidden = this.model.call(inputIds, options);
    return { ...hidden, logits: this.logitsOf(hidden.lastHiddenState) };
  }

  /** Logits [..., vocabSize] of hidden states after the last norm [..., hiddenSize]. */
  logitsOf(hidden: Tensor): Tensor {
    const raw = linear(hidden, this.lmHead?.weight ?? this.model.embedTokens.weight);
    return softCap(raw, this.config.finalLogitSoftcapping);
  }
}

/** Mean cross-entropy of predicting each token of [B, T] from those before it; positions whose label is -100 do not count. */
export function nextTokenLoss(logits: Tensor, labels: Tensor): Tensor {
  const [batch, length, vocabulary] = logits.shape;
  const predictions = logits.narrow(1, 0, length - 1).reshape([batch * (length - 1), vocabulary]);
  return crossEntropy(widened(predictions), labels.narrow(1, 1, length - 1).reshape([batch * (length - 1)]));
}
