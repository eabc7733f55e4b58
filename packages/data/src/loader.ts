/** The data loader: batches of a dataset in the order of a sampler, from any place on. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import { defaultCollate, defaultConvert } from './collate.ts';
import { type Dataset, itemAt, positionOf } from './dataset.ts';
import { type SeedOptions, seedOf } from './random.ts';
import { BatchSampler, RandomSampler, type Sampler, SequentialSampler } from './samplers.ts';

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
  readonly collateFn?: ((items: unknown[]) => unknown) | null;
}

/** A place in the sequence of batches: `batch` batches of epoch `epoch` have been given. */
export interface LoaderState {
  readonly epoch: number;
  readonly batch: number;
  readonly seed: number;
}

/**
 * Iterates over batches; `for await` gives the event loop a turn before each. Each iteration is an epoch, also after one that was left in the
 * middle. `state()` and `loadState()` stop and go on anywhere, with the same batches as an uninterrupted run.
 */
export class DataLoader<B = unknown> implements Iterable<B>, AsyncIterable<B> {
  readonly dataset: Dataset<unknown>;
  readonly batchSize: number | null;
  readonly #sampler: Sampler;
  readonly #batches: Sampler<readonly number[]> | null;
  readonly #collate: (items: unknown[]) => unknown;
  readonly #collatesItself: boolean;
  #seed: number;
  readonly #shuffle: boolean;
  #epoch = 0;
  #batch = 0;
  #nextEpoch = 0;

  constructor(dataset: Dataset<unknown>, options: DataLoaderOptions = {}) {
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
    if (typeof dataset?.length !== 'number' || typeof dataset.at !== 'function')
      throw new ProjError('invalid-argument', `${describeValue(dataset)} where a dataset belongs`, {
        op,
        cure: 'Give an array, a TensorDataset, or an object with length and at(index)',
      });
    if (sampler !== null && shuffle)
      throw new ProjError('invalid-argument', 'sampler and shuffle exclude each other', {
        op,
        cure: 'Use a RandomSampler as sampler',
      });
    if (batchSampler !== null && (options.batchSize !== undefined || shuffle || sampler !== null || dropLast))
      throw new ProjError('invalid-argument', 'batchSampler excludes batchSize, shuffle, sampler and dropLast', { op });
    if (batchSize === null && dropLast) throw new ProjError('invalid-argument', 'dropLast needs a batchSize', { op });
    this.dataset = dataset;
    this.batchSize = batchSampler === null ? batchSize : null;
    this.#seed = shuffle ? seedOf({ seed, generator }) : (seed ?? 0);
    this.#shuffle = shuffle;
    this.#sampler = sampler ?? this.#ownSampler();
    this.#batches = batchSampler ?? (batchSize === null ? null : new BatchSampler(this.#sampler, batchSize, dropLast));
    this.#collatesItself = collateFn === null;
    this.#collate = collateFn ?? (this.#batches === null ? (items) => defaultConvert(items[0]) : defaultCollate);
  }

  #ownSampler(): Sampler {
    if (!this.#shuffle) return new SequentialSampler(this.dataset);
    // The seed may be replaced by loadState.
    const { dataset } = this;
    const seedNow = (): number => this.#seed;
    let epoch = 0;
    return {
      get length() {
        return dataset.length;
      },
      setEpoch(next: number) {
        epoch = next;
      },
      [Symbol.iterator]() {
        const inner = new RandomSampler(dataset, { seed: seedNow() });
        inner.setEpoch(epoch);
        return inner[Symbol.iterator]();
      },
    };
  }

  /** Batches in an epoch. */
  get length(): number {
    return (this.#batches ?? this.#sampler).length;
  }

  *[Symbol.iterator](): Generator<B> {
    const source = this.#batches ?? this.#sampler;
    const epoch = this.#nextEpoch++;
    // Where `loadState` has put it, it goes on; what another iteration left there is over.
    const skipped = epoch === this.#epoch ? this.#batch : 0;
    source.setEpoch?.(epoch);
    let position = 0;
    for (const entry of source as Iterable<number | readonly number[]>) {
      if (position++ < skipped) continue;
      const batch = this.#load(typeof entry === 'number' ? [entry] : entry);
      [this.#epoch, this.#batch] = [epoch, position];
      yield batch as B;
    }
    [this.#epoch, this.#batch] = [epoch + 1, 0];
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<B> {
    for (const batch of this) {
      await new Promise<void>((resolve) => (globalThis.setImmediate ?? globalThis.setTimeout)(resolve));
      yield batch;
    }
  }

  #load(indices: readonly number[]): unknown {
    const { dataset } = this;
    if (this.#collatesItself && this.#batches !== null && dataset.batch !== undefined)
      return dataset.batch(indices.map((index) => positionOf(dataset, index)));
    return this.#collate(indices.map((index) => itemAt(dataset, index)));
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
