import { describe, expect, test } from 'vitest';
import { CASES, SUITES } from '../src/cases.ts';
import { parseOptions } from '../src/options.ts';
import { RUNNER_IDS, runnersFor } from '../src/registry.ts';

describe('the command line', () => {
  test('everything by default, on one thread', () => {
    expect(parseOptions([])).toMatchObject({
      suites: SUITES,
      threads: [1],
      runners: RUNNER_IDS,
      json: undefined,
      help: false,
    });
  });

  test('suites, threads, runners and a file', () => {
    const options = parseOptions([
      'gemm',
      'train',
      '--threads',
      '1,2',
      '--runners',
      'ours,pytorch',
      '--json',
      'x.json',
      '--lock',
      'none',
    ]);
    expect(options).toMatchObject({ suites: ['gemm', 'train'], threads: [1, 2], json: 'x.json', lock: undefined });
    expect(options.runners).toEqual(['ours:native', 'ours:wasm', 'ours:js', 'pytorch']);
  });

  test('mistakes are named', () => {
    expect(() => parseOptions(['gem'])).toThrow(/unknown suite 'gem'.*gemm/);
    expect(() => parseOptions(['--threads', '0'])).toThrow(/--threads: '0'/);
    expect(() => parseOptions(['--runners', 'torch'])).toThrow(/unknown runner 'torch'.*pytorch/);
    expect(() => parseOptions(['--round', '3'])).toThrow(/--round/);
  });
});

describe('the cases', () => {
  test('have distinct names, know their suite, and have a runner of ours or a yardstick', () => {
    for (const suite of SUITES) {
      expect(new Set(CASES[suite].map(({ name }) => name)).size).toBe(CASES[suite].length);
      for (const bench of CASES[suite]) {
        expect(bench.suite).toBe(suite);
        expect(runnersFor(bench.spec).length).toBeGreaterThan(0);
      }
    }
  });

  test('the work of a convolution is counted over its output', () => {
    // LeNet's first: 64 images, 28x28 outputs, 6 filters of 5x5 over one channel, two operations each.
    expect(CASES.conv[0]?.flops).toBe(2 * 64 * 28 * 28 * 6 * 25);
  });
});
