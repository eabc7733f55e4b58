/** Multi-head attention and the transformer (Vaswani et al. 2017). */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, type Tensor, zeros } from '@proj/tensor';
import { multiHeadAttentionForward } from '../functional/attention.ts';
import { gelu, relu } from '../functional/activations.ts';
import { constant_, xavierNormal_, xavierUniform_ } from '../init.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { ModuleList } from './containers.ts';
import { Dropout } from './dropout.ts';
import { FACTORY, type FactoryOptions, Linear } from './linear.ts';
import { LayerNorm } from './normalization.ts';

export interface MultiheadAttentionOptions extends FactoryOptions {
  readonly dropout?: number;
  readonly bias?: boolean;
  /** Adds a trained key and value to every sequence. */
  readonly addBiasKv?: boolean;
  readonly addZeroAttn?: boolean;
  /** Features of keys and values (default: embedDim). */
  readonly kdim?: number | null;
  readonly vdim?: number | null;
  readonly batchFirst?: boolean;
}
export interface AttentionCallOptions {
  readonly keyPaddingMask?: Tensor | null;
  readonly needWeights?: boolean;
  readonly attnMask?: Tensor | null;
  readonly averageAttnWeights?: boolean;
  readonly isCausal?: boolean;
}
/**
 * Attention with `numHeads` heads over projections of query [T, N, E], key [S, N, kdim] and value [S, N, vdim] (with `batchFirst` N comes first; N may be
 * missing). Gives [output [T, N, E], weights [N, T, S] or null]. Errors: features that do not divide into the heads.
 */
export class MultiheadAttention extends Module {
  readonly embedDim: number;
  readonly numHeads: number;
  readonly dropout: number;
  readonly batchFirst: boolean;
  readonly addZeroAttn: boolean;
  inProjWeight: Parameter | null;
  qProjWeight: Parameter | null;
  kProjWeight: Parameter | null;
  vProjWeight: Parameter | null;
  inProjBias: Parameter | null;
  outProj: Linear;
  biasK: Parameter | null;
  biasV: Parameter | null;

  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    const { dropout, bias, addBiasKv, addZeroAttn, kdim, vdim, batchFirst, ...factory } = withDefaults(
      'MultiheadAttention',
      {
        dropout: 0,
        bias: true,
        addBiasKv: false,
        addZeroAttn: false,
        kdim: null,
        vdim: null,
        batchFirst: false,
        ...FACTORY,
      },
      options,
    );
    if (embedDim % numHeads !== 0)
      throw new ProjError('invalid-argument', `${embedDim} features do not divide into ${numHeads} heads`, {
        op: 'MultiheadAttention',
      });
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    this.dropout = dropout;
    this.batchFirst = batchFirst;
    this.addZeroAttn = addZeroAttn;
    const { dtype = null, device = null } = factory;
    const make = (shape: readonly number[]): Parameter => new Parameter(zeros([...shape], { dtype, device }));
    const xavier = (shape: readonly number[]): Parameter => {
      const parameter = make(shape);
      xavierUniform_(parameter);
      return parameter;
    };
    const same = (kdim ?? embedDim) === embedDim && (vdim ?? embedDim) === embedDim;
    this.inProjWeight = same ? xavier([3 * embedDim, embedDim]) : null;
    this.qProjWeight = same ? null : xavier([embedDim, embedDim]);
    this.kProjWeight = same ? null : xavier([embedDim, kdim ?? embedDim]);
    this.vProjWeight = same ? null : xavier([embedDim, vdim ?? embedDim]);
    this.inProjBias = bias ? make([3 * embedDim]) : null;
    this.outProj = new Linear(embedDim, embedDim, { bias, ...factory });
    if (this.outProj.bias !== null) constant_(this.outProj.bias, 0);
    this.biasK = addBiasKv ? make([1, 1, embedDim]) : null;
    this.biasV = addBiasKv ? make([1, 1, embedDim]) : null;
    for (const parameter of [this.biasK, this.biasV]) if (parameter !== null) xavierNormal_(parameter);
  }
  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionCallOptions = {},
  ): [Tensor, Tensor | null] {
    const { keyPaddingMask, needWeights, attnMask, averageAttnWeights, isCausal } = withDefaults(
      'MultiheadAttention.forward',
      { keyPaddingMask: null, needWeights: true, attnMask: null, averageAttnWeights: true, isCausal: false },
      options,
    );
    const turned = this.batchFirst && query.ndim === 3;
    const turn = (x: Tensor): Tensor => (turned ? x.transpose(0, 1) : x);
    // The same tensor for all three stays the same tensor: one projection serves all.
    const q = turn(query);
    const k = key === query ? q : turn(key);
    const v = value === query ? q : value === key ? k : turn(value);
    const [output, weights] = multiHeadAttentionForward(
      q,
      k,
      v,
      this.embedDim,
      this.numHeads,
      this.inProjWeight,
      this.inProjBias,
      this.biasK,
      this.biasV,
      this.addZeroAttn,
      this.dropout,
      this.outProj.weight,
      this.outProj.bias,
      {
        training: this.training,
        keyPaddingMask,
        needWeights,
        attnMask,
        averageAttnWeights,
        isCausal,
        useSeparateProjWeight: this.inProjWeight === null,
        qProjWeight: this.qProjWeight,
        kProjWeight: this.kProjWeight,
        vProjWeight: this.vProjWeight,
      },
    );
    return [turn(output), weights];
  }
}

export type ActivationName = 'relu' | 'gelu';
export type ActivationFunction = (x: Tensor) => Tensor;
function activationOf(activation: ActivationName | ActivationFunction | Module): ActivationFunction {
  if (activation instanceof Module) return (x) => (activation as Module & { forward: ActivationFunction }).call(x);
  if (typeof activation === 'function') return activation;
  switch (activation) {
    case 'relu':
      return (x) => relu(x);
    case 'gelu':
      return (x) => gelu(x);
    default:
      throw new ProjError('invalid-argument', `activation "${String(activation satisfies never)}"`, {
        op: 'Transformer',
        cure: "Use 'relu', 'gelu' or a function",
      });
  }
}

export interface TransformerLayerOptions extends FactoryOptions {
  readonly dimFeedforward?: number;
  readonly dropout?: number;
  readonly activation?: ActivationName | ActivationFunction | Module;
  readonly layerNormEps?: number;
  readonly batchFirst?: boolean;
  /** Normalises before attention and feedforward instead of after. */
  readonly normFirst?: boolean;
}
const TRANSFORMER_LAYER: Defaults<TransformerLayerOptions> = {
  dimFeedforward: 2048,
  dropout: 0.1,
  activation: 'relu',
  layerNormEps: 1e-5,
  batchFirst: false,
  normFirst: false,
  ...FACTORY,
};
/** What layers are made of. They make the parts in the order of their parameters: a seed gives the same weights. */
function layerParts(op: string, dModel: number, nhead: number, options: TransformerLayerOptions) {
  const { dimFeedforward, dropout, activation, layerNormEps, batchFirst, normFirst, ...factory } = withDefaults(
    op,
    TRANSFORMER_LAYER,
    options,
  );
  return {
    normFirst,
    activation: activationOf(activation),
    attention: () => new MultiheadAttention(dModel, nhead, { dropout, batchFirst, ...factory }),
    widen: () => new Linear(dModel, dimFeedforward, factory),
    narrow: () => new Linear(dimFeedforward, dModel, factory),
    norm: () => new LayerNorm(dModel, { eps: layerNormEps, ...factory }),
    dropout: () => new Dropout(dropout),
  };
}

export interface EncoderLayerCallOptions {
  readonly srcMask?: Tensor | null;
  readonly srcKeyPaddingMask?: Tensor | null;
  readonly isCausal?: boolean;
}
/** Self-attention and a feedforward net, each with a residual and a norm. */
export class TransformerEncoderLayer extends Module {
  readonly normFirst: boolean;
  readonly activation: ActivationFunction;
  selfAttn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super();
    const parts = layerParts(new.target.name, dModel, nhead, options);
    this.normFirst = parts.normFirst;
    this.activation = parts.activation;
    this.selfAttn = parts.attention();
    this.linear1 = parts.widen();
    this.dropout = parts.dropout();
    this.linear2 = parts.narrow();
    this.norm1 = parts.norm();
    this.norm2 = parts.norm();
    this.dropout1 = parts.dropout();
    this.dropout2 = parts.dropout();
  }
  override forward(src: Tensor, options: EncoderLayerCallOptions = {}): Tensor {
    const { srcMask, srcKeyPaddingMask, isCausal } = withDefaults(
      'TransformerEncoderLayer.forward',
      { srcMask: null, srcKeyPaddingMask: null, isCausal: false },
      options,
    );
    const attend = (x: Tensor): Tensor =>
      this.dropout1.call(
        this.selfAttn.call(x, x, x, {
          attnMask: srcMask,
          keyPaddingMask: srcKeyPaddingMask,
          needWeights: false,
          isCausal,
        })[0],
      );
    const feed = (x: Tensor): Tensor =>
      this.dropout2.call(this.linear2.call(this.dropout.call(this.activation(this.linear1.call(x)))));
    if (this.normFirst) {
      const x = src.add(attend(this.norm1.call(src)));
      return x.add(feed(this.norm2.call(x)));
    }
    const x = this.norm1.call(src.add(attend(src)));
    return this.norm2.call(x.add(feed(x)));
  }
}

export interface DecoderLayerCallOptions {
  readonly tgtMask?: Tensor | null;
  readonly memoryMask?: Tensor | null;
  readonly tgtKeyPaddingMask?: Tensor | null;
  readonly memoryKeyPaddingMask?: Tensor | null;
}
/** Self-attention, attention to the encoder's output, and a feedforward net. */
export class TransformerDecoderLayer extends Module {
  readonly normFirst: boolean;
  readonly activation: ActivationFunction;
  selfAttn: MultiheadAttention;
  multiheadAttn: MultiheadAttention;
  linear1: Linear;
  dropout: Dropout;
  linear2: Linear;
  norm1: LayerNorm;
  norm2: LayerNorm;
  norm3: LayerNorm;
  dropout1: Dropout;
  dropout2: Dropout;
  dropout3: Dropout;

  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super();
    const parts = layerParts(new.target.name, dModel, nhead, options);
    this.normFirst = parts.normFirst;
    this.activation = parts.activation;
    this.selfAttn = parts.attention();
    this.multiheadAttn = parts.attention();
    this.linear1 = parts.widen();
    this.dropout = parts.dropout();
    this.linear2 = parts.narrow();
    this.norm1 = parts.norm();
    this.norm2 = parts.norm();
    this.norm3 = parts.norm();
    this.dropout1 = parts.dropout();
    this.dropout2 = parts.dropout();
    this.dropout3 = parts.dropout();
  }
  override forward(tgt: Tensor, memory: Tensor, options: DecoderLayerCallOptions = {}): Tensor {
    const { tgtMask, memoryMask, tgtKeyPaddingMask, memoryKeyPaddingMask } = withDefaults(
      'TransformerDecoderLayer.forward',
      { tgtMask: null, memoryMask: null, tgtKeyPaddingMask: null, memoryKeyPaddingMask: null },
      options,
    );
    const attend = (x: Tensor): Tensor =>
      this.dropout1.call(
        this.selfAttn.call(x, x, x, { attnMask: tgtMask, keyPaddingMask: tgtKeyPaddingMask, needWeights: false })[0],
      );
    const look = (x: Tensor): Tensor =>
      this.dropout2.call(
        this.multiheadAttn.call(x, memory, memory, {
          attnMask: memoryMask,
          keyPaddingMask: memoryKeyPaddingMask,
          needWeights: false,
        })[0],
      );
    const feed = (x: Tensor): Tensor =>
      this.dropout3.call(this.linear2.call(this.dropout.call(this.activation(this.linear1.call(x)))));
    if (this.normFirst) {
      let x = tgt.add(attend(this.norm1.call(tgt)));
      x = x.add(look(this.norm2.call(x)));
      return x.add(feed(this.norm3.call(x)));
    }
    let x = this.norm1.call(tgt.add(attend(tgt)));
    x = this.norm2.call(x.add(look(x)));
    return this.norm3.call(x.add(feed(x)));
  }
}

type Norm = Module & { forward(x: Tensor): Tensor };
export interface EncoderCallOptions {
  readonly mask?: Tensor | null;
  readonly srcKeyPaddingMask?: Tensor | null;
}
/** A stack of copies of an encoder layer. */
export class TransformerEncoder extends Module {
  layers: ModuleList<TransformerEncoderLayer>;
  norm: Norm | null;
  constructor(encoderLayer: TransformerEncoderLayer, numLayers: number, norm: Norm | null = null) {
    super();
    this.layers = new ModuleList(Array.from({ length: numLayers }, () => encoderLayer.copy()));
    this.norm = norm;
  }
  override forward(src: Tensor, options: EncoderCallOptions = {}): Tensor {
    const { mask, srcKeyPaddingMask } = withDefaults(
      'TransformerEncoder.forward',
      { mask: null, srcKeyPaddingMask: null },
      options,
    );
    let x = src;
    for (const layer of this.layers) x = layer.call(x, { srcMask: mask, srcKeyPaddingMask });
    return this.norm === null ? x : this.norm.call(x);
  }
}
/** A stack of copies of a decoder layer. */
export class TransformerDecoder extends Module {
  layers: ModuleList<TransformerDecoderLayer>;
  norm: Norm | null;
  constructor(decoderLayer: TransformerDecoderLayer, numLayers: number, norm: Norm | null = null) {
    super();
    this.layers = new ModuleList(Array.from({ length: numLayers }, () => decoderLayer.copy()));
    this.norm = norm;
  }
  override forward(tgt: Tensor, memory: Tensor, options: DecoderLayerCallOptions = {}): Tensor {
    let x = tgt;
    for (const layer of this.layers) x = layer.call(x, memory, options);
    return this.norm === null ? x : this.norm.call(x);
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  readonly dModel?: number;
  readonly nhead?: number;
  readonly numEncoderLayers?: number;
  readonly numDecoderLayers?: number;
  readonly customEncoder?: Module | null;
  readonly customDecoder?: Module | null;
}
export interface TransformerCallOptions extends DecoderLayerCallOptions {
  readonly srcMask?: Tensor | null;
  readonly srcKeyPaddingMask?: Tensor | null;
}
/** Encoder and decoder. */
export class Transformer extends Module {
  readonly batchFirst: boolean;
  readonly dModel: number;
  encoder: TransformerEncoder;
  decoder: TransformerDecoder;

  constructor(options: TransformerOptions = {}) {
    super();
    const {
      dModel,
      nhead,
      numEncoderLayers,
      numDecoderLayers,
      customEncoder,
      customDecoder,
      layerNormEps,
      batchFirst,
      ...layer
    } = withDefaults(
      'Transformer',
      {
        dModel: 512,
        nhead: 8,
        numEncoderLayers: 6,
        numDecoderLayers: 6,
        customEncoder: null,
        customDecoder: null,
        ...TRANSFORMER_LAYER,
      },
      options,
    );
    this.batchFirst = batchFirst;
    this.dModel = dModel;
    const { dtype = null, device = null } = layer;
    const shared = { ...layer, layerNormEps, batchFirst };
    const norm = (): LayerNorm => new LayerNorm(dModel, { eps: layerNormEps, dtype, device });
    this.encoder =
      (customEncoder as TransformerEncoder | null) ??
      new TransformerEncoder(new TransformerEncoderLayer(dModel, nhead, shared), numEncoderLayers, norm());
    this.decoder =
      (customDecoder as TransformerDecoder | null) ??
      new TransformerDecoder(new TransformerDecoderLayer(dModel, nhead, shared), numDecoderLayers, norm());
    noGrad(() => {
      for (const parameter of this.parameters()) if (parameter.ndim > 1) xavierUniform_(parameter);
    });
  }
  override forward(src: Tensor, tgt: Tensor, options: TransformerCallOptions = {}): Tensor {
    const { srcMask, tgtMask, memoryMask, srcKeyPaddingMask, tgtKeyPaddingMask, memoryKeyPaddingMask } = withDefaults(
      'Transformer.forward',
      {
        srcMask: null,
        tgtMask: null,
        memoryMask: null,
        srcKeyPaddingMask: null,
        tgtKeyPaddingMask: null,
        memoryKeyPaddingMask: null,
      },
      options,
    );
    const batchDim = this.batchFirst ? 0 : 1;
    if (src.ndim === 3 && src.shape[batchDim] !== tgt.shape[batchDim])
      throw new ProjError('shape-mismatch', 'source and target differ in batch size', {
        op: 'Transformer',
        shapes: [src.shape, tgt.shape],
      });
    if (src.shape[src.ndim - 1] !== this.dModel || tgt.shape[tgt.ndim - 1] !== this.dModel)
      throw new ProjError('shape-mismatch', `${this.dModel} features are expected`, {
        op: 'Transformer',
        shapes: [src.shape, tgt.shape],
      });
    const memory = this.encoder.call(src, { mask: srcMask, srcKeyPaddingMask });
    return this.decoder.call(tgt, memory, { tgtMask, memoryMask, tgtKeyPaddingMask, memoryKeyPaddingMask });
  }
  /** `[sz, sz]`: 0 where a position may attend, -∞ after it. */
  static generateSquareSubsequentMask(sz: number): Tensor {
    return fromArray(
      Float32Array.from({ length: sz * sz }, (_, i) => (i % sz > Math.floor(i / sz) ? -Infinity : 0)),
      [sz, sz],
    );
  }
}
