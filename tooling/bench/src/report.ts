/** What is printed: the machine, a small table for each case, and at the end the ratios of our devices to their best peer. */
import { RUNNER_IDS } from './registry.ts';
import type { Machine } from './machine.ts';
import type { Row } from './rows.ts';
import { geometricMean, minimum } from './statistics.ts';

/** Two lines about the machine. */
export function machineText({ cpu, cores, memoryGiB, vectors, platform, node }: Machine): string {
  return `${cpu}, ${cores} cores, ${vectors}, ${memoryGiB} GiB, ${platform}\nNode ${node}`;
}

const COLUMNS = [20, 11, 11, 7, 13] as const;

/** The table of one case. Ratios are a runner's median over ours: above 1, ours is faster. */
export function caseText(rows: readonly Row[]): string {
  const first = rows[0];
  if (first === undefined) return '';
  const ours = rows.filter(({ runner, medianMs }) => runner.startsWith('ours:') && medianMs !== null);
  const base = ours.length > 0 ? ours : rows.filter(({ medianMs }) => medianMs !== null).slice(0, 1);
  const head = ['', 'median', 'min', 'runs', 'rate', ...base.map(({ runner }) => `/ ${runner}`)];
  const lines = rows.map((row) => {
    const { medianMs, minMs } = row;
    if (medianMs === null || minMs === null)
      return `  ${row.runner.padEnd(COLUMNS[0])}${row.extra['status']} (see the end)`;
    const ratios = base.map((of) => (of === row ? '' : `${(medianMs / (of.medianMs ?? Number.NaN)).toFixed(2)}x`));
    return `${cells([row.runner, time(medianMs), time(minMs), String(row.runs), rate(row), ...ratios])}  ${notes(row)}`.trimEnd();
  });
  return `${first.suite}: ${first.case} (${first.threads} thread${first.threads === 1 ? '' : 's'})\n${[cells(head).trimEnd(), ...lines].join('\n')}\n`;
}

function cells(values: readonly string[]): string {
  return `  ${values.map((value, i) => (i === 0 ? value.padEnd(COLUMNS[0]) : value.padStart(COLUMNS[i] ?? 20))).join('')}`;
}

function time(ms: number): string {
  if (ms < 1) return `${(ms * 1000).toPrecision(4)} us`;
  return ms < 10_000 ? `${ms.toPrecision(4)} ms` : `${(ms / 1000).toPrecision(4)} s`;
}

function rate({ extra, suite }: Row): string {
  const { gflops, gbPerSecond, tokensPerSecond } = extra;
  if (typeof tokensPerSecond === 'number') return `${tokensPerSecond.toPrecision(4)} tok/s`;
  if (typeof gflops === 'number' && (suite === 'gemm' || suite === 'conv')) return `${gflops.toFixed(1)} GF/s`;
  return typeof gbPerSecond === 'number' ? `${gbPerSecond.toFixed(1)} GB/s` : '';
}

function notes({ extra }: Row): string {
  const found: string[] = [];
  if (extra['differsFrom'] !== undefined) found.push(`OUTPUT DIFFERS from ${extra['differsFrom']}`);
  if (extra['backend'] === 'cpu') found.push('cpu backend');
  const { gbPerSecond, ofRead, loadMs } = extra;
  if (typeof ofRead === 'number' && typeof gbPerSecond === 'number')
    found.push(`${gbPerSecond.toFixed(1)} GB/s, ${(100 * ofRead).toFixed(0)} % of the read rate`);
  if (typeof loadMs === 'number')
    found.push(`loads in ${loadMs.toFixed(0)} ms${extra['loadedFrom'] === 'source' ? ' (from the sources)' : ''}`);
  if (typeof extra['earlyMB'] === 'number')
    found.push(`${megabytes(extra['earlyMB'])} -> ${megabytes(extra['lateMB'])} (${percent(extra['growth'])})`);
  if (typeof extra['growthAtMost'] === 'number')
    found.push(`at most ${percent(extra['growthAtMost'])} in ${extra['processes']} processes`);
  if (typeof extra['peakMB'] === 'number') found.push(`peak ${megabytes(extra['peakMB'])}`);
  if (typeof extra['peakMBAtMost'] === 'number') found.push(`at most ${megabytes(extra['peakMBAtMost'])}`);
  if (typeof extra['foreign'] === 'number' && extra['foreign'] > 0.15)
    found.push(`disturbed: ${extra['foreign'].toFixed(2)} cores used by others`);
  return found.join(', ');
}

const megabytes = (value: unknown): string => (typeof value === 'number' ? `${value.toFixed(0)} MB` : '?');
const percent = (value: unknown): string =>
  typeof value === 'number' ? `${value < 0 ? '' : '+'}${(100 * value).toFixed(1)} %` : '?';

/** Each of our devices against its best peer in each case, with the geometric mean of a suite; and the peers that were not there. */
export function summaryText(rows: readonly Row[]): string {
  const lines: string[] = [];
  const groups = Map.groupBy(rows, ({ suite, threads }) => `${suite}, ${threads} thread${threads === 1 ? '' : 's'}`);
  for (const [title, group] of groups) {
    for (const ours of RUNNER_IDS.filter((id) => id.startsWith('ours:'))) {
      const ratios = [...Map.groupBy(group, (row) => row.case).values()].flatMap((cases) => ratioToBest(cases, ours));
      if (ratios.length === 0) continue;
      const detail = ratios.map(({ name, ratio, peer }) => `${name} ${ratio.toFixed(2)} (${peer})`).join(', ');
      lines.push(
        `${title}: ${ours} is ${geometricMean(ratios.map(({ ratio }) => ratio)).toFixed(2)}x its best peer: ${detail}`,
      );
    }
  }
  lines.push(...loadingText(rows));
  const absent = new Map(
    rows
      .filter(({ extra }) => extra['status'] === 'missing')
      .map(({ runner, extra }) => [runner, String(extra['reason'])]),
  );
  for (const [runner, reason] of absent) lines.push(`missing: ${runner}: ${reason}`);
  for (const { runner, suite, case: name, extra } of rows)
    if (extra['status'] === 'failed') lines.push(`failed: ${runner} on ${suite} ${name}: ${extra['reason']}`);
  return lines.join('\n');
}

/** How long our models take to load, and to the first token, as a share of the best peer's time. */
function loadingText(rows: readonly Row[]): string[] {
  const lines: string[] = [];
  for (const what of ['loadMs', 'firstTokenMs'] as const) {
    const groups = Map.groupBy(
      rows.filter(({ extra }) => typeof extra[what] === 'number'),
      ({ threads }) => threads,
    );
    for (const [threads, group] of groups) {
      const shares = [...Map.groupBy(group, (row) => row.case)].flatMap(([name, cases]) => {
        const times = (ours: boolean): number[] =>
          cases
            .filter(({ runner }) => runner.startsWith('ours:native') === ours)
            .map(({ extra }) => Number(extra[what]));
        const [mine, best] = [minimum(times(true)), minimum(times(false))];
        return Number.isFinite(mine / best) ? [`${name} ${(mine / best).toFixed(2)}`] : [];
      });
      const title = what === 'loadMs' ? 'time to load' : 'time to the first token';
      if (shares.length > 0)
        lines.push(
          `${title}, ${threads} thread${threads === 1 ? '' : 's'}: ours:native / best peer: ${shares.join(', ')}`,
        );
    }
  }
  return lines;
}

/** WebAssembly and JavaScript are compared with their kind. */
const PORTABLE: readonly string[] = ['onnxruntime-web', 'tfjs', 'jax-js'];

function ratioToBest(rows: readonly Row[], ours: string): { name: string; ratio: number; peer: string }[] {
  const mine = rows.find(({ runner }) => runner === ours);
  const eligible = (runner: string): boolean =>
    ours === 'ours:native' ? !runner.startsWith('ours:') && runner !== 'node' : PORTABLE.includes(runner);
  const peers = rows.filter(({ runner, medianMs }) => eligible(runner) && medianMs !== null);
  const best = peers.reduce<Row | undefined>(
    (low, row) => ((row.medianMs ?? Infinity) < (low?.medianMs ?? Infinity) ? row : low),
    undefined,
  );
  if (mine === undefined || mine.medianMs === null || best === undefined || best.medianMs === null) return [];
  return [{ name: mine.case, ratio: best.medianMs / mine.medianMs, peer: best.runner }];
}
