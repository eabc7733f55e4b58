/**
 * The runner: the WebAssembly module that executes a program, and the state that it shares with the worker threads.
 *
 * A program is a table of records of 32 bytes {function, args, begin, end, grain, align}. A launch that is large enough is cut into
 * pieces. Each thread has a share of them at home, so that data stays in its core's cache, and a counter of those that are left; who has
 * none left draws from the others. A piece is drawn by one atomic subtraction; what else describes the job cannot change while a piece
 * is out, because the job ends only when `done` has counted all.
 * Also on one thread a new kernel runs in pieces: code that the engine has optimised in the meantime is entered at the next one.
 */
import { encodeModule, FunctionBody, I32 } from '../targets/wasm-bytes.ts';
import { ARITHMETIC, ATOMIC, COMPARE, DROP, INTEGER, LOAD, STORE } from '../targets/wasm-opcodes.ts';

/** Addresses of the shared state; what is written often has cache lines of its own. */
export const SHARED = {
  /** Counts jobs; sleeping workers wait on it. */
  sequence: 1024,
  /** Pieces that are finished; the caller waits on it. */
  done: 1152,
  /** Workers that sleep. */
  sleeping: 1216,
  job: { function: 1280, args: 1284, begin: 1288, end: 1292, piece: 1296, pieces: 1300, threads: 1304 },
  /** Modules that were published to the workers. */
  version: 1344,
  /** Workers that run. */
  ready: 1348,
  /** Threads that may take part, the caller included. */
  threads: 1352,
  /** Most pieces of a launch. */
  maxPieces: 1356,
  /** Whether the caller may sleep: not on the main thread of a browser. */
  mayWait: 1360,
  /** Kernels that trapped on a worker. */
  failed: 1364,
  /** For each thread the pieces of its share that nobody has drawn, a cache line apart. */
  remaining: 2048,
  /** In the same line: 1 + the piece that the thread has drawn and not finished, or 0. */
  drawn: 2052,
  /** In the same line: the system's number of the thread, `ENDED` when it has ended, 0 when nothing is known. */
  system: 2056,
} as const;

/** What `SHARED.system` says of a thread that has ended. */
export const ENDED = -1;

export const MAX_THREADS = 256;
/** Bytes between what belongs to one thread and to the next. */
export const LINE = 64;

/** Main thread's locals begin here, the pool of buffers after them. */
export const STACK_START = 65536;
/** Locals of a kernel, each padded to 64 bytes. */
export const STACK_BYTES = 320 * 1024;
export const RECORD_BYTES = 32;

// About 20 µs of looking before a thread sleeps.
const SPINS = 8000;
/** After so long without news the caller looks whether its workers are alive, in nanoseconds. */
const PATIENCE = 500_000_000n;

/** What a wait returns when its time is over. */
const TIMED_OUT = 2;

const KERNEL_TYPE = 0;
const TAKE = 0;

export interface RunnerExports {
  /** Executes `count` records at `table`; returns 0, or the records left, counting the one whose pieces it has waited for in vain so far. */
  run(table: number, count: number): number;
  /** A worker's life: returns 0 when newer modules were published, else 1 + a drawn piece whose function it does not have. */
  work(thread: number, version: number, functions: number): number;
  /** Runs the piece before that number. */
  piece(thread: number, number: number): void;
  /** Draws pieces until there is none; see `work`. */
  take(thread: number, functions: number): number;
}

export function encodeRunner(sharedMemory: boolean): Uint8Array<ArrayBuffer> {
  return encodeModule({
    types: [
      { parameters: [I32, I32, I32, I32], results: [] },
      { parameters: [I32, I32], results: [] },
      { parameters: [I32, I32], results: [I32] },
      { parameters: [I32, I32, I32], results: [I32] },
    ],
    functions: [
      { type: 2, body: takeBody(), name: 'take' },
      { type: 1, body: pieceBody(), name: 'piece' },
      { type: 3, body: workBody(), name: 'work' },
      { type: 2, body: runBody(), name: 'run' },
    ],
    sharedMemory,
    tableStart: -1,
    stack: false,
  });
}

const load = (c: FunctionBody, address: number): FunctionBody => c.i32(0).memory(LOAD.i32, 2, address);
const atomicLoad = (c: FunctionBody, address: number): FunctionBody => c.i32(0).memory(ATOMIC.load, 2, address);

const threadLine = (c: FunctionBody, thread: number): FunctionBody => c.get(thread).i32(LINE).op(ARITHMETIC.mul.i32);

/** Pushes the first piece of a thread's share. */
function pushShare(c: FunctionBody, home: number, plus: number): void {
  c.get(home);
  if (plus !== 0) c.i32(plus).op(ARITHMETIC.add.i32);
  load(c, SHARED.job.pieces).op(ARITHMETIC.mul.i32);
  load(c, SHARED.job.threads).op(INTEGER.divUnsigned.i32);
}

/** take(thread, functions): draws and runs pieces, first those of the own share. Returns 1 + the piece that it drew but cannot run. */
function takeBody(): FunctionBody {
  const [thread, functions] = [0, 1];
  const c = new FunctionBody(2);
  const [home, left, drawn] = [c.local(I32), c.local(I32), c.local(I32)];
  load(c, SHARED.job.threads).set(left);
  c.get(thread).set(home);
  c.block().loop();
  c.get(left).i32(0).op(COMPARE.le.i32).branchIf(1);
  c.get(home);
  load(c, SHARED.job.threads).op(COMPARE.ge.i32).if().i32(0).set(home).end();
  {
    const counter = (): FunctionBody => threadLine(c, home);
    c.block().loop();
    counter().memory(ATOMIC.load, 2, SHARED.remaining).i32(0).op(COMPARE.le.i32).branchIf(1);
    counter().i32(1).memory(ATOMIC.sub, 2, SHARED.remaining).tee(drawn).i32(0).op(COMPARE.le.i32).branchIf(1);
    pushShare(c, home, 0);
    c.get(drawn).op(ARITHMETIC.add.i32).set(drawn);
    threadLine(c, thread).get(drawn).memory(STORE.i32, 2, SHARED.drawn);
    load(c, SHARED.job.function).get(functions).op(COMPARE.ge.i32).if().get(drawn).return().end();
    c.get(thread)
      .get(drawn)
      .call(TAKE + 1);
    c.branch(0).end().end();
  }
  c.get(home).i32(1).op(ARITHMETIC.add.i32).set(home);
  c.get(left).i32(1).op(ARITHMETIC.sub.i32).set(left);
  c.branch(0).end().end().i32(0);
  return c;
}

/** piece(thread, number): runs the piece before that number and counts it. */
function pieceBody(): FunctionBody {
  const [thread, number] = [0, 1];
  const c = new FunctionBody(2);
  const begin = c.local(I32);
  const end = c.local(I32);
  load(c, SHARED.job.begin);
  c.get(number).i32(1).op(ARITHMETIC.sub.i32);
  load(c, SHARED.job.piece).op(ARITHMETIC.mul.i32).op(ARITHMETIC.add.i32).tee(begin);
  load(c, SHARED.job.piece).op(ARITHMETIC.add.i32).set(end);
  minimum(c, end, () => load(c, SHARED.job.end));
  load(c, SHARED.job.args).get(begin).get(end).get(thread);
  load(c, SHARED.job.function).callIndirect(KERNEL_TYPE);
  threadLine(c, thread).i32(0).memory(STORE.i32, 2, SHARED.drawn);
  c.i32(0).i32(1).memory(ATOMIC.add, 2, SHARED.done).i32(1).op(ARITHMETIC.add.i32);
  load(c, SHARED.job.pieces).op(COMPARE.eq.i32).if().i32(0).i32(1).memory(ATOMIC.notify, 2, SHARED.done).op(DROP).end();
  return c;
}

/** `local = min(local, other)`. */
function minimum(c: FunctionBody, local: number, other: () => void): void {
  c.get(local);
  other();
  c.op(COMPARE.gt.i32).if();
  other();
  c.set(local).end();
}

/** work(thread, version, functions) */
function workBody(): FunctionBody {
  const [thread, version, functions] = [0, 1, 2];
  const c = new FunctionBody(3);
  const [spins, sequence, held] = [c.local(I32), c.local(I32), c.local(I32)];
  c.loop();
  {
    // Whoever publishes raises the sequence last, so what comes after this reading is not slept through.
    atomicLoad(c, SHARED.sequence).set(sequence);
    atomicLoad(c, SHARED.version).get(version).op(COMPARE.ne.i32).if().i32(0).return().end();
    c.get(thread);
    load(c, SHARED.threads).op(COMPARE.lt.i32).if();
    c.get(thread).get(functions).call(TAKE).tee(held).if().get(held).return().end();
    c.end();
    c.i32(SPINS).set(spins);
    c.loop();
    {
      atomicLoad(c, SHARED.sequence).get(sequence).op(COMPARE.ne.i32).branchIf(1);
      c.get(spins).i32(1).op(ARITHMETIC.sub.i32).tee(spins).branchIf(0);
    }
    c.end();
    c.i32(0).i32(1).memory(ATOMIC.add, 2, SHARED.sleeping).op(DROP);
    c.i32(0).get(sequence).i64(-1n).memory(ATOMIC.wait32, 2, SHARED.sequence).op(DROP);
    c.i32(0).i32(1).memory(ATOMIC.sub, 2, SHARED.sleeping).op(DROP);
    c.branch(0);
  }
  c.end().i32(0);
  return c;
}

/** run(table, count) */
function runBody(): FunctionBody {
  const [record, count] = [0, 1];
  const c = new FunctionBody(2);
  const [last, begin, end, range, parts, piece, pieces, spins, seen, home] = Array.from({ length: 10 }, () =>
    c.local(I32),
  );
  const field = (offset: number): FunctionBody => c.get(record).memory(LOAD.i32, 2, offset);
  const setJob = (address: number, value: () => void): void => {
    c.i32(0);
    value();
    c.memory(STORE.i32, 2, address);
  };
  const divideUp = (value: number, divisor: () => void): void => {
    c.get(value);
    divisor();
    c.op(ARITHMETIC.add.i32).i32(1).op(ARITHMETIC.sub.i32);
    divisor();
    c.op(INTEGER.divUnsigned.i32);
  };
  c.get(record).get(count).i32(RECORD_BYTES).op(ARITHMETIC.mul.i32).op(ARITHMETIC.add.i32).set(last);
  c.block().loop();
  c.get(record).get(last).op(COMPARE.eq.i32).branchIf(1);
  field(8).set(begin);
  field(12).tee(end).get(begin).op(ARITHMETIC.sub.i32).tee(range).i32(0).op(COMPARE.gt.i32).if();
  {
    c.get(range);
    field(16).op(INTEGER.divUnsigned.i32).set(parts);
    minimum(c, parts, () => load(c, SHARED.maxPieces));
    c.get(parts).i32(1).op(COMPARE.le.i32).if();
    {
      field(4).get(begin).get(end).i32(0);
      field(0).callIndirect(KERNEL_TYPE);
    }
    c.else();
    {
      divideUp(range, () => c.get(parts));
      c.set(piece);
      divideUp(piece, () => field(20));
      field(20).op(ARITHMETIC.mul.i32).set(piece);
      divideUp(range, () => c.get(piece));
      c.set(pieces);
      load(c, SHARED.threads).i32(1).op(COMPARE.gt.i32);
      atomicLoad(c, SHARED.ready).i32(0).op(COMPARE.gt.i32).op(INTEGER.and.i32).if();
      {
        setJob(SHARED.job.function, () => field(0));
        setJob(SHARED.job.args, () => field(4));
        setJob(SHARED.job.begin, () => c.get(begin));
        setJob(SHARED.job.end, () => c.get(end));
        setJob(SHARED.job.piece, () => c.get(piece));
        setJob(SHARED.job.pieces, () => c.get(pieces));
        setJob(SHARED.job.threads, () => load(c, SHARED.threads));
        c.i32(0).i32(0).memory(ATOMIC.store, 2, SHARED.done);
        c.i32(0).set(home);
        c.loop();
        c.get(home).i32(LINE).op(ARITHMETIC.mul.i32);
        pushShare(c, home, 1);
        pushShare(c, home, 0);
        c.op(ARITHMETIC.sub.i32).memory(ATOMIC.store, 2, SHARED.remaining);
        c.get(home).i32(1).op(ARITHMETIC.add.i32).tee(home);
        load(c, SHARED.threads).op(COMPARE.lt.i32).branchIf(0);
        c.end();
        c.i32(0).i32(1).memory(ATOMIC.add, 2, SHARED.sequence).op(DROP);
        atomicLoad(c, SHARED.sleeping)
          .i32(0)
          .op(COMPARE.gt.i32)
          .if()
          .i32(0)
          .i32(-1)
          .memory(ATOMIC.notify, 2, SHARED.sequence)
          .op(DROP)
          .end();
        c.i32(0).i32(0x7fffffff).call(TAKE).op(DROP);
        c.i32(SPINS).set(spins);
        c.block().loop();
        {
          atomicLoad(c, SHARED.done).tee(seen).get(pieces).op(COMPARE.eq.i32).branchIf(1);
          c.get(spins).i32(1).op(ARITHMETIC.sub.i32).tee(spins).i32(0).op(COMPARE.gt.i32).branchIf(0);
          load(c, SHARED.mayWait).if();
          c.i32(0).get(seen).i64(PATIENCE).memory(ATOMIC.wait32, 2, SHARED.done).i32(TIMED_OUT).op(COMPARE.eq.i32).if();
          c.get(last).get(record).op(ARITHMETIC.sub.i32).i32(RECORD_BYTES).op(INTEGER.divUnsigned.i32).return();
          c.end().end();
          c.branch(0);
        }
        c.end().end();
      }
      c.else();
      {
        c.loop();
        c.get(begin).get(piece).op(ARITHMETIC.add.i32).set(seen);
        minimum(c, seen, () => c.get(end));
        field(4).get(begin).get(seen).i32(0);
        field(0).callIndirect(KERNEL_TYPE);
        c.get(seen).tee(begin).get(end).op(COMPARE.lt.i32).branchIf(0);
        c.end();
      }
      c.end();
    }
    c.end();
  }
  c.end();
  c.get(record).i32(RECORD_BYTES).op(ARITHMETIC.add.i32).set(record);
  c.branch(0).end().end().i32(0);
  return c;
}
