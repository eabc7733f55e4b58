/** Lanes that a mask leaves out divide zero by zero; what is chosen in their place must stand in the result. */
import { buildKernel, JsDevice } from '@proj/kernel';
import { compareDevices } from '@proj/kernel/testing';
import { describe, expect, test } from 'vitest';
import { hasLlvm, levels, nativeDevice } from './support.ts';

describe.skipIf(!hasLlvm)('quotients of masked lanes', () => {
  const cases = levels.flatMap((level) =>
    (['f32', 'f64'] as const).flatMap((type) => [2, 4, 8, 16, 32].map((lanes) => [level, type, lanes] as const)),
  );
  test.each(cases)('%s %sx%i', (level, type, lanes) => {
    const kernel = buildKernel('quotients', (b) => {
      const [x, y, out] = [b.buffer('x', type), b.buffer('y', type), b.buffer('out', type, 'write')];
      b.for(b.begin, b.end, lanes, [], (i) => {
        for (const within of [1, lanes - 1]) {
          const mask = b.lt(b.iota('i32', lanes), within);
          const quotient = b.div(b.load(x, i, lanes, mask), b.load(y, i, lanes, mask));
          b.store(out, b.add(b.mul(i, 2), within === 1 ? 0 : lanes), b.select(mask, quotient, 0));
        }
      });
    });
    const array = type === 'f32' ? Float32Array : Float64Array;
    const bytes = (values: readonly number[]): Uint8Array => new Uint8Array(array.from(values).buffer);
    const numbers = Array.from({ length: 4 * lanes }, (_, i) => i + 1.5);
    const buffers = [bytes(numbers), bytes(numbers.map((v) => v / 3)), bytes(new Array<number>(8 * lanes).fill(-1))];
    expect(
      compareDevices(new JsDevice(), nativeDevice({ PROJ_CPU_FEATURES: level }), kernel, { buffers, end: 4 * lanes }),
    ).toBeNull();
  });
});
