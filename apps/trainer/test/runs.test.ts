/** Whole runs of the program: what they write, how they stop, how they go on, and what they say when something is wrong. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { Tensor } from '@proj/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHECKPOINT_FILE, loadCheckpoint, readLog, type Summary } from '../src/index.ts';
import { idx, run, start, temporaryFolder, TINY, writeText } from './support.ts';

const { path, remove } = temporaryFolder();
const text = path('text.txt');
beforeAll(() => writeText(text));
afterAll(remove);

const tiny = (out: string, ...rest: string[]): string[] => [
  'train',
  ...TINY,
  '--text',
  text,
  '--out',
  path(out),
  ...rest,
];
const summaryOf = (out: string): Summary => JSON.parse(readFileSync(path(`${out}/summary.json`), 'utf8')) as Summary;
const bitsOf = (out: string): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(loadCheckpoint(path(`${out}/${CHECKPOINT_FILE}`)).training.model).map(([name, value]) => [
      name,
      (value as Tensor).toFlatArray(),
    ]),
  );

/** What a run says on stderr, without the line about a device that this machine does not have. */
const unexpected = (errors: string): string => errors.replace(/^proj: device "native" is not available:.*\n/m, '');

describe('a run', { timeout: 120_000 }, () => {
  it('learns, and leaves summary, log, event file, curves and checkpoint', async () => {
    const { status, output, errors } = await run(
      tiny('first', '--steps', '60', '--log-every', '10', '--checkpoint-every', '20', '--dropout', '0.1'),
    );
    expect(unexpected(errors)).toBe('');
    expect(status).toBe(0);
    const summary = summaryOf('first');
    expect(summary).toMatchObject({ preset: 'docs-gpt', device: 'js', threads: 1, steps: 60, ended: 'finished' });
    // 25 different characters or so: guessing costs ln 25 ≈ 3.2.
    expect(summary.metrics['valLoss']).toBeLessThan(3);
    expect(summary.best.valLoss).toBeLessThanOrEqual(summary.metrics['valLoss']);
    expect(summary.metrics['bitsPerCharacter']).toBeCloseTo(summary.metrics['valLoss'] / Math.LN2, 10);
    expect(summary.samplesPerSecond).toBeCloseTo((60 * 4 * 8) / summary.seconds, 6);
    const log = readLog(path('first/log.jsonl'));
    expect(log.filter((entry) => 'trainLoss' in entry).map(({ step }) => step)).toEqual([10, 20, 30, 40, 50, 60]);
    expect(log.filter((entry) => 'valLoss' in entry).map(({ step }) => step)).toEqual([10, 20, 30, 40, 50, 60]);
    expect(readFileSync(path('first/curves.svg'), 'utf8')).toMatch(
      /^<svg[\s\S]*training loss[\s\S]*validation loss[\s\S]*<\/svg>\s*$/,
    );
    expect(readdirSync(path('first')).filter((name) => name.startsWith('events.out.tfevents.'))).toHaveLength(1);
    expect(output).toMatch(/step 60\/60 {2}loss/);
    expect(output).toMatch(/a sample:\n/);
  });

  it('gives the same bits again for the same seed, others for another', async () => {
    for (const [out, seed] of [
      ['same', '1'],
      ['again', '1'],
      ['other', '2'],
    ])
      expect((await run(tiny(out, '--steps', '12', '--dropout', '0.1', '--seed', seed))).status).toBe(0);
    expect(bitsOf('again')).toEqual(bitsOf('same'));
    expect(bitsOf('other')).not.toEqual(bitsOf('same'));
  });

  it('killed at any moment goes on to the bits of the run that was not', async () => {
    const settings = [
      '--steps',
      '120',
      '--checkpoint-every',
      '7',
      '--log-every',
      '5',
      '--dropout',
      '0.2',
      '--grad-clip',
      '0.5',
    ];
    expect((await run(tiny('whole', ...settings))).status).toBe(0);
    const killed = start(tiny('killed', ...settings));
    await killed.until(/step (20|25|30|35)\//);
    await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
    killed.child.kill('SIGKILL');
    expect((await killed.done).signal).toBe('SIGKILL');
    const at = loadCheckpoint(path(`killed/${CHECKPOINT_FILE}`)).training.step;
    expect(at % 7).toBe(0);
    expect(at).toBeLessThan(120);
    const resumed = await run(['train', '--resume', '--out', path('killed')]);
    expect(unexpected(resumed.errors)).toBe('');
    expect(resumed.output).toContain(`from step ${at}`);
    expect(bitsOf('killed')).toEqual(bitsOf('whole'));
    const steps = readLog(path('killed/log.jsonl'))
      .filter((entry) => 'trainLoss' in entry)
      .map(({ step }) => step);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(new Set(steps).size).toBe(steps.length);
  });

  it('on Ctrl-C saves, says how to go on, and exits with 130', async () => {
    const stopped = start(tiny('stopped', '--steps', '100000', '--log-every', '5'));
    await stopped.until(/step 10\//);
    stopped.child.kill('SIGINT');
    const { status, output } = await stopped.done;
    expect(status).toBe(130);
    expect(output).toMatch(/interrupted at step \d+; go on with --resume --out/);
    const { steps, ended } = summaryOf('stopped');
    expect(ended).toBe('interrupted');
    expect(loadCheckpoint(path(`stopped/${CHECKPOINT_FILE}`)).training.step).toBe(steps);
  });

  it('ends at once on Ctrl-C before its first step, and leaves an earlier run as it was', async () => {
    expect((await run(tiny('begun', '--steps', '5'))).status).toBe(0);
    const files = ['config.json', 'summary.json', 'log.jsonl', CHECKPOINT_FILE];
    const contents = (): string[] => files.map((name) => readFileSync(path(`begun/${name}`), 'latin1'));
    const before = contents();
    const again = start(tiny('begun', '--overwrite', '--layers', '60', '--steps', '5'));
    while (!existsSync(path('begun/running.pid'))) await new Promise((resolve) => setTimeout(resolve, 5));
    again.child.kill('SIGINT');
    expect(await again.done).toMatchObject({ status: null, signal: 'SIGINT', output: '' });
    expect(contents()).toEqual(before);
    expect((await run(['eval', '--text', text, '--out', path('begun')])).status).toBe(0);
  });

  it.runIf(process.platform === 'linux')('refuses a folder that cannot be made', async () => {
    const { status, errors } = await run([...tiny('unused'), '--out', '/proc/proj-run/deep']);
    expect([status, unexpected(errors)]).toEqual([
      1,
      'error: cannot make the folder /proc/proj-run/deep: /proc takes no new folders. Give a folder on a disk that can be written\n',
    ]);
  });

  it('stops early when the validation loss no longer falls', async () => {
    const { status, output } = await run(tiny('early', '--steps', '500', '--patience', '2', '--min-delta', '100'));
    expect(status).toBe(0);
    expect(output).toMatch(/stopping early/);
    expect(summaryOf('early')).toMatchObject({ ended: 'early-stopping', steps: 30, best: { step: 10 } });
  });

  it('stops when the loss is not a number, and keeps the last good checkpoint', async () => {
    expect((await run(tiny('nan', '--steps', '10', '--checkpoint-every', '5'))).status).toBe(0);
    const good = bitsOf('nan');
    const { status, errors } = await run([
      'train',
      '--resume',
      '--out',
      path('nan'),
      '--steps',
      '200',
      '--lr',
      '1e38',
      '--min-lr',
      '1e38',
      '--grad-clip',
      '0',
      '--checkpoint-every',
      '1',
    ]);
    expect(status).toBe(1);
    expect(errors).toMatch(
      /(loss is (NaN|-?Infinity)|not a finite number) at step \d+; the last good checkpoint, of step \d+, is .*checkpoint\.safetensors.*Lower --lr/,
    );
    const kept = loadCheckpoint(path(`nan/${CHECKPOINT_FILE}`));
    for (const value of Object.values(kept.training.model))
      expect((value as Tensor).toFlatArray().every(Number.isFinite)).toBe(true);
    expect(Object.keys(good)).toEqual(Object.keys(kept.training.model));
  });

  it('on a full disk says so and keeps the checkpoint that there is', async (context) => {
    if (!existsSync('/dev/full')) context.skip('there is no /dev/full here');
    expect((await run(tiny('full', '--steps', '10'))).status).toBe(0);
    const before = readFileSync(path(`full/${CHECKPOINT_FILE}`));
    symlinkSync('/dev/full', path(`full/${CHECKPOINT_FILE}.tmp`));
    const { status, errors } = await run(['train', '--resume', '--out', path('full'), '--steps', '20']);
    expect(status).toBe(1);
    expect(errors).toMatch(/cannot write .*checkpoint\.safetensors: ENOSPC.*Free some space/);
    expect(readFileSync(path(`full/${CHECKPOINT_FILE}`)).equals(before)).toBe(true);
  });

  it('ends quietly, with its work saved, when nobody reads its output any more', async () => {
    const left = start(tiny('left', '--steps', '100000', '--log-every', '1'));
    await left.until(/step 3\//);
    left.child.stdout?.destroy();
    const { status, errors } = await left.done;
    expect(unexpected(errors)).toBe('stopping after this step\n');
    expect(status).toBe(130);
    expect(summaryOf('left').ended).toBe('interrupted');
  });

  it('takes a text without lines, and refuses a prompt of other characters before it trains', async () => {
    writeFileSync(path('oneline.txt'), 'the cat sat on the mat. '.repeat(100));
    const args = ['train', ...TINY, '--text', path('oneline.txt'), '--steps', '2', '--out'];
    const { status, output } = await run([...args, path('oneline')]);
    expect(status).toBe(0);
    expect(output).toMatch(/data: .*oneline\.txt \(2,400 characters\)/);
    const refused = await run([...args, path('refused'), '--prompt', '€']);
    expect([refused.status, existsSync(path('refused'))]).toEqual([1, false]);
  });

  it('evaluates and samples from what it saved', async () => {
    expect((await run(tiny('used', '--steps', '30'))).status).toBe(0);
    const evaluated = await run(['eval', '--out', path('used'), '--json']);
    const loaded = JSON.parse(evaluated.output) as { metrics: Record<string, number>; step: number };
    const { metrics, step } = loaded;
    expect(step).toBe(30);
    expect(metrics['valLoss']).toBeCloseTo(summaryOf('used').metrics['valLoss'], 10);
    const sampled = await run(['sample', '--out', path('used'), '--prompt', 'the ', '--length', '40', '--seed', '3']);
    expect(unexpected(sampled.errors)).toBe('');
    expect(sampled.output.trimEnd().length).toBeGreaterThan(4);
    expect(
      (await run(['sample', '--out', path('used'), '--prompt', 'the ', '--length', '40', '--seed', '3'])).output,
    ).toBe(sampled.output);
    // A text with fewer characters, which keep the numbers that the model learnt them by; and one with others.
    const content = readFileSync(text, 'utf8');
    const evaluate = (letters: string): ReturnType<typeof run> => {
      writeFileSync(path('letters.txt'), letters);
      return run(['eval', '--out', path('used'), '--text', path('letters.txt'), '--json']);
    };
    const fewer = JSON.parse((await evaluate(content.replaceAll(/\d/g, 'a'))).output) as typeof loaded;
    expect(fewer.metrics['valLoss']).toBeLessThan(metrics['valLoss'] + 1);
    const foreign = await evaluate(content.toUpperCase());
    expect([foreign.status, foreign.errors]).toEqual([1, expect.stringMatching(/"L" is not in the vocabulary/)]);
    const unknown = await run(['sample', '--out', path('used'), '--prompt', '€']);
    expect([unknown.status, unknown.errors]).toEqual([1, expect.stringMatching(/"€" is not in the vocabulary/)]);
  });

  it('trains a digit classifier from IDX files', async () => {
    const folder = path('digits');
    mkdirSync(folder);
    // Ten bars at ten places: easy, but not for a model that does not learn.
    const make = (name: string, count: number): void => {
      const images = new Uint8Array(count * 784);
      const labels = Uint8Array.from({ length: count }, (_, i) => (i * 7) % 10);
      labels.forEach((label, i) => images.fill(255, i * 784 + label * 78, i * 784 + label * 78 + 40));
      writeFileSync(`${folder}/${name}-images-idx3-ubyte.gz`, gzipSync(idx([count, 28, 28], images)));
      writeFileSync(`${folder}/${name}-labels-idx1-ubyte`, idx([count], labels));
    };
    make('train', 400);
    make('t10k', 50);
    const { status, errors } = await run([
      'train',
      '--preset',
      'mlp-mnist',
      '--data',
      folder,
      '--out',
      path('bars'),
      '--epochs',
      '4',
      '--batch-size',
      '20',
      '--width',
      '32',
      '--warmup',
      '5',
      '--device',
      'js',
    ]);
    expect(unexpected(errors)).toBe('');
    expect(status).toBe(0);
    expect(summaryOf('bars').metrics['testAccuracy']).toBeGreaterThan(0.95);
    writeFileSync(`${folder}/t10k-labels-idx1-ubyte`, idx([50], new Uint8Array(20)));
    const broken = await run(['eval', '--out', path('bars')]);
    expect([broken.status, broken.errors]).toEqual([
      1,
      expect.stringMatching(/t10k-labels-idx1-ubyte: it ends at byte 28/),
    ]);
  });
});

describe('wrong input', { timeout: 60_000 }, () => {
  it.each<[string, string[], Readonly<Record<string, string>>, number, RegExp]>([
    ['a number that is none', ['--batch-size', 'many'], {}, 2, /batchSize \(from --batch-size\): .*number.*"many"/],
    [
      'a value out of range',
      [],
      { PROJ_TRAINER_DROPOUT: '1.5' },
      2,
      /dropout \(from PROJ_TRAINER_DROPOUT\): .*1.*"1\.5"/,
    ],
    ['an empty path', ['--text', ''], {}, 2, /text \(from --text\): must not be empty/],
    ['a text without characters', ['--text', '/dev/null'], {}, 1, /\/dev\/null is too short.*--context/],
    ['an unknown preset', ['--preset', 'resnet'], {}, 2, /preset \(from --preset\): .*docs-gpt/],
    ['an unknown flag', ['--lerning-rate', '1'], {}, 2, /unknown option '--lerning-rate'/],
    [
      'an unknown device',
      [...TINY.slice(0, -1), 'abacus'],
      {},
      2,
      /device \(from --device\): must be one of native, wasm, js/,
    ],
    [
      'a missing data folder',
      ['--preset', 'mlp-mnist', '--data', '/nowhere'],
      {},
      1,
      /no train-images-idx3-ubyte.*--data/,
    ],
    ['no data folder', ['--preset', 'cnn-mnist'], {}, 1, /cnn-mnist needs MNIST.*--data DIR or PROJ_DATA/],
    ['a missing configuration', ['--config', '/nowhere.yaml'], {}, 1, /cannot read the configuration \/nowhere\.yaml/],
  ])('%s is refused', async (name, args, environment, wanted, message) => {
    const { status, errors } = await run(['train', ...args, '--out', path(`bad-${name}`)], environment);
    expect(errors).toMatch(message);
    expect(status).toBe(wanted);
  });

  it('an unknown field of a file is named, with the file', async () => {
    writeFileSync(path('bad.yaml'), 'lerningRate: 3\n');
    const { status, errors } = await run(['train', '--config', path('bad.yaml')]);
    expect([status, errors]).toEqual([
      2,
      expect.stringMatching(/lerningRate \(from .*bad\.yaml\): there is no such field/),
    ]);
  });

  it('an earlier run is not replaced unasked, and a damaged checkpoint is refused', async () => {
    expect((await run(tiny('kept', '--steps', '5'))).status).toBe(0);
    const again = await run(tiny('kept', '--steps', '5'));
    expect([again.status, again.errors]).toEqual([
      2,
      expect.stringMatching(/there is a run in .*kept already.*--resume.*--overwrite/),
    ]);
    const file = path(`kept/${CHECKPOINT_FILE}`);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length - 100));
    const truncated = await run(['train', '--resume', '--out', path('kept')]);
    expect([truncated.status, truncated.errors]).toEqual([
      1,
      expect.stringMatching(/checkpoint\.safetensors: tensor ".*" claims bytes|truncated/),
    ]);
    bytes[bytes.length - 50] ^= 4;
    writeFileSync(file, bytes);
    expect((await run(['eval', '--checkpoint', file])).errors).toMatch(/checksum/);
  });

  it('a run that is replaced leaves nothing that could be taken for the new one', async () => {
    expect((await run(tiny('replaced', '--steps', '5'))).status).toBe(0);
    // Stops before its first validation, so that it has no best model yet.
    const second = start(tiny('replaced', '--overwrite', '--steps', '100000', '--eval-every', '100000'));
    await second.until(/step \d+0\//);
    second.child.kill('SIGINT');
    expect((await second.done).status).toBe(130);
    expect(existsSync(path('replaced/best.safetensors'))).toBe(false);
    expect((await run(['eval', '--out', path('replaced')])).output).toMatch(
      /replaced\/checkpoint\.safetensors \(step \d+\)/,
    );
  });

  it('two runs do not write into one folder at once, and one that was killed is not in the way', async () => {
    const first = start(tiny('shared', '--steps', '100000'));
    await first.until(/parameters/);
    const second = await run(tiny('shared', '--overwrite', '--steps', '5'));
    expect([second.status, second.errors]).toEqual([
      2,
      expect.stringMatching(
        /another run \(process \d+\) is writing into .*shared\. Wait until it ends, or give another --out/,
      ),
    ]);
    first.child.kill('SIGKILL');
    await first.done;
    expect((await run(tiny('shared', '--overwrite', '--steps', '5'))).status).toBe(0);
    expect(existsSync(path('shared/running.pid'))).toBe(false);
  });

  it('a run does not go on with other data or another model', async () => {
    expect((await run(tiny('moved', '--steps', '5'))).status).toBe(0);
    // Weights of two heads fit four as well.
    const reshaped = await run(['train', '--resume', '--out', path('moved'), '--heads', '4']);
    expect([reshaped.status, reshaped.errors]).toEqual([2, expect.stringMatching(/--heads is 4, in the run 2/)]);
    writeText(path('other.txt'));
    writeFileSync(path('other.txt'), `${readFileSync(text, 'utf8')}more\n`);
    const { status, errors } = await run([
      'train',
      '--resume',
      '--out',
      path('moved'),
      '--steps',
      '9',
      '--text',
      path('other.txt'),
    ]);
    expect([status, errors]).toEqual([1, expect.stringMatching(/was trained on other data/)]);
  });
});
