/** Tables of vectors. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { type Tensor, zeros } from '@proj/tensor';
import { embedding, embeddingBag, type EmbeddingBagOptions, type EmbeddingOptions } from '../functional/embedding.ts';
import { normal_ } from '../init.ts';
import { Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { joined, settings } from '../printing.ts';
import { FACTORY, type FactoryOptions, requireSizes } from './linear.ts';

/** Rows from the standard normal distribution, zeros at `paddingIdx`. */
function table(
  rows: number,
  size: number,
  paddingIdx: number | null,
  given: Tensor | null,
  { dtype = null, device = null }: FactoryOptions,
): Parameter {
  if (given !== null) {
    if (given.shape.join() !== [rows, size].join())
      throw new ProjError('shape-mismatch', `a table of [${rows}, ${size}] is expected`, {
        op: 'Embedding',
        shapes: [given.shape],
      });
    return given instanceof Parameter ? given : new Parameter(given);
  }
  const weight = new Parameter(zeros([rows, size], { dtype, device }));
  normal_(weight);
  if (paddingIdx !== null) noGrad(() => weight.select(0, paddingIdx).zero_());
  return weight;
}
function paddingRow(paddingIdx: number | null, rows: number): number | null {
  if (paddingIdx === null) return null;
  if (paddingIdx >= rows || paddingIdx < -rows)
    throw new ProjError('index-out-of-range', `paddingIdx ${paddingIdx} of ${rows} rows`, { op: 'Embedding' });
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
}

export interface EmbeddingModuleOptions extends EmbeddingOptions, FactoryOptions {
  /** The table to start from. */
  readonly _weight?: Tensor | null;
}
/** Looks up rows of a trained table: indices [...] → [..., embeddingDim]. */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | null;
  readonly options: EmbeddingOptions;
  weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingModuleOptions = {}) {
    super();
    requireSizes('Embedding', { numEmbeddings, embeddingDim });
    const { paddingIdx, maxNorm, normType, scaleGradByFreq, sparse, _weight, ...factory } = withDefaults(
      'Embedding',
      {
        paddingIdx: null,
        maxNorm: null,
        normType: 2,
        scaleGradByFreq: false,
        sparse: false,
        _weight: null,
        ...FACTORY,
      },
      options,
    );
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.paddingIdx = paddingRow(paddingIdx, numEmbeddings);
    this.options = { paddingIdx: this.paddingIdx, maxNorm, normType, scaleGradByFreq, sparse };
    this.weight = table(numEmbeddings, embeddingDim, this.paddingIdx, _weight, factory);
  }
  /** A layer with the given table, frozen unless `freeze` is false. */
  static fromPretrained(embeddings: Tensor, options: EmbeddingOptions & { readonly freeze?: boolean } = {}): Embedding {
    const { freeze = true, ...rest } = options;
    const layer = new Embedding(embeddings.shape[0], embeddings.shape[1], { ...rest, _weight: embeddings });
    layer.weight.requiresGrad_(!freeze);
    return layer;
  }
  override forward(input: Tensor): Tensor {
    return embedding(input, this.weight, this.options);
  }
  override extraRepr(): string {
    return joined(
      `${this.numEmbeddings}, ${this.embeddingDim}`,
      settings({ paddingIdx: this.paddingIdx ?? undefined }),
    );
  }
}

export interface EmbeddingBagModuleOptions extends Omit<EmbeddingBagOptions, 'perSampleWeights'>, FactoryOptions {
  readonly _weight?: Tensor | null;
}
/** Sums, means or maxima of rows over bags of indices. */
export class EmbeddingBag extends Module {
  readonly options: EmbeddingBagOptions;
  weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingBagModuleOptions = {}) {
    super();
    requireSizes('EmbeddingBag', { numEmbeddings, embeddingDim });
    const { maxNorm, normType, scaleGradByFreq, mode, sparse, _weight, includeLastOffset, paddingIdx, ...factory } =
      withDefaults(
        'EmbeddingBag',
        {
          maxNorm: null,
          normType: 2,
          scaleGradByFreq: false,
          mode: 'mean',
          sparse: false,
          _weight: null,
          includeLastOffset: false,
          paddingIdx: null,
          ...FACTORY,
        },
        options,
      );
    const padding = paddingRow(paddingIdx, numEmbeddings);
    this.options = { maxNorm, normType, scaleGradByFreq, mode, sparse, includeLastOffset, paddingIdx: padding };
    this.weight = table(numEmbeddings, embeddingDim, padding, _weight, factory);
  }
  override forward(input: Tensor, offsets: Tensor | null = null, perSampleWeights: Tensor | null = null): Tensor {
    return embeddingBag(input, this.weight, offsets, { ...this.options, perSampleWeights });
  }
  override extraRepr(): string {
    return joined(this.weight.shape.join(', '), settings({ mode: this.options.mode }));
  }
}
