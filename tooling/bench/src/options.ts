/** The command line of `pnpm bench`. */
import { parseArgs } from 'node:util';
import { availableParallelism } from 'node:os';
import { ProjError } from '@proj/kernel';
import { SUITES, isSuite } from './cases.ts';
import type { Suite } from './cases.ts';
import { DEFAULT_LOCK } from './lock.ts';
import { RUNNER_IDS, isRunner } from './registry.ts';
import type { RunnerId } from './registry.ts';

export interface Options {
  readonly suites: readonly Suite[];
  readonly threads: readonly number[];
  readonly runners: readonly RunnerId[];
  /** Only the case of this name, or where there is none, cases whose name contains it. */
  readonly only: string;
  readonly json: string | undefined;
  readonly rounds: number;
  /** Milliseconds of each turn. */
  readonly turnMs: number;
  /** Further rounds while others disturb the machine. */
  readonly patience: number;
  /** Lock file, or undefined for none. */
  readonly lock: string | undefined;
  /** Leave the models that were made for the run in the cache. */
  readonly keep: boolean;
  readonly help: boolean;
}

export const HELP = `pnpm bench [suite…] [options]

Our devices and their peers on the same work, in turns, each in a process of its own.

suites: ${SUITES.join(', ')} (all of them when none is named)
  --threads N,…      threads of every runner (default 1; 1,2 runs both)
  --runners A,B,…    only these: ${RUNNER_IDS.join(', ')};
                     'ours' and 'peers' stand for all of ours and all of the others
  --only TEXT        only the case of that name, or cases whose name contains TEXT
  --rounds N         turns of each runner in a case (default 5)
  --turn MS          length of a turn (default 200)
  --patience N       more rounds at most, while others use the machine (default 3)
  --json FILE        write [{ suite, case, threads, runner, version, medianMs, minMs, runs, extra }]
  --lock FILE        lock held while a case is timed (default ${'${TMPDIR}'}/bench.lock, as flock(1) takes it); 'none' for none
  --keep             leave the models made for decode and prompt (gigabytes) in the cache, for the next run
  --help             this text
`;

/** Reads the arguments; what they get wrong is an error that names the argument. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const suites = positionals.map((name) =>
    isSuite(name) ? name : fail(`unknown suite '${name}'`, `Suites: ${SUITES.join(', ')}`),
  );
  return {
    suites: suites.length === 0 ? SUITES : suites,
    threads: values.threads.split(',').map((text) => count('--threads', text, 1, 4 * availableParallelism())),
    runners: runnersOf(values.runners),
    only: values.only,
    json: values.json,
    rounds: count('--rounds', values.rounds, 1, 1000),
    turnMs: count('--turn', values.turn, 1, 600_000),
    patience: count('--patience', values.patience, 0, 1000),
    lock: values.lock === 'none' ? undefined : (values.lock ?? DEFAULT_LOCK),
    keep: values.keep,
    help: values.help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: args.filter((arg) => arg !== '--'),
      allowPositionals: true,
      options: {
        threads: { type: 'string', default: '1' },
        runners: { type: 'string', default: '' },
        only: { type: 'string', default: '' },
        json: { type: 'string' },
        rounds: { type: 'string', default: '5' },
        turn: { type: 'string', default: '200' },
        patience: { type: 'string', default: '3' },
        lock: { type: 'string' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false, short: 'h' },
      },
    });
  } catch (error) {
    return fail((error as Error).message, 'pnpm bench --help lists the options');
  }
}

function runnersOf(text: string): readonly RunnerId[] {
  if (text === '') return RUNNER_IDS;
  const isOurs = (id: RunnerId): boolean => id.startsWith('ours:');
  const chosen = text.split(',').flatMap((name): readonly RunnerId[] => {
    if (name === 'ours') return RUNNER_IDS.filter(isOurs);
    if (name === 'peers') return RUNNER_IDS.filter((id) => !isOurs(id));
    return [
      isRunner(name)
        ? name
        : fail(`--runners: unknown runner '${name}'`, `Runners: ${RUNNER_IDS.join(', ')}, ours, peers`),
    ];
  });
  return RUNNER_IDS.filter((id) => chosen.includes(id));
}

function count(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high)
    fail(`${name}: '${text}' is not a whole number from ${low} to ${high}`);
  return value;
}

function fail(message: string, cure?: string): never {
  throw new ProjError('invalid-argument', message, { op: 'bench', ...(cure === undefined ? {} : { cure }) });
}
