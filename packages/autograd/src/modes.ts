/** Switching the recording of gradients on and off. */
import { runSynchronously } from '@proj/kernel';
import { isGradEnabled, setGradEnabled as setMode } from '@proj/tensor/graph';
import { setAnomalyDetection } from './engine.ts';

const cure = (op: string): string =>
  `Await first, and wrap what is computed: const x = await next(); ${op}(() => model.call(x))`;

function withMode<T>(op: string, enabled: boolean, fn: () => T): T {
  const before = setMode(enabled);
  try {
    return runSynchronously(op, fn, cure(op));
  } finally {
    setMode(before);
  }
}

/** Runs `fn` without recording: its results require no gradient. Errors: `fn` is async, or gives a promise. */
export const noGrad = <T>(fn: () => T): T => withMode('noGrad', false, fn);
/** Runs `fn` with recording, also inside {@link noGrad}. Errors as there. */
export const enableGrad = <T>(fn: () => T): T => withMode('enableGrad', true, fn);
/** As {@link noGrad}: lazy tensors have nothing further to save. */
export const inferenceMode = noGrad;
/** Switches recording for all that follows; with a function, while it runs. */
export function setGradEnabled(enabled: boolean): void;
export function setGradEnabled<T>(enabled: boolean, fn: () => T): T;
export function setGradEnabled<T>(enabled: boolean, fn?: () => T): T | void {
  if (fn !== undefined) return withMode(enabled ? 'enableGrad' : 'noGrad', enabled, fn);
  setMode(enabled);
}
/** Runs `fn` with every gradient computed and checked as it is made: the first NaN is an error that names its operation. For debugging: slow. */
export function detectAnomaly<T>(fn: () => T): T {
  const before = setAnomalyDetection(true);
  try {
    return runSynchronously('detectAnomaly', fn, cure('detectAnomaly'));
  } finally {
    setAnomalyDetection(before);
  }
}
export { isGradEnabled };
