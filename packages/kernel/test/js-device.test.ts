import { describe, expect, test } from 'vitest';
import { buildKernel, JsDevice, renderJs, vectorLoop, type Kernel, type Launch } from '../src/index.ts';
import { runKernel } from '../src/testing/index.ts';

const device = new JsDevice();
const checked = new JsDevice({ bounds: true });
const bytes = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const upload = (array: ArrayBufferView): ReturnType<JsDevice['allocate']> => {
  const buffer = device.allocate(array.byteLength);
  device.write(buffer, 0, bytes(array));
  return buffer;
};
const buffer = (binding: number, offset = 0): Launch['args'][number] => ({ kind: 'buffer', binding, offset });

const scale = (): Kernel =>
  buildKernel('scale', (b) => {
    const x = b.buffer('x', 'f32');
    const y = b.buffer('y', 'f32', 'write');
    const factor = b.scalar('factor', 'f32');
    vectorLoop(b, b.begin, b.end, 4, (i, lanes) => b.store(y, i, b.mul(b.load(x, i, lanes), factor)));
  });

describe('programs', () => {
  test('run their launches in order, over offsets, constants and scalars', () => {
    const [kernel] = device.compile([scale()]);
    const x = upload(Float32Array.of(1, 2, 3, 4, 5, 6));
    const y = device.allocate(24);
    const z = device.allocate(24);
    const program = device.program(
      [
        { kernel, args: [buffer(0), buffer(1), { kind: 'scalar', scalar: 1 }], begin: 0, end: 6, grain: 1, align: 1 },
        {
          kernel,
          args: [buffer(1, 8), buffer(2), { kind: 'constant', value: -1 }],
          begin: 1,
          end: 3,
          grain: 1,
          align: 1,
        },
      ],
      3,
    );
    program.run([x, y, z], [0, 10]);
    expect([...new Float32Array(device.read(y, 0, 24).buffer)]).toEqual([10, 20, 30, 40, 50, 60]);
    expect([...new Float32Array(device.read(z, 0, 24).buffer)]).toEqual([0, -40, -50, 0, 0, 0]);
    program.run([x, y, z], [0, 0.5]);
    expect([...new Float32Array(device.read(y, 4, 8).buffer)]).toEqual([1, 1.5]);
    program.dispose();
    expect(() => program.run([x, y, z], [0, 1])).toThrow(/disposed/);
  });
  test('bigint and number both serve an i64 scalar', () => {
    const kernel = buildKernel('add', (b) => {
      const y = b.buffer('y', 'i64', 'readwrite');
      const c = b.scalar('c', 'i64');
      b.for(b.begin, b.end, 1, [], (i) => b.store(y, i, b.add(b.load(y, i), c)));
    });
    const data = BigInt64Array.of(2n ** 62n, -1n);
    for (const c of [5, 5n]) {
      const [out] = runKernel(device, kernel, { buffers: [bytes(data)], scalars: [c], end: 2 });
      expect([...new BigInt64Array(out.buffer)]).toEqual([2n ** 62n + 5n, 4n]);
    }
  });
  test('equal kernels are compiled once', () => {
    const [a, b] = device.compile([scale(), scale()]);
    expect(a).toBe(b);
  });
  test('a launch is checked against its kernel', () => {
    const [kernel] = device.compile([scale()]);
    const launch = (args: Launch['args']): void =>
      void device.program([{ kernel, args, begin: 0, end: 1, grain: 1, align: 1 }], 1);
    expect(() => launch([buffer(0)])).toThrow(/has 3 parameters, the launch gives 1/);
    expect(() => launch([buffer(0), buffer(1), { kind: 'constant', value: 1 }])).toThrow(/binding 1 of 1/);
    expect(() => launch([buffer(0), buffer(0), buffer(0)])).toThrow(/parameter factor is a scalar/);
    expect(() => new JsDevice().program([{ kernel, args: [], begin: 0, end: 1, grain: 1, align: 1 }], 0)).toThrow(
      /not compiled by this device/,
    );
  });
  test('a view that does not fit the element size is refused', () => {
    const [kernel] = device.compile([scale()]);
    const program = device.program(
      [
        {
          kernel,
          args: [buffer(0, 2), buffer(0), { kind: 'constant', value: 1 }],
          begin: 0,
          end: 1,
          grain: 1,
          align: 1,
        },
      ],
      1,
    );
    expect(() => program.run([device.allocate(16)], [])).toThrow(/a view of f32 at byte 2/);
  });
  test('bounds are checked on request', () => {
    const x = bytes(Float32Array.of(1, 2));
    expect(() => runKernel(checked, scale(), { buffers: [x, x], scalars: [1], end: 3 })).toThrow(
      /kernel scale: element 2 of x, which has 2/,
    );
  });
});

describe('buffers', () => {
  test('read copies, write has an offset, both check the range', () => {
    const b = device.allocate(8);
    device.write(b, 2, Uint8Array.of(7, 8));
    const copy = device.read(b, 0, 8);
    expect([...copy]).toEqual([0, 0, 7, 8, 0, 0, 0, 0]);
    copy[2] = 9;
    expect(device.read(b, 2, 1)[0]).toBe(7);
    const place = Uint8Array.of(1, 2, 3, 4);
    expect([...device.read(b, 2, 2, place)]).toEqual([7, 8]);
    expect([...place]).toEqual([7, 8, 3, 4]);
    expect(() => device.read(b, 4, 5)).toThrow(/bytes 4 to 9 of a buffer of 8/);
    expect(() => device.write(b, -1, Uint8Array.of(1))).toThrow(/buffer of 8/);
  });
  test('dispose twice, and use after it', () => {
    const before = device.memory().used;
    const b = device.allocate(100);
    expect(device.memory().used).toBe(before + 100);
    b.dispose();
    b.dispose();
    expect(b.disposed).toBe(true);
    expect(device.memory().used).toBe(before);
    expect(() => device.read(b, 0, 1)).toThrow(/disposed/);
  });
  test('of another device are refused, as are impossible sizes', () => {
    expect(() => device.allocate(-1)).toThrow(/-1 bytes/);
    expect(() => device.allocate(2 ** 52)).toThrow(/no room/);
    const stranger = { device: { name: 'other' } } as unknown as Parameters<JsDevice['read']>[0];
    expect(() => device.read(stranger, 0, 1)).toThrow(/a buffer of device "other" given to device "js"/);
  });
});

describe('generated code', () => {
  test('is readable', () => {
    expect(renderJs(scale())).toMatchInlineSnapshot(`
      "'use strict';
        const f32 = Math.fround;
        return function kernel_scale(args, begin, end, thread) {
          const buffer0 = args[0];
          const buffer1 = args[1];
          const v0 = args[2];
          const v1 = begin;
          const v2 = end;
          const v3 = (v2 - v1);
          const v4 = Math.trunc(v3 / 4);
          const v5 = (v4 * 4);
          const v6 = (v1 + v5);
          const v7_0 = v0;
          const v7_1 = v0;
          const v7_2 = v0;
          const v7_3 = v0;
          for (let v8 = v1; v8 < v6; v8 += 4) {
            const v9_0 = buffer0[v8];
            const v9_1 = buffer0[v8 + 1];
            const v9_2 = buffer0[v8 + 2];
            const v9_3 = buffer0[v8 + 3];
            const v10_0 = f32(v9_0 * v7_0);
            const v10_1 = f32(v9_1 * v7_1);
            const v10_2 = f32(v9_2 * v7_2);
            const v10_3 = f32(v9_3 * v7_3);
            buffer1[v8] = v10_0;
            buffer1[v8 + 1] = v10_1;
            buffer1[v8 + 2] = v10_2;
            buffer1[v8 + 3] = v10_3;
          }
          for (let v11 = v6; v11 < v2; v11 += 1) {
            const v12 = buffer0[v11];
            const v13 = f32(v12 * v0);
            buffer1[v11] = v13;
          }
        };"
    `);
  });
  test('carried values that change places', () => {
    const kernel = buildKernel('fibonacci', (b) => {
      const out = b.buffer('out', 'i32', 'write');
      const [a, c] = b.for(0, 10, 1, [b.constant(0, 'i32'), b.constant(1, 'i32')], (_, x, y) => [y, b.add(x, y)]);
      b.store(out, 0, a);
      b.store(out, 1, c);
    });
    expect([...new Int32Array(runKernel(device, kernel, { buffers: [new Uint8Array(8)], end: 1 })[0].buffer)]).toEqual([
      55, 89,
    ]);
  });
  test('masked-off lanes are neither read nor written', () => {
    const kernel = buildKernel('masked', (b) => {
      const x = b.buffer('x', 'f32');
      const y = b.buffer('y', 'f32', 'readwrite');
      const mask = b.lt(b.iota('i32', 4), 3);
      b.store(y, 0, b.add(b.load(x, 0, 4, mask), 1), mask);
    });
    const out = runKernel(checked, kernel, {
      buffers: [bytes(Float32Array.of(1, 2, 3)), bytes(Float32Array.of(9, 9, 9, 9))],
      end: 1,
    });
    expect([...new Float32Array(out[1].buffer)]).toEqual([2, 3, 4, 9]);
  });
});
