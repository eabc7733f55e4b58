/**
 * Worker threads of the WebAssembly device: worker_threads in Node, Web Workers in browsers, from the same source text (so that bundlers
 * have nothing to do). A worker shares the memory, has its own function table with the same functions at the same places, and draws pieces
 * of launches (wasm-runner.ts). While it draws it cannot hear messages: when modules are published it returns to its event loop, where
 * they arrive in order.
 */
import { type WasmMemory, type WasmModule } from './wasm-api.ts';
import { ENDED, LINE, SHARED, STACK_START } from './wasm-runner.ts';

/** What a worker is told: first how to start, then the modules, in the order in which they were compiled. */
export type WorkerMessage =
  | {
      readonly kind: 'start';
      readonly memory: WasmMemory;
      readonly runner: WasmModule;
      readonly thread: number;
      readonly stack: number;
      readonly ready: number;
      readonly failed: number;
      readonly done: number;
      readonly drawn: number;
      readonly system: number;
    }
  | { readonly kind: 'module'; readonly module: WasmModule; readonly functions: number };

/** Between two looks at whether the workers are alive. */
const LOOK_MS = 100;

const WORKER_SOURCE = `
'use strict';
const port = globalThis.process?.getBuiltinModule ? process.getBuiltinModule('node:worker_threads').parentPort : globalThis;
let start, runner, words, table, stack, version = 0, functions = 0, held = 0, broken = false;
const count = (address) => { const done = Atomics.add(words, address >> 2, 1); Atomics.notify(words, address >> 2); return done; };
const attempt = (work) => {
  for (;;) {
    try { return work(); } catch { fail(); work = () => runner.work(start.thread, version, functions); }
  }
};
const fail = () => { Atomics.add(words, start.failed >> 2, 1); Atomics.store(words, start.drawn >> 2, 0); count(start.done); };
const system = () => {
  if (port === globalThis) return 0;
  process.on('exit', () => Atomics.store(words, start.system >> 2, -1));
  try { return Number(process.getBuiltinModule('node:fs').readlinkSync('/proc/thread-self').split('/').pop()); } catch { return 0; }
};
const live = () => {
  if (held !== 0) {
    const number = held;
    held = 0;
    attempt(() => { runner.piece(start.thread, number); return 0; });
  }
  held = attempt(() => runner.work(start.thread, version, functions));
};
const hear = (message) => {
  if (message.kind === 'start') {
    start = message;
    words = new Int32Array(start.memory.buffer);
    table = new WebAssembly.Table({ element: 'anyfunc', initial: 64 });
    stack = new WebAssembly.Global({ value: 'i32', mutable: false }, start.stack);
    runner = new WebAssembly.Instance(start.runner, { e: { m: start.memory, t: table } }).exports;
    Atomics.store(words, start.system >> 2, system());
    Atomics.add(words, start.ready >> 2, 1);
  } else {
    if (broken) return;
    try {
      if (table.length < message.functions) table.grow(2 * message.functions - table.length);
      new WebAssembly.Instance(message.module, { e: { m: start.memory, t: table, s: stack } });
    } catch {
      // Without room for a module it draws nothing any more, and gives up what it has drawn.
      broken = true;
      if (held !== 0) fail();
      Atomics.sub(words, start.ready >> 2, 1);
      return;
    }
    version++;
    functions = message.functions;
  }
  live();
};
if (port === globalThis) port.onmessage = (event) => hear(event.data); else port.on('message', hear);
`;

interface WorkerHandle {
  postMessage(message: WorkerMessage): void;
  terminate(): unknown;
  unref?(): void;
}

interface BrowserScope {
  readonly Worker?: new (url: string) => WorkerHandle;
  readonly Blob: new (parts: string[], options: { type: string }) => object;
  readonly URL: { createObjectURL(blob: object): string; revokeObjectURL(url: string): void };
}

function startWorker(): WorkerHandle | null {
  const threads = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (threads !== undefined) {
    const worker = new threads.Worker(WORKER_SOURCE, { eval: true, execArgv: [], name: 'proj-wasm' });
    worker.unref();
    // One that cannot start is missed by nobody: launches run on the threads that there are.
    worker.on('error', () => {});
    return worker as unknown as WorkerHandle;
  }
  const scope = globalThis as unknown as BrowserScope;
  if (scope.Worker === undefined) return null;
  const url = scope.URL.createObjectURL(new scope.Blob([WORKER_SOURCE], { type: 'text/javascript' }));
  return new scope.Worker(url);
}

/** Whether a thread of this process is alive, by the system's number of it. */
function threadExists(number: number): boolean {
  return globalThis.process?.getBuiltinModule?.('node:fs').existsSync(`/proc/self/task/${number}`) ?? true;
}

/** Processors that this process may use. */
export function availableThreads(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os');
  if (os !== undefined) return os.availableParallelism();
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;
}

/** Whether this thread may sleep until another wakes it: not the main one of a browser. */
export const mayWait = (): boolean => globalThis.process?.getBuiltinModule !== undefined || !('document' in globalThis);

export class WorkerThreads {
  readonly #memory: WasmMemory;
  readonly #runner: WasmModule;
  readonly #words: Int32Array;
  readonly #workers: WorkerHandle[] = [];
  readonly #modules: WorkerMessage[] = [];
  /** Where a policy forbids workers, launches run on the calling thread. */
  #forbidden = false;

  constructor(memory: WasmMemory, runner: WasmModule) {
    this.#memory = memory;
    this.#runner = runner;
    this.#words = new Int32Array(memory.buffer, 0, STACK_START / 4);
  }

  get started(): number {
    return this.#workers.length;
  }
  /** Workers that have begun to look for work. */
  get ready(): number {
    return Atomics.load(this.#words, SHARED.ready >> 2);
  }

  /** Starts workers until there are `count`; each gets the modules so far. It works as soon as it is up, nobody waits for it. */
  start(count: number, stack: (thread: number) => number): void {
    while (this.#workers.length < count && !this.#forbidden) {
      let worker: WorkerHandle | null = null;
      try {
        worker = startWorker();
      } catch {
        this.#forbidden = true;
      }
      if (worker === null) return;
      const thread = this.#workers.length + 1;
      this.#workers.push(worker);
      worker.postMessage({
        kind: 'start',
        memory: this.#memory,
        runner: this.#runner,
        thread,
        stack: stack(thread),
        ready: SHARED.ready,
        failed: SHARED.failed,
        done: SHARED.done,
        drawn: SHARED.drawn + LINE * thread,
        system: SHARED.system + LINE * thread,
      });
      for (const message of this.#modules) worker.postMessage(message);
      worker.unref?.();
    }
  }

  /** Gives a module to all workers; `functions`: how long the function table is with it. */
  publish(module: WasmModule, functions: number): void {
    const message: WorkerMessage = { kind: 'module', module, functions };
    this.#modules.push(message);
    for (const worker of this.#workers) worker.postMessage(message);
    Atomics.add(this.#words, SHARED.version >> 2, 1);
    Atomics.add(this.#words, SHARED.sequence >> 2, 1);
    if (this.#workers.length > 0) Atomics.notify(this.#words, SHARED.sequence >> 2);
  }

  /** After a trap on the calling thread: draws what is left, undone, and waits for the pieces that are out. */
  abandon(): void {
    const words = this.#words;
    let left = 0;
    for (let thread = 0; thread < words[SHARED.job.threads >> 2]; thread++)
      left += Math.max(0, Atomics.exchange(words, (SHARED.remaining + LINE * thread) >> 2, 0));
    this.#finish(words[SHARED.job.pieces >> 2] - left - 1);
    this.failures();
  }

  /** Waits until all pieces of the launch are finished; returns how many were lost with the threads that had drawn them. */
  settle(): number {
    return this.#finish(this.#words[SHARED.job.pieces >> 2]);
  }

  #finish(pieces: number): number {
    const words = this.#words;
    const patient = words[SHARED.mayWait >> 2] !== 0;
    for (let lost = 0; ;) {
      const done = Atomics.load(words, SHARED.done >> 2);
      if (done + lost >= pieces) return lost;
      if (!patient) continue;
      Atomics.wait(words, SHARED.done >> 2, done, LOOK_MS);
      lost += this.#bury();
    }
  }

  /** Strikes out the workers that have died since the last look; returns how many had drawn a piece. While the caller waits, no event tells of them. */
  #bury(): number {
    const words = this.#words;
    let lost = 0;
    for (let thread = 1; thread <= this.#workers.length; thread++) {
      const system = (SHARED.system + LINE * thread) >> 2;
      const number = Atomics.load(words, system);
      if (number === 0 || (number !== ENDED && threadExists(number))) continue;
      Atomics.store(words, system, 0);
      Atomics.sub(words, SHARED.ready >> 2, 1);
      if (Atomics.exchange(words, (SHARED.drawn + LINE * thread) >> 2, 0) !== 0) lost++;
    }
    return lost;
  }

  /** How many kernels trapped on workers since the last question. */
  failures(): number {
    return this.#words[SHARED.failed >> 2] === 0 ? 0 : Atomics.exchange(this.#words, SHARED.failed >> 2, 0);
  }

  stop(): void {
    for (const worker of this.#workers) worker.terminate();
    this.#workers.length = 0;
    Atomics.store(this.#words, SHARED.ready >> 2, 0);
  }
}
