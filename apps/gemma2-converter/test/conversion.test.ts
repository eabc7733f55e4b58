/** Conversions: what the bytes are, what they lose, and what happens when one is stopped. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { openCheckpoint } from '@proj/quant-jit/gemma2';
import { openModelFile } from '@proj/quant-jit/file';
import { type ConstantSource, NativeCodeILNN } from '@proj/quant-jit/il';
import { packConstant, programOfFile } from '@proj/quant-jit/jit';
import { bitsPerWeight, quantize, type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareModels, type Comparison } from '../src/comparison/compare.ts';
import { sampleText } from '../src/comparison/sample.ts';
import { openTeacher } from '../src/commands/compare.ts';
import { convert, type ConversionSettings } from '../src/conversion/convert.ts';
import { openConverted, recordOf } from '../src/model/open.ts';
import { exampleText, run, SIZES, start, temporaryFolder, writeHollowTeacher, writeTeacher } from './support.ts';

const { path, remove } = temporaryFolder();
const teacher = path('teacher');
const text = path('text.txt');
beforeAll(() => {
  writeTeacher(teacher);
  writeFileSync(text, exampleText(600));
});
afterAll(remove);

const settings = (scheme: SchemeName, more: Partial<ConversionSettings> = {}): ConversionSettings => ({
  scheme,
  calibration: 'absmax',
  kvCache: 'f32',
  mode: 'exact',
  overwrite: true,
  ...more,
});
const calibration = { text: exampleText(600), identity: 'example', tokens: 1024 };

async function compareWithTeacher(files: readonly string[]): Promise<Comparison> {
  const model = await openTeacher(teacher);
  const students = await Promise.all(files.map(async (name) => ({ name, model: await openConverted(path(name)) })));
  const sample = sampleText(exampleText(600), model.tokenizer, {
    tokens: 256,
    window: 64,
    generations: 2,
    generated: 12,
    prompt: 16,
  });
  return compareModels(model, students, sample);
}

describe('a conversion', { timeout: 60_000 }, () => {
  it.each(['f32', 'q8', 'q4g32', 'q4g64a', 'q158', 'q1g128'] as const)(
    'in bands of rows gives %s the bytes that whole tensors give',
    async (scheme) => {
      await convert(teacher, path('bands'), settings(scheme, { embeddingScheme: scheme }));
      const file = await openModelFile(path('bands'), { verify: 'always' });
      const { source } = await openCheckpoint(teacher);
      const whole: ConstantSource = {
        floats: (name) => source.read(name),
        matrix: (name) => {
          const [rows, columns] = source.info(name).shape;
          return quantize(source.read(name), rows, columns, scheme);
        },
      };
      const bytes = readFileSync(path('bands'));
      const joined = NativeCodeILNN.parse(file.il).constants.filter(({ parts }) => parts.length > 0);
      expect(joined.map(({ layout, parts }) => [layout, parts.length])).toContainEqual(['pairs', 2]);
      expect(joined.map(({ layout, parts }) => [layout, parts.length])).toContainEqual([
        scheme === 'f32' ? 'rows' : 'panels',
        3,
      ]);
      for (const constant of NativeCodeILNN.parse(file.il).constants) {
        const record = file.tensors.get(constant.name);
        const stored = bytes.subarray(record?.offset, (record?.offset ?? 0) + (record?.bytes ?? 0));
        const packed = packConstant(constant, whole);
        expect(Buffer.compare(stored.subarray(0, packed.length), packed), constant.name).toBe(0);
      }
    },
  );

  it('takes the bits that its scheme promises', async () => {
    for (const scheme of ['q8', 'q4g32', 'q158', 'q1'] as const) {
      const { bytes } = await convert(teacher, path('size'), settings(scheme, { embeddingScheme: scheme }));
      const { tensors } = await openModelFile(path('size'));
      const matrices = [...tensors.values()].filter(({ rows }) => rows > 1);
      const weights = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
      const stored = matrices.reduce((sum, tensor) => sum + tensor.bytes, 0);
      // Rows of 64 are short: row scales weigh more than in a real model, and 259 rows are padded to 272.
      expect((8 * stored) / weights / bitsPerWeight(SCHEMES[scheme], SIZES.hiddenSize)).toBeCloseTo(1, 1);
      expect(bytes).toBeGreaterThan(stored);
    }
  });

  it('to float32 is the teacher; fewer bits are further away; the teacher agrees with itself', async () => {
    for (const scheme of ['f32', 'q8', 'q4g32', 'q1'] as const) await convert(teacher, path(scheme), settings(scheme));
    const { students, teacher: itself, ngram } = await compareWithTeacher(['f32', 'q8', 'q4g32', 'q1']);
    const [f32, q8, q4, q1] = students;
    expect(f32.logits?.relative).toBeLessThan(1e-9);
    expect(f32.bleu.bleu).toBe(1);
    expect(f32.topOne).toBe(1);
    for (const layer of f32.layers ?? []) expect(layer.relative).toBeLessThan(1e-9);
    const errors = [q8, q4, q1].map(({ logits }) => logits?.relative ?? Number.NaN);
    expect(errors[0]).toBeGreaterThan(1e-6);
    expect(errors[0]).toBeLessThan(0.02);
    expect(errors).toEqual(errors.toSorted((a, b) => a - b));
    expect(q8.kl).toBeGreaterThan(0);
    expect(itself.bleu.bleu).toBe(1);
    expect(itself.kl).toBe(0);
    // The text repeats itself: counting n-grams is all it takes.
    expect(ngram.perplexity).toBeLessThan(1.6);
    expect(ngram.accuracy).toBeGreaterThan(0.8);
    expect(ngram.bleu.bleu).toBeLessThan(1);
  });

  it('with GPTQ loses less than with the rule alone', async () => {
    await convert(teacher, path('plain'), settings('q4g64'));
    await convert(teacher, path('gptq'), settings('q4g64', { calibration: 'gptq', text: calibration }));
    const { students } = await compareWithTeacher(['plain', 'gptq']);
    expect(students[1].kl ?? NaN).toBeLessThan(students[0].kl ?? NaN);
  });

  it('mixes schemes under a budget', async () => {
    await convert(teacher, path('mix'), settings('q4g32', { mixBits: 5, text: { ...calibration, tokens: 256 } }));
    const { tensors } = await openModelFile(path('mix'));
    const matrices = [...tensors.values()].filter(({ rows }) => rows > 1);
    const weights = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    const bits = (8 * matrices.reduce((sum, { bytes }) => sum + bytes, 0)) / weights;
    expect(bits).toBeLessThanOrEqual(5);
    expect(bits).toBeGreaterThan(3);
    expect(new Set(matrices.map(({ scheme }) => scheme.name)).size).toBeGreaterThan(1);
    await convert(teacher, path('q158'), settings('q158', { embeddingScheme: 'q158' }));
    const { students } = await compareWithTeacher(['mix', 'q158']);
    expect(students[0].kl ?? NaN).toBeLessThan(students[1].kl ?? NaN);
  });

  it('refuses weights that are not finite, and names the tensor and its file', async () => {
    writeHollowTeacher(path('nan'), {}, 'model.layers.1.mlp.up_proj.weight');
    await expect(convert(path('nan'), path('nan.out'), settings('q4g32'))).rejects.toThrow(
      /tensor "model\.layers\.1\.mlp\.up_proj\.weight" in .*\.safetensors.* is NaN at \[80, 0\]/,
    );
    expect(existsSync(path('nan.out'))).toBe(false);
  });

  it('that is damaged inside is refused by the name of the file', async () => {
    await convert(teacher, path('sound'), settings('q8'));
    const file = await openModelFile(path('sound'));
    expect(recordOf({ file }).stopTokens).toEqual([257]);
    for (const conversion of ['{"stopTokens":', 'null', '{}'])
      expect(() => recordOf({ file: { ...file, metadata: { ...file.metadata, conversion } } })).toThrow(
        `${path('sound')}: it does not say how it was converted`,
      );
    expect(() => programOfFile({ ...file, il: file.il.slice(0, file.il.length / 2) })).toThrow(
      `${path('sound')}: the program in it:`,
    );
  });

  it('that was stopped goes on, and ends with the same bytes', async () => {
    await convert(teacher, path('whole'), settings('q4g32'));
    const controller = new AbortController();
    let seen = 0;
    const first = await convert(teacher, path('stopped'), settings('q4g32'), {
      signal: controller.signal,
      onProgress: () => {
        if (++seen === 12) controller.abort();
      },
    });
    expect(first.interrupted).toBe(true);
    expect(existsSync(path('stopped'))).toBe(false);
    const second = await convert(teacher, path('stopped'), settings('q4g32'));
    expect(second.resumed).toBeGreaterThanOrEqual(8);
    expect(readFileSync(path('stopped')).equals(readFileSync(path('whole')))).toBe(true);
    expect(existsSync(path('stopped.partial'))).toBe(false);
  });
});

describe('the program', { timeout: 60_000 }, () => {
  it('killed at any moment leaves no file that loads, and the next run ends with the same bytes', async () => {
    const sizes = { hiddenSize: 256, intermediateSize: 1024, numHiddenLayers: 6 };
    writeTeacher(path('larger'), sizes);
    const args = ['convert', path('larger'), '--scheme', 'q4g32', '-o'];
    expect((await run([...args, path('undisturbed')])).status).toBe(0);
    for (const at of ['30%', '70%']) {
      const killed = start([...args, path('disturbed')]);
      await killed.until(new RegExp(`converting ${at}`.replace('0%', '\\d%')));
      await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
      killed.child.kill('SIGKILL');
      expect((await killed.done).signal).toBe('SIGKILL');
      expect(existsSync(path('disturbed'))).toBe(false);
      expect(existsSync(path('disturbed.partial'))).toBe(true);
      await expect(openModelFile(path('disturbed.partial'))).rejects.toThrow(/not finished/);
    }
    const last = await run([...args, path('disturbed')]);
    expect(last.status).toBe(0);
    expect(last.errors).toMatch(/going on after \d+ of \d+ tensors/);
    expect(readFileSync(path('disturbed')).equals(readFileSync(path('undisturbed')))).toBe(true);
  });

  it('on Ctrl-C keeps what is converted and exits with 130', async () => {
    const args = ['convert', path('larger'), '--scheme', 'q8', '-o', path('interrupted')];
    const stopped = start(args);
    await stopped.until(/converting [345]\d%/);
    stopped.child.kill('SIGINT');
    const { status, errors } = await stopped.done;
    expect(status).toBe(130);
    expect(errors).toMatch(/the same command goes on/);
    expect((await run(args)).status).toBe(0);
  });

  it('needs less memory than one and a half of the largest tensor and the output buffer', async () => {
    const largest = 4 * 65_536 * 1024;
    writeHollowTeacher(path('small'), { hiddenSize: 1024, headDim: 16 });
    writeHollowTeacher(path('large'), { hiddenSize: 1024, headDim: 16, vocabSize: 65_536 });
    const program = new URL('peak-memory.ts', import.meta.url).pathname;
    const peak = async (model: string): Promise<number> => {
      const { status, errors } = await start(['convert', path(model), '-o', path(`${model}.out`)], { program }).done;
      expect(status).toBe(0);
      return Number(/peak (\d+)/.exec(errors)?.[1]);
    };
    const base = await peak('small');
    const more = (await peak('large')) - base;
    const output = (largest / 32) * 4.5;
    expect(more).toBeGreaterThan(output / 2);
    expect(more).toBeLessThan(1.5 * largest + output);
  });
});
