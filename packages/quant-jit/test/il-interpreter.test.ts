import { describe, expect, test } from 'vitest';
import {
  buildLinear,
  constantsFrom,
  type FloatValue,
  IlBuilder,
  type IlValue,
  Interpreter,
  NativeCodeILNN,
  type Program,
  type SumsValue,
  valuesOf,
} from '../src/il/index.ts';
import { weight } from '../src/il/types.ts';
import {
  ACTIVATIONS,
  type ActivationScheme,
  dequantize,
  dequantizeInput,
  quantize,
  quantizeInput,
  type QuantizedMatrix,
  type SchemeName,
  signWords,
  xnorDot,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const model = (program: Program, positions = 0): NativeCodeILNN =>
  new NativeCodeILNN({ name: 'test', positions, tileSize: 256 }, program);
const none = constantsFrom({});
const data = (value: IlValue | undefined): number[] => Array.from((value as FloatValue).data);

/** What one operation gives for rows of floats. */
function one(
  columns: number,
  rows: number[],
  build: (b: IlBuilder, x: string) => string,
  floats: Record<string, number[]> = {},
): number[] {
  const b = new IlBuilder();
  b.store(build(b, b.loadInput(columns)));
  const source = constantsFrom({ floats: new Map(Object.entries(floats).map(([k, v]) => [k, Float32Array.from(v)])) });
  return Array.from(new Interpreter(model(b.build()), source).step(rows)[0].data);
}

describe('operations against values worked out by hand', () => {
  test('norm: [3, 4] has root mean square √12.5; the gain counts from 1', () => {
    const got = one(2, [3, 4], (b, x) => b.norm(x, b.constant('g', weight('f32', [2])), { eps: 1e-12 }), { g: [0, 1] });
    expect(got[0]).toBeCloseTo(3 / Math.sqrt(12.5), 6);
    expect(got[1]).toBeCloseTo(8 / Math.sqrt(12.5), 6);
  });

  test('softcap, gelu, slice, add, mul, lut', () => {
    expect(one(1, [30], (b, x) => b.softcap(x, 30))[0]).toBeCloseTo(30 * Math.tanh(1), 5);
    // 0.5 · (1 + tanh(√(2/π) · 1.044715)) = 0.841192 (PyTorch, approximate='tanh').
    expect(one(1, [1], (b, x) => b.gelu(x))[0]).toBeCloseTo(0.841192, 6);
    expect(one(3, [1, 2, 3, 4, 5, 6], (b, x) => b.slice(x, 1, 3))).toEqual([2, 3, 5, 6]);
    expect(one(2, [1, 2], (b, x) => b.mul(b.add(x, x), x))).toEqual([2, 8]);
    const cell = 2 / 16;
    const looked = one(1, [0.3], (b, x) => b.lut(x, { function: 'tanh', lo: -1, hi: 1, bits: 4 }))[0];
    expect(looked).toBeCloseTo(Math.tanh(-1 + (Math.floor(1.3 / cell) + 0.5) * cell), 6);
  });

  test('softmax of [0, ln 3] is [1/4, 3/4], in every mode near it', () => {
    expect(one(2, [0, Math.log(3)], (b, x) => b.softmax(x))[1]).toBeCloseTo(0.75, 6);
    expect(one(2, [0, Math.log(3)], (b, x) => b.softmax(x, { mode: 'data' }))[1]).toBeCloseTo(0.75, 2);
    // Logic: 2^−log2 3 by a straight line is (256 + 106) · 256 >> 2 = 23168 of 65536; the sum 88704 is nearest to 2^16.
    const logic = one(2, [0, Math.log(3)], (b, x) => b.softmax(x, { mode: 'logic' }));
    expect(logic).toEqual([Math.fround(23168 / 65536), 1]);
  });

  test('rope turns column i with column i + half by position · theta^(−2i / d)', () => {
    const got = one(4, [1, 0, 0, 1, 1, 0, 0, 1], (b, x) => b.rope(x, { heads: 1, head_dim: 4, theta: 100 }));
    expect(got.slice(0, 4)).toEqual([1, 0, 0, 1]);
    [Math.cos(1), -Math.sin(0.1), Math.sin(1), Math.cos(0.1)].forEach((x, i) => expect(got[4 + i]).toBeCloseTo(x, 6));
  });

  test('embed takes rows and scales them; a token outside the vocabulary is refused', () => {
    const b = new IlBuilder();
    b.store(b.embed(b.constant('w', weight('f32', [3, 2])), b.loadInput(), 10));
    const source = constantsFrom({ floats: new Map([['w', Float32Array.of(1, 2, 3, 4, 5, 6)]]) });
    const interpreter = new Interpreter(model(b.build()), source);
    expect(data(interpreter.step([2, 0])[0])).toEqual([50, 60, 10, 20]);
    expect(() => interpreter.step([3])).toThrow(/token 3 of a vocabulary of 3/);
    expect(() => interpreter.step([2 ** 40])).toThrow(/of a vocabulary of 3/);
    for (const id of [1.5, Number.NaN]) expect(() => interpreter.step([id])).toThrow(/is no token/);
  });

  test('last is the last row of floats, sums and activations', () => {
    const b = new IlBuilder();
    const x = b.loadInput(40);
    const w = b.constant('w', weight('q8', [16, 40]));
    const xq = b.quantize(x, 'a8g32');
    b.store(b.last(x));
    const [lastCodes] = b.emit('last', [xq], {});
    b.store(b.scale(b.intDot(lastCodes, w), lastCodes, w));
    const [lastSums] = b.emit('last', [b.intDot(xq, w)], {});
    b.store(b.scale(lastSums, lastCodes, w));
    b.store(b.linear(xq, w));
    const source = constantsFrom({ matrices: new Map([['w', quantize(gaussian(640, 1), 16, 40, 'q8')]]) });
    const input = gaussian(120, 2);
    const [row, a, c, all] = new Interpreter(model(b.build()), source).step(input);
    expect(row.data).toEqual(input.slice(80));
    expect(a.data).toEqual(all.data.slice(32));
    expect(c.data).toEqual(all.data.slice(32));
  });
});

describe('attention', () => {
  const build = (attributes: { cap?: number; window?: number; cache?: 'f32' | 'q8' }): NativeCodeILNN => {
    const b = new IlBuilder();
    const x = b.loadInput(6);
    const q = b.slice(x, 0, 4);
    const shape = { layer: 0, heads: 2, kv_heads: 1, head_dim: 2, scale: 0.5 };
    // Keys are columns 2 and 3 of the queries, values columns 4 and 5.
    b.store(b.attention(q, b.slice(x, 2, 4), b.slice(x, 4, 6), { ...shape, ...attributes }));
    return model(b.build(), 4);
  };
  const rows = [1, 0, 0, 1, 1, 2, 0, 2, 1, 1, 3, 4, 1, 1, 2, 0, 5, 6];

  test('the first token sees itself; the second weighs by e^(q · k · scale)', () => {
    const got = data(new Interpreter(build({}), none).step(rows.slice(0, 12))[0]);
    expect(got.slice(0, 4)).toEqual([1, 2, 1, 2]);
    // Head 0 of token 1: q = [0, 2]; keys [0, 1] and [1, 1]: equal scores.
    expect(got[4]).toBeCloseTo(2, 6);
    // Head 1: q = [1, 1]; scores 0.5 and 1.
    const share = 1 / (1 + Math.exp(-0.5));
    expect(got[6]).toBeCloseTo(1 + 2 * share, 6);
  });

  test('a window of 1 sees the token itself, in any step', () => {
    const interpreter = new Interpreter(build({ window: 1 }), none);
    interpreter.step(rows.slice(0, 6));
    expect(data(interpreter.step(rows.slice(6))[0])).toEqual([3, 4, 3, 4, 5, 6, 5, 6]);
  });

  test('the cap bounds scores', () => {
    const got = data(new Interpreter(build({ cap: 0.1 }), none).step(rows.slice(0, 12))[0]);
    const difference = 0.1 * (Math.tanh(10) - Math.tanh(5));
    expect(got[6]).toBeCloseTo(1 + 2 / (1 + Math.exp(-difference)), 6);
  });

  test('steps of one token give what one step gives; rewinding forgets', () => {
    const whole = data(new Interpreter(build({}), none).step(rows)[0]);
    const interpreter = new Interpreter(build({}), none);
    const single = [0, 6, 12].flatMap((at) => data(interpreter.step(rows.slice(at, at + 6))[0]));
    expect(single).toEqual(whole);
    interpreter.rewind(1);
    expect(data(interpreter.step(rows.slice(6))[0])).toEqual(whole.slice(4));
    expect(interpreter.position).toBe(3);
    expect(() => interpreter.rewind(9)).toThrow(/position 9 of 3/);
  });

  test('the q8 cache keeps absmax / 127 for each head: half a step of error at most', () => {
    const exact = data(new Interpreter(build({ window: 1 }), none).step(rows)[0]);
    const near = data(new Interpreter(build({ window: 1, cache: 'q8' }), none).step(rows)[0]);
    near.forEach((x, i) => expect(Math.abs(x - exact[i])).toBeLessThanOrEqual(6 / 127 / 2 + 1e-6));
    expect(near).not.toEqual(exact);
  });

  test('a full context says so, and leaves the caches as they were', () => {
    const interpreter = new Interpreter(build({}), none);
    interpreter.step(rows);
    expect(() => interpreter.step(rows.slice(0, 12))).toThrow(/2 tokens after 3 do not fit 4 positions/);
    expect(interpreter.step(rows.slice(0, 6))[0].rows).toBe(1);
  });
});

describe('products', () => {
  const schemes = Object.keys(ACTIVATIONS) as Exclude<SchemeName, 'f32'>[];
  const pairs = schemes.flatMap((scheme) => ACTIVATIONS[scheme].map((activation) => [scheme, activation] as const));
  const [rows, columns, tokens] = [16, 200, 3];
  const sums = (values: Map<string, IlValue>): SumsValue => values.get('output.sums') as SumsValue;

  function run(scheme: SchemeName, activation: ActivationScheme, matrix: QuantizedMatrix, input: Float32Array) {
    const program = buildLinear({ rows: matrix.rows, columns: matrix.columns, scheme, activation });
    return valuesOf(new Interpreter(program, constantsFrom({ matrices: new Map([['weight', matrix]]) })), input);
  }

  test.each(pairs)('%s by %s: what both sides stand for, multiplied in float64', (scheme, activation) => {
    const matrix = quantize(gaussian(rows * columns, 3), rows, columns, scheme);
    const input = gaussian(tokens * columns, 4);
    const x = dequantizeInput(quantizeInput(input, tokens, columns, activation));
    const w = dequantize(matrix);
    const got = data(run(scheme, activation, matrix, input).get('output'));
    got.forEach((y, i) => {
      const [t, r] = [Math.floor(i / rows), i % rows];
      let expected = 0;
      for (let c = 0; c < columns; c++) expected += x[t * columns + c] * w[r * columns + c];
      expect(Math.abs(y - expected)).toBeLessThan(2e-5);
    });
  });

  test.each(pairs.filter(([, activation]) => activation !== 'a1'))(
    '%s by %s: int_dot is the integer loop',
    (scheme, activation) => {
      const matrix = quantize(gaussian(rows * columns, 5), rows, columns, scheme);
      const input = gaussian(tokens * columns, 6);
      const { codes, paddedColumns } = quantizeInput(input, tokens, columns, activation);
      const { groups, data: got } = sums(run(scheme, activation, matrix, input));
      const expected = new Int32Array(tokens * rows * groups);
      const width = groups === 1 ? columns : activation === 'a8g32' ? 32 : Number(/g(\d+)/.exec(scheme)![1]);
      for (let t = 0; t < tokens; t++)
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < columns; c++)
            expected[(t * rows + r) * groups + Math.floor(c / width)] +=
              codes[t * paddedColumns + c] * matrix.codes[r * columns + c];
      expect(got).toEqual(expected);
    },
  );

  test.each([1, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200])(
    'xnor_dot of %i columns is the ±1 dot product',
    (width) => {
      const matrix = quantize(gaussian(rows * width, 7 + width), rows, width, 'q1');
      const input = gaussian(tokens * width, 8 + width);
      const expected: number[] = [];
      for (let t = 0; t < tokens; t++)
        for (let r = 0; r < rows; r++) {
          let dot = 0;
          for (let c = 0; c < width; c++) dot += (input[t * width + c] >= 0 ? 1 : -1) * matrix.codes[r * width + c];
          expected.push(dot);
        }
      expect(Array.from(sums(run('q1', 'a1', matrix, input)).data)).toEqual(expected);
    },
  );

  /** Relative mean squared error of the example [10, 512] × [128, 512]ᵀ on normal numbers (design: systems.md 3(d)). */
  test.each([
    ['q1', 'a8', 0.366],
    ['q1', 'a1', 0.592],
    ['q158', 'a8', 0.262],
  ] as const)('relative error of %s by %s is the published %f within 10 %%', (scheme, activation, expected) => {
    let [error, size] = [0, 0];
    for (let seed = 0; seed < 3; seed++) {
      const w = gaussian(128 * 512, 100 + seed);
      const input = gaussian(10 * 512, 200 + seed);
      const got = data(run(scheme, activation, quantize(w, 128, 512, scheme), input).get('output'));
      got.forEach((y, i) => {
        let exact = 0;
        for (let c = 0; c < 512; c++) exact += input[Math.floor(i / 128) * 512 + c] * w[(i % 128) * 512 + c];
        error += (y - exact) ** 2;
        size += exact ** 2;
      });
    }
    expect(Math.abs(error / size / expected - 1)).toBeLessThan(0.1);
  });
});

test('a layer is its neurons: rows with their codes, scales and signs', () => {
  const [rows, columns] = [16, 70];
  const input = gaussian(columns, 40);
  for (const scheme of ['q8', 'q4g32a', 'q1'] as const) {
    const matrix = quantize(gaussian(rows * columns, 41), rows, columns, scheme);
    const dense = dequantize(matrix);
    const linear = buildLinear({ rows, columns, scheme });
    const neurons = linear.neurons('weight', constantsFrom({ matrices: new Map([['weight', matrix]]) }));
    expect(neurons).toHaveLength(rows);
    neurons.forEach((neuron, r) => {
      const row = dense.subarray(r * columns, (r + 1) * columns);
      expect(neuron.weights()).toEqual(row);
      expect(neuron.forward(input)).toBeCloseTo(
        row.reduce((sum, w, i) => sum + w * input[i], 0),
        5,
      );
      const dot = row.reduce((sum, w, i) => sum + (w >= 0 ? 1 : -1) * (input[i] >= 0 ? 1 : -1), 0);
      if (scheme === 'q1') expect(xnorDot(neuron.binaryWeights, signWords(input), columns)).toBe(dot);
    });
  }
});
