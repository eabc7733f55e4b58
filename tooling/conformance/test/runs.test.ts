import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCaseFiles, readCaseFile } from '../src/case-files.ts';
import type { CaseRecord } from '../src/encoded.ts';
import { familyOf } from '../src/families/index.ts';
import { Interpreter } from '../src/families/programs.ts';
import { parseOptions } from '../src/options.ts';
import { runBatches } from '../src/pool.ts';
import { Report } from '../src/report.ts';
import { runRecords } from '../src/run-records.ts';
import type { Outcome } from '../src/run-records.ts';
import { compareMoments, momentsOf } from '../src/statistics.ts';
import { FakeLibrary, FakeTensor } from './fake-library.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conformance-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tensor = (data: number[], rg = 0): object => ({
  $: 'tensor',
  dtype: 'float32',
  shape: [data.length],
  data,
  ...(rg ? { rg: 1 } : {}),
});
const variable = (v: string): object => ({ $: 'var', v });

async function run(family: string, records: readonly object[], lenient = false): Promise<Outcome[]> {
  const lines = records.map((record, i) => ({ line: i + 1, record: record as CaseRecord }));
  const outcomes = await runRecords(
    family,
    lines,
    { library: new FakeLibrary(), index: new Map() },
    () => undefined,
    lenient,
  );
  return outcomes.sort((a, b) => a.line - b.line);
}

describe('case files', () => {
  it('name file and line of what cannot be read', () => {
    const gz = join(folder, 'bad.jsonl.gz');
    writeFileSync(gz, gzipSync('{"id":1}\n').subarray(0, 12));
    expect(() => readCaseFile(gz)).toThrow(/bad\.jsonl\.gz:1: cannot be read/);
    const json = join(folder, 'bad.jsonl');
    writeFileSync(json, '{"id":"a"}\n\n{"id":\n');
    expect(() => readCaseFile(json)).toThrow(/bad\.jsonl:3: not a JSON object/);
    writeFileSync(json, '{"id":"a"}\n[1]\n');
    expect(() => readCaseFile(json)).toThrow(/bad\.jsonl:2: not a JSON object/);
    expect(() => findCaseFiles([join(folder, 'nowhere')])).toThrow(/no such file/);
    mkdirSync(join(folder, 'empty'));
    expect(() => findCaseFiles([join(folder, 'empty')])).toThrow(/empty: there is no \.jsonl or \.jsonl\.gz file/);
  });

  it('tell their family by folder and name, or by their records', () => {
    expect(familyOf('/x/ops/core.jsonl.gz')).toBe('ops/core');
    expect(familyOf('/x/ops/new_namespace.jsonl')).toBe('ops/new_namespace');
    expect(familyOf('/x/gemma2/tokenizer_cases.jsonl.gz')).toBe('gemma2');
    expect(familyOf('/x/mine/modules.jsonl')).toBe('nn/modules');
    expect(familyOf('/x/mine/a.jsonl', { steps: [], family: 'sparse' })).toBe('sparse/programs');
    expect(familyOf('/x/mine/a.jsonl', { call: 'torch.add', error_type: 'RuntimeError' })).toBe('ops/errors');
  });
});

describe('records of operations', () => {
  const square = {
    id: 'square#0',
    op: 'square',
    call: 'torch.square',
    args: [tensor([1, -3], 1)],
    kwargs: {},
    out: tensor([1, 9]),
    cot: { out: tensor([1, 0.5]) },
    grad: { 'args.0': tensor([2, -3]) },
  };
  it('pass with value, gradient, method and in-place method', async () => {
    const outcomes = await run('ops/core', [
      square,
      { ...square, method: 'square' },
      { ...square, inplace: 'square_' },
    ]);
    expect(outcomes.map((o) => o.status)).toEqual(['passed', 'passed', 'passed']);
  });

  it('fail by value, gradient, missing method and missing operation, one without the other', async () => {
    const outcomes = await run('ops/core', [
      { ...square, out: tensor([1, 9.1]) },
      { ...square, grad: { 'args.0': tensor([2, 3]) } },
      { ...square, method: 'cube' },
      { ...square, call: 'torch.cube' },
      { ...square, call: 'torch.fail' },
      square,
      { ...square, call: 'aten.slice' },
    ]);
    expect(outcomes.map((o) => o.failure?.kind ?? o.status)).toEqual([
      'value',
      'gradient',
      'missing',
      'missing',
      'throws',
      'passed',
      'skipped',
    ]);
  });

  it('accept no gradient where zeros are expected and refuse it elsewhere', async () => {
    const zero = { ...square, args: [tensor([0, 0], 1)], out: tensor([0, 0]), grad: { 'args.0': null } };
    const outcomes = await run('ops/core', [zero, { ...square, grad: { 'args.0': null } }]);
    expect(outcomes.map((o) => o.failure?.kind ?? o.status)).toEqual(['passed', 'gradient']);
  });

  it('hold at the lenient tolerance only when asked', async () => {
    const near = { ...square, grad: {}, cot: {}, out: tensor([1, 9.0005]) };
    expect((await run('ops/core', [near]))[0]).toMatchObject({ status: 'failed', failure: { lenient: true } });
    expect((await run('ops/core', [near], true))[0]?.status).toBe('passed');
  });

  it('that must raise fail when nothing is thrown or nothing is there', async () => {
    const outcomes = await run('ops/errors', [
      { id: 'e0', call: 'torch.fail', args: [], kwargs: {} },
      { id: 'e1', call: 'torch.square', args: [tensor([1])], kwargs: {} },
      { id: 'e2', call: 'torch.cube', args: [], kwargs: {} },
    ]);
    expect(outcomes.map((o) => o.failure?.kind ?? o.status)).toEqual(['passed', 'no-error', 'missing']);
  });
});

describe('programs', () => {
  it('run steps, read variables, index lists and call functions', () => {
    const library = new FakeLibrary();
    const environment = new Map<string, unknown>([
      ['x', new FakeTensor({ dtype: 'float32', shape: [2], data: [1, 2] })],
    ]);
    const fn = {
      $: 'fn',
      params: ['a'],
      steps: [
        { o: 't', call: 'torch.square', args: [variable('a')] },
        { o: 'u', call: 'torch.add', args: [variable('t'), variable('x')], kwargs: { alpha: 10 } },
      ],
      ret: 'u',
    };
    new Interpreter(library).run(
      [
        { o: 'l', call: 'list', args: [variable('x') as never, 5] },
        { o: 'first', call: 'item', args: [variable('l') as never, 0] },
        { o: 'y', call: 'torch.autograd.functional.apply_twice', args: [fn as never, variable('first') as never] },
        { o: 's', call: 'torch.sum', args: [variable('y') as never] },
        { o: 'g', call: 'grad_mode', args: [false] },
      ],
      environment,
    );
    // f(x) = x² + 10 x₀ elementwise with x = (1, 2): (1, 2) → (11, 24) → (131, 596).
    expect((environment.get('y') as FakeTensor).data).toEqual([131, 596]);
    expect((environment.get('s') as FakeTensor).data).toEqual([727]);
    expect(library.gradEnabled).toBe(false);
  });

  it('compare results, and errors at the step they name', async () => {
    const steps = [{ o: 't1', call: 'torch.square', args: [variable('x')] }];
    const base = { family: 'autograd', inputs: { x: tensor([3]) }, steps };
    const outcomes = await run('autograd/programs', [
      { ...base, id: 'a', ret: ['t1'], out: [tensor([9])] },
      { ...base, id: 'b', ret: ['t1'], out: [tensor([8])] },
      { ...base, id: 'c', error: { type: 'RuntimeError', message: 'm', at: 't1' } },
      {
        ...base,
        id: 'd',
        steps: [...steps, { o: 't2', call: 'torch.fail', args: [] }],
        error: { type: 'RuntimeError', message: 'm', at: 't2' },
      },
      {
        ...base,
        id: 'e',
        steps: [{ o: 't1', call: 'torch.square', args: [variable('nothing')] }],
        ret: ['t1'],
        out: [],
      },
    ]);
    expect(outcomes.map((o) => o.failure?.kind ?? o.status)).toEqual([
      'passed',
      'value',
      'no-error',
      'passed',
      'throws',
    ]);
  });
});

describe('statistics', () => {
  const uniform = Array.from({ length: 4000 }, (_, i) => (i + 0.5) / 4000);
  it('accept the same distribution and refuse another mean, spread or bound', () => {
    const expected = { mean: 0.5, std: Math.sqrt(1 / 12), min: 0, max: 1, zeros: 0 };
    const moments = momentsOf(uniform);
    expect(moments.kurtosis).toBeCloseTo(1.8, 3);
    expect(compareMoments(moments, expected, 4000)).toBeNull();
    expect(compareMoments(momentsOf(uniform.map((x) => x + 0.1)), expected, 4000)?.detail).toMatch(/^mean/);
    expect(compareMoments(momentsOf(uniform.map((x) => 0.5 + (x - 0.5) * 1.2)), expected, 4000)?.detail).toMatch(
      /^std/,
    );
    expect(compareMoments(momentsOf(uniform.map((x, i) => (i % 50 ? x : 0))), expected, 4000)).not.toBeNull();
    expect(compareMoments(momentsOf([...uniform, NaN]), expected, 4000)?.detail).toMatch(/not finite/);
  });
});

describe('the report', () => {
  it('ends with the totals alone on a line', () => {
    const report = new Report();
    const outcome = { line: 1, id: 'x#0', operation: 'torch.x' };
    report.add('ops/core', { ...outcome, status: 'passed' });
    report.add('ops/core', {
      ...outcome,
      status: 'failed',
      failure: { kind: 'missing', detail: 'torch.x does not exist' },
    });
    report.add('tensor/repr', { ...outcome, status: 'skipped' });
    const lines = report.lines(false);
    expect(lines.at(-1)).toBe('1 passed, 1 failed, 1 skipped');
    expect(lines).toContain('ops/core         1      1       0');
    expect(lines.join('\n')).toMatch(/operation missing \(1\):\n {2}torch\.x\n/);
    expect(report.share).toBe(0.5);
    expect(report.families.get('ops/core')).toEqual({
      passed: 1,
      failed: 1,
      skipped: 0,
      failures: [{ id: 'x#0', reason: 'operation missing: torch.x does not exist' }],
    });
  });

  it('takes options that are checked', () => {
    expect(parseOptions(['a', 'b', '--device', 'wasm', '--family', 'ops', '--min', '0.75', '--verbose'])).toMatchObject(
      { paths: ['a', 'b'], device: 'wasm', families: ['ops'], min: 0.75, verbose: true, lenient: false },
    );
    expect(() => parseOptions([])).toThrow(/PATH is missing/);
    expect(() => parseOptions(['a', '--min', '2'])).toThrow(/--min takes a number from 0 to 1/);
    expect(() => parseOptions(['a', '--device', 'cuda'])).toThrow(/--device takes one of js, wasm, native, not "cuda"/);
    expect(() => parseOptions(['a', '--nonsense'])).toThrow(/nonsense/);
  });
});

describe('worker processes', () => {
  it('lose one record to a crash and one to silence, and no other', async () => {
    // A worker that dies at line 3 and hangs at line 5.
    const worker = join(folder, 'worker.mjs');
    writeFileSync(
      worker,
      `process.send({ kind: 'ready' })
process.on('message', ({ lines }) => {
  for (const line of lines) {
    process.send({ kind: 'started', line })
    if (line === 3) process.kill(process.pid, 'SIGKILL')
    if (line === 5) for (;;);
  }
  process.send({ kind: 'done', outcomes: lines.map((line) => ({ line, id: String(line), operation: 'x', status: 'passed' })) })
})`,
    );
    const lines = [1, 2, 3, 4, 5, 6].map((line) => ({ line, record: { id: String(line) } }));
    const seen = new Map<number, string>();
    await runBatches([{ file: 'f', family: 'ops/core', lines }], {
      jobs: 2,
      device: undefined,
      lenient: false,
      timeoutSeconds: 1,
      workerPath: worker,
      onOutcome: (_batch, outcome) => seen.set(outcome.line, outcome.failure?.kind ?? outcome.status),
    });
    expect([...seen].sort(([a], [b]) => a - b)).toEqual([
      [1, 'passed'],
      [2, 'passed'],
      [3, 'crash'],
      [4, 'passed'],
      [5, 'timeout'],
      [6, 'passed'],
    ]);
  });
});

describe('the command', () => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  const command = (args: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
    promisify(execFile)(process.execPath, ['--conditions=source', main, ...args]).then(
      ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
      (error: { stdout: string; stderr: string; code: number }) => error,
    );

  it('prints help, and says what is wrong with its arguments', async () => {
    expect((await command(['--help'])).stdout).toMatch(/usage: pnpm conformance PATH/);
    const wrong = await command([join(folder, 'nowhere')]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/nowhere: no such file or folder/)]);
    mkdirSync(join(folder, 'nn'), { recursive: true });
    writeFileSync(join(folder, 'nn/modules.jsonl'), '{"id":"a","family":"nn/modules"}\n');
    const none = await command([join(folder, 'nn'), '--family', 'optim']);
    expect([none.code, none.stderr]).toEqual([
      2,
      expect.stringMatching(/no file is of --family optim; there are nn\/modules/),
    ]);
  });
});
