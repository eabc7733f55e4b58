/** Every row of the op table on `wasm`, one and two threads, against `js`. */
import { getDevice, opTable } from '@proj/tensor';
import { sampleNames, samplesOf } from '@proj/tensor/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  allCases,
  type Case,
  difference,
  FinelySplit,
  labelOf,
  type Outcome,
  runCases,
  sameBits,
} from './support/cross-device.ts';

describe('samples', () => {
  it('exist for every row of the op table', () => {
    expect(opTable.filter((row) => samplesOf(row) === null).map((row) => `${row.name}(${row.signature})`)).toEqual([]);
  });
  it('belong to rows of the op table', () => {
    const rows = new Set(opTable.flatMap((row) => [row.name, `${row.name}(${row.signature})`]));
    expect(sampleNames.filter((name) => !rows.has(name))).toEqual([]);
  });
});

describe('every row of the op table on wasm', () => {
  let cases: Case[];
  let expected: Outcome[];
  let split: Outcome[];
  beforeAll(() => {
    cases = allCases();
    expected = runCases(cases, getDevice('js'));
  }, 120_000);
  const compare = (found: readonly Outcome[], differ: typeof difference, to: readonly Outcome[]): string[] =>
    cases.flatMap((c, i) => differ(c, to[i], found[i]) ?? []);

  it('runs on js without an error', () => {
    expect(cases.length).toBeGreaterThan(3900);
    expect(
      expected.flatMap((outcome, i) => (outcome.error === null ? [] : [`${labelOf(cases[i])}: ${outcome.error}`])),
    ).toEqual([]);
  });
  it('equals js, every launch cut finely over two threads', { timeout: 120_000 }, () => {
    const device = new FinelySplit(getDevice('wasm'));
    device.setThreads(2);
    split = runCases(cases, device);
    expect(compare(split, difference, expected)).toEqual([]);
  });
  it('gives the same bits on one thread', { timeout: 120_000 }, () => {
    const device = getDevice('wasm');
    device.setThreads(1);
    expect(compare(runCases(cases, device), sameBits, split)).toEqual([]);
  });
});
