/** Switching the recording of gradients on and off. */
import { isGradEnabled, setGradEnabled as setMode } from '@proj/tensor/graph';
import { setAnomalyDetection } from './engine.ts';

/** Runs `fn` between `enter` and `leave`; a promise that it returns is waited for before leaving. */
function during<T>(enter: () => void, leave: () => void, fn: () => T): T {
  enter();
  let waits = false;
  try {
    const result = fn();
    if (result instanceof Promise) {
      waits = true;
      return result.finally(leave) as T;
    }
    return result;
  } finally {
    if (!waits) leave();
  }
}

function withMode<T>(enabled: boolean, fn: () => T): T {
  let before = true;
  return during(
    () => {
      before = setMode(enabled);
    },
    () => void setMode(before),
    fn,
  );
}

/** Runs `fn` without recording: its results require no gradient. Also for functions that give a promise. */
export const noGrad = <T>(fn: () => T): T => withMode(false, fn);
/** Runs `fn` with recording, also inside {@link noGrad}. */
export const enableGrad = <T>(fn: () => T): T => withMode(true, fn);
/** As {@link noGrad}: lazy tensors have nothing further to save. */
export const inferenceMode = noGrad;
/** Switches recording for all that follows; with a function, while it runs. */
export function setGradEnabled(enabled: boolean): void;
export function setGradEnabled<T>(enabled: boolean, fn: () => T): T;
export function setGradEnabled<T>(enabled: boolean, fn?: () => T): T | void {
  if (fn !== undefined) return withMode(enabled, fn);
  setMode(enabled);
}
/** Runs `fn` with every gradient computed and checked as it is made: the first NaN is an error that names its operation. For debugging: slow. */
export function detectAnomaly<T>(fn: () => T): T {
  let before = false;
  return during(
    () => {
      before = setAnomalyDetection(true);
    },
    () => void setAnomalyDetection(before),
    fn,
  );
}
export { isGradEnabled };
