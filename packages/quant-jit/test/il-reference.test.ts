/** The Gemma 2 program in the interpreter against the reference outputs of a tiny model, where those are at hand (outside the repository). */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openHuggingFace } from '../src/gemma2/load.ts';
import {
  buildGemma2,
  type ConstantSource,
  type FloatValue,
  type IlValue,
  Interpreter,
  optimise,
} from '../src/il/index.ts';
import { quantize } from '../src/quantize/index.ts';

const folder = new URL('../../../../shared/conformance/gemma2/', import.meta.url);
const model = new URL('tiny-f32', folder).pathname;

interface Reference {
  readonly kind: string;
  readonly name?: string;
  readonly input_ids: number[];
  readonly new_ids: number[];
  readonly logits: { readonly data: number[] };
  readonly value: { readonly data: number[] };
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
};
const argmax = (values: Float32Array): number => values.reduce((best, x, i) => (x > values[best] ? i : best), 0);

describe.skipIf(!existsSync(model))('Gemma 2 in the interpreter', () => {
  const records = existsSync(model)
    ? gunzipSync(readFileSync(new URL('reference_tiny-f32.jsonl.gz', folder)))
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Reference)
    : [];
  const { config, source: tensors } = existsSync(model)
    ? openHuggingFace(model)
    : ({} as ReturnType<typeof openHuggingFace>);
  const source: ConstantSource = {
    floats: (name) => tensors.read(name),
    matrix: (name) => {
      const [rows, columns] = tensors.info(name).shape;
      return quantize(tensors.read(name), rows, columns, 'q8');
    },
  };
  const f32 = () => 'f32' as const;

  test.each(['unfused', 'fused'])('%s: logits within 2e-3 of the reference', (form) => {
    const built = buildGemma2(config, f32, { logits: 'all' });
    const program = form === 'fused' ? built.with(optimise(built.program)) : built;
    for (const { input_ids: ids, logits } of records.filter(({ kind }) => kind === 'logits')) {
      const [result] = new Interpreter(program, source).step(ids);
      expect(largestDifference(result.data, logits.data)).toBeLessThan(2e-3);
    }
  });

  test('hidden states of every layer within 1e-4, by the names of the values', () => {
    const program = buildGemma2(config, f32, { logits: 'all' });
    const hidden = records.filter(({ kind, name }) => kind === 'hidden' && !name?.startsWith('attention_probs'));
    const values = new Map<string, IlValue>();
    new Interpreter(program, source).step(hidden[0].input_ids, (name, value) => values.set(name, value));
    expect(hidden.map(({ name }) => name)).toContain('after_layer.3');
    for (const { name = '', value } of hidden)
      expect(largestDifference((values.get(name) as FloatValue).data, value.data), name).toBeLessThan(1e-4);
  });

  test('greedy tokens: prompt in one step, then a token a step, over the window of 8', () => {
    const built = buildGemma2(config, f32);
    const program = built.with(optimise(built.program));
    for (const { input_ids: ids, new_ids: expected } of records.filter(({ kind }) => kind === 'greedy')) {
      const interpreter = new Interpreter(program, source);
      let [logits] = interpreter.step(ids);
      const given: number[] = [];
      while (given.length < expected.length) {
        expect(logits.rows).toBe(1);
        given.push(argmax(logits.data));
        if (given.length < expected.length) [logits] = interpreter.step(given.slice(-1));
      }
      expect(given).toEqual(expected);
    }
  });

  test('a prompt in chunks gives what the prompt at once gives', () => {
    const program = buildGemma2(config, f32);
    const ids = records.find(({ kind, input_ids: all }) => kind === 'logits' && all.length === 38)!.input_ids;
    const whole = new Interpreter(program, source).step(ids)[0].data;
    const interpreter = new Interpreter(program, source);
    interpreter.step(ids.slice(0, 7));
    interpreter.step(ids.slice(7, 30));
    expect(largestDifference(interpreter.step(ids.slice(30))[0].data, whole)).toBeLessThan(2e-6);
    interpreter.rewind(7);
    interpreter.step(ids.slice(7, 30));
    expect(largestDifference(interpreter.step(ids.slice(30))[0].data, whole)).toBeLessThan(2e-6);
  });

  test('8-bit weights and cache stay near; Data nearer than Logic, neither exact', () => {
    const { input_ids: ids, logits } = records.findLast(({ kind }) => kind === 'logits')!;
    const error = (options: Parameters<typeof buildGemma2>[2], q8 = false): number => {
      const program = buildGemma2(config, q8 ? () => 'q8' : f32, { logits: 'all', ...options });
      return relativeError(new Interpreter(program, source).step(ids)[0].data, logits.data);
    };
    // Random weights: attention is sharp, so that errors grow from layer to layer.
    expect(error({}, true)).toBeLessThan(0.2);
    expect(error({ kvCache: 'q8' })).toBeLessThan(0.05);
    const data = error({ mode: 'data' });
    const logic = error({ mode: 'logic' });
    expect(data).toBeGreaterThan(1e-4);
    expect(data).toBeLessThan(0.03);
    expect(logic).toBeGreaterThan(2 * data);
  });
});

function relativeError(a: Float32Array, b: number[]): number {
  const square = (sum: number, x: number): number => sum + x * x;
  return Math.sqrt(Array.from(a, (x, i) => x - b[i]).reduce(square, 0) / b.reduce(square, 0));
}
