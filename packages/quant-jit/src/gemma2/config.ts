/**
 * The configuration of a Gemma 2 model: Hugging Face's `config.json`, checked. Names are those of the file in camelCase; what the file leaves out has
 * the default of the reference implementation (transformers, `Gemma2Config`), except for the sizes, which must be there.
 */
import { ProjError } from '@proj/kernel';

/** Whether a layer sees the last `slidingWindow` tokens or all of them. */
export type LayerType = 'sliding' | 'global';

/** Sizes and constants of a Gemma 2 model. */
export interface Gemma2Config {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** Scores are divided by its square root. */
  readonly queryPreAttnScalar: number;
  readonly maxPositionEmbeddings: number;
  /** A sliding layer sees the token itself and the `slidingWindow - 1` before it. */
  readonly slidingWindow: number;
  /** One entry a layer; even layers slide unless the file says otherwise. */
  readonly layerTypes: readonly LayerType[];
  /** c of c · tanh(x / c) over attention scores; null: no cap. */
  readonly attnLogitSoftcapping: number | null;
  /** c of c · tanh(x / c) over logits; null: no cap. */
  readonly finalLogitSoftcapping: number | null;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly attentionBias: boolean;
  readonly attentionDropout: number;
  /** Whether the output projection is the embedding table. */
  readonly tieWordEmbeddings: boolean;
  /** Standard deviation of fresh weights. */
  readonly initializerRange: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
}

type Json = Readonly<Record<string, unknown>>;

const OP = 'gemma2 config';
/** Above this a file is wrong: lists of layers are not made for it. */
const MOST_LAYERS = 10_000;

function wrong(where: string, field: string, problem: string, cure: string): ProjError {
  return new ProjError('serialization', `${where}: "${field}" ${problem}`, { op: OP, cure });
}

/** The fields of one file, each read with its check. */
class Fields {
  readonly where: string;
  readonly json: Json;

  constructor(where: string, json: Json) {
    this.where = where;
    this.json = json;
  }

  fail(field: string, problem: string, cure: string): ProjError {
    return wrong(this.where, field, problem, cure);
  }

  #absent(field: string): boolean {
    return this.json[field] === undefined || this.json[field] === null;
  }

  /** A positive whole number. */
  size(field: string, fallback?: number): number {
    if (this.#absent(field)) {
      if (fallback !== undefined) return fallback;
      throw this.fail(field, 'is missing', `Add it: Gemma 2 has no model without "${field}"`);
    }
    const value = this.json[field];
    if (!Number.isSafeInteger(value) || (value as number) < 1)
      throw this.fail(field, `is ${JSON.stringify(value)}`, 'Give a positive whole number');
    return value as number;
  }

  /** A positive number that a float can hold. */
  positive(field: string, fallback: number): number {
    if (this.#absent(field)) return fallback;
    const value = this.json[field];
    if (typeof value !== 'number' || !(Math.fround(value) > 0) || !Number.isFinite(Math.fround(value)))
      throw this.fail(field, `is ${JSON.stringify(value)}`, 'Give a positive number that a 32-bit float can hold');
    return value;
  }

  /** A positive number, or null where the file says null. */
  cap(field: string, fallback: number): number | null {
    return this.json[field] === null ? null : this.positive(field, fallback);
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'boolean') throw this.fail(field, `is ${JSON.stringify(value)}`, 'Give true or false');
    return value;
  }

  token(field: string, vocabSize: number): number | null {
    if (this.#absent(field)) return null;
    const value = this.json[field];
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) >= vocabSize)
      throw this.fail(field, `is ${JSON.stringify(value)}`, `Give a token id below vocab_size (${vocabSize})`);
    return value as number;
  }

  tokens(field: string, vocabSize: number): number[] {
    const value = this.json[field];
    if (!Array.isArray(value)) {
      const one = this.token(field, vocabSize);
      return one === null ? [] : [one];
    }
    return value.map((id) => {
      if (Number.isSafeInteger(id) && id >= 0 && id < vocabSize) return id as number;
      throw this.fail(field, `holds ${JSON.stringify(id)}`, `Give token ids below vocab_size (${vocabSize})`);
    });
  }
}

/** The activation, under either of its names; only tanh-GELU is Gemma 2. */
function checkActivation(fields: Fields): void {
  const field = fields.json.hidden_activation === undefined ? 'hidden_act' : 'hidden_activation';
  const value = fields.json[field] ?? 'gelu_pytorch_tanh';
  if (value !== 'gelu_pytorch_tanh')
    throw fields.fail(
      field,
      `is ${JSON.stringify(value)}`,
      'Gemma 2 uses "gelu_pytorch_tanh"; other activations are not implemented',
    );
}

function checkModelType({ where, json }: Fields): void {
  const architecture = Array.isArray(json.architectures) ? json.architectures.map(String) : [];
  const cure = 'Point at the folder of a Gemma 2 model (model_type "gemma2"), such as one of google/gemma-2-*';
  if (json.model_type === undefined && architecture.length === 0) throw wrong(where, 'model_type', 'is missing', cure);
  if (json.model_type !== undefined && json.model_type !== 'gemma2')
    throw wrong(where, 'model_type', `is ${JSON.stringify(json.model_type)}, not "gemma2"`, cure);
  if (architecture.length > 0 && !architecture.some((name) => name.startsWith('Gemma2')))
    throw wrong(where, 'architectures', `is ${JSON.stringify(architecture)}`, cure);
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

function ropeTheta(fields: Fields): number {
  // transformers 5 moved the base into `rope_parameters`, for all layers or by their type.
  const found: Json[] = [];
  for (const field of ['rope_scaling', 'rope_parameters']) {
    const value = fields.json[field] ?? null;
    if (value === null) continue;
    const plain = 'Gemma 2 has plain rotary embeddings: remove the field or use another model';
    if (!isJson(value)) throw fields.fail(field, `is ${JSON.stringify(value)}`, plain);
    const groups = [value, ...Object.values(value).filter(isJson)];
    for (const group of groups) {
      const kind = group.rope_type ?? group.type ?? (group.factor === undefined ? 'default' : 'a factor');
      if (kind !== 'default') throw fields.fail(field, `asks for ${JSON.stringify(kind)}`, plain);
    }
    found.push(...groups);
  }
  const bases = new Set(found.flatMap(({ rope_theta: base }) => (base === undefined ? [] : [base])));
  if (bases.size > 1)
    throw fields.fail('rope_parameters', 'gives different bases to layers', 'Gemma 2 has one rope_theta for all');
  const [base] = bases;
  return base === undefined
    ? fields.positive('rope_theta', 10_000)
    : new Fields(fields.where, { rope_theta: base }).positive('rope_theta', 10_000);
}

const LAYER_TYPES: Readonly<Record<string, LayerType>> = { sliding_attention: 'sliding', full_attention: 'global' };

function layerTypes(fields: Fields, layers: number): LayerType[] {
  const given = fields.json.layer_types ?? null;
  if (given === null) return Array.from({ length: layers }, (_, i) => (i % 2 === 0 ? 'sliding' : 'global'));
  if (!Array.isArray(given) || given.length !== layers)
    throw fields.fail('layer_types', `does not have ${layers} entries`, 'Give one for each of num_hidden_layers');
  return given.map((name: unknown) => {
    const type = LAYER_TYPES[String(name)];
    if (type !== undefined) return type;
    throw fields.fail(
      'layer_types',
      `holds ${JSON.stringify(name)}`,
      `Use ${Object.keys(LAYER_TYPES)
        .map((key) => JSON.stringify(key))
        .join(' or ')}`,
    );
  });
}

/**
 * A parsed `config.json` as a checked configuration. Errors (`serialization`): it is not Gemma 2, a field is missing, wrong or does not go with another;
 * the message names the field.
 */
export function parseGemma2Config(json: unknown, where = 'config.json'): Gemma2Config {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new ProjError('serialization', `${where} is not a JSON object`, {
      op: OP,
      cure: "Point at a Hugging Face model's config.json",
    });
  const fields = new Fields(where, json as Json);
  checkModelType(fields);
  checkActivation(fields);
  if (fields.flag('use_bidirectional_attention', false))
    throw fields.fail(
      'use_bidirectional_attention',
      'is true',
      'Use a model that writes texts: it sees what came before',
    );
  const vocabSize = fields.size('vocab_size');
  const numHiddenLayers = fields.size('num_hidden_layers');
  if (numHiddenLayers > MOST_LAYERS)
    throw fields.fail('num_hidden_layers', `is ${numHiddenLayers}`, `Give at most ${MOST_LAYERS}`);
  const numAttentionHeads = fields.size('num_attention_heads');
  const numKeyValueHeads = fields.size('num_key_value_heads');
  const headDim = fields.size('head_dim');
  if (numAttentionHeads % numKeyValueHeads !== 0)
    throw fields.fail(
      'num_key_value_heads',
      `is ${numKeyValueHeads}, which does not divide num_attention_heads (${numAttentionHeads})`,
      'Each key/value head serves a whole number of query heads: correct one of the two',
    );
  if (headDim % 2 !== 0)
    throw fields.fail('head_dim', `is ${headDim}`, 'Rotary embeddings turn pairs: give an even number');
  const maxPositionEmbeddings = fields.size('max_position_embeddings', 8192);
  const dropout = fields.json.attention_dropout ?? 0;
  if (typeof dropout !== 'number' || !(dropout >= 0 && dropout < 1))
    throw fields.fail('attention_dropout', `is ${JSON.stringify(dropout)}`, 'Give a number from 0 to below 1');
  return {
    vocabSize,
    hiddenSize: fields.size('hidden_size'),
    intermediateSize: fields.size('intermediate_size'),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    queryPreAttnScalar: fields.positive('query_pre_attn_scalar', 256),
    maxPositionEmbeddings,
    // Null: no window, which is one over all positions.
    slidingWindow: fields.json.sliding_window === null ? maxPositionEmbeddings : fields.size('sliding_window', 4096),
    layerTypes: layerTypes(fields, numHiddenLayers),
    attnLogitSoftcapping: fields.cap('attn_logit_softcapping', 50),
    finalLogitSoftcapping: fields.cap('final_logit_softcapping', 30),
    rmsNormEps: fields.positive('rms_norm_eps', 1e-6),
    ropeTheta: ropeTheta(fields),
    attentionBias: fields.flag('attention_bias', false),
    attentionDropout: dropout,
    tieWordEmbeddings: fields.flag('tie_word_embeddings', true),
    initializerRange: fields.positive('initializer_range', 0.02),
    bosTokenId: fields.token('bos_token_id', vocabSize),
    eosTokenIds: fields.tokens('eos_token_id', vocabSize),
    padTokenId: fields.token('pad_token_id', vocabSize),
  };
}

/** What {@link gemma2Config} needs to know; the rest has defaults. */
export type Gemma2Sizes = Pick<
  Gemma2Config,
  'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'numHiddenLayers' | 'numAttentionHeads' | 'numKeyValueHeads'
> &
  Partial<Gemma2Config>;

/** A configuration from sizes: `headDim` is hiddenSize / numAttentionHeads and `queryPreAttnScalar` is `headDim` unless given. Checked as a file is. */
export function gemma2Config(sizes: Gemma2Sizes): Gemma2Config {
  const headDim = sizes.headDim ?? sizes.hiddenSize / sizes.numAttentionHeads;
  const defaults = { headDim, queryPreAttnScalar: headDim, eosTokenIds: [], ...sizes };
  return parseGemma2Config(gemma2ConfigJson(defaults), 'gemma2Config');
}

const FILE_TYPES: Record<LayerType, string> = { sliding: 'sliding_attention', global: 'full_attention' };

/** A configuration as the fields of `config.json`. What is undefined is left out. */
export function gemma2ConfigJson(config: Partial<Gemma2Config>): Record<string, unknown> {
  const { eosTokenIds, layerTypes: types } = config;
  return {
    architectures: ['Gemma2ForCausalLM'],
    attention_bias: config.attentionBias,
    attention_dropout: config.attentionDropout,
    attn_logit_softcapping: config.attnLogitSoftcapping,
    bos_token_id: config.bosTokenId,
    eos_token_id: eosTokenIds === undefined || eosTokenIds.length > 1 ? eosTokenIds : (eosTokenIds[0] ?? null),
    final_logit_softcapping: config.finalLogitSoftcapping,
    head_dim: config.headDim,
    hidden_act: 'gelu_pytorch_tanh',
    hidden_activation: 'gelu_pytorch_tanh',
    hidden_size: config.hiddenSize,
    initializer_range: config.initializerRange,
    intermediate_size: config.intermediateSize,
    layer_types: types?.map((type) => FILE_TYPES[type]),
    max_position_embeddings: config.maxPositionEmbeddings,
    model_type: 'gemma2',
    num_attention_heads: config.numAttentionHeads,
    num_hidden_layers: config.numHiddenLayers,
    num_key_value_heads: config.numKeyValueHeads,
    pad_token_id: config.padTokenId,
    query_pre_attn_scalar: config.queryPreAttnScalar,
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    sliding_window: config.slidingWindow,
    tie_word_embeddings: config.tieWordEmbeddings,
    vocab_size: config.vocabSize,
  };
}
