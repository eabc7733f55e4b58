/**
 * What the machine can do at most: rate of fused multiply-adds, bandwidth of reading and of copying. Written in the kernel language, so that
 * it runs on any synchronous device. Benchmarks relate their figures to these, taken in the same run.
 */
import {
  buildKernel,
  type CompiledKernel,
  type Device,
  type DeviceBuffer,
  type Kernel,
  type Launch,
  type Program,
  type Value,
} from '@proj/kernel';

/** Peaks, with 1 GFLOP = 10⁹ additions or multiplications and 1 GB = 10⁹ bytes. */
export interface Peaks {
  readonly gflops: number;
  /** Bytes read per second. */
  readonly readGBs: number;
  /** Bytes read plus bytes written per second. */
  readonly copyGBs: number;
}

export interface MeasureOptions {
  /** Bytes of the arrays; more than the caches hold for memory's bandwidth. Default 64 MiB. */
  readonly bytes?: number;
  /** Timed runs of each kind, of which the best counts. Default 15. */
  readonly runs?: number;
}

const ITERATIONS = 500_000;
const STREAMS = 8;

/** Independent chains that hide the latency of two units, within the registers there are. */
const chains = (registers: number): number => (registers >= 32 ? 24 : 12);

function arithmetic(lanes: number, accumulators: number): Kernel {
  return buildKernel('peak arithmetic', (b) => {
    const [seed, out] = [b.buffer('seed', 'f32'), b.buffer('out', 'f32', 'write')];
    const iterations = b.scalar('iterations', 'index');
    b.for(b.begin, b.end, 1, [], (item) => {
      const factor = b.load(seed, b.mul(item, lanes), lanes);
      const sums = b.for(
        0,
        iterations,
        1,
        Array.from({ length: accumulators }, (_, k) => b.load(seed, b.mul(b.add(item, k), lanes), lanes)),
        (_, ...chain) => chain.map((sum) => b.mulAdd(sum, factor, factor)),
      );
      b.store(
        out,
        b.mul(item, lanes),
        sums.reduce((total, sum) => b.add(total, sum)),
      );
    });
  });
}

function read(lanes: number): Kernel {
  return buildKernel('peak read', (b) => {
    const [source, out] = [b.buffer('source', 'i32'), b.buffer('out', 'i32', 'write')];
    const first = b.begin;
    const zeros: Value[] = Array.from({ length: STREAMS }, () => b.splat(b.constant(0, 'i32'), lanes));
    const sums = b.for(first, b.end, lanes * STREAMS, zeros, (i, ...totals) =>
      totals.map((total, k) => b.add(total, b.load(source, b.add(i, k * lanes), lanes))),
    );
    b.store(
      out,
      b.mul(b.thread, lanes),
      sums.reduce((total, sum) => b.add(total, sum)),
    );
  });
}

function copy(lanes: number): Kernel {
  return buildKernel('peak copy', (b) => {
    const [source, target] = [b.buffer('source', 'i32'), b.buffer('target', 'i32', 'write')];
    b.for(b.begin, b.end, lanes * 2, [], (i) => {
      for (let k = 0; k < 2; k++) b.store(target, b.add(i, k * lanes), b.load(source, b.add(i, k * lanes), lanes));
    });
  });
}

function best(program: Program, buffers: readonly DeviceBuffer[], scalars: readonly number[], runs: number): number {
  let least = Infinity;
  for (let run = 0; run <= runs; run++) {
    const started = performance.now();
    program.run(buffers, scalars);
    if (run > 0) least = Math.min(least, performance.now() - started);
  }
  return least / 1000;
}

/** Measures `device` with the threads it is set to. Takes about a second. */
export function measurePeaks(device: Device, { bytes = 64 << 20, runs = 15 }: MeasureOptions = {}): Peaks {
  const { vectorBytes, vectorRegisters, threads } = device.features;
  const lanes = vectorBytes / 4;
  const accumulators = chains(vectorRegisters);
  const block = lanes * STREAMS;
  const items = Math.floor(bytes / 4 / block) * block;
  const [fma, reader, copier] = device.compile([arithmetic(lanes, accumulators), read(lanes), copy(lanes)]);
  if (fma === undefined || reader === undefined || copier === undefined)
    throw new TypeError('compile gives a kernel for each kernel');
  const small = device.allocate((threads + accumulators) * vectorBytes);
  const large = [device.allocate(items * 4), device.allocate(items * 4)] as const;
  for (const buffer of large) device.write(buffer, 0, new Uint8Array(buffer.bytes).fill(1));
  device.write(small, 0, new Uint8Array(small.bytes));
  const buffers = [small, ...large];
  const launch = (
    kernel: CompiledKernel,
    bindings: readonly number[],
    end: number,
    grain: number,
    align: number,
    scalars: number,
  ): Launch => ({
    kernel,
    args: [
      ...bindings.map((binding) => ({ kind: 'buffer', binding, offset: 0 }) as const),
      ...Array.from({ length: scalars }, (_, scalar) => ({ kind: 'scalar', scalar }) as const),
    ],
    begin: 0,
    end,
    grain,
    align,
  });
  const program = (one: Launch): Program => device.program([one], buffers.length);
  const seconds = {
    arithmetic: best(program(launch(fma, [0, 0], threads, 1, 1, 1)), buffers, [ITERATIONS], runs),
    read: best(program(launch(reader, [1, 0], items, block, block, 0)), buffers, [], runs),
    copy: best(program(launch(copier, [1, 2], items, block, block, 0)), buffers, [], runs),
  };
  for (const buffer of buffers) buffer.dispose();
  return {
    gflops: (2 * ITERATIONS * accumulators * lanes * threads) / seconds.arithmetic / 1e9,
    readGBs: (items * 4) / seconds.read / 1e9,
    copyGBs: (2 * items * 4) / seconds.copy / 1e9,
  };
}
