/** Where a loader's batches come from: indices of a sampler, or items in the order of their dataset. */
import { describeValue, ProjError } from '@proj/kernel';
import { defaultCollate, defaultConvert } from './collate.ts';
import { type Dataset, itemAt, positionOf } from './dataset.ts';
import { awaitedItemsOf, type IterableDataset, itemsOf } from './iterable-dataset.ts';
import { BatchSampler, lengthOf, requireCount, type Sampler } from './samplers.ts';

/** Makes a batch of items. */
export type CollateFunction = (items: unknown[]) => unknown;

export interface BatchSource {
  /** Batches in an epoch. */
  readonly length: number;
  /** The batches of an epoch, from number `from` on. */
  batches(epoch: number, from: number): Iterable<unknown>;
  /** The same, for items that may come with promises. */
  awaitedBatches(epoch: number, from: number): AsyncIterable<unknown> | Iterable<unknown>;
}

const op = 'DataLoader';

interface Batching {
  readonly batchSize: number | null;
  readonly dropLast: boolean;
  readonly collateFn: CollateFunction | null;
}

/** Batches of a map-style dataset, in the order of a sampler. */
export class IndexedBatches implements BatchSource {
  readonly #dataset: Dataset<unknown>;
  readonly #order: Sampler | Sampler<readonly number[]>;
  readonly #collate: CollateFunction;
  /** The dataset's own way to make a batch, where it has one and nobody asked for another. */
  readonly #whole: ((indices: readonly number[]) => unknown) | null;

  constructor(
    dataset: Dataset<unknown>,
    {
      sampler,
      batchSampler,
      batchSize,
      dropLast,
      collateFn,
    }: Batching & { readonly sampler: Sampler; readonly batchSampler: Sampler<readonly number[]> | null },
  ) {
    for (const [name, value] of Object.entries({ sampler, batchSampler }))
      if (value !== null && typeof value[Symbol.iterator] !== 'function')
        throw new ProjError('invalid-argument', `${name} is ${describeValue(value)}`, {
          op,
          cure: 'Give a Sampler, or an array of indices',
        });
    this.#dataset = dataset;
    const batches = batchSampler ?? (batchSize === null ? null : new BatchSampler(sampler, batchSize, dropLast));
    this.#order = batches ?? sampler;
    this.#collate = collateFn ?? (batches === null ? (items) => defaultConvert(items[0]) : defaultCollate);
    this.#whole =
      collateFn === null && batches !== null && dataset.batch !== undefined
        ? (indices) => dataset.batch?.(indices.map((index) => positionOf(dataset, index)))
        : null;
  }
  get length(): number {
    return lengthOf(this.#order, op);
  }
  *batches(epoch: number, from: number): Generator<unknown> {
    this.#order.setEpoch?.(epoch);
    let position = 0;
    for (const entry of this.#order as Iterable<number | readonly number[]>) {
      if (position++ < from) continue;
      const indices = typeof entry === 'number' ? [entry] : entry;
      yield this.#whole?.(indices) ?? this.#collate(indices.map((index) => itemAt(this.#dataset, index)));
    }
  }
  awaitedBatches(epoch: number, from: number): Iterable<unknown> {
    return this.batches(epoch, from);
  }
}

/** Batches of a dataset that is only iterated, in its own order. */
export class IteratedBatches implements BatchSource {
  readonly #dataset: IterableDataset<unknown>;
  readonly #batchSize: number | null;
  readonly #dropLast: boolean;
  readonly #collate: CollateFunction;

  constructor(dataset: IterableDataset<unknown>, { batchSize, dropLast, collateFn }: Batching) {
    if (batchSize !== null) requireCount(op, 'batchSize', batchSize);
    this.#dataset = dataset;
    this.#batchSize = batchSize;
    this.#dropLast = dropLast;
    this.#collate = collateFn ?? (batchSize === null ? (items) => defaultConvert(items[0]) : defaultCollate);
  }
  get length(): number {
    const items = lengthOf(this.#dataset, op) / (this.#batchSize ?? 1);
    return this.#dropLast ? Math.floor(items) : Math.ceil(items);
  }
  /** Takes items and gives the batches that they fill up; without an item, what is left over. */
  #gather(from: number): (item?: { readonly value: unknown }) => unknown[] {
    const size = this.#batchSize ?? 1;
    let passed = from * size;
    let items: unknown[] = [];
    return (item) => {
      if (item === undefined) return items.length === 0 || this.#dropLast ? [] : [this.#collate(items)];
      if (passed > 0) passed--;
      else items.push(item.value);
      if (items.length < size) return [];
      const full = items;
      items = [];
      return [this.#collate(full)];
    };
  }
  *batches(epoch: number, from: number): Generator<unknown> {
    const items = itemsOf(this.#dataset, op);
    this.#dataset.setEpoch?.(epoch);
    const gather = this.#gather(from);
    for (const value of items) yield* gather({ value });
    yield* gather();
  }
  async *awaitedBatches(epoch: number, from: number): AsyncGenerator<unknown> {
    this.#dataset.setEpoch?.(epoch);
    const gather = this.#gather(from);
    for await (const value of awaitedItemsOf(this.#dataset)) yield* gather({ value });
    yield* gather();
  }
}
