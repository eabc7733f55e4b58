/** What the functional forms share: reductions of losses, in-place forms, rows of the table. */
import { describeValue, ProjError } from '@proj/kernel';
import { Tensor } from '@proj/tensor';
import { constantNode, inPlaceOperation, nextNodeId, type OpRow, row as tableRow, wrap } from '@proj/tensor/graph';

export type Reduction = 'none' | 'mean' | 'sum';
export interface ReductionOptions {
  readonly reduction?: Reduction;
}
export interface InplaceOptions {
  /** Writes the result into the input. */
  readonly inplace?: boolean;
}

/** Whether an argument is the trailing options object, given where an optional tensor may stand. */
export const isOptions = <T extends object>(argument: Tensor | T | null): argument is T =>
  argument !== null && !(argument instanceof Tensor);

/** The losses of all elements as they are, averaged or summed. */
export function reduceLoss(loss: Tensor, reduction: Reduction, op: string): Tensor {
  switch (reduction) {
    case 'none':
      return loss;
    case 'mean':
      return loss.mean();
    case 'sum':
      return loss.sum();
    default:
      throw new ProjError('invalid-argument', `reduction "${String(reduction satisfies never)}"`, {
        op,
        cure: "Use 'none', 'mean' or 'sum'",
      });
  }
}

/** What `compute` gives, written into `input` where `inplace`: all that it makes on the way may read the input as it was. */
export function placed(input: Tensor, compute: () => Tensor, inplace: boolean, op: string): Tensor {
  if (!inplace) return compute();
  const since = nextNodeId();
  return input.assign(inPlaceOperation(compute).node, op, since);
}

/** A number as a 0-dim tensor with the dtype and device of `like`. */
export const scalarLike = (like: Tensor, value: number): Tensor =>
  wrap(constantNode(like.device, like.dtype, [], Number(value)));
/** A constant with the dtype and device of `like`. */
export const filledLike = (like: Tensor, shape: readonly number[], value: number): Tensor =>
  wrap(constantNode(like.device, like.dtype, shape, Number(value)));

/** One number for each of `n` spatial dimensions. */
export function tuple(value: number | readonly number[], n: number, what: string, op: string): number[] {
  if (typeof value !== 'number' && !Array.isArray(value))
    throw new ProjError('invalid-argument', `${what} is ${describeValue(value)}`, {
      op,
      cure: `Give a number, or ${n}`,
    });
  const list =
    typeof value === 'number'
      ? new Array<number>(n).fill(value)
      : value.length === 1
        ? new Array<number>(n).fill(value[0])
        : [...value];
  if (list.length !== n || list.some((x) => !Number.isInteger(x)))
    throw new ProjError(
      'invalid-argument',
      `${what} must be one integer or ${n} of them, got ${JSON.stringify(value)}`,
      { op },
    );
  return list;
}

/** Refuses what is not [N, C, ...spatial], or [C, ...spatial]. */
export function requireSpatial(op: string, spatial: number, input: Tensor): void {
  if (input.ndim !== spatial + 1 && input.ndim !== spatial + 2)
    throw new ProjError(
      'shape-mismatch',
      `the input must have ${spatial + 2} dimensions, or ${spatial + 1} without a batch`,
      { op, shapes: [input.shape] },
    );
}

export type AnyFunction = OpRow['fn'];
export interface FunctionalRowOptions {
  /** PyTorch's names; `torch.nn.functional.<snake>` unless given. */
  readonly torch?: readonly string[];
  readonly differentiable?: boolean;
}
const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
/** A row of the functional table. */
export function row(
  name: string,
  fn: unknown,
  signature: string,
  { torch = [], differentiable = true }: FunctionalRowOptions = {},
): OpRow {
  return tableRow(name, fn as AnyFunction, signature, {
    torch: [`torch.nn.functional.${snake(name)}`, ...torch],
    method: false,
    differentiable,
  });
}

export type { OpRow };
