/**
 * The ceiling of matrix products: independent chains of fused multiply-adds on registers, in the kernel language, on one of our devices. The
 * rate that a product reaches is reported as a share of this, measured in the same run.
 */
import { buildKernel } from '@proj/kernel';
import type { Device, Value } from '@proj/kernel';
import type { Prepared } from '../serve.ts';

/** More than latency (4 cycles) times two units; less than the registers of any target. */
const CHAINS = 12;
const ITERATIONS = 20_000;
const UNROLL = 4;

/** Prepares the kernel on `device`, one item for each thread. */
export function fmaPeak(device: Device, threads: number): Prepared {
  device.setThreads(threads);
  const lanes = Math.max(1, device.features.vectorBytes / 4);
  const kernel = buildKernel('fma_peak', (b) => {
    const out = b.buffer('out', 'f32', 'write');
    const factor = b.splat(b.scalar('factor', 'f32'), lanes);
    const term = b.splat(b.scalar('term', 'f32'), lanes);
    b.for(b.begin, b.end, 1, [], (item) => {
      const initial = Array.from({ length: CHAINS }, (_, i) => b.constant(i, term.type));
      const step = (value: Value): Value => b.mulAdd(value, factor, term);
      const sums = b.for(0, ITERATIONS, 1, initial, (_, ...carried) => {
        let values: Value[] = carried;
        for (let i = 0; i < UNROLL; i++) values = values.map(step);
        return values;
      });
      b.store(
        out,
        b.mul(item, lanes),
        sums.reduce((a, c) => b.add(a, c)),
      );
    });
  });
  const [compiled] = device.compile([kernel]);
  if (compiled === undefined) throw new RangeError('the device compiled nothing');
  const buffer = device.allocate(4 * lanes * threads);
  const program = device.program(
    [
      {
        kernel: compiled,
        args: [
          { kind: 'buffer', binding: 0, offset: 0 },
          { kind: 'constant', value: 0.5 },
          { kind: 'constant', value: 0.25 },
        ],
        begin: 0,
        end: threads,
        grain: 1,
        align: 1,
      },
    ],
    1,
  );
  return {
    run: () => program.run([buffer], []),
    // The chains converge to term / (1 - factor) = 0.5 each.
    output: () => new Float32Array(device.read(buffer, 0, 4 * lanes * threads).buffer).map((sum) => sum / CHAINS),
    detail: () => ({ flops: 2 * lanes * CHAINS * ITERATIONS * UNROLL * threads }),
    dispose: () => {
      program.dispose();
      buffer.dispose();
    },
  };
}
