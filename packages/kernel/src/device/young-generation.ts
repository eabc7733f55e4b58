/**
 * Keeps what V8 has not yet collected at one size. A step of training makes a few hundred kilobytes of short-lived nodes; what happens to be alive
 * at each collection adds up, and whenever the sum passes the size of the young generation V8 doubles it, to 128 MB and more in a loop that
 * never needs them. It also learns early on, while plans are made, that some literals live long, and puts those into the old generation ever
 * after, where each of them keeps a dead graph alive. So it goes to 8 MiB at once, stays there, and puts nothing into the old
 * generation untried. And it leaves the freeing of dead array buffers to another thread, which may come to it only after as much again was allocated
 * (the resident size of a loop then swings by a fifth and more): they are freed when they are found. And it marks what is alive while the program
 * runs on: whatever dies meanwhile goes to the old generation with the rest, buffers and all, and stays until the next such collection, which
 * may never come: so it marks at once, which takes a few milliseconds for as small a heap as tensors need. These are settings of the whole process:
 * none is made where the process was started with its own, or where `PROJ_HEAP=engine` leaves the heap to the engine.
 */

/** Bytes of both halves: some twenty steps of a small network. */
const WANTED_BYTES = 16 * 2 ** 20;

/** The first version of V8 that may be told to mark at once: that of Node 24. */
const MARKS_AT_ONCE = 13;

type Engine = Pick<typeof import('node:v8'), 'setFlagsFromString' | 'getHeapSpaceStatistics'>;

let engine: Engine | null | undefined;

function findEngine(): Engine | null {
  const { process } = globalThis;
  if (process?.versions?.['v8'] === undefined || process.env['PROJ_HEAP'] === 'engine') return null;
  if (
    /semi.space|pretenuring|array.buffer.sweeping|incremental.marking/.test(
      [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' '),
    )
  )
    return null;
  return process.getBuiltinModule?.('node:v8') ?? null;
}

/** To be called now and then: V8 also shrinks the young generation, after a pause or a collection of everything. */
export function steadyYoungGeneration(): void {
  if (engine === null) return;
  if (engine === undefined) {
    engine = findEngine();
    engine?.setFlagsFromString('--no-allocation-site-pretenuring');
    engine?.setFlagsFromString('--no-concurrent-array-buffer-sweeping');
    // V8 of Node 22 ends the process where both of these change while a heap is at work.
    if (Number.parseInt(globalThis.process?.versions?.['v8'] ?? '', 10) >= MARKS_AT_ONCE)
      engine?.setFlagsFromString('--no-incremental-marking');
  }
  const size = engine?.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size;
  if (engine === null || size === undefined) return;
  const factor = Math.max(1, Math.floor(WANTED_BYTES / size));
  // Each time: V8 of Node 22 puts it back to 2 for all heaps of the process where a thread gets one of its own.
  engine.setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}
