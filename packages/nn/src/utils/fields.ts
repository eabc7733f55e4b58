/** Finding the parameter that a utility is to change, by its name in PyTorch (`weight_hh_l0`) or that of its field (`weightHhL0`). */
import { ProjError } from '@proj/kernel';
import { Tensor } from '@proj/tensor';
import { derivedFields, isBuffer, type Module } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { stateName } from '../state-names.ts';

export interface NameOptions {
  /** The parameter, by PyTorch's name or that of the field (default 'weight'). */
  readonly name?: string;
}
/** The options of a function whose parameter `name` may also be given by position. */
export const withName = <Options extends NameOptions>(name: string | Options | undefined, options: Options): Options =>
  name === undefined ? options : typeof name === 'string' ? { ...options, name } : name;

/** The field with this name, as the key that has it; undefined where there is none. */
export function findField(module: Module, name: string): string | undefined {
  const wanted = stateName(name);
  return [...Object.keys(module), ...derivedFields(module).keys()].find((key) => stateName(key) === wanted);
}

/** The key beside another one: weight → weightOrig. Its name in state dicts is that of the other, an underscore, and the suffix. */
export const siblingField = (key: string, suffix: string): string =>
  // After a capital, another one would not begin a word.
  /[A-Z]$/.test(key) ? `${key}_${suffix}` : `${key}${suffix[0].toUpperCase()}${suffix.slice(1)}`;

/** A field that holds a tensor, with its key. Errors: none has this name; its value is computed from others. */
export function requireTensor(
  op: string,
  module: Module,
  name: string,
  what = 'parameter or buffer',
): { readonly key: string; readonly value: Tensor } {
  const key = module.isLazy ? undefined : findField(module, name);
  const derived = key === undefined ? undefined : derivedFields(module).get(key);
  if (derived !== undefined)
    throw new ProjError('invalid-argument', `"${name}" of ${module.constructor.name} is computed by ${derived.op}`, {
      op,
      cure: `Name one of the parameters that it is computed from, or remove what ${derived.op} made`,
    });
  const value: unknown = key === undefined ? undefined : Reflect.get(module, key);
  if (key === undefined || !(value instanceof Tensor)) throw missing(op, module, name, what);
  return { key, value };
}

/** A field that holds a parameter, with its key. Errors: as {@link requireTensor}; it is a buffer or a plain tensor. */
export function requireParameter(
  op: string,
  module: Module,
  name: string,
): { readonly key: string; readonly value: Parameter } {
  const { key, value } = requireTensor(op, module, name, 'parameter');
  if (!(value instanceof Parameter) || isBuffer(module, key)) throw missing(op, module, name, 'parameter');
  return { key, value };
}

function missing(op: string, module: Module, name: string, what: string): ProjError {
  const known = Object.entries(module).flatMap(([key, value]) => (value instanceof Parameter ? [stateName(key)] : []));
  return new ProjError('invalid-argument', `${module.constructor.name} has no ${what} "${name}"`, {
    op,
    cure: module.isLazy
      ? 'Call it once with an input, then its parameters exist'
      : known.length === 0
        ? 'It has no parameters of its own: give the layer that has them'
        : `It has ${known.join(', ')}`,
  });
}
