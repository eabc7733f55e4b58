// Sample statistics and their comparison with recorded ones: six standard errors, the errors of the moments estimated from our own samples.
import type { Failure } from './compare.ts';

/** Moments of a sample. */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly max: number;
  readonly zeros: number;
  /** Fourth standardised moment. */
  readonly kurtosis: number;
}

/** Mean, (n-1) standard deviation, extremes, share of zeros and kurtosis. */
export function momentsOf(values: Iterable<number>): Moments {
  const data = Float64Array.from(values);
  const n = data.length;
  let sum = 0;
  let min = Infinity;
  let max = -Infinity;
  let zeros = 0;
  for (const x of data) {
    sum += x;
    if (x < min) min = x;
    if (x > max) max = x;
    if (x === 0) zeros++;
  }
  const mean = sum / n;
  let second = 0;
  let fourth = 0;
  for (const x of data) {
    const d = (x - mean) ** 2;
    second += d;
    fourth += d * d;
  }
  const variance = n > 1 ? second / (n - 1) : 0;
  return {
    count: n,
    mean,
    std: Math.sqrt(variance),
    min,
    max,
    zeros: zeros / n,
    kurtosis: second > 0 ? (fourth * n) / second ** 2 : 3,
  };
}

/** The recorded statistics; a field that is missing is not compared. */
export interface Expected {
  readonly mean?: number;
  readonly std?: number;
  readonly min?: number;
  readonly max?: number;
  readonly zeros?: number;
}

const errors = 6;

/**
 * Compares our sample with recorded statistics. `independent` is the number of samples that are independent of each other (both samples are
 * finite, hence the factor √2). Heavy tails (kurtosis above 100) have no moments to compare.
 */
export function compareMoments(ours: Moments, expected: Expected, independent: number): Failure | null {
  const wrong = (name: string, actual: number, wanted: number): Failure => ({
    kind: 'value',
    detail: `${name} ${actual}, expected ${wanted}`,
  });
  const n = Math.max(2, independent);
  if (![ours.mean, ours.std].every(Number.isFinite)) return { kind: 'value', detail: 'the sample is not finite' };
  const heavy = ours.kurtosis > 100;
  const spread = Math.max(ours.std, expected.std ?? 0);
  const tiny = 1e-6 * (1 + Math.abs(expected.mean ?? 0));
  if (
    !heavy &&
    expected.mean !== undefined &&
    Math.abs(ours.mean - expected.mean) > errors * spread * Math.sqrt(2 / n) + tiny
  )
    return wrong('mean', ours.mean, expected.mean);
  if (!heavy && expected.std !== undefined) {
    const relative = Math.sqrt((2 * Math.max(ours.kurtosis - 1, 0.5)) / (4 * n));
    if (Math.abs(ours.std - expected.std) > errors * relative * spread + tiny)
      return wrong('std', ours.std, expected.std);
  }
  if (expected.zeros !== undefined) {
    const p = Math.max(expected.zeros, 1 / n);
    if (
      Math.abs(ours.zeros - expected.zeros) >
      errors * Math.sqrt((2 * p * (1 - Math.min(p, 1))) / n) + (expected.zeros === 0 ? 0 : 1 / n)
    )
      return wrong('share of zeros', ours.zeros, expected.zeros);
  }
  if (heavy || expected.min === undefined || expected.max === undefined) return null;
  const range = expected.max - expected.min;
  const bounded = expected.std !== undefined && range < 5 * expected.std;
  const slack = range * (bounded ? Math.min(1, 0.02 + 8 / n) : 0.75) + tiny;
  if (ours.min < expected.min - slack) return wrong('minimum', ours.min, expected.min);
  if (ours.max > expected.max + slack) return wrong('maximum', ours.max, expected.max);
  return null;
}
