/** Every function of `math` in vectors of every length, against the `js` reference, on every processor level. */
import { JsDevice } from '@proj/kernel';
import { compareDevices, MATH_FUNCTIONS, mathKernel } from '@proj/kernel/testing';
import { describe, expect, test } from 'vitest';
import { hasLlvm, levels, nativeDevice } from './support.ts';

describe.skipIf(!hasLlvm)('functions of math', () => {
  test.each(levels)(
    'agree on %s',
    (level) => {
      const native = nativeDevice({ PROJ_CPU_FEATURES: level });
      const js = new JsDevice({ mulAdd: 'separate' });
      for (const name of Object.keys(MATH_FUNCTIONS))
        for (const type of ['f32', 'f64'] as const)
          for (const lanes of [1, 8]) {
            const { kernel, inputs, ulps } = mathKernel(name, type, lanes);
            expect(compareDevices(js, native, kernel, inputs, ulps)).toBeNull();
          }
    },
    300_000,
  );
});
