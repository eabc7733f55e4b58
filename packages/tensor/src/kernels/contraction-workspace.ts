/** The workspace of a contraction: what lies where in it. */
import { SCALARS } from '@proj/kernel';
import type { ContractionPlan, OuterPlan } from './contraction-plan.ts';
import { splitWorkspace } from './contraction-split.ts';
import type { ContractionSpec } from './contraction-types.ts';

/** Elements of the workspace, region by region. */
export interface Workspace {
  /** Packed panels of all batches. */
  readonly right: number;
  /** Sums of the parts, -1 when there is one part. */
  readonly parts: number;
  /** Start of thread 0's own region, and the elements of one thread. Inside it: a group of panels, a row tile, unfinished sums. */
  readonly own: number;
  readonly ownSize: number;
  readonly ownPanels: number;
  readonly ownRows: number;
  readonly ownSums: number;
  readonly total: number;
}

const CACHE_LINE = 64;

const aligned = (elements: number): number => Math.ceil(elements / 64) * 64;

/** Few rows are packed before the panels, for the whole depth. */
export const packsRowsOnce = (plan: OuterPlan): boolean => plan.left === 'local' && plan.rowBlock >= plan.rowTiles;

/** Rows that are packed together. */
export const rowsOfBlock = ({ rowBlock, tileRows }: OuterPlan, rows: number): number =>
  Math.min(rows, rowBlock * tileRows);

/** Elements from one depth of packed rows to the next. Streams whole cache lines apart would compete for the same sets. */
export function rowStride({ rows, element }: ContractionSpec, plan: OuterPlan): number {
  const count = rowsOfBlock(plan, rows);
  return plan.streams > 1 && (count * SCALARS[element].bytes) % CACHE_LINE === 0 ? count + 1 : count;
}

export function layoutWorkspace(spec: ContractionSpec, plan: ContractionPlan): Workspace {
  const { batch, rows, columns, depth, features } = spec;
  if (plan.kind === 'split') {
    const ownSize = aligned((splitWorkspace(plan, depth) * SCALARS.bf16.bytes) / SCALARS[spec.element].bytes);
    const none = { right: 0, parts: -1, own: 0, ownPanels: 0, ownRows: 0, ownSums: 0 };
    return { ...none, ownSize, total: ownSize * features.threads };
  }
  let total = 0;
  const region = (elements: number): number => {
    const at = total;
    total += aligned(elements);
    return at;
  };
  if (plan.kind === 'inner') {
    const parts = region(plan.parts * batch * rows * columns);
    return { right: 0, parts, own: 0, ownSize: 0, ownPanels: 0, ownRows: 0, ownSums: 0, total };
  }
  const { panels, width, group, rowTiles, tileRows, depthBlock, partDepth } = plan;
  const right = plan.right === 'shared' ? region(plan.rightBatches * panels * width * depth) : 0;
  const parts = plan.parts > 1 ? region(plan.parts * batch * rows * columns) : -1;
  const own = total;
  const ownPanels = region(plan.right === 'local' ? group * width * depthBlock : 0) - own;
  const ownRows =
    region(plan.left === 'local' ? rowStride(spec, plan) * (packsRowsOnce(plan) ? partDepth : depthBlock) : 0) - own;
  const ownSums = region(depthBlock < partDepth ? group * rowTiles * tileRows * width : 0) - own;
  const ownSize = total - own;
  region(ownSize * (features.threads - 1));
  return { right, parts, own, ownSize, ownPanels, ownRows, ownSums, total };
}
