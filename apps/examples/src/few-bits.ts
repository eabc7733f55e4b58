// A product of ten tokens and a weight [128, 512] at 8, 4, 1.58 and 1 bits, compiled with its weights in the code.
import '@proj/device-native';
import { defaultDevice } from '@proj/kernel';
import { buildLinear, constantsFrom, optimise } from '@proj/quant-jit/il';
import { compileWithConstants } from '@proj/quant-jit/jit';
import { relativeMeanSquaredError } from '@proj/quant-jit/metrics';
import { quantize } from '@proj/quant-jit/quantize';
import { manualSeed, matmul, randn } from '@proj/tensor';

manualSeed(0);
const [x, w] = [randn([10, 512]), randn([128, 512])];
const exact = matmul(x, w.transpose(0, 1)).toTypedArray() as Float32Array;
const [input, weights] = [x.toTypedArray() as Float32Array, w.toTypedArray() as Float32Array];

for (const [scheme, activation] of [
  ['q8', 'a8'],
  ['q4g32', 'a8'],
  ['q158', 'a8'],
  ['q1', 'a8'],
  ['q1', 'a1'],
] as const) {
  const source = constantsFrom({
    matrices: new Map([['weight', quantize(weights, 128, 512, scheme)]]),
    floats: new Map(),
  });
  const program = buildLinear({ scheme, activation });
  const model = compileWithConstants(program.with(optimise(program.program)), source, defaultDevice(), 16);
  const [output] = model.call(input);
  console.log(`${scheme} x ${activation}: ${relativeMeanSquaredError(output, exact).toPrecision(2)}`);
  model.dispose();
}
