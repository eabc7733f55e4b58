/** The few statistics that a benchmark needs. Medians, because one slow run on a shared machine must not move the result. */

/** The middle value; of an even number of values, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2;
}

/** The smallest value; NaN of none. */
export function minimum(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value), values[0] ?? Number.NaN);
}

/** The geometric mean, the right mean for ratios; NaN of none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** One runner's share of a round: its times, and how much of the machine others used meanwhile (0 = idle, 1 = one core). */
export interface Turn {
  readonly times: readonly number[];
  readonly foreign: number;
}

/** Others may use this much of a core before a turn counts as disturbed. */
export const QUIET = 0.15;

export interface Summary {
  readonly medianMs: number;
  readonly minMs: number;
  readonly runs: number;
  /** Mean foreign load over the turns that were used. */
  readonly foreign: number;
  /** Turns left out because others used the machine. */
  readonly dropped: number;
}

/** Median and minimum over the quiet turns; over all of them when fewer than half, or fewer than two, were quiet. */
export function summarise(turns: readonly Turn[]): Summary {
  const quiet = turns.filter((turn) => turn.foreign <= QUIET);
  const used = quiet.length >= Math.min(2, turns.length) && quiet.length * 2 >= turns.length ? quiet : turns;
  const times = used.flatMap((turn) => turn.times);
  return {
    medianMs: median(times),
    minMs: minimum(times),
    runs: times.length,
    foreign: used.reduce((sum, turn) => sum + turn.foreign, 0) / used.length,
    dropped: turns.length - used.length,
  };
}

/** Whether two lists of check values agree to `tolerance`, relative to the largest of them. */
export function agrees(left: readonly number[], right: readonly number[], tolerance = 2e-3): boolean {
  if (left.length !== right.length) return false;
  const scale = Math.max(1e-6, ...left.map(Math.abs), ...right.map(Math.abs));
  return left.every((value, i) => Math.abs(value - (right[i] ?? Number.NaN)) <= tolerance * scale);
}
