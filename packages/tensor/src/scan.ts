/** `scan`: a loop over the first dimension with carried state, built step by step into one graph, whose steps share their compiled kernels. */
import { ProjError, withDefaults } from '@proj/kernel';
import { stack } from './ops/joining.ts';
import { select } from './ops/views.ts';
import type { Tensor } from './tensor.ts';

export interface ScanOptions {
  /** From the last element to the first. */
  readonly reverse?: boolean;
  /** Number of steps, where there are no `xs`. */
  readonly length?: number;
}

/**
 * `[carry, y] = step(carry, x)` for each x = xs[0], xs[1] …; gives the last carry and the ys stacked along a new first dimension.
 * Carry and y may be a tensor or an array of tensors. Differentiable, like its steps. Errors: `xs` of unequal length.
 */
export function scan<Carry extends Tensor | readonly Tensor[], Y extends Tensor | readonly Tensor[] | null>(
  step: (carry: Carry, x: Tensor[], index: number) => readonly [Carry, Y],
  initial: Carry,
  xs: readonly Tensor[],
  options: ScanOptions = {},
): { carry: Carry; ys: Tensor[] } {
  const { reverse, length } = withDefaults('scan', { reverse: false, length: xs[0]?.shape[0] }, options);
  if (length === undefined)
    throw new ProjError('invalid-argument', 'no sequence and no length', {
      op: 'scan',
      cure: 'Give xs, or { length }',
    });
  const uneven = xs.find((x) => x.shape[0] !== length);
  if (uneven !== undefined)
    throw new ProjError('shape-mismatch', `sequences of length ${length} and ${uneven.shape[0]}`, {
      op: 'scan',
      shapes: xs.map((x) => x.shape),
    });
  let carry = initial;
  const outputs: Tensor[][] = [];
  for (let k = 0; k < length; k++) {
    const index = reverse ? length - 1 - k : k;
    const [next, y] = step(
      carry,
      xs.map((x) => select(x, 0, index)),
      index,
    );
    carry = next;
    outputs.push(y === null ? [] : Array.isArray(y) ? [...(y as readonly Tensor[])] : [y as Tensor]);
  }
  if (reverse) outputs.reverse();
  const count = outputs[0]?.length ?? 0;
  return { carry, ys: Array.from({ length: count }, (_, i) => stack(outputs.map((step_) => step_[i]))) };
}
