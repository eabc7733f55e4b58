/** Refusing async functions where something holds only while a function runs: others run during its awaits, and would be held too. */
import { ProjError } from './errors.ts';
import { describeValue } from './options.ts';

const AsyncFunction = (async () => undefined).constructor;
const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { readonly then?: unknown }).then === 'function';

/** `fn()`. Errors (`invalid-argument`): `fn` is async, or gives a promise. `cure` says what to call instead. */
export function runSynchronously<T>(op: string, fn: () => T, cure: string): T {
  requireSynchronous(op, fn, cure);
  const result = fn();
  if (!isPromise(result)) return result;
  // Nobody will wait for it any more.
  result.then(undefined, () => undefined);
  throw refusal(op, 'the function gives a promise', cure);
}

/** As {@link runSynchronously}, for a function that is called later: refuses one that is declared async. */
export function requireSynchronous(op: string, fn: unknown, cure: string): void {
  if (typeof fn !== 'function')
    throw new ProjError('invalid-argument', `${describeValue(fn)} where a function belongs`, {
      op,
      cure: `Write ${op}(() => …)`,
    });
  if (fn instanceof AsyncFunction) throw refusal(op, 'the function is async', cure);
}

const refusal = (op: string, what: string, cure: string): ProjError =>
  new ProjError('invalid-argument', `${what}; it would be over before the function is`, { op, cure });
