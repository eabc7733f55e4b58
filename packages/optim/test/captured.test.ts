/** Optimisers inside `compile`: step counters, learning rates and momenta go on at every replay, as in PyTorch. */
import '@proj/autograd';
import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { compile, type Tensor, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import * as optim from '../src/index.ts';

interface Fixture {
  readonly start: number[];
  readonly steps: number;
  readonly optimizers: {
    name: keyof typeof optim;
    kwargs: Record<string, unknown>;
    params: number[][];
    losses: number[];
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
type AnyOptimizer = optim.Optimizer<{ lr: number }>;
const classes: Readonly<Record<string, unknown>> = { ...optim };
const construct = (name: keyof typeof optim, ...args: unknown[]): unknown =>
  new (classes[name] as unknown as new (...args: unknown[]) => unknown)(...args);

function valley(x: Tensor): Tensor {
  const head = x.narrow(0, 0, 3);
  return x.narrow(0, 1, 3).sub(head.square()).square().mul(5).add(head.sub(1).square()).sum();
}
function stepOf(optimizer: AnyOptimizer, x: Tensor): () => Tensor {
  return () => {
    optimizer.zeroGrad();
    const loss = valley(x);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss.detach();
  };
}
const expectClose = (actual: number, wanted: number, tolerance: number): void => {
  if (!(Math.abs(actual - wanted) <= tolerance * (1 + Math.abs(wanted)))) expect(actual).toBe(wanted);
};

describe('captured steps', () => {
  const cases = fixture.optimizers.filter(({ name }) => name !== 'LBFGS');
  it.each(cases.map((c) => [`${c.name} ${JSON.stringify(c.kwargs)}`, c] as const))(
    '%s follows PyTorch',
    (_, { name, kwargs, params, losses }) => {
      const x = tensor(fixture.start, { dtype: 'float32', requiresGrad: true });
      const optimizer = construct(name, [x], camel(kwargs)) as AnyOptimizer;
      let captures = 0;
      const step = compile(stepOf(optimizer, x), { onCapture: () => captures++ });
      for (let k = 0; k < fixture.steps; k++) {
        expectClose(step().item(), losses[k], 2e-4);
        x.toFlatArray().forEach((value, i) => expectClose(value, params[k][i], 2e-4));
      }
      expect(captures).toBe(1);
    },
  );

  it('take the learning rate and momentum that a scheduler has set', () => {
    const build = (): [AnyOptimizer, optim.OneCycleLR, Tensor] => {
      const x = tensor(fixture.start, { dtype: 'float32', requiresGrad: true });
      const optimizer = new optim.Adam([x], { lr: 0.1 });
      return [optimizer as unknown as AnyOptimizer, new optim.OneCycleLR(optimizer, 0.1, { totalSteps: 30 }), x];
    };
    const [eager, eagerSchedule, a] = build();
    const [captured, capturedSchedule, b] = build();
    const [plain, compiled] = [stepOf(eager, a), compile(stepOf(captured, b))];
    for (let k = 0; k < 25; k++) {
      plain();
      compiled();
      eagerSchedule.step();
      capturedSchedule.step();
      b.toFlatArray().forEach((value, i) => expectClose(value, a.toFlatArray()[i], 1e-5));
    }
  });

  it('go on from a state that is loaded after the capture', () => {
    const x = tensor(fixture.start, { dtype: 'float32', requiresGrad: true });
    const optimizer = new optim.Adam([x], { lr: 0.05 });
    const step = compile(stepOf(optimizer as unknown as AnyOptimizer, x));
    const at = (): number[] => x.toFlatArray();
    for (let k = 0; k < 3; k++) step();
    const place = tensor(at());
    const { state, param_groups } = optimizer.stateDict();
    const saved = Object.entries(state[0] as Record<string, Tensor>).map(
      ([name, value]) => [name, value.toFlatArray(), value.shape] as const,
    );
    const groups = structuredClone(param_groups);
    for (let k = 0; k < 4; k++) step();
    const wanted = at();
    const entries = Object.fromEntries(
      saved.map(([name, data, shape]) => [name, tensor(data, { dtype: 'float32' }).reshape(shape)]),
    );
    optimizer.loadStateDict({ state: { 0: entries }, param_groups: groups });
    x.detach().copy_(place);
    for (let k = 0; k < 4; k++) step();
    expect(at()).toEqual(wanted);
  });
});
