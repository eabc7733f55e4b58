/** Stochastic weight averaging against PyTorch 1.13.1: averages, batch statistics, schedules. */
import '@proj/autograd';
import { readFileSync } from 'node:fs';
import { BatchNorm1d, Linear, Sequential } from '@proj/nn';
import { compile, type Tensor, tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import {
  AveragedModel,
  type AveragedModelOptions,
  ExponentialLR,
  SGD,
  SWALR,
  swaUtils,
  updateBn,
} from '../src/index.ts';

type Nested = number | Nested[];
type State = Record<string, Nested>;
interface Fixture {
  readonly models: State[];
  readonly batches: number[][][];
  readonly averages: {
    name: string;
    keys: string[];
    states: State[];
    afterUpdateBn: State;
    output: number[][];
    momentum: number;
  }[];
  readonly schedules: {
    args: [number | number[]];
    kwargs: { anneal_epochs?: number; anneal_strategy?: 'cos' | 'linear' };
    afterExponential: boolean;
    rates: number[][];
  }[];
}
const fixture = JSON.parse(readFileSync(new URL('fixtures/swa-pytorch-1.13.json', import.meta.url), 'utf8')) as Fixture;

const ways: Record<string, AveragedModelOptions> = {
  default: {},
  buffers: { useBuffers: true },
  moving: { avgFn: (average, value) => average.mul(0.9).add(value.mul(0.1)), useBuffers: true },
  counted: { avgFn: (average, value, n) => average.add(value.sub(average).mul(2).div(n.add(2))) },
};

function modelOf(state: State): Sequential {
  const model = new Sequential(new Linear(3, 4), new BatchNorm1d(4), new Linear(4, 2));
  model.loadStateDict(tensorsOf(state));
  return model;
}
const tensorsOf = (state: State): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [
      key,
      tensor(value, { dtype: /num_batches|n_averaged/.test(key) ? 'int64' : 'float32' }),
    ]),
  );
const flat = (value: Nested): number[] => [value].flat(9) as number[];
function expectState(actual: Record<string, Tensor>, wanted: State): void {
  expect(Object.keys(actual)).toEqual(Object.keys(wanted));
  for (const [key, value] of Object.entries(wanted))
    actual[key]
      .toFlatArray()
      .forEach((x, i) =>
        expect(Math.abs(Number(x) - flat(value)[i]), `${key}[${i}]`).toBeLessThan(
          2e-6 * (1 + Math.abs(flat(value)[i])),
        ),
      );
}
const batches = fixture.batches.map((batch) => tensor(batch, { dtype: 'float32' }));

describe('AveragedModel and updateBn follow PyTorch', () => {
  it.each(fixture.averages.map((c) => [c.name, c] as const))(
    '%s',
    (name, { states, afterUpdateBn, output, momentum }) => {
      const [start, ...others] = fixture.models.map(modelOf);
      const averaged = new AveragedModel(start, ways[name]);
      others.forEach((model, k) => {
        averaged.updateParameters(model);
        expectState(averaged.stateDict(), states[k]);
      });
      updateBn(
        batches.map((batch) => [batch, 0]),
        averaged,
      );
      expectState(averaged.stateDict(), afterUpdateBn);
      expect((averaged.module.getSubmodule('1') as BatchNorm1d).momentum).toBe(momentum);
      expect(averaged.training).toBe(true);
      averaged
        .eval()
        .call(batches[0])
        .toFlatArray()
        .forEach((x, i) => expect(x).toBeCloseTo(flat(output)[i], 5));
    },
  );

  it('goes on from a state dict of PyTorch', () => {
    const { states } = fixture.averages[1];
    const averaged = new AveragedModel(modelOf(fixture.models[0]), ways.buffers);
    averaged.loadStateDict(tensorsOf(states[1]));
    averaged.updateParameters(modelOf(fixture.models[3]));
    expectState(averaged.stateDict(), states[2]);
  });

  it('averages at every replay of a captured step', () => {
    const model = modelOf(fixture.models[0]);
    const averaged = new AveragedModel(model);
    const step = compile((x: Tensor) => {
      for (const parameter of model.parameters()) parameter.detach().mul_(x);
      averaged.updateParameters(model);
    });
    for (const factor of [3, 2, 2, 0.5]) step(tensor(factor, { dtype: 'float32' }));
    // The weight times 3, 6, 12, 6: on average 6.75.
    expect(averaged.nAveraged.item()).toBe(4);
    averaged
      .stateDict()
      ['module.0.weight'].toFlatArray()
      .forEach((x, i) => expect(x).toBeCloseTo(6.75 * flat(fixture.models[0]['0.weight'])[i], 5));
  });

  it('waits for loaders that come with promises, and leaves models without batch normalisation alone', async () => {
    const { states, afterUpdateBn } = fixture.averages[0];
    const averaged = new AveragedModel(modelOf(fixture.models[0]));
    averaged.loadStateDict(tensorsOf(states[2]));
    async function* load(): AsyncGenerator<Tensor> {
      yield* batches;
    }
    await updateBn(load(), averaged.eval());
    expectState(averaged.stateDict(), afterUpdateBn);
    expect(averaged.training).toBe(false);
    updateBn(
      (function* () {
        expect.unreachable('nobody needs the batches');
        yield batches[0];
      })(),
      new Linear(3, 3),
    );
  });

  it('refuses other models, foreign states, and what is no batch', () => {
    const averaged = new AveragedModel(modelOf(fixture.models[0]));
    expect(() => averaged.updateParameters(new Sequential(new Linear(3, 5)))).toThrow(/not those that are averaged/);
    expect(() => averaged.loadStateDict(tensorsOf(fixture.models[0]))).toThrow(/unexpected keys: 0.weight/);
    expect(() => averaged.loadStateDict({})).toThrow(/"n_averaged" is missing/);
    expect(() => updateBn(['text'], averaged)).toThrow(/a batch is "text"/);
    expect((averaged.module.getSubmodule('1') as BatchNorm1d).momentum).toBe(0.1);
    expect(() => new AveragedModel(averaged.module, { useBuffer: true } as never)).toThrow(/useBuffers/);
    expect(() => new AveragedModel('net' as never)).toThrow(/"net" where a model belongs/);
  });
});

describe('SWALR follows PyTorch', () => {
  it.each(fixture.schedules.map((c) => [JSON.stringify([c.args, c.kwargs, c.afterExponential]), c] as const))(
    '%s',
    (_, { args, kwargs, afterExponential, rates }) => {
      const groups = [0.1, 0.5].map((lr) => ({ params: [tensor([0], { dtype: 'float32', requiresGrad: true })], lr }));
      const optimizer = new SGD(groups, { lr: 0.1 });
      const first = afterExponential ? new ExponentialLR(optimizer, 0.9) : null;
      const options = {
        ...(kwargs.anneal_epochs === undefined ? {} : { annealEpochs: kwargs.anneal_epochs }),
        ...(kwargs.anneal_strategy === undefined ? {} : { annealStrategy: kwargs.anneal_strategy }),
      };
      let scheduler = new SWALR(optimizer, args[0], options);
      rates.forEach((row, k) => {
        optimizer.paramGroups.forEach((group, i) => expect(group.lr, `after ${k} steps`).toBeCloseTo(row[i], 12));
        if (k === 6) {
          const [state, kept] = [scheduler.stateDict(), structuredClone(optimizer.stateDict())];
          scheduler = new SWALR(optimizer, args[0], options);
          scheduler.loadStateDict(state);
          optimizer.loadStateDict(kept);
        }
        if (k < 3 && first !== null) first.step();
        else scheduler.step();
      });
    },
  );

  it('refuses lists that do not fit, negative epochs and unknown strategies', () => {
    const optimizer = new SGD([tensor([0], { dtype: 'float32', requiresGrad: true })], { lr: 0.1 });
    expect(() => new SWALR(optimizer, [0.1, 0.2])).toThrow(/2 values of swaLr for 1 groups/);
    expect(() => new SWALR(optimizer, 0.1, { annealEpochs: -1 })).toThrow(/annealEpochs is -1/);
    expect(() => new SWALR(optimizer, 0.1, { annealStrategy: 'cosine' as 'cos' })).toThrow(/'cos' or 'linear'/);
    expect(swaUtils.SWALR).toBe(SWALR);
  });
});
