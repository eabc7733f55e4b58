/** Inner products: both operands are read along depth, a tile holds one vector of partial sums for each element of the result. */
import { buildKernel, type Kernel, type KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { fetch, forGroups, type OperandAt, operandAt } from './contraction-operand.ts';
import type { InnerPlan } from './contraction-plan.ts';
import type { ContractionSpec } from './contraction-types.ts';
import type { Workspace } from './contraction-workspace.ts';

interface InnerRequest {
  readonly plan: InnerPlan;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly left: OperandAt;
  readonly right: OperandAt;
  readonly rowTile: Value;
  readonly columnTile: Value;
  readonly begin: Value;
  readonly end: Value;
  readonly target: Memory;
  /** Where the sum of row 0 and column 0 goes; rows are `columns` apart. */
  readonly at: Value;
}

/** One tile: sums of depths `[begin, end)` to `target`. A tile at the edge begins early and writes some sums twice, the same both times. */
function innerTile(b: KernelBuilder, request: InnerRequest): void {
  const { plan, rows, columns, left, right, begin, end, target } = request;
  const { tileRows, tileColumns, lanes } = plan;
  const element = target.element;
  const row = b.min(b.mul(request.rowTile, tileRows), rows - tileRows);
  const column = b.min(b.mul(request.columnTile, tileColumns), columns - tileColumns);
  const step = (k: Value, width: number, sums: readonly Value[]): Value[] => {
    const across = Array.from({ length: tileColumns }, (_, j) =>
      fetch(b, right, column, k, 'depth', width, { outer: j, depth: 0 }),
    );
    const next: Value[] = [];
    for (let i = 0; i < tileRows; i++) {
      const own = fetch(b, left, row, k, 'depth', width, { outer: i, depth: 0 });
      for (let j = 0; j < tileColumns; j++) next.push(b.mulAdd(own, across[j], sums[i * tileColumns + j]));
    }
    return next;
  };
  const zero = b.constant(0, element);
  const whole = b.add(begin, b.mul(b.div(b.sub(end, begin), lanes), lanes));
  const vectors = b.for(
    begin,
    whole,
    lanes,
    Array.from({ length: tileRows * tileColumns }, () => b.splat(zero, lanes)),
    (k, ...sums) => step(k, lanes, sums),
  );
  let sums = vectors.map((vector) => b.horizontal('reduceAdd', vector));
  if (request.depth % lanes !== 0) sums = b.for(whole, end, 1, sums, (k, ...entering) => step(k, 1, entering));
  sums.forEach((sum, n) => {
    const [i, j] = [Math.floor(n / tileColumns), n % tileColumns];
    b.store(target, b.add(b.add(b.add(request.at, b.mul(row, columns)), column), i * columns + j), sum);
  });
}

/** Sums to the workspace. Its range counts tiles, in the order batch, part of the depth, column tile, row tile. */
export function innerKernel(spec: ContractionSpec, plan: InnerPlan, workspace: Workspace): Kernel {
  const { rows, columns, depth } = spec;
  const { rowTiles, columnTiles, parts, partDepth } = plan;
  return buildKernel(`${spec.name}_inner`, (b) => {
    const { left, right } = spec.declare(b);
    const target = b.buffer('workspace', spec.element, 'write');
    forGroups(b, b.begin, b.end, parts * rowTiles * columnTiles, spec.batch, (batch, begin, end) => {
      const leftAt = operandAt(b, left, batch, spec.element);
      const rightAt = operandAt(b, right, batch, spec.element);
      forGroups(b, begin, end, rowTiles * columnTiles, parts, (part, begin, end) => {
        const first = b.mul(part, partDepth);
        const last = parts === 1 ? b.index(depth) : b.min(b.add(first, partDepth), depth);
        const at = b.add(b.mul(b.add(b.mul(part, spec.batch), batch), rows * columns), workspace.parts);
        forGroups(b, begin, end, rowTiles, columnTiles, (columnTile, begin, end) => {
          b.for(begin, end, 1, [], (rowTile) => {
            innerTile(b, {
              plan,
              rows,
              columns,
              depth,
              left: leftAt,
              right: rightAt,
              rowTile,
              columnTile,
              begin: first,
              end: last,
              target,
              at,
            });
          });
        });
      });
    });
  });
}
