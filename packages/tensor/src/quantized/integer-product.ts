/** Products of integers with integer sums: uint8 × int8 → int32, four products at a time where the machine has them (`dot4`). */
import { buildKernel, ProjError, type KernelBuilder, type Memory, type Value } from '@proj/kernel';
import { defineOp } from '../define-op.ts';
import type { Tensor } from '../tensor.ts';

/** Columns whose sums are kept in registers while a row passes. */
const TILE = 4;
/** 255 · 128 · 2^16 still fits 32 bits. */
const LARGEST_DEPTH = 2 ** 16;

interface Rows {
  readonly memory: Memory;
  readonly start: Value;
}

/** Σ_k left[k] · right_j[k] for a few rows of the right operand. */
function dots(b: KernelBuilder, left: Rows, right: readonly Rows[], depth: number, lanes: number): Value[] {
  const bytes = 4 * lanes;
  const whole = depth - (depth % bytes);
  const zero = b.constant(0, 'i32');
  const vectors = b.for(
    0,
    whole,
    bytes,
    right.map(() => b.splat(zero, lanes)),
    (k, ...sums) => {
      const own = b.load(left.memory, b.add(left.start, k), bytes);
      return sums.map((sum, j) => b.dot4(sum, own, b.load(right[j].memory, b.add(right[j].start, k), bytes)));
    },
  );
  return b.for(
    whole,
    depth,
    1,
    vectors.map((sum) => b.horizontal('reduceAdd', sum)),
    (k, ...sums) => {
      const own = b.cast(b.load(left.memory, b.add(left.start, k)), 'i32');
      return sums.map((sum, j) =>
        b.add(sum, b.mul(own, b.cast(b.load(right[j].memory, b.add(right[j].start, k)), 'i32'))),
      );
    },
  );
}

const product = defineOp({
  name: 'integerProduct',
  outputs: ([left, right]) => [{ shape: [left.shape[0], right.shape[0]], dtype: 'int32' }],
  launches: ([left, right], _outputs, _options, { vectorBytes }) => {
    const [rows, depth] = left.shape;
    const [columns] = right.shape;
    const tile = Math.min(TILE, columns);
    const tiles = Math.ceil(columns / tile);
    const kernel = buildKernel('integerProduct', (b) => {
      const x = b.buffer('left', 'u8');
      const w = b.buffer('right', 'i8');
      const out = b.buffer('out', 'i32', 'write');
      b.for(b.begin, b.end, 1, [], (item) => {
        const row = b.div(item, tiles);
        // The last tile begins early and writes some sums twice, the same both times.
        const column = b.min(b.mul(b.rem(item, tiles), tile), columns - tile);
        const across = Array.from({ length: tile }, (_, j) => ({ memory: w, start: b.mul(b.add(column, j), depth) }));
        const sums = dots(b, { memory: x, start: b.mul(row, depth) }, across, depth, vectorBytes / 4);
        const at = b.add(b.mul(row, columns), column);
        sums.forEach((sum, j) => b.store(out, b.add(at, j), sum));
      });
    });
    const grain = Math.max(1, Math.ceil(65536 / (depth * tile)));
    return { launches: [{ kernel, begin: 0, end: rows * tiles, grain, align: tiles }], workspaceBytes: 0 };
  },
});

/**
 * Σ_k left[m, k] · right[n, k]: uint8 [M, K] and int8 [N, K] → int32 [M, N], exact. Errors: more than 65,536 products a sum, which could overflow.
 */
export function integerProduct(left: Tensor, right: Tensor): Tensor {
  if (left.shape[1] > LARGEST_DEPTH)
    throw new ProjError('invalid-argument', `sums of ${left.shape[1]} products do not fit 32 bits`, {
      op: 'integerProduct',
      shapes: [left.shape, right.shape],
      cure: `Cut the depth into parts of at most ${LARGEST_DEPTH}`,
    });
  return product([left, right])[0];
}
