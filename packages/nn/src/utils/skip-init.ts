/** Layers whose initial values nobody needs. */
import { describeValue, ProjError } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { getRngState, setRngState } from '@proj/tensor';
import { Module } from '../module.ts';

/**
 * Makes a module without initialising it: all its parameters and buffers are zero (as `empty` is), no random number is drawn, and the values that its
 * constructor asks for are never computed. Errors: something that is no module class.
 */
export function skipInit<Arguments extends unknown[], M extends Module>(
  moduleClass: new (...args: Arguments) => M,
  ...args: Arguments
): M {
  if (typeof moduleClass !== 'function' || !(moduleClass.prototype instanceof Module))
    throw new ProjError('invalid-argument', `${describeValue(moduleClass)} is no class of modules`, {
      op: 'skipInit',
      cure: 'Give the class and the arguments of its constructor: skipInit(Linear, 5, 1)',
    });
  const state = getRngState();
  const module = new moduleClass(...args);
  setRngState(state);
  if (module.isLazy) return module;
  noGrad(() => {
    for (const tensor of [...module.parameters(), ...module.buffers()]) tensor.zero_();
  });
  return module;
}
