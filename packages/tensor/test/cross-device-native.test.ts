/** Every row of the op table on `native` (AVX-512, AVX2 and baseline by feature masking), one and two threads, against `js`. */
import { attempt, type DType } from '@proj/kernel';
import { hostCpu, NativeDevice } from '@proj/device-native';
import { getDevice } from '@proj/tensor';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  allCases,
  type Case,
  difference,
  FinelySplit,
  type Outcome,
  runCases,
  sameBits,
} from './support/cross-device.ts';

const LEVELS = ['avx512', 'avx2', 'baseline', 'neon'];
const deviceOf = (level: string): NativeDevice =>
  new NativeDevice({ environment: { ...process.env, PROJ_CPU_FEATURES: level, PROJ_NUM_THREADS: '2' } });
const available = attempt(() => new NativeDevice().cpu.level);
const levels = available.ok ? LEVELS.filter((level) => attempt(() => deviceOf(level).dispose()).ok) : [];
/** Lesser levels are tried on these: code for the other dtypes is the same at every level but for its lanes. */
const LESSER: readonly DType[] = ['float32', 'int64', 'bfloat16', 'bool'];

describe.skipIf(!available.ok)('every row of the op table on native', () => {
  let all: Case[];
  let outcomes: Outcome[];
  beforeAll(() => {
    all = allCases();
    outcomes = runCases(all, getDevice('js'));
  }, 120_000);

  it('finds every level that this processor has', () => {
    expect(levels).toContain(available.ok ? available.value : '');
    expect(levels).toContain(process.arch === 'arm64' ? 'neon' : 'baseline');
    expect(hostCpu(() => '').architecture).toBe(process.arch);
  });

  describe.each(levels)('at %s', (level) => {
    let cases: Case[];
    let split: Outcome[];
    let device: NativeDevice;
    const chosen = (c: Case): boolean => level === levels[0] || LESSER.includes(c.dtype);
    beforeAll(() => {
      cases = all.filter(chosen);
      device = deviceOf(level);
    });
    it('equals js, every launch cut finely over two threads', { timeout: 180_000 }, () => {
      const expected = outcomes.filter((_, i) => chosen(all[i]));
      const finely = new FinelySplit(device);
      finely.setThreads(2);
      split = runCases(cases, finely);
      expect(cases.flatMap((c, i) => difference(c, expected[i], split[i]) ?? [])).toEqual([]);
    });
    it('gives the same bits on one thread', { timeout: 120_000 }, () => {
      device.setThreads(1);
      const one = runCases(cases, device);
      expect(cases.flatMap((c, i) => sameBits(c, split[i], one[i]) ?? [])).toEqual([]);
    });
  });
});
