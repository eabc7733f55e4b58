/** Setting parameters to zero, element by element or in channels, as torch.nn.utils.prune. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { onesLike, type Tensor } from '@proj/tensor';
import { derivedFields, type Module, removeField } from '../module.ts';
import type { Parameter } from '../parameter.ts';
import { requireTensor } from './fields.ts';
import { type Amount } from './prune/amount.ts';
import { type BasePruningMethod, maskWithin, PrunedField, pruningOf } from './prune/method.ts';
import { customFromMask } from './prune/unstructured.ts';
import { parametersToVector } from './vectors.ts';

export type { Amount } from './prune/amount.ts';
export { BasePruningMethod, type ImportanceOptions, PruningContainer, type PruningType } from './prune/method.ts';
export * from './prune/structured.ts';
export * from './prune/unstructured.ts';

export interface GlobalOptions {
  /** The amount that the method is made with. */
  readonly amount?: Amount | null;
  /** Numbers by which elements of some of the parameters are compared, in place of their own. */
  readonly importanceScores?: Iterable<readonly [Module, string, Tensor]>;
}
/**
 * Prunes several parameters as if they were one: the elements are compared across all of them. Each gets its part of the mask. Errors: a method that is
 * not unstructured.
 */
export function globalUnstructured(
  parameters: Iterable<readonly [Module, string]>,
  pruningMethod: new (amount: Amount) => BasePruningMethod,
  options: GlobalOptions = {},
): void {
  const op = 'globalUnstructured';
  const { amount, importanceScores } = withDefaults(op, { amount: null, importanceScores: [] }, options);
  const method = amount === null ? new (pruningMethod as new () => BasePruningMethod)() : new pruningMethod(amount);
  if (method.pruningType !== 'unstructured')
    throw new ProjError('invalid-argument', `${method.constructor.name} is a ${method.pruningType} method`, {
      op,
      cure: 'Use an unstructured one: L1Unstructured, RandomUnstructured',
    });
  const given = [...importanceScores];
  const all = [...parameters].map(([module, name]) => {
    const pruned = pruningOf(module, name);
    const value = pruned === null ? requireTensor(op, module, name).value : noGrad(() => pruned.field.compute(module));
    const mask = pruned === null ? onesLike(value.detach()) : (Reflect.get(module, pruned.field.mask) as Tensor);
    const scores = given.find(([other, of]) => other === module && of === name)?.[2] ?? value;
    return { module, name, mask, scores: scores.detach() };
  });
  noGrad(() => {
    const scores = parametersToVector(all.map((one) => one.scores));
    const mask = maskWithin(method, scores, parametersToVector(all.map((one) => one.mask.to(scores.dtype))));
    let offset = 0;
    for (const one of all) {
      const count = one.mask.numel();
      customFromMask(one.module, one.name, mask.narrow(0, offset, count).reshape([...one.mask.shape]));
      offset += count;
    }
  });
}

/** Makes a pruned parameter a plain one, with zeros where it was pruned. Gives the module. Errors: it is not pruned. */
export function remove<M extends Module>(module: M, name: string): M {
  const pruned = pruningOf(module, name);
  if (pruned === null)
    throw new ProjError('invalid-argument', `"${name}" of ${module.constructor.name} is not pruned`, {
      op: 'prune.remove',
      cure: 'Name a parameter that was pruned',
    });
  const { key, field } = pruned;
  // The same parameter, so that an optimiser keeps what it has.
  const parameter = Reflect.get(module, field.original) as Parameter;
  noGrad(() => void parameter.assign(field.compute(module).node));
  for (const gone of [key, field.original, field.mask]) removeField(module, gone);
  module.registerParameter(key, parameter);
  return module;
}
/** Whether any parameter of a module or below is pruned. */
export function isPruned(module: Module): boolean {
  return [...module.modules()].some((one) =>
    [...derivedFields(one).values()].some((field) => field instanceof PrunedField),
  );
}
