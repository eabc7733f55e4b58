/** Calling a module with other values than its own. */
import { describeValue, ProjError } from '@proj/kernel';
import { Tensor } from '@proj/tensor';
import type { Module, StateDict } from '../module.ts';
import { findField } from './fields.ts';

/**
 * Calls the module with the given tensors in place of its parameters and buffers of these paths, and puts its own back. `args` are the arguments of the
 * call, or the only one; options stand last among them. What the module changes in place (running statistics) is changed in the given tensors. A computed
 * weight (`parametrizations.…`, `weightNorm`) that is given by its own name is not computed. Errors: a path that does not exist; a value that is no tensor.
 */
export function functionalCall<M extends Module>(
  module: M,
  parametersAndBuffers: Readonly<StateDict>,
  args: unknown,
): ReturnType<M['forward']> {
  const undo: (() => void)[] = [];
  try {
    for (const [path, value] of Object.entries(parametersAndBuffers)) undo.push(replace(module, path, value));
    return (module as Module & { forward(...inputs: unknown[]): ReturnType<M['forward']> }).call(
      ...(Array.isArray(args) ? (args as unknown[]) : [args]),
    );
  } finally {
    for (const back of undo.toReversed()) back();
  }
}

/** Puts a tensor in the place of a field; gives what undoes it. */
function replace(root: Module, path: string, value: unknown): () => void {
  const op = 'functionalCall';
  if (!(value instanceof Tensor))
    throw new ProjError('invalid-argument', `${describeValue(value)} for "${path}"`, { op, cure: 'Give tensors' });
  const dot = path.lastIndexOf('.');
  const module = root.getSubmodule(path.slice(0, Math.max(0, dot)));
  const key = findField(module, path.slice(dot + 1));
  const own = key === undefined ? undefined : Object.getOwnPropertyDescriptor(module, key);
  if (key === undefined || own === undefined)
    throw new ProjError('invalid-argument', `${module.constructor.name} has no field for "${path}"`, {
      op,
      cure: 'Name parameters and buffers as stateDict() does',
    });
  Object.defineProperty(module, key, { value, writable: true, configurable: true, enumerable: own.enumerable ?? true });
  return () => void Object.defineProperty(module, key, own);
}
