/** The schedulers alone, as `torch.optim.lr_scheduler` has them. */
export { LRScheduler } from './schedulers/scheduler.ts';
export {
  ConstantLR,
  ExponentialLR,
  LambdaLR,
  LinearLR,
  MultiplicativeLR,
  MultiStepLR,
  PolynomialLR,
  StepLR,
} from './schedulers/decay.ts';
export { CosineAnnealingLR, CosineAnnealingWarmRestarts } from './schedulers/cosine.ts';
export { CyclicLR, OneCycleLR } from './schedulers/cycle.ts';
export { ChainedScheduler, SequentialLR } from './schedulers/combine.ts';
export { ReduceLROnPlateau } from './schedulers/plateau.ts';
