/**
 * Measuring a case: every runner that can do it is prepared, then they take turns, round after round, in an order that rotates, so that a
 * machine that slows down or speeds up does so for all. Two kinds of case need processes of their own: `memory` (a fresh process each, its
 * resident size is the result) and cold start (the process itself is the work).
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchCase, CaseSpec } from './cases.ts';
import { timeProcess } from './cold-start.ts';
import { RunnerProcess } from './driver.ts';
import type { ProcessSpec, Started } from './driver.ts';
import { busyMs, foreignLoad } from './machine.ts';
import type { Scalars } from './protocol.ts';
import { disagreements, rowOf, rowWithout } from './rows.ts';
import type { Row } from './rows.ts';
import { QUIET, summarise } from './statistics.ts';
import type { Turn } from './statistics.ts';

/** What the engine needs to know of a runner; the registry has the real ones, tests bring their own. */
export interface Contender {
  readonly id: string;
  readonly install: string;
  /** Why it cannot be had, where that is known before it is started. */
  readonly unavailable?: string;
  readonly serve: ProcessSpec;
  readonly coldStart?: ProcessSpec;
}

export interface Effort {
  readonly rounds: number;
  readonly turnMs: number;
  readonly patience: number;
}

const MAX_RUNS = 2000;
/** Making a model of gigabytes is part of it. */
const PREPARE_MS = 900_000;
const RUN_MS = 600_000;
/** A runner that has used this much of a case's time, twice at least, sits out the rest. */
const BUDGET_MS = 15_000;
/** Between turns: the other processes' threads stop spinning. */
const SETTLE_MS = 10;

/** The runner processes of one thread count, started when first needed and kept. */
export class Pool {
  readonly #started = new Map<string, Promise<Started>>();

  /** The runner's process; one that died is started anew. */
  async get(contender: Contender): Promise<Started> {
    const known = await this.#started.get(contender.id);
    if (known !== undefined && (!known.ok || known.process.alive)) return known;
    const { unavailable } = contender;
    const started =
      unavailable === undefined
        ? RunnerProcess.start(contender.id, contender.serve)
        : Promise.resolve({ ok: false, reason: unavailable } as const);
    this.#started.set(contender.id, started);
    return started;
  }

  /** Ends all processes. */
  async close(): Promise<void> {
    for (const started of this.#started.values()) {
      const runner = await started;
      if (runner.ok) runner.process.close();
    }
    this.#started.clear();
  }
}

/** Measures one case with every contender; one row for each, present or not. */
export async function measureCase(
  bench: BenchCase,
  threads: number,
  contenders: readonly Contender[],
  pool: Pool,
  effort: Effort,
): Promise<Row[]> {
  switch (bench.spec.kind) {
    case 'cold-start':
      return measureColdStart(bench, threads, contenders, effort);
    case 'memory-steps':
    case 'memory-gpt':
      return measureApart(bench, threads, contenders);
    default:
      return measureInTurns(bench, threads, contenders, pool, effort);
  }
}

interface Entry {
  readonly contender: Contender;
  readonly process: RunnerProcess;
  readonly version: string;
  readonly check: readonly number[];
  readonly turns: Turn[];
  detail: Scalars;
  spentMs: number;
  failure: string | undefined;
}

async function measureInTurns(
  bench: BenchCase,
  threads: number,
  contenders: readonly Contender[],
  pool: Pool,
  effort: Effort,
): Promise<Row[]> {
  const rows = new Map<string, Row>();
  const entries: Entry[] = [];
  for (const contender of contenders) {
    const started = await pool.get(contender);
    if (!started.ok) {
      rows.set(contender.id, rowWithout(bench, threads, contender.id, 'missing', missing(contender, started.reason)));
      continue;
    }
    try {
      const { check, firstMs, detail } = await started.process.prepare(bench.spec, PREPARE_MS);
      const known = { ...started.detail, ...detail, firstMs: Math.round(firstMs * 1000) / 1000 };
      entries.push({
        contender,
        process: started.process,
        version: started.version,
        check,
        turns: [],
        detail: known,
        spentMs: 0,
        failure: undefined,
      });
    } catch (error) {
      rows.set(
        contender.id,
        rowWithout(bench, threads, contender.id, 'failed', (error as Error).message, started.version),
      );
    }
  }
  const disturbed = (): boolean =>
    entries.some(
      ({ turns, failure }) => failure === undefined && turns.filter((turn) => turn.foreign <= QUIET).length < 2,
    );
  for (let round = 0; round < effort.rounds || (round < effort.rounds + effort.patience && disturbed()); round++) {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[(i + round) % entries.length];
      if (entry !== undefined) await takeTurn(entry, effort.turnMs);
    }
  }
  const { judge, wrong } = disagreements(new Map(entries.map(({ contender, check }) => [contender.id, check])));
  for (const entry of entries) {
    const { contender, version, turns, failure } = entry;
    if (failure !== undefined) {
      rows.set(contender.id, rowWithout(bench, threads, contender.id, 'failed', failure, version));
      continue;
    }
    const detail = wrong.includes(contender.id) ? { ...entry.detail, differsFrom: judge ?? '' } : entry.detail;
    rows.set(contender.id, rowOf(bench, threads, contender.id, version, summarise(turns), detail));
    await entry.process.release().catch(() => {});
  }
  return contenders.flatMap(({ id }) => rows.get(id) ?? []);
}

async function takeTurn(entry: Entry, turnMs: number): Promise<void> {
  if (entry.failure !== undefined || (entry.spentMs > BUDGET_MS && entry.turns.length >= 2)) return;
  await sleep(SETTLE_MS);
  const [busy, began] = [busyMs(), performance.now()];
  try {
    const { times, cpuMs, detail } = await entry.process.run(turnMs, MAX_RUNS, RUN_MS);
    const wall = performance.now() - began;
    entry.turns.push({ times, foreign: foreignLoad(busyMs() - busy, cpuMs, wall) });
    entry.detail = { ...entry.detail, ...detail };
    entry.spentMs += wall;
  } catch (error) {
    entry.failure = (error as Error).message;
  }
}

/** Processes of ours in a memory case, as long as they are quick: when the engine collects is a matter of chance. Of a peer one is enough. */
const OUR_PROCESSES = 3;
const QUICK_MS = 25_000;

/** One after the other, each in a fresh process: what is measured is the process. Of several the one in the middle counts. */
async function measureApart(bench: BenchCase, threads: number, contenders: readonly Contender[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const contender of contenders) {
    const apart: Row[] = [];
    const began = performance.now();
    for (let left = contender.id.startsWith('ours:') ? OUR_PROCESSES : 1; left > 0; left--) {
      if (performance.now() - began > QUICK_MS) break;
      const row = await measureProcess(bench, threads, contender);
      apart.push(row);
      if (row.extra['status'] !== 'ok') break;
    }
    rows.push(middleOf(apart));
  }
  return rows;
}

async function measureProcess(bench: BenchCase, threads: number, contender: Contender): Promise<Row> {
  const started = await RunnerProcess.start(contender.id, contender.serve);
  if (!started.ok) return rowWithout(bench, threads, contender.id, 'missing', missing(contender, started.reason));
  try {
    await started.process.prepare(bench.spec, PREPARE_MS);
    const busy = busyMs();
    const { times, cpuMs, detail } = await started.process.run(0, 1, RUN_MS);
    const wall = times[0] ?? Number.NaN;
    const turn = { times: [wall / stepsOf(bench.spec)], foreign: foreignLoad(busyMs() - busy, cpuMs, wall) };
    return rowOf(bench, threads, contender.id, started.version, summarise([turn]), { ...started.detail, ...detail });
  } catch (error) {
    return rowWithout(bench, threads, contender.id, 'failed', (error as Error).message, started.version);
  } finally {
    started.process.close();
  }
}

/** The row in the middle by growth (by peak where there is none), with the greatest of all; one that failed before any that did not. */
export function middleOf(rows: readonly Row[]): Row {
  const measures = ['growth', 'peakMB'] as const;
  const failed = rows.find(({ extra }) => extra['status'] !== 'ok');
  if (failed !== undefined || rows.length === 1) return failed ?? rows[0];
  const measure = measures.find((name) => typeof rows[0].extra[name] === 'number') ?? 'peakMB';
  const sorted = rows.toSorted((a, b) => Number(a.extra[measure]) - Number(b.extra[measure]));
  const greatest = Number(sorted[sorted.length - 1].extra[measure]);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return { ...middle, extra: { ...middle.extra, processes: rows.length, [`${measure}AtMost`]: greatest } };
}

/** The training steps that one run of a memory case makes; its time is given for one step. */
function stepsOf(spec: CaseSpec): number {
  if (spec.kind === 'memory-steps') return spec.late;
  return spec.kind === 'memory-gpt' ? spec.steps : 1;
}

async function measureColdStart(
  bench: BenchCase,
  threads: number,
  contenders: readonly Contender[],
  effort: Effort,
): Promise<Row[]> {
  const turns = new Map<string, Turn[]>();
  const problems = new Map<string, string>();
  const able = contenders.filter((contender) => contender.coldStart !== undefined);
  // The first round fills the file cache and any kernel cache, and is not counted.
  for (let round = 0; round <= effort.rounds * 2; round++) {
    for (const { id, coldStart, install } of able) {
      if (coldStart === undefined || problems.has(id)) continue;
      const timed = await timeProcess(coldStart);
      // A child's processor time is not told to us, so what others used is not known either.
      if (!timed.ok) problems.set(id, missing({ install }, timed.reason));
      else if (round > 0) turns.set(id, [...(turns.get(id) ?? []), { times: [timed.ms], foreign: 0 }]);
    }
  }
  return able.map(({ id }) => {
    const problem = problems.get(id);
    if (problem !== undefined) return rowWithout(bench, threads, id, 'missing', problem);
    return rowOf(bench, threads, id, id === 'node' ? process.version : '', summarise(turns.get(id) ?? []), {});
  });
}

function missing({ install }: Pick<Contender, 'install'>, reason: string): string {
  return `${reason.trim()}; to install: ${install}`;
}
