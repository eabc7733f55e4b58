/** Datasets without indices: items that come one after the other, at once or with promises. */
import { describeValue, ProjError } from '@proj/kernel';

/** Items that come at once, or with promises. */
export interface Iterated<T> {
  [Symbol.iterator]?(): Iterator<T>;
  [Symbol.asyncIterator]?(): AsyncIterator<T>;
}

// What may be left out stands in an interface, so that a subclass may make a field, a method or an accessor of it.
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export interface IterableDataset<T> extends Iterated<T> {
  /** Items in an iteration, where that is known. */
  readonly length?: number;
  /** Makes the next iteration that of epoch `epoch`: for an order that is new in each epoch and yet can be had again. */
  setEpoch?(epoch: number): void;
}
/**
 * A dataset that is only iterated: extend it, or give anything that can be iterated. Each iteration begins anew. One with `[Symbol.iterator]` is read in
 * either kind of loop, one with `[Symbol.asyncIterator]` alone in `for await`.
 */
export abstract class IterableDataset<T> implements Iterated<T> {}

/** Whether `value` is an object that can be iterated. */
export const isIterated = (value: unknown): value is IterableDataset<unknown> =>
  typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);

/** The items at once. Errors (`data-loading`): they come with promises. */
export function itemsOf<T>(dataset: IterableDataset<T>, op: string): Iterable<T> {
  if (dataset[Symbol.iterator] !== undefined) return dataset as Iterable<T>;
  throw new ProjError('data-loading', 'the items have to be waited for', { op, cure: 'Write for await (… of …)' });
}
/** The items, waited for where they come with promises. */
export const awaitedItemsOf = <T>(dataset: IterableDataset<T>): AsyncIterable<T> | Iterable<T> =>
  dataset as AsyncIterable<T> | Iterable<T>;

/** Datasets that are iterated, one after the other. */
export class ChainDataset<T> extends IterableDataset<T> {
  readonly datasets: readonly IterableDataset<T>[];

  constructor(datasets: Iterable<IterableDataset<T>>) {
    super();
    this.datasets = [...datasets];
    const odd = this.datasets.find((dataset) => !isIterated(dataset));
    if (odd !== undefined)
      throw new ProjError('invalid-argument', `${describeValue(odd)} cannot be iterated`, {
        op: 'ChainDataset',
        cure: 'Datasets with length and at(index) go into a ConcatDataset',
      });
  }
  /** Undefined where the length of one is not known. */
  override get length(): number | undefined {
    return this.datasets.reduce<number | undefined>(
      (sum, { length }) => (sum === undefined || typeof length !== 'number' ? undefined : sum + length),
      0,
    );
  }
  override setEpoch(epoch: number): void {
    for (const dataset of this.datasets) dataset.setEpoch?.(epoch);
  }
  override *[Symbol.iterator](): Generator<T> {
    for (const dataset of this.datasets) yield* itemsOf(dataset, 'ChainDataset');
  }
  override async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (const dataset of this.datasets) yield* awaitedItemsOf(dataset);
  }
}
