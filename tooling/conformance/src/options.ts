// The command line.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

/** Parsed options. */
export interface Options {
  readonly paths: readonly string[];
  readonly device: string | undefined;
  readonly families: readonly string[];
  readonly json: string | undefined;
  readonly verbose: boolean;
  readonly lenient: boolean;
  readonly min: number | undefined;
  readonly jobs: number;
  readonly timeout: number;
  readonly batch: number;
  readonly help: boolean;
}

/** A command line that cannot be obeyed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The text of `--help`. */
export const usage = `usage: pnpm conformance PATH… [options]

Runs PyTorch's recorded answers against our packages. PATH is a .jsonl or .jsonl.gz file, or a folder of them.

  --device D      run on this device (js, wasm, native); the default is the fastest that works
  --family F      only families whose name starts with F (ops, ops/core, nn/modules, …); may be repeated
  --json FILE     write { family: { passed, failed, skipped, failures: [{ id, reason }] } }
  --verbose       print every failure
  --lenient       pass at the lenient tolerance (1e-4 / 3e-4 + 30 dev); the default is strict (1e-5 / 3e-5 + 10 dev)
  --min SHARE     exit with 1 when less than this share (0 to 1) of the records passes
  --jobs N        worker processes (default: the number of processors, at most 8)
  --timeout S     seconds one record may take (default 60)
  --batch N       records evaluated together (default 25)
  --help          print this text
`;

const DEVICES = ['js', 'wasm', 'native'];

function deviceOption(value: string | undefined): string | undefined {
  if (value !== undefined && !DEVICES.includes(value))
    throw new UsageError(`--device takes one of ${DEVICES.join(', ')}, not "${value}"`);
  return value;
}

function wholeOption(name: string, value: string | undefined, fallback: number, least: number, most: number): number {
  const number = numberOption(name, value, fallback, least, most);
  if (!Number.isInteger(number)) throw new UsageError(`--${name} takes a whole number, not "${value}"`);
  return number;
}

function numberOption(name: string, value: string | undefined, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback;
  const number = Number(value);
  if (value.trim() === '' || !(number >= least && number <= most))
    throw new UsageError(`--${name} takes a number from ${least} to ${most}, not "${value}"`);
  return number;
}

/** Parses the arguments after the script's name. */
export function parseOptions(argv: readonly string[]): Options {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv.filter((arg, i) => !(i === 0 && arg === '--')),
      allowPositionals: true,
      options: {
        device: { type: 'string' },
        family: { type: 'string', multiple: true },
        json: { type: 'string' },
        verbose: { type: 'boolean' },
        lenient: { type: 'boolean' },
        min: { type: 'string' },
        jobs: { type: 'string' },
        timeout: { type: 'string' },
        batch: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  const help = values.help === true;
  if (!help && positionals.length === 0) throw new UsageError('a PATH is missing: the file or folder with the cases');
  return {
    paths: positionals,
    device: deviceOption(values.device),
    families: (values.family ?? []).flatMap((family) => family.split(',')),
    json: values.json,
    verbose: values.verbose === true,
    lenient: values.lenient === true,
    min: values.min === undefined ? undefined : numberOption('min', values.min, 0, 0, 1),
    jobs: wholeOption('jobs', values.jobs, Math.min(8, availableParallelism()), 1, 256),
    timeout: numberOption('timeout', values.timeout, 60, 1, 3600),
    batch: wholeOption('batch', values.batch, 25, 1, 10_000),
    help,
  };
}
