/**
 * The ceiling of work that streams weights: how fast memory can be read, in the kernel language, on one of our devices. How many streams a thread
 * should read at once, and how far ahead it should ask, differs between machines, so a few ways are tried and the fastest is measured.
 */
import { buildKernel } from '@proj/kernel';
import type { Device, Kernel, Program, Value } from '@proj/kernel';
import type { Prepared } from '../serve.ts';

const LINES = 8;
/** Bytes ahead that are asked for, and the cache that they shall come to; 0 leaves it to the processor. */
const WAYS = [
  { ahead: 0, cache: 1 },
  { ahead: 1024, cache: 1 },
  { ahead: 2048, cache: 1 },
  { ahead: 4096, cache: 1 },
  { ahead: 4096, cache: 2 },
  { ahead: 8192, cache: 2 },
  { ahead: 16_384, cache: 2 },
] as const;
type Way = (typeof WAYS)[number];
const MOST_AHEAD = Math.max(...WAYS.map(({ ahead }) => ahead));
const TRIALS = 3;

function readKernel(lanes: number, { ahead, cache }: Way): Kernel {
  return buildKernel(`read_peak_${ahead}_${cache}`, (b) => {
    const [source, out] = [b.buffer('source', 'i32'), b.buffer('out', 'i32', 'write')];
    const zeros: Value[] = Array.from({ length: LINES }, () => b.splat(b.constant(0, 'i32'), lanes));
    const sums = b.for(b.begin, b.end, lanes * LINES, zeros, (i, ...totals) =>
      totals.map((total, line) => {
        const at = b.add(i, line * lanes);
        if (ahead > 0) b.prefetch(source, b.add(at, ahead / 4), cache);
        return b.add(total, b.load(source, at, lanes));
      }),
    );
    b.store(
      out,
      b.mul(b.thread, lanes),
      sums.reduce((total, sum) => b.add(total, sum)),
    );
  });
}

/** Prepares the fastest of the ways to read `bytes` of memory once, with all threads. */
export function readPeak(device: Device, threads: number, bytes: number): Prepared {
  device.setThreads(threads);
  const lanes = device.features.vectorBytes / 4;
  const block = lanes * LINES;
  const items = Math.floor(bytes / 4 / block) * block;
  // The last blocks ask for bytes past the end: room for them, though a prefetch never faults.
  const source = device.allocate(items * 4 + MOST_AHEAD + 4 * block);
  const out = device.allocate(threads * lanes * 4);
  for (let at = 0; at < source.bytes; at += FILL.length)
    device.write(source, at, FILL.subarray(0, Math.min(FILL.length, source.bytes - at)));
  const compiled = device.compile(WAYS.map((way) => readKernel(lanes, way)));
  const ways = compiled.map((kernel) =>
    device.program(
      [
        {
          kernel,
          args: [
            { kind: 'buffer', binding: 0, offset: 0 },
            { kind: 'buffer', binding: 1, offset: 0 },
          ],
          begin: 0,
          end: items,
          grain: block,
          align: block,
        },
      ],
      2,
    ),
  );
  const buffers = [source, out];
  const timed = ways.map((program) => ({ program, ms: fastest(() => program.run(buffers, [])) }));
  const best = timed.reduce<{ program: Program; ms: number } | undefined>(
    (low, way) => (low === undefined || way.ms < low.ms ? way : low),
    undefined,
  );
  if (best === undefined) throw new RangeError('the device compiled nothing');
  return {
    run: () => best.program.run(buffers, []),
    detail: () => ({ ...WAYS[timed.findIndex(({ program }) => program === best.program)] }),
    dispose: () => {
      for (const program of ways) program.dispose();
      for (const buffer of buffers) buffer.dispose();
    },
  };
}

const FILL = new Uint8Array(8 << 20).fill(1);

function fastest(run: () => void): number {
  let least = Infinity;
  for (let trial = 0; trial <= TRIALS; trial++) {
    const began = performance.now();
    run();
    if (trial > 0) least = Math.min(least, performance.now() - began);
  }
  return least;
}
