/** A decoder-only transformer (GPT-2's layout, Radford et al. 2019): pre-normalised blocks of causal attention and a four times wider perceptron. */
import { noGrad } from '@proj/autograd';
import { Dropout, Embedding, GELU, LayerNorm, Linear, Module, ModuleList } from '@proj/nn';
import { scaledDotProductAttention } from '@proj/nn/functional';
import { arange, randn, type Tensor } from '@proj/tensor';

export interface GptOptions {
  readonly vocabulary: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly context: number;
  readonly dropout: number;
}

class Block extends Module {
  readonly norm1: LayerNorm;
  readonly queryKeyValue: Linear;
  readonly project: Linear;
  readonly norm2: LayerNorm;
  readonly expand: Linear;
  readonly activation = new GELU();
  readonly contract: Linear;
  readonly drop: Dropout;
  readonly heads: number;

  constructor({ width, heads, dropout }: GptOptions) {
    super();
    this.heads = heads;
    this.norm1 = new LayerNorm(width);
    this.queryKeyValue = new Linear(width, 3 * width);
    this.project = new Linear(width, width);
    this.norm2 = new LayerNorm(width);
    this.expand = new Linear(width, 4 * width);
    this.contract = new Linear(4 * width, width);
    this.drop = new Dropout(dropout);
  }

  override forward(x: Tensor): Tensor {
    const [batch, length, width] = x.shape;
    const byHead = (t: Tensor): Tensor => t.reshape([batch, length, this.heads, width / this.heads]).transpose(1, 2);
    const [query, key, value] = this.queryKeyValue.call(this.norm1.call(x)).split(width, 2).map(byHead);
    const mixed = scaledDotProductAttention(query, key, value, { isCausal: true })
      .transpose(1, 2)
      .reshape([batch, length, width]);
    const attended = x.add(this.drop.call(this.project.call(mixed)));
    return attended.add(
      this.drop.call(this.contract.call(this.activation.call(this.expand.call(this.norm2.call(attended))))),
    );
  }
}

/** `[B, T]` ids → `[B, T, vocabulary]` logits, T up to the context. */
export class Gpt extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding;
  readonly drop: Dropout;
  readonly blocks: ModuleList;
  readonly norm: LayerNorm;
  readonly head: Linear;

  constructor(options: GptOptions) {
    super();
    const { vocabulary, layers, width, context, dropout } = options;
    this.tokens = new Embedding(vocabulary, width);
    this.positions = new Embedding(context, width);
    this.drop = new Dropout(dropout);
    this.blocks = new ModuleList(Array.from({ length: layers }, () => new Block(options)));
    this.norm = new LayerNorm(width);
    this.head = new Linear(width, vocabulary, { bias: false });
    this.#initialise(options);
  }

  /**
   * Normal, about as wide as keeps the variance of what goes through (0.02, GPT-2's choice, is for a width of 1,600 and makes narrow models learn
   * late); what adds to the residual stream is smaller with depth.
   */
  #initialise({ layers, width }: GptOptions): void {
    const base = 0.9 / Math.sqrt(width);
    noGrad(() => {
      for (const [name, parameter] of this.namedParameters()) {
        if (parameter.ndim < 2) {
          if (name.endsWith('bias')) parameter.zero_();
          continue;
        }
        const deviation = /\.(project|contract)\.weight$/.test(name) ? base / Math.sqrt(2 * layers) : base;
        parameter.copy_(randn(parameter.shape).mul(deviation));
      }
    });
  }

  override forward(ids: Tensor): Tensor {
    const length = ids.shape[1];
    let x = this.drop.call(this.tokens.call(ids).add(this.positions.call(arange(length))));
    for (const block of this.blocks) x = (block as Block).call(x);
    return this.head.call(this.norm.call(x));
  }
}
