/** Optimisers and schedulers against PyTorch 1.13.1: the same steps from the same start. */
import '@proj/autograd';
import { readFileSync } from 'node:fs';
import { type Tensor, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import * as optim from '../src/index.ts';

type Encoded = number | null | boolean | { tensor: number[]; shape: number[] } | Encoded[];
interface Fixture {
  readonly start: number[];
  readonly steps: number;
  readonly optimizers: {
    name: keyof typeof optim;
    kwargs: Record<string, unknown>;
    params: number[][];
    losses: number[];
    state: Record<string, Encoded>;
  }[];
  readonly schedulers: {
    name: keyof typeof optim;
    optimizer: 'SGD' | 'Adam';
    args: unknown[];
    kwargs: Record<string, unknown>;
    rates: [number, number][][];
  }[];
}
const fixture = JSON.parse(readFileSync(new URL('fixtures/pytorch-1.13.json', import.meta.url), 'utf8')) as Fixture;
const camel = (options: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options).map(([key, value]) => [
      key.replace(/_+([a-zA-Z0-9])/g, (_, c: string) => c.toUpperCase()),
      value,
    ]),
  );
const label = (name: string, options: object): string => `${name} ${JSON.stringify(options)}`;

/** Σ 5(x[i+1] - x[i]²)² + (1 - x[i])². */
function valley(x: Tensor): Tensor {
  const head = x.narrow(0, 0, 3);
  const tail = x.narrow(0, 1, 3);
  return tail.sub(head.square()).square().mul(5).add(head.sub(1).square()).sum();
}
type AnyOptimizer = optim.Optimizer<{ lr: number }>;
const classes: Readonly<Record<string, unknown>> = { ...optim };
const construct = (name: keyof typeof optim, ...args: unknown[]): unknown =>
  new (classes[name] as unknown as new (...args: unknown[]) => unknown)(...args);
const start = (): Tensor => tensor(fixture.start, { dtype: 'float32', requiresGrad: true });
const closureOf = (optimizer: AnyOptimizer, x: Tensor) => (): Tensor => {
  optimizer.zeroGrad();
  const loss = valley(x);
  loss.backward();
  return loss;
};
const expectClose = (actual: number, wanted: number, tolerance: number): void => {
  if (!(Math.abs(actual - wanted) <= tolerance * (1 + Math.abs(wanted)))) expect(actual).toBe(wanted);
};

describe('optimisers follow PyTorch', () => {
  it.each(fixture.optimizers.map((c) => [label(c.name, c.kwargs), c] as const))(
    '%s',
    (_, { name, kwargs, params, losses, state }) => {
      const x = start();
      const optimizer = construct(name, [x], camel(kwargs)) as AnyOptimizer;
      for (let k = 0; k < fixture.steps; k++) {
        const loss = optimizer.step(closureOf(optimizer, x)) as Tensor;
        expectClose(loss.item(), losses[k], 2e-4);
        x.toFlatArray().forEach((value, i) => expectClose(value, params[k][i], 2e-4));
      }
      if (name === 'LBFGS') return;
      const saved = optimizer.stateDict().state[0];
      expect(Object.keys(saved).toSorted()).toEqual(Object.keys(state).toSorted());
      for (const [key, wanted] of Object.entries(state)) {
        const actual = saved[key];
        if (typeof wanted === 'object' && wanted !== null && 'tensor' in wanted) {
          expect((actual as Tensor).shape, key).toEqual(wanted.shape);
          (actual as Tensor).toFlatArray().forEach((value, i) => expectClose(value, wanted.tensor[i], 5e-4));
        } else expect(actual, key).toEqual(wanted);
      }
    },
  );

  it.each(fixture.optimizers.map((c) => [label(c.name, c.kwargs), c] as const))(
    '%s goes on from its state dict to the same bits',
    (_, { name, kwargs }) => {
      const whole = start();
      const first = construct(name, [whole], camel(kwargs)) as AnyOptimizer;
      for (let k = 0; k < 4; k++) first.step(closureOf(first, whole));
      const half = tensor(whole.toTypedArray(), { requiresGrad: true });
      const second = construct(name, [half], camel(kwargs)) as AnyOptimizer;
      second.loadStateDict(first.stateDict());
      for (let k = 0; k < 4; k++) {
        first.step(closureOf(first, whole));
        second.step(closureOf(second, half));
      }
      expect(half.toFlatArray()).toEqual(whole.toFlatArray());
    },
  );
});

describe('schedulers follow PyTorch', () => {
  it.each(fixture.schedulers.map((c) => [label(c.name, { on: c.optimizer, args: c.args, ...c.kwargs }), c] as const))(
    '%s',
    (_, { name, optimizer: kind, args, kwargs, rates }) => {
      const groups = [0.1, 0.5].map((lr) => ({ params: [tensor([0], { dtype: 'float32', requiresGrad: true })], lr }));
      const optimizer = kind === 'SGD' ? new optim.SGD(groups, { lr: 0.1, momentum: 0.9 }) : new optim.Adam(groups);
      const make = (): optim.LRScheduler => construct(name, optimizer, ...args, camel(kwargs)) as optim.LRScheduler;
      let scheduler = make();
      rates.forEach((row, k) => {
        optimizer.paramGroups.forEach((group, i) => {
          expect(group.lr, `lr of group ${i} after ${k} steps`).toBeCloseTo(row[i][0], 10);
          expect('betas' in group ? group.betas[0] : group.momentum, `momentum after ${k} steps`).toBeCloseTo(
            row[i][1],
            10,
          );
        });
        if (k === 13) {
          const state = JSON.parse(JSON.stringify(scheduler.stateDict())) as optim.SchedulerState;
          const kept = optimizer.paramGroups.map((group) => ({ ...group }));
          scheduler = make();
          scheduler.loadStateDict(state);
          optimizer.paramGroups.forEach((group, i) => Object.assign(group, kept[i]));
        }
        optimizer.step();
        scheduler.step();
      });
    },
  );
});
