/**
 * Code quality and compile time of LLVM's pass pipelines on the innermost tile of a packed matrix product and on an elementwise chain:
 * `node --conditions=source bench/gemm-tile.ts`.
 */
import { buildKernel, type Kernel, type Value } from '@proj/kernel';
import { addressOf, functionAt } from '../src/ffi.ts';
import {
  cpuTarget,
  findLlvm,
  hostCpu,
  LlvmLibrary,
  loadObjects,
  measurePeaks,
  NativeDevice,
  renderLlvm,
} from '../src/index.ts';

const cpu = cpuTarget(
  hostCpu(() => ''),
  process.env['PROJ_CPU_FEATURES'],
);
const llvm = findLlvm();
if (llvm.found === undefined) throw new Error(llvm.reason);
const library = new LlvmLibrary(llvm.found.path);
const lanes = cpu.f32Lanes;
const [rows, columns] = cpu.registers === 32 ? [6, 4] : [6, 2];
const depth = 512;
const panels = 16;

/** C[rows × columns·lanes] += A panel × B panel, for each of `panels` row panels. */
function tile(unroll: number): Kernel {
  return buildKernel(`tile${unroll}`, (b) => {
    const [a, p, c] = [b.buffer('a', 'f32'), b.buffer('b', 'f32'), b.buffer('c', 'f32', 'readwrite')];
    b.for(b.begin, b.end, 1, [], (panel) => {
      const aBase = b.mul(panel, rows * depth);
      const cBase = b.mul(panel, rows * columns * lanes);
      const start = Array.from({ length: rows * columns }, (_, t) => b.load(c, b.add(cBase, t * lanes), lanes));
      const end = b.for(0, depth, unroll, start, (k, ...sums) => {
        let current: Value[] = sums;
        for (let u = 0; u < unroll; u++) {
          const bs = Array.from({ length: columns }, (_, j) =>
            b.load(p, b.add(b.mul(k, columns * lanes), (u * columns + j) * lanes), lanes),
          );
          current = current.map((sum, t) =>
            b.mulAdd(
              b.splat(b.load(a, b.add(aBase, b.add(b.mul(k, rows), u * rows + Math.floor(t / columns)))), lanes),
              bs[t % columns] ?? sum,
              sum,
            ),
          );
        }
        return current;
      });
      end.forEach((sum, t) => b.store(c, b.add(cBase, t * lanes), sum));
    });
  });
}

const pipelines: readonly (readonly [string, 0 | 1 | 2 | 3])[] = [
  ['', 3],
  ['function(early-cse)', 3],
  ['function(early-cse)', 2],
  ['function(early-cse)', 1],
  ['function(early-cse,simplifycfg)', 3],
  ['function(early-cse,instcombine,simplifycfg)', 3],
  ['default<O2>', 3],
];
const device = new NativeDevice({ environment: { ...process.env, PROJ_NUM_THREADS: '1', PROJ_CACHE: 'off' } });
const peak = measurePeaks(device);
console.log(
  `${cpu.level}, peak ${peak.gflops.toFixed(0)} GFLOP/s, read ${peak.readGBs.toFixed(1)} GB/s, copy ${peak.copyGBs.toFixed(1)} GB/s`,
);
const a = new Float32Array(rows * depth * panels + 64).fill(0.001);
const p = new Float32Array(depth * columns * lanes + 64).fill(0.5);
const c = new Float32Array(rows * columns * lanes * panels + 64);
const align = (array: Float32Array): bigint => (BigInt(addressOf(array)) + 63n) & ~63n;
const args = new BigUint64Array(16);
args.set([align(a), align(p), align(c)]);
if (process.argv[2] === 'asm')
  console.log(
    library.assembly(renderLlvm(tile(2), cpu), { cpu, passes: 'function(early-cse,simplifycfg)', optLevel: 3 }),
  );
for (const unroll of [1, 2, 4]) {
  const text = renderLlvm(tile(unroll), cpu);
  for (const [passes, optLevel] of pipelines) {
    const times = { parse: 0, passes: 0, generate: 0 };
    const [object] = library.compile([text], { cpu, passes, optLevel }, times);
    if (object === undefined) continue;
    const code = loadObjects([object]);
    const run = functionAt<(args: BigUint64Array, begin: number, end: number, thread: number) => void>(
      code.symbols[0]?.get('kernel') ?? 0,
      'void',
      ['void *', 'int64_t', 'int64_t', 'int64_t'],
    );
    let least = Infinity;
    for (let i = 0; i < 60; i++) {
      const started = performance.now();
      for (let r = 0; r < 5; r++) run(args, 0, panels, 0);
      least = Math.min(least, (performance.now() - started) / 5);
    }
    const gflops = (2 * rows * columns * lanes * depth * panels) / least / 1e6;
    const total = times.parse + times.passes + times.generate;
    console.log(
      `unroll ${unroll}  ${`${passes} at ${optLevel}`.padEnd(64)} ${gflops.toFixed(0).padStart(4)} GFLOP/s ${(gflops / peak.gflops).toFixed(2)} of peak; compile ${total.toFixed(1)} ms (parse ${times.parse.toFixed(1)}, passes ${times.passes.toFixed(1)}, code ${times.generate.toFixed(1)})`,
    );
    code.dispose();
  }
}
