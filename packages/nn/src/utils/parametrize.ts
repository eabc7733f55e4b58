/** Parameters that are computed from others by modules, as torch.nn.utils.parametrize. */
import { ProjError, runSynchronously, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import type { Tensor } from '@proj/tensor';
import { defineDerived, type DerivedField, type Module, removeField } from '../module.ts';
import { ModuleDict } from '../modules/containers.ts';
import { Parameter } from '../parameter.ts';
import { stateName } from '../state-names.ts';
import { findField, requireTensor } from './fields.ts';
import {
  inverseOf,
  type Parametrization,
  ParametrizationList,
  requireLike,
  withValue,
} from './parametrization-list.ts';

export { type Parametrization, ParametrizationList };

/** A module some of whose fields are parametrised. */
export interface Parametrized {
  /** What stands behind each parametrised field, by its name in state dicts. */
  readonly parametrizations: ModuleDict<ParametrizationList>;
}
export interface RegisterParametrizationOptions {
  /** The value may differ from the original in shape and dtype; nothing is checked. */
  readonly unsafe?: boolean;
}

let caching = 0;
const cache = new Map<ParametrizationList, Tensor>();
/** Runs `body`, in which each parametrised field is computed once, when it is first read. Errors: `body` is async. */
export function cached<T>(body: () => T): T {
  caching++;
  try {
    return runSynchronously('cached', body, 'Await before, and compute inside with the value');
  } finally {
    caching--;
    if (caching === 0) cache.clear();
  }
}
function valueOf(list: ParametrizationList): Tensor {
  const value = cache.get(list) ?? list.call();
  if (caching > 0) cache.set(list, value);
  return value;
}

const listsOf = (module: Module): ModuleDict<ParametrizationList> | undefined => {
  const lists: unknown = Reflect.get(module, 'parametrizations');
  return lists instanceof ModuleDict ? (lists as ModuleDict<ParametrizationList>) : undefined;
};
const listOf = (module: Module, name: string): ParametrizationList | undefined => {
  const lists = listsOf(module);
  return lists?.has(stateName(name)) === true ? lists.get(stateName(name)) : undefined;
};
/** A parametrised field. */
class ParametrizedField implements DerivedField {
  readonly op = 'registerParametrization';
  readonly name: string;
  constructor(key: string) {
    this.name = stateName(key);
  }
  #list(module: Module): ParametrizationList {
    return (module as Module & Parametrized).parametrizations.get(this.name);
  }
  compute(module: Module): Tensor {
    return valueOf(this.#list(module));
  }
  assign(module: Module, value: Tensor): void {
    this.#list(module).rightInverse(value);
  }
}

/** Whether a module has a parametrised field (of this name). */
export function isParametrized(module: Module, tensorName: string | null = null): boolean {
  return tensorName === null ? (listsOf(module)?.size ?? 0) > 0 : listOf(module, tensorName) !== undefined;
}

/**
 * Computes parameter or buffer `tensorName` by a module from now on; on one that is parametrised already the new module comes last. The original moves to
 * `parametrizations.weight.original`. If the parametrization has a `rightInverse`, the original becomes that of the present value, and the field can be
 * assigned to. Gives the module. Errors: no such tensor; a value of another shape or dtype, unless `unsafe`.
 */
export function registerParametrization<M extends Module>(
  module: M,
  tensorName: string,
  parametrization: Parametrization,
  options: RegisterParametrizationOptions = {},
): M & Parametrized {
  const { unsafe } = withDefaults('registerParametrization', { unsafe: false }, options);
  parametrization.train(module.training);
  const list = listOf(module, tensorName);
  if (list !== undefined) {
    if (!unsafe) checkNext(list, parametrization);
    list.append(parametrization);
    list.unsafe ||= unsafe;
    return module as M & Parametrized;
  }
  const { key, value } = requireTensor('registerParametrization', module, tensorName);
  const made = new ParametrizationList([parametrization], value, { unsafe });
  removeField(module, key);
  if (listsOf(module) === undefined) module.registerModule('parametrizations', new ModuleDict());
  const result = module as M & Parametrized;
  result.parametrizations.set(stateName(key), made);
  defineDerived(module, key, new ParametrizedField(key));
  return result;
}
/** One more parametrization must keep shape and dtype, forth and back. */
function checkNext(list: ParametrizationList, parametrization: Parametrization): void {
  const before = list.call();
  const after: unknown = parametrization.call(before);
  requireLike('the parametrised tensor', after, before, false);
  const inverse = noGrad(() => inverseOf(parametrization, after));
  if (inverse !== undefined) requireLike('rightInverse(…)', inverse, before, false);
}

/**
 * Makes field `tensorName` a plain parameter or buffer: with its present value, or with `leaveParametrized: false` that of the original. Gives the module.
 * Errors: it is not parametrised; it has several originals and is not left as it is.
 */
export function removeParametrizations<M extends Module>(
  module: M,
  tensorName: string,
  options: { readonly leaveParametrized?: boolean } = {},
): M {
  const op = 'removeParametrizations';
  const { leaveParametrized } = withDefaults(op, { leaveParametrized: true }, options);
  const [list, lists, key] = [listOf(module, tensorName), listsOf(module), findField(module, tensorName)];
  if (list === undefined || lists === undefined || key === undefined)
    throw new ProjError('invalid-argument', `"${tensorName}" of ${module.constructor.name} is not parametrised`, {
      op,
      cure: isParametrized(module)
        ? `Parametrised are ${[...(listsOf(module)?.keys() ?? [])].join(', ')}`
        : 'Nothing of it is',
    });
  const { originals } = list;
  if (originals.length > 1 && !leaveParametrized)
    throw new ProjError('invalid-argument', `"${tensorName}" has ${originals.length} originals`, {
      op,
      cure: 'Leave it as it is: { leaveParametrized: true }',
    });
  const plain = leaveParametrized ? leftAs(valueOf(list), originals) : originals[0];
  removeField(module, key);
  lists.delete(stateName(key));
  if (lists.size === 0) removeField(module, 'parametrizations');
  if (plain instanceof Parameter) module.registerParameter(key, plain);
  else module.registerBuffer(key, plain);
  return module;
}
function leftAs(value: Tensor, originals: readonly Tensor[]): Tensor {
  if (originals.length === 1) return withValue(originals[0], value);
  return value.requiresGrad ? new Parameter(value) : value.detach();
}
