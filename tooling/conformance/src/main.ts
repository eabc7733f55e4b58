// `pnpm conformance PATH…`: case files recorded from PyTorch, run against our packages (see the README beside this folder).
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { CaseFileError, findCaseFiles, readCaseFile } from './case-files.ts';
import type { CaseLine } from './case-files.ts';
import { familyOf } from './families/index.ts';
import { parseOptions, usage, UsageError } from './options.ts';
import type { Options } from './options.ts';
import { runBatches } from './pool.ts';
import type { Batch } from './pool.ts';
import { Report } from './report.ts';

function planBatches(options: Options): Batch[] {
  const batches: Batch[] = [];
  const found = new Set<string>();
  for (const file of findCaseFiles(options.paths)) {
    const lines = readCaseFile(file);
    const family = familyOf(file, lines[0]?.record);
    found.add(family);
    if (
      options.families.length > 0 &&
      !options.families.some((name) => family === name || family.startsWith(`${name}/`))
    )
      continue;
    for (let i = 0; i < lines.length; i += options.batch)
      batches.push({ file, family, lines: lines.slice(i, i + options.batch) as CaseLine[] });
  }
  if (batches.length === 0 && options.families.length > 0)
    throw new UsageError(`no file is of --family ${options.families.join(', ')}; there are ${[...found].join(', ')}`);
  return batches;
}

function writeReport(path: string, { families }: Report): void {
  const sorted = Object.fromEntries([...families].sort(([a], [b]) => (a < b ? -1 : 1)));
  writing(() => writeFileSync(path, `${JSON.stringify(sorted, null, 1)}\n`));
}

function writing(body: () => void): void {
  try {
    body();
  } catch (error) {
    throw new UsageError(`--json: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function run(options: Options): Promise<number> {
  const report = new Report();
  const start = performance.now();
  const batches = planBatches(options);
  const { json } = options;
  // Better found now than when all has been run.
  if (json !== undefined) writing(() => closeSync(openSync(json, 'a')));
  await runBatches(batches, {
    jobs: options.jobs,
    device: options.device,
    lenient: options.lenient,
    timeoutSeconds: options.timeout,
    onOutcome: (batch, outcome) => report.add(batch.family, outcome),
  });
  console.log(
    `device ${options.device ?? 'default'}, ${options.lenient ? 'lenient' : 'strict'} tolerance, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  for (const line of report.lines(options.verbose)) console.log(line);
  if (json !== undefined) writeReport(json, report);
  return options.min !== undefined && report.share < options.min ? 1 : 0;
}

// Nobody reads any more (`| head`).
process.stdout.on('error', () => process.exit(141));
try {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) console.log(usage);
  else process.exitCode = await run(options);
} catch (error) {
  if (error instanceof UsageError || error instanceof CaseFileError) {
    console.error(`conformance: ${error.message}`);
    if (error instanceof UsageError) console.error('Try pnpm conformance --help');
    process.exitCode = 2;
  } else throw error;
}
