import { describe, expect, test } from 'vitest';
import { getDevice, JsDevice, math } from '../src/index.ts';
import { compareDevices, MATH_FUNCTIONS, mathKernel } from '../src/testing/index.ts';

/** Exports of `math` that are no functions of floats, or parts of others. */
const OTHERS = [
  'copySign',
  'isNaNValue',
  'normal',
  'philox',
  'philox4x32',
  'polygamma',
  'polynomial',
  'powInteger',
  'roughExp',
  'roughExp2',
  'scaledExp',
  'sinCosTurns',
  'sinPi',
  'truncDiv',
  'uniform',
  'uniformDouble',
];

describe('every function of math', () => {
  test('has a case', () => {
    const cases = Object.keys(MATH_FUNCTIONS).map((name) => (name === 'trigamma' ? 'polygamma' : name));
    expect(
      Object.keys(math)
        .filter((name) => !cases.includes(name))
        .sort(),
    ).toEqual(OTHERS.filter((name) => name !== 'polygamma'));
  });
  test.each(Object.keys(MATH_FUNCTIONS))('%s agrees between js and wasm, and with fused multiply-add', (name) => {
    const reference = new JsDevice({ mulAdd: 'separate' });
    for (const device of [getDevice('wasm'), new JsDevice({ mulAdd: 'fused' })]) {
      for (const type of ['f32', 'f64'] as const) {
        for (const lanes of [1, 4, 16]) {
          const { kernel, inputs, ulps } = mathKernel(name, type, lanes);
          expect(compareDevices(reference, device, kernel, inputs, ulps)).toBeNull();
        }
      }
    }
  });
});
