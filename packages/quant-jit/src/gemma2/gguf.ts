/**
 * Gemma 2 in GGUF files. The header is read by `@huggingface/gguf`; names, shapes and values become those of Hugging Face's files. llama.cpp's converter stores
 * norms as 1 + w and leaves the rows of the query and key projections in place; dimensions stand in the opposite order.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { gguf, type GGUFParseOutput, GGMLQuantizationType } from '@huggingface/gguf';
import { ProjError } from '@proj/kernel';
import { type Gemma2Config, parseGemma2Config } from './config.ts';
import { BLOCK_FORMATS, decodeBlocks } from './gguf-blocks.ts';
import { checkTensors, type Gemma2Checkpoint } from './load.ts';
import {
  isPlain,
  noSuchTensor,
  type PlainType,
  rowLength,
  type RowRange,
  rowRange,
  type StoredType,
  type TensorInfo,
  type TensorSource,
  widen,
} from './tensor-source.ts';
import type { GemmaTokenizer } from './tokenizer.ts';
import { sentencePieceTokenizer, type SentencePieceVocabulary } from './tokenizer-files.ts';

const OP = 'openGguf';

type Metadata = Readonly<Record<string, unknown>>;

/** A checkpoint from a GGUF file. */
export interface GgufCheckpoint extends Gemma2Checkpoint {
  /** The tokenizer of the file. Errors: it is not of the sentencepiece kind that Gemma has. */
  tokenizer(): GemmaTokenizer;
}

const STORED: Partial<Record<GGMLQuantizationType, StoredType>> = {
  [GGMLQuantizationType.F64]: 'F64',
  [GGMLQuantizationType.F32]: 'F32',
  [GGMLQuantizationType.F16]: 'F16',
  [GGMLQuantizationType.BF16]: 'BF16',
  [GGMLQuantizationType.Q4_0]: 'Q4_0',
  [GGMLQuantizationType.Q4_1]: 'Q4_1',
  [GGMLQuantizationType.Q5_0]: 'Q5_0',
  [GGMLQuantizationType.Q5_1]: 'Q5_1',
  [GGMLQuantizationType.Q8_0]: 'Q8_0',
  [GGMLQuantizationType.Q2_K]: 'Q2_K',
  [GGMLQuantizationType.Q3_K]: 'Q3_K',
  [GGMLQuantizationType.Q4_K]: 'Q4_K',
  [GGMLQuantizationType.Q5_K]: 'Q5_K',
  [GGMLQuantizationType.Q6_K]: 'Q6_K',
  [GGMLQuantizationType.IQ4_NL]: 'IQ4_NL',
  [GGMLQuantizationType.IQ4_XS]: 'IQ4_XS',
};
const KNOWN_TYPES = Object.values(STORED).join(', ');
const PLAIN_BYTES: Record<PlainType, number> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

const NAMES: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
};
const LAYER_NAMES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** The name that Hugging Face's files have for a tensor of a GGUF. */
function huggingFaceName(name: string): string {
  const match = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name);
  const layer = match === null ? undefined : LAYER_NAMES[match[2]];
  return match === null || layer === undefined
    ? (NAMES[name] ?? name)
    : `model.layers.${match[1]}.${layer}.${match[3]}`;
}

interface Entry {
  readonly info: TensorInfo;
  readonly offset: number;
}

class GgufSource implements TensorSource {
  readonly names: readonly string[];
  readonly #path: string;
  readonly #entries: ReadonlyMap<string, Entry>;
  #file: number | null;

  constructor(path: string, file: number, entries: ReadonlyMap<string, Entry>) {
    this.#path = path;
    this.#file = file;
    this.#entries = entries;
    this.names = [...entries.keys()];
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw noSuchTensor(name, this.#path, this.names);
    return entry;
  }

  info(name: string): TensorInfo {
    return this.#entry(name).info;
  }

  readBytes(name: string, rows?: RowRange): Uint8Array {
    const { info, offset } = this.#entry(name);
    const { begin, end } = rowRange(name, info, rows);
    const row = storedBytes(info.type, rowLength(info.shape));
    const bytes = new Uint8Array((end - begin) * row);
    if (this.#file === null)
      throw new ProjError('io', `${this.#path} is closed`, { op: OP, cure: 'Read the tensors before close()' });
    for (let at = 0; at < bytes.length;) {
      const position = offset + begin * row + at;
      const count = readSync(this.#file, bytes, at, Math.min(bytes.length - at, 2 ** 30), position);
      if (count === 0) throw truncated(this.#path, `it ends at byte ${position}, inside tensor "${name}"`);
      at += count;
    }
    return bytes;
  }

  read(name: string, rows?: RowRange): Float32Array {
    const { type, add } = this.info(name);
    const bytes = this.readBytes(name, rows);
    const values = isPlain(type) ? widen(type, bytes) : decodeBlocks(type, bytes);
    return add === 0 ? values : values.map((value) => value + add);
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

const truncated = (path: string, problem: string): ProjError =>
  new ProjError('serialization', `${path}: ${problem}`, { op: OP, cure: 'The file is incomplete: fetch it again' });
const damaged = (path: string, problem: string): ProjError =>
  new ProjError('serialization', `${path}: ${problem}`, { op: OP, cure: 'The file is damaged: fetch it again' });

/** Bytes of `count` numbers of one row. */
const storedBytes = (type: StoredType, count: number): number =>
  isPlain(type) ? count * PLAIN_BYTES[type] : (count / BLOCK_FORMATS[type].elements) * BLOCK_FORMATS[type].bytes;

function entriesOf(path: string, { tensorInfos, tensorDataOffset }: GGUFParseOutput, size: number): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { name, shape: reversed, dtype, offset } of tensorInfos) {
    const type = STORED[dtype];
    if (type === undefined)
      throw new ProjError(
        'not-implemented',
        `${path}: tensor "${name}" is stored as ${GGMLQuantizationType[dtype] ?? dtype}`,
        {
          op: OP,
          cure: `Use a file with ${KNOWN_TYPES} only (llama-quantize makes them)`,
        },
      );
    const shape = reversed.map(Number).reverse();
    const row = shape[shape.length - 1] ?? 1;
    if (!isPlain(type) && row % BLOCK_FORMATS[type].elements !== 0)
      throw truncated(path, `tensor "${name}" has rows of ${row} numbers, which ${type} cannot store`);
    const bytes = storedBytes(
      type,
      shape.reduce((product, n) => product * n, 1),
    );
    const begin = Number(tensorDataOffset + offset);
    if (begin + bytes > size)
      throw truncated(path, `tensor "${name}" takes bytes ${begin} … ${begin + bytes}, the file has ${size}`);
    const add = name.endsWith('norm.weight') ? -1 : 0;
    entries.set(huggingFaceName(name), { info: { type, shape, bytes, add, file: path }, offset: begin });
  }
  return entries;
}

function checkArchitecture(path: string, metadata: Metadata): void {
  const architecture = metadata['general.architecture'];
  if (architecture !== 'gemma2')
    throw new ProjError(
      'serialization',
      `${path}: "general.architecture" is ${JSON.stringify(architecture)}, not "gemma2"`,
      {
        op: OP,
        cure: 'Point at a GGUF file of a Gemma 2 model',
      },
    );
  const parts = numberIn(path, metadata, 'split.count') ?? 1;
  if (parts > 1)
    throw new ProjError('not-implemented', `${path}: it is one of ${parts} files of a model`, {
      op: OP,
      cure: 'Join them to one file: llama-gguf-split --merge FIRST OUTPUT',
    });
}

/** A number of the metadata; undefined where there is none. Errors: it is something else. */
function numberIn(path: string, metadata: Metadata, key: string): number | undefined {
  const value = metadata[key];
  if (value === undefined) return undefined;
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  throw damaged(path, `"${key}" is ${JSON.stringify(value)?.slice(0, 40)}, not a number`);
}

/** The fields of a `config.json` from a GGUF's metadata. */
function configJson(path: string, metadata: Metadata, vocabulary: number, hasHead: boolean): Record<string, unknown> {
  const number = (key: string): number | undefined => numberIn(path, metadata, `gemma2.${key}`);
  const required = (key: string): number => {
    const value = number(key);
    if (value === undefined || !Number.isFinite(value))
      throw new ProjError('serialization', `${path}: the metadata has no "gemma2.${key}"`, {
        op: OP,
        cure: 'Convert the model again with a current convert_hf_to_gguf.py',
      });
    return value;
  };
  const hiddenSize = required('embedding_length');
  const heads = required('attention.head_count');
  const layers = required('block_count');
  const headDim = number('attention.key_length') ?? hiddenSize / heads;
  const scale = number('attention.scale');
  const token = (name: string): number | null => numberIn(path, metadata, `tokenizer.ggml.${name}_token_id`) ?? null;
  return {
    model_type: 'gemma2',
    vocab_size: vocabulary,
    hidden_size: hiddenSize,
    intermediate_size: required('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: number('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    // The format has no field for it: llama.cpp knows that the model with 46 layers (27B) divides by the width of a head of the hidden size.
    query_pre_attn_scalar: scale === undefined ? (layers === 46 ? hiddenSize / heads : headDim) : scale ** -2,
    max_position_embeddings: number('context_length') ?? 8192,
    sliding_window: number('attention.sliding_window') ?? 4096,
    attn_logit_softcapping: number('attn_logit_softcapping') ?? 50,
    final_logit_softcapping: number('final_logit_softcapping') ?? 30,
    rms_norm_eps: number('attention.layer_norm_rms_epsilon') ?? 1e-6,
    rope_theta: number('rope.freq_base') ?? 10_000,
    tie_word_embeddings: !hasHead,
    bos_token_id: token('bos'),
    eos_token_id: [token('eos'), token('eot')].filter((id, i, all) => id !== null && all.indexOf(id) === i),
    pad_token_id: token('padding'),
  };
}

function readTokenizer(path: string, metadata: Metadata): GemmaTokenizer {
  const get = (name: string): unknown => metadata[`tokenizer.ggml.${name}`];
  const kind = get('model');
  const [tokens, scores, types] = ['tokens', 'scores', 'token_type'].map(get);
  if (kind !== 'llama' || !Array.isArray(tokens) || !Array.isArray(scores) || !Array.isArray(types))
    throw new ProjError('not-implemented', `${path}: a tokenizer of kind ${JSON.stringify(kind)} is not read`, {
      op: OP,
      cure: 'Gemma\'s is of the sentencepiece kind ("llama"); give the model\'s tokenizer.json instead',
    });
  const lists = { tokens, scores, token_type: types };
  for (const [name, list] of Object.entries(lists)) {
    const kindOf = name === 'tokens' ? 'string' : 'number';
    const at = list.findIndex((value: unknown) => typeof value !== kindOf || Number.isNaN(value));
    if (at >= 0) throw damaged(path, `"tokenizer.ggml.${name}" has ${JSON.stringify(list[at])} at ${at}, no ${kindOf}`);
  }
  const id = (name: string): number | null => numberIn(path, metadata, `tokenizer.ggml.${name}_token_id`) ?? null;
  const template = metadata['tokenizer.chat_template'];
  const vocabulary: SentencePieceVocabulary = {
    tokens: tokens as string[],
    scores: scores as number[],
    types: types as number[],
    bosId: id('bos'),
    eosId: id('eos'),
    padId: id('padding'),
    unknownId: id('unknown'),
    addBos: get('add_bos_token') !== false,
    chatTemplate: typeof template === 'string' ? template : null,
  };
  return sentencePieceTokenizer(vocabulary, path);
}

/**
 * The header. The library asks for ranges as of a file far away: its own reader of local files goes on with zeros where the file ends, for a minute where a length
 * lies.
 */
async function readHeader(path: string, file: number, size: number): Promise<GGUFParseOutput> {
  const ranges: typeof fetch = (_url, init) => {
    const [begin, end] = /(\d+)-(\d+)/
      .exec(new Headers(init?.headers).get('range') ?? '')
      ?.slice(1)
      .map(Number) ?? [0, 0];
    if (begin >= size) throw truncated(path, 'it ends inside its header');
    const bytes = new Uint8Array(Math.min(end + 1, size) - begin);
    const count = readSync(file, bytes, 0, bytes.length, begin);
    return Promise.resolve(new Response(bytes.subarray(0, count)));
  };
  try {
    return await gguf('https://localhost/', { fetch: ranges });
  } catch (error) {
    if (error instanceof ProjError) throw error;
    throw new ProjError('serialization', `${path}: the header cannot be read (${(error as Error).message})`, {
      op: OP,
      cure: 'The file is damaged, incomplete or not a GGUF: fetch it again',
      cause: error,
    });
  }
}

/** Opens a GGUF file of a Gemma 2 model: reads its header and checks that every weight is there. Errors name the field or the tensor. */
export async function openGguf(path: string): Promise<GgufCheckpoint> {
  if (!existsSync(path)) throw new ProjError('io', `there is no file ${path}`, { op: OP, cure: 'Check the path' });
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const header = await readHeader(path, file, size);
    const metadata = header.metadata as unknown as Metadata;
    checkArchitecture(path, metadata);
    // The last range is filled up with zeros.
    if (Number(header.tensorDataOffset) > size) throw truncated(path, 'it ends inside its header');
    const entries = entriesOf(path, header, size);
    const vocabulary = entries.get('model.embed_tokens.weight')?.info.shape[0];
    if (vocabulary === undefined) throw truncated(path, 'it has no "token_embd.weight"');
    const json = configJson(path, metadata, vocabulary, entries.has('lm_head.weight'));
    const config: Gemma2Config = parseGemma2Config(json, path);
    const source = new GgufSource(path, file, entries);
    checkTensors(config, source, path);
    return { path, config, source, tokenizer: () => readTokenizer(path, metadata) };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}
