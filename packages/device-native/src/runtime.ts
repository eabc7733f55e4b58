/** The runtime of the device in this process: the launch table runner and its threads (see runtime-ir.ts). */
import { ProjError } from '@proj/kernel';
import type { Address } from './ffi.ts';
import { functionAt } from './ffi.ts';
import { availableParallelism } from './node-modules.ts';
import type { LoadedCode } from './object-loader.ts';
import { MAX_THREADS, type RUNTIME_SYMBOLS, type SpinLimits } from './runtime-ir.ts';
import { ENTRY } from './runtime-parts-ir.ts';

/** A pause is 20 to 50 ns: workers stay awake for some 50 µs between the launches of a table, and hardly at all after it. */
export const SPIN: SpinLimits = { active: 2000, idle: 200, join: 400, yields: 100 };

/** Threads that launches are split over unless told otherwise: `PROJ_NUM_THREADS`, or one per core. */
export function defaultThreads(environment: NodeJS.ProcessEnv = process.env): number {
  const wanted = environment['PROJ_NUM_THREADS'];
  if (wanted === undefined || wanted === '') return Math.min(availableParallelism(), MAX_THREADS);
  if (!/^\d+$/.test(wanted) || Number(wanted) < 1) {
    throw new ProjError('invalid-argument', `PROJ_NUM_THREADS is '${wanted}'`, {
      op: 'native device',
      cure: 'Give a number of threads, 1 or more',
    });
  }
  return Math.min(Number(wanted), MAX_THREADS);
}

type Run = (entries: Uint32Array, count: number, threads: number) => void;

/** Threads start with the first table that is run with more than one. */
export class Runtime {
  readonly #code: LoadedCode;
  readonly #run: Run;
  #threads = 1;
  #started = 1;
  #disposed = false;
  readonly #atExit = (): void => this.stop();

  constructor(code: LoadedCode) {
    this.#code = code;
    this.#run = functionAt<Run>(this.#symbol('proj_run'), 'void', ['void *', 'int64_t', 'int64_t']);
  }

  /** Threads that a launch may be split over. */
  get threads(): number {
    return this.#threads;
  }

  setThreads(threads: number): void {
    if (!Number.isInteger(threads) || threads < 1)
      throw new ProjError('invalid-argument', `${threads} threads`, { op: 'setThreads' });
    this.#threads = Math.min(threads, MAX_THREADS);
  }

  /** Runs a table of entries laid out as `ENTRY` says. */
  run(entries: Uint32Array, count: number): void {
    if (this.#threads > this.#started) this.#start();
    this.#run(entries, count, Math.min(this.#threads, this.#started));
  }

  /** Runs machine code `(args, begin, end, part)` for items 0 to `count` - 1, handed out one by one to all threads. */
  runEach(code: Address, args: Address, count: number): void {
    const entry = new BigInt64Array(16);
    for (const [slot, value] of [
      [ENTRY.code, code],
      [ENTRY.args, args],
      [ENTRY.end, count],
      [ENTRY.grain, 1],
      [ENTRY.align, 1],
      [ENTRY.chunk, 1],
    ] as const)
      entry[slot] = BigInt(value);
    this.run(new Uint32Array(entry.buffer), 1);
  }

  /** Ends the threads; a later run starts them again. */
  stop(): void {
    if (this.#started === 1) return;
    this.#started = 1;
    process.off('exit', this.#atExit);
    functionAt<() => void>(this.#symbol('proj_stop'), 'void', [])();
  }

  /** Ends the threads and unmaps the code. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.stop();
    this.#code.dispose();
  }

  #start(): void {
    if (this.#started === 1) process.on('exit', this.#atExit);
    const started = functionAt<(threads: number) => number>(this.#symbol('proj_start'), 'int', ['int'])(this.#threads);
    // Fewer than asked for when the system refuses threads: those that exist are used.
    if (started < this.#threads) this.#threads = started;
    this.#started = Math.max(this.#started, started);
  }

  #symbol(name: (typeof RUNTIME_SYMBOLS)[number]): Address {
    const address = this.#code.symbols[0]?.get(name);
    if (address === undefined)
      throw new ProjError('kernel-compilation', `the runtime has no ${name}`, { op: 'native device' });
    return address;
  }
}
