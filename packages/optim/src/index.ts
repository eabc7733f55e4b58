/** Optimisers and learning-rate schedulers with the names of `torch.optim`. */
export {
  Optimizer,
  type HookHandle,
  type OptimizerStateDict,
  type ParameterState,
  type ParamGroup,
  type ParamGroupInput,
  type Params,
  type StateDictValue,
} from './optimizer.ts';
export { SGD, type SGDOptions } from './optimizers/sgd.ts';
export { Adam, AdamW, type AdamOptions } from './optimizers/adam.ts';
export {
  Adamax,
  NAdam,
  RAdam,
  SparseAdam,
  type AdamVariantOptions,
  type NAdamOptions,
} from './optimizers/adam-variants.ts';
export {
  Adadelta,
  Adagrad,
  RMSprop,
  type AdadeltaOptions,
  type AdagradOptions,
  type RMSpropOptions,
} from './optimizers/adaptive.ts';
export { Rprop, type RpropOptions } from './optimizers/rprop.ts';
export { ASGD, type ASGDOptions } from './optimizers/asgd.ts';
export { LBFGS, type LBFGSOptions } from './optimizers/lbfgs.ts';
export {
  LRScheduler,
  type ScheduledGroup,
  type ScheduledOptimizer,
  type SchedulerOptions,
  type SchedulerState,
} from './schedulers/scheduler.ts';
export {
  ConstantLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  MultiplicativeLR,
  MultiStepLR,
  PolynomialLR,
  StepLR,
  type ConstantLROptions,
  type GammaOptions,
  type LinearLROptions,
  type LrFunction,
  type PolynomialLROptions,
} from './schedulers/decay.ts';
export {
  CosineAnnealingLR,
  CosineAnnealingWarmRestarts,
  type CosineOptions,
  type WarmRestartOptions,
} from './schedulers/cosine.ts';
export { CyclicLR, OneCycleLR, type CyclicLROptions, type OneCycleLROptions } from './schedulers/cycle.ts';
export { ChainedScheduler, SequentialLR } from './schedulers/combine.ts';
export { ReduceLROnPlateau, type PlateauOptions } from './schedulers/plateau.ts';
export * as lrScheduler from './lr-scheduler.ts';
export { SWALR, type SWALROptions } from './schedulers/swa.ts';
export {
  type AverageableModel,
  AveragedModel,
  type AveragedModelOptions,
  type AveragingFunction,
} from './swa/averaged-model.ts';
export { type NormalisedModel, updateBn } from './swa/update-bn.ts';
export * as swaUtils from './swa-utils.ts';
