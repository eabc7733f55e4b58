/** Datasets that are only iterated, and what users derive from the base classes. */
import { type Tensor } from '@proj/tensor';
import { describe, expect, it } from 'vitest';
import {
  BatchSampler,
  ChainDataset,
  ConcatDataset,
  DataLoader,
  Dataset,
  IterableDataset,
  Sampler,
} from '../src/index.ts';

class Count extends IterableDataset<number> {
  readonly from: number;
  readonly to: number;
  epoch = 0;
  constructor(from: number, to: number) {
    super();
    this.from = from;
    this.to = to;
  }
  override setEpoch(epoch: number): void {
    this.epoch = epoch;
  }
  override *[Symbol.iterator](): Generator<number> {
    for (let i = this.from; i < this.to; i++) yield 100 * this.epoch + i;
  }
}
class LateCount extends Count {
  override get length(): number {
    return this.to - this.from;
  }
}
/** Items with promises. */
class Arriving extends IterableDataset<number> {
  readonly count: number;
  closed = 0;
  constructor(count: number) {
    super();
    this.count = count;
  }
  override async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      for (let i = 0; i < this.count; i++) {
        await Promise.resolve();
        yield i;
      }
    } finally {
      this.closed++;
    }
  }
}
const values = (batches: Iterable<unknown>): unknown[] => [...batches].map((batch) => (batch as Tensor).toArray());
const awaited = async (batches: AsyncIterable<unknown>): Promise<unknown[]> => {
  const result: unknown[] = [];
  for await (const batch of batches) result.push((batch as Tensor).toArray());
  return result;
};

describe('a dataset that is only iterated', () => {
  it('comes in batches, the last one short or left out, or item by item', () => {
    const data = new Count(0, 7);
    expect(values(new DataLoader(data, { batchSize: 3 }))).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
    expect(values(new DataLoader(data, { batchSize: 3, dropLast: true }))).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect([...new DataLoader(new Count(0, 3), { batchSize: null })]).toEqual([0, 1, 2]);
    expect([...new DataLoader(data, { batchSize: 4, collateFn: (items) => items.join('+') })]).toEqual([
      '0+1+2+3',
      '4+5+6',
    ]);
    expect([...new DataLoader(new Count(3, 3), { batchSize: 2 })]).toEqual([]);
  });

  it('may be anything that can be iterated', async () => {
    expect(values(new DataLoader(new Set([5, 6, 7]), { batchSize: 2 }))).toEqual([[5, 6], [7]]);
    expect(await awaited(new DataLoader(new Arriving(5), { batchSize: 2 }))).toEqual([[0, 1], [2, 3], [4]]);
    expect(await awaited(new DataLoader(new Count(0, 3), { batchSize: 2 }))).toEqual([[0, 1], [2]]);
  });

  it('whose items come with promises is refused by an ordinary loop, and closed when a loop is left', async () => {
    const data = new Arriving(9);
    const loader = new DataLoader(data, { batchSize: 2 });
    expect(() => [...loader]).toThrow(/have to be waited for.*for await/);
    for await (const _ of loader) break;
    expect(data.closed).toBe(1);
  });

  it('has as many batches as follow from its length, or nobody knows', () => {
    expect(new DataLoader(new LateCount(0, 7), { batchSize: 3 }).length).toBe(3);
    expect(new DataLoader(new LateCount(0, 7), { batchSize: 3, dropLast: true }).length).toBe(2);
    expect(new DataLoader(new LateCount(0, 7), { batchSize: null }).length).toBe(7);
    expect(() => new DataLoader(new Count(0, 7)).length).toThrow(/not known beforehand/);
  });

  it('has an order of its own', () => {
    expect(() => new DataLoader(new Count(0, 3), { shuffle: true })).toThrow(/shuffle cannot change it/);
    expect(() => new DataLoader(new Count(0, 3), { sampler: [0, 1] })).toThrow(/sampler cannot change it/);
    expect(() => new DataLoader(new Count(0, 3), { batchSampler: [[0, 1]] })).toThrow(/batchSampler cannot change it/);
    expect(() => new DataLoader(new Count(0, 3), { batchSize: 0 })).toThrow(/batchSize is 0/);
    expect(() => new DataLoader({ at: () => 1 } as never)).toThrow(/an object where a dataset belongs/);
    expect(() => new ConcatDataset([new Count(0, 3) as never])).toThrow(/no at\(index\).*ChainDataset/);
  });

  it.each([
    ['at once', (): IterableDataset<number> => new Count(0, 8)],
    ['with promises', (): IterableDataset<number> => new Arriving(8)],
  ])('goes on from any place to the same batches, items %s', async (_, make) => {
    const epochs = async (loader: DataLoader): Promise<unknown[]> => [
      ...(await awaited(loader)),
      ...(await awaited(loader)),
    ];
    const all = await epochs(new DataLoader(make(), { batchSize: 3 }));
    expect(all.length).toBe(6);
    for (let stop = 1; stop < 6; stop++) {
      const first = new DataLoader(make(), { batchSize: 3 });
      let given = 0;
      while (given < stop) for await (const _batch of first) if (++given === stop) break;
      const second = new DataLoader(make(), { batchSize: 3 });
      second.loadState(JSON.parse(JSON.stringify(first.state())) as ReturnType<DataLoader['state']>);
      const rest = await awaited(second);
      if (rest.length < all.length - stop) rest.push(...(await awaited(second)));
      expect(rest).toEqual(all.slice(stop));
    }
  });
});

describe('ChainDataset', () => {
  it('gives one dataset after the other', async () => {
    const chain = new ChainDataset([new LateCount(0, 2), new LateCount(5, 8)]);
    expect([[...chain], chain.length]).toEqual([[0, 1, 5, 6, 7], 5]);
    expect(values(new DataLoader(chain, { batchSize: 2 }))).toEqual([[0, 1], [5, 6], [7]]);
    expect(new ChainDataset([new Count(0, 2), [3]]).length).toBe(undefined);
    const mixed = new ChainDataset([new Count(0, 2), new Arriving(2)]);
    expect(await awaited(new DataLoader(mixed, { batchSize: 3 }))).toEqual([[0, 1, 0], [1]]);
    expect(() => [...mixed]).toThrow(/have to be waited for/);
    expect(() => new ChainDataset([{ length: 3 }])).toThrow(/an object cannot be iterated.*ConcatDataset/);
  });
});

describe('base classes', () => {
  class Squares extends Dataset<number> {
    readonly length = 5;
    at(index: number): number {
      return index ** 2;
    }
  }
  class Backwards extends Sampler {
    readonly source: { readonly length: number };
    constructor(source: { readonly length: number }) {
      super();
      this.source = source;
    }
    *[Symbol.iterator](): Generator<number> {
      for (let i = this.source.length - 1; i >= 0; i--) yield i;
    }
  }
  class CountedBackwards extends Backwards {
    override get length(): number {
      return this.source.length;
    }
  }

  it('datasets and samplers of users work in a loader', () => {
    const data = new Squares();
    expect(values(new DataLoader(data, { batchSize: 2, sampler: new CountedBackwards(data) }))).toEqual([
      [16, 9],
      [4, 1],
      [0],
    ]);
    expect(new DataLoader(data, { batchSize: 2, sampler: new CountedBackwards(data) }).length).toBe(3);
    const uncounted = new DataLoader(data, { batchSize: 4, sampler: new Backwards(data), dropLast: true });
    expect(values(uncounted)).toEqual([[16, 9, 4, 1]]);
    expect(() => uncounted.length).toThrow(/not known beforehand/);
    expect(new Squares()).toBeInstanceOf(Dataset);
    expect([...new BatchSampler(new Backwards(data), 2, false)]).toEqual([[4, 3], [2, 1], [0]]);
  });

  it('arrays are samplers', () => {
    expect(values(new DataLoader(new Squares(), { batchSize: 2, sampler: [3, 0, 4] }))).toEqual([[9, 0], [16]]);
    expect(values(new DataLoader(new Squares(), { batchSampler: [[1], [2, 3]] }))).toEqual([[1], [4, 9]]);
    expect(() => new DataLoader(new Squares(), { sampler: 3 as never })).toThrow(/sampler is 3/);
  });
});
