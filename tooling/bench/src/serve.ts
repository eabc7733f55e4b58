/**
 * The runner's side of the wire: answers the driver's requests with a peer's (or our) code. A runner only says how to prepare a case and how
 * to run it once; warming up, batching short runs and timing are the same for all and live here.
 */
import { existsSync, readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import type { CaseSpec } from './cases.ts';
import { checkPositions } from './cases.ts';
import { decodeRequest, encode } from './protocol.ts';
import type { PrepareReply, Reply, RunReply, Scalars } from './protocol.ts';

/** A case made ready: inputs in place, code compiled as far as the peer does that ahead. */
export interface Prepared {
  /** Does the work once, to the point where the result can be read. */
  run(): unknown;
  /** The output, or a part of it, for {@link checkPositions}. */
  output?(): ArrayLike<number | bigint> | Promise<ArrayLike<number | bigint>>;
  /** What else is worth knowing after the runs: losses, resident size, the backend used. */
  detail?(): Scalars;
  dispose?(): void;
  /** Units of work in one run, where times are told of one of them. Default 1. */
  readonly units?: number;
  /** Run once only, without warming up: the run is itself a measurement over many steps. */
  readonly single?: boolean;
}

/** A case of a peer that brings a benchmark of its own: its times are taken as it tells them. */
export interface SelfTimed {
  /** Runs the peer's measurement; milliseconds of each unit of work. */
  samples(): Promise<readonly number[]>;
  detail?(): Scalars;
  dispose?(): void;
}

export interface LoadedRunner {
  readonly version: string;
  readonly detail?: Scalars;
  prepare(spec: CaseSpec): Prepared | SelfTimed | Promise<Prepared | SelfTimed>;
}

/** Runs shorter than this are timed in batches. */
const SAMPLE_MS = 0.2;
const WARM_MS = 150;
const WARM_RUNS = 3;
const SLOW_MS = 1500;

/** Reads requests from stdin until it closes. `load` imports the peer; when it throws, the peer is reported as missing. */
export async function serve(load: () => LoadedRunner | Promise<LoadedRunner>): Promise<void> {
  const write = process.stdout.write.bind(process.stdout);
  const send = (reply: Reply): void => void write(encode(reply));
  // What a peer prints must not come between the replies.
  console.log = console.info = console.error;
  let runner: LoadedRunner;
  try {
    runner = await load();
  } catch (error) {
    send({ op: 'missing', reason: error instanceof Error ? error.message : String(error) });
    return;
  }
  send({ op: 'hello', version: runner.version, detail: runner.detail ?? {} });
  let current: { prepared: Prepared | SelfTimed; batch: number } | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    const request = decodeRequest(line);
    if (request === undefined) continue;
    const { id } = request;
    try {
      switch (request.op) {
        case 'prepare': {
          current?.prepared.dispose?.();
          current = undefined;
          const prepared = await runner.prepare(request.spec);
          const { reply, batch } = await warmUp(prepared);
          current = { prepared, batch };
          send({ op: 'ok', id, result: reply });
          break;
        }
        case 'run': {
          if (current === undefined) throw new RangeError('run before prepare');
          const result = await measure(current.prepared, current.batch, request.minMs, request.maxRuns);
          // Node writes its cache of modules when a process ends, and this one will be killed.
          flushCompileCache();
          send({ op: 'ok', id, result });
          break;
        }
        case 'release':
          current?.prepared.dispose?.();
          current = undefined;
          send({ op: 'ok', id, result: null });
          break;
        default:
          request satisfies never;
      }
    } catch (error) {
      send({ op: 'error', id, message: messageOf(error) });
    }
  }
  process.exit(0);
}

async function warmUp(prepared: Prepared | SelfTimed): Promise<{ reply: PrepareReply; batch: number }> {
  if ('samples' in prepared) return { reply: { check: [], firstMs: 0, detail: prepared.detail?.() ?? {} }, batch: 1 };
  if (prepared.single === true) return { reply: { check: [], firstMs: 0, detail: {} }, batch: 1 };
  const began = performance.now();
  await prepared.run();
  const firstMs = performance.now() - began;
  const output = prepared.output === undefined ? [] : await prepared.output();
  const check = output.length === 0 ? [] : checkPositions(output.length).map((position) => Number(output[position]));
  const warmFrom = performance.now();
  for (let runs = 1; firstMs < SLOW_MS && (runs < WARM_RUNS || performance.now() - warmFrom < WARM_MS); runs++)
    await prepared.run();
  const once = (await timeBatch(prepared, 1)) || 1e-4;
  const batch = Math.max(1, Math.ceil(SAMPLE_MS / once));
  return { reply: { check, firstMs, detail: prepared.detail?.() ?? {} }, batch };
}

async function measure(
  prepared: Prepared | SelfTimed,
  batch: number,
  minMs: number,
  maxRuns: number,
): Promise<RunReply> {
  const times: number[] = [];
  const cpuBefore = processorMs();
  if ('samples' in prepared) times.push(...(await prepared.samples()));
  else {
    const began = performance.now();
    const units = batch * (prepared.units ?? 1);
    do times.push((await timeBatch(prepared, batch)) / units);
    while (prepared.single !== true && times.length < maxRuns && performance.now() - began < minMs);
  }
  return { times, batch, cpuMs: processorMs() - cpuBefore, detail: prepared.detail?.() ?? {} };
}

const TICK_MS = 10;

/** Milliseconds of processor time that this process and the children it waited for have used; of children only where the system tells (Linux). */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000 + childrenMs();
}

function childrenMs(): number {
  try {
    // After the name, which may hold anything: fields 3 and on, of which 16 and 17 are the children's user and system time.
    const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
  } catch {
    return 0;
  }
}

/** Milliseconds for `batch` runs. A synchronous run is not awaited, so that it does not pay for a microtask. */
async function timeBatch(prepared: Prepared, batch: number): Promise<number> {
  const began = performance.now();
  for (let i = 0; i < batch; i++) {
    const pending = prepared.run();
    if (pending instanceof Promise) await pending;
  }
  return performance.now() - began;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' | ') : String(error);
}

/** Resident set size in MB, and its peak (`VmHWM`) where the system tells (Linux), else NaN. */
export function residentMegabytes(): { now: number; peak: number } {
  // Not read asynchronously: a turn of the event loop would run finalizers.
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const peak = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
  return { now: process.memoryUsage().rss / 2 ** 20, peak: peak === undefined ? Number.NaN : Number(peak) / 1024 };
}
