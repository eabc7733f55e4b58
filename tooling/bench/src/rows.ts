/** One result: the row that `--json` writes. */
import { READ_PEAK } from './cases.ts';
import type { BenchCase } from './cases.ts';
import type { Scalars } from './protocol.ts';
import { agrees } from './statistics.ts';
import type { Summary } from './statistics.ts';

export type Status = 'ok' | 'missing' | 'failed';

export interface Row {
  readonly suite: string;
  readonly case: string;
  readonly threads: number;
  readonly runner: string;
  readonly version: string;
  /** Null when the runner is missing or failed; `extra.status` and `extra.reason` tell which and why. */
  readonly medianMs: number | null;
  readonly minMs: number | null;
  readonly runs: number;
  readonly extra: Readonly<Record<string, number | string | boolean>>;
}

/** A row for a runner that gave no time. */
export function rowWithout(
  bench: BenchCase,
  threads: number,
  runner: string,
  status: Exclude<Status, 'ok'>,
  reason: string,
  version = '',
): Row {
  return {
    suite: bench.suite,
    case: bench.name,
    threads,
    runner,
    version,
    medianMs: null,
    minMs: null,
    runs: 0,
    extra: { status, reason },
  };
}

/** A row with its rates; `detail` is what the runner told beside its times. */
export function rowOf(
  bench: BenchCase,
  threads: number,
  runner: string,
  version: string,
  summary: Summary,
  detail: Scalars,
): Row {
  const { medianMs, minMs, runs, foreign, dropped } = summary;
  const flops = typeof detail['flops'] === 'number' ? detail['flops'] : bench.flops;
  const extra: Record<string, number | string | boolean> = {
    status: 'ok',
    ...detail,
    foreign: round(foreign),
    dropped,
  };
  if (flops !== undefined) extra['gflops'] = round(flops / medianMs / 1e6);
  const bytes = typeof detail['bytes'] === 'number' ? detail['bytes'] : bench.bytes;
  if (bytes !== undefined) extra['gbPerSecond'] = round(bytes / medianMs / 1e6);
  if (bench.tokens !== undefined) extra['tokensPerSecond'] = round((1000 * bench.tokens) / medianMs);
  return {
    suite: bench.suite,
    case: bench.name,
    threads,
    runner,
    version,
    medianMs: round(medianMs),
    minMs: round(minMs),
    runs,
    extra,
  };
}

/** Five significant digits: more would be noise. */
export function round(value: number): number {
  return Number(value.toPrecision(5));
}

/** The runner whose output the others are compared with: the first of these that gave one. */
const JUDGES = ['pytorch', 'openblas', 'onnxruntime-node', 'tfjs', 'jax-js'];

/** The runners whose output differs from the judge's, and who judged. */
export function disagreements(checks: ReadonlyMap<string, readonly number[]>): {
  judge: string | undefined;
  wrong: readonly string[];
} {
  const judge = JUDGES.find((name) => (checks.get(name)?.length ?? 0) > 0);
  const truth = judge === undefined ? undefined : checks.get(judge);
  if (truth === undefined) return { judge: undefined, wrong: [] };
  return {
    judge,
    wrong: [...checks].filter(([, values]) => values.length > 0 && !agrees(truth, values)).map(([name]) => name),
  };
}

/** Suites whose work is bound by how fast weights come from memory. */
const STREAMING: readonly string[] = ['decode', 'matvec'];

/** Adds what only the whole run can tell: the share of the FMA peak, of memcpy's bandwidth and of memory's read rate, measured in the same run. */
export function withCeilings(rows: readonly Row[]): Row[] {
  const rate = (name: string, runner: string, threads: number, unit: 'gflops' | 'gbPerSecond'): number | undefined => {
    const value = rows.find((row) => row.case === name && row.runner === runner && row.threads === threads)?.extra[
      unit
    ];
    return typeof value === 'number' ? value : undefined;
  };
  return rows.map((row) => {
    const peak = rate('FMA peak', row.runner === 'ours:wasm' ? 'ours:wasm' : 'ours:native', row.threads, 'gflops');
    const memcpy = rate('memcpy 64 MB', 'libc', row.threads, 'gbPerSecond');
    const { gflops, gbPerSecond } = row.extra;
    const extra = { ...row.extra };
    if (row.suite === 'gemm' && peak !== undefined && typeof gflops === 'number')
      extra['ofPeak'] = round(gflops / peak);
    if (row.suite === 'elementwise' && memcpy !== undefined && typeof gbPerSecond === 'number')
      extra['ofMemcpy'] = round(gbPerSecond / memcpy);
    const read = rate(READ_PEAK, 'ours:native', row.threads, 'gbPerSecond');
    if (
      STREAMING.includes(row.suite) &&
      row.case !== READ_PEAK &&
      read !== undefined &&
      typeof gbPerSecond === 'number'
    )
      extra['ofRead'] = round(gbPerSecond / read);
    return { ...row, extra };
  });
}
