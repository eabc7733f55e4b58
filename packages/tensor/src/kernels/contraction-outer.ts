/** The kernels of outer products: packing the right operand ahead, and multiplying. */
import { buildKernel, type Kernel, type KernelBuilder, type Memory, ProjError, type Value } from '@proj/kernel';
import { forGroups, type OperandAt, operandAt } from './contraction-operand.ts';
import { packRows } from './contraction-pack.ts';
import { type OuterPlan, vectorsOfLastPanel } from './contraction-plan.ts';
import { firstRow, multiplyTile, type PanelSource, storeTile, type TileRequest } from './contraction-tile.ts';
import type { ContractionDeclaration, ContractionSpec } from './contraction-types.ts';
import { packRight } from './contraction-windows.ts';
import { packsRowsOnce, rowsOfBlock, rowStride, type Workspace } from './contraction-workspace.ts';

/** Copies the right operand into panels, for plans with `right: 'shared'`. Its range counts panels of all batches. */
export function packKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace): Kernel {
  const { panels, width, lanes } = plan;
  return buildKernel(`${spec.name}_pack`, (b) => {
    const { right } = spec.declare(b);
    const target = b.buffer('workspace', spec.element, 'write');
    forGroups(b, b.begin, b.end, panels, plan.rightBatches, (batch, begin, end) => {
      const at = b.add(b.mul(batch, panels * width * spec.depth), workspace.right);
      packRight(b, {
        source: operandAt(b, right, batch, spec.element),
        count: spec.columns,
        first: begin,
        end,
        width,
        lanes,
        depthBegin: b.index(0),
        depthEnd: b.index(spec.depth),
        shortest: spec.depth,
        target,
        at: b.add(at, b.mul(begin, width * spec.depth)),
        stride: b.index(width * spec.depth),
      });
    });
  });
}

/** Multiplies. Its range counts tiles, in the order batch, part of the depth, group of panels, row tile, panel. */
export function outerKernel(spec: ContractionSpec, plan: OuterPlan, workspace: Workspace): Kernel {
  return buildKernel(`${spec.name}_multiply`, (b) => new OuterBuilder(b, spec, plan, workspace).build());
}

/** Where in a kernel code is being written: one part of the depth of one batch. */
interface PartPosition {
  readonly batch: Value;
  readonly part: Value;
  readonly depthBegin: Value;
  readonly depthEnd: Value;
  readonly left: OperandAt;
  readonly right: OperandAt;
}

/** Panels `[first, first + count)` and the tiles of them that this thread does: `[begin, end)` of row tiles times `count`. */
interface GroupPosition extends PartPosition {
  readonly first: Value;
  readonly count: Value;
  readonly begin: Value;
  readonly end: Value;
}

/** A piece of the depth that sums pass through at once. `isFirst` and `isLast` are null where it is all of the depth. */
interface DepthPiece {
  readonly from: Value;
  readonly to: Value;
  readonly isFirst: Value | null;
  readonly isLast: Value | null;
}

class OuterBuilder {
  readonly #b: KernelBuilder;
  readonly #spec: ContractionSpec;
  readonly #plan: OuterPlan;
  readonly #workspace: Workspace;
  readonly #declared: ContractionDeclaration;
  readonly #memory: Memory | null;
  /** Where this thread's own region begins. */
  readonly #own: Value;
  /** Holds a tile while the code of a large store walks over it. */
  readonly #spill: Memory | null;
  /** The rows of all tiles, when they were packed ahead. */
  #rows: ((tile: Value) => PanelSource) | null = null;
  readonly #shortest: number;

  constructor(b: KernelBuilder, spec: ContractionSpec, plan: OuterPlan, workspace: Workspace) {
    this.#b = b;
    this.#spec = spec;
    this.#plan = plan;
    this.#workspace = workspace;
    this.#declared = spec.declare(b);
    const writes = workspace.ownSize > 0 || plan.parts > 1;
    this.#memory = workspace.total === 0 ? null : b.buffer('workspace', spec.element, writes ? 'readwrite' : 'read');
    this.#own = b.add(b.mul(b.thread, workspace.ownSize), workspace.own);
    this.#spill =
      spec.simpleStore === true || plan.parts > 1 ? null : b.local('tile', spec.element, plan.tileRows * plan.width);
    this.#shortest = shortestPiece(plan, spec.depth);
  }

  build(): void {
    const b = this.#b;
    const { left, right } = this.#declared;
    const { panels, rowTiles, group, parts, partDepth, depthBlock } = this.#plan;
    forGroups(b, b.begin, b.end, parts * rowTiles * panels, this.#spec.batch, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch, this.#spec.element);
      const rightAt = operandAt(b, right, batch, this.#spec.element);
      forGroups(b, begin, end, rowTiles * panels, parts, (part, begin, end) => {
        const depthBegin = b.mul(part, partDepth);
        const depthEnd =
          parts === 1 ? b.index(this.#spec.depth) : b.min(b.add(depthBegin, partDepth), this.#spec.depth);
        this.#rows = packsRowsOnce(this.#plan)
          ? this.#packRows(
              { batch, part, depthBegin, depthEnd, left: leftAt, right: rightAt },
              b.index(0),
              depthBegin,
              depthEnd,
            )
          : null;
        forGroups(b, begin, end, group * rowTiles, Math.ceil(panels / group), (index, begin, end) => {
          const first = b.mul(index, group);
          const count = panels % group === 0 ? b.index(group) : b.min(b.sub(panels, first), group);
          const position: GroupPosition = {
            batch,
            part,
            depthBegin,
            depthEnd,
            left: leftAt,
            right: rightAt,
            first,
            count,
            begin,
            end,
          };
          if (depthBlock >= partDepth)
            return this.#group(position, { from: depthBegin, to: depthEnd, isFirst: null, isLast: null });
          b.for(depthBegin, depthEnd, depthBlock, [], (from) => {
            const next = b.add(from, depthBlock);
            this.#group(position, {
              from,
              to: b.min(next, depthEnd),
              isFirst: b.eq(from, depthBegin),
              isLast: b.ge(next, depthEnd),
            });
          });
        });
      });
    });
  }

  /** The tiles of a group, over a piece of the depth. */
  #group(position: GroupPosition, piece: DepthPiece): void {
    const b = this.#b;
    const plan = this.#plan;
    const panelAt = this.#panels(position, piece);
    const { rowBlock, rowTiles } = plan;
    forGroups(
      b,
      position.begin,
      position.end,
      b.mul(position.count, rowBlock),
      Math.ceil(rowTiles / rowBlock),
      (block, begin, end) => {
        const firstTile = b.mul(block, rowBlock);
        const rowsOf = this.#rows ?? this.#packRows(position, firstTile, piece.from, piece.to);
        forGroups(b, begin, end, position.count, rowBlock, (inBlock, begin, end) => {
          const tile = b.add(firstTile, inBlock);
          const left = rowsOf(tile);
          b.for(begin, end, 1, [], (n) => this.#tile(position, piece, tile, n, left, panelAt(n)));
        });
      },
    );
  }

  /** Tile `tile` of panel `n` of the group. */
  #tile(
    position: GroupPosition,
    piece: DepthPiece,
    tile: Value,
    n: Value,
    left: PanelSource,
    right: PanelSource,
  ): void {
    const b = this.#b;
    const { panels, tileVectors } = this.#plan;
    const panel = b.add(position.first, n);
    const tileOf = (vectors: number): void => this.#tileOf(position, piece, tile, n, { panel, vectors, left, right });
    const last = vectorsOfLastPanel(this.#plan, this.#spec.columns);
    if (last === tileVectors) tileOf(tileVectors);
    else
      b.if(
        b.lt(panel, panels - 1),
        () => tileOf(tileVectors),
        () => tileOf(last),
      );
  }

  #tileOf(
    position: GroupPosition,
    piece: DepthPiece,
    tile: Value,
    n: Value,
    { panel, vectors, left, right }: Pick<TileRequest, 'panel' | 'vectors' | 'left' | 'right'>,
  ): void {
    const b = this.#b;
    const { rows, columns, element } = this.#spec;
    const { lanes, tileRows, width, group } = this.#plan;
    const request: TileRequest = {
      plan: this.#plan,
      rows,
      columns,
      tile,
      panel,
      vectors,
      begin: piece.from,
      end: piece.to,
      left,
      right,
    };
    const zero = b.splat(b.constant(0, element), lanes);
    const place = (i: number): Value =>
      b.add(
        b.add(b.add(this.#own, this.#workspace.ownSums), b.mul(b.add(b.mul(tile, group), n), tileRows * width)),
        i * lanes,
      );
    const numbers = Array.from({ length: tileRows * vectors }, (_, i) => i);
    // Zeros go through memory too: a choice between them and what is there would cost each vector of each piece an instruction.
    if (piece.isFirst !== null)
      b.if(piece.isFirst, () => numbers.forEach((i) => b.store(this.#requireMemory(), place(i), zero)));
    const sums = multiplyTile(
      b,
      request,
      numbers.map((i) => (piece.isFirst === null ? zero : b.load(this.#requireMemory(), place(i), lanes))),
    );
    if (piece.isLast === null) this.#finish(position, request, sums);
    else
      b.if(
        piece.isLast,
        () => this.#finish(position, request, sums),
        () => sums.forEach((sum, i) => b.store(this.#requireMemory(), place(i), sum)),
      );
  }

  /** Complete sums of a tile: to the caller's store, or to their part of the workspace. */
  #finish({ batch, part }: PartPosition, request: TileRequest, sums: readonly Value[]): void {
    const b = this.#b;
    const { rows, columns } = this.#spec;
    if (this.#plan.parts === 1)
      return storeTile(
        b,
        request,
        sums,
        (row, column, value) => this.#declared.store(b, { batch, row, column }, value, value.type.lanes),
        this.#spill,
      );
    const at = b.add(b.mul(b.add(b.mul(part, this.#spec.batch), batch), rows * columns), this.#workspace.parts);
    storeTile(
      b,
      request,
      sums,
      (row, column, value) => b.store(this.#requireMemory(), b.add(b.add(at, b.mul(row, columns)), column), value),
      null,
    );
  }

  /** Where panel n of the group is read, after packing the group if that is the plan. */
  #panels(position: GroupPosition, { from, to }: DepthPiece): (n: Value) => PanelSource {
    const b = this.#b;
    const { columns, depth } = this.#spec;
    const { panels, width, lanes } = this.#plan;
    switch (this.#plan.right) {
      case 'direct':
        return () => ({ kind: 'direct', at: position.right });
      case 'shared': {
        const first =
          this.#plan.rightBatches === 1 ? position.first : b.add(b.mul(position.batch, panels), position.first);
        return (n) => ({
          kind: 'packed',
          memory: this.#requireMemory(),
          stride: width,
          at: b.add(b.mul(b.add(first, n), width * depth), this.#workspace.right),
        });
      }
      case 'local': {
        const at = b.add(this.#own, this.#workspace.ownPanels);
        const stride = b.mul(b.sub(to, from), width);
        packRight(b, {
          source: position.right,
          count: columns,
          first: position.first,
          end: b.add(position.first, position.count),
          width,
          lanes,
          depthBegin: from,
          depthEnd: to,
          shortest: this.#shortest,
          target: this.#requireMemory(),
          at,
          stride,
        });
        return (n) => ({
          kind: 'packed',
          memory: this.#requireMemory(),
          stride: width,
          at: b.sub(b.add(at, b.mul(n, stride)), b.mul(from, width)),
        });
      }
      default:
        return this.#plan.right satisfies never;
    }
  }

  /** Where the rows of a tile of the block are read, after packing the block if that is the plan. */
  #packRows({ left }: PartPosition, firstTile: Value, from: Value, to: Value): (tile: Value) => PanelSource {
    if (this.#plan.left === 'direct') return () => ({ kind: 'direct', at: left });
    const b = this.#b;
    const { rows } = this.#spec;
    const { tileRows, lanes } = this.#plan;
    const count = rowsOfBlock(this.#plan, rows);
    const stride = rowStride(this.#spec, this.#plan);
    const first = b.min(b.mul(firstTile, tileRows), rows - count);
    const at = b.add(this.#own, this.#workspace.ownRows);
    packRows(b, {
      source: left,
      first,
      rows: count,
      stride,
      lanes,
      depthBegin: from,
      depthEnd: to,
      shortest: this.#shortest,
      target: this.#requireMemory(),
      at,
    });
    return (tile) => ({
      kind: 'packed',
      memory: this.#requireMemory(),
      stride,
      at: b.sub(b.add(at, b.sub(firstRow(b, tile, this.#plan.tileRows, rows), first)), b.mul(from, stride)),
    });
  }

  #requireMemory(): Memory {
    if (this.#memory === null)
      throw new ProjError('kernel-compilation', `contraction ${this.#spec.name}: a plan without workspace uses it`);
    return this.#memory;
  }
}

/** Depths of the shortest piece that is packed at once. */
function shortestPiece({ parts, partDepth, depthBlock }: OuterPlan, depth: number): number {
  let shortest = depth;
  for (let part = 0; part < parts; part++) {
    const length = Math.min(partDepth, depth - part * partDepth);
    shortest = Math.min(shortest, length % depthBlock === 0 ? depthBlock : length % depthBlock);
  }
  return shortest;
}
