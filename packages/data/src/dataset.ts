/** Datasets: anything with a length and items by index, arrays included. */
import { ProjError } from '@proj/kernel';
import { takeNode, wrap } from '@proj/tensor/graph';
import { fromArray, Tensor } from '@proj/tensor';
import { RandomStream, type SeedOptions, seedOf } from './random.ts';

/** A map-style dataset: extend it, implement it, or give an array, which is one. */
export abstract class Dataset<T> {
  abstract readonly length: number;
  abstract at(index: number): T | undefined;
  /** The collated batch of several items at once, where that is faster than one by one. */
  batch?(indices: ArrayLike<number>): unknown;
}

/** The place from the front that `index` means (negative ones count from the end); throws `index-out-of-range` when there is none. */
export function positionOf({ length }: Pick<Dataset<unknown>, 'length'>, index: number): number {
  if (!Number.isInteger(index) || index < -length || index >= length)
    throw new ProjError('index-out-of-range', `item ${index} of a dataset of ${length}`, {
      op: 'Dataset',
      cure: length === 0 ? 'It is empty' : `Indices lie in 0 … ${length - 1}`,
    });
  return index < 0 ? index + length : index;
}

/** The item at `index`; throws `index-out-of-range` when there is none. */
export const itemAt = <T>(dataset: Dataset<T>, index: number): T => dataset.at(positionOf(dataset, index)) as T;

/** Rows of tensors: item i is `[tensors[0][i], tensors[1][i], …]`. Errors: first dimensions that differ. */
export class TensorDataset implements Dataset<Tensor[]> {
  readonly tensors: readonly Tensor[];
  readonly length: number;

  constructor(...tensors: readonly Tensor[]) {
    const [first] = tensors;
    if (tensors.some((t) => !(t instanceof Tensor)))
      throw new ProjError('invalid-argument', 'an argument is no tensor', {
        op: 'TensorDataset',
        cure: 'Give tensors: tensor([…]); an array of items is a dataset as it is',
      });
    if (first === undefined || tensors.some((t) => t.ndim === 0 || t.shape[0] !== first.shape[0])) {
      throw new ProjError('shape-mismatch', 'the tensors must have first dimensions of one size', {
        op: 'TensorDataset',
        shapes: tensors.map((t) => t.shape),
        dtypes: tensors.map((t) => t.dtype),
      });
    }
    this.tensors = tensors.map((t) => t.detach());
    this.length = first.shape[0];
  }
  at(index: number): Tensor[] {
    return this.tensors.map((t) => t.select(0, index));
  }
  batch(indices: ArrayLike<number>): Tensor[] {
    const rows = Int32Array.from(indices, (i) => positionOf(this, i));
    return this.tensors.map((t) =>
      wrap(takeNode(t.node, fromArray(rows, [rows.length], 'int64', { device: t.device }).node)),
    );
  }
}

/** Some items of a dataset, in the given order. */
export class Subset<T> implements Dataset<T> {
  readonly dataset: Dataset<T>;
  readonly indices: ArrayLike<number>;
  batch?: (indices: ArrayLike<number>) => unknown;

  constructor(dataset: Dataset<T>, indices: ArrayLike<number>) {
    this.dataset = dataset;
    this.indices = indices;
    if (dataset.batch !== undefined)
      this.batch = (chosen) =>
        dataset.batch?.(Array.from(chosen, (i) => positionOf(dataset, this.indices[positionOf(this, i)])));
  }
  get length(): number {
    return this.indices.length;
  }
  at(index: number): T {
    return itemAt(this.dataset, this.indices[positionOf(this, index)]);
  }
}

/** Datasets one after the other. */
export class ConcatDataset<T> implements Dataset<T> {
  readonly datasets: readonly Dataset<T>[];
  /** Where each dataset ends. */
  readonly cumulativeSizes: readonly number[];

  constructor(datasets: Iterable<Dataset<T>>) {
    this.datasets = [...datasets];
    if (this.datasets.length === 0)
      throw new ProjError('invalid-argument', 'the list of datasets is empty', { op: 'ConcatDataset' });
    if (this.datasets.some((dataset) => typeof dataset?.at !== 'function'))
      throw new ProjError('invalid-argument', 'a dataset has no at(index)', {
        op: 'ConcatDataset',
        cure: 'Datasets that are only iterated go into a ChainDataset',
      });
    let end = 0;
    this.cumulativeSizes = this.datasets.map((dataset) => (end += dataset.length));
  }
  get length(): number {
    return this.cumulativeSizes.at(-1) ?? 0;
  }
  at(index: number): T {
    const position = positionOf(this, index);
    const which = this.cumulativeSizes.findIndex((end) => position < end);
    return itemAt(this.datasets[which], position - (which === 0 ? 0 : this.cumulativeSizes[which - 1]));
  }
}

/**
 * Disjoint random parts of a dataset: lengths that add up to its length, or shares that add up to 1 (what rounding leaves over goes to the
 * first parts, one each).
 */
export function randomSplit<T>(
  dataset: Dataset<T>,
  lengths: readonly number[],
  options: SeedOptions = {},
): Subset<T>[] {
  const op = 'randomSplit';
  const total = lengths.reduce((sum, x) => sum + x, 0);
  let sizes = [...lengths];
  if (
    Math.abs(total - 1) < 1e-9 &&
    total <= 1 + 1e-9 &&
    !lengths.every((x) => Number.isInteger(x) && dataset.length === total)
  ) {
    sizes = lengths.map((share) => Math.floor(dataset.length * share + 1e-9));
    const rest = dataset.length - sizes.reduce((sum, x) => sum + x, 0);
    for (let i = 0; i < rest; i++) sizes[i % sizes.length]++;
  } else if (total !== dataset.length) {
    throw new ProjError(
      'invalid-argument',
      `lengths ${lengths.join(', ')} do not add up to the ${dataset.length} items of the dataset`,
      { op, cure: 'Give lengths with that sum, or shares with sum 1' },
    );
  }
  if (sizes.some((size) => !Number.isInteger(size) || size < 0))
    throw new ProjError('invalid-argument', `lengths are ${lengths.join(', ')}`, {
      op,
      cure: 'Give whole numbers that are at least 0, or shares with sum 1',
    });
  const order = new RandomStream(seedOf(options)).permutation(dataset.length);
  let at = 0;
  return sizes.map((size) => new Subset(dataset, order.slice(at, (at += size))));
}
