/** A parameter in place of one that is computed from others. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { type DerivedField, derivedFields, type Module, removeField } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { findField, type NameOptions, withName } from './fields.ts';

/**
 * Makes the field (default 'weight'), which a `kind` computes, a plain parameter with its present value; the fields that it was computed from (`parts`) go.
 * Errors: it is no such field.
 */
export function makePlain<Field extends DerivedField>(
  removal: { readonly op: string; readonly made: string; readonly by: string },
  module: Module,
  name: string | NameOptions,
  kind: abstract new (...args: never[]) => Field,
  parts: (field: Field) => readonly string[],
): void {
  const { op, made, by } = removal;
  const { name: wanted } = withDefaults(op, { name: 'weight' }, withName(name, {}));
  const key = findField(module, wanted);
  const field = key === undefined ? undefined : derivedFields(module).get(key);
  if (key === undefined || !(field instanceof kind))
    throw new ProjError('invalid-argument', `"${wanted}" of ${module.constructor.name} has no ${made}`, {
      op,
      cure: `Name the parameter that was given to ${by}`,
    });
  const weight = noGrad(() => field.compute(module));
  for (const gone of [key, ...parts(field)]) removeField(module, gone);
  module.registerParameter(key, new Parameter(weight));
}
