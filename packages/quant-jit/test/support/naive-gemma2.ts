/** Gemma 2 with plain loops over numbers, written from the paper and the reference's documentation: slow, and the oracle of the tests. */
import type { Gemma2Config } from '../../src/gemma2/index.ts';

/** Weights by name, row by row. */
export type Weights = ReadonlyMap<string, ArrayLike<number>>;

function get(weights: Weights, name: string): ArrayLike<number> {
  const found = weights.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

function project(x: readonly number[], weight: ArrayLike<number>, out: number): number[] {
  return Array.from({ length: out }, (_, o) => x.reduce((sum, value, i) => sum + value * weight[o * x.length + i], 0));
}

function norm(x: readonly number[], weight: ArrayLike<number>, eps: number): number[] {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => (value / Math.sqrt(mean + eps)) * (1 + weight[i]));
}

const cap = (x: number, limit: number | null): number => (limit === null ? x : limit * Math.tanh(x / limit));
const gelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** What the oracle gives for one sequence. */
export interface NaiveResult {
  /** [T][vocabulary] */
  readonly logits: number[][];
  /** The embeddings and the stream after each layer, [T][hidden]. */
  readonly hidden: number[][][];
}

/** Logits and hidden states of all positions. */
export function naiveGemma2(config: Gemma2Config, weights: Weights, ids: readonly number[]): NaiveResult {
  const { hiddenSize, headDim, numAttentionHeads, numKeyValueHeads, intermediateSize, rmsNormEps: eps } = config;
  const table = get(weights, 'model.embed_tokens.weight');
  let stream = ids.map((id) =>
    Array.from({ length: hiddenSize }, (_, i) => table[id * hiddenSize + i] * Math.sqrt(hiddenSize)),
  );
  const hidden = [stream];
  const turned = (head: number[], position: number): number[] =>
    head.map((value, i) => {
      const half = headDim / 2;
      const pair = i % half;
      const angle = position * config.ropeTheta ** ((-2 * pair) / headDim);
      const other = i < half ? -head[i + half] : head[i - half];
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const at = (name: string): ArrayLike<number> => get(weights, `model.layers.${layer}.${name}.weight`);
    const inputs = stream.map((x) => norm(x, at('input_layernorm'), eps));
    const heads = (name: string, count: number): number[][][] =>
      inputs.map((x) => {
        const all = project(x, at(`self_attn.${name}`), count * headDim);
        return Array.from({ length: count }, (_, h) => all.slice(h * headDim, (h + 1) * headDim));
      });
    const queries = heads('q_proj', numAttentionHeads).map((token, t) => token.map((head) => turned(head, t)));
    const keys = heads('k_proj', numKeyValueHeads).map((token, t) => token.map((head) => turned(head, t)));
    const values = heads('v_proj', numKeyValueHeads);
    stream = stream.map((x, t) => {
      const mixed: number[] = [];
      for (let h = 0; h < numAttentionHeads; h++) {
        const shared = Math.floor(h / (numAttentionHeads / numKeyValueHeads));
        const first = layer % 2 === 0 ? Math.max(0, t - config.slidingWindow + 1) : 0;
        const scores: number[] = [];
        for (let s = first; s <= t; s++) {
          const dot = queries[t][h].reduce((sum, value, i) => sum + value * keys[s][shared][i], 0);
          scores.push(cap(dot / Math.sqrt(config.queryPreAttnScalar), config.attnLogitSoftcapping));
        }
        const largest = Math.max(...scores);
        const weightsOf = scores.map((score) => Math.exp(score - largest));
        const total = weightsOf.reduce((sum, value) => sum + value, 0);
        for (let i = 0; i < headDim; i++)
          mixed.push(weightsOf.reduce((sum, w, s) => sum + (w / total) * values[first + s][shared][i], 0));
      }
      const attended = norm(project(mixed, at('self_attn.o_proj'), hiddenSize), at('post_attention_layernorm'), eps);
      const after = x.map((value, i) => value + attended[i]);
      const input = norm(after, at('pre_feedforward_layernorm'), eps);
      const gate = project(input, at('mlp.gate_proj'), intermediateSize);
      const up = project(input, at('mlp.up_proj'), intermediateSize);
      const product = gate.map((value, i) => gelu(value) * up[i]);
      const fed = norm(project(product, at('mlp.down_proj'), hiddenSize), at('post_feedforward_layernorm'), eps);
      return after.map((value, i) => value + fed[i]);
    });
    hidden.push(stream);
  }
  const logits = stream.map((x) =>
    project(norm(x, get(weights, 'model.norm.weight'), eps), table, config.vocabSize).map((z) =>
      cap(z, config.finalLogitSoftcapping),
    ),
  );
  return { logits, hidden };
}
