/** What a launch costs: serial, split over threads while they are awake, and after they have slept. `node --conditions=source bench/fork-join.ts` */
import { buildKernel, type Launch } from '@proj/kernel';
import { NativeDevice } from '../src/index.ts';

const device = new NativeDevice();
const [kernel] = device.compile([
  buildKernel('store', (b) => b.store(b.buffer('y', 'f32', 'write'), b.mul(b.thread, 64), b.constant(1, 'f32'))),
]);
if (kernel === undefined) throw new Error('nothing compiled');
const y = device.allocate(1 << 16);
const launch: Launch = {
  kernel,
  args: [{ kind: 'buffer', binding: 0, offset: 0 }],
  begin: 0,
  end: 1024,
  grain: 1,
  align: 1,
};
const pause = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const median = (times: number[]): string => (times.sort((a, b) => a - b)[times.length >> 1] ?? 0).toFixed(2);
for (const threads of [1, 2]) {
  device.setThreads(threads);
  for (const count of [1, 10, 100]) {
    const program = device.program(
      Array.from({ length: count }, () => launch),
      1,
    );
    const sample = (rest: number, repeats: number): string =>
      median(
        Array.from({ length: repeats }, () => {
          if (rest > 0) pause(rest);
          const started = performance.now();
          program.run([y], []);
          return ((performance.now() - started) * 1000) / count;
        }),
      );
    console.log(
      `${threads} threads, ${count} launches a program: ${sample(0, 2000)} µs a launch awake, ${sample(5, 60)} µs after 5 ms of rest`,
    );
  }
}
