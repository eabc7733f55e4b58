/**
 * Contractions (matrix products, batched or not) as kernels: see contraction-plan.ts for how the work is cut.
 *
 * The parallel range of the multiplying kernel counts tiles; a thread may begin and end anywhere in it. Each element is summed in an order
 * that the shape alone decides, so results do not depend on the number of threads.
 */
import { buildKernel, type Kernel, KernelBuilder, SCALARS } from '@proj/kernel';
import { combineParts, zeroResult } from './contraction-combine.ts';
import { innerKernel } from './contraction-inner.ts';
import { outerKernel, packKernel } from './contraction-outer.ts';
import { type ContractionPlan, planContraction } from './contraction-plan.ts';
import type {
  BuiltContraction,
  ContractionLaunch,
  ContractionOperand,
  ContractionSpec,
  OperandLayout,
} from './contraction-types.ts';
import { splitKernel } from './contraction-split.ts';
import { layoutWorkspace, type Workspace } from './contraction-workspace.ts';

/** Floating-point operations that are worth waking a thread for, for each byte of a vector register. */
const GRAIN_OPERATIONS = 12_000;

/** The kernels of a contraction and how to launch them. */
export function buildContraction(spec: ContractionSpec): BuiltContraction {
  const plan = planOf(spec);
  return plan === null ? buildZero(spec) : buildPlanned(spec, plan);
}

function buildZero(spec: ContractionSpec): BuiltContraction {
  return {
    launches: [
      launchOf(
        buildKernel(`${spec.name}_zero`, (b) => zeroResult(b, spec)),
        spec.batch * spec.rows,
        1 << 12,
      ),
    ],
    workspaceBytes: 0,
    prepackedLaunches: 0,
  };
}

/** The same for a plan that the caller chose (measurements try others). */
export function buildPlanned(spec: ContractionSpec, plan: ContractionPlan): BuiltContraction {
  const workspace = layoutWorkspace(spec, plan);
  const launches: ContractionLaunch[] = [];
  const operations = 2 * spec.batch * spec.rows * spec.columns * spec.depth;
  const grainOf = (units: number, work: number): number =>
    Math.max(1, Math.ceil((units * GRAIN_OPERATIONS * spec.features.vectorBytes) / Math.max(1, work)));
  let prepackedLaunches = 0;
  if (plan.kind === 'outer' && plan.right === 'shared') {
    const panels = plan.rightBatches * plan.panels;
    launches.push(
      launchOf(packKernel(spec, plan, workspace), panels, grainOf(panels, 16 * panels * plan.width * spec.depth)),
    );
    prepackedLaunches = 1;
  }
  const tiles = spec.batch * tilesOf(plan);
  const multiply = multiplyKernel(spec, plan, workspace);
  launches.push({ ...launchOf(multiply, tiles, grainOf(tiles, operations)), align: alignment(spec, plan) });
  if (plan.kind !== 'split' && workspace.parts >= 0) {
    const combine = buildKernel(`${spec.name}_combine`, (b) => {
      const declared = spec.declare(b);
      combineParts(b, spec, declared.store, b.buffer('workspace', spec.element), workspace.parts, plan.parts);
    });
    launches.push(
      launchOf(
        combine,
        spec.batch * spec.rows,
        grainOf(spec.batch * spec.rows, 8 * plan.parts * spec.batch * spec.rows * spec.columns),
      ),
    );
  }
  return { launches, workspaceBytes: workspace.total * SCALARS[spec.element].bytes, prepackedLaunches };
}

function tilesOf(plan: ContractionPlan): number {
  switch (plan.kind) {
    case 'outer':
      return plan.parts * plan.rowTiles * plan.panels;
    case 'inner':
      return plan.parts * plan.rowTiles * plan.columnTiles;
    case 'split':
      return plan.rowTiles * plan.panels;
    default:
      return plan satisfies never;
  }
}

function multiplyKernel(spec: ContractionSpec, plan: ContractionPlan, workspace: Workspace): Kernel {
  switch (plan.kind) {
    case 'outer':
      return outerKernel(spec, plan, workspace);
    case 'inner':
      return innerKernel(spec, plan, workspace);
    case 'split':
      return splitKernel(spec, plan);
    default:
      return plan satisfies never;
  }
}

/** What the largest part of the range may have more than the others. */
const UNEQUAL = 1.04;

/**
 * Parts of the range begin with a group where the groups are enough to be shared out equally, since each part packs the groups that it touches,
 * or reads them from main memory.
 */
function alignment({ batch, features }: ContractionSpec, plan: ContractionPlan): number {
  if (plan.kind === 'inner' || (plan.kind === 'outer' && plan.right === 'direct')) return 1;
  const { panels, group, rowTiles } = plan;
  if (plan.kind === 'split') return Math.ceil(panels / group) % features.threads === 0 ? group * rowTiles : 1;
  const { parts } = plan;
  const equal = panels % group === 0 || batch * parts === 1;
  const groups = batch * parts * Math.ceil(panels / group);
  const share = (Math.ceil(groups / features.threads) * features.threads) / groups;
  return equal && groups >= 4 * features.threads && share <= UNEQUAL ? group * rowTiles : 1;
}

const launchOf = (kernel: Kernel, end: number, grain: number): ContractionLaunch => ({
  kernel,
  begin: 0,
  end,
  grain,
  align: 1,
});

/** How the contraction will be cut; null when there is nothing to sum. */
export function planOf(spec: ContractionSpec): ContractionPlan | null {
  const { batch, rows, columns, depth } = spec;
  if (batch * rows * columns * depth === 0) return null;
  const probe = new KernelBuilder(spec.name);
  const { left, right } = spec.declare(probe);
  const layoutOf = ({ strided }: ContractionOperand): OperandLayout | null => {
    if (strided === null || strided.memory.element !== spec.element) return null;
    return {
      outer: strided.outer,
      depth: strided.depth,
      batchInvariant: strided.base(probe, probe.begin).op === 'const',
    };
  };
  return planContraction({
    ...spec,
    left: layoutOf(left),
    right: layoutOf(right),
    prepackRight: spec.prepackRight ?? false,
  });
}
