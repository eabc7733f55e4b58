// Worker processes and the batches they run. A worker that dies or stays silent loses its batch: the batch is repeated record by record, and a
// record that does it again is failed (`crash`, `timeout`).
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CaseLine } from './case-files.ts';
import { outcomeOf } from './run-records.ts';
import type { Outcome } from './run-records.ts';

/** A batch of records of one file. */
export interface Batch {
  readonly file: string;
  readonly family: string;
  readonly lines: readonly CaseLine[];
}

/** To a worker: run these lines. */
export interface ToWorker {
  readonly file: string;
  readonly family: string;
  readonly lines: readonly number[];
  readonly lenient: boolean;
}

/** From a worker. */
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'broken'; readonly message: string }
  | { readonly kind: 'started'; readonly line: number }
  | { readonly kind: 'done'; readonly outcomes: readonly Outcome[] };

/** Settings of a run. */
export interface PoolOptions {
  readonly jobs: number;
  readonly device: string | undefined;
  readonly lenient: boolean;
  /** Seconds a worker may be silent. */
  readonly timeoutSeconds: number;
  readonly onOutcome: (batch: Batch, outcome: Outcome) => void;
  /** For tests: another worker module. */
  readonly workerPath?: string;
}

const startupSeconds = 120;

type Ended =
  | { readonly how: 'done'; readonly outcomes: readonly Outcome[] }
  | { readonly how: 'crash' | 'timeout'; readonly detail: string }
  | { readonly how: 'broken'; readonly detail: string };

class Worker {
  readonly #options: PoolOptions;
  #child: ChildProcess | null = null;
  #ready = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  #spawn(): ChildProcess {
    if (this.#child !== null) return this.#child;
    const path = this.#options.workerPath ?? fileURLToPath(new URL('worker.ts', import.meta.url));
    const { device } = this.#options;
    this.#ready = false;
    this.#child = fork(path, [], {
      execArgv: ['--conditions=source', '--expose-gc', '--max-old-space-size=4096'],
      env: {
        ...process.env,
        PROJ_NUM_THREADS: process.env.PROJ_NUM_THREADS ?? '1',
        ...(device === undefined ? {} : { CONFORMANCE_DEVICE: device, PROJ_DEVICE: device }),
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    return this.#child;
  }

  run(batch: Batch): Promise<Ended> {
    const child = this.#spawn();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout;
      const finish = (ended: Ended): void => {
        clearTimeout(timer);
        child.removeAllListeners();
        if (ended.how !== 'done') {
          child.kill('SIGKILL');
          this.#child = null;
        }
        resolve(ended);
      };
      const watch = (): void => {
        clearTimeout(timer);
        const seconds = this.#ready ? this.#options.timeoutSeconds : startupSeconds;
        timer = setTimeout(() => finish({ how: 'timeout', detail: `no answer within ${seconds} s` }), seconds * 1000);
      };
      const begin = (): void => {
        const message: ToWorker = {
          file: batch.file,
          family: batch.family,
          lines: batch.lines.map(({ line }) => line),
          lenient: this.#options.lenient,
        };
        child.send(message);
      };
      child.on('message', (message: FromWorker) => {
        watch();
        if (message.kind === 'ready') {
          this.#ready = true;
          begin();
        } else if (message.kind === 'broken') finish({ how: 'broken', detail: message.message });
        else if (message.kind === 'done') finish({ how: 'done', outcomes: message.outcomes });
      });
      child.on('exit', (code, signal) =>
        finish({ how: 'crash', detail: `the process ended with ${signal ?? `code ${code}`}` }),
      );
      child.on('error', (error) => finish({ how: 'crash', detail: error.message }));
      watch();
      if (this.#ready) begin();
    });
  }

  stop(): void {
    this.#child?.removeAllListeners();
    this.#child?.kill();
    this.#child = null;
  }
}

/** Runs all batches; every record gets exactly one outcome. */
export async function runBatches(batches: readonly Batch[], options: PoolOptions): Promise<void> {
  const queue = [...batches];
  let broken: string | null = null;
  const runWorker = async (): Promise<void> => {
    const worker = new Worker(options);
    try {
      for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
        const current = batch;
        const ended: Ended = broken === null ? await worker.run(current) : { how: 'broken', detail: broken };
        if (ended.how === 'broken') {
          broken = ended.detail;
          const detail = `our packages do not load: ${ended.detail}`;
          for (const line of current.lines) options.onOutcome(current, outcomeOf(line, { kind: 'crash', detail }));
        } else if (ended.how === 'done') for (const outcome of ended.outcomes) options.onOutcome(current, outcome);
        else if (current.lines.length > 1) queue.push(...current.lines.map((line) => ({ ...current, lines: [line] })));
        else
          for (const line of current.lines)
            options.onOutcome(current, outcomeOf(line, { kind: ended.how, detail: ended.detail }));
      }
    } finally {
      worker.stop();
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(options.jobs, batches.length)) }, runWorker));
}
