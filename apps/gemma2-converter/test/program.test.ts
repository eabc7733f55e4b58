/** The commands as a user meets them. */
import { once } from 'node:events';
import { copyFileSync, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison } from '../src/comparison/compare.ts';
import { exampleText, run, temporaryFolder, writeTeacher } from './support.ts';

const { path, remove } = temporaryFolder();
beforeAll(async () => {
  writeTeacher(path('teacher'));
  writeFileSync(path('text.txt'), exampleText(600));
  for (const scheme of ['q4g32', 'q1'])
    expect((await run(['convert', path('teacher'), '-o', path(scheme), '--scheme', scheme])).status).toBe(0);
}, 60_000);
afterAll(remove);

describe('run', { timeout: 60_000 }, () => {
  it('continues a prompt, the same for the same seed, and says how fast', async () => {
    const args = ['run', path('q4g32'), '--max-tokens', '30', '--temperature', '1', '--seed', '7'];
    const first = await run([...args, 'the', 'cat']);
    expect(first.status).toBe(0);
    expect(first.errors).toMatch(
      /loaded in [\d.]+ ms.*prompt 8 tokens, [\d.]+ tokens\/s; \d+ tokens, [\d.]+ tokens\/s/,
    );
    const [same, other] = [await run(args, 'the cat'), await run([...args, '--seed', '8', 'the', 'cat'])];
    expect(same.output).toBe(first.output);
    expect(other.output).not.toBe(first.output);
    expect(Buffer.byteLength(first.output)).toBeGreaterThan(10);
  });

  it('gives the same text on every device', async () => {
    const texts: string[] = [];
    for (const device of ['wasm', 'js', 'interpreter']) {
      const { status, output } = await run([
        'run',
        path('q4g32'),
        'abc',
        '--temperature',
        '0',
        '--max-tokens',
        '12',
        '--device',
        device,
      ]);
      expect(status).toBe(0);
      texts.push(output);
    }
    expect(new Set(texts).size).toBe(1);
  });

  it('refuses a file that is damaged, is none, or is not there', async () => {
    copyFileSync(path('q4g32'), path('damaged'));
    const file = openSync(path('damaged'), 'r+');
    const byte = Buffer.alloc(1);
    const at = readFileSync(path('damaged')).length - 30_000;
    readSync(file, byte, 0, 1, at);
    writeSync(file, Buffer.from([byte[0] ^ 4]), 0, 1, at);
    const damaged = await run(['run', path('damaged'), 'a']);
    expect(damaged.status).toBe(1);
    expect(damaged.errors).toMatch(/checksum|crc32|damaged/);
    expect((await run(['run', path('text.txt'), 'a'])).errors).toMatch(/error: .*no converted model/);
    expect((await run(['run', path('nothing'), 'a'])).errors).toMatch(/cannot read .*nothing/);
  });

  it('names options that are wrong', async () => {
    const { status, errors } = await run([
      'run',
      path('q4g32'),
      'a',
      '--top-p',
      '2',
      '--max-tokens',
      'x',
      '--context',
      '10',
    ]);
    expect(status).toBe(2);
    expect(errors).toMatch(/--max-tokens: .*--top-p: /);
    expect((await run(['run', path('q4g32'), 'a', '--context', '9999'])).errors).toMatch(
      /--context: 9999 positions, .* 256/,
    );
    expect((await run(['fly'])).status).toBe(2);
    const help = await run(['run', '--help']);
    expect(help.status).toBe(0);
    expect(help.output).toMatch(/--temperature/);
  });
});

describe('convert', { timeout: 60_000 }, () => {
  it('refuses what cannot be converted', async () => {
    const nothing = await run(['convert', path('nowhere'), '-o', path('x')]);
    expect(nothing.status).toBe(1);
    expect(nothing.errors).toMatch(/there is no file or folder .*nowhere/);
    expect((await run(['convert', path('teacher'), '-o', path('q1')])).errors).toMatch(/is there already.*--overwrite/);
    const weights = path('teacher/model.safetensors');
    const before = readFileSync(weights);
    expect((await run(['convert', path('teacher'), '-o', weights, '--overwrite'])).errors).toMatch(
      /model\.safetensors belongs to the model that is converted/,
    );
    expect(readFileSync(weights).equals(before)).toBe(true);
    expect((await run(['convert', path('teacher'), '-o', path(''), '--overwrite'])).errors).toMatch(/is a folder/);
    const socket = createServer().listen(path('socket'));
    await once(socket, 'listening');
    expect((await run(['convert', path('teacher'), '-o', path('socket'), '--overwrite'])).errors).toMatch(
      /socket is no regular file/,
    );
    socket.close();
    expect((await run(['convert', path('teacher'), '-o', path('x'), '--scheme', 'q5'])).errors).toMatch(
      /--scheme: .*got "q5"/,
    );
    expect((await run(['convert', path('teacher'), '-o', path('x'), '--calibration', 'gptq'])).errors).toMatch(
      /--text/,
    );
    expect(existsSync(path('x'))).toBe(false);
  });
});

describe('compare', { timeout: 60_000 }, () => {
  it('prints all figures as a table or JSON, and draws the layers', async () => {
    const args = ['compare', path('teacher'), path('q4g32'), path('q1'), '--text', path('text.txt'), '--tokens', '128'];
    const sizes = ['--window', '64', '--generations', '2', '--generated', '16'];
    const { status, output } = await run([...args, ...sizes, '--plot', path('layers.svg'), '--json']);
    expect(status).toBe(0);
    const { students, teacher, ngram } = JSON.parse(output) as Comparison;
    expect(students.map(({ layers }) => layers?.length)).toEqual([3, 3]);
    expect(students[0].logits?.relative).toBeLessThan(students[1].logits?.relative ?? 0);
    expect(students[0].bitsPerWeight).toBeLessThan(6);
    expect(teacher.bleu).toMatchObject({ bleu: 1, brevityPenalty: 1 });
    expect(ngram.perplexity).toBeLessThan(teacher.perplexity);
    expect(readFileSync(path('layers.svg'), 'utf8')).toMatch(/^<svg[^]*q4g32[^]*q1[^]*<\/svg>\s*$/);
    // A plot that cannot be written does not take the figures with it.
    const table = await run([...args, ...sizes, '--plot', path('nowhere/layers.svg')]);
    expect([table.status, table.errors]).toEqual([1, expect.stringMatching(/cannot write .*nowhere\/layers\.svg/)]);
    expect(table.output).toMatch(/teacher .*100\.0 %.* 1\.000 /);
    expect(table.output).toMatch(/5-gram/);
  });

  it('refuses a text that is not UTF-8', async () => {
    writeFileSync(path('latin1.txt'), Buffer.from('Mehr Licht f\xfcr alle. '.repeat(200), 'latin1'));
    const { status, errors } = await run(['compare', path('teacher'), path('q1'), '--text', path('latin1.txt')]);
    expect([status, errors]).toEqual([1, expect.stringMatching(/--text: .*latin1\.txt is not UTF-8/)]);
  });

  it('refuses a model of another teacher', async () => {
    writeTeacher(path('other'), { numHiddenLayers: 2 });
    const { status, errors } = await run(['compare', path('other'), path('q1'), '--text', path('text.txt')]);
    expect(status).toBe(2);
    expect(errors).toMatch(/3 layers .* the teacher 2/);
  });
});

describe('distill', { timeout: 60_000 }, () => {
  it('writes a student that converts, and is nearer to the teacher than one that was not taught', async () => {
    const small = ['--steps', '30', '--batch', '4', '--window', '32', '--lr', '0.01'];
    const taught = await run(['distill', path('teacher'), '-o', path('student'), '--text', path('text.txt'), ...small]);
    expect(taught.status).toBe(0);
    expect(taught.output).toMatch(/30 steps.*--scheme q1/);
    expect((await run(['convert', path('student'), '-o', path('q1-student'), '--scheme', 'q1'])).status).toBe(0);
    const files = [path('teacher'), path('q1'), path('q1-student')];
    const sizes = ['--tokens', '128', '--window', '64', '--generations', '1', '--generated', '4'];
    const { output } = await run(['compare', ...files, '--text', path('text.txt'), '--json', ...sizes]);
    const [plain, distilled] = (JSON.parse(output) as Comparison).students;
    expect(distilled.kl).toBeLessThan(plain.kl ?? 0);
    expect(distilled.bytes).toBe(plain.bytes);
  });
});

describe('show and bench', { timeout: 60_000 }, () => {
  it('shows sizes, and the program of a layer before and after the passes', async () => {
    const sizes = await run(['show', path('q1')]);
    expect(sizes.output).toMatch(/self_attn\.q_proj\+k_proj\+v_proj\.weight +q1 +\[128, 64\]/);
    const layer = await run(['show', path('q1'), '--layer', '1']);
    expect(layer.output).toMatch(
      /%layer\.1\.k\.sums: .* = int_dot[^]*fuse-rows[^]*%layer\.1\.q_k_v: f32\[T, 128\] = linear/,
    );
    expect((await run(['show', path('q1'), '--layer', '3'])).errors).toMatch(/--layer: 3, the model has 3/);
  });

  it('measures', async () => {
    const { status, output } = await run([
      'bench',
      path('q4g32'),
      '--runs',
      '1',
      '--prompt-tokens',
      '16',
      '--tokens',
      '4',
      '--json',
      '--device',
      'interpreter',
    ]);
    expect(status).toBe(0);
    const result = JSON.parse(output) as Record<string, number>;
    expect(result['decodeTokensPerSecond']).toBeGreaterThan(0);
    expect(result['promptTokensPerSecond']).toBeGreaterThan(0);
    expect(result['bytesPerToken']).toBeGreaterThan(50_000);
  });
});

describe('start', { timeout: 120_000 }, () => {
  it.each([
    [['--width', '33'], /--width 33: 4 heads .*Give a multiple of 8/],
    [['--heads', '3', '--width', '48'], /--heads 3: .*Give 1 or an even number/],
    [['--context', '20'], /--context 20: .*Give a multiple of 8/],
    [['--context', '4096'], /--text has \d+ bytes, and --context 4096 takes 20490: .*Give a longer text/],
  ])('refuses %j before anything is begun', async (options, message) => {
    const { status, errors } = await run(['--out', path('refused'), '--text', path('text.txt'), ...options]);
    expect([status, errors]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(path('refused'))).toBe(false);
  });
  it('trains a teacher, converts it and compares, without anything from elsewhere', async () => {
    const small = [
      '--steps',
      '12',
      '--width',
      '32',
      '--layers',
      '2',
      '--heads',
      '2',
      '--context',
      '64',
      '--batch',
      '2',
    ];
    const args = ['--out', path('default'), '--text', path('text.txt'), '--distill-seconds', '1', ...small];
    const { status, output, errors } = await run(args);
    expect(errors).toMatch(/training a teacher/);
    expect(status).toBe(0);
    expect(output).toMatch(/teacher [^]*q8 [^]*q4g32 [^]*q1 [^]*q1 distilled [^]*5-gram/);
    expect(existsSync(path('default/layers.svg'))).toBe(true);
    expect(existsSync(path('default/teacher/tokenizer.json'))).toBe(true);
  });
});
