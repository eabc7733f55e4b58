/** Averages over batches, in evaluation mode and without gradients. */
import { noGrad } from '@proj/autograd';
import type { Module } from '@proj/nn';
import type { Tensor } from '@proj/tensor';
import type { Batch } from './task.ts';

/** Runs `measure` (sums over the items of a batch) on batches and gives the sums divided by the number of items. */
export function averageOver(
  model: Module,
  batches: Iterable<Batch>,
  limit: number,
  itemsOf: (batch: Batch) => number,
  measure: (inputs: Tensor, targets: Tensor) => readonly Tensor[],
): number[] {
  const wasTraining = model.training;
  model.eval();
  try {
    const sums: number[] = [];
    let items = 0;
    let count = 0;
    for (const batch of batches) {
      noGrad(() => measure(...batch)).forEach((value, i) => (sums[i] = (sums[i] ?? 0) + value.item()));
      items += itemsOf(batch);
      if (++count === limit) break;
    }
    return sums.map((sum) => sum / items);
  } finally {
    model.train(wasTraining);
  }
}
