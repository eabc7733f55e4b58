/**
 * Contractions (matrix products, batched or not) as kernels: see contraction-plan.ts for how the work is cut.
 *
 * The parallel range of the multiplying kernel counts tiles, in the order batch, part of the depth, group of panels, row tile, panel. A thread may begin and end anywhere in it. Each element is summed in an order that the shape alone decides, so results do not depend
 * on the number of threads.
 */
import { buildKernel, type Kernel, KernelBuilder, type Memory, ProjError, SCALARS, type Value } from '@proj/kernel';
import { combineParts, zeroResult } from './contraction-combine.ts';
import { innerTile } from './contraction-inner.ts';
import { forGroups, type OperandAt, operandAt } from './contraction-operand.ts';
import { packPanels, packRows } from './contraction-pack.ts';
import { type ContractionPlan, type InnerPlan, type OperandLayout, type OuterPlan, planContraction } from './contraction-plan.ts';
import { firstRow, multiplyTile, type PanelSource, storeTile, type TileRequest } from './contraction-tile.ts';
import type { BuiltContraction, ContractionLaunch, ContractionOperand, ContractionSpec } from './contraction-types.ts';

/** Elements of the workspace, region by region. */
interface Workspace {
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

const aligned = (elements: number): number => Math.ceil(elements / 64) * 64;

/** Floating-point operations that are worth waking a thread for, for each byte of a vector register. */
const GRAIN_OPERATIONS = 12_000;

/** The kernels of a contraction and how to launch them. */
export function buildContraction(spec: ContractionSpec): BuiltContraction {
  const plan = planOf(spec);
  return plan === null ? buildZero(spec) : buildPlanned(spec, plan);
}

function buildZero(spec: ContractionSpec): BuiltContraction {
  return { launches: [launchOf(buildKernel(`${spec.name}_zero`, (b) => zeroResult(b, spec)), spec.batch * spec.rows, 1 << 12)], workspaceBytes: 0, prepackedLaunches: 0 };
}

/** The same for a plan that the caller chose (measurements try others). */
export function buildPlanned(spec: ContractionSpec, plan: ContractionPlan): BuiltContraction {
  const workspace = layoutWorkspace(spec, plan);
  const launches: ContractionLaunch[] = [];
  const operations = 2 * spec.batch * spec.rows * spec.columns * spec.depth;
  const grainOf = (units: number, work: number): number => Math.max(1, Math.ceil((units * GRAIN_OPERATIONS * spec.features.vectorBytes) / Math.max(1, work)));
  let prepackedLaunches = 0;
  if (plan.kind === 'outer' && plan.right === 'shared') {
    const panels = packedBatches(spec) * plan.panels;
    launches.push(launchOf(packKernel(spec, plan, workspace), panels, grainOf(panels, 16 * panels * plan.width * spec.depth)));
    prepackedLaunches = 1;
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

/** How the contraction will be cut; null when there is nothing to sum. */
export function planOf(spec: ContractionSpec): ContractionPlan | null {
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

/** Batches of the right operand that differ. */
function packedBatches(spec: ContractionSpec): number {
  const probe = new KernelBuilder(spec.name);
  const { strided } = spec.declare(probe).right;
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
    return { right: 0, parts, own: 0, ownSize: 0, ownPanels: 0, ownRows: 0, ownSums: 0, total };
  }
  const { panels, width, group, rowTiles, tileRows, depthBlock, partDepth } = plan;
  const right = plan.right === 'shared' ? region(packedBatches(spec) * panels * width * depth) : 0;
  const parts = plan.parts > 1 ? region(plan.parts * batch * rows * columns) : -1;
  const own = total;
  const ownPanels = region(plan.right === 'local' ? group * width * depthBlock : 0) - own;
  const ownRows = region(plan.left === 'local' ? plan.rowBlock * tileRows * (packsRowsOnce(plan) ? partDepth : depthBlock) : 0) - own;
  const ownSums = region(depthBlock < partDepth ? group * rowTiles * tileRows * width : 0) - own;
  const ownSize = total - own;
  region(ownSize * (features.threads - 1));
  return { right, parts, own, ownSize, ownPanels, ownRows, ownSums, total };
}

/** Few rows are packed before the panels, for the whole depth. */
const packsRowsOnce = (plan: OuterPlan): boolean => plan.left === 'local' && plan.rowBlock >= plan.rowTiles;

function packKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace): Kernel {
  const { panels, width, lanes } = plan;
  return buildKernel(`${spec.name}_pack`, (b) => {
    const { right } = spec.declare(b);
    const target = b.buffer('workspace', spec.element, 'write');
    forGroups(b, b.begin, b.end, panels, packedBatches(spec), (batch, begin, end) => {
      const at = b.add(b.mul(batch, panels * width * spec.depth), workspace.right);
      packPanels(b, {
        source: operandAt(b, right, batch), count: spec.columns, first: begin, end, width, lanes, depthBegin: b.index(0), depthEnd: b.index(spec.depth),
        shortest: spec.depth, target, at: b.add(at, b.mul(begin, width * spec.depth)), stride: b.index(width * spec.depth),
      });
    });
  });
}

function outerKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace): Kernel {
  const { batch: batches, rows, columns, depth, element } = spec;
  const { panels, rowTiles, rowBlock, group, parts, partDepth, depthBlock, lanes, tileRows, tileVectors, width } = plan;
  const groups = Math.ceil(panels / group);
  const rightBatches = packedBatches(spec);
  const shortest = shortestBlock(plan, depth);
  const rowsOnce = packsRowsOnce(plan);
  return buildKernel(`${spec.name}_multiply`, (b) => {
    const { left, right, store } = spec.declare(b);
    const writes = workspace.ownSize > 0 || parts > 1;
    const memory = workspace.total === 0 ? null : b.buffer('workspace', element, writes ? 'readwrite' : 'read');
    const requireMemory = (): Memory => {
      if (memory === null) throw new ProjError('kernel-compilation', `contraction ${spec.name}: a plan without workspace uses it`);
      return memory;
    };
    const own = b.add(b.mul(b.thread, workspace.ownSize), workspace.own);
    const spill = spec.simpleStore === true || parts > 1 ? null : b.local('tile', element, tileRows * tileVectors * lanes);

    const packRowTiles = (source: OperandAt, first: Value, end: Value, from: Value, to: Value): void =>
      packRows(b, {
        source, rowOf: (tile) => firstRow(b, tile, plan, rows), first, end, rows: tileRows, depthBegin: from, depthEnd: to, target: requireMemory(),
        at: b.add(own, workspace.ownRows), stride: b.mul(b.sub(to, from), tileRows),
      });

    /** All tiles of row tiles and panels of a group that are inside `[begin, end)`, over the depths `[from, to)`. */
    const multiplyGroup = (at: GroupPosition, from: Value, to: Value, isFirst: Value | null, isLast: Value | null): void => {
      const { batch, part, leftAt, rightAt, firstPanel, count } = at;
      const panelElements = plan.right === 'local' ? b.mul(b.sub(to, from), width) : b.index(width * depth);
      const panelsAt = plan.right === 'local' ? b.add(own, workspace.ownPanels)
        : b.add(b.mul(b.add(rightBatches === 1 ? b.index(0) : b.mul(batch, panels), firstPanel), width * depth), workspace.right);
      if (plan.right === 'local') {
        packPanels(b, {
          source: rightAt, count: columns, first: firstPanel, end: b.add(firstPanel, count), width, lanes, depthBegin: from, depthEnd: to, shortest,
          target: requireMemory(), at: panelsAt, stride: panelElements,
        });
      }
      const skipped = b.mul(from, plan.right === 'local' ? width : 0);
      forGroups(b, at.begin, at.end, b.mul(count, rowBlock), Math.ceil(rowTiles / rowBlock), (block, begin, end) => {
        const firstTile = b.mul(block, rowBlock);
        if (plan.left === 'local' && !rowsOnce) packRowTiles(leftAt, firstTile, b.min(b.add(firstTile, rowBlock), rowTiles), from, to);
        const rowsFrom = rowsOnce ? at.depthBegin : from;
        const rowsDepth = b.sub(rowsOnce ? at.depthEnd : to, rowsFrom);
        forGroups(b, begin, end, count, rowBlock, (inBlock, begin, end) => {
        const tile = b.add(firstTile, inBlock);
        const rowsAt = b.add(b.add(own, workspace.ownRows), b.mul(inBlock, b.mul(rowsDepth, tileRows)));
        const leftSource: PanelSource = plan.left === 'direct' ? { kind: 'direct', at: leftAt } : { kind: 'packed', memory: requireMemory(), at: b.sub(rowsAt, b.mul(rowsFrom, tileRows)) };
        b.for(begin, end, 1, [], (n) => {
          const rightSource: PanelSource = plan.right === 'direct' ? { kind: 'direct', at: rightAt }
            : { kind: 'packed', memory: requireMemory(), at: b.sub(b.add(panelsAt, b.mul(n, panelElements)), skipped) };
          const request: TileRequest = { plan, rows, columns, tile, panel: b.add(firstPanel, n), begin: from, end: to, left: leftSource, right: rightSource };
          const zero = b.splat(b.constant(0, element), lanes);
          const sumsAt = (i: number): Value => b.add(b.add(b.add(own, workspace.ownSums), b.mul(b.add(b.mul(tile, group), n), tileRows * width)), i * lanes);
          const initial = Array.from({ length: tileRows * tileVectors }, (_, i) => (isFirst === null ? zero : b.select(isFirst, zero, b.load(requireMemory(), sumsAt(i), lanes))));
          const sums = multiplyTile(b, request, initial);
          const finish = (): void => {
            if (parts === 1) return storeTile(b, request, sums, (row, column, value) => store(b, { batch, row, column }, value, value.type.lanes), spill);
            const partAt = b.add(b.mul(b.add(b.mul(part, batches), batch), rows * columns), workspace.parts);
            storeTile(b, request, sums, (row, column, value) => b.store(requireMemory(), b.add(b.add(partAt, b.mul(row, columns)), column), value), null);
          };
          if (isLast === null) finish();
          else b.if(isLast, finish, () => sums.forEach((sum, i) => b.store(requireMemory(), sumsAt(i), sum)));
        });
        });
      });
    };

    forGroups(b, b.begin, b.end, parts * rowTiles * panels, batches, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch);
      const rightAt = operandAt(b, right, batch);
      forGroups(b, begin, end, rowTiles * panels, parts, (part, begin, end) => {
        const depthBegin = b.mul(part, partDepth);
        const depthEnd = parts === 1 ? b.index(depth) : b.min(b.add(depthBegin, partDepth), depth);
        if (rowsOnce) packRowTiles(leftAt, b.index(0), b.index(rowTiles), depthBegin, depthEnd);
        forGroups(b, begin, end, group * rowTiles, groups, (index, begin, end) => {
          const firstPanel = b.mul(index, group);
          const count = panels % group === 0 ? b.index(group) : b.min(b.sub(panels, firstPanel), group);
          const at: GroupPosition = { batch, part, depthBegin, depthEnd, leftAt, rightAt, firstPanel, count, begin, end };
          if (depthBlock >= partDepth) return multiplyGroup(at, depthBegin, depthEnd, null, null);
          b.for(depthBegin, depthEnd, depthBlock, [], (k) => {
            const next = b.add(k, depthBlock);
            multiplyGroup(at, k, b.min(next, depthEnd), b.eq(k, depthBegin), b.ge(next, depthEnd));
          });
        });
      });
    });
  });
}

interface GroupPosition {
  readonly batch: Value;
  readonly part: Value;
  readonly depthBegin: Value;
  readonly depthEnd: Value;
  readonly leftAt: OperandAt;
  readonly rightAt: OperandAt;
  readonly firstPanel: Value;
  /** Panels of the group. */
  readonly count: Value;
  readonly begin: Value;
  readonly end: Value;
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

