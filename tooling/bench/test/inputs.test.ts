import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { labels, uniform } from '../src/inputs.ts';
import { acquireByFile } from '../src/lock.ts';

describe('inputs', () => {
  test('are the same each time, differ by seed, and look uniform', () => {
    const values = uniform(100_000, 1);
    expect(uniform(100_000, 1)).toEqual(values);
    expect(uniform(100_000, 2)[0]).not.toBe(values[0]);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.005);
    expect(variance).toBeCloseTo(1 / 12, 2);
    expect(Math.min(...values.subarray(0, 50_000))).toBeGreaterThanOrEqual(-0.5);
    expect(Math.max(...values.subarray(0, 50_000))).toBeLessThan(0.5);
  });

  test('labels stay below the number of classes and use all of them', () => {
    const values = labels(100, 10);
    expect(new Set(values).size).toBe(10);
    expect(Math.max(...values)).toBe(9);
  });
});

describe('the lock without flock(1)', () => {
  test('is exclusive, and a dead process leaves no lock behind', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-lock-'));
    const path = join(folder, 'lock');
    try {
      const first = await acquireByFile(path);
      let taken = false;
      const second = acquireByFile(path).then((lock) => {
        taken = true;
        return lock;
      });
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(taken).toBe(false);
      await first.release();
      await (await second).release();

      const dead = spawnSync(process.execPath, ['-e', '']).pid;
      writeFileSync(path, String(dead));
      await (await acquireByFile(path)).release();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
