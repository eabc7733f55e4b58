/**
 * Forward-mode derivatives with the interface of torch.autograd.forward_ad. A dual tensor is a leaf with a tangent attached; tangents of results are found
 * when they are asked for, by differentiating the (linear) reverse-mode gradient once more, so every operation that has a gradient has a tangent.
 */
import { ProjError } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { constantNode, detachNode, wrap } from '@proj/tensor/graph';
import { gradOrNull } from './backward.ts';
import { enableGrad } from './modes.ts';

interface Dual {
  readonly tensor: Tensor;
  readonly tangent: Tensor;
}
const levels: Dual[][] = [];

/** Opens a level; duals live until it is closed. Returns its number. */
export function enterDualLevel(): number {
  levels.push([]);
  return levels.length - 1;
}
/** Closes the innermost level. */
export function exitDualLevel(): void {
  if (levels.pop() === undefined) throw new ProjError('autograd', 'no dual level is open', { op: 'exitDualLevel' });
}
/** Runs `fn` inside a level of its own. */
export function dualLevel<T>(fn: () => T): T {
  enterDualLevel();
  try {
    return fn();
  } finally {
    exitDualLevel();
  }
}

function innermost(op: string): Dual[] {
  const level = levels.at(-1);
  if (level === undefined)
    throw new ProjError('autograd', 'no dual level is open', { op, cure: 'Call it inside dualLevel(() => …)' });
  return level;
}

/** `tensor` with the derivative `tangent` (same shape) attached. */
export function makeDual(tensor: Tensor, tangent: Tensor): Tensor {
  const level = innermost('makeDual');
  if (tensor.shape.join() !== tangent.shape.join())
    throw new ProjError('autograd', 'the tangent has another shape than the tensor', {
      op: 'makeDual',
      shapes: [tensor.shape, tangent.shape],
    });
  const dual = wrap(detachNode(tensor.node)).requiresGrad_();
  level.push({ tensor: dual, tangent });
  return dual;
}

export interface UnpackedDual {
  readonly primal: Tensor;
  /** Null when the tensor does not depend on a dual of this level. */
  readonly tangent: Tensor | null;
}

/** The value and the tangent of a tensor computed from duals. */
export function unpackDual(tensor: Tensor): UnpackedDual {
  const level = innermost('unpackDual');
  const primal = tensor.detach();
  if (!tensor.requiresGrad || level.length === 0) return { primal, tangent: null };
  const known = level.find((dual) => dual.tensor === tensor);
  if (known !== undefined) return { primal, tangent: known.tangent };
  return enableGrad(() => {
    const cotangent = wrap(constantNode(tensor.device, tensor.dtype, tensor.shape, 0)).requiresGrad_();
    const pulled = gradOrNull(
      tensor,
      level.map((dual) => dual.tensor),
      { gradOutputs: cotangent, createGraph: true, allowUnused: true },
    );
    const used = level.flatMap(({ tangent }, i) => {
      const gradient = pulled[i];
      return gradient !== null && gradient.requiresGrad ? [{ gradient, tangent }] : [];
    });
    if (used.length === 0) return { primal, tangent: null };
    const [tangent] = gradOrNull(
      used.map((one) => one.gradient),
      cotangent,
      // Other values of this level are unpacked from the same graph.
      { gradOutputs: used.map((one) => one.tangent), allowUnused: true, retainGraph: true },
    );
    return { primal, tangent };
  });
}
