/**
 * The ceiling of work that streams weights: how fast memory can be read, in the kernel language, on one of our devices. How many streams a thread
 * should read at once, and how far ahead it should ask, differs between machines, so a few ways are tried and the fastest is measured.
 */
import { buildKernel } from '@proj/kernel';
import type { Device, Kernel, Program, Value } from '@proj/kernel';
import type { Prepared } from '../serve.ts';

const LINES = 8;
/** Bytes ahead that are asked for; 0 leaves it to the processor. */
const AHEAD = [0, 1024, 2048, 4096, 16_384] as const;
const TRIALS = 3;

function readKernel(lanes: number, ahead: number): Kernel {
  return buildKernel(`read_peak_${ahead}`, (b) => {
    const [source, out] = [b.buffer('source', 'i32'), b.buffer('out', 'i32', 'write')];
    const zeros: Value[] = Array.from({ length: LINES }, () => b.splat(b.constant(0, 'i32'), lanes));
    const sums = b.for(b.begin, b.end, lanes * LINES, zeros, (i, ...totals) =>
      totals.map((total, line) => {
        const at = b.add(i, line * lanes);
        if (ahead > 0) b.prefetch(source, b.add(at, ahead / 4));
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
  const source = device.allocate(items * 4 + Math.max(...AHEAD) + 4 * block);
  const out = device.allocate(threads * lanes * 4);
  for (let at = 0; at < source.bytes; at += FILL.length)
    device.write(source, at, FILL.subarray(0, Math.min(FILL.length, source.bytes - at)));
  const compiled = device.compile(AHEAD.map((ahead) => readKernel(lanes, ahead)));
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
    detail: () => ({ ahead: AHEAD[timed.findIndex(({ program }) => program === best.program)] ?? 0 }),
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
