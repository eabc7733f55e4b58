/** Warm calls of the example: nothing is allocated, packed or compiled, and compilation is timed apart. */
import { attempt, type Device, getDevice } from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import { afterAll, describe, expect, it } from 'vitest';
import { buildLinear, constantsFrom, optimise } from '../src/il/index.ts';
import { CompiledNativeILNN, compileWithConstants, packWeights } from '../src/jit/index.ts';
import { quantize } from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const native = attempt(() => new NativeDevice());
const DEVICES: readonly (readonly [string, Device])[] = [
  ['js', getDevice('js')],
  ['wasm', getDevice('wasm')],
  ...(native.ok ? [['native', native.value] as const] : []),
];
afterAll(() => {
  if (native.ok) native.value.dispose();
});

/** A device that writes down what is asked of it. */
function listening(device: Device): { readonly device: Device; readonly heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    device: {
      name: device.name,
      features: device.features,
      allocate: (bytes) => (heard.push(`allocate ${bytes}`), device.allocate(bytes)),
      write: (buffer, offset, data) => (heard.push(`write ${data.length}`), device.write(buffer, offset, data)),
      read: (buffer, offset, bytes) => (heard.push(`read ${bytes}`), device.read(buffer, offset, bytes)),
      compile: (kernels) => (heard.push('compile'), device.compile(kernels)),
      program: (launches, bindings) => (heard.push('program'), device.program(launches, bindings)),
      setThreads: (threads) => device.setThreads(threads),
      memory: () => device.memory(),
      dispose: () => {},
    },
  };
}

const input = gaussian(10 * 512, 7, 1);

describe.each(DEVICES)('zero seconds on %s', (name, real) => {
  for (const scheme of ['q8', 'q4g32', 'q158', 'q1'] as const)
    for (const where of ['memory', 'the code'] as const)
      it(`${scheme}, weights in ${where}: a warm call writes its input and reads its output`, () => {
        const { device, heard } = listening(real);
        const base = buildLinear({ scheme });
        const il = base.with(optimise(base.program));
        const matrices = new Map([['weight', quantize(gaussian(128 * 512, 3, 0.15), 128, 512, scheme)]]);
        const source = constantsFrom({ matrices, floats: new Map() });
        const model =
          where === 'memory'
            ? new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 })
            : compileWithConstants(il, source, device, 16);
        model.prepare();
        expect(heard).toContain('compile');
        const { compileMs } = model.report;
        expect(compileMs).toBeGreaterThan(0);
        const [first] = model.call(input);
        heard.length = 0;
        const used = real.memory().used;
        let least = Infinity;
        const calls = name === 'js' ? 3 : 100;
        for (let i = 0; i < calls; i++) {
          const start = performance.now();
          const [output] = model.call(input);
          least = Math.min(least, performance.now() - start);
          if (i === 0) expect(output).toEqual(first);
        }
        // The input, the control blocks of 16 tokens and of the last, the results.
        expect(heard).toEqual(Array.from({ length: calls }, () => ['write 20480', 'write 320', 'read 5120']).flat());
        expect(real.memory().used).toBe(used);
        expect(model.report.compileMs).toBe(compileMs);
        if (name !== 'js') expect(least).toBeLessThan(1);
        model.dispose();
      });
});

it('another input gives another output: nothing is remembered', () => {
  const device = getDevice('wasm');
  const il = buildLinear({ scheme: 'q8' });
  const matrices = new Map([['weight', quantize(gaussian(128 * 512, 3, 0.15), 128, 512, 'q8')]]);
  const model = compileWithConstants(il, constantsFrom({ matrices, floats: new Map() }), device, 16);
  const [first] = model.call(input);
  const [negated] = model.call(input.map((x) => -x));
  expect(negated).toEqual(first.map((x) => -x));
  // Rows of another type of array, and views that begin in the middle, are the same rows.
  const [again] = model.call(Array.from(input));
  expect(again).toEqual(first);
  const [view] = model.call(Float32Array.from([9, ...input]).subarray(1));
  expect(view).toEqual(first);
  model.dispose();
});
