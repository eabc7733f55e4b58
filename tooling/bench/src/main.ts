/** `pnpm bench`: measures the chosen suites, prints as it goes, writes the rows. */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { attempt, attemptAsync, ProjError } from '@proj/kernel';
import { fileError } from '@proj/tensor/io';
import { Pool, measureCase } from './bench.ts';
import type { Contender } from './bench.ts';
import { CASES } from './cases.ts';
import type { BenchCase, CaseSpec, Suite } from './cases.ts';
import { acquire } from './lock.ts';
import { describeMachine } from './machine.ts';
import { HELP, parseOptions } from './options.ts';
import type { Options } from './options.ts';
import { modelFolder } from './peers/cache.ts';
import { RUNNERS, runnersFor } from './registry.ts';
import type { RunnerId } from './registry.ts';
import { caseText, machineText, summaryText } from './report.ts';
import { withCeilings } from './rows.ts';
import type { Row } from './rows.ts';

/** As shells have them for processes that a signal ended. */
const EXIT_INTERRUPTED = 130;
const EXIT_BROKEN_PIPE = 141;

function contendersFor(
  spec: CaseSpec,
  threads: number,
  options: Options,
  unavailable: ReadonlyMap<RunnerId, string>,
): Contender[] {
  return chosenFor(spec, options).map((id) => {
    const { install, serve, coldStart } = RUNNERS[id];
    const why = unavailable.get(id);
    return {
      id,
      install,
      serve: serve(threads),
      ...(why === undefined ? {} : { unavailable: why }),
      ...(coldStart === undefined ? {} : { coldStart: coldStart() }),
    };
  });
}

function chosenFor(spec: CaseSpec, options: Options): readonly RunnerId[] {
  return runnersFor(spec).filter((id) => options.runners.includes(id));
}

function casesOf(suite: Suite, options: Options): readonly BenchCase[] {
  const exact = CASES[suite].filter(({ name }) => name === options.only);
  return exact.length > 0 ? exact : CASES[suite].filter(({ name }) => name.includes(options.only));
}

/** Sets up the peers that take it, before anything is timed; the reasons of those that cannot be had. */
async function setUpPeers(options: Options): Promise<ReadonlyMap<RunnerId, string>> {
  const wanted = new Set(
    options.suites.flatMap((suite) => casesOf(suite, options)).flatMap(({ spec }) => chosenFor(spec, options)),
  );
  const unavailable = new Map<RunnerId, string>();
  for (const id of wanted) {
    const { setUp } = RUNNERS[id];
    try {
      await setUp?.((text) => console.log(text));
    } catch (error) {
      unavailable.set(id, (error as Error).message);
    }
  }
  return unavailable;
}

/** Whole or not at all, so that a reader never sees half a file. */
function writeRows(path: string, rows: readonly Row[]): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(withCeilings(rows), undefined, 1)}\n`);
  renameSync(`${path}.tmp`, path);
}

/** What would only be found when the first case, or all of them, has been measured. */
function requirePossible(options: Options): void {
  const { json, only, suites } = options;
  const chosen = suites.flatMap((suite) => casesOf(suite, options));
  if (!chosen.some(({ spec }) => chosenFor(spec, options).length > 0))
    throw new ProjError(
      'invalid-argument',
      `no case of ${suites.join(', ')} is chosen by --only '${only}' and --runners`,
      {
        op: 'bench',
        cure: `Cases are ${suites.flatMap((suite) => CASES[suite].map(({ name }) => name)).join(', ')}`,
      },
    );
  try {
    modelFolder();
    if (json !== undefined) closeSync(openSync(json, 'a'));
  } catch (error) {
    throw fileError('bench', 'write', json ?? '', error);
  }
}

async function run(options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  const versions = new Map<string, string>();
  const unavailable = await setUpPeers(options);
  for (const suite of options.suites) {
    // What a process holds hardly depends on its threads, and its steps are many.
    for (const threads of suite === 'memory' ? [Math.max(...options.threads)] : options.threads) {
      const pool = new Pool();
      try {
        for (const bench of casesOf(suite, options)) {
          const contenders = contendersFor(bench.spec, threads, options, unavailable);
          if (contenders.length === 0) continue;
          const lock =
            options.lock === undefined
              ? undefined
              : await acquire(options.lock, (path) => console.log(`waiting for ${path}`));
          try {
            rows.push(...(await measureCase(bench, threads, contenders, pool, options)));
          } finally {
            await lock?.release();
          }
          const done = withCeilings(rows).slice(-contenders.length);
          console.log(caseText(done.filter((row) => row.case === bench.name && row.threads === threads)));
          for (const { runner, version } of done) if (version !== '') versions.set(runner, version);
          if (options.json !== undefined) writeRows(options.json, rows);
        }
      } finally {
        await pool.close();
      }
    }
  }
  console.log(`versions: ${[...versions].map(([runner, version]) => `${runner} ${version}`).join(', ')}`);
  return rows;
}

async function main(options: Options): Promise<void> {
  requirePossible(options);
  console.log(`${machineText(describeMachine())}\n`);
  // Also when it is interrupted: the models are gigabytes.
  process.once('exit', () => options.keep || rmSync(modelFolder(), { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT_INTERRUPTED));
  const rows = await run(options);
  console.log(summaryText(rows));
  if (options.json !== undefined) writeRows(options.json, rows);
  if (rows.some(({ extra }) => extra['status'] === 'failed')) process.exitCode = 1;
}

// Nobody reads any more (`| head`).
process.stdout.on('error', () => process.exit(EXIT_BROKEN_PIPE));
const options = attempt(() => parseOptions(process.argv.slice(2)));
if (options.ok && options.value.help) console.log(HELP);
else {
  const done = options.ok ? await attemptAsync(() => main(options.value)) : options;
  if (!done.ok) {
    console.error(done.error.message);
    process.exitCode = done.error.code === 'invalid-argument' ? 2 : 1;
  }
}
