/** The last step of contractions whose depth is summed in parts: parts combined in pairs, then the store. Also the contraction of nothing. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';
import { powersOf } from './contraction-operand.ts';
import { lanesOf } from './contraction-plan.ts';
import type { ContractionDeclaration, ContractionSpec } from './contraction-types.ts';

/** Calls `body` for all columns of the rows of the kernel's range, a vector at a time. */
function forVectors(
  b: KernelBuilder,
  spec: ContractionSpec,
  body: (batch: Value, row: Value, column: Value, lanes: number) => void,
): void {
  const lanes = lanesOf(spec.element, spec.features);
  b.for(b.begin, b.end, 1, [], (n) => {
    const batch = spec.batch === 1 ? b.index(0) : b.div(n, spec.rows);
    const row = spec.batch === 1 ? n : b.sub(n, b.mul(batch, spec.rows));
    const whole = spec.columns - (spec.columns % lanes);
    if (whole > 0) b.for(0, whole, lanes, [], (column) => body(batch, row, column, lanes));
    let column = whole;
    for (const piece of powersOf(spec.columns - whole)) {
      body(batch, row, b.index(column), piece);
      column += piece;
    }
  });
}

/** Adds the `parts` partial results at `base` of the workspace, neighbours first, and stores the sums. */
export function combineParts(
  b: KernelBuilder,
  spec: ContractionSpec,
  store: ContractionDeclaration['store'],
  workspace: Memory,
  base: number,
  parts: number,
): void {
  const size = spec.batch * spec.rows * spec.columns;
  forVectors(b, spec, (batch, row, column, lanes) => {
    const at = b.add(b.add(b.mul(b.add(b.mul(batch, spec.rows), row), spec.columns), column), base);
    const sum = (from: number, count: number): Value => {
      if (count === 1) return b.load(workspace, b.add(at, from * size), lanes);
      const half = Math.ceil(count / 2);
      return b.add(sum(from, half), sum(from + half, count - half));
    };
    store(b, { batch, row, column }, sum(0, parts), lanes);
  });
}

/** The result when the depth is empty. */
export function zeroResult(b: KernelBuilder, spec: ContractionSpec): void {
  const { store } = spec.declare(b);
  forVectors(b, spec, (batch, row, column, lanes) =>
    store(b, { batch, row, column }, b.splat(b.constant(0, spec.element), lanes), lanes),
  );
}
