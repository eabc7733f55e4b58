import { describe, expect, test } from 'vitest';
import { getDevice, JsDevice, liveValues, verifyKernel, type Op } from '../src/index.ts';
import { compareDevices, randomKernel, runKernel, withConstants } from '../src/testing/index.ts';

const SEEDS = Array.from({ length: 120 }, (_, i) => i + 1);

describe('random kernels', () => {
  test('are valid, and the same for the same seed', () => {
    for (const seed of SEEDS) verifyKernel(randomKernel(seed).kernel);
    const device = new JsDevice();
    const [a, b] = [randomKernel(5), randomKernel(5)];
    expect(runKernel(device, a.kernel, a.inputs)).toEqual(runKernel(device, b.kernel, b.inputs));
  });
  test('reach every operation', () => {
    const operations: Op[] = [
      'neg',
      'abs',
      'sqrt',
      'floor',
      'ceil',
      'trunc',
      'round',
      'not',
      'popcount',
      'add',
      'sub',
      'mul',
      'div',
      'rem',
      'min',
      'max',
      'and',
      'or',
      'xor',
      'shl',
      'shr',
      'eq',
      'ne',
      'lt',
      'le',
      'gt',
      'ge',
      'reduceAdd',
      'reduceMul',
      'reduceMin',
      'reduceMax',
      'mulAdd',
      'select',
      'cast',
      'bitcast',
      'splat',
      'extract',
      'iota',
      'shuffle',
      'dot4',
      'load',
      'gather',
      'carried',
    ];
    const seen = new Set<Op>();
    for (const seed of SEEDS) for (const value of liveValues(randomKernel(seed).kernel).keys()) seen.add(value.op);
    expect(operations.filter((op) => !seen.has(op))).toEqual([]);
  });
  test('stay within their memory and do not depend on how mulAdd rounds', () => {
    const reference = new JsDevice({ bounds: true, mulAdd: 'separate' });
    const fused = new JsDevice({ mulAdd: 'fused' });
    for (const seed of SEEDS) {
      const { kernel, inputs } = randomKernel(seed);
      expect(compareDevices(reference, fused, kernel, inputs)).toBeNull();
    }
  });
  test('give on wasm what they give on js', () => {
    const reference = new JsDevice();
    const wasm = getDevice('wasm');
    for (const seed of SEEDS) {
      const { kernel, inputs } = randomKernel(seed);
      expect(compareDevices(reference, wasm, kernel, inputs)).toBeNull();
    }
  });
  test('with their inputs built in do the same on js and wasm', () => {
    const js = new JsDevice({ bounds: true });
    const wasm = getDevice('wasm');
    for (const seed of SEEDS) {
      const random = randomKernel(seed);
      const { kernel, inputs } = withConstants(random);
      verifyKernel(kernel);
      expect(kernel.parameters.length).toBe(random.kernel.parameters.length - kernel.constants.length);
      const outputs = runKernel(js, random.kernel, random.inputs).filter((_, i) => i % 2 === 1);
      expect(runKernel(js, kernel, inputs), `seed ${seed}`).toEqual(outputs);
      expect(compareDevices(js, wasm, kernel, inputs)).toBeNull();
    }
  });
  test('a difference of one element is found', () => {
    const { kernel, inputs } = randomKernel(3);
    const wrong = new JsDevice();
    const read = wrong.read.bind(wrong);
    let reads = 0;
    wrong.read = (buffer, offset, bytes) => {
      const data = read(buffer, offset, bytes);
      if (reads++ === 1) data[7] ^= 1;
      return data;
    };
    expect(compareDevices(new JsDevice(), wrong, kernel, inputs)).toMatch(
      /kernel random3, out_bool\[7\] \(bool\): js has [01], js has [01]/,
    );
  });
});
