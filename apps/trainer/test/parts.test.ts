/** The parts of the trainer: configuration, schedule, event files, curves. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProjError } from '@proj/kernel';
import { tooLarge } from 'app-support';
import { afterAll, describe, expect, it } from 'vitest';
import { readConfigFile, resolveConfig } from '../src/config.ts';
import { documentationText } from '../src/corpus.ts';
import { crc32c, maskedCrc32c } from '../src/reporting/crc32c.ts';
import { terminalChart } from '../src/reporting/curves.ts';
import { createProgress, formatSeconds } from '../src/reporting/progress.ts';
import { EventMessage, TensorBoardWriter } from '../src/reporting/tensorboard.ts';
import { learningRateFactor } from '../src/training/step.ts';
import { sizesOf } from '../src/training/sizes.ts';

const folder = mkdtempSync(join(tmpdir(), 'proj-trainer-parts-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('configuration', () => {
  it('takes flags before environment before file before preset', () => {
    writeFileSync(join(folder, 'run.yaml'), 'preset: char-gpt\nlr: 0.1\nbatchSize: 3\nseed: 9\n');
    const file = { path: 'run.yaml', values: readConfigFile(join(folder, 'run.yaml')) };
    const config = resolveConfig({
      flags: { lr: '0.3' },
      environment: { PROJ_TRAINER_LR: '0.2', PROJ_TRAINER_BATCH_SIZE: '5' },
      file,
    });
    expect(config).toMatchObject({ preset: 'char-gpt', lr: 0.3, batchSize: 5, seed: 9, heads: 8, steps: 3000 });
  });
  it('drops the steps of the preset for the epochs of the user', () => {
    expect(resolveConfig({ flags: { preset: 'char-gpt', epochs: 2 } })).toMatchObject({ epochs: 2 });
    expect(resolveConfig({ flags: { preset: 'char-gpt', epochs: 2 } }).steps).toBeUndefined();
  });
  it('refuses variables that are no settings', () => {
    expect(() => resolveConfig({ environment: { PROJ_TRAINER_BATCHSIZE: '4', PROJ_DEVICE: 'js' } })).toThrow(
      /no setting PROJ_TRAINER_BATCHSIZE\. Variables are .*PROJ_TRAINER_BATCH_SIZE/,
    );
  });
  it('refuses settings that the preset does not use, wherever they come from', () => {
    expect(() => resolveConfig({ flags: { preset: 'char-lstm', heads: '4' } })).toThrow(
      'heads (from --heads): char-lstm does not use it, only docs-gpt, char-gpt. Leave it out',
    );
    const environment = { PROJ_TRAINER_PRESET: 'mlp-mnist', PROJ_TRAINER_CONTEXT: '32' };
    expect(() => resolveConfig({ environment })).toThrow(
      'context (from PROJ_TRAINER_CONTEXT): mlp-mnist does not use it, only docs-gpt, char-gpt, char-lstm',
    );
    const file = { path: 'run.yaml', values: { preset: 'cnn-mnist', text: 'a.txt', layers: 2, width: 64 } };
    expect(() => resolveConfig({ file })).toThrow(/^text \(from run\.yaml\).*; layers \(from run\.yaml\): cnn-mnist/);
    expect(() => resolveConfig({ flags: { data: 'x' } })).toThrow(/docs-gpt does not use it, only char-gpt/);
    expect(() => resolveConfig({ flags: { preset: 'char-gpt', data: 'x', text: 'y' } })).toThrow(/one text/);
    // What changes nothing is no mistake: the settings of an earlier run, an evaluation on other data.
    const earlier = resolveConfig({ flags: { preset: 'mlp-mnist' } });
    expect(resolveConfig({ file: { path: 'config.json', values: earlier } })).toEqual(earlier);
    expect(resolveConfig({ flags: { data: 'y' }, base: { ...earlier, data: 'x' } }).data).toBe('y');
  });
  it('names every field that is wrong', () => {
    expect(() => resolveConfig({ flags: { lr: -1, context: 'x' } })).toThrow(
      /context \(from --context\).*lr \(from --lr\)|lr \(from --lr\).*context \(from --context\)/,
    );
    expect(() => resolveConfig({ flags: { batchSize: '1e9' } })).toThrow(
      /batchSize .*must be at most 1000000, got "1e9"/,
    );
    expect(() => resolveConfig({ flags: { width: 100, heads: 3 } })).toThrow(/3 heads do not divide the width 100/);
  });
});

describe('learning rate', () => {
  it('rises linearly and falls as half a cosine', () => {
    const settings = { lr: 1, minLr: 0.1, warmup: 4 };
    const factor = (step: number): number => learningRateFactor(step, 104, settings);
    expect([factor(0), factor(3), factor(4)]).toEqual([0.25, 1, 1]);
    expect(factor(54)).toBeCloseTo(0.55, 12);
    expect(factor(104)).toBeCloseTo(0.1, 12);
  });
});

describe('event files', () => {
  it('CRC-32C has the check value of the standard and the vectors of RFC 3720', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  });

  it('hold framed events that decode to what was written', () => {
    const writer = new TensorBoardWriter(folder, 1_700_000_000_000);
    writer.scalars(7, { trainLoss: 1.5, lr: 0.25 });
    writer.close();
    const bytes = readFileSync(writer.path);
    const events: Record<string, unknown>[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = Number(bytes.readBigUInt64LE(at));
      expect(bytes.readUInt32LE(at + 8)).toBe(maskedCrc32c(bytes.subarray(at, at + 8)));
      const data = bytes.subarray(at + 12, at + 12 + length);
      expect(bytes.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
      events.push(EventMessage.toObject(EventMessage.decode(data), { longs: Number }));
      at += 16 + length;
    }
    expect(events[0]).toMatchObject({ wallTime: 1_700_000_000, fileVersion: 'brain.Event:2' });
    expect(events[1]).toMatchObject({
      step: 7,
      summary: {
        value: [
          { tag: 'trainLoss', simpleValue: 1.5 },
          { tag: 'lr', simpleValue: 0.25 },
        ],
      },
    });
    // The bytes of the value, by the protocol-buffer encoding: field 1 (tag), field 2 (fixed32).
    expect(bytes.toString('latin1')).toContain('\n\ttrainLoss\x15\x00\x00\xc0\x3f');
  });
});

describe('curves', () => {
  const series = [
    { name: 'training loss', points: Array.from({ length: 50 }, (_, i): [number, number] => [i, 3 / (1 + i / 10)]) },
  ];
  it('are drawn for a terminal, as wide as it is', () => {
    const chart = terminalChart(series);
    expect(chart.split('\n').length).toBeGreaterThan(10);
    const widest = (columns: number): number =>
      Math.max(
        ...terminalChart(series, columns)
          .split('\n')
          .map((line) => line.trimEnd().length),
      );
    expect(widest(40)).toBeLessThanOrEqual(40);
    expect(terminalChart(series, 20)).toBe('');
    expect(terminalChart([])).toBe('');
  });
});

describe('progress', () => {
  it('is plain lines where there is no terminal', () => {
    const written: string[] = [];
    const stream = { isTTY: false, write: (line: string) => written.push(line) } as unknown as NodeJS.WriteStream;
    const progress = createProgress(20, 0, 'images', 10, stream);
    for (let step = 1; step <= 20; step++) progress.update({ step, loss: 1 / step, rate: 12_345, secondsLeft: 90 });
    expect(written).toEqual([
      'step 10/20  loss 0.1000  12.3k images/s  1m30s left\n',
      'step 20/20  loss 0.0500  12.3k images/s  1m30s left\n',
    ]);
  });
  it('writes times shortly', () => {
    expect([5, 65, 3700, Infinity].map(formatSeconds)).toEqual(['5s', '1m05s', '1h01m', '?']);
  });
});

describe('the embedded text', () => {
  it('is the documentation of the repository in plain characters', () => {
    const text = documentationText();
    expect(text.length).toBeGreaterThan(50_000);
    expect(text).toMatch(/npm start/);
    expect(text).toMatch(/^[\n\x20-\x7e]*$/);
  });
});

describe('runs that do not fit into memory', () => {
  it('are told which settings to change', () => {
    const lack = new ProjError('out-of-memory', 'no room for 27.2 GB: 28.1 MB are in use', {
      op: 'allocate',
      cure: 'Evaluate in smaller pieces',
    });
    expect(tooLarge(lack, 'train', sizesOf(resolveConfig({ flags: { batchSize: 10_000 } })))).toMatchObject({
      code: 'out-of-memory',
      message:
        'train: it does not fit into memory with --batch-size 10000, --context 64, --width 128, --layers 3 ' +
        '(no room for 27.2 GB: 28.1 MB are in use). Make --batch-size or --context or --width or --layers smaller',
    });
    const other = new ProjError('io', 'cannot write');
    expect(tooLarge(other, 'train', {})).toBe(other);
  });
});
