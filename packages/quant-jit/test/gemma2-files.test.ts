/** Hugging Face folders: written and read back in every dtype, in one file and in several, and everything that can be wrong with them. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad } from '@proj/autograd';
import { fromArray } from '@proj/tensor';
import { saveSafetensors } from '@proj/tensor/io';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  byteTokenizer,
  GemmaTokenizer,
  gemma2Config,
  gemma2ConfigJson,
  loadGemma2,
  loadModel,
  openHuggingFace,
  parseGemma2Config,
  saveHuggingFace,
  stopTokens,
} from '../src/gemma2/index.ts';
import { ODD_SIZES, tinyTeacher } from './support/tiny-teacher.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gemma2-'));
});
afterAll(() => rmSync(root, { recursive: true }));

const model = tinyTeacher();
const IDS = fromArray([2, 5, 11, 36, 7, 0, 4, 9], [1, 8], 'int64');
const logitsOf = (teacher: typeof model): number[] =>
  Array.from(noGrad(() => teacher.call(IDS).logits).toTypedArray(), Number);

/** A folder with the model in three files and an index. */
function sharded(name: string): string {
  const folder = join(root, name);
  saveHuggingFace(folder, model);
  unlinkSync(join(folder, 'model.safetensors'));
  const entries = Object.entries(model.stateDict());
  const map: Record<string, string> = {};
  for (let shard = 0; shard < 3; shard++) {
    const file = `model-0000${shard + 1}-of-00003.safetensors`;
    const part = entries.filter((_, i) => i % 3 === shard);
    for (const [key] of part) map[key] = file;
    saveSafetensors(join(folder, file), Object.fromEntries(part));
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
  return folder;
}

describe('a folder', () => {
  it('gives the model back, exactly', () => {
    const folder = join(root, 'whole');
    saveHuggingFace(folder, model);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'generation_config.json', 'model.safetensors']);
    const loaded = loadGemma2(folder, { checkFinite: true });
    expect(loaded.config).toEqual(model.config);
    expect(loaded.training).toBe(false);
    expect(logitsOf(loaded)).toEqual(logitsOf(model));
  });

  it('gives it back in bfloat16 and float16, to their precision', () => {
    for (const [dtype, bits] of [
      ['bfloat16', 8],
      ['float16', 11],
    ] as const) {
      const folder = join(root, dtype);
      saveHuggingFace(folder, model, { dtype });
      const weights = loadGemma2(folder).stateDict();
      for (const [name, tensor] of Object.entries(model.stateDict())) {
        const [found, expected] = [weights[name].toTypedArray(), tensor.toTypedArray()];
        expect(weights[name].dtype).toBe('float32');
        for (let i = 0; i < expected.length; i++)
          expect(Math.abs(Number(found[i]) - Number(expected[i]))).toBeLessThanOrEqual(
            Math.abs(Number(expected[i])) * 2 ** -bits + 2 ** -25,
          );
      }
    }
  });

  it('may be in several files, and is then the same', () => {
    const folder = sharded('shards');
    expect(logitsOf(loadGemma2(folder))).toEqual(logitsOf(model));
    // A whole file comes first, as in the reference.
    const other = tinyTeacher({ slidingWindow: 3 });
    saveHuggingFace(folder, other);
    unlinkSync(join(folder, 'model-00002-of-00003.safetensors'));
    expect(logitsOf(loadGemma2(folder))).toEqual(logitsOf(other));
  });

  it('is read tensor by tensor, and row by row', () => {
    const folder = join(root, 'rows');
    saveHuggingFace(folder, model, { dtype: 'bfloat16' });
    const { source } = openHuggingFace(folder);
    const name = 'model.layers.1.mlp.down_proj.weight';
    expect(source.info(name)).toEqual({
      type: 'BF16',
      shape: [24, 40],
      bytes: 24 * 40 * 2,
      add: 0,
      file: join(folder, 'model.safetensors'),
    });
    const all = source.read(name);
    expect(Array.from(source.read(name, { begin: 5, end: 7 }))).toEqual(Array.from(all.slice(200, 280)));
    expect(source.readBytes(name, { begin: 23 }).length).toBe(80);
    expect(() => source.read(name, { begin: 5, end: 25 })).toThrow(/rows 5 … 25 .* has 24/);
    expect(() => source.info('model.layers.9.mlp')).toThrow(/no tensor "model.layers.9.mlp".*It has: model\./);
    source.close();
    source.close();
    expect(() => source.read(name)).toThrow(/closed/);
  });

  it('may bring a tokenizer, which must fit', () => {
    const folder = join(root, 'bytes');
    const bytes = tinyTeacher({ vocabSize: 259, bosTokenId: 256, eosTokenIds: [257], padTokenId: 258 });
    saveHuggingFace(folder, bytes, { tokenizer: byteTokenizer() });
    const tokenizer = GemmaTokenizer.fromFolder(folder);
    expect(tokenizer.encode('né')).toEqual([256, 110, 0xc3, 0xa9]);
    tokenizer.checkFits(openHuggingFace(folder).config);
    expect(() => saveHuggingFace(join(root, 'bad'), model, { tokenizer: byteTokenizer() })).toThrow(
      /259 tokens, the model has embeddings for 37 \(vocab_size\)/,
    );
    expect(() => tokenizer.checkFits(gemma2Config({ ...ODD_SIZES, vocabSize: 300 }))).toThrow(
      /token 256, the model expects 2/,
    );
    expect(() =>
      tokenizer.checkFits(gemma2Config({ ...ODD_SIZES, vocabSize: 300, bosTokenId: 256, eosTokenIds: [299] })),
    ).toThrow(/no token 299, which the model has as eos_token_id/);
    const { json } = byteTokenizer() as { readonly json: { readonly model: { readonly vocab: object } } };
    const negative = { ...json, model: { ...json.model, vocab: { ...json.model.vocab, '<0x41>': -7 } } };
    expect(() => new GemmaTokenizer(negative)).toThrow(/token "<0x41>" has the id -7/);
  });
});

describe('a broken folder is refused, and the message says what is broken', () => {
  it('no folder, no config, no weights, only pickled weights', () => {
    expect(() => openHuggingFace(join(root, 'nowhere'))).toThrow(/no folder .*nowhere/);
    const folder = join(root, 'empty');
    mkdirSync(folder);
    expect(() => openHuggingFace(folder)).toThrow(/empty has no config\.json/);
    writeFileSync(join(folder, 'config.json'), '{');
    expect(() => openHuggingFace(folder)).toThrow(/config\.json is not JSON/);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(gemma2ConfigJson(model.config)));
    expect(() => openHuggingFace(folder)).toThrow(/no safetensors file/);
    writeFileSync(join(folder, 'pytorch_model.bin'), '');
    expect(() => openHuggingFace(folder)).toThrow(/only pytorch_model\.bin.*pickled/);
  });

  it('a missing, a truncated and a foreign shard', () => {
    const folder = sharded('damaged');
    const second = join(folder, 'model-00002-of-00003.safetensors');
    const whole = readFileSync(second);
    unlinkSync(second);
    expect(() => openHuggingFace(folder)).toThrow(/lacks 1 of 3 weight files: model-00002-of-00003\.safetensors/);
    writeFileSync(second, whole);
    truncateSync(second, whole.length - 100);
    expect(() => openHuggingFace(folder)).toThrow(/model-00002-of-00003\.safetensors: tensor ".*" claims bytes/);
    truncateSync(second, 20);
    expect(() => openHuggingFace(folder)).toThrow(/model-00002-of-00003\.safetensors: the header claims/);
    copyFileSync(join(folder, 'model-00001-of-00003.safetensors'), second);
    expect(() => openHuggingFace(folder)).toThrow(/model-00002-of-00003\.safetensors lacks "model\./);
    unlinkSync(join(folder, 'model.safetensors.index.json'));
    expect(() => openHuggingFace(folder)).toThrow(/3 safetensors files and no index/);
  });

  it('weights of other shapes, missing weights, other numbers of layers', () => {
    const folder = join(root, 'shapes');
    saveHuggingFace(folder, model);
    const config = join(folder, 'config.json');
    const change = (fields: object): void =>
      writeFileSync(config, JSON.stringify({ ...gemma2ConfigJson(model.config), ...fields }));
    change({ intermediate_size: 41 });
    expect(() => openHuggingFace(folder)).toThrow(
      /"model\.layers\.0\.mlp\.gate_proj\.weight" in model\.safetensors is \[40, 24\], config\.json makes it \[41, 24\]/,
    );
    change({ num_hidden_layers: 4, layer_types: undefined });
    expect(() => openHuggingFace(folder)).toThrow(/11 tensors are missing: model\.layers\.3\./);
    change({ num_hidden_layers: 2, layer_types: undefined });
    expect(() => openHuggingFace(folder)).toThrow(/the weights have 3 layers, num_hidden_layers is 2/);
    const biased = tinyTeacher({ attentionBias: true });
    saveHuggingFace(folder, biased);
    expect(logitsOf(loadGemma2(folder))).toEqual(logitsOf(biased));
    change({ attention_bias: false });
    expect(() => openHuggingFace(folder)).toThrow(/12 biases.*"model\.layers\.0\.self_attn\.q_proj\.bias"/);
  });

  it('weights that are not numbers, on request', () => {
    const broken = tinyTeacher();
    const weight = broken.model.embedTokens.weight;
    noGrad(() => weight.select(0, 3).select(0, 5).fill_(Number.NaN));
    const folder = join(root, 'nan');
    saveHuggingFace(folder, broken);
    expect(() => loadGemma2(folder)).not.toThrow();
    expect(() => loadGemma2(folder, { checkFinite: true })).toThrow(
      /"model\.embed_tokens\.weight" .* is NaN at \[3, 5\]/,
    );
  });

  it('a model that memory cannot hold, with how much it takes', () => {
    const folder = join(root, 'large');
    saveHuggingFace(folder, model);
    const { source } = openHuggingFace(folder);
    const config = { ...model.config, vocabSize: 1e12 };
    expect(() => loadModel({ path: folder, config, source })).toThrow(
      /needs 96\.\d TB: 96\.\d TB for weights in float32; [\d.]+ GB are available.*bfloat16/,
    );
    source.close();
  });

  it('a tokenizer that is missing or damaged', () => {
    const folder = join(root, 'tokens');
    mkdirSync(folder);
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(/no tokenizer\.json/);
    writeFileSync(join(folder, 'tokenizer.json'), '{}');
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(/tokenizer\.json has no "model"/);
    writeFileSync(join(folder, 'tokenizer.json'), '{"model": {"type": "Unheard"}}');
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(/tokens\/tokenizer\.json: the tokenizer cannot be built/);
    const { json } = byteTokenizer() as { readonly json: { readonly model: { readonly vocab: object } } };
    const write = (fields: object): void =>
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...json, ...fields }));
    // The library looks at these when the first text comes.
    write({ post_processor: { type: 'TemplateProcessing', single: 7, pair: [], special_tokens: {} } });
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(/tokenizer\.json: the tokenizer cannot be built/);
    write({ model: { ...json.model, vocab: { ...json.model.vocab, '<0x41>': 7 } } });
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(
      /tokenizer\.json: token "<0x41>" has the id 7, which is th/,
    );
    for (const [id, message] of [
      [1e9, /token "<eos>" has the id 1000000000\./],
      [260, /token "<eos>" has the ids 257 and 260/],
    ] as const) {
      write({ added_tokens: [{ id, content: '<eos>', special: true }] });
      expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(message);
    }
    const few = { ...json.model, vocab: { '<pad>': 0, x: 1 }, byte_fallback: false };
    write({ model: few, added_tokens: [], post_processor: null, decoder: null });
    expect(GemmaTokenizer.fromFolder(folder).encode('axa')).toEqual([1]);
    write({});
    writeFileSync(join(folder, 'tokenizer_config.json'), 'null');
    expect(() => GemmaTokenizer.fromFolder(folder)).toThrow(/tokenizer_config\.json is not a JSON object/);
  });
});

describe('a configuration', () => {
  const good = gemma2ConfigJson(gemma2Config(ODD_SIZES));

  it('survives being written', () => {
    expect(parseGemma2Config(JSON.parse(JSON.stringify(good)))).toEqual(gemma2Config(ODD_SIZES));
  });

  it('has the defaults of the reference where the file is silent', () => {
    const sizes = Object.fromEntries(
      Object.entries(good).filter(([key]) => /^(model_type|vocab_size|.*_size|num_.*|head_dim)$/.test(key)),
    );
    expect(parseGemma2Config(sizes)).toMatchObject({
      queryPreAttnScalar: 256,
      slidingWindow: 4096,
      attnLogitSoftcapping: 50,
      finalLogitSoftcapping: 30,
      rmsNormEps: 1e-6,
      ropeTheta: 10_000,
      layerTypes: ['sliding', 'global', 'sliding'],
      tieWordEmbeddings: true,
    });
    expect(parseGemma2Config({ ...good, final_logit_softcapping: null }).finalLogitSoftcapping).toBeNull();
    expect(parseGemma2Config({ ...good, rope_parameters: { rope_type: 'default', rope_theta: 77 } }).ropeTheta).toBe(
      77,
    );
    expect(parseGemma2Config({ ...good, sliding_window: null, max_position_embeddings: 99 }).slidingWindow).toBe(99);
    expect(parseGemma2Config({ ...good, eos_token_id: [1, 9] }).eosTokenIds).toEqual([1, 9]);
  });

  it.each([
    [
      'model_type',
      { model_type: 'llama', architectures: ['LlamaForCausalLM'] },
      /"model_type" is "llama", not "gemma2"/,
    ],
    ['model_type', { model_type: 'gemma' }, /"model_type" is "gemma"/],
    [
      'architectures',
      { model_type: undefined, architectures: ['MistralForCausalLM'] },
      /"architectures" is \["Mistral/,
    ],
    ['vocab_size', { vocab_size: undefined }, /"vocab_size" is missing/],
    ['hidden_size', { hidden_size: '24' }, /"hidden_size" is "24"\. Give a positive whole number/],
    ['head_dim', { head_dim: 9 }, /"head_dim" is 9.*even/],
    [
      'num_key_value_heads',
      { num_key_value_heads: 4 },
      /"num_key_value_heads" is 4, which does not divide num_attention_heads \(6\)/,
    ],
    ['rms_norm_eps', { rms_norm_eps: -1 }, /"rms_norm_eps" is -1/],
    ['hidden_activation', { hidden_activation: 'silu' }, /"hidden_activation" is "silu".*gelu_pytorch_tanh/],
    ['rope_scaling', { rope_scaling: { type: 'linear', factor: 2 } }, /"rope_scaling" asks for "linear"/],
    ['rope_scaling', { rope_scaling: 'dynamic' }, /"rope_scaling" is "dynamic"/],
    ['rope_scaling', { rope_scaling: { factor: 8 } }, /"rope_scaling" asks for "a factor"/],
    [
      'rope_parameters',
      { rope_parameters: { full_attention: { rope_type: 'yarn' } } },
      /"rope_parameters" asks for "y/,
    ],
    ['layer_types', { layer_types: ['full_attention'] }, /"layer_types" does not have 3 entries/],
    ['layer_types', { layer_types: ['full_attention', 'a', 'b'] }, /"layer_types" holds "a"/],
    ['bos_token_id', { bos_token_id: 37 }, /"bos_token_id" is 37.*below vocab_size \(37\)/],
    ['use_bidirectional_attention', { use_bidirectional_attention: true }, /"use_bidirectional_attention" is true/],
    ['attention_bias', { attention_bias: 1 }, /"attention_bias" is 1.*true or false/],
    ['sliding_window', { sliding_window: 0 }, /"sliding_window" is 0/],
    ['num_hidden_layers', { num_hidden_layers: 1e9 }, /"num_hidden_layers" is 1000000000.*at most 10000/],
    ['final_logit_softcapping', { final_logit_softcapping: 1e308 }, /"final_logit_softcapping" is 1e\+308.*32-bit/],
  ])('is refused by the name of the field: %s', (_, fields, message) => {
    expect(() => parseGemma2Config({ ...good, ...fields })).toThrow(message);
  });
});

it('tokens that end a text are those of both configurations that the vocabulary has', () => {
  const path = join(root, 'stops');
  saveHuggingFace(path, model);
  const { config } = openHuggingFace(path);
  const ids = [config.vocabSize - 1, config.vocabSize, -1, 2.5, '3', null];
  writeFileSync(join(path, 'generation_config.json'), JSON.stringify({ eos_token_id: ids }));
  const own = stopTokens({ path: root, config }, null);
  expect(stopTokens({ path, config }, null)).toEqual(
    [...new Set([...own, config.vocabSize - 1])].sort((a, b) => a - b),
  );
});
