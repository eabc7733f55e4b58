/** Weights as constants of the compiled code: the same results, and the weights are there to be seen. */
import { attempt, type Device, getDevice, type Kernel, printKernel, renderWasm } from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import { afterAll, describe, expect, it } from 'vitest';
import { buildLinear, constantsFrom, type ConstantSource, type NativeCodeILNN, optimise } from '../src/il/index.ts';
import {
  CompiledNativeILNN,
  compileWithConstants,
  embedWeights,
  MAX_EMBEDDED_BYTES,
  packWeights,
} from '../src/jit/index.ts';
import { constantLinearKernel } from '../src/kernels/index.ts';
import {
  type ActivationScheme,
  ACTIVATIONS,
  packedLayout,
  packMatrix,
  quantize,
  type SchemeName,
  SCHEMES,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';
import { randomProgram } from './il-programs.ts';

const native = attempt(() => new NativeDevice({ environment: { ...process.env, PROJ_NUM_THREADS: '2' } }));
const DEVICES: readonly (readonly [string, Device])[] = [
  ['js', getDevice('js')],
  ['wasm', getDevice('wasm')],
  ...(native.ok ? [['native', native.value] as const] : []),
];
afterAll(() => {
  if (native.ok) native.value.dispose();
});

const QUANTISED = (Object.keys(SCHEMES) as SchemeName[]).filter((name) => name !== 'f32');
const floats = gaussian(128 * 512, 3, 0.15);
const input = gaussian(10 * 512, 77, 1);

const sourceOf = (scheme: SchemeName): ConstantSource =>
  scheme === 'f32'
    ? constantsFrom({ matrices: new Map(), floats: new Map([['weight', floats]]) })
    : constantsFrom({ matrices: new Map([['weight', quantize(floats, 128, 512, scheme)]]), floats: new Map() });
const fusedExample = (scheme: SchemeName, activation?: ActivationScheme): NativeCodeILNN => {
  const il = buildLinear(activation === undefined ? { scheme } : { scheme, activation });
  return il.with(optimise(il.program));
};

describe('the example with its weights in the code', () => {
  for (const scheme of [...QUANTISED, 'f32'] as const)
    for (const activation of scheme === 'f32' ? [undefined] : ACTIVATIONS[scheme as 'q8'])
      it(`${scheme}${activation === undefined ? '' : ` x ${activation}`} gives what weights in memory give`, () => {
        const il = buildLinear(activation === undefined ? { scheme } : { scheme, activation });
        const source = sourceOf(scheme);
        const sums = il.program.instructions.find(({ op }) => op === 'int_dot' || op === 'xnor_dot')?.results[0].name;
        for (const [name, device] of DEVICES)
          for (const program of [il, il.with(optimise(il.program))]) {
            const usual = new CompiledNativeILNN(program, {
              device,
              weights: packWeights(device, program, source),
              maxTokens: 16,
            });
            const constant = compileWithConstants(program, source, device, 16);
            expect(constant.call(input), name).toEqual(usual.call(input));
            if (program === il && sums !== undefined)
              expect(constant.integers(sums, 10), name).toEqual(usual.integers(sums, 10));
            // A step of one token has code of its own.
            expect(constant.call(input.subarray(0, 512)), name).toEqual(usual.call(input.subarray(0, 512)));
            usual.dispose();
            constant.dispose();
          }
      });

  it('takes no device memory for weights, and has no parameter for them', () => {
    for (const [name, device] of DEVICES) {
      const il = fusedExample('q8');
      const source = sourceOf('q8');
      const start = device.memory().used;
      const usual = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 1 });
      const between = device.memory().used;
      const constant = compileWithConstants(il, source, device, 1);
      const saved = between - start - (device.memory().used - between);
      // WebAssembly keeps what belongs to the code in its memory too.
      if (name !== 'wasm') expect(saved, name).toBeGreaterThanOrEqual(128 * 512);
      const parameters = ({ kernels }: CompiledNativeILNN): string[] =>
        kernels.flatMap((kernel) =>
          kernel.parameters.flatMap((p) => (p.kind === 'buffer' && p.access === 'read' ? [p.name] : [])),
        );
      expect(parameters(usual)).toEqual(expect.arrayContaining(['codes', 'scales']));
      for (const parameter of ['codes', 'scales']) expect(parameters(constant), name).not.toContain(parameter);
      usual.dispose();
      constant.dispose();
    }
  });
});

it('every operation can have its weights in the code', () => {
  for (let seed = 1; seed <= 6; seed++) {
    const { model, source, inputs } = randomProgram(seed);
    for (const [name, device] of DEVICES)
      for (const il of [model, model.with(optimise(model.program))]) {
        const usual = new CompiledNativeILNN(il, { device, weights: packWeights(device, il, source), maxTokens: 16 });
        const constant = compileWithConstants(il, source, device, 16);
        for (const values of inputs) expect(constant.call(values), `seed ${seed}, ${name}`).toEqual(usual.call(values));
        usual.dispose();
        constant.dispose();
      }
  }
});

it('a program with more weights than code should have is refused, with figures', () => {
  const il = buildLinear({ scheme: 'q8', rows: 2048, columns: 1024 });
  expect(() => embedWeights(il, sourceOf('q8'))).toThrow(
    `program "linear" has 2105344 bytes of weights, at most ${MAX_EMBEDDED_BYTES} can be constants of its code`,
  );
});

// What the code looks like

const hexadecimal = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The contents of the byte strings of LLVM's text. */
const byteStrings = (text: string): Uint8Array[] =>
  [...text.matchAll(/c"((?:[^"\\]|\\\\|\\[0-9A-F]{2})*)"/g)].map(([, body]) =>
    Uint8Array.from(
      [...body.matchAll(/\\([0-9A-F]{2})|\\(\\)|([^\\])/g)].map(([, code, backslash, plain]) =>
        code === undefined ? (backslash ?? plain).charCodeAt(0) : parseInt(code, 16),
      ),
    ),
  );

/** The innermost loops of assembly: from a label to the jump back to it, with no other such jump in between. */
function innermostLoops(assembly: string): string[] {
  const lines = assembly.split('\n');
  const labels = new Map<string, number>();
  const loops: { readonly from: number; readonly to: number }[] = [];
  lines.forEach((line, i) => {
    const label = /^(\.?\w+):/.exec(line)?.[1];
    if (label !== undefined) labels.set(label, i);
    const target = /^\s+(?:j\w+|b\.\w+|cbn?z\s+\w+,|tbn?z.*,)\s*(\.?\w+)\s*$/.exec(line)?.[1];
    const from = target === undefined ? undefined : labels.get(target);
    if (from !== undefined) loops.push({ from, to: i });
  });
  return loops
    .filter(({ from, to }) => !loops.some((other) => other.from >= from && other.to < to))
    .map(({ from, to }) => lines.slice(from, to + 1).join('\n'));
}

const kernelOf = (scheme: SchemeName, activation: ActivationScheme, device: Device, tile: number): Kernel => {
  const shape = {
    scheme: SCHEMES[scheme],
    activation,
    rows: 128,
    columns: 512,
    tile,
    counted: tile > 1,
    tileSize: 256,
  };
  return constantLinearKernel(
    `example ${scheme}`,
    shape,
    packMatrix(quantize(floats, 128, 512, scheme)),
    device.features,
  );
};

describe('the code of the example', () => {
  it('has the weights: printed, as JavaScript takes it, and in the module of WebAssembly', () => {
    for (const scheme of QUANTISED) {
      const packed = packMatrix(quantize(floats, 128, 512, scheme));
      const { scales, minimums } = packedLayout(SCHEMES[scheme], 128, 512);
      const [device] = [getDevice('wasm')];
      const kernel = kernelOf(scheme, ACTIVATIONS[scheme as 'q8'][0], device, 1);
      const text = printKernel(kernel);
      expect(text.includes(`constant codes0: u8[${scales}] = ${hexadecimal(packed.subarray(0, scales))}\n`)).toBe(true);
      expect(text.includes(` = ${hexadecimal(packed.subarray(scales, minimums))}\n`)).toBe(true);
      expect(kernel.parameters.map(({ name }) => name)).not.toContain('codes');
      const features = { relaxed: false, fused: false, exactDot: false };
      const module = renderWasm([kernel], { features, sharedMemory: true, tableStart: 0, constantsStart: 1 << 20 });
      expect(Buffer.from(module).includes(Buffer.from(packed))).toBe(true);
    }
  });

  const integerOnly: readonly (readonly [SchemeName, ActivationScheme])[] = [
    ['q8', 'a8'],
    ['q158', 'a8'],
    ['q1', 'a8'],
    ['q1', 'a1'],
  ];
  describe.skipIf(!native.ok)('native', () => {
    const device = native.ok ? native.value : null;
    for (const [scheme, activation] of integerOnly)
      for (const tile of [1, 8])
        it(`${scheme} x ${activation}, ${tile} tokens: weights in the IR, integers alone in the inner loop`, () => {
          if (device === null) return;
          const packed = packMatrix(quantize(floats, 128, 512, scheme));
          const { scales, minimums } = packedLayout(SCHEMES[scheme], 128, 512);
          const { ir, assembly } = device.inspect(kernelOf(scheme, activation, device, tile));
          const strings = byteStrings(ir);
          const has = (bytes: Uint8Array): boolean => strings.some((string) => Buffer.compare(string, bytes) === 0);
          expect([has(packed.subarray(0, scales)), has(packed.subarray(scales, minimums))]).toEqual([true, true]);
          expect(ir).toMatch(/load .*@constant\.0|getelementptr .*@constant\.0/);
          expect(assembly).toMatch(new RegExp(`\\.size\\s+\\.?L?constant\\.0, ${scales}`));
          // The weights are what the inner loops read beside activations; floats come after them.
          const loops = innermostLoops(assembly);
          const products = loops.filter((loop) => /vpopcnt|popcnt|vpdpbusd|pmaddwd|pmaddubsw|cnt\t|dot\t/.test(loop));
          expect(products.length).toBeGreaterThan(0);
          for (const loop of products) expect(loop).not.toMatch(/mul[ps][sd]|fmadd|fmla|fmul/);
          const { featureString } = device.cpu;
          if (activation === 'a1' && featureString.includes('+avx512vpopcntdq'))
            expect(products[0]).toMatch(/vpopcntd/);
          if (activation === 'a8' && featureString.includes('+avx512vnni')) expect(products[0]).toMatch(/vpdpbusd/);
        });
  });
});
