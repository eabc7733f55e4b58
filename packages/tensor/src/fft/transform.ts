/**
 * The discrete Fourier transform of rows. A short one is a product with the matrix of the transform; a longer one of n = r·m numbers is m
 * transforms of r, a twiddle factor for each number, and r transforms of m (Cooley and Tukey), again as products with small matrices, which the
 * contraction kernels compute near the machine's peak. Lengths with a large prime factor become convolutions (Bluestein). All of it is made of
 * ordinary nodes, so it runs on every device and has gradients of any order.
 */
import {
  binaryNode,
  constantNode,
  contractNode,
  expandNode,
  padNode,
  permuteNode,
  reshapeNode,
  sliceNode,
} from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import { chirp, chirpSpectrum, fourierMatrix, type Sign, twiddles } from './tables.ts';

/** Transforms up to this length are one product. */
const MAX_DIRECT = 64;
/** The largest prime that is still transformed by its matrix. */
const MAX_PRIME = 127;

/** The factor to take out of n: near an equal share of as few stages as possible; null when n has no fitting one. */
export function radixOf(n: number): number | null {
  const stages = Math.max(2, Math.ceil(Math.log(n) / Math.log(MAX_DIRECT)));
  const target = Math.log(n) / stages;
  let best: number | null = null;
  for (let radix = 2; radix <= Math.min(MAX_PRIME, n - 1); radix++) {
    if (n % radix !== 0) continue;
    if (best === null || Math.abs(Math.log(radix) - target) < Math.abs(Math.log(best) - target)) best = radix;
  }
  return best;
}

const scaleRows = (x: AnyNode, factors: AnyNode): AnyNode => binaryNode('mul', x, expandNode(factors, x.shape));
const firstColumns = (x: AnyNode, count: number): AnyNode =>
  sliceNode(
    x,
    x.shape.map(() => 0),
    [...x.shape.slice(0, -1), count],
    x.shape.map(() => 1),
  );
const zerosAfter = (x: AnyNode, count: number): AnyNode =>
  padNode(
    x,
    x.shape.map(() => 0),
    x.shape.map((_, dim) => (dim === x.shape.length - 1 ? count : 0)),
  );

const transposed = (x: AnyNode): AnyNode => permuteNode(x, [0, 2, 1]);

/** Transforms the rows of a complex [batch, rows, n]; `columns`: how many of the n results are wanted. */
export function transformRows(x: AnyNode, sign: Sign, columns = x.shape[2]): AnyNode {
  const [batch, rows, n] = x.shape;
  const { dtype, device } = x;
  if (n === 1) return x;
  if (n <= MAX_DIRECT) return direct(x, sign, columns);
  const radix = radixOf(n);
  if (radix === null) return firstColumns(n <= MAX_PRIME ? direct(x, sign, n) : bluestein(x, sign), columns);
  const rest = n / radix;
  // Number a·rest + b of a row goes to b, c and then to place c + radix·d, which is column c of row d: nothing has to be moved.
  const first = transformRows(transposed(reshapeNode(x, [batch * rows, radix, rest])), sign);
  const second = transformColumns(scaleRows(first, twiddles(rest, radix, sign, dtype, device).node), sign);
  return firstColumns(reshapeNode(second, [batch, rows, n]), columns);
}

function direct(x: AnyNode, sign: Sign, columns: number): AnyNode {
  const [batch, , n] = x.shape;
  const matrix = firstColumns(fourierMatrix(n, sign, x.dtype, x.device).node, columns);
  return contractNode(x, expandNode(matrix, [batch, n, columns]));
}

/** Transforms the columns of a complex [batch, n, width]. */
function transformColumns(x: AnyNode, sign: Sign): AnyNode {
  const [batch, n, width] = x.shape;
  const { dtype, device } = x;
  if (n === 1) return x;
  const radix = n <= MAX_DIRECT ? null : radixOf(n);
  if (radix === null) {
    if (n > MAX_PRIME) return transposed(transformRows(transposed(x), sign));
    return contractNode(expandNode(fourierMatrix(n, sign, dtype, device).node, [batch, n, n]), x);
  }
  const rest = n / radix;
  const first = transformColumns(reshapeNode(x, [batch, radix, rest * width]), sign);
  const factors = reshapeNode(twiddles(radix, rest, sign, dtype, device).node, [radix, rest, 1]);
  const turned = scaleRows(reshapeNode(first, [batch, radix, rest, width]), factors);
  const second = transformColumns(reshapeNode(turned, [batch * radix, rest, width]), sign);
  return reshapeNode(permuteNode(reshapeNode(second, [batch, radix, rest, width]), [0, 2, 1, 3]), [batch, n, width]);
}

/** jk = (j² + k² - (k - j)²) / 2: the transform is a convolution with a chirp, made with transforms of a power of two. */
function bluestein(x: AnyNode, sign: Sign): AnyNode {
  const n = x.shape[2];
  const { dtype, device } = x;
  const size = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const wave = chirp(n, sign, dtype, device).node;
  const spectrum = transformRows(zerosAfter(scaleRows(x, wave), size - n), -1);
  const product = scaleRows(spectrum, chirpSpectrum(n, size, sign, dtype, device).node);
  const convolved = firstColumns(transformRows(product, 1), n);
  return scaleRows(convolved, scaled(wave, 1 / size));
}
const scaled = (x: AnyNode, factor: number): AnyNode =>
  binaryNode('mul', x, constantNode(x.device, x.dtype, x.shape, factor));
