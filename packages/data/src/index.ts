/** Datasets and data loaders with the names of `torch.utils.data`, and readers of the formats they come in. */
export { ConcatDataset, type Dataset, itemAt, randomSplit, Subset, TensorDataset } from './dataset.ts';
export {
  BatchSampler,
  DistributedSampler,
  type DistributedSamplerOptions,
  RandomSampler,
  type RandomSamplerOptions,
  type Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
} from './samplers.ts';
export { DataLoader, type DataLoaderOptions, type LoaderState } from './loader.ts';
export { defaultCollate, defaultConvert } from './collate.ts';
export { type IdxArray, loadIdx, readIdx } from './idx.ts';
export { findDataFolder, MNIST, MNIST_STATISTICS, type MnistOptions } from './mnist.ts';
export { CharacterVocabulary, readText, splitText, TextWindows } from './text.ts';
export { RandomStream, type SeedOptions } from './random.ts';
