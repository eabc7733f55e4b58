/**
 * The runner: the WebAssembly module that executes a program, and the state that it shares with the worker threads.
 *
 * A program is a table of records of 32 bytes {function, args, begin, end, grain, align}. A launch that is large enough is cut into
 * pieces; threads draw pieces from the counter `remaining`, downwards, so that one atomic instruction decides both whether there is a
 * piece and which; what else describes the job cannot change while a piece is out, because the job ends only when `done` has counted all.
 * Also on one thread a long launch runs in pieces: code that the engine has optimised in the meantime is entered at the next one.
 */
import { encodeModule, FunctionBody, I32 } from '../targets/wasm-bytes.ts';
import { ARITHMETIC, ATOMIC, COMPARE, DROP, INTEGER, LOAD, STORE } from '../targets/wasm-opcodes.ts';

/** Addresses of the shared state; what is written often has cache lines of its own. */
export const SHARED = {
  /** Counts jobs; sleeping workers wait on it. */
  sequence: 1024,
  /** Pieces that nobody has drawn. */
  remaining: 1088,
  /** Pieces that are finished; the caller waits on it. */
  done: 1152,
  /** Workers that sleep. */
  sleeping: 1216,
  job: { function: 1280, args: 1284, begin: 1288, end: 1292, piece: 1296, pieces: 1300 },
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
} as const;

/** Main thread's locals begin here, the pool of buffers after them. */
export const STACK_START = 65536;
/** Locals of a kernel, each padded to 64 bytes. */
export const STACK_BYTES = 320 * 1024;
export const RECORD_BYTES = 32;

// About 20 µs of looking before a thread sleeps.
const SPINS = 8000;

const KERNEL_TYPE = 0;
const TAKE = 0;

export interface RunnerExports {
  /** Executes `count` records at `table`. */
  run(table: number, count: number): void;
  /** A worker's life: returns 0 when newer modules were published, else the number of a drawn piece whose function it does not have. */
  work(thread: number, version: number, functions: number): number;
  /** Runs the piece of that number. */
  piece(thread: number, ticket: number): void;
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
      { type: 1, body: runBody(), name: 'run' },
    ],
    sharedMemory,
    tableStart: -1,
    stack: false,
  });
}

const load = (c: FunctionBody, address: number): FunctionBody => c.i32(0).memory(LOAD.i32, 2, address);
const atomicLoad = (c: FunctionBody, address: number): FunctionBody => c.i32(0).memory(ATOMIC.load, 2, address);

/** take(thread, functions): draws and runs pieces. */
function takeBody(): FunctionBody {
  const [thread, functions] = [0, 1];
  const c = new FunctionBody(2);
  const ticket = c.local(I32);
  c.block().loop();
  atomicLoad(c, SHARED.remaining).i32(0).op(COMPARE.le.i32).branchIf(1);
  c.i32(0).i32(1).memory(ATOMIC.sub, 2, SHARED.remaining).tee(ticket).i32(0).op(COMPARE.le.i32).branchIf(1);
  load(c, SHARED.job.function).get(functions).op(COMPARE.ge.i32).if().get(ticket).return().end();
  c.get(thread).get(ticket).call(TAKE + 1);
  c.branch(0).end().end().i32(0);
  return c;
}

/** piece(thread, ticket): runs a piece and counts it. */
function pieceBody(): FunctionBody {
  const [thread, ticket] = [0, 1];
  const c = new FunctionBody(2);
  const begin = c.local(I32);
  const end = c.local(I32);
  load(c, SHARED.job.begin);
  load(c, SHARED.job.pieces).get(ticket).op(ARITHMETIC.sub.i32);
  load(c, SHARED.job.piece).op(ARITHMETIC.mul.i32).op(ARITHMETIC.add.i32).tee(begin);
  load(c, SHARED.job.piece).op(ARITHMETIC.add.i32).set(end);
  minimum(c, end, () => load(c, SHARED.job.end));
  load(c, SHARED.job.args).get(begin).get(end).get(thread);
  load(c, SHARED.job.function).callIndirect(KERNEL_TYPE);
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
  const spins = c.local(I32);
  const sequence = c.local(I32);
  const held = c.local(I32);
  const leaveWhenOld = (): void => {
    atomicLoad(c, SHARED.version).get(version).op(COMPARE.ne.i32).if().i32(0).return().end();
  };
  const available = (): void => {
    atomicLoad(c, SHARED.remaining).i32(0).op(COMPARE.gt.i32);
    c.get(thread);
    load(c, SHARED.threads).op(COMPARE.lt.i32).op(INTEGER.and.i32);
  };
  c.loop();
  {
    c.i32(SPINS).set(spins);
    c.loop();
    {
      leaveWhenOld();
      available();
      c.if().get(thread).get(functions).call(TAKE).tee(held).if().get(held).return().end().i32(SPINS).set(spins).end();
      c.get(spins).i32(1).op(ARITHMETIC.sub.i32).tee(spins).branchIf(0);
    }
    c.end();
    // Whoever publishes raises the sequence last: what came after this reading makes the wait return at once.
    atomicLoad(c, SHARED.sequence).set(sequence);
    leaveWhenOld();
    available();
    c.branchIf(0);
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
  const [last, begin, end, range, parts, piece, pieces, spins, seen] = Array.from({ length: 9 }, () => c.local(I32));
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
        c.i32(0).i32(0).memory(ATOMIC.store, 2, SHARED.done);
        c.i32(0).get(pieces).memory(ATOMIC.store, 2, SHARED.remaining);
        c.i32(0).i32(1).memory(ATOMIC.add, 2, SHARED.sequence).op(DROP);
        atomicLoad(c, SHARED.sleeping).i32(0).op(COMPARE.gt.i32).if().i32(0).i32(-1).memory(ATOMIC.notify, 2, SHARED.sequence).op(DROP).end();
        c.i32(0).i32(0x7fffffff).call(TAKE).op(DROP);
        c.i32(SPINS).set(spins);
        c.block().loop();
        {
          atomicLoad(c, SHARED.done).tee(seen).get(pieces).op(COMPARE.eq.i32).branchIf(1);
          c.get(spins).i32(1).op(ARITHMETIC.sub.i32).tee(spins).i32(0).op(COMPARE.gt.i32).branchIf(0);
          load(c, SHARED.mayWait).if().i32(0).get(seen).i64(-1n).memory(ATOMIC.wait32, 2, SHARED.done).op(DROP).end();
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
  c.branch(0).end().end();
  return c;
}

