import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openGguf } from '@proj/quant-jit/gemma2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GEMMA_2_2B } from '../src/low-bit.ts';
import type { GemmaShape } from '../src/low-bit.ts';
import { GGML_TYPES, ggufHeader, tensorBytes } from '../src/peers/gguf.ts';
import { gemmaBytes, gemmaTensors, writeSyntheticGguf } from '../src/peers/synthetic-gguf.ts';

const TINY: GemmaShape = {
  layers: 2,
  width: 256,
  feedForward: 512,
  heads: 4,
  keyValueHeads: 2,
  headWidth: 64,
  vocabulary: 600,
  context: 128,
  window: 32,
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-gguf-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('GGUF', () => {
  test('a header, byte by byte', () => {
    const header = ggufHeader({ k: { type: 'u32', value: 7 } }, [{ name: 't', type: 'F32', dims: [3, 2] }]);
    const words = (...values: number[]): number[] => values.flatMap((value) => [value, 0, 0, 0]);
    const long = (value: number): number[] => words(value, 0);
    const text = (value: string): number[] => [...new TextEncoder().encode(value)];
    const file = [...text('GGUF'), ...words(3), ...long(1), ...long(1)]; // version, tensors, metadata
    const metadata = [...long(1), ...text('k'), ...words(4, 7)]; // a uint32
    const tensor = [...long(1), ...text('t'), ...words(2), ...long(3), ...long(2), ...words(0), ...long(0)]; // float32 at 0
    const expected = [...file, ...metadata, ...tensor];
    expect([...header.subarray(0, expected.length)]).toEqual(expected);
    expect(header.length % 32).toBe(0);
  });

  test.each(['Q4_0', 'Q8_0'] as const)(
    'a model in %s is read by another reader, with the spread it should have',
    async (type) => {
      const path = join(folder, `${type}.gguf`);
      writeSyntheticGguf(path, TINY, type);
      const { config, source } = await openGguf(path);
      expect(config).toMatchObject({
        hiddenSize: 256,
        intermediateSize: 512,
        numHiddenLayers: 2,
        numAttentionHeads: 4,
        numKeyValueHeads: 2,
        headDim: 64,
        vocabSize: 600,
        slidingWindow: 32,
      });
      const down = source.read('model.layers.1.mlp.down_proj.weight');
      expect(down).toHaveLength(256 * 512);
      const power = down.reduce((sum, value) => sum + value * value, 0) / down.length;
      expect(Math.sqrt(power * 512)).toBeCloseTo(1, 1);
      // Stored as 1 + w, so zero here.
      expect(source.read('model.norm.weight').every((value) => value === 0)).toBe(true);
      source.close();
    },
  );

  test('ternary codes are 0, 1 or 2', () => {
    const path = join(folder, 'ternary.gguf');
    writeSyntheticGguf(path, TINY, 'TQ2_0');
    const embedding = tensorBytes({ type: 'TQ2_0', dims: [TINY.width, TINY.vocabulary] });
    const file = readFileSync(path);
    const all = gemmaTensors(TINY, 'TQ2_0', 1).reduce(
      (sum, tensor) => sum + Math.ceil(tensorBytes(tensor) / 32) * 32,
      0,
    );
    const codes = file.subarray(file.length - all, file.length - all + embedding);
    const counts = [0, 0, 0, 0];
    for (let block = 0; block < embedding; block += GGML_TYPES.TQ2_0.bytes)
      for (let i = 0; i < 64; i++)
        for (const shift of [0, 2, 4, 6]) {
          const code = ((codes[block + i] ?? 0) >> shift) & 3;
          counts[code] = (counts[code] ?? 0) + 1;
        }
    expect(counts[3]).toBe(0);
    // A quarter each of -1 and +1, half zeros.
    expect((counts[1] ?? 0) / (embedding * (256 / 66))).toBeCloseTo(0.5, 1);
  });

  test('bytes of the model in the shape of Gemma 2 2B', () => {
    // 2,098,003,968 weights in matrices of 4.5, 8.5, 2.0625 and 1.125 bits, and 105 norms of 2304 float32.
    const weights = 2304 * 32_000 + 26 * (2304 * (2048 + 1024 + 1024 + 2048) + 3 * 2304 * 9216);
    const norms = 4 * 2304 * (4 * 26 + 1);
    for (const [type, bits] of [
      ['Q4_0', 4.5],
      ['Q8_0', 8.5],
      ['TQ2_0', 2.0625],
      ['Q1_0', 1.125],
    ] as const)
      expect(gemmaBytes(GEMMA_2_2B, type)).toBe((weights * bits) / 8 + norms);
  });
});
