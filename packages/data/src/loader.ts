/** The data loader: the batches of a dataset, epoch after epoch, from any place on. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { type BatchSource, type CollateFunction, IndexedBatches, IteratedBatches } from './batches.ts';
import type { Dataset } from './dataset.ts';
import { isIterated, type IterableDataset } from './iterable-dataset.ts';
import { type SeedOptions, seedOf } from './random.ts';
import { RandomSampler, type Sampler, SequentialSampler } from './samplers.ts';

export interface DataLoaderOptions extends SeedOptions {
  /** Items in a batch (default 1); null: items one by one, without a batch dimension. */
  readonly batchSize?: number | null;
  /** A new random order in each epoch. */
  readonly shuffle?: boolean;
  readonly sampler?: Sampler | null;
  /** Lists of indices; instead of batchSize, shuffle, sampler and dropLast. */
  readonly batchSampler?: Sampler<readonly number[]> | null;
  /** Leaves out a last batch that is not full. */
  readonly dropLast?: boolean;
  readonly collateFn?: CollateFunction | null;
}

/** A place in the sequence of batches: `batch` batches of epoch `epoch` have been given. */
export interface LoaderState {
  readonly epoch: number;
  readonly batch: number;
  readonly seed: number;
}

const isMapStyle = (dataset: unknown): dataset is Dataset<unknown> =>
  typeof dataset === 'object' &&
  dataset !== null &&
  'length' in dataset &&
  typeof dataset.length === 'number' &&
  'at' in dataset &&
  typeof dataset.at === 'function';

/** A new order in each epoch, by the seed of the moment: `loadState` may replace it. */
function shuffled(dataset: { readonly length: number }, seed: () => number): Sampler {
  let epoch = 0;
  return {
    get length() {
      return dataset.length;
    },
    setEpoch(next: number) {
      epoch = next;
    },
    [Symbol.iterator]() {
      const inner = new RandomSampler(dataset, { seed: seed() });
      inner.setEpoch(epoch);
      return inner[Symbol.iterator]();
    },
  };
}

/**
 * Iterates over batches; `for await` gives the event loop a turn before each. Each iteration is an epoch, also after one that was left in the
 * middle. `state()` and `loadState()` stop and go on anywhere, with the same batches as an uninterrupted run; of a dataset that is
 * only iterated, the items before are made and passed over.
 */
export class DataLoader<B = unknown> implements Iterable<B>, AsyncIterable<B> {
  readonly dataset: Dataset<unknown> | IterableDataset<unknown>;
  readonly batchSize: number | null;
  readonly #source: BatchSource;
  #seed: number;
  #epoch = 0;
  #batch = 0;
  #nextEpoch = 0;

  constructor(dataset: Dataset<unknown> | IterableDataset<unknown>, options: DataLoaderOptions = {}) {
    const op = 'DataLoader';
    const { batchSize, shuffle, sampler, batchSampler, dropLast, collateFn, seed, generator } = withDefaults(
      op,
      {
        batchSize: 1,
        shuffle: false,
        sampler: null,
        batchSampler: null,
        dropLast: false,
        collateFn: null,
        seed: null,
        generator: null,
      },
      options,
    );
    if (batchSize === null && dropLast) throw new ProjError('invalid-argument', 'dropLast needs a batchSize', { op });
    this.dataset = dataset;
    this.batchSize = batchSampler === null ? batchSize : null;
    this.#seed = shuffle ? seedOf({ seed, generator }) : (seed ?? 0);
    if (isMapStyle(dataset)) {
      if (sampler !== null && shuffle)
        throw new ProjError('invalid-argument', 'sampler and shuffle exclude each other', {
          op,
          cure: 'Use a RandomSampler as sampler',
        });
      if (batchSampler !== null && (options.batchSize !== undefined || shuffle || sampler !== null || dropLast))
        throw new ProjError('invalid-argument', 'batchSampler excludes batchSize, shuffle, sampler and dropLast', {
          op,
        });
      this.#source = new IndexedBatches(dataset, {
        sampler: sampler ?? (shuffle ? shuffled(dataset, () => this.#seed) : new SequentialSampler(dataset)),
        batchSampler,
        batchSize,
        dropLast,
        collateFn,
      });
    } else if (isIterated(dataset)) {
      const refused = Object.entries({ shuffle, sampler, batchSampler }).find(
        ([, value]) => value !== false && value !== null,
      );
      if (refused !== undefined)
        throw new ProjError(
          'invalid-argument',
          `a dataset that is only iterated has an order of its own; ${refused[0]} cannot change it`,
          {
            op,
            cure: 'Shuffle where the items are made, or give the dataset length and at(index)',
          },
        );
      this.#source = new IteratedBatches(dataset, { batchSize, dropLast, collateFn });
    } else
      throw new ProjError('invalid-argument', `${describeValue(dataset)} where a dataset belongs`, {
        op,
        cure: 'Give an array, a TensorDataset, an object with length and at(index), or one that can be iterated',
      });
  }

  /** Batches in an epoch. Errors (`invalid-argument`): nobody knows, as the dataset that is iterated, or the sampler, has no length. */
  get length(): number {
    return this.#source.length;
  }

  /** The epoch that begins, and its first batch: where `loadState` has put it; what another iteration left there is over. */
  #begin(): { epoch: number; from: number } {
    const epoch = this.#nextEpoch++;
    return { epoch, from: epoch === this.#epoch ? this.#batch : 0 };
  }

  *[Symbol.iterator](): Generator<B> {
    const { epoch, from } = this.#begin();
    let batch = from;
    for (const value of this.#source.batches(epoch, from)) {
      [this.#epoch, this.#batch] = [epoch, ++batch];
      yield value as B;
    }
    [this.#epoch, this.#batch] = [epoch + 1, 0];
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<B> {
    const { epoch, from } = this.#begin();
    let batch = from;
    for await (const value of this.#source.awaitedBatches(epoch, from)) {
      await new Promise<void>((resolve) => (globalThis.setImmediate ?? globalThis.setTimeout)(resolve));
      [this.#epoch, this.#batch] = [epoch, ++batch];
      yield value as B;
    }
    [this.#epoch, this.#batch] = [epoch + 1, 0];
  }

  /** Where the iteration is. */
  state(): LoaderState {
    return { epoch: this.#epoch, batch: this.#batch, seed: this.#seed };
  }
  /** Makes the next iteration go on from there. */
  loadState({ epoch, batch, seed }: LoaderState): void {
    this.#epoch = epoch;
    this.#nextEpoch = epoch;
    this.#batch = batch;
    this.#seed = seed;
  }
}
