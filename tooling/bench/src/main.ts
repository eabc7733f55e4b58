/** `pnpm bench`: measures the chosen suites, prints as it goes, writes the rows. */
import { renameSync, writeFileSync } from 'node:fs';
import { attempt } from '@proj/kernel';
import { Pool, measureCase } from './bench.ts';
import type { Contender } from './bench.ts';
import { CASES } from './cases.ts';
import type { CaseSpec } from './cases.ts';
import { acquire } from './lock.ts';
import { describeMachine } from './machine.ts';
import { HELP, parseOptions } from './options.ts';
import type { Options } from './options.ts';
import { RUNNERS, runnersFor } from './registry.ts';
import { caseText, machineText, summaryText } from './report.ts';
import { withCeilings } from './rows.ts';
import type { Row } from './rows.ts';

function contendersFor(spec: CaseSpec, threads: number, options: Options): Contender[] {
  return runnersFor(spec)
    .filter((id) => options.runners.includes(id))
    .map((id) => {
      const { install, serve, coldStart } = RUNNERS[id];
      return { id, install, serve: serve(threads), ...(coldStart === undefined ? {} : { coldStart: coldStart() }) };
    });
}

/** Whole or not at all, so that a reader never sees half a file. */
function writeRows(path: string, rows: readonly Row[]): void {
  writeFileSync(`${path}.tmp`, `${JSON.stringify(withCeilings(rows), undefined, 1)}\n`);
  renameSync(`${path}.tmp`, path);
}

async function run(options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  const versions = new Map<string, string>();
  for (const suite of options.suites) {
    for (const threads of options.threads) {
      const pool = new Pool();
      try {
        for (const bench of CASES[suite].filter(({ name }) => name.includes(options.only))) {
          const contenders = contendersFor(bench.spec, threads, options);
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

const options = attempt(() => parseOptions(process.argv.slice(2)));
if (!options.ok) {
  console.error(options.error.message);
  process.exitCode = 2;
} else if (options.value.help) {
  console.log(HELP);
} else {
  console.log(`${machineText(describeMachine())}\n`);
  const rows = await run(options.value);
  console.log(summaryText(rows));
  if (options.value.json !== undefined) writeRows(options.value.json, rows);
  if (rows.some(({ extra }) => extra['status'] === 'failed')) process.exitCode = 1;
}
