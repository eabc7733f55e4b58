/** Tiles: what builds and verifies, and what `tileDot` gives on the devices without tile registers, against sums of plain loops. */
import { describe, expect, it } from 'vitest';
import {
  buildKernel,
  getDevice,
  JsDevice,
  type Kernel,
  type KernelBuilder,
  lowerTiles,
  type ScalarType,
  valueType,
  verifyKernel,
} from '../src/index.ts';
import { runOn } from './cross-device.ts';

const STEPS = 3;

/** sums += left · right over three tiles of each. */
const product = (sums: 'f32' | 'i32', left: ScalarType, right: ScalarType): Kernel =>
  buildKernel('product', (b) => {
    const [x, y] = [b.buffer('x', left), b.buffer('y', right)];
    const z = b.buffer('z', sums, 'readwrite');
    const lanes = sums === 'f32' ? 512 : 1024;
    const [total] = b.for(0, STEPS, 1, [b.load(z, 0, 256)], (k, acc) => [
      b.tileDot(acc, b.load(x, b.mul(k, lanes), lanes), b.load(y, b.mul(k, lanes), lanes)),
    ]);
    b.store(z, 0, total);
  });

/** Element (i, k) of the left tile and (k, j) of the right one, which holds `group` depths of a column side by side. */
const expected = (
  group: number,
  left: (at: number) => number,
  right: (at: number) => number,
  start: (at: number) => number,
): number[] =>
  Array.from({ length: 256 }, (_, at) => {
    const [i, j] = [Math.floor(at / 16), at % 16];
    const depth = 16 * group;
    let sum = start(at);
    for (let step = 0; step < STEPS; step++)
      for (let k = 0; k < depth; k++)
        sum +=
          left(step * 16 * depth + i * depth + k) *
          right(step * 16 * depth + Math.floor(k / group) * 16 * group + j * group + (k % group));
    return sum;
  });

const bytes = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
/** Numbers that are exact in bfloat16: all sums are exact. */
const exact = (seed: number) => (at: number) => (((at * 37 + seed) % 61) - 30) / 4;
const bfloats = (count: number, of: (at: number) => number): Uint16Array =>
  Uint16Array.from({ length: count }, (_, at) => new Uint32Array(Float32Array.of(of(at)).buffer)[0] >>> 16);

describe.each(['js', 'wasm'])('tileDot on %s', (name) => {
  const device = name === 'js' ? new JsDevice() : getDevice('wasm');

  it('multiplies matrices of bfloat16', () => {
    const start = Float32Array.from({ length: 256 }, (_, at) => at / 8);
    const data = [bytes(bfloats(512 * STEPS, exact(1))), bytes(bfloats(512 * STEPS, exact(2))), bytes(start)];
    const [, , z] = runOn(device, { kernel: product('f32', 'bf16', 'bf16'), data });
    expect([...new Float32Array(z.buffer, z.byteOffset, 256)]).toEqual(
      expected(2, exact(1), exact(2), (at) => start[at]),
    );
  });

  it('multiplies matrices of bytes', () => {
    const [x, y] = [(at: number) => (at * 131) % 256, (at: number) => ((at * 57) % 256) - 128];
    const data = [
      Uint8Array.from({ length: 1024 * STEPS }, (_, at) => x(at)),
      bytes(Int8Array.from({ length: 1024 * STEPS }, (_, at) => y(at))),
      bytes(new Int32Array(256).fill(-7)),
    ];
    const [, , z] = runOn(device, { kernel: product('i32', 'u8', 'i8'), data });
    expect([...new Int32Array(z.buffer, z.byteOffset, 256)]).toEqual(expected(4, x, y, () => -7));
  });
});

const tile = (b: KernelBuilder, element: ScalarType) =>
  b.load(b.buffer('x', element), 0, 1024 / { bf16: 2, f32: 4, i32: 4, u8: 1, i8: 1 }[element as 'f32']);

describe('verification', () => {
  it.each<[string, (b: KernelBuilder) => void, RegExp]>([
    ['other element types', (b) => b.tileDot(tile(b, 'f32'), tile(b, 'f32'), tile(b, 'bf16')), /tileDot of f32x256/],
    ['signed bytes on the left', (b) => b.tileDot(tile(b, 'i32'), tile(b, 'i8'), tile(b, 'i8')), /tileDot of i32x256/],
    [
      'vectors that are no tiles',
      (b) => b.tileDot(b.constant(0, valueType('f32', 16)), tile(b, 'bf16'), tile(b, 'bf16')),
      /tileDot of f32x16/,
    ],
    ['arithmetic on tiles', (b) => use(b, b.add(tile(b, 'f32'), tile(b, 'f32'))), /add of the tile f32x256/],
    ['parts of tiles', (b) => use(b, b.extract(tile(b, 'f32'), 3)), /extract of a tile/],
    ['other constants than zero', (b) => use(b, b.constant(1, valueType('f32', 256))), /const of the tile/],
    [
      'masks',
      (b) => use(b, b.load(b.buffer('m', 'f32'), 0, 256, b.lt(b.begin, b.end))),
      /load of the tile|masked store/,
    ],
  ])('refuses %s', (_, body, message) => {
    expect(() => verifyKernel(buildKernel('wrong', body))).toThrow(message);
  });
});

function use(b: KernelBuilder, value: ReturnType<typeof tile>): void {
  b.store(b.buffer('z', 'f32', 'write'), 0, value);
}

it('lowering leaves a kernel without tiles as it is', () => {
  const kernel = buildKernel('plain', (b) => b.store(b.buffer('x', 'f32', 'write'), 0, b.constant(1, 'f32')));
  expect(lowerTiles(kernel)).toBe(kernel);
  expect(() => verifyKernel(lowerTiles(product('f32', 'bf16', 'bf16')))).not.toThrow();
});
