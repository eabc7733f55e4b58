import { describe, expect, test } from 'vitest';
import { disagreements, rowOf, withCeilings } from '../src/rows.ts';
import type { Row } from '../src/rows.ts';
import { agrees, geometricMean, median, minimum, summarise } from '../src/statistics.ts';

describe('statistics', () => {
  test('median of odd and even counts, without sorting the argument', () => {
    const values = [9, 1, 5];
    expect(median(values)).toBe(5);
    expect(values).toEqual([9, 1, 5]);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([10, 9, 100])).toBe(10);
    expect(median([])).toBeNaN();
  });

  test('minimum and geometric mean', () => {
    expect(minimum([3, 1, 2])).toBe(1);
    expect(minimum([])).toBeNaN();
    expect(geometricMean([1, 4, 16])).toBeCloseTo(4, 12);
  });

  test('disturbed turns are left out while enough quiet ones remain', () => {
    const quiet = [10, 11, 12].map((time) => ({ times: [time], foreign: 0.02 }));
    const summary = summarise([...quiet, { times: [50], foreign: 0.9 }]);
    expect(summary).toMatchObject({ medianMs: 11, minMs: 10, runs: 3, dropped: 1 });
    expect(summary.foreign).toBeCloseTo(0.02, 12);
  });

  test('all turns count when most were disturbed', () => {
    const turns = [{ times: [10], foreign: 0 }, ...[20, 30].map((time) => ({ times: [time], foreign: 1 }))];
    expect(summarise(turns)).toMatchObject({ medianMs: 20, runs: 3, dropped: 0 });
  });

  test('outputs are compared relative to their largest value', () => {
    expect(agrees([1000, 0.1], [1000.5, 0.2])).toBe(true);
    expect(agrees([1, 0.1], [1, 0.2])).toBe(false);
    expect(agrees([1], [1, 1])).toBe(false);
    expect(agrees([1], [Number.NaN])).toBe(false);
  });

  test('the runner that disagrees with the judge is named', () => {
    const checks = new Map([
      ['ours:native', [1, 2]],
      ['pytorch', [1, 2.0001]],
      ['tfjs', [1, 3]],
      ['libc', []],
    ]);
    expect(disagreements(checks)).toEqual({ judge: 'pytorch', wrong: ['tfjs'] });
    expect(disagreements(new Map([['libc', []]]))).toEqual({ judge: undefined, wrong: [] });
  });
});

describe('rows', () => {
  const summary = { medianMs: 2, minMs: 1, runs: 5, foreign: 0, dropped: 0 };

  test('rates follow from the work of the case', () => {
    const bench = { suite: 'gemm', name: 'x', spec: { kind: 'exp', elements: 1 }, flops: 4e6, bytes: 8e6 } as const;
    const row = rowOf(bench, 1, 'pytorch', '1', summary, { firstMs: 7 });
    expect(row).toMatchObject({
      suite: 'gemm',
      case: 'x',
      threads: 1,
      runner: 'pytorch',
      version: '1',
      medianMs: 2,
      minMs: 1,
      runs: 5,
    });
    expect(row.extra).toMatchObject({ status: 'ok', gflops: 2, gbPerSecond: 4, firstMs: 7 });
  });

  test('tokens a second follow from the tokens of a unit, and a runner may know its bytes', () => {
    const spec = { kind: 'decode', scheme: 'q4', tokens: 32 } as const;
    const row = rowOf({ suite: 'decode', name: 'q4', spec, tokens: 1 }, 1, 'llama.cpp', '1', summary, { bytes: 6e6 });
    expect(row.extra).toMatchObject({ tokensPerSecond: 500, gbPerSecond: 3 });
    const read = { ...row, case: 'DRAM read', runner: 'ours:native', extra: { gbPerSecond: 4 } };
    expect(withCeilings([read, row]).map(({ extra }) => extra['ofRead'])).toEqual([undefined, 0.75]);
  });

  test('shares of the ceilings come from the same run and thread count', () => {
    const row = (name: string, suite: string, threads: number, runner: string, extra: Row['extra']): Row => {
      return { suite, case: name, threads, runner, version: '', medianMs: 1, minMs: 1, runs: 1, extra };
    };
    const rows = withCeilings([
      row('FMA peak', 'gemm', 1, 'ours:native', { gflops: 200 }),
      row('sgemm 64', 'gemm', 1, 'openblas', { gflops: 150 }),
      row('sgemm 64', 'gemm', 2, 'openblas', { gflops: 150 }),
      row('memcpy 64 MB', 'elementwise', 1, 'libc', { gbPerSecond: 40 }),
      row('exp', 'elementwise', 1, 'tfjs', { gbPerSecond: 10 }),
    ]);
    expect(rows.map(({ extra }) => extra['ofPeak'])).toEqual([1, 0.75, undefined, undefined, undefined]);
    expect(rows[4]?.extra['ofMemcpy']).toBe(0.25);
  });
});
