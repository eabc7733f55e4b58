/**
 * A Gemma 2 of made-up weights as a GGUF file, for llama.cpp. Quantised blocks are random bits with a scale that gives the weights the spread
 * of a fresh initialisation; speed does not depend on the values, but overflowing activations could. Metadata keys and tensor names are those
 * that llama.cpp reads for `gemma2`; the output matrix is the embedding.
 */
import { floatToHalfBits } from '@proj/kernel';
import type { GemmaShape, LowBitScheme } from '../low-bit.ts';
import { GGML_TYPES, tensorBytes, writeGguf } from './gguf.ts';
import type { GgmlType, GgufTensor, GgufValue } from './gguf.ts';

/** The type of llama.cpp that has as many bits. */
export const GGML_OF: Record<LowBitScheme, Exclude<GgmlType, 'F32'>> = {
  q4: 'Q4_0',
  q8: 'Q8_0',
  q158: 'TQ2_0',
  q1: 'Q1_0',
};

interface BlockForm {
  /** Where the float16 scale stands. */
  readonly scaleAt: number;
  /** Root mean square of uniformly random codes, so that scale = spread / rms. */
  readonly rms: number;
  /** Makes random bytes valid codes. */
  readonly valid?: (byte: number) => number;
}

/** Pairs of bits: 3 is no code of a ternary weight and becomes 1, which means zero. */
const ternary = (byte: number): number => byte & ~((byte & (byte >> 1) & 0x55) << 1);

const FORMS: Record<Exclude<GgmlType, 'F32'>, BlockForm> = {
  Q4_0: { scaleAt: 0, rms: Math.sqrt((16 ** 2 - 1) / 12 + 0.25) },
  Q8_0: { scaleAt: 0, rms: Math.sqrt((256 ** 2 - 1) / 12 + 0.25) },
  TQ2_0: { scaleAt: 64, rms: Math.SQRT1_2, valid: ternary },
  Q1_0: { scaleAt: 0, rms: 1 },
};

/** Random blocks are drawn from a pool; a prime, so that rows do not repeat in step with it. */
const POOL_BLOCKS = 16_381;

/** Random bytes: Marsaglia's xorshift with 32 bits of state. */
function randomBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** Blocks of weights with the given spread. */
function blockPool(type: Exclude<GgmlType, 'F32'>, spread: number, seed: number): Uint8Array {
  const { bytes } = GGML_TYPES[type];
  const { scaleAt, rms, valid } = FORMS[type];
  const pool = randomBytes(POOL_BLOCKS * bytes, seed);
  if (valid !== undefined) pool.set(pool.map(valid));
  const scale = floatToHalfBits(spread / rms);
  for (let at = scaleAt; at < pool.length; at += bytes) {
    pool[at] = scale & 255;
    pool[at + 1] = scale >> 8;
  }
  return pool;
}

type Pools = (type: Exclude<GgmlType, 'F32'>, fanIn: number) => Uint8Array;

function matrix(name: string, type: Exclude<GgmlType, 'F32'>, fanIn: number, rows: number, pools: Pools): GgufTensor {
  const { bytes } = GGML_TYPES[type];
  return {
    name,
    type,
    dims: [fanIn, rows],
    fill(target, first) {
      const pool = pools(type, fanIn);
      for (let at = 0; at < target.length;) {
        const from = ((first + at / bytes) % POOL_BLOCKS) * bytes;
        const count = Math.min(target.length - at, pool.length - from);
        target.set(pool.subarray(from, from + count), at);
        at += count;
      }
    },
  };
}

/** A norm's weights, which llama.cpp stores as 1 + w. */
function norm(name: string, width: number): GgufTensor {
  return {
    name,
    type: 'F32',
    dims: [width],
    fill: (target) => new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4).fill(1),
  };
}

/** The tensors of a model, all its matrices (the embedding too) in one type. Exported for its test. */
export function gemmaTensors(shape: GemmaShape, type: Exclude<GgmlType, 'F32'>, seed: number): GgufTensor[] {
  const known = new Map<number, Uint8Array>();
  const pools: Pools = (of, fanIn) => {
    let pool = known.get(fanIn);
    if (pool === undefined) known.set(fanIn, (pool = blockPool(of, 1 / Math.sqrt(fanIn), seed)));
    return pool;
  };
  const { layers, width, feedForward, heads, keyValueHeads, headWidth, vocabulary } = shape;
  const [queries, keys] = [heads * headWidth, keyValueHeads * headWidth];
  const weight = (name: string, fanIn: number, rows: number): GgufTensor =>
    matrix(`${name}.weight`, type, fanIn, rows, pools);
  const tensors = [weight('token_embd', width, vocabulary), norm('output_norm.weight', width)];
  for (let layer = 0; layer < layers; layer++) {
    const at = `blk.${layer}`;
    for (const name of ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm'])
      tensors.push(norm(`${at}.${name}.weight`, width));
    tensors.push(
      weight(`${at}.attn_q`, width, queries),
      weight(`${at}.attn_k`, width, keys),
      weight(`${at}.attn_v`, width, keys),
      weight(`${at}.attn_output`, queries, width),
      weight(`${at}.ffn_gate`, width, feedForward),
      weight(`${at}.ffn_up`, width, feedForward),
      weight(`${at}.ffn_down`, feedForward, width),
    );
  }
  return tensors;
}

/** Token kinds of a sentencepiece vocabulary as GGUF numbers them. */
const TOKEN = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** A vocabulary with Gemma's first entries: four special tokens, the bytes, then words that are the numbers in base 26. */
function vocabularyOf(size: number): { tokens: string[]; kinds: number[]; scores: number[] } {
  const tokens = ['<pad>', '<eos>', '<bos>', '<unk>'];
  const kinds: number[] = [TOKEN.control, TOKEN.control, TOKEN.control, TOKEN.unknown];
  for (let byte = 0; byte < 256; byte++) {
    tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    kinds.push(TOKEN.byte);
  }
  for (let word = 0; tokens.length < size; word++) {
    let text = '';
    for (let rest = word; rest >= 0; rest = Math.floor(rest / 26) - 1) text = `${LETTERS[rest % 26]}${text}`;
    tokens.push(`\u2581${text}`);
    kinds.push(TOKEN.normal);
  }
  return { tokens, kinds, scores: tokens.map((_, i) => -i) };
}

function metadataOf(shape: GemmaShape, type: GgmlType): Record<string, GgufValue> {
  const { tokens, kinds, scores } = vocabularyOf(shape.vocabulary);
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  const f32 = (value: number): GgufValue => ({ type: 'f32', value });
  return {
    'general.architecture': { type: 'string', value: 'gemma2' },
    'general.name': { type: 'string', value: `made-up gemma2 ${type}` },
    'general.file_type': u32(GGML_TYPES[type].fileType),
    'general.quantization_version': u32(2),
    'gemma2.context_length': u32(shape.context),
    'gemma2.embedding_length': u32(shape.width),
    'gemma2.block_count': u32(shape.layers),
    'gemma2.feed_forward_length': u32(shape.feedForward),
    'gemma2.attention.head_count': u32(shape.heads),
    'gemma2.attention.head_count_kv': u32(shape.keyValueHeads),
    'gemma2.attention.key_length': u32(shape.headWidth),
    'gemma2.attention.value_length': u32(shape.headWidth),
    'gemma2.attention.layer_norm_rms_epsilon': f32(1e-6),
    'gemma2.attention.sliding_window': u32(shape.window),
    'gemma2.attn_logit_softcapping': f32(50),
    'gemma2.final_logit_softcapping': f32(30),
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.pre': { type: 'string', value: 'default' },
    'tokenizer.ggml.tokens': { type: 'strings', values: tokens },
    'tokenizer.ggml.scores': { type: 'f32s', values: scores },
    'tokenizer.ggml.token_type': { type: 'i32s', values: kinds },
    'tokenizer.ggml.padding_token_id': u32(0),
    'tokenizer.ggml.eos_token_id': u32(1),
    'tokenizer.ggml.bos_token_id': u32(2),
    'tokenizer.ggml.unknown_token_id': u32(3),
  };
}

/** Bytes of a model's weights, as read for each token (of the embedding once, as the output matrix). */
export function gemmaBytes(shape: GemmaShape, type: Exclude<GgmlType, 'F32'>): number {
  return gemmaTensors(shape, type, 0).reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

/** Writes the model. */
export function writeSyntheticGguf(path: string, shape: GemmaShape, type: Exclude<GgmlType, 'F32'>, seed = 1): void {
  writeGguf(path, metadataOf(shape, type), gemmaTensors(shape, type, seed));
}
