/** A whole training step (forward, backward, Adam), captured: the same numbers as eagerly, bit for bit, on every device; and what it launches. */
import '@proj/autograd';
import '@proj/device-native';
import { attempt } from '@proj/kernel';
import { Adam, AdamW, SGD } from '@proj/optim';
import type { Tensor } from '@proj/tensor';
import { compile, explain, fromArray, getDevice, rand, manualSeed } from '@proj/tensor';
import { describe, expect, it } from 'vitest';

const numbers = (device: string, shape: readonly number[], scale: number): Tensor =>
  fromArray(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => scale * Math.sin(12.9898 * i)),
    shape,
    'float32',
    { device },
  );
const devices = ['js', 'wasm', 'native'].filter((name) => attempt(() => getDevice(name)).ok);

type Make = (params: Tensor[]) => { zeroGrad(): void; step(): unknown };
function training(device: string, make: Make): { step: (x: Tensor, y: Tensor) => Tensor; parameters: Tensor[] } {
  const parameters = [
    numbers(device, [6, 16], 0.4),
    numbers(device, [16], 0.1),
    numbers(device, [16, 3], 0.4),
    numbers(device, [3], 0.1),
  ].map((p) => p.requiresGrad_());
  const [w1, b1, w2, b2] = parameters;
  const optimizer = make(parameters);
  return {
    parameters,
    step: (x, y) => {
      const hidden = x.matmul(w1).add(b1).relu();
      // Dropout: random numbers inside the step.
      const kept = hidden.mul(rand(hidden.shape, { device }).lt(0.8)).div(0.8);
      const loss = kept.matmul(w2).add(b2).logSoftmax(1).gather(1, y).mean().neg();
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss.detach();
    },
  };
}
const batch = (device: string, k: number, rows: number): [Tensor, Tensor] => [
  fromArray(
    Float32Array.from({ length: 6 * rows }, (_, i) => Math.cos(i + k)),
    [rows, 6],
    'float32',
    { device },
  ),
  fromArray(
    Array.from({ length: rows }, (_, i) => (i + k) % 3),
    [rows, 1],
    'int64',
    { device },
  ),
];

describe.each(devices)('a captured training step on %s', (device) => {
  it.each<[string, Make]>([
    ['Adam', (params) => new Adam(params, { lr: 0.01 })],
    ['AdamW', (params) => new AdamW(params, { lr: 0.01, weightDecay: 0.1 })],
    ['SGD with momentum', (params) => new SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true })],
  ])('with %s equals the eager step bit for bit', { timeout: 60_000 }, (_, make) => {
    const [eager, traced] = [training(device, make), training(device, make)];
    const captured = compile(traced.step);
    // The last batches are smaller: the step is captured again.
    const sizes = [8, 8, 8, 8, 5, 8, 5, 8];
    manualSeed(11);
    const expected = sizes.map((rows, k) => eager.step(...batch(device, k, rows)).item());
    manualSeed(11);
    const found = sizes.map((rows, k) => captured(...batch(device, k, rows)).item());
    expect(found).toEqual(expected);
    traced.parameters.forEach((p, i) =>
      expect(p.detach().toTypedArray()).toEqual(eager.parameters[i].detach().toTypedArray()),
    );
  });
});

describe('an Adam update', () => {
  it('is part of the launch that makes the last gradient of its parameter: none of its own', () => {
    const [w, x] = [numbers('js', [32, 16], 0.3).requiresGrad_(), numbers('js', [8, 32], 1)];
    const optimizer = new Adam([w], { lr: 0.01 });
    x.matmul(w).square().mean().backward();
    optimizer.initialize();
    const gradient = (w.grad as Tensor).realize();
    const [m, v] = [numbers('js', [32, 16], 0), numbers('js', [32, 16], 0)];
    const value = w.detach().clone();
    m.mul_(0.9).add_(gradient.mul(0.1));
    v.mul_(0.999).add_(gradient.square().mul(0.001));
    value.sub_(m.div(v.sqrt().add(1e-8)).mul(0.01));
    expect(explain([value, m, v])).toMatch(/^1 launches/);
  });
});
