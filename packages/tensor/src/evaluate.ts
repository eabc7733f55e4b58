/** Evaluation: turning pending nodes into memory. */
import type { AnyNode } from './graph/node.ts';
import { ProjError } from '@proj/kernel';
import type { Storage, Tensor } from './tensor.ts';
import { realize } from './schedule/realize.ts';

/** Storages that were written in place and not computed since: they are computed along with the next evaluation, so that chains stay short. */
let pending = new Set<Storage>();

export function markPending(storage: Storage): void {
  pending.add(storage);
}

export const hasPending = (): boolean => pending.size > 0 || alongside.length > 0;

let sparesForfeited = false;
/** Says that an uncomputed value was replaced which somebody may still read: it hangs on the values in memory, which stay until it is gone. */
export function forfeitSpares(): void {
  sparesForfeited = true;
}

/** Values that gradients were asked of: computed along with the next evaluation, which needs them anyway, so that reading a loss later costs nothing. */
let alongside: AnyNode[] = [];

export function evaluateAlongside(node: AnyNode): void {
  alongside.push(node);
}

/** Takes the set of pending storages (a capture does, to make them outputs). */
export function takePending(): ReadonlySet<Storage> {
  const taken = pending;
  pending = new Set();
  alongside = [];
  return taken;
}

/** While a function is being captured nothing is computed: what it wants evaluated is noted. */
let captured: Set<Storage> | null = null;

let onUse: (storage: Storage) => void = () => {};

/** Starts (or, with null, ends) noting the storages that are read; `use` is called at every read. */
export function setCapture(storages: Set<Storage> | null, use: (storage: Storage) => void = () => {}): void {
  captured = storages;
  onUse = use;
}
export const isCapturing = (): boolean => captured !== null;

/** Throws while a function is being captured: what is read then would be the same for ever after. */
export function refuseWhileCapturing(): void {
  if (captured !== null)
    throw new ProjError('capture', 'a value is read while a function is being captured', {
      op: 'compile',
      cure: 'Return the tensor from the function and read it outside',
    });
}

/** Called for every storage whose value is used. */
export function noteRead(storage: Storage): void {
  if (captured === null) return;
  captured.add(storage);
  onUse(storage);
}

/** Computes the values of `tensors`, and of all tensors that were changed in place, now. */
export function evaluate(tensors: readonly Tensor[]): void {
  if (captured !== null) return;
  const nodes = tensors.map((tensor) => tensor.node);
  nodes.push(...alongside);
  const spares = new Map<AnyNode, AnyNode>();
  if (hasPending()) {
    for (const storage of takePending()) {
      const spare = storage.takeSpare();
      if (spare !== null && !sparesForfeited && !storage.node.requiresGrad) spares.set(storage.node, spare);
      nodes.push(storage.node);
    }
    sparesForfeited = false;
  }
  realize(nodes, spares);
}
