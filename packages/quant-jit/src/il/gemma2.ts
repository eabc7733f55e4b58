/**
 * Gemma 2 as an IL-NN: the program of one step, before any pass. Constants have the names of the Hugging Face file; values that comparisons ask for are
 * named `embeddings`, `after_layer.N`, `final_norm` and `logits`.
 */
import { ProjError } from '@proj/kernel';
import type { Gemma2Config } from '../gemma2/config.ts';
import type { ActivationScheme, SchemeName } from '../quantize/scheme.ts';
import { IlBuilder } from './builder.ts';
import type { CacheScheme, Mode } from './il.ts';
import { NativeCodeILNN, TILE_SIZE } from './native-code-ilnn.ts';
import { weight } from './types.ts';

/** How a program of a model computes. */
export interface Gemma2ProgramOptions {
  /** Activation scheme of the products, where the weights take it (default: the first that they take). */
  readonly activation?: ActivationScheme;
  readonly kvCache?: CacheScheme;
  /** Whether the step gives logits of every token, or of the last (default). */
  readonly logits?: 'all' | 'last';
  /** How attention and norms are computed. */
  readonly mode?: Mode;
  /** Longest context (default: `maxPositionEmbeddings`). */
  readonly positions?: number;
  /** Factor of the embeddings (default: √hiddenSize rounded to float32). */
  readonly embeddingScale?: number;
}

/** The program of one step of a Gemma 2 model, a chunk of the prompt or one token. `schemeOf` says how each weight matrix is stored; norms are f32. */
export function buildGemma2(
  config: Gemma2Config,
  schemeOf: (tensorName: string) => SchemeName,
  options: Gemma2ProgramOptions = {},
): NativeCodeILNN {
  if (config.attentionBias)
    throw new ProjError('not-implemented', 'attention projections have biases', {
      op: 'buildGemma2',
      cure: 'Use a model with "attention_bias": false, as every published Gemma 2 is',
    });
  const { activation, kvCache = 'f32', logits = 'last', mode = 'exact' } = options;
  const { hiddenSize: width, headDim, numAttentionHeads: heads, numKeyValueHeads: kvHeads } = config;
  const { intermediateSize: inner, rmsNormEps: eps } = config;
  const b = new IlBuilder();
  const matrix = (name: string, rows: number, columns: number): string =>
    b.constant(name, weight(schemeOf(name), [rows, columns]));
  const norm = (x: string, tensor: string, name: string): string =>
    b.norm(x, b.constant(tensor, weight('f32', [width])), { eps, mode }, name);

  const tokens = b.loadInput();
  const table = matrix('model.embed_tokens.weight', config.vocabSize, width);
  let x = b.embed(table, tokens, options.embeddingScale ?? Math.fround(Math.sqrt(width)), 'embeddings');

  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = (part: string): string => `model.layers.${layer}.${part}.weight`;
    const named = (part: string): string => `layer.${layer}.${part}`;
    const project = (input: string, part: string, rows: number, columns: number, name: string): string =>
      b.project(input, matrix(at(part), rows, columns), activation, named(name));

    const attended = norm(x, at('input_layernorm'), named('attention_input'));
    const rope = (input: string, count: number, name: string): string =>
      b.rope(input, { heads: count, head_dim: headDim, theta: config.ropeTheta }, named(name));
    const q = rope(project(attended, 'self_attn.q_proj', heads * headDim, width, 'q'), heads, 'q_rotated');
    const k = rope(project(attended, 'self_attn.k_proj', kvHeads * headDim, width, 'k'), kvHeads, 'k_rotated');
    const v = project(attended, 'self_attn.v_proj', kvHeads * headDim, width, 'v');
    const seen = b.attention(
      q,
      k,
      v,
      {
        layer,
        heads,
        kv_heads: kvHeads,
        head_dim: headDim,
        scale: config.queryPreAttnScalar ** -0.5,
        cap: config.attnLogitSoftcapping ?? 0,
        window: config.layerTypes[layer] === 'sliding' ? config.slidingWindow : 0,
        cache: kvCache,
        mode,
      },
      named('attention'),
    );
    const mixed = project(seen, 'self_attn.o_proj', width, heads * headDim, 'attention_output');
    const normed = norm(mixed, at('post_attention_layernorm'), named('attention_normed'));
    x = b.add(x, normed, named('after_attention'));

    const fed = norm(x, at('pre_feedforward_layernorm'), named('mlp_input'));
    const gate = b.gelu(project(fed, 'mlp.gate_proj', inner, width, 'gate'), named('gate_gelu'));
    const up = project(fed, 'mlp.up_proj', inner, width, 'up');
    const gated = b.mul(gate, up, named('gated'));
    const down = project(gated, 'mlp.down_proj', width, inner, 'mlp_output');
    x = b.add(x, norm(down, at('post_feedforward_layernorm'), named('mlp_normed')), `after_layer.${layer}`);
  }

  if (logits === 'last') x = b.last(x, 'last_token');
  const final = norm(x, 'model.norm.weight', 'final_norm');
  const head = config.tieWordEmbeddings ? table : matrix('lm_head.weight', config.vocabSize, width);
  const cap = config.finalLogitSoftcapping;
  const scores = b.project(final, head, activation, cap === null ? 'logits' : 'raw_logits');
  b.store(cap === null ? scores : b.softcap(scores, cap, 'logits'));
  return new NativeCodeILNN(
    { name: 'gemma2', positions: options.positions ?? config.maxPositionEmbeddings, tileSize: TILE_SIZE },
    b.build(),
  );
}
