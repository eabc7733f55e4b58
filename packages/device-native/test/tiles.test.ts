/** Tiles on this processor, in registers where it has them, against the `js` device: sums of small integers, which are exact in any order. */
import {
  buildKernel,
  JsDevice,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Value,
  valueType,
} from '@proj/kernel';
import { beforeAll, describe, expect, test } from 'vitest';
import type { NativeDevice } from '../src/index.ts';
import { describeNative, levels, nativeDevice, random, runKernel } from './support.ts';

const TILES = 6;
const SUMS = 6;

interface Tiles {
  readonly b: KernelBuilder;
  readonly left: (at: Value | number) => Value;
  readonly right: (at: Value | number) => Value;
  readonly sum: (at: Value | number) => Value;
  readonly put: (at: Value | number, tile: Value) => void;
  readonly zero: Value;
}

const kernelOf = (name: string, body: (tiles: Tiles) => void): Kernel =>
  buildKernel(name, (b) => {
    const [x, y] = [b.buffer('x', 'bf16'), b.buffer('y', 'bf16')];
    const z = b.buffer('z', 'f32', 'readwrite');
    const place = (at: Value | number, size: number): Value => b.mul(typeof at === 'number' ? b.index(at) : at, size);
    const load = (memory: Memory, size: number) => (at: Value | number) => b.load(memory, place(at, size), size);
    body({
      b,
      left: load(x, 512),
      right: load(y, 512),
      sum: load(z, 256),
      put: (at, tile) => b.store(z, place(at, 256), tile),
      zero: b.constant(0, valueType('f32', 256)),
    });
  });

/** What registers have to be given out for: each wants tiles to be where others are, or to outlive what uses them. */
const KERNELS: readonly Kernel[] = [
  kernelOf('four sums', ({ b, left, right, put, zero }) => {
    const sums = b.for(0, 3, 1, [zero, zero, zero, zero], (k, ...acc) => {
      const [l, r] = [
        [left(k), left(b.add(k, 3))],
        [right(k), right(b.add(k, 3))],
      ];
      return acc.map((sum, i) => b.tileDot(sum, l[i >> 1]!, r[i & 1]!));
    });
    sums.forEach((sum, i) => put(i, sum));
  }),
  kernelOf('sums that change places', ({ b, left, right, sum, put }) => {
    const sums = b.for(0, 5, 1, [sum(0), sum(1), sum(2)], (k, s, t, u) => [t, b.tileDot(u, left(k), right(k)), s]);
    sums.forEach((value, i) => put(i, value));
  }),
  kernelOf('a sum that is wanted twice', ({ b, left, right, sum, put }) => {
    const start = sum(0);
    put(0, b.tileDot(start, left(0), right(0)));
    put(1, b.tileDot(start, left(1), right(0)));
    put(2, start);
  }),
  kernelOf('a factor from outside the loop', ({ b, left, right, put, zero }) => {
    const [l, unused] = [left(2), left(3)];
    const [once, twice] = b.for(0, 2, 1, [zero, zero], (k, s, t) => [
      b.tileDot(s, l, right(k)),
      b.tileDot(t, unused, l),
    ]);
    put(0, once!);
    put(1, b.tileDot(twice!, l, l));
  }),
  kernelOf('loops in loops', ({ b, left, right, sum, put, zero }) => {
    const [outer, last] = b.for(0, 3, 1, [sum(0), zero], (k, s, t) => {
      const [inner] = b.for(0, k, 1, [s], (i, acc) => [b.tileDot(acc, left(i), right(k))]);
      const [fresh] = b.for(0, 2, 1, [zero], (i, acc) => [b.tileDot(acc, left(k), right(i))]);
      put(b.add(k, 3), fresh!);
      return [inner!, b.tileDot(t, left(k), right(k))];
    });
    put(0, outer!);
    put(1, last!);
  }),
  kernelOf('branches', ({ b, left, right, sum, put, zero }) => {
    const kept = sum(1);
    b.for(0, 4, 1, [], (k) => {
      b.if(
        b.lt(k, 2),
        () => put(0, b.tileDot(kept, left(k), right(k))),
        () => put(k, b.tileDot(zero, left(0), right(k))),
      );
    });
    put(1, b.tileDot(kept, left(5), right(5)));
    put(4, zero);
    put(5, b.tileDot(kept, left(4), zero256(b)));
  }),
  kernelOf('loops that never run', ({ b, left, right, sum, put, zero }) => {
    const [same, none] = b.for(2, 2, 1, [sum(0), zero], (k, s, t) => [
      b.tileDot(t, left(k), right(k)),
      b.tileDot(s, left(k), right(k)),
    ]);
    put(1, same!);
    put(2, none!);
  }),
  kernelOf('what nobody wants', ({ b, left, right, put, zero }) => {
    const [wanted] = b.for(0, 3, 1, [zero, zero], (k, s, t) => {
      b.tileDot(zero, left(k), right(0));
      return [b.tileDot(s, left(k), right(k)), b.tileDot(t, left(k), right(k))];
    });
    put(0, wanted!);
  }),
];

function zero256(b: KernelBuilder): Value {
  return b.constant(0, valueType('bf16', 512));
}

const next = random(5);
const bfloats = (): Uint16Array =>
  Uint16Array.from(
    { length: TILES * 512 },
    () => new Uint32Array(Float32Array.of(Math.floor(next() * 9) - 4).buffer)[0]! >>> 16,
  );
const memories = [bfloats(), bfloats(), Float32Array.from({ length: SUMS * 256 }, () => Math.floor(next() * 99))].map(
  (array) => new Uint8Array(array.buffer),
);

describeNative('tiles', () => {
  const targets = [...levels, '-amx-tile'].map((mask): [string] => [mask]);
  describe.each(process.arch === 'x64' ? targets : targets.slice(0, -1))('on %s', (mask) => {
    let device: NativeDevice;
    beforeAll(() => {
      device = nativeDevice({ PROJ_CPU_FEATURES: mask });
    });

    test.each(KERNELS.map((kernel) => [kernel.name, kernel] as const))('%s', (_, kernel) => {
      const [, , z] = runKernel(device, kernel, memories, [], 1);
      const [, , wanted] = runKernel(new JsDevice(), kernel, memories, [], 1);
      expect(new Float32Array(z!.buffer, z!.byteOffset, SUMS * 256)).toEqual(
        new Float32Array(wanted!.buffer, wanted!.byteOffset, SUMS * 256),
      );
    });

    test('more than there are registers for is an error that says so, where tiles have registers', () => {
      const kernel = kernelOf('nine', ({ b, left, right, sum, put }) => {
        const tiles = [0, 1, 2].map(sum);
        const lefts = [0, 1, 2, 3, 4, 5].map(left);
        tiles.forEach((tile, i) =>
          put(
            i,
            lefts.reduce((all, l) => b.tileDot(all, l, right(0)), tile),
          ),
        );
      });
      const compile = (): unknown => device.compile([kernel]);
      if (device.features.tiles.length > 0) expect(compile).toThrow(/holds more than 8 tiles at once/);
      else expect(compile).not.toThrow();
    });
  });
});
