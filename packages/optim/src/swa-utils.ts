/** Stochastic weight averaging, as `torch.optim.swa_utils` has it. */
export { AveragedModel } from './swa/averaged-model.ts';
export { updateBn } from './swa/update-bn.ts';
export { SWALR } from './schedulers/swa.ts';
