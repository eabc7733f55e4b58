/** A small Gemma 2 whose heads, window and context are all different numbers, and made-up weights for its programs. */
import { type Gemma2Config, parseGemma2Config } from '../../src/gemma2/index.ts';
import { constantsFrom, type ConstantSource, type NativeCodeILNN } from '../../src/il/index.ts';
import { quantize, type QuantizedMatrix } from '../../src/quantize/index.ts';
import { gaussian } from '../gaussian.ts';

/** The configuration, with other fields of `config.json` where they are given. */
export const tinyConfig = (fields: Readonly<Record<string, unknown>> = {}): Gemma2Config =>
  parseGemma2Config({
    model_type: 'gemma2',
    vocab_size: 96,
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
    query_pre_attn_scalar: 20,
    sliding_window: 8,
    max_position_embeddings: 48,
    ...fields,
  });

/** Longer than the window. */
export const PROMPT = [2, 92, 33, 34, 16, 78, 67, 17, 42, 44, 72, 74, 39, 3];

/** Constants of a program, normally distributed. */
export function constantsOf(il: NativeCodeILNN, deviation = 0.15, seed = 0): ConstantSource {
  const matrices = new Map<string, QuantizedMatrix>();
  const floats = new Map<string, Float32Array>();
  for (const [i, { name, type }] of il.constants.entries()) {
    const size = type.shape.reduce((product, n) => product * n, 1);
    const data = gaussian(size, seed + i + 1, deviation);
    if (type.scheme === 'f32') floats.set(name, data);
    else matrices.set(name, quantize(data, type.shape[0], type.shape[1], type.scheme));
  }
  return constantsFrom({ matrices, floats });
}

export const largest = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
