/**
 * memcpy of the C library, the yardstick of memory bandwidth: `libc.ts THREADS`. Each thread copies its share; they wait for each other by
 * spinning, which costs nothing beside a copy of megabytes.
 */
import koffi from 'koffi';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { serve } from '../serve.ts';

/** Slots of the shared control block: the round under way, how many are done with it, and which job. */
const ROUND = 0;
const DONE = 1;

interface Share {
  readonly control: SharedArrayBuffer;
  readonly target: bigint;
  readonly source: bigint;
  readonly bytes: number;
}

function loadCopy(): (target: bigint, source: bigint, bytes: number) => void {
  return koffi
    .load(process.platform === 'darwin' ? 'libSystem.B.dylib' : 'libc.so.6')
    .func('void *memcpy(void *, void *, size_t)');
}

if (isMainThread) {
  const threads = Number(process.argv[2]);
  await serve(() => {
    const copy = loadCopy();
    const library = koffi.load(process.platform === 'darwin' ? 'libSystem.B.dylib' : 'libc.so.6');
    const allocate = library.func('uintptr_t malloc(size_t)');
    const release = library.func('void free(void *)');
    const fill = library.func('void *memset(void *, int, size_t)');
    return {
      version:
        process.platform === 'darwin'
          ? 'libSystem'
          : `glibc ${String(library.func('const char *gnu_get_libc_version()')())}`,
      async prepare(spec) {
        if (spec.kind !== 'memcpy') throw new RangeError(`libc has no '${spec.kind}'`);
        const [target, source] = [
          BigInt(allocate(spec.bytes) as number | bigint),
          BigInt(allocate(spec.bytes) as number | bigint),
        ];
        fill(target, 1, spec.bytes);
        fill(source, 2, spec.bytes);
        const control = new SharedArrayBuffer(64);
        const state = new Int32Array(control);
        const bytes = Math.ceil(spec.bytes / threads / 4096) * 4096;
        const share = (i: number): Share => ({
          control,
          target: target + BigInt(i * bytes),
          source: source + BigInt(i * bytes),
          bytes: Math.min(bytes, spec.bytes - i * bytes),
        });
        const workers = Array.from(
          { length: threads - 1 },
          (_, i) => new Worker(new URL(import.meta.url), { workerData: share(i + 1) }),
        );
        await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('online', resolve))));
        const mine = share(0);
        let round = 0;
        return {
          run() {
            Atomics.store(state, DONE, 0);
            Atomics.store(state, ROUND, ++round);
            Atomics.notify(state, ROUND);
            copy(mine.target, mine.source, mine.bytes);
            while (Atomics.load(state, DONE) < workers.length);
          },
          dispose() {
            Atomics.store(state, ROUND, -1);
            Atomics.notify(state, ROUND);
            void Promise.all(workers.map((worker) => worker.terminate())).then(() => {
              release(target);
              release(source);
            });
          },
        };
      },
    };
  });
} else {
  const { control, target, source, bytes } = workerData as Share;
  const copy = loadCopy();
  const state = new Int32Array(control);
  for (let seen = 0; ;) {
    for (let spins = 0; spins < 20_000 && Atomics.load(state, ROUND) === seen; spins++);
    Atomics.wait(state, ROUND, seen);
    seen = Atomics.load(state, ROUND);
    if (seen < 0) break;
    copy(target, source, bytes);
    Atomics.add(state, DONE, 1);
  }
}
