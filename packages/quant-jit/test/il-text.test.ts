import { attempt } from '@proj/kernel';
import { describe, expect, test } from 'vitest';
import { gemma2Config } from '../src/gemma2/config.ts';
import { buildGemma2, buildLinear, NativeCodeILNN, optimise, RULES } from '../src/il/index.ts';
import { randomProgram } from './il-programs.ts';

const header = 'il-nn "t" {positions: 8, tile_size: 256}\n';

describe('print and parse', () => {
  test.each(Array.from({ length: 30 }, (_, seed) => seed))('random program %i, before and after the passes', (seed) => {
    const { model } = randomProgram(seed);
    for (const each of [model, model.with(optimise(model.program))]) {
      const read = NativeCodeILNN.parse(String(each));
      expect(String(read)).toBe(String(each));
      expect(read.program).toEqual(each.program);
      expect(read.config).toEqual(each.config);
    }
  });

  test('Gemma 2 in every mode and cache', () => {
    const sizes = { vocabSize: 64, hiddenSize: 32, intermediateSize: 64, numHiddenLayers: 2 };
    const config = gemma2Config({ ...sizes, numAttentionHeads: 2, numKeyValueHeads: 1, tieWordEmbeddings: false });
    for (const mode of ['exact', 'data', 'logic'] as const) {
      const model = buildGemma2(config, () => 'q158', { mode, kvCache: 'q8', logits: 'all', positions: 99 });
      expect(NativeCodeILNN.parse(String(model)).program).toEqual(model.program);
      expect(model.constants.some(({ name }) => name === 'lm_head.weight')).toBe(true);
    }
  });

  test('comments, blank lines and spaces do not matter', () => {
    const text = `// a model\n${header}\n  %x:  f32[T,4]  =  load_input {columns:4}   // four\n\n\tstore   %x\r\n`;
    expect(String(NativeCodeILNN.parse(text))).toBe(`${header}%x: f32[T, 4] = load_input {columns: 4}\nstore %x\n`);
  });

  test('names of tensors may hold anything that JSON can', () => {
    const name = 'a "b" \\ \n é';
    const model = NativeCodeILNN.parse(String(buildLinear({ scheme: 'q8', weight: name })));
    expect(model.constants[0].name).toBe(name);
  });

  test('the example of row B16, for XNOR', () => {
    expect(String(buildLinear({ scheme: 'q1', activation: 'a1' }))).toMatchInlineSnapshot(`
      "il-nn "linear" {positions: 0, tile_size: 256}
      %input: f32[T, 512] = load_input {columns: 512}
      %weight: weight q1[128, 512] = const "weight"
      %input.a1: a1[T, 512] = quantize %input {scheme: a1}
      %output.sums: i32[T, 128, 1] = xnor_dot %input.a1, %weight
      %output: f32[T, 128] = scale %output.sums, %input.a1, %weight
      store %output
      "
    `);
  });
});

test.each([
  ['', /the text is empty/],
  ['%x: tokens[T] = load_input', /line 1, column 1: "%x: tokens\[T" where il-nn/],
  ['il-nn "t" {positions: -1, tile_size: 256}', /line 1, column 11: positions and tile_size are not whole/],
  ['il-nn "t" {positions: 8, tile_size: 256, x: 1}', /no attribute x/],
  [
    `${header}%x: tokens[T] = lod_input`,
    /line 2, column 17: there is no operation "lod_input".*Operations are load_input, const/,
  ],
  [`${header}%x: tokens[4] = load_input`, /line 2, column 5: "tokens\[4\]" is not a type\. Types are tokens\[T\]/],
  [`${header}%x: weight q3[4, 4] = const "w"`, /line 2, column 5: .*no quantisation scheme "q3"\. Use one of f32, q8/],
  [`${header}%x: f32[T, 0] = load_input`, /"f32\[T, 0\]" is not a type/],
  [`${header}%x tokens[T] = load_input`, /line 2, column 4: "tokens\[T\] = " where ": type" should be/],
  [`${header}%x: tokens[T] load_input`, /line 2, column 15: "load_input" where "=" should be/],
  [`${header}%x: tokens[T] = load_input {columns: }`, /where a number, a word, a text or a list should be/],
  [`${header}%x: tokens[T] = load_input {columns: 4`, /the line ends where "," or "}" should be/],
  [`${header}%x: tokens[T] = load_input {columns: 4, columns: 4}`, /column 41: attribute columns is given twice/],
  [`${header}%x: weight q8[4, 4] = const "w`, /"\\"w" where|""w" where/],
  [`${header}%y: f32[T, 4] = gelu x`, /column 22: "x" after the end of the operation/],
  [`${header}%y: f32[T, 4] = add %a,, %b`, /column 24: ", %b" where a value such as %x should be/],
] as const)('%j is refused with line, column and cure', (text, message) => {
  expect(() => NativeCodeILNN.parse(text)).toThrow(message);
});

const start = `${header}%t: tokens[T] = load_input\n%e: weight q8[64, 32] = const "e"\n%x: f32[T, 32] = embed %e, %t {scale: 1}\n`;
const refused: readonly (readonly [what: string, lines: string, message: RegExp])[] = [
  ['nothing stored', '', /the program stores nothing.*End it with store/],
  ['scope', 'store %y', /line 5 "store %y": %y is not given above/],
  [
    'use before definition',
    '%a: f32[T, 32] = gelu %b\n%b: f32[T, 32] = gelu %x\nstore %a',
    /line 5 .*%b is not given above/,
  ],
  ['single assignment', '%x: f32[T, 32] = gelu %x\nstore %x', /%x is given twice.*rename/],
  ['two inputs', '%u: tokens[T] = load_input\nstore %x', /there are two inputs/],
  ['declared type', '%y: f32[T, 33] = gelu %x\nstore %y', /%y is declared f32\[T, 33\], but gelu gives f32\[T, 32\]/],
  ['operand count', '%y: f32[T, 32] = add %x\nstore %y', /add has 1 operands, not 2\. Write add a, b/],
  ['operand kind', '%y: f32[T, 32] = gelu %t\nstore %y', /operand x of gelu is tokens\[T\]/],
  ['a weight is no value', 'store %e', /operand x of store is weight q8/],
  ['missing attribute', '%y: f32[T, 32] = softcap %x\nstore %y', /attribute cap of softcap is missing/],
  ['bad attribute', '%y: f32[T, 32] = softcap %x {cap: -1}\nstore %y', /cap of softcap is -1, not positive/],
  [
    'unknown attribute',
    '%y: f32[T, 32] = gelu %x {cap: 1}\nstore %y',
    /gelu has no attribute cap\. Its attributes are none/,
  ],
  [
    'unknown choice',
    '%y: a8[T, 32] = quantize %x {scheme: a4}\nstore %x',
    /scheme of quantize is "a4", not one of a8g32, a8, a1/,
  ],
  ['fraction', '%y: f32[T, 1] = slice %x {begin: 0.5, end: 1}\nstore %y', /begin of slice is 0.5, not a whole number/],
  [
    'slice outside',
    '%y: f32[T, 8] = slice %x {begin: 30, end: 38}\nstore %y',
    /columns 30 … 38 are not inside f32\[T, 32\]/,
  ],
  [
    'gain',
    '%g: weight f32[31] = const "g"\n%y: f32[T, 32] = norm %x, %g {eps: 1e-6}\nstore %y',
    /Give a weight f32\[32\]/,
  ],
  ['quantised gain', '%y: f32[T, 32] = norm %x, %e {eps: 1e-6}\nstore %y', /the gain weight q8\[64, 32\] does not fit/],
  [
    'shapes differ',
    '%y: f32[T, 8] = slice %x {begin: 0, end: 8}\n%z: f32[T, 32] = add %x, %y\nstore %z',
    /f32\[T, 32\] and f32\[T, 8\] differ/,
  ],
  [
    'reduction',
    '%w: weight q8[16, 64] = const "w"\n%q: a8[T, 32] = quantize %x {scheme: a8}\n%y: f32[T, 16] = linear %q, %w\nstore %y',
    /32 columns, weight q8\[16, 64\] has 64/,
  ],
  [
    'schemes',
    '%w: weight q4g32[16, 32] = const "w"\n%q: a1[T, 32] = quantize %x {scheme: a1}\n%y: f32[T, 16] = linear %q, %w\nstore %y',
    /a1 activations do not go with q4g32 weights\. Use a8g32 or a8/,
  ],
  ['floats by codes', '%y: f32[T, 64] = linear %x, %e\nstore %y', /f32 activations do not go with q8 weights/],
  [
    'int_dot of signs',
    '%w: weight q1[16, 32] = const "w"\n%q: a1[T, 32] = quantize %x {scheme: a1}\n%y: i32[T, 16, 1] = int_dot %q, %w\nstore %x',
    /Use xnor_dot for a1/,
  ],
  [
    'xnor_dot of int8',
    '%w: weight q1[16, 32] = const "w"\n%q: a8[T, 32] = quantize %x {scheme: a8}\n%y: i32[T, 16, 1] = xnor_dot %q, %w\nstore %x',
    /xnor_dot takes binary activations/,
  ],
  [
    'groups',
    '%q: a8g32[T, 32] = quantize %x {scheme: a8g32}\n%y: i32[T, 64, 2] = int_dot %q, %e\nstore %x',
    /but int_dot gives i32\[T, 64, 1\]/,
  ],
  ['odd head', '%y: f32[T, 32] = rope %x {heads: 1, head_dim: 33, theta: 10}\nstore %y', /not 1 heads of 33/],
  [
    'heads',
    '%y: f32[T, 32] = attention %x, %x, %x {layer: 0, heads: 2, kv_heads: 3, head_dim: 16, scale: 1}\nstore %y',
    /k f32\[T, 32\] is not 3 heads of 16/,
  ],
  [
    'cache twice',
    '%y: f32[T, 32] = attention %x, %x, %x {layer: 0, heads: 2, kv_heads: 2, head_dim: 16, scale: 1}\n%z: f32[T, 32] = attention %y, %y, %y {layer: 0, heads: 2, kv_heads: 2, head_dim: 16, scale: 1}\nstore %z',
    /layer 0 has two attentions/,
  ],
  [
    'keys of one row',
    '%l: f32[1, 32] = last %x\n%y: f32[1, 32] = attention %l, %l, %l {layer: 0, heads: 2, kv_heads: 2, head_dim: 16, scale: 1}\nstore %y',
    /k and v lack tokens of the step/,
  ],
  ['tensor twice', '%w: weight q8[64, 32] = const "e"\nstore %x', /the tensor "e" is declared twice/],
  ['constant without weight type', '%w: f32[T, 32] = const "w"\nstore %x', /a constant has no weight type/],
  [
    'panels',
    '%w: weight q8[40, 32] = const "w" {parts: ["a", "b"], layout: pairs}\nstore %x',
    /q8\[40, 32\] has no pairs of panels/,
  ],
  [
    'gated',
    '%w: weight q8[40, 32] = const "w"\n%q: a8[T, 32] = quantize %x {scheme: a8}\n%y: f32[T, 20] = gated_linear %q, %w\nstore %y',
    /40 rows are not gate and up in panels/,
  ],
  ['floats in panels', '%g: weight f32[32] = const "g" {layout: panels}\nstore %x', /f32\[32\] does not lie in panels/],
  ['codes in rows', '%w: weight q8[64, 32] = const "w" {layout: rows}\nstore %x', /q8\[64, 32\] does not lie in rows/],
  [
    'pairs for no gate',
    '%w: weight q8[64, 32] = const "w" {layout: pairs}\n%q: a8[T, 32] = quantize %x {scheme: a8}\n%y: f32[T, 64] = linear %q, %w\nstore %y',
    /linear reads %w, which lies in pairs/,
  ],
  [
    'a gate without pairs',
    '%w: weight q8[64, 32] = const "w" {layout: panels}\n%q: a8[T, 32] = quantize %x {scheme: a8}\n%y: f32[T, 32] = gated_linear %q, %w\nstore %y',
    /gated_linear reads %w, which lies in panels/,
  ],
  ['results', '%y: f32[T, 32], %z: f32[T, 32] = gelu %x\nstore %y', /gelu gives 1 values, not 2/],
  ['table', '%y: f32[T, 32] = lut %x {function: exp, lo: 1, hi: 0, bits: 4}\nstore %y', /Give lo < hi/],
];

test('damaged texts are read or refused with a ProjError, never with another error', () => {
  const text = String(randomProgram(3).model);
  let state = 12345;
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const lines = text.split('\n');
  const tokens = text.split(/(?<=\W)|(?=\W)/);
  for (let i = 0; i < 600; i++) {
    const at = below(text.length);
    const damaged = [
      () => text.slice(0, at) + text.slice(at + 1 + below(8)),
      () => text.slice(0, at) + tokens[below(tokens.length)] + text.slice(at),
      () => lines.toSpliced(below(lines.length), 1).join('\n'),
      () => lines.toSpliced(below(lines.length), 0, lines[below(lines.length)]).join('\n'),
      () => tokens.with(below(tokens.length), tokens[below(tokens.length)]).join(''),
    ][i % 5]();
    const result = attempt(() => String(NativeCodeILNN.parse(damaged)));
    if (result.ok) expect(String(NativeCodeILNN.parse(result.value))).toBe(result.value);
    else {
      expect(['serialization', 'kernel-verification'], result.error.message).toContain(result.error.code);
      expect(result.error.cure, result.error.message).toBeTruthy();
    }
  }
});

test.each(refused)('the verifier refuses: %s', (_what, lines, message) => {
  expect(() => NativeCodeILNN.parse(start + lines)).toThrow(message);
});

test('every operation says what it means, and takes part in a test above or in a random program', () => {
  const seen = new Set<string>(
    Array.from({ length: 40 }, (_, seed) => randomProgram(seed).model)
      .flatMap((model) => [model.program, optimise(model.program)])
      .flatMap(({ instructions }) => instructions.map(({ op }) => op)),
  );
  for (const [op, { doc }] of Object.entries(RULES)) {
    expect(doc.length, op).toBeGreaterThan(3);
    if (op !== 'embed') expect(seen, op).toContain(op);
  }
});
