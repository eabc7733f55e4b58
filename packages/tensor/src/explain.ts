/** `explain`: what computing tensors takes: the kernels, the bytes each moves, the arena. */
import { printKernel, withDefaults } from '@proj/kernel';
import { topologicalOrder } from './schedule/group.ts';
import { describePlan } from './schedule/debug.ts';
import { planFor } from './schedule/realize.ts';
import type { Tensor } from './tensor.ts';

/** The plan for computing `tensors` now, as text; with `kernels`, the text of each kernel too. Computes nothing. */
export function explain(tensors: Tensor | readonly Tensor[], options: { kernels?: boolean } = {}): string {
  const { kernels } = withDefaults('explain', { kernels: false }, options);
  const roots = (Array.isArray(tensors) ? (tensors as readonly Tensor[]) : [tensors as Tensor])
    .map((tensor) => tensor.node)
    .filter((node) => node.data === null);
  if (roots.length === 0) return 'nothing to compute: the values are in memory';
  const plan = planFor(topologicalOrder(roots), roots, roots[0].device);
  const text = describePlan(plan);
  return kernels
    ? [text, ...new Set(plan.launches.map((l) => printKernel(l.launch.kernel.kernel)))].join('\n\n')
    : text;
}
