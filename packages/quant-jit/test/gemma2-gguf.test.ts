/** GGUF files: the same model as the folder it came from, every type dequantised by its formula, and files that are refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad } from '@proj/autograd';
import { fromArray } from '@proj/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Gemma2ForCausalLM, loadModel, openGguf } from '../src/gemma2/index.ts';
import { BLOCK_FORMATS, decodeBlocks } from '../src/gemma2/gguf-blocks.ts';
import type { BlockType } from '../src/gemma2/tensor-source.ts';
import ggml from './fixtures/ggml-blocks.json' with { type: 'json' };
import { ggufBytes, type GgufValue, type WrittenTensor, type WrittenType } from './support/gguf-writer.ts';
import { tinyTeacher } from './support/tiny-teacher.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'gguf-'));
});
afterAll(() => rmSync(root, { recursive: true }));

const PIECES = ['<pad>', '<eos>', '<bos>', '<unk>'];
for (let byte = 0; byte < 256; byte++) PIECES.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
PIECES.push(
  '▁',
  'a',
  'b',
  'c',
  't',
  'h',
  'e',
  'th',
  '▁th',
  '▁the',
  'he',
  'ca',
  'at',
  'cat',
  '▁cat',
  '▁▁',
  '<start_of_turn>',
);
const SCORED: Readonly<Record<string, number>> = {
  th: -1,
  '▁th': -2,
  he: -3,
  '▁the': -4,
  at: -5,
  ca: -6,
  cat: -7,
  '▁cat': -8,
};
const KINDS = PIECES.map((piece) =>
  piece === '<unk>'
    ? 2
    : /^<(pad|eos|bos|start_of_turn)>$/.test(piece)
      ? 3
      : piece.startsWith('<0x')
        ? 6
        : piece === '▁▁'
          ? 4
          : 1,
);

/** 32 divides every row, as blocks need. */
const model = tinyTeacher({
  vocabSize: PIECES.length,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 16,
  queryPreAttnScalar: 16,
  attnLogitSoftcapping: 50,
  finalLogitSoftcapping: 30,
  ropeTheta: 10_000,
});

const GGUF_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^model\.layers\.(\d+)\.input_layernorm/, 'blk.$1.attn_norm'],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, 'blk.$1.post_attention_norm'],
  [/^model\.layers\.(\d+)\.pre_feedforward_layernorm/, 'blk.$1.ffn_norm'],
  [/^model\.layers\.(\d+)\.post_feedforward_layernorm/, 'blk.$1.post_ffw_norm'],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, 'blk.$1.attn_output'],
  [/^model\.layers\.(\d+)\.self_attn\.(\w)_proj/, 'blk.$1.attn_$2'],
  [/^model\.layers\.(\d+)\.mlp\.(\w+)_proj/, 'blk.$1.ffn_$2'],
];

const METADATA: Readonly<Record<string, GgufValue>> = {
  'general.architecture': 'gemma2',
  'gemma2.context_length': 128,
  'gemma2.embedding_length': 32,
  'gemma2.block_count': 2,
  'gemma2.feed_forward_length': 64,
  'gemma2.attention.head_count': 4,
  'gemma2.attention.head_count_kv': 2,
  'gemma2.attention.key_length': 16,
  'gemma2.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
  'gemma2.attn_logit_softcapping': 50,
  'gemma2.final_logit_softcapping': 30,
  'gemma2.attention.sliding_window': 5,
  'tokenizer.ggml.model': 'llama',
  'tokenizer.ggml.tokens': PIECES,
  'tokenizer.ggml.scores': Float32Array.from(PIECES, (piece) => SCORED[piece] ?? -100),
  'tokenizer.ggml.token_type': Int32Array.from(KINDS),
  'tokenizer.ggml.bos_token_id': 2,
  'tokenizer.ggml.eos_token_id': 1,
  'tokenizer.ggml.padding_token_id': 0,
  'tokenizer.ggml.unknown_token_id': 3,
  'tokenizer.ggml.add_bos_token': true,
};

function tensorsOf(teacher: Gemma2ForCausalLM, type: WrittenType): Record<string, WrittenTensor> {
  return Object.fromEntries(
    Object.entries(teacher.stateDict()).map(([name, tensor]) => {
      const [pattern, replacement] = GGUF_NAMES.find(([known]) => known.test(name)) ?? [/$/, ''];
      const values = Array.from(tensor.toTypedArray(), Number);
      const isNorm = tensor.ndim === 1;
      return [
        name.replace(pattern, replacement),
        { type: isNorm ? 'F32' : type, shape: tensor.shape, values: isNorm ? values.map((w) => 1 + w) : values },
      ] as const;
    }),
  );
}

function write(name: string, type: WrittenType, metadata: Readonly<Record<string, GgufValue>> = METADATA): string {
  const path = join(root, `${name}.gguf`);
  writeFileSync(path, ggufBytes(metadata, tensorsOf(model, type)));
  return path;
}
const IDS = fromArray([2, 270, 264, 265, 30, 31, 268, 260], [1, 8], 'int64');
const logitsOf = (teacher: Gemma2ForCausalLM): number[] =>
  Array.from(noGrad(() => teacher.call(IDS).logits).toTypedArray(), Number);

describe('a GGUF file', () => {
  it('has the configuration, the names and the numbers of the folder', async () => {
    const checkpoint = await openGguf(write('plain', 'F32'));
    const { initializerRange, ...expected } = model.config;
    expect(checkpoint.config).toMatchObject({ ...expected, rmsNormEps: Math.fround(1e-6) });
    expect(initializerRange).toBe(checkpoint.config.initializerRange);
    for (const checkFinite of [false, true]) {
      const found = logitsOf(loadModel(checkpoint, { checkFinite }));
      // 1 + w is rounded to float32 in the file.
      logitsOf(model).forEach((logit, i) => expect(Math.abs(found[i] - logit)).toBeLessThan(1e-4));
    }
    checkpoint.source.close();
  });

  it.each([
    ['F16', 2 ** -11, 0],
    ['BF16', 2 ** -8, 0],
    // Half a step of the block's scale, which is at most its largest number / 127 or / 8 (and the half that stores it).
    ['Q8_0', 0, 0.502 / 127],
    ['Q4_0', 0, 1.002 / 8],
  ] as const)('of %s gives back weights to its precision, all rows or some', async (type, relative, ofLargest) => {
    const checkpoint = await openGguf(write(type, type));
    const name = 'model.layers.1.mlp.down_proj.weight';
    expect(checkpoint.source.info(name)).toMatchObject({ type, shape: [32, 64] });
    const found = checkpoint.source.read(name);
    const expected = Array.from(model.stateDict()[name].toTypedArray(), Number);
    let differing = 0;
    for (let block = 0; block < expected.length; block += 32) {
      const largest = Math.max(...expected.slice(block, block + 32).map(Math.abs));
      for (let i = block; i < block + 32; i++) {
        const difference = Math.abs(found[i] - expected[i]);
        expect(difference).toBeLessThanOrEqual(relative * Math.abs(expected[i]) + ofLargest * largest + 1e-7);
        differing += Number(difference > 0);
      }
    }
    expect(differing).toBeGreaterThan(0);
    expect(Array.from(checkpoint.source.read(name, { begin: 3, end: 5 }))).toEqual(Array.from(found.slice(192, 320)));
    checkpoint.source.close();
  });

  it('has a tokenizer: merges by score, bytes for the rest, <bos> before', async () => {
    const { tokenizer, source } = await openGguf(write('words', 'F32'));
    const words = tokenizer();
    expect(words.tokens('the cat')).toEqual(['th', 'e', '▁cat']);
    expect(words.encode(' the')).toEqual([2, PIECES.indexOf('▁the')]);
    expect(words.tokens('h  é')).toEqual(['h', '▁▁', '<0xC3>', '<0xA9>']);
    expect(words.decode(words.encode(' the cat é'), { skipSpecialTokens: true })).toBe(' the cat é');
    expect([words.bosId, words.eosId, words.padId]).toEqual([2, 1, 0]);
    expect(words.hasChatTemplate).toBe(false);
    source.close();
  });
});

describe('numbers worked by hand', () => {
  it('Q4_0: scale 0.5, nibbles 0 to 15', () => {
    const block = Uint8Array.of(0x00, 0x38, ...Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)));
    const low = Array.from({ length: 16 }, (_, i) => (i - 8) / 2);
    expect(Array.from(decodeBlocks('Q4_0', block))).toEqual([...low, ...low.toReversed()]);
  });
  it('Q4_1: scale 0.5, minimum -1', () => {
    const block = Uint8Array.of(0x00, 0x38, 0x00, 0xbc, ...new Array<number>(16).fill(0x93));
    expect(Array.from(decodeBlocks('Q4_1', block))).toEqual([...new Array(16).fill(0.5), ...new Array(16).fill(3.5)]);
  });
  it('Q8_0: scale 2, bytes with their sign', () => {
    const block = Uint8Array.of(0x00, 0x40, 1, 255, 127, 128, ...new Array<number>(28).fill(0));
    expect(Array.from(decodeBlocks('Q8_0', block)).slice(0, 5)).toEqual([2, -2, 254, -256, 0]);
  });
  it('Q6_K: low bits, high bits and scales from three places', () => {
    const block = new Uint8Array(210);
    block.set([0x00, 0x3c], 208); // 1
    block.fill(1, 192, 208);
    block[192 + 9] = 254; // -2: the 16 numbers from 144 on
    block[0] = 0x5f; // low bits of numbers 0 and 64
    block[128] = 0b11_10_01_00; // high bits of numbers 0, 32, 64 and 96
    block[64 + 17] = 0x03; // low bits of number 145
    const found = decodeBlocks('Q6_K', block);
    expect([found[0], found[32], found[64], found[96], found[1], found[145], found[128 + 64 + 17]]).toEqual([
      15 - 32,
      16 - 32,
      5 + 32 - 32,
      48 - 32,
      -32,
      (3 - 32) * -2,
      -32,
    ]);
  });
});

describe('blocks of every format', () => {
  it.each(Object.entries(ggml.blocks))('%s are the numbers that ggml reads in them', (type, { bytes, values }) => {
    const found = decodeBlocks(type as BlockType, Buffer.from(bytes, 'base64'));
    expect(found).toEqual(new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer));
    expect(found).toHaveLength(256);
  });
  it('are all covered', () => {
    expect(Object.keys(ggml.blocks).toSorted()).toEqual(Object.keys(BLOCK_FORMATS).toSorted());
  });
});

describe('a GGUF file is refused', () => {
  const without = (key: string): Record<string, GgufValue> =>
    Object.fromEntries(Object.entries(METADATA).filter(([name]) => name !== key));

  it.each([
    ['another architecture', { ...METADATA, 'general.architecture': 'llama' }, /"general\.architecture" is "llama"/],
    ['a part of a model', { ...METADATA, 'split.count': 3 }, /one of 3 files of a model\. Join them/],
    ['a size in words', { ...METADATA, 'gemma2.block_count': '2' }, /"gemma2\.block_count" is "2", not a number/],
    ['a missing size', without('gemma2.block_count'), /no "gemma2\.block_count"/],
    [
      'sizes that do not go with the weights',
      { ...METADATA, 'gemma2.feed_forward_length': 96 },
      /ffn|gate_proj.* is \[64, 32\]/,
    ],
    ['fewer layers than it says', { ...METADATA, 'gemma2.block_count': 3 }, /11 tensors are missing: model\.layers\.2/],
  ])('for %s', async (name, metadata, message) => {
    await expect(openGguf(write(name.replaceAll(' ', '-'), 'F32', metadata))).rejects.toThrow(message);
  });

  it('when it is cut short, is not a GGUF, or is not there', async () => {
    const bytes = ggufBytes(METADATA, tensorsOf(model, 'Q8_0'));
    const path = join(root, 'cut.gguf');
    writeFileSync(path, bytes.subarray(0, bytes.length - 300));
    await expect(openGguf(path)).rejects.toThrow(/cut\.gguf: tensor ".*" takes bytes \d+ … \d+, the file has \d+/);
    writeFileSync(path, bytes.subarray(0, 500));
    await expect(openGguf(path)).rejects.toThrow(/cut\.gguf: it ends inside its header/);
    writeFileSync(path, 'not a model at all, only a text');
    await expect(openGguf(path)).rejects.toThrow(/cut\.gguf: the header cannot be read/);
    await expect(openGguf(join(root, 'nowhere.gguf'))).rejects.toThrow(/no file .*nowhere/);
  });

  it('when a length in the header lies', async () => {
    const path = write('lying', 'Q8_0');
    const bytes = readFileSync(path);
    const key = 'tokenizer.ggml.token_type';
    // Behind the key: the type of the value, that of the elements, their number.
    const length = bytes.indexOf(key) + key.length + 8;
    expect(bytes.readBigUInt64LE(length)).toBe(BigInt(PIECES.length));
    bytes.writeBigUInt64LE(900_000n, length);
    writeFileSync(path, bytes);
    await expect(openGguf(path)).rejects.toThrow(/lying\.gguf: it ends inside its header/);
  });

  it('for a tokenizer of another kind, only when it is asked for', async () => {
    const { tokenizer, source } = await openGguf(write('gpt2', 'F32', { ...METADATA, 'tokenizer.ggml.model': 'gpt2' }));
    expect(tokenizer).toThrow(/kind "gpt2" is not read.*tokenizer\.json/);
    source.close();
    const words = await openGguf(write('scores', 'F32', { ...METADATA, 'tokenizer.ggml.scores': ['-1', ...PIECES] }));
    expect(words.tokenizer).toThrow(/scores\.gguf: "tokenizer\.ggml\.scores" has "-1" at 0, no number/);
    words.source.close();
  });
});
