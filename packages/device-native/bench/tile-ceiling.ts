/**
 * What a matrix product can reach at most: register tiles alone, over and over, with random operands in the first-level cache, for long enough
 * that the processor has chosen its clock, against multiply-adds on registers. Processors with 512-bit vectors run slower the more they load.
 * `node --conditions=source bench/tile-ceiling.ts [threads]`
 */
import { buildKernel, type DeviceBuffer, type Kernel, type Value } from '@proj/kernel';
import { NativeDevice } from '../src/index.ts';

const DEPTH = 128;
const UNROLL = 4;
const CHAINS = 12;
const SETTLE_MS = 60;
const TIMED_MS = 100;
const TURNS = 7;
/** Rows and vectors of columns. */
const TILES: readonly (readonly [number, number])[] = [
  [6, 4],
  [8, 3],
  [12, 2],
  [16, 1],
];

const threads = Number(process.argv[2] ?? 1);
const device = new NativeDevice();
device.setThreads(threads);
const { f32Lanes: lanes, registers } = device.cpu;

/** Multiply-adds that load nothing: one item is `DEPTH * UNROLL` steps of each chain. */
const registersOnly = buildKernel('registers', (b) => {
  const [a, c] = [b.buffer('a', 'f32'), b.buffer('c', 'f32', 'write')];
  const [factor, term] = [b.load(a, 0, lanes), b.load(a, lanes, lanes)];
  b.for(b.begin, b.end, 1, [], () => {
    const zeros: Value[] = Array.from({ length: CHAINS }, (_, i) => b.splat(b.constant(i, 'f32'), lanes));
    const sums = b.for(0, DEPTH, 1, zeros, (_, ...chains) => {
      let current: Value[] = chains;
      for (let u = 0; u < UNROLL; u++) current = current.map((sum) => b.mulAdd(sum, factor, term));
      return current;
    });
    b.store(
      c,
      b.mul(b.thread, lanes),
      sums.reduce((total, sum) => b.add(total, sum)),
    );
  });
});

/** One item is a tile: sums are loaded, all of the depth is added, sums are stored. */
const tile = (rows: number, vectors: number): Kernel =>
  buildKernel(`tile ${rows} ${vectors}`, (b) => {
    const [a, p, c] = [b.buffer('a', 'f32'), b.buffer('b', 'f32'), b.buffer('c', 'f32', 'readwrite')];
    const own = b.mul(b.thread, rows * vectors * lanes);
    b.for(b.begin, b.end, 1, [], () => {
      const start = Array.from({ length: rows * vectors }, (_, t) => b.load(c, b.add(own, t * lanes), lanes));
      const end = b.for(0, DEPTH, UNROLL, start, (k, ...sums) => {
        let current: Value[] = sums;
        for (let u = 0; u < UNROLL; u++) {
          const right = Array.from({ length: vectors }, (_, v) =>
            b.load(p, b.add(b.mul(k, vectors * lanes), (u * vectors + v) * lanes), lanes),
          );
          current = current.map((sum, t) => {
            const element = b.load(a, b.add(b.mul(k, rows), u * rows + Math.floor(t / vectors)));
            return b.mulAdd(b.splat(element, lanes), right[t % vectors] ?? sum, sum);
          });
        }
        return current;
      });
      end.forEach((sum, t) => b.store(c, b.add(own, t * lanes), sum));
    });
  });

function randomBuffer(elements: number): DeviceBuffer {
  const buffer = device.allocate(elements * 4);
  const numbers = Float32Array.from({ length: elements }, () => Math.random() - 0.5);
  device.write(buffer, 0, new Uint8Array(numbers.buffer));
  return buffer;
}

const buffers = [randomBuffer(16 * DEPTH), randomBuffer(4 * lanes * DEPTH), randomBuffer(threads * 32 * lanes)];

/** Runs `kernel` until the clock has settled, then for a while: GFLOP/s. */
function preparedRate(kernel: Kernel, flopsOfItem: number): () => number {
  const items = threads * Math.ceil(2e7 / flopsOfItem);
  const [compiled] = device.compile([kernel]);
  if (compiled === undefined) throw new TypeError('compile gives a kernel for each kernel');
  const args = (kernel.parameters.length === 2 ? [0, 2] : [0, 1, 2]).map(
    (binding) => ({ kind: 'buffer', binding, offset: 0 }) as const,
  );
  const program = device.program([{ kernel: compiled, args, begin: 0, end: items, grain: 1, align: 1 }], 3);
  const runFor = (ms: number): number => {
    const started = performance.now();
    let runs = 0;
    let elapsed = 0;
    while (elapsed < ms) {
      program.run(buffers, []);
      runs++;
      elapsed = performance.now() - started;
    }
    return (runs * items * flopsOfItem) / elapsed / 1e6;
  };
  return () => {
    runFor(SETTLE_MS);
    return runFor(TIMED_MS);
  };
}

const median = (values: readonly number[]): number =>
  values.toSorted((x, y) => x - y)[values.length >> 1] ?? Number.NaN;

const cases = [
  { name: 'registers only', rate: preparedRate(registersOnly, 2 * lanes * CHAINS * UNROLL * DEPTH), loads: 0 },
  ...TILES.filter(([rows, vectors]) => rows * vectors + vectors + 1 < registers).map(([rows, vectors]) => ({
    name: `tile ${rows} × ${vectors * lanes}`,
    rate: preparedRate(tile(rows, vectors), 2 * lanes * rows * vectors * DEPTH),
    loads: (rows + vectors) / (rows * vectors),
  })),
].map((one) => ({ ...one, rates: [] as number[] }));
for (let turn = 0; turn < TURNS; turn++) for (const one of cases) one.rates.push(one.rate());
const peak = median(cases[0]?.rates ?? []);
console.log(`${device.features.description}; medians of ${TURNS} turns of ${TIMED_MS} ms`);
for (const { name, rates, loads } of cases) {
  const rate = median(rates);
  console.log(
    `${name.padEnd(16)} ${rate.toFixed(0).padStart(5)} GFLOP/s  ${(rate / peak).toFixed(2)} of registers only  (${loads.toFixed(2)} loads for each multiply-add)`,
  );
}
device.dispose();
