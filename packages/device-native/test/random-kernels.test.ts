/** Random kernels over the whole language, bit for bit against the `js` reference, on every processor level. */
import { JsDevice } from '@proj/kernel';
import { compareDevices, randomKernel, withConstants } from '@proj/kernel/testing';
import { describe, expect, test } from 'vitest';
import { hasLlvm, levels, nativeDevice } from './support.ts';

const KERNELS = Number(process.env['PROJ_TEST_KERNELS'] ?? 40);

describe.skipIf(!hasLlvm)('random kernels', () => {
  test.each(levels)(
    'agree on %s',
    (level) => {
      const native = nativeDevice({ PROJ_CPU_FEATURES: level });
      const js = new JsDevice();
      for (let seed = 1; seed <= KERNELS; seed++) {
        const random = randomKernel(seed);
        for (const { kernel, inputs } of seed % 4 === 0 ? [random, withConstants(random)] : [random])
          expect(compareDevices(js, native, kernel, inputs), `seed ${seed}`).toBeNull();
      }
    },
    120_000,
  );
});
