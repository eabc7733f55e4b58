/** Datasets and data loaders with the names of `torch.utils.data`, and readers of the formats they come in. */
export { ConcatDataset, Dataset, itemAt, randomSplit, Subset, TensorDataset } from './dataset.ts';
export {
  BatchSampler,
  DistributedSampler,
  type DistributedSamplerOptions,
  RandomSampler,
  type RandomSamplerOptions,
  Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
} from './samplers.ts';
export { ChainDataset, IterableDataset } from './iterable-dataset.ts';
export type { CollateFunction } from './batches.ts';
export { DataLoader, type DataLoaderOptions, type LoaderState } from './loader.ts';
export { defaultCollate, defaultConvert } from './collate.ts';
export { type IdxArray, loadIdx, readIdx } from './idx.ts';
export { findDataFolder, MNIST, MNIST_STATISTICS, type MnistOptions } from './mnist.ts';
export { CharacterVocabulary, readText, splitText, TextWindows } from './text.ts';
export { RandomStream, type SeedOptions } from './random.ts';
