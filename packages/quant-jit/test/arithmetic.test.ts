/** The float arithmetic of programs: near the functions that it stands for, and the same bits in kernels. */
import {
  attempt,
  buildKernel,
  type Device,
  type DeviceFeatures,
  getDevice,
  type KernelBuilder,
  type Value,
} from '@proj/kernel';
import { NativeDevice } from '@proj/device-native';
import { afterAll, describe, expect, it } from 'vitest';
import { exp, gelu, shortened, sineAndCosine, sumOf, tanh } from '../src/arithmetic.ts';
import * as kernels from '../src/kernels/arithmetic.ts';
import { Columns } from '../src/kernels/columns.ts';
import { gaussian } from './gaussian.ts';

const { fround } = Math;
/** The distance from a float to the next. */
const ulp = (x: number): number => 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(x)))) - 23);
const range = (lo: number, hi: number, count = 20_001): number[] =>
  Array.from({ length: count }, (_, i) => fround(lo + ((hi - lo) * i) / (count - 1)));

describe('near the functions', () => {
  it('exp is within 1.5 units in the last place from −87 to 88, and 0 below', () => {
    for (const x of range(-87, 88)) expect(Math.abs(exp(x) - Math.exp(x)) / ulp(Math.exp(x))).toBeLessThan(1.5);
    expect([exp(0), exp(-87.1), exp(-Infinity)]).toEqual([1, 0, 0]);
    expect(exp(1e9)).toBe(exp(88));
  });

  it('tanh is within 2 units in the last place', () => {
    for (const x of [...range(-12, 12), ...range(-1e-3, 1e-3)])
      if (x !== 0) expect(Math.abs(tanh(x) - Math.tanh(x)) / ulp(Math.tanh(x))).toBeLessThan(2);
  });

  it('gelu is within 1e-6 of its formula', () => {
    for (const x of range(-12, 12)) {
      const exact = 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
      expect(Math.abs(gelu(x) - exact)).toBeLessThan(1e-6);
    }
    expect(Math.abs(gelu(-100))).toBeLessThan(1e-30);
  });

  it('sine and cosine are the nearest floats', () => {
    for (const x of [...range(0, 10), ...range(0, 8192), ...range(0, 2 ** 20)])
      expect(sineAndCosine(x)).toEqual({ sin: fround(Math.sin(x)), cos: fround(Math.cos(x)) });
  });

  it('products of shortened floats with codes of 8 bits are exact', () => {
    for (const x of gaussian(2000, 3))
      for (const code of [-127, -77, 3, 127]) expect(fround(shortened(x) * code)).toBe(shortened(x) * code);
    expect(Math.abs(shortened(1.00001) - 1.00001)).toBeLessThanOrEqual(2 ** -17);
  });

  it('sums add what is 32 apart first, and then halves', () => {
    // 2^24 and 1 meet in the last addition of all unless they are 32 apart: 1 is then lost at once.
    const at = (entries: Record<number, number>): Float32Array =>
      Float32Array.from({ length: 64 }, (_, i) => entries[i] ?? 0);
    expect(sumOf(at({ 0: 2 ** 24, 32: 1, 33: 1 }))).toBe(2 ** 24);
    expect(sumOf(at({ 0: 2 ** 24, 1: 1, 33: 1 }))).toBe(2 ** 24 + 2);
  });
});

const LEVELS = ['avx512', 'avx2', 'baseline'].flatMap((level) => {
  const environment = { ...process.env, PROJ_CPU_FEATURES: level, PROJ_NUM_THREADS: '1' };
  const device = attempt(() => new NativeDevice({ environment }));
  return device.ok ? [[`native ${level}`, device.value] as const] : [];
});
const DEVICES: readonly (readonly [string, Device])[] = [
  ['js', getDevice('js')],
  ['wasm', getDevice('wasm')],
  ...LEVELS,
];
afterAll(() => {
  for (const [, device] of LEVELS) device.dispose();
});

/** Floats of all sizes, and the ends of each function. */
const INPUTS = Float32Array.from([
  ...gaussian(3000, 1),
  ...gaussian(3000, 2, 10),
  ...gaussian(1000, 3, 1e-6),
  ...range(-90, 90, 1000),
  0,
  -0,
  0.61,
  -0.61,
  -87,
  88,
  1e-39,
  -1e-39,
  1e30,
  -1e30,
  -Infinity,
]);

const FUNCTIONS: Record<string, readonly [(b: KernelBuilder, x: Value) => Value, (x: number) => number]> = {
  exp: [kernels.exp, exp],
  tanh: [kernels.tanh, tanh],
  gelu: [kernels.gelu, gelu],
  shortened: [kernels.shortened, shortened],
  sine: [(b, x) => kernels.sineAndCosine(b, b.abs(x)).sin, (x) => sineAndCosine(Math.abs(x)).sin],
  cosine: [(b, x) => kernels.sineAndCosine(b, b.abs(x)).cos, (x) => sineAndCosine(Math.abs(x)).cos],
};

const bits = (values: Float32Array): Int32Array => new Int32Array(values.buffer, values.byteOffset, values.length);

describe.each(DEVICES)('%s', (_, device) => {
  const { features } = device;
  /** Runs a kernel of x and out. */
  function run(
    x: Float32Array,
    outputs: number,
    body: (b: KernelBuilder, features: DeviceFeatures) => void,
  ): Float32Array {
    const kernel = buildKernel('test', (b) => body(b, features));
    const [compiled] = device.compile([kernel]);
    const buffers = [x.byteLength, 4 * outputs].map((bytes) => device.allocate(bytes));
    device.write(buffers[0], 0, new Uint8Array(x.buffer, x.byteOffset, x.byteLength));
    const args = buffers.map((__, binding) => ({ kind: 'buffer' as const, binding, offset: 0 }));
    const program = device.program([{ kernel: compiled, args, begin: 0, end: 1, grain: 1, align: 1 }], 2);
    program.run(buffers, []);
    const result = new Float32Array(device.read(buffers[1], 0, 4 * outputs).buffer);
    program.dispose();
    return result;
  }

  it.each(Object.keys(FUNCTIONS))('%s has the bits of its definition', (name) => {
    const [inKernel, defined] = FUNCTIONS[name];
    const inputs = name === 'sine' || name === 'cosine' ? INPUTS.filter((x) => Math.abs(x) <= 2 ** 20) : INPUTS;
    const lanes = Math.max(1, features.vectorBytes / 4);
    const padded = new Float32Array(Math.ceil(inputs.length / lanes) * lanes);
    padded.set(inputs);
    const got = run(padded, padded.length, (b) => {
      const x = b.buffer('x', 'f32');
      const out = b.buffer('out', 'f32', 'write');
      b.for(0, padded.length, lanes, [], (i) => b.store(out, i, inKernel(b, b.load(x, i, lanes))));
    });
    expect(bits(got)).toEqual(bits(padded.map(defined)));
  });

  it('sums of rows have the bits of their definition', () => {
    for (const columns of [1, 31, 33, 64, 100, 1000]) {
      const row = gaussian(columns, columns);
      const got = run(row, 1, (b) => {
        const x = b.buffer('x', 'f32');
        const out = b.buffer('out', 'f32', 'write');
        const of = new Columns(b, columns, Math.min(16, Math.max(1, features.vectorBytes / 4)));
        b.store(
          out,
          0,
          of.total((at, mask) => b.load(x, at, of.lanes, mask)),
        );
      });
      expect(got[0]).toBe(sumOf(row));
    }
  });
});
