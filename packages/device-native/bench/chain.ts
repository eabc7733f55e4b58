/** What LLVM's pass pipelines make of transcendental functions of the kernel language: `node --conditions=source bench/chain.ts`. */
import { buildKernel, math, vectorLoop, type KernelBuilder, type Value } from '@proj/kernel';
import { addressOf, functionAt } from '../src/ffi.ts';
import { cpuTarget, findLlvm, hostCpu, LlvmLibrary, loadObjects, renderLlvm } from '../src/index.ts';

const cpu = cpuTarget(
  hostCpu(() => ''),
  process.env['PROJ_CPU_FEATURES'],
);
const llvm = findLlvm();
if (llvm.found === undefined) throw new Error(llvm.reason);
const library = new LlvmLibrary(llvm.found.path);
const functions: Record<string, (b: KernelBuilder, x: Value) => Value> = {
  exp: math.exp,
  log: math.log,
  tanh: math.tanh,
  sin: math.sin,
  erf: math.erf,
  gelu: (b, x) => b.mul(b.mul(x, 0.5), b.add(math.erf(b, b.mul(x, Math.SQRT1_2)), 1)),
};
const pipelines = ['', 'function(early-cse,simplifycfg)', 'function(early-cse,instcombine,simplifycfg)', 'default<O2>'];
const n = 8192;
const [x, y] = [new Float32Array(n + 16).map((_, i) => (i % 200) / 20 + 0.1), new Float32Array(n + 16)];
const args = new BigUint64Array(16);
args.set([x, y].map((array) => (BigInt(addressOf(array)) + 63n) & ~63n));
for (const [name, f] of Object.entries(functions)) {
  const kernel = buildKernel(name, (b) => {
    const [from, to] = [b.buffer('x', 'f32'), b.buffer('y', 'f32', 'write')];
    vectorLoop(b, b.begin, b.end, cpu.f32Lanes, (i, lanes) => b.store(to, i, f(b, b.load(from, i, lanes))));
  });
  const text = renderLlvm(kernel, cpu);
  for (const passes of pipelines) {
    const times = { parse: 0, passes: 0, generate: 0 };
    let total = Infinity;
    let object: Uint8Array | undefined;
    for (let i = 0; i < 5; i++) {
      const started = performance.now();
      [object] = library.compile([text], { cpu, passes, optLevel: 3 }, times);
      total = Math.min(total, performance.now() - started);
    }
    if (object === undefined) continue;
    const code = loadObjects([object]);
    const run = functionAt<(args: BigUint64Array, begin: number, end: number, thread: number) => void>(
      code.symbols[0]?.get('kernel') ?? 0,
      'void',
      ['void *', 'int64_t', 'int64_t', 'int64_t'],
    );
    let least = Infinity;
    for (let i = 0; i < 300; i++) {
      const started = performance.now();
      for (let r = 0; r < 10; r++) run(args, 0, n, 0);
      least = Math.min(least, (performance.now() - started) / 10);
    }
    console.log(
      `${name.padEnd(5)} ${passes.padEnd(46)} ${((least * 1e6) / n).toFixed(3)} ns an element; compile ${total.toFixed(1)} ms`,
    );
    code.dispose();
  }
}
