/**
 * Gradients of products that stay exact, to any order, when factors are zero: nothing is divided. A product is taken as a balanced tree, a
 * running product as doubling steps (Hillis and Steele 1986), and the chain rule is written out over them.
 */
import { type AnyNode, concatNode, padNode, sliceNode } from '@proj/tensor/graph';
import { add, mul } from './arithmetic.ts';

const columns = (x: AnyNode, start: number, count: number): AnyNode =>
  sliceNode(x, [0, start], [x.shape[0], count], [1, 1]);

/** For rows of factors `x` [R, N] and `g` [R, 1]: g times the product of the other factors of the row, at each position. */
export function shareProducts(g: AnyNode, x: AnyNode): AnyNode {
  const count = x.shape[1];
  if (count === 0) return x;
  if (count === 1) return g;
  const half = Math.ceil(count / 2);
  const left = columns(x, 0, half);
  // An odd factor is paired with 1.
  const right = padNode(columns(x, half, count - half), [0, 0], [0, half - (count - half)], 1);
  const shares = shareProducts(g, mul(left, right));
  const both = concatNode([mul(shares, right), mul(shares, left)], 1);
  return columns(both, 0, count);
}

/** The gradient of running products of `x` along its last dimension. */
export function scanProducts(g: AnyNode, x: AnyNode): AnyNode {
  const last = x.shape.length - 1;
  const length = x.shape[last];
  const along = (amount: number): number[] => x.shape.map((_, dim) => (dim === last ? amount : 0));
  const window = (node: AnyNode, start: number, count: number): AnyNode =>
    sliceNode(
      node,
      along(start),
      x.shape.map((size, dim) => (dim === last ? count : size)),
      x.shape.map(() => 1),
    );
  const later = (node: AnyNode, by: number): AnyNode => padNode(window(node, 0, length - by), along(by), along(0), 1);
  const earlier = (node: AnyNode, by: number): AnyNode =>
    padNode(window(node, by, length - by), along(0), along(by), 0);
  const levels = [x];
  for (let by = 1; by < length; by *= 2) {
    const level = levels[levels.length - 1];
    levels.push(mul(level, later(level, by)));
  }
  let gradient = g;
  for (let step = levels.length - 2; step >= 0; step--) {
    const by = 2 ** step;
    gradient = add(mul(gradient, later(levels[step], by)), earlier(mul(gradient, levels[step]), by));
  }
  return gradient;
}
