/** Datasets, samplers, collation and the loader. */
import { ProjError } from '@proj/kernel';
import { Generator, manualSeed, tensor, type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import {
  BatchSampler,
  ConcatDataset,
  DataLoader,
  defaultCollate,
  DistributedSampler,
  RandomSampler,
  RandomStream,
  randomSplit,
  type Sampler,
  SequentialSampler,
  Subset,
  SubsetRandomSampler,
  TensorDataset,
  TextWindows,
  WeightedRandomSampler,
} from '../src/index.ts';

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sorted = (x: Iterable<number>): number[] => [...x].toSorted((a, b) => a - b);
const rows = (batch: unknown): unknown => (batch as Tensor[])[0].toArray();
const tenRows = (): TensorDataset => new TensorDataset(tensor(range(10).map((i) => [i, -i])), tensor(range(10)));

describe('datasets', () => {
  it('TensorDataset gives rows, one by one and in batches', () => {
    const data = tenRows();
    expect(data.at(3).map((t) => t.toArray())).toEqual([[3, -3], 3]);
    expect(data.batch([7, -1]).map((t) => t.toArray())).toEqual([
      [
        [7, -7],
        [9, -9],
      ],
      [7, 9],
    ]);
    expect(() => new TensorDataset(tensor([1, 2]), tensor([1]))).toThrow(/first dimensions/);
  });

  it('ConcatDataset and Subset find their items, from both ends', () => {
    const both = new ConcatDataset([['a', 'b'], [], ['c']]);
    expect([both.length, both.at(0), both.at(2), both.at(-1)]).toEqual([3, 'a', 'c', 'c']);
    const part = new Subset(both, [2, 0]);
    expect([part.length, part.at(0), part.at(1)]).toEqual([2, 'c', 'a']);
    expect(() => both.at(3)).toThrow();
    expect(() => new Subset(['x'], [4]).at(0)).toThrow(/item 4 of a dataset of 1/);
    expect(() => new ConcatDataset([range(2)]).at(2)).toThrow(/item 2 of a dataset of 2/);
  });

  it('randomSplit gives disjoint parts that cover everything, by lengths or shares', () => {
    for (const lengths of [
      [7, 3],
      [0.7, 0.3],
    ]) {
      const parts = randomSplit(range(10), lengths, { seed: 1 });
      expect(parts.map((part) => part.length)).toEqual([7, 3]);
      expect(sorted(parts.flatMap((part) => [...(part.indices as Uint32Array)]))).toEqual(range(10));
    }
    expect(randomSplit(range(10), [1 / 3, 1 / 3, 1 / 3]).map((part) => part.length)).toEqual([4, 3, 3]);
    expect(() => randomSplit(range(10), [5, 6])).toThrow(/do not add up/);
    expect(() => randomSplit(range(10), [-1, 11])).toThrow(/lengths are -1, 11/);
  });
});

describe('random streams', () => {
  it('have the statistics of uniform numbers', () => {
    const random = new RandomStream(12345);
    const n = 200_000;
    const values = Float64Array.from({ length: n }, () => random.uniform());
    const mean = values.reduce((a, b) => a + b) / n;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 / Math.sqrt(12 * n));
    expect(variance).toBeCloseTo(1 / 12, 3);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[random.below(7)]++;
    // χ² with 6 degrees of freedom is above 33 once in 10⁵.
    expect(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)).toBeLessThan(33);
  });

  it('every order of a permutation is as likely as the other', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const key = new RandomStream(seed).permutation(3).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    expect([...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(30);
  });
});

describe('samplers', () => {
  it('RandomSampler visits everything once, in an order of its seed and epoch', () => {
    const make = (): RandomSampler => new RandomSampler(range(50), { seed: 7 });
    const sampler = make();
    const [first, second] = [[...sampler], [...sampler]];
    expect(sorted(first)).toEqual(range(50));
    expect(second).not.toEqual(first);
    const again = make();
    again.setEpoch(1);
    expect([...again]).toEqual(second);
  });

  it('RandomSampler with replacement and more samples than items', () => {
    const sampler = new RandomSampler(range(3), { replacement: true, numSamples: 100, seed: 0 });
    const drawn = [...sampler];
    expect([drawn.length, sampler.length]).toEqual([100, 100]);
    expect(new Set(drawn)).toEqual(new Set([0, 1, 2]));
    expect(sorted(new RandomSampler(range(3), { numSamples: 6, seed: 0 }))).toEqual([0, 0, 1, 1, 2, 2]);
    expect(() => [...new RandomSampler([], { replacement: true, numSamples: 2 })]).toThrow(/empty dataset/);
  });

  it('WeightedRandomSampler draws in proportion to the weights', () => {
    const drawn = [...new WeightedRandomSampler([1, 0, 3], 40_000, { seed: 5 })];
    const share = drawn.filter((i) => i === 2).length / 40_000;
    expect(drawn).not.toContain(1);
    expect(Math.abs(share - 0.75)).toBeLessThan(5 * Math.sqrt((0.75 * 0.25) / 40_000));
    expect(sorted(new WeightedRandomSampler([1, 0, 3], 2, { replacement: false, seed: 5 }))).toEqual([0, 2]);
    expect(() => new WeightedRandomSampler([1, 0, 3], 3, { replacement: false })).toThrow(/without replacement/);
  });

  it('SubsetRandomSampler, BatchSampler, DistributedSampler', () => {
    expect(sorted(new SubsetRandomSampler([5, 9, 2], { seed: 3 }))).toEqual([2, 5, 9]);
    expect([...new BatchSampler(new SequentialSampler(range(5)), 2, false)]).toEqual([[0, 1], [2, 3], [4]]);
    const parts = [0, 1, 2].map((rank) => [...new DistributedSampler(range(10), { numReplicas: 3, rank, seed: 4 })]);
    expect(parts.map((part) => part.length)).toEqual([4, 4, 4]);
    expect(new Set(parts.flat())).toEqual(new Set(range(10)));
    expect(() => new DistributedSampler(range(4), { numReplicas: 2, rank: 2 })).toThrow(/rank is 2/);
  });
});

describe('defaultCollate', () => {
  it('stacks, converts numbers and keeps structure', () => {
    const batch = defaultCollate([
      { x: tensor([1, 2]), n: [1, 0.5], ok: true, name: 'a' },
      { x: tensor([3, 4]), n: [2, 1.5], ok: false, name: 'b' },
    ]) as { x: Tensor; n: Tensor[]; ok: Tensor; name: string[] };
    expect(batch.x.toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(batch.n.map((t) => [t.dtype, t.toArray()])).toEqual([
      ['int64', [1, 2]],
      ['float64', [0.5, 1.5]],
    ]);
    expect([batch.ok.dtype, batch.name]).toEqual(['bool', ['a', 'b']]);
  });
  it.each([
    ['null', [null, null], /a batch of null/],
    ['unequal tensors', [tensor([1]), tensor([1, 2])], /tensors of one batch differ.*collateFn/],
    ['unequal arrays', [[1], [1, 2]], /arrays of lengths 1, 2/],
  ])('refuses %s', (_, batch, message) => {
    expect(() => defaultCollate(batch)).toThrow(ProjError);
    expect(() => defaultCollate(batch)).toThrow(message);
  });
});

describe('DataLoader', () => {
  it('gives batches in order, the last one short or left out', () => {
    expect([...new DataLoader(tenRows(), { batchSize: 4 })].map((batch) => (batch as Tensor[])[1].toArray())).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    const loader = new DataLoader(range(10), { batchSize: 4, dropLast: true });
    expect([loader.length, [...loader].map((batch) => (batch as Tensor).toArray())]).toEqual([
      2,
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
      ],
    ]);
  });

  it('shuffles anew in each epoch, the same way for the same seed', () => {
    const epochs = (): unknown[][] => {
      const loader = new DataLoader(range(20), { batchSize: 5, shuffle: true, seed: 11 });
      return [[...loader], [...loader]].map((epoch) => epoch.flatMap((batch) => (batch as Tensor).toFlatArray()));
    };
    const [first, second] = epochs();
    expect(sorted(first as number[])).toEqual(range(20));
    expect(second).not.toEqual(first);
    expect(epochs()).toEqual([first, second]);
  });

  it('without a seed follows manualSeed, or the generator that is given', () => {
    const order = (generator?: Generator): unknown[] =>
      [...new DataLoader(range(20), { batchSize: 20, shuffle: true, generator })].map((b) => (b as Tensor).toArray());
    manualSeed(3);
    const [first, second] = [order(), order()];
    manualSeed(3);
    expect([order(), order()]).toEqual([first, second]);
    expect(second).not.toEqual(first);
    expect(order(new Generator(8))).toEqual(order(new Generator(8)));
  });

  it('goes on from any place to the same batches', () => {
    const make = (seed?: number): DataLoader => new DataLoader(tenRows(), { batchSize: 3, shuffle: true, seed });
    const whole = make(5);
    const all = [...whole, ...whole].map(rows);
    for (let stop = 0; stop < all.length; stop++) {
      const first = make(5);
      let given = 0;
      outer: for (let epoch = 0; epoch < 2; epoch++) {
        for (const _ of first) {
          if (given === stop) break outer;
          given++;
        }
      }
      const state = { ...first.state(), batch: first.state().batch - 1 };
      const second = make();
      second.loadState(JSON.parse(JSON.stringify(state)) as typeof state);
      const rest = [...second];
      while (rest.length < all.length - stop) rest.push(...second);
      expect(rest.map(rows)).toEqual(all.slice(stop));
    }
  });

  it('begins an epoch with each iteration, also after one that was left and beside another', () => {
    const loader = new DataLoader(range(4), { batchSize: 2 });
    const values = (batches: Iterable<unknown>): unknown[] => [...batches].map((batch) => (batch as Tensor).toArray());
    for (const _ of loader) break;
    const all = [
      [0, 1],
      [2, 3],
    ];
    expect(values(loader)).toEqual(all);
    const pairs: unknown[] = [];
    for (const a of loader) for (const b of loader) pairs.push([(a as Tensor).toArray(), (b as Tensor).toArray()]);
    expect(pairs).toEqual(all.flatMap((a) => all.map((b) => [a, b])));
  });

  it('checks the indices that a sampler gives, also of datasets that make whole batches', () => {
    const sampler = (...indices: number[]): Sampler => ({
      length: indices.length,
      [Symbol.iterator]: () => indices.values(),
    });
    const windows = new TextWindows(Uint32Array.from([10, 11, 12, 13]), 2);
    const first = (...indices: number[]): unknown =>
      rows([...new DataLoader(new Subset(windows, [0, 1]), { batchSize: 2, sampler: sampler(...indices) })][0]);
    expect(first(0, -1)).toEqual([
      [10, 11],
      [11, 12],
    ]);
    expect(() => first(0, 2)).toThrow(/item 2 of a dataset of 2/);
    expect(() => new Subset(windows, [5]).batch?.([0])).toThrow(/item 5 of a dataset of 2/);
  });

  it('lets the event loop run between batches of the asynchronous iterator', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    let batches = 0;
    for await (const _ of new DataLoader(range(200), { batchSize: 1 })) {
      batches++;
      const until = performance.now() + 0.1;
      while (performance.now() < until);
    }
    clearInterval(timer);
    expect(batches).toBe(200);
    expect(turns).toBeGreaterThan(3);
  });

  it('refuses options that contradict each other', () => {
    expect(() => new DataLoader(range(3), { shuffle: true, sampler: new SequentialSampler(range(3)) })).toThrow(
      /exclude each other/,
    );
    expect(() => new DataLoader(range(3), { batchSize: 0 })).toThrow(/batchSize is 0/);
    expect(() => new DataLoader(range(3), { batchSize: null, dropLast: true })).toThrow(/dropLast/);
  });
});

describe('options that do not exist', () => {
  it('are refused', () => {
    expect(() => new DataLoader([1, 2], { batch_size: 2 } as object)).toThrow(/DataLoader: .*Did you mean 'batchSize'/);
    expect(() => new DataLoader(undefined as never)).toThrow(/DataLoader: undefined where a dataset belongs/);
    expect(() => new TensorDataset([1, 2] as never)).toThrow(/TensorDataset: an argument is no tensor/);
    expect(() => new DataLoader([1, 2], { numWorkers: 2 } as object)).toThrow(/unknown option 'numWorkers'. Known are/);
    expect(() => new RandomSampler([1, 2], { sead: 2 } as object)).toThrow(/Did you mean 'seed'/);
  });
});
