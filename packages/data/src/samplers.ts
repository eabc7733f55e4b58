/** Samplers: orders in which a loader visits a dataset. Random ones are a function of their seed and the epoch, so that any epoch can be had again. */
import { describeValue, ProjError, withDefaults } from '@proj/kernel';
import type { Dataset } from './dataset.ts';
import { RandomStream, type SeedOptions, seedOf } from './random.ts';

// What may be left out stands in an interface, so that a subclass may make a field or an accessor of it.
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export interface Sampler<T = number> extends Iterable<T> {
  /** Entries in an iteration. Without it the loader has no length either. */
  readonly length?: number;
  /** Makes the next iteration that of epoch `epoch`. */
  setEpoch?(epoch: number): void;
}
/** An order of indices: extend it, implement it, or give an array. */
export abstract class Sampler<T = number> implements Iterable<T> {
  abstract [Symbol.iterator](): Iterator<T>;
}

/** How many entries `sampler` gives. Errors (`invalid-argument`): it does not know. */
export function lengthOf({ length }: { readonly length?: number }, op: string): number {
  if (typeof length === 'number') return length;
  throw new ProjError('invalid-argument', 'the number of batches is not known beforehand', {
    op,
    cure: 'Give the sampler, or the dataset that is iterated, a length',
  });
}

export const requireCount = (op: string, name: string, value: number): void => {
  if (!Number.isInteger(value) || value <= 0)
    throw new ProjError('invalid-argument', `${name} is ${describeValue(value)}`, {
      op,
      cure: 'It must be a positive integer',
    });
};

/** 0, 1, 2, … */
export class SequentialSampler extends Sampler {
  readonly dataSource: { readonly length: number };
  constructor(dataSource: { readonly length: number }) {
    super();
    this.dataSource = dataSource;
  }
  override get length(): number {
    return this.dataSource.length;
  }
  *[Symbol.iterator](): Generator<number> {
    for (let i = 0; i < this.length; i++) yield i;
  }
}

/** Random samplers: every iteration is a new epoch unless `setEpoch` says which. */
abstract class RandomEpochs extends Sampler {
  readonly seed: number;
  #epoch = 0;
  constructor(seed: number) {
    super();
    this.seed = seed;
  }
  abstract override readonly length: number;
  protected abstract draw(random: RandomStream): Iterable<number>;
  override setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }
  [Symbol.iterator](): Iterator<number> {
    return this.draw(new RandomStream(this.seed, this.#epoch++))[Symbol.iterator]();
  }
}

export interface RandomSamplerOptions extends SeedOptions {
  /** Items may come several times. */
  readonly replacement?: boolean;
  /** Items in an iteration (default: the length of the dataset). */
  readonly numSamples?: number | null;
}

/** Items in random order. */
export class RandomSampler extends RandomEpochs {
  readonly dataSource: { readonly length: number };
  readonly replacement: boolean;
  readonly #numSamples: number | null;
  constructor(dataSource: { readonly length: number }, options: RandomSamplerOptions = {}) {
    const { replacement, numSamples, ...rest } = withDefaults(
      'RandomSampler',
      { replacement: false, numSamples: null, seed: null, generator: null },
      options,
    );
    super(seedOf(rest));
    if (numSamples !== null) requireCount('RandomSampler', 'numSamples', numSamples);
    this.dataSource = dataSource;
    this.replacement = replacement;
    this.#numSamples = numSamples;
  }
  get length(): number {
    return this.#numSamples ?? this.dataSource.length;
  }
  protected *draw(random: RandomStream): Generator<number> {
    const n = this.dataSource.length;
    if (n === 0 && this.length > 0)
      throw new ProjError('data-loading', `${this.length} samples of an empty dataset`, {
        op: 'RandomSampler',
        cure: 'Give a dataset with items',
      });
    if (this.replacement) {
      for (let i = 0; i < this.length; i++) yield random.below(n);
      return;
    }
    for (let left = this.length; left > 0; left -= n) yield* random.permutation(n).subarray(0, Math.min(left, n));
  }
}

/** The given indices in random order. */
export class SubsetRandomSampler extends RandomEpochs {
  readonly indices: ArrayLike<number>;
  constructor(indices: ArrayLike<number>, options: SeedOptions = {}) {
    super(seedOf(withDefaults('SubsetRandomSampler', { seed: null, generator: null }, options)));
    this.indices = indices;
  }
  get length(): number {
    return this.indices.length;
  }
  protected *draw(random: RandomStream): Generator<number> {
    for (const i of random.permutation(this.length)) yield this.indices[i];
  }
}

/** Indices 0 … weights.length-1, each with a probability in proportion to its weight. */
export class WeightedRandomSampler extends RandomEpochs {
  readonly weights: readonly number[];
  readonly length: number;
  readonly replacement: boolean;
  constructor(
    weights: Iterable<number>,
    numSamples: number,
    options: SeedOptions & { readonly replacement?: boolean } = {},
  ) {
    const { replacement, ...rest } = withDefaults(
      'WeightedRandomSampler',
      { replacement: true, seed: null, generator: null },
      options,
    );
    super(seedOf(rest));
    const op = 'WeightedRandomSampler';
    requireCount(op, 'numSamples', numSamples);
    this.weights = [...weights];
    if (this.weights.some((w) => !(w >= 0 && w < Infinity)) || !this.weights.some((w) => w > 0))
      throw new ProjError('invalid-argument', 'weights must be finite, at least 0, and not all 0', { op });
    if (!replacement && numSamples > this.weights.filter((w) => w > 0).length)
      throw new ProjError('invalid-argument', `${numSamples} samples without replacement from fewer weights above 0`, {
        op,
        cure: 'Ask for fewer, or with replacement',
      });
    this.length = numSamples;
    this.replacement = replacement;
  }
  protected *draw(random: RandomStream): Generator<number> {
    if (!this.replacement) {
      // The largest of u^(1/w) are a weighted sample (Efraimidis and Spirakis 2006).
      const keys = this.weights.map((w) => (w === 0 ? -1 : random.uniform() ** (1 / w)));
      yield* keys
        .map((_, i) => i)
        .toSorted((a, b) => keys[b] - keys[a])
        .slice(0, this.length);
      return;
    }
    let sum = 0;
    const cumulative = this.weights.map((w) => (sum += w));
    for (let k = 0; k < this.length; k++) {
      const target = random.uniform() * sum;
      let low = 0;
      let high = cumulative.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (cumulative[middle] > target) high = middle;
        else low = middle + 1;
      }
      yield low;
    }
  }
}

/** Lists of `batchSize` indices of a sampler. */
export class BatchSampler extends Sampler<number[]> {
  readonly sampler: Sampler;
  readonly batchSize: number;
  readonly dropLast: boolean;
  constructor(sampler: Sampler, batchSize: number, dropLast: boolean) {
    super();
    requireCount('BatchSampler', 'batchSize', batchSize);
    this.sampler = sampler;
    this.batchSize = batchSize;
    this.dropLast = dropLast;
  }
  override get length(): number {
    const length = lengthOf(this.sampler, 'BatchSampler');
    return this.dropLast ? Math.floor(length / this.batchSize) : Math.ceil(length / this.batchSize);
  }
  override setEpoch(epoch: number): void {
    this.sampler.setEpoch?.(epoch);
  }
  *[Symbol.iterator](): Generator<number[]> {
    let batch: number[] = [];
    for (const index of this.sampler) {
      batch.push(index);
      if (batch.length < this.batchSize) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0 && !this.dropLast) yield batch;
  }
}

export interface DistributedSamplerOptions {
  readonly numReplicas: number;
  readonly rank: number;
  /** Default true. */
  readonly shuffle?: boolean;
  readonly seed?: number;
  readonly dropLast?: boolean;
}

/** The part of one process: every `numReplicas`-th index. Without `dropLast` the first indices are repeated until all parts are equally long. */
export class DistributedSampler extends Sampler {
  readonly dataset: Pick<Dataset<unknown>, 'length'>;
  override readonly length: number;
  readonly #options: Required<DistributedSamplerOptions>;
  #epoch = 0;
  constructor(dataset: Pick<Dataset<unknown>, 'length'>, options: DistributedSamplerOptions) {
    super();
    this.#options = withDefaults(
      'DistributedSampler',
      { numReplicas: 0, rank: 0, shuffle: true, seed: 0, dropLast: false },
      options,
    );
    const { numReplicas, rank, dropLast } = this.#options;
    requireCount('DistributedSampler', 'numReplicas', numReplicas);
    if (!Number.isInteger(rank) || rank < 0 || rank >= numReplicas)
      throw new ProjError('invalid-argument', `rank is ${rank}`, {
        op: 'DistributedSampler',
        cure: `It must lie in 0 … ${numReplicas - 1}`,
      });
    this.dataset = dataset;
    this.length = dropLast ? Math.floor(dataset.length / numReplicas) : Math.ceil(dataset.length / numReplicas);
  }
  /** Call before each epoch for a new order. */
  override setEpoch(epoch: number): void {
    this.#epoch = epoch;
  }
  *[Symbol.iterator](): Generator<number> {
    const { numReplicas, rank, shuffle, seed } = this.#options;
    const n = this.dataset.length;
    const order = shuffle ? new RandomStream(seed, this.#epoch).permutation(n) : null;
    for (let k = 0; k < this.length; k++) {
      const position = (rank + k * numReplicas) % n;
      yield order === null ? position : order[position];
    }
  }
}
