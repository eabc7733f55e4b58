/** Neural-network modules with the names of torch.nn. Functional forms, initialisers and utilities are sub-paths. */
export {
  type ForwardHook,
  type ForwardPreHook,
  type HookHandle,
  type LoadResult,
  Module,
  type NamedOptions,
  type StateDict,
} from './module.ts';
export { Parameter } from './parameter.ts';
export * from './modules/activations.ts';
export * from './modules/attention.ts';
export * from './modules/containers.ts';
export * from './modules/convolution.ts';
export * from './modules/dropout.ts';
export * from './modules/embedding.ts';
export {
  Bilinear,
  type FactoryOptions,
  Flatten,
  type FlattenOptions,
  Identity,
  Linear,
  type LinearOptions,
  Unflatten,
} from './modules/linear.ts';
export * from './modules/adaptive-softmax.ts';
export * from './modules/lazy.ts';
export * from './modules/losses.ts';
export * from './modules/normalization.ts';
export * from './modules/pooling.ts';
export * from './modules/recurrent.ts';
export * from './modules/vision.ts';
export { PackedSequence } from './modules/packed-sequence.ts';
