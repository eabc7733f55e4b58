import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gemma2Config } from '../src/gemma2/config.ts';
import {
  buildGemma2,
  definitions,
  type FloatValue,
  fold,
  IlBuilder,
  Interpreter,
  joinMatrices,
  loadMatrix,
  loadRows,
  storeMatrix,
  storeRows,
  type NativeCodeILNN,
  optimise,
  type PassName,
  PASSES,
  planMemory,
  printLayer,
  printProgram,
  type Program,
  rowBytes,
  valueTypes,
  verify,
} from '../src/il/index.ts';
import { weight } from '../src/il/types.ts';
import { dequantize, quantize } from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';
import { randomProgram } from './il-programs.ts';

const config = gemma2Config({
  vocabSize: 64,
  hiddenSize: 32,
  intermediateSize: 64,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  numKeyValueHeads: 1,
  headDim: 16,
});
const scheme = (name: string) => (name.includes('embed') ? 'q8' : 'q4g32');
const ops = ({ instructions }: Program): string[] => instructions.map(({ op }) => op).filter((op) => op !== 'const');

describe('random programs', () => {
  const names = Object.keys(PASSES) as PassName[];
  test.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'program %i gives the same bits after every pass',
    (seed) => {
      const { model, source, inputs } = randomProgram(seed);
      const run = (program: NativeCodeILNN): (readonly FloatValue[])[] => {
        const interpreter = new Interpreter(program, source);
        return inputs.map((input) => interpreter.step(input));
      };
      const expected = run(model);
      for (const name of names) {
        const alone = PASSES[name](model.program);
        expect(run(model.with(alone)), name).toEqual(expected);
      }
      optimise(model.program, { after: (name, program) => expect(run(model.with(program)), name).toEqual(expected) });
    },
  );

  test('they meet every rewrite', () => {
    const met = new Set(
      Array.from({ length: 40 }, (_, seed) => ops(optimise(randomProgram(seed).model.program))).flat(),
    );
    for (const op of ['norm_quantize', 'add_norm', 'add_norm_quantize', 'linear', 'gated_linear', 'slice', 'last'])
      expect(met).toContain(op);
    expect(met).not.toContain('int_dot');
    const orders = Array.from({ length: 40 }, (_, seed) => printProgram(optimise(randomProgram(seed).model.program)));
    expect(orders.some((text) => text.includes('layout: pairs'))).toBe(true);
    expect(orders.some((text) => /parts: \[[^\]]*\], layout: (panels|rows)\}/.test(text))).toBe(true);
  });

  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'plan of program %i: values that live together lie apart',
    (seed) => {
      const program = optimise(randomProgram(seed).model.program);
      const { places, bytesPerToken, fixedBytes } = planMemory(program);
      const lives = [...places].map(([name, place]) => {
        const readers = program.instructions.flatMap(({ operands, op }, i) =>
          operands.includes(name) ? [op === 'store' ? Infinity : i] : [],
        );
        const first = program.instructions.findIndex(({ results }) => results.some((result) => result.name === name));
        return { name, place, first, last: Math.max(first, ...readers) };
      });
      for (const a of lives) {
        expect(a.place.offset % 64).toBe(0);
        expect(a.place.offset + a.place.bytes).toBeLessThanOrEqual(
          a.place.arena === 'step' ? bytesPerToken : fixedBytes,
        );
        for (const b of lives) {
          if (a.name >= b.name || a.place.arena !== b.place.arena || a.first > b.last || b.first > a.last) continue;
          const apart =
            a.place.offset + a.place.bytes <= b.place.offset || b.place.offset + b.place.bytes <= a.place.offset;
          expect(apart, `${a.name} and ${b.name}`).toBe(true);
        }
      }
    },
  );
});

describe('one layer of Gemma 2', () => {
  const built = buildGemma2(config, scheme);

  test('as it is built', () => {
    expect(printProgram(built.program)).toMatchInlineSnapshot(`
      "%tokens: tokens[T] = load_input
      %model.embed_tokens: weight q8[64, 32] = const "model.embed_tokens.weight"
      %embeddings: f32[T, 32] = embed %model.embed_tokens, %tokens {scale: 5.656854152679443}
      %model.layers.0.input_layernorm: weight f32[32] = const "model.layers.0.input_layernorm.weight"
      %layer.0.attention_input: f32[T, 32] = norm %embeddings, %model.layers.0.input_layernorm {eps: 0.000001}
      %model.layers.0.self_attn.q_proj: weight q4g32[32, 32] = const "model.layers.0.self_attn.q_proj.weight"
      %layer.0.attention_input.a8g32: a8g32[T, 32] = quantize %layer.0.attention_input {scheme: a8g32}
      %layer.0.q.sums: i32[T, 32, 1] = int_dot %layer.0.attention_input.a8g32, %model.layers.0.self_attn.q_proj
      %layer.0.q: f32[T, 32] = scale %layer.0.q.sums, %layer.0.attention_input.a8g32, %model.layers.0.self_attn.q_proj
      %layer.0.q_rotated: f32[T, 32] = rope %layer.0.q {heads: 2, head_dim: 16, theta: 10000}
      %model.layers.0.self_attn.k_proj: weight q4g32[16, 32] = const "model.layers.0.self_attn.k_proj.weight"
      %layer.0.k.sums: i32[T, 16, 1] = int_dot %layer.0.attention_input.a8g32, %model.layers.0.self_attn.k_proj
      %layer.0.k: f32[T, 16] = scale %layer.0.k.sums, %layer.0.attention_input.a8g32, %model.layers.0.self_attn.k_proj
      %layer.0.k_rotated: f32[T, 16] = rope %layer.0.k {heads: 1, head_dim: 16, theta: 10000}
      %model.layers.0.self_attn.v_proj: weight q4g32[16, 32] = const "model.layers.0.self_attn.v_proj.weight"
      %layer.0.v.sums: i32[T, 16, 1] = int_dot %layer.0.attention_input.a8g32, %model.layers.0.self_attn.v_proj
      %layer.0.v: f32[T, 16] = scale %layer.0.v.sums, %layer.0.attention_input.a8g32, %model.layers.0.self_attn.v_proj
      %layer.0.attention: f32[T, 32] = attention %layer.0.q_rotated, %layer.0.k_rotated, %layer.0.v {layer: 0, heads: 2, kv_heads: 1, head_dim: 16, scale: 0.25, cap: 50, window: 4096}
      %model.layers.0.self_attn.o_proj: weight q4g32[32, 32] = const "model.layers.0.self_attn.o_proj.weight"
      %layer.0.attention.a8g32: a8g32[T, 32] = quantize %layer.0.attention {scheme: a8g32}
      %layer.0.attention_output.sums: i32[T, 32, 1] = int_dot %layer.0.attention.a8g32, %model.layers.0.self_attn.o_proj
      %layer.0.attention_output: f32[T, 32] = scale %layer.0.attention_output.sums, %layer.0.attention.a8g32, %model.layers.0.self_attn.o_proj
      %model.layers.0.post_attention_layernorm: weight f32[32] = const "model.layers.0.post_attention_layernorm.weight"
      %layer.0.attention_normed: f32[T, 32] = norm %layer.0.attention_output, %model.layers.0.post_attention_layernorm {eps: 0.000001}
      %layer.0.after_attention: f32[T, 32] = add %embeddings, %layer.0.attention_normed
      %model.layers.0.pre_feedforward_layernorm: weight f32[32] = const "model.layers.0.pre_feedforward_layernorm.weight"
      %layer.0.mlp_input: f32[T, 32] = norm %layer.0.after_attention, %model.layers.0.pre_feedforward_layernorm {eps: 0.000001}
      %model.layers.0.mlp.gate_proj: weight q4g32[64, 32] = const "model.layers.0.mlp.gate_proj.weight"
      %layer.0.mlp_input.a8g32: a8g32[T, 32] = quantize %layer.0.mlp_input {scheme: a8g32}
      %layer.0.gate.sums: i32[T, 64, 1] = int_dot %layer.0.mlp_input.a8g32, %model.layers.0.mlp.gate_proj
      %layer.0.gate: f32[T, 64] = scale %layer.0.gate.sums, %layer.0.mlp_input.a8g32, %model.layers.0.mlp.gate_proj
      %layer.0.gate_gelu: f32[T, 64] = gelu %layer.0.gate
      %model.layers.0.mlp.up_proj: weight q4g32[64, 32] = const "model.layers.0.mlp.up_proj.weight"
      %layer.0.up.sums: i32[T, 64, 1] = int_dot %layer.0.mlp_input.a8g32, %model.layers.0.mlp.up_proj
      %layer.0.up: f32[T, 64] = scale %layer.0.up.sums, %layer.0.mlp_input.a8g32, %model.layers.0.mlp.up_proj
      %layer.0.gated: f32[T, 64] = mul %layer.0.gate_gelu, %layer.0.up
      %model.layers.0.mlp.down_proj: weight q4g32[32, 64] = const "model.layers.0.mlp.down_proj.weight"
      %layer.0.gated.a8g32: a8g32[T, 64] = quantize %layer.0.gated {scheme: a8g32}
      %layer.0.mlp_output.sums: i32[T, 32, 2] = int_dot %layer.0.gated.a8g32, %model.layers.0.mlp.down_proj
      %layer.0.mlp_output: f32[T, 32] = scale %layer.0.mlp_output.sums, %layer.0.gated.a8g32, %model.layers.0.mlp.down_proj
      %model.layers.0.post_feedforward_layernorm: weight f32[32] = const "model.layers.0.post_feedforward_layernorm.weight"
      %layer.0.mlp_normed: f32[T, 32] = norm %layer.0.mlp_output, %model.layers.0.post_feedforward_layernorm {eps: 0.000001}
      %after_layer.0: f32[T, 32] = add %layer.0.after_attention, %layer.0.mlp_normed
      %last_token: f32[1, 32] = last %after_layer.0
      %model.norm: weight f32[32] = const "model.norm.weight"
      %final_norm: f32[1, 32] = norm %last_token, %model.norm {eps: 0.000001}
      %final_norm.a8g32: a8g32[1, 32] = quantize %final_norm {scheme: a8g32}
      %raw_logits.sums: i32[1, 64, 1] = int_dot %final_norm.a8g32, %model.embed_tokens
      %raw_logits: f32[1, 64] = scale %raw_logits.sums, %final_norm.a8g32, %model.embed_tokens
      %logits: f32[1, 64] = softcap %raw_logits {cap: 30}
      store %logits"
    `);
  });

  test('after the passes', () => {
    expect(printProgram(optimise(built.program))).toMatchInlineSnapshot(`
      "%tokens: tokens[T] = load_input
      %model.embed_tokens: weight q8[64, 32] = const "model.embed_tokens.weight" {layout: panels}
      %embeddings: f32[T, 32] = embed %model.embed_tokens, %tokens {scale: 5.656854152679443}
      %model.layers.0.input_layernorm: weight f32[32] = const "model.layers.0.input_layernorm.weight" {layout: rows}
      %layer.0.attention_input.a8g32: a8g32[T, 32] = norm_quantize %embeddings, %model.layers.0.input_layernorm {eps: 0.000001, scheme: a8g32}
      %model.layers.0.self_attn.q_proj_k_proj_v_proj: weight q4g32[64, 32] = const "model.layers.0.self_attn.q_proj+k_proj+v_proj.weight" {parts: ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight"], layout: panels}
      %layer.0.q_k_v: f32[T, 64] = linear %layer.0.attention_input.a8g32, %model.layers.0.self_attn.q_proj_k_proj_v_proj
      %layer.0.q: f32[T, 32] = slice %layer.0.q_k_v {begin: 0, end: 32}
      %layer.0.k: f32[T, 16] = slice %layer.0.q_k_v {begin: 32, end: 48}
      %layer.0.v: f32[T, 16] = slice %layer.0.q_k_v {begin: 48, end: 64}
      %layer.0.q_rotated: f32[T, 32] = rope %layer.0.q {heads: 2, head_dim: 16, theta: 10000}
      %layer.0.k_rotated: f32[T, 16] = rope %layer.0.k {heads: 1, head_dim: 16, theta: 10000}
      %layer.0.attention: f32[T, 32] = attention %layer.0.q_rotated, %layer.0.k_rotated, %layer.0.v {layer: 0, heads: 2, kv_heads: 1, head_dim: 16, scale: 0.25, cap: 50, window: 4096}
      %layer.0.attention.last: f32[1, 32] = last %layer.0.attention
      %layer.0.attention.a8g32: a8g32[1, 32] = quantize %layer.0.attention.last {scheme: a8g32}
      %model.layers.0.self_attn.o_proj: weight q4g32[32, 32] = const "model.layers.0.self_attn.o_proj.weight" {layout: panels}
      %layer.0.attention_output: f32[1, 32] = linear %layer.0.attention.a8g32, %model.layers.0.self_attn.o_proj
      %embeddings.last: f32[1, 32] = last %embeddings
      %model.layers.0.post_attention_layernorm: weight f32[32] = const "model.layers.0.post_attention_layernorm.weight" {layout: rows}
      %model.layers.0.pre_feedforward_layernorm: weight f32[32] = const "model.layers.0.pre_feedforward_layernorm.weight" {layout: rows}
      %layer.0.after_attention: f32[1, 32], %layer.0.mlp_input.a8g32: a8g32[1, 32] = add_norm_quantize %embeddings.last, %layer.0.attention_output, %model.layers.0.post_attention_layernorm, %model.layers.0.pre_feedforward_layernorm {eps: 0.000001, scheme: a8g32}
      %model.layers.0.mlp.gate_proj_up_proj: weight q4g32[128, 32] = const "model.layers.0.mlp.gate_proj+up_proj.weight" {parts: ["model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"], layout: pairs}
      %layer.0.gated: f32[1, 64] = gated_linear %layer.0.mlp_input.a8g32, %model.layers.0.mlp.gate_proj_up_proj
      %layer.0.gated.a8g32: a8g32[1, 64] = quantize %layer.0.gated {scheme: a8g32}
      %model.layers.0.mlp.down_proj: weight q4g32[32, 64] = const "model.layers.0.mlp.down_proj.weight" {layout: panels}
      %layer.0.mlp_output: f32[1, 32] = linear %layer.0.gated.a8g32, %model.layers.0.mlp.down_proj
      %model.layers.0.post_feedforward_layernorm: weight f32[32] = const "model.layers.0.post_feedforward_layernorm.weight" {layout: rows}
      %model.norm: weight f32[32] = const "model.norm.weight" {layout: rows}
      %after_layer.0: f32[1, 32], %final_norm.a8g32: a8g32[1, 32] = add_norm_quantize %layer.0.after_attention, %layer.0.mlp_output, %model.layers.0.post_feedforward_layernorm, %model.norm {eps: 0.000001, scheme: a8g32}
      %raw_logits: f32[1, 64] = linear %final_norm.a8g32, %model.embed_tokens
      %logits: f32[1, 64] = softcap %raw_logits {cap: 30}
      store %logits"
    `);
  });

  test('printLayer shows the lines of one layer and no others', () => {
    const two = buildGemma2({ ...config, numHiddenLayers: 2, layerTypes: ['sliding', 'global'] }, scheme);
    const lines = [0, 1].map((layer) => printLayer(two.program, layer).split('\n'));
    expect(lines[0]).toHaveLength(lines[1].length);
    expect(lines[0].at(-1)).toContain('%after_layer.0: f32[T, 32] = add');
    expect(lines[1].join()).toBe(
      lines[0]
        .join()
        .replaceAll('layers.0', 'layers.1')
        .replaceAll('layer.0', 'layer.1')
        .replaceAll('%embeddings', '%after_layer.0')
        .replace('layer: 0', 'layer: 1')
        .replace(', window: 4096', ''),
    );
  });

  test('with logits of all tokens, every layer is row by row and the constants are the same', () => {
    const all = buildGemma2(config, scheme, { logits: 'all' });
    const optimised = all.with(optimise(all.program));
    expect(ops(optimised.program)).not.toContain('last');
    const names = (model: NativeCodeILNN): string[] => model.constants.map(({ name }) => name).toSorted();
    expect(names(optimised)).toEqual(names(built.with(optimise(built.program))));
  });

  test('the plan uses places again: far less than the sum of all values', () => {
    const deep = buildGemma2(
      { ...config, numHiddenLayers: 12, layerTypes: config.layerTypes.concat(Array(11).fill('global')) },
      scheme,
    );
    const program = optimise(deep.program);
    const { bytesPerToken } = planMemory(program);
    const sum = [...valueTypes(program).values()].reduce((total, type) => total + rowBytes(type), 0);
    expect(bytesPerToken).toBeLessThan(sum / 8);
    const shallow = planMemory(
      optimise(buildGemma2({ ...config, numHiddenLayers: 2, layerTypes: ['sliding', 'global'] }, scheme).program),
    );
    expect(bytesPerToken).toBeLessThanOrEqual(shallow.bytesPerToken);
  });
});

describe('what passes leave alone', () => {
  test('parts of other schemes, of broken panels, or read twice are not joined', () => {
    const program = (schemes: readonly ('q8' | 'q4g32')[], rows: number, again: boolean): string[] => {
      const b = new IlBuilder();
      const x = b.loadInput(32);
      const weights = schemes.map((each, i) => b.constant(`w${i}`, weight(each, [rows, 32])));
      weights.forEach((w) => b.store(b.project(x, w, 'a8g32')));
      if (again) weights.forEach((w) => b.store(b.project(b.gelu(x), w, 'a8g32')));
      return ops(optimise(b.build()));
    };
    expect(program(['q8', 'q8'], 16, false).filter((op) => op === 'linear')).toHaveLength(1);
    expect(program(['q8', 'q4g32'], 16, false).filter((op) => op === 'linear')).toHaveLength(2);
    expect(program(['q8', 'q8'], 20, false).filter((op) => op === 'linear')).toHaveLength(2);
    expect(program(['q8', 'q8'], 16, true).filter((op) => op === 'linear')).toHaveLength(4);
  });

  test('a norm with two readers stays', () => {
    const b = new IlBuilder();
    const x = b.loadInput(32);
    const n = b.norm(x, b.constant('g', weight('f32', [32])), { eps: 1e-6 });
    b.store(b.project(n, b.constant('w', weight('q8', [16, 32]))));
    b.store(n);
    expect(ops(optimise(b.build()))).toEqual(['load_input', 'norm', 'quantize', 'linear', 'store', 'store']);
  });
});

test('folding leaves out what is repeated, whole or unread, and renames through chains', () => {
  const b = new IlBuilder();
  const x = b.loadInput(8);
  const twice = [b.gelu(x), b.gelu(x)];
  b.softcap(x, 2);
  const whole = b.slice(b.slice(twice[1], 0, 8), 0, 8);
  b.store(b.add(twice[0], whole));
  b.store(b.slice(b.slice(x, 2, 7), 1, 3));
  expect(printProgram(fold(b.build()))).toMatchInlineSnapshot(`
    "%input: f32[T, 8] = load_input {columns: 8}
    %gelu: f32[T, 8] = gelu %input
    %add: f32[T, 8] = add %gelu, %gelu
    store %add
    %slice_4: f32[T, 2] = slice %input {begin: 3, end: 5}
    store %slice_4"
  `);
});

test('pairs: 16 rows of gate, 16 of up, and back', () => {
  const [a, b] = [1, 2].map((seed) => quantize(gaussian(32 * 8, seed), 32, 8, 'q4g32a'));
  const row = (matrix: typeof a, r: number): number[] => Array.from(dequantize(matrix).subarray(8 * r, 8 * r + 8));
  const both = joinMatrices([a, b]);
  expect([row(both, 31), row(both, 32)]).toEqual([row(a, 31), row(b, 0)]);
  const pairs = storeMatrix(both, 'pairs');
  expect(row(pairs, 5)).toEqual(row(a, 5));
  expect(row(pairs, 16 + 5)).toEqual(row(b, 5));
  expect(row(pairs, 32 + 5)).toEqual(row(a, 16 + 5));
  expect(row(pairs, 63)).toEqual(row(b, 31));
  expect(loadMatrix(pairs, 'pairs')).toEqual(both);
  expect(storeMatrix(both, 'panels')).toEqual(both);
  const floats = gaussian(64 * 3, 3);
  expect(loadRows(storeRows(floats, 64, 'pairs'), 64, 'pairs')).toEqual(floats);
  expect(storeRows(floats, 64, 'pairs').subarray(16 * 3, 17 * 3)).toEqual(floats.subarray(32 * 3, 33 * 3));
});

const big = gemma2Config({
  vocabSize: 256_000,
  hiddenSize: 2304,
  intermediateSize: 9216,
  numHiddenLayers: 26,
  numAttentionHeads: 8,
  numKeyValueHeads: 4,
  headDim: 256,
});

test('the layer in docs/brain-blitz.md is what the passes give', () => {
  const page = readFileSync(new URL('../../../docs/brain-blitz.md', import.meta.url), 'utf8');
  const [, shown] = /### One layer\n[^`]*(?:`[^`\n]+`[^`]*)*?```\n([^`]*)\n```/.exec(page)!;
  const { program } = buildGemma2(big, (name) => (name.includes('embed') ? 'q8' : 'q4g32'), { kvCache: 'q8' });
  const lines = (of: Program): string[] =>
    printLayer(of, 1)
      .split('\n')
      .filter((line) => !line.includes(' = const '));
  expect(shown.split('\n')).toEqual(lines(optimise(program)));
  expect(lines(optimise(program))).toHaveLength(14);
  expect(lines(program)).toHaveLength(29);
});

test('the program of the 2B shape optimises and verifies', () => {
  const program = optimise(buildGemma2(big, () => 'q4g32').program);
  verify(program);
  expect(ops(program).filter((op) => op === 'linear')).toHaveLength(26 * 3 + 1);
  expect(ops(program).filter((op) => op === 'gated_linear')).toHaveLength(26);
  expect(definitions(program).get('after_layer.24')?.op).toBe('add_norm_quantize');
});
