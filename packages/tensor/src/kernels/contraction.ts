/**
 * Contractions (matrix products, batched or not) as kernels: see contraction-plan.ts for how the work is cut.
 *
 * The parallel range of the multiplying kernel counts tiles, in the order batch, part of the depth, block of rows, panel of columns, row
 * tile. A thread may begin and end anywhere in it. Each element is summed in an order that the shape alone decides, so results do not depend
 * on the number of threads.
 */
import { buildKernel, type Kernel, KernelBuilder, type Memory, SCALARS, type Value } from '@proj/kernel';
import { combineParts, zeroResult } from './contraction-combine.ts';
import { innerTile } from './contraction-inner.ts';
import { forGroups, operandAt } from './contraction-operand.ts';
import { packPanel } from './contraction-pack.ts';
import { type ContractionPlan, type InnerPlan, type OperandLayout, type OuterPlan, planContraction } from './contraction-plan.ts';
import { multiplyTile, type PanelSource, storeTile, type TileRequest } from './contraction-tile.ts';
import type { BuiltContraction, ContractionLaunch, ContractionOperand, ContractionSpec } from './contraction-types.ts';

/** Elements of the workspace, region by region. */
interface Workspace {
  readonly right: number;
  readonly left: number;
  readonly parts: number;
  /** Start of thread 0's own region, and the elements of one thread. */
  readonly own: number;
  readonly ownSize: number;
  readonly ownPanel: number;
  readonly total: number;
}

const aligned = (elements: number): number => Math.ceil(elements / 64) * 64;

/** Floating-point operations that are worth waking a thread for, for each byte of a vector register. */
const GRAIN_OPERATIONS = 12_000;

/** The kernels of a contraction and how to launch them. */
export function buildContraction(spec: ContractionSpec): BuiltContraction {
  const plan = tuned(planOf(spec), spec);
  if (plan === null) return { launches: [launchOf(buildKernel(`${spec.name}_zero`, (b) => zeroResult(b, spec)), spec.batch * spec.rows, 1 << 12)], workspaceBytes: 0, prepackedLaunches: 0 };
  const workspace = layoutWorkspace(spec, plan);
  const launches: ContractionLaunch[] = [];
  const operations = 2 * spec.batch * spec.rows * spec.columns * spec.depth;
  const grainOf = (units: number, work: number): number => Math.max(1, Math.ceil((units * GRAIN_OPERATIONS * spec.features.vectorBytes) / Math.max(1, work)));
  let prepackedLaunches = 0;
  if (plan.kind === 'outer') {
    for (const side of ['right', 'left'] as const) {
      if (plan[side] !== 'shared') continue;
      const panels = packedBatches(spec, side) * (side === 'right' ? plan.panels : plan.rowTiles);
      const moved = 16 * panels * (side === 'right' ? plan.width : plan.tileRows) * spec.depth;
      launches.push(launchOf(packKernel(spec, plan, workspace, side), panels, grainOf(panels, moved)));
      if (side === 'right') prepackedLaunches = 1;
    }
  }
  const tiles = spec.batch * plan.parts * plan.rowTiles * (plan.kind === 'outer' ? plan.panels : plan.columnTiles);
  launches.push(launchOf(plan.kind === 'outer' ? outerKernel(spec, plan, workspace) : innerKernel(spec, plan, workspace), tiles, grainOf(tiles, operations)));
  if (workspace.parts >= 0) {
    const combine = buildKernel(`${spec.name}_combine`, (b) => {
      const declared = spec.declare(b);
      combineParts(b, spec, declared.store, b.buffer('workspace', spec.element), workspace.parts, plan.parts);
    });
    launches.push(launchOf(combine, spec.batch * spec.rows, grainOf(spec.batch * spec.rows, 8 * plan.parts * spec.batch * spec.rows * spec.columns)));
  }
  return { launches, workspaceBytes: workspace.total * SCALARS[spec.element].bytes, prepackedLaunches };
}

const launchOf = (kernel: Kernel, end: number, grain: number): ContractionLaunch => ({ kernel, begin: 0, end, grain, align: 1 });

/** Null when there is nothing to sum. */
function planOf(spec: ContractionSpec): ContractionPlan | null {
  const { batch, rows, columns, depth } = spec;
  if (batch * rows * columns * depth === 0) return null;
  const probe = new KernelBuilder(spec.name);
  const { left, right } = spec.declare(probe);
  const layoutOf = ({ strided }: ContractionOperand): OperandLayout | null => {
    if (strided === null || strided.memory.element !== spec.element) return null;
    return { outer: strided.outer, depth: strided.depth, batchInvariant: isBatchInvariant(probe, strided) };
  };
  return planContraction({ ...spec, left: layoutOf(left), right: layoutOf(right), prepackRight: spec.prepackRight ?? false });
}

/** Whether the base of a batch is a constant. */
const isBatchInvariant = (probe: KernelBuilder, strided: NonNullable<ContractionOperand['strided']>): boolean => strided.base(probe, probe.begin).op === 'const';

function packedBatches(spec: ContractionSpec, side: 'left' | 'right'): number {
  const probe = new KernelBuilder(spec.name);
  const { strided } = spec.declare(probe)[side];
  return strided !== null && isBatchInvariant(probe, strided) ? 1 : spec.batch;
}

function layoutWorkspace(spec: ContractionSpec, plan: ContractionPlan): Workspace {
  const { batch, rows, columns, depth, features } = spec;
  let total = 0;
  const region = (elements: number): number => {
    const at = total;
    total += aligned(elements);
    return at;
  };
  if (plan.kind === 'inner') {
    const parts = region(plan.parts * batch * rows * columns);
    return { right: 0, left: 0, parts, own: 0, ownSize: 0, ownPanel: 0, total };
  }
  const right = plan.right === 'shared' ? region(packedBatches(spec, 'right') * plan.panels * plan.width * depth) : 0;
  const left = plan.left === 'shared' ? region(packedBatches(spec, 'left') * plan.rowTiles * plan.tileRows * depth) : 0;
  const parts = plan.parts > 1 ? region(plan.parts * batch * rows * columns) : -1;
  const ownSums = plan.depthBlock < plan.partDepth ? aligned(plan.blockTiles * plan.tileRows * plan.width) : 0;
  const ownPanel = plan.right === 'local' ? aligned(plan.depthBlock * plan.width) : 0;
  const ownSize = ownSums + ownPanel;
  const own = region(ownSize * features.threads);
  return { right, left, parts, own, ownSize, ownPanel: ownSums, total };
}

function packKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace, side: 'left' | 'right'): Kernel {
  return buildKernel(`${spec.name}_pack_${side}`, (b) => {
    const operand = spec.declare(b)[side];
    const target = b.buffer('workspace', spec.element, 'write');
    const [count, width, panels] = side === 'right' ? [spec.columns, plan.width, plan.panels] : [spec.rows, plan.tileRows, plan.rowTiles];
    forGroups(b, b.begin, b.end, panels, packedBatches(spec, side), (batch, begin, end) => {
      const source = operandAt(b, operand, batch);
      b.for(begin, end, 1, [], (panel) => {
        const at = b.add(b.mul(b.add(b.mul(batch, panels), panel), width * spec.depth), workspace[side]);
        packPanel(b, { source, count, panel, width, lanes: plan.lanes, begin: b.index(0), end: b.index(spec.depth), deep: spec.depth >= plan.lanes, target, at });
      });
    });
  });
}

function outerKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace): Kernel {
  const { rows, columns, depth } = spec;
  const { panels, rowTiles, blockTiles, parts, partDepth, depthBlock, lanes, tileRows, tileVectors, width } = plan;
  return buildKernel(`${spec.name}_multiply`, (b) => {
    const { left, right, store } = spec.declare(b);
    const writes = workspace.ownSize > 0 || parts > 1;
    const memory = workspace.total === 0 ? null : b.buffer('workspace', spec.element, writes ? 'readwrite' : 'read');
    const requireMemory = (): Memory => memory as Memory;
    const own = b.add(b.mul(b.thread, workspace.ownSize), workspace.own);
    const spill = spec.simpleStore === true || parts > 1 ? null : b.local('tile', spec.element, tileRows * tileVectors * lanes);
    const blocks = Math.ceil(rowTiles / blockTiles);
    const oneDepthBlock = depthBlock >= partDepth;
    const [leftBatches, rightBatches] = [packedBatches(spec, 'left'), packedBatches(spec, 'right')];

    forGroups(b, b.begin, b.end, parts * rowTiles * panels, spec.batch, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch);
      const rightAt = operandAt(b, right, batch);
      forGroups(b, begin, end, rowTiles * panels, parts, (part, begin, end) => {
        const depthBegin = b.mul(part, partDepth);
        const depthEnd = parts === 1 ? b.index(depth) : b.min(b.add(depthBegin, partDepth), depth);
        forGroups(b, begin, end, blockTiles * panels, blocks, (block, begin, end) => {
          const firstTile = b.mul(block, blockTiles);
          const tiles = b.min(b.sub(rowTiles, firstTile), blockTiles);
          forGroups(b, begin, end, blocks === 1 ? rowTiles : tiles, panels, (panel, begin, end) => {
            const depthLoop = (kBegin: Value, kEnd: Value, firstBlock: Value | null, lastBlock: Value | null): void => {
              const panelSource = (): PanelSource => {
                if (plan.right === 'direct') return { kind: 'direct', at: rightAt };
                if (plan.right === 'shared') {
                  const index = rightBatches === 1 ? panel : b.add(b.mul(batch, panels), panel);
                  return { kind: 'packed', memory: requireMemory(), at: b.add(b.mul(index, width * depth), workspace.right) };
                }
                const at = b.sub(b.add(own, workspace.ownPanel), b.mul(kBegin, width));
                packPanel(b, { source: rightAt, count: columns, panel, width, lanes, begin: kBegin, end: kEnd, deep: shortestBlock(plan, depth) >= lanes, target: requireMemory(), at });
                return { kind: 'packed', memory: requireMemory(), at };
              };
              const rightSource = panelSource();
              b.for(begin, end, 1, [], (n) => {
                const tile = b.add(firstTile, n);
                const rowIndex = leftBatches === 1 ? tile : b.add(b.mul(batch, rowTiles), tile);
                const leftSource: PanelSource = plan.left === 'direct' ? { kind: 'direct', at: leftAt }
                  : { kind: 'packed', memory: requireMemory(), at: b.add(b.mul(rowIndex, tileRows * depth), workspace.left) };
                const request: TileRequest = { plan, rows, columns, tile, panel, begin: kBegin, end: kEnd, left: leftSource, right: rightSource };
                const zero = b.splat(b.constant(0, spec.element), lanes);
                const sumsAt = (i: number): Value => b.add(b.add(own, b.mul(n, tileRows * width)), i * lanes);
                const initial = Array.from({ length: tileRows * tileVectors }, (_, i) => (firstBlock === null ? zero : b.load(requireMemory(), sumsAt(i), lanes, b.splat(b.not(firstBlock), lanes))));
                const sums = multiplyTile(b, request, initial);
                const finish = (): void => {
                  if (parts === 1) return storeTile(b, request, sums, (row, column, value) => store(b, { batch, row, column }, value, value.type.lanes), spill);
                  const partAt = b.add(b.mul(b.add(b.mul(part, spec.batch), batch), rows * columns), workspace.parts);
                  storeTile(b, request, sums, (row, column, value) => b.store(requireMemory(), b.add(b.add(partAt, b.mul(row, columns)), column), value), null);
                };
                if (lastBlock === null) finish();
                else b.if(lastBlock, finish, () => sums.forEach((sum, i) => b.store(requireMemory(), sumsAt(i), sum)));
              });
            };
            if (oneDepthBlock) depthLoop(depthBegin, depthEnd, null, null);
            else {
              b.for(depthBegin, depthEnd, depthBlock, [], (k) => {
                const next = b.add(k, depthBlock);
                depthLoop(k, b.min(next, depthEnd), b.eq(k, depthBegin), b.ge(next, depthEnd));
              });
            }
          });
        });
      });
    });
  });
}

/** Depths of the shortest piece that is packed at once. */
function shortestBlock({ parts, partDepth, depthBlock }: OuterPlan, depth: number): number {
  let shortest = depth;
  for (let part = 0; part < parts; part++) {
    const length = Math.min(partDepth, depth - part * partDepth);
    shortest = Math.min(shortest, length % depthBlock === 0 ? depthBlock : length % depthBlock);
  }
  return shortest;
}

function innerKernel(spec: ContractionSpec, plan: InnerPlan, workspace: Workspace): Kernel {
  const { rows, columns, depth } = spec;
  const { rowTiles, columnTiles, parts, partDepth } = plan;
  return buildKernel(`${spec.name}_inner`, (b) => {
    const { left, right } = spec.declare(b);
    const target = b.buffer('workspace', spec.element, 'write');
    forGroups(b, b.begin, b.end, parts * rowTiles * columnTiles, spec.batch, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch);
      const rightAt = operandAt(b, right, batch);
      forGroups(b, begin, end, rowTiles * columnTiles, parts, (part, begin, end) => {
        const first = b.mul(part, partDepth);
        const last = parts === 1 ? b.index(depth) : b.min(b.add(first, partDepth), depth);
        const at = b.add(b.mul(b.add(b.mul(part, spec.batch), batch), rows * columns), workspace.parts);
        forGroups(b, begin, end, rowTiles, columnTiles, (columnTile, begin, end) => {
          b.for(begin, end, 1, [], (rowTile) => {
            innerTile(b, { plan, rows, columns, depth, left: leftAt, right: rightAt, rowTile, columnTile, begin: first, end: last, target, at });
          });
        });
      });
    });
  });
}


function tuned(plan: any, spec: any): any {
  const t = (spec as any).tuning;
  if (!t || !plan) return plan;
  const p = { ...plan, ...t };
  p.width = p.tileVectors * p.lanes; p.panels = Math.ceil(spec.columns / p.width); p.rowTiles = Math.ceil(spec.rows / p.tileRows); if (!t.blockTiles) p.blockTiles = Math.min(p.blockTiles, p.rowTiles); else p.blockTiles = Math.min(t.blockTiles, p.rowTiles); return p;
}
