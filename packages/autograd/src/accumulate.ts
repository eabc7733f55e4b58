/**
 * The sum of what several readers of one value contribute to its gradient. Two patterns are joined instead of added up one by one, because
 * unrolled recurrent nets make hundreds of them: gradients of slices are put side by side (or added into one buffer), and products with a
 * shared operand become one product with a longer inner dimension.
 */
import {
  accumulateSlicesNode,
  type AnyNode,
  concatNode,
  constantNode,
  contractNode,
  dilate,
  padNode,
  permuteNode,
  reshapeNode,
  sameShape,
  type Shape,
  sliceNode,
} from '@proj/tensor/graph';
import { add } from './arithmetic.ts';
import type { Contribution, PartialGradient } from './rules.ts';

const isPartial = (x: AnyNode | PartialGradient): x is PartialGradient => 'starts' in x;

/** A partial gradient among zeros. */
function spread({ value, starts, steps }: PartialGradient, shape: Shape): AnyNode {
  if (value.shape.includes(0)) return constantNode(value.device, value.dtype, shape, 0);
  let node = value;
  const first = [...starts];
  steps.forEach((step, dim) => {
    if (step < 0) {
      const size = node.shape[dim];
      node = sliceNode(
        node,
        node.shape.map((_, d) => (d === dim ? size - 1 : 0)),
        node.shape,
        node.shape.map((_, d) => (d === dim ? -1 : 1)),
      );
      first[dim] = starts[dim] + (size - 1) * step;
    }
    if (Math.abs(step) > 1 && node.shape[dim] > 1) node = dilate(node, dim, Math.abs(step));
  });
  return padNode(
    node,
    first,
    shape.map((size, dim) => size - first[dim] - node.shape[dim]),
  );
}

/** The partial gradients side by side, when they tile the value along one dimension. */
function tile(parts: readonly PartialGradient[], shape: Shape, memo: ConcatMemo): AnyNode | null {
  if (parts.length < 2 || parts.some(({ steps }) => steps.some((step) => step !== 1))) return null;
  const dims = shape.flatMap((size, dim) =>
    parts.every(({ value, starts }) => starts[dim] === 0 && value.shape[dim] === size) ? [] : [dim],
  );
  if (dims.length !== 1) return null;
  const [dim] = dims;
  const sorted = parts.toSorted((a, b) => a.starts[dim] - b.starts[dim]);
  let end = 0;
  for (const { value, starts } of sorted) {
    if (starts[dim] !== end) return null;
    end += value.shape[dim];
  }
  return end === shape[dim]
    ? sideBySide(
        sorted.map((part) => part.value),
        dim,
        memo,
      )
    : null;
}

function sumPartial(parts: readonly PartialGradient[], base: AnyNode | null, shape: Shape, memo: ConcatMemo): AnyNode {
  const tiled = tile(parts, shape, memo);
  if (tiled !== null) return base === null ? tiled : add(base, tiled);
  if (parts.length <= 2)
    return parts
      .map((part) => spread(part, shape))
      .reduce((sum: AnyNode | null, part) => (sum === null ? part : add(sum, part)), base) as AnyNode;
  const [{ value }] = parts;
  const start = base ?? constantNode(value.device, value.dtype, shape, 0);
  return accumulateSlicesNode(
    start,
    parts.map((part) => part.value),
    parts.map(({ starts, steps }) => ({ starts, steps })),
  );
}

/** Concatenations made in this pass: gate gradients of a recurrent net are wanted side by side more than once. */
export type ConcatMemo = Map<string, AnyNode>;
function sideBySide(parts: readonly AnyNode[], dim: number, memo: ConcatMemo): AnyNode {
  // Parts [1, rows, columns] that are matrices [rows, columns] are joined as those.
  const matrices =
    dim === 1
      ? parts.flatMap((part) =>
          part.op === 'reshape' && part.sources.length > 0 && sameShape(part.shape, [1, ...part.sources[0].shape])
            ? [part.sources[0]]
            : [],
        )
      : [];
  if (matrices.length === parts.length) {
    const all = sideBySide(matrices, 0, memo);
    return reshapeNode(all, [1, ...all.shape]);
  }
  const key = `${dim}:${parts.map((part) => part.id).join()}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  const made = concatNode(parts, dim);
  memo.set(key, made);
  return made;
}

const isTransposed = (x: AnyNode): boolean =>
  x.op === 'permute' &&
  x.sources.length > 0 &&
  x.attr.order.length === 3 &&
  x.attr.order[0] === 0 &&
  x.attr.order[1] === 2;

/** Operands side by side along the inner dimension `dim`, transposing once instead of each. */
const joined = (parts: readonly AnyNode[], dim: 1 | 2, memo: ConcatMemo): AnyNode =>
  parts.every(isTransposed)
    ? permuteNode(
        sideBySide(
          parts.map((part) => part.sources[0]),
          dim === 2 ? 1 : 2,
          memo,
        ),
        [0, 2, 1],
      )
    : sideBySide(parts, dim, memo);

/** Σ Aᵢ·Bᵢ as one product, for three or more products of a shape. */
function joinProducts(terms: readonly AnyNode[], memo: ConcatMemo): AnyNode[] {
  const groups = new Map<string, AnyNode[]>();
  const rest: AnyNode[] = [];
  for (const term of terms) {
    const product = term.op === 'reshape' && term.sources.length > 0 ? term.sources[0] : term;
    if (product.op !== 'contract' || product.sources.length === 0) rest.push(term);
    else {
      const key = product.shape.join();
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [product]);
      else group.push(product);
    }
  }
  for (const newestFirst of groups.values()) {
    const { shape } = terms[0];
    // Contributions arrive from the last use to the first.
    const group = newestFirst.toReversed();
    if (group.length < 3) rest.push(...group.map((product) => reshapeNode(product, shape)));
    else
      rest.push(
        reshapeNode(
          contractNode(
            joined(
              group.map((product) => product.sources[0]),
              2,
              memo,
            ),
            joined(
              group.map((product) => product.sources[1]),
              1,
              memo,
            ),
          ),
          shape,
        ),
      );
  }
  return rest;
}

/** The gradient of a value of the given shape; null when nothing contributed. */
export function accumulate(contributions: readonly Contribution[], shape: Shape, memo: ConcatMemo): AnyNode | null {
  const given = contributions.filter((one) => one !== null);
  const partial = given.filter(isPartial);
  const dense = given.filter((one): one is AnyNode => !isPartial(one));
  const terms =
    dense.length > 2 && dense.every((one) => sameShape(one.shape, shape)) ? joinProducts(dense, memo) : dense;
  const sum = terms.reduce((total: AnyNode | null, one) => (total === null ? one : add(total, one)), null);
  return partial.length === 0 ? sum : sumPartial(partial, sum, shape, memo);
}
