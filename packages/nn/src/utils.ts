/**
 * torch.nn.utils: gradients and parameters of whole models, packed sequences, and weights that are computed from others (normalised, parametrised,
 * pruned). PyTorch's modules `parametrize`, `parametrizations`, `prune`, `stateless` and `fusion` are objects of these names.
 */
export * from './modules/packed-sequence.ts';
export { clipGradNorm_, clipGradValue_, type ClipNormOptions } from './utils/gradients.ts';
export { parametersToVector, vectorToParameters } from './utils/vectors.ts';
export type { NameOptions } from './utils/fields.ts';
export { removeWeightNorm, weightNorm, type WeightNormOptions } from './utils/weight-norm.ts';
export { removeSpectralNorm, spectralNorm } from './utils/spectral-norm.ts';
export type { SpectralNormOptions } from './utils/power-iteration.ts';
export { skipInit } from './utils/skip-init.ts';
export {
  type BatchNormLike,
  fuseConvBnEval,
  fuseConvBnWeights,
  type FuseOptions,
  type WeightAndBias,
} from './utils/fusion.ts';
export * as fusion from './utils/fusion.ts';
export * as parametrizations from './utils/parametrizations.ts';
export * as parametrize from './utils/parametrize.ts';
export * as prune from './utils/prune.ts';
export * as stateless from './utils/stateless.ts';
