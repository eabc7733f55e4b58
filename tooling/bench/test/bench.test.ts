import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Pool, measureCase, middleOf } from '../src/bench.ts';
import type { Contender } from '../src/bench.ts';
import type { BenchCase } from '../src/cases.ts';
import { RunnerProcess } from '../src/driver.ts';
import type { Row } from '../src/rows.ts';

const FAKE = fileURLToPath(new URL('fake-runner.mjs', import.meta.url));
const CASE: BenchCase = { suite: 'elementwise', name: 'fake', spec: { kind: 'exp', elements: 1 }, bytes: 3e6 };

let folder: string;
let log: string;
let pool: Pool;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  log = join(folder, 'turns');
  writeFileSync(log, '');
  pool = new Pool();
});
afterEach(async () => {
  await pool.close();
  rmSync(folder, { recursive: true });
});

function contender(id: string, mode = 'good'): Contender {
  return { id, install: `install ${id}`, serve: { command: process.execPath, args: [FAKE, id, log, mode] } };
}

const EFFORT = { rounds: 3, turnMs: 1, patience: 0 };

describe('measuring a case', () => {
  test('runners take turns, in an order that rotates', async () => {
    const rows = await measureCase(CASE, 1, [contender('A'), contender('B')], pool, EFFORT);
    expect(readFileSync(log, 'utf8')).toBe('AB' + 'BA' + 'AB');
    expect(
      rows.map(({ runner, version, medianMs, minMs, runs }) => ({ runner, version, medianMs, minMs, runs })),
    ).toEqual(['A', 'B'].map((runner) => ({ runner, version: '1.2.3', medianMs: 3, minMs: 2, runs: 9 })));
    expect(rows[0]?.extra).toMatchObject({ status: 'ok', seen: true, gbPerSecond: 1 });
  });

  test('a peer that is missing has a row that says so and how to install it', async () => {
    const absent = { ...contender('C'), serve: { command: join(folder, 'no-such-program'), args: [] } };
    const rows = await measureCase(
      CASE,
      2,
      [
        contender('A', 'missing'),
        contender('B'),
        absent,
        contender('D', 'crash-at-start'),
        { ...contender('E'), unavailable: 'no compiler' },
      ],
      pool,
      EFFORT,
    );
    expect(rows.map(({ runner, medianMs, extra }) => [runner, medianMs, extra['status']])).toEqual([
      ['A', null, 'missing'],
      ['B', 3, 'ok'],
      ['C', null, 'missing'],
      ['D', null, 'missing'],
      ['E', null, 'missing'],
    ]);
    expect(rows[0]?.extra['reason']).toBe('library not found; to install: install A');
    expect(rows[2]?.extra['reason']).toMatch(/ENOENT.*install C/);
    expect(rows[4]?.extra['reason']).toBe('no compiler; to install: install E');
    expect(rows[3]?.extra['reason']).toMatch(/code 3.*cannot load.*install D/);
  });

  test('a runner that fails half-way is reported, and the others go on', async () => {
    const rows = await measureCase(
      CASE,
      1,
      [contender('A', 'crash'), contender('B', 'refuse'), contender('C')],
      pool,
      EFFORT,
    );
    expect(rows.map(({ extra }) => extra['status'])).toEqual(['failed', 'failed', 'ok']);
    expect(rows[0]?.extra['reason']).toMatch(/A: ended with code 5/);
    expect(rows[1]?.extra['reason']).toMatch(/B: cannot do that/);
    expect(rows[2]?.runs).toBe(9);
  });

  test('an output that differs is marked', async () => {
    const rows = await measureCase(CASE, 1, [contender('pytorch'), contender('tfjs', 'wrong')], pool, EFFORT);
    expect(rows.map(({ extra }) => extra['differsFrom'])).toEqual([undefined, 'pytorch']);
  });

  test('cold start times whole processes', async () => {
    const bench: BenchCase = { suite: 'overhead', name: 'cold start', spec: { kind: 'cold-start' } };
    const sleeper = {
      ...contender('slow'),
      coldStart: { command: process.execPath, args: ['-e', 'setTimeout(() => {}, 150)'] },
    };
    const empty = { ...contender('node'), coldStart: { command: process.execPath, args: ['-e', ''] } };
    const broken = {
      ...contender('broken'),
      coldStart: { command: process.execPath, args: ['-e', 'throw new TypeError("no luck")'] },
    };
    const rows = await measureCase(bench, 1, [sleeper, empty, broken], pool, { ...EFFORT, rounds: 1 });
    expect(rows.map(({ runs }) => runs)).toEqual([2, 2, 0]);
    expect(rows[0]?.minMs).toBeGreaterThan(150);
    expect(rows[2]?.extra['reason']).toMatch(/TypeError: no luck.*install broken/);
  });
});

describe('a runner process', () => {
  test('that does not answer in time is ended', async () => {
    const started = await RunnerProcess.start('A', { command: process.execPath, args: [FAKE, 'A', log, 'silent'] });
    if (!started.ok) throw new Error(started.reason);
    await expect(started.process.run(1, 1, 50)).rejects.toThrow(/no answer in 0 s/);
    await expect.poll(() => started.process.alive).toBe(false);
    await expect(started.process.release()).rejects.toThrow(/ended with SIGKILL/);
  });
});

describe('several processes of one runner', () => {
  const row = (extra: Row['extra']): Row => {
    const fixed = { suite: 'memory', case: 'fake', threads: 1, runner: 'ours:js', version: '', runs: 1 };
    return { ...fixed, medianMs: 1, minMs: 1, extra: { status: 'ok', ...extra } };
  };

  test('the one that grows neither most nor least counts, with what the others grew at most', () => {
    const rows = [row({ growth: 0.09, peakMB: 1 }), row({ growth: -0.2, peakMB: 3 }), row({ growth: 0.02, peakMB: 2 })];
    expect(middleOf(rows).extra).toEqual({ status: 'ok', growth: 0.02, peakMB: 2, processes: 3, growthAtMost: 0.09 });
  });
  test('peaks are compared where nothing is said of growth', () => {
    expect(middleOf([row({ peakMB: 7 }), row({ peakMB: 5 }), row({ peakMB: 9 })]).extra).toMatchObject({
      peakMB: 7,
      peakMBAtMost: 9,
    });
  });
  test('a failure is not hidden by processes that did better', () => {
    const failed = row({ status: 'failed', reason: 'no room' });
    expect(middleOf([row({ growth: 0 }), failed])).toBe(failed);
  });
});
