/**
 * "Zero-second" as this package defines it, measured: the example of ten tokens of 512 floats times a weight [128, 512], compiled once (reported apart), then
 * called again and again. A warm call shall take less than a millisecond at its median, allocate nothing and pack nothing; beside it, the best fp32 kernel
 * that this machine has for the same product. `node --conditions=source packages/quant-jit/bench/zero-second.ts [device …]`
 */
import '@proj/device-native';
import { type Device, getDevice, setDefaultDevice } from '@proj/kernel';
import { compile, matmul, fromArray } from '@proj/tensor';
import { buildLinear, constantsFrom, type NativeCodeILNN, optimise } from '../src/il/index.ts';
import { CompiledNativeILNN, compileWithConstants, packWeights } from '../src/jit/index.ts';
import { type ActivationScheme, ACTIVATIONS, quantize, type SchemeName } from '../src/quantize/index.ts';

const [TOKENS, COLUMNS, ROWS] = [10, 512, 128] as const;
const CALLS = 400;

/** Median, and the least, of the times of `call`, in milliseconds. */
function measure(call: () => void): { readonly median: number; readonly least: number } {
  for (let i = 0; i < 50; i++) call();
  const times = Array.from({ length: CALLS }, () => {
    const start = performance.now();
    call();
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return { median: times[CALLS >> 1], least: times[0] };
}

const wave = (count: number, step: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(step * i * i));
const weights = wave(ROWS * COLUMNS, 0.37);
const input = wave(TOKENS * COLUMNS, 0.11);

const example = (scheme: SchemeName, activation?: ActivationScheme): NativeCodeILNN => {
  const il = buildLinear(activation === undefined ? { scheme } : { scheme, activation });
  return il.with(optimise(il.program));
};
const sourceOf = (scheme: SchemeName): ReturnType<typeof constantsFrom> =>
  scheme === 'f32'
    ? constantsFrom({ matrices: new Map(), floats: new Map([['weight', weights]]) })
    : constantsFrom({ matrices: new Map([['weight', quantize(weights, ROWS, COLUMNS, scheme)]]), floats: new Map() });

/** The faster of this package's f32 product and the tensor library's. */
function bestFloat(device: Device): number {
  const il = example('f32');
  const model = new CompiledNativeILNN(il, {
    device,
    weights: packWeights(device, il, sourceOf('f32')),
    maxTokens: 16,
  });
  const own = measure(() => model.call(input)).median;
  model.dispose();
  setDefaultDevice(device);
  const x = fromArray(input, [TOKENS, COLUMNS]);
  const w = fromArray(weights, [ROWS, COLUMNS]).transpose(0, 1).contiguous();
  const product = compile(() => matmul(x, w));
  const library = measure(() => void product().toTypedArray()).median;
  return Math.min(own, library);
}

const names = process.argv.length > 2 ? process.argv.slice(2) : ['native', 'wasm', 'js'];
for (const name of names) {
  const device = getDevice(name);
  const float = bestFloat(device);
  console.log(`${name}: ${device.features.description}`);
  console.log(`  best f32 kernel            ${float.toFixed(4)} ms`);
  for (const scheme of ['q8', 'q4g32', 'q158', 'q1'] as const)
    for (const activation of ACTIVATIONS[scheme]) {
      const il = example(scheme, activation);
      const source = sourceOf(scheme);
      const usual = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 });
      const constant = compileWithConstants(il, source, device, 16);
      const [a, b] = [usual, constant].map((model) => {
        model.prepare();
        const { compileMs } = model.report;
        const times = measure(() => model.call(input));
        model.dispose();
        return { compileMs, ...times };
      });
      console.log(
        `  ${`${scheme} x ${activation}`.padEnd(14)} memory: p50 ${a.median.toFixed(4)} ms, ${(float / a.median).toFixed(2)} x f32, compiled in ${a.compileMs.toFixed(1)} ms; ` +
          `constants: p50 ${b.median.toFixed(4)} ms, ${(float / b.median).toFixed(2)} x f32, compiled in ${b.compileMs.toFixed(1)} ms`,
      );
    }
}
process.exit(0);
