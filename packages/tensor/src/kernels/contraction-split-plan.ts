/** Whether, and in which groups of panels, a product of floats goes through tile registers; see contraction-split.ts. */
import { DEPTH_STEP, STEP, STRIP } from './contraction-split-pack.ts';
import type { ContractionShape } from './contraction-types.ts';

/** Floats as three bfloat16, in tile registers. Tiles and panels are 32 wide. */
export interface SplitPlan {
  readonly kind: 'split';
  readonly rowTiles: number;
  readonly panels: number;
  /** Panels of a group; the last group may have fewer. */
  readonly group: number;
}

/** Cycles of a tile for a step of the depth, of storing it, and of splitting an element of an operand. */
const TILE_CYCLES = 520;
const STORE_CYCLES = 400;
const LEFT_CYCLES = 0.7;
const RIGHT_CYCLES = 1.4;
/** What these cycles count for beside those of the other plans, whose results wait for memory less. */
const WEIGHT = 1.1;
/** What part of the work packing panels may be for threads to share them. */
const MOST_SHARED = 0.2;
/** What a group of panels may take of the second-level cache, which holds 2 MiB in all processors that have tile registers. */
const GROUP_BYTES = 1536 * 1024;
const BYTES = 2;
/** From this depth on other plans cut it, for caches and for threads. Strips of this one are packed for all of it. */
const DEEP = 4096;

/** Null for products that this cannot do. `cost` is in cycles; two threads, whatever they share, pack one operand twice. */
export function planSplit(shape: ContractionShape): { plan: SplitPlan; cost: number } | null {
  const { element, batch, rows, columns, depth, features, left, right, prepackRight } = shape;
  if (element !== 'f32' || !features.tiles.includes('bf16') || prepackRight || left === null || right === null)
    return null;
  if (rows < STRIP || columns < STRIP || depth < DEPTH_STEP || depth >= DEEP) return null;
  const rowTiles = Math.ceil(rows / STRIP);
  const panels = Math.ceil(columns / STRIP);
  const steps = Math.ceil(depth / DEPTH_STEP);
  const most = Math.floor(GROUP_BYTES / (steps * STEP * BYTES));
  const leftCycles = rows * depth * LEFT_CYCLES;
  const rightCycles = columns * depth * RIGHT_CYCLES;
  const tileCycles = rowTiles * panels * (steps * TILE_CYCLES + STORE_CYCLES);
  // Threads that share a group all pack it. Where that costs much, each gets groups of its own, and packs all rows.
  const apart =
    rightCycles > MOST_SHARED * (tileCycles + rightCycles) && leftCycles < rightCycles && panels >= features.threads;
  const share = apart ? features.threads : 1;
  const groups = Math.ceil(panels / most / share) * share;
  const cycles = tileCycles + Math.ceil(panels / most) * leftCycles + rightCycles + Math.min(leftCycles, rightCycles);
  return {
    plan: { kind: 'split', rowTiles, panels, group: Math.ceil(panels / groups) },
    cost: WEIGHT * cycles * batch,
  };
}
