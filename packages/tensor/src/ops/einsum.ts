/** Einstein summation and the products that follow from it. Every pairwise product becomes one `contract`: [batch, M, K] × [batch, K, N]. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { castNode, contractNode, expandNode, permuteNode, reshapeNode } from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import { isNothing, isOne, promoteTypes, type Scalar, scalarValue, isIntegral } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, leading, normalizeDim } from './arguments.ts';
import { add, mul } from './elementwise.ts';
import { concatenate } from './joining.ts';
import { matmul } from './products.ts';
import { reduceDims } from './reductions.ts';
import { type OpRow, row } from './table.ts';

/** A node with a label for each of its dimensions. */
interface Labelled {
  readonly node: AnyNode;
  readonly labels: readonly string[];
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Sums labels that nobody else needs. */
function dropUnneeded({ node, labels }: Labelled, needed: ReadonlySet<string>): Labelled {
  const axes = labels.flatMap((label, i) => (needed.has(label) ? [] : [i]));
  return axes.length === 0
    ? { node, labels }
    : { node: reduceDims('sum', node, axes, false), labels: labels.filter((label) => needed.has(label)) };
}

/** The sum over all labels that are in both operands and not in `kept` of their product. */
export function contractPair(left: Labelled, right: Labelled, kept: ReadonlySet<string>): Labelled {
  const a = dropUnneeded(left, new Set([...kept, ...right.labels]));
  const b = dropUnneeded(right, new Set([...kept, ...left.labels]));
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const size = new Map<string, number>();
  for (const { node, labels } of [a, b])
    labels.forEach((label, i) => size.set(label, Math.max(size.get(label) ?? 1, node.shape[i])));
  for (const { node, labels } of [a, b])
    labels.forEach((label, i) => {
      if (node.shape[i] === 0) size.set(label, 0);
    });
  const batch = shared.filter((label) => kept.has(label));
  const summed = shared.filter((label) => !kept.has(label));
  const rows = a.labels.filter((label) => !shared.includes(label));
  const columns = b.labels.filter((label) => !shared.includes(label));
  const sizes = (labels: readonly string[]): number[] => labels.map((label) => size.get(label) as number);
  const arrange = ({ node, labels }: Labelled, order: readonly string[], shape: readonly number[]): AnyNode => {
    const moved = permuteNode(
      node,
      order.map((label) => labels.indexOf(label)),
    );
    return reshapeNode(expandNode(moved, sizes(order)), shape);
  };
  const [nb, nm, nk, nn] = [batch, rows, summed, columns].map((labels) => product(sizes(labels)));
  if (summed.length === 0) {
    // Nothing is summed: an elementwise product, which fuses with what surrounds it.
    const order = [...batch, ...rows, ...columns];
    const spread = (x: Labelled): AnyNode => {
      const own = order.filter((label) => x.labels.includes(label));
      const moved = permuteNode(
        x.node,
        own.map((label) => x.labels.indexOf(label)),
      );
      const shape = order.map((label) => (x.labels.includes(label) ? moved.shape[own.indexOf(label)] : 1));
      return expandNode(reshapeNode(moved, shape), sizes(order));
    };
    return { node: mul(wrap(spread(a)), wrap(spread(b))).node, labels: order };
  }
  const x = arrange(a, [...batch, ...rows, ...summed], [nb, nm, nk]);
  const y = arrange(b, [...batch, ...summed, ...columns], [nb, nk, nn]);
  return {
    node: reshapeNode(contractNode(x, y), sizes([...batch, ...rows, ...columns])),
    labels: [...batch, ...rows, ...columns],
  };
}

/** Repeated labels of one operand become its diagonal. */
function takeDiagonals(x: Tensor, labels: readonly string[]): Labelled {
  let current = x;
  let left = [...labels];
  for (;;) {
    const second = left.findIndex((label, i) => left.indexOf(label) < i);
    if (second < 0) return { node: current.node, labels: left };
    const first = left.indexOf(left[second]);
    const label = left[first];
    if (current.shape[first] !== current.shape[second])
      throw new ProjError(
        'shape-mismatch',
        `label "${label}" has sizes ${current.shape[first]} and ${current.shape[second]}`,
        { op: 'einsum' },
      );
    current = current.diagonal({ dim1: first, dim2: second });
    left = [...left.filter((_, i) => i !== first && i !== second), label];
  }
}

function parse(equation: string, operands: readonly Tensor[]): { inputs: string[][]; output: string[] } {
  const fail = (message: string): never => {
    throw new ProjError('invalid-argument', `${message} in "${equation}"`, {
      op: 'einsum',
      shapes: operands.map((x) => x.shape),
    });
  };
  const [left, right, ...more] = equation.replaceAll(' ', '').split('->');
  if (more.length > 0) fail('more than one "->"');
  const terms = left.split(',');
  if (terms.length !== operands.length) fail(`${terms.length} terms for ${operands.length} operands`);
  const letters = (text: string): string[] => {
    if (!/^[A-Za-z]*$/.test(text)) fail(`a label that is not a letter`);
    return [...text];
  };
  let ellipsisRank = 0;
  const split = terms.map((term, i) => {
    const [before, after, ...extra] = term.split('...');
    if (extra.length > 0) fail('two ellipses in one term');
    const parts = { before: letters(before), after: after === undefined ? null : letters(after) };
    const named = parts.before.length + (parts.after?.length ?? 0);
    const rank = operands[i].ndim;
    if (parts.after === null ? named !== rank : named > rank)
      fail(`${named} labels for ${rank} dimensions of operand ${i}`);
    if (parts.after !== null) ellipsisRank = Math.max(ellipsisRank, rank - named);
    return parts;
  });
  const dots = (count: number): string[] => Array.from({ length: count }, (_, i) => `.${ellipsisRank - count + i}`);
  const inputs = split.map(({ before, after }, i) =>
    after === null ? before : [...before, ...dots(operands[i].ndim - before.length - after.length), ...after],
  );
  if (right === undefined) {
    const count = new Map<string, number>();
    for (const label of inputs.flat()) count.set(label, (count.get(label) ?? 0) + 1);
    const alone = [...count.keys()].filter((label) => !label.startsWith('.') && count.get(label) === 1).sort();
    return { inputs, output: [...dots(ellipsisRank), ...alone] };
  }
  const [before, after, ...extra] = right.split('...');
  if (extra.length > 0) fail('two ellipses in the output');
  const output = after === undefined ? letters(before) : [...letters(before), ...dots(ellipsisRank), ...letters(after)];
  for (const label of output)
    if (!label.startsWith('.') && !inputs.some((labels) => labels.includes(label)))
      fail(`output label "${label}" is in no operand`);
  if (new Set(output).size !== output.length) fail('an output label repeats');
  return { inputs, output };
}

/** Sum of products by Einstein's convention: `einsum('bij,bjk->bik', a, b)`. `...` stands for dimensions that broadcast. */
export function einsum(equation: string, ...operands: readonly (Tensor | readonly Tensor[])[]): Tensor {
  const list = (
    operands.length === 1 && !(operands[0] instanceof Tensor) ? operands[0] : operands
  ) as readonly Tensor[];
  if (list.length === 0) throw new ProjError('invalid-argument', 'no operands', { op: 'einsum' });
  const { inputs, output } = parse(equation, list);
  const sizes = new Map<string, number>();
  inputs.forEach((labels, i) =>
    labels.forEach((label, d) => {
      const size = list[i].shape[d];
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size)
        throw new ProjError('shape-mismatch', `label "${label}" has sizes ${known} and ${size}`, {
          op: 'einsum',
          shapes: list.map((x) => x.shape),
        });
      if (known === 1) sizes.set(label, size);
    }),
  );
  const dtype = list.reduce((type, x) => promoteTypes(type, x.dtype), list[0].dtype);
  let [current, ...rest] = list.map((x, i) => takeDiagonals(wrap(castNode(x.node, dtype)), inputs[i]));
  while (rest.length > 0) {
    const [next, ...later] = rest;
    current = contractPair(current, next, new Set([...output, ...later.flatMap(({ labels }) => labels)]));
    rest = later;
  }
  const reduced = dropUnneeded(current, new Set(output));
  const present = output.filter((label) => reduced.labels.includes(label));
  const moved = permuteNode(
    reduced.node,
    present.map((label) => reduced.labels.indexOf(label)),
  );
  return wrap(
    reshapeNode(
      moved,
      output.map((label) => sizes.get(label) ?? 1),
    ),
  );
}

/** Sums products over the last `dims` dimensions of `a` and the first of `b`, or over the listed pairs. */
export function tensordot(
  a: Tensor,
  b: Tensor,
  dims:
    | number
    | readonly [readonly number[], readonly number[]]
    | { dims?: number | readonly [readonly number[], readonly number[]] } = 2,
): Tensor {
  const { dims: given } = leading<{ dims?: number | readonly [readonly number[], readonly number[]] }>(
    'tensordot',
    { dims: 2 },
    'dims',
    dims,
  );
  const [left, right] =
    typeof given === 'number'
      ? [Array.from({ length: given }, (_, i) => a.ndim - given + i), Array.from({ length: given }, (_, i) => i)]
      : [
          given[0].map((d) => normalizeDim(d, a.ndim, 'tensordot')),
          given[1].map((d) => normalizeDim(d, b.ndim, 'tensordot')),
        ];
  if (left.length !== right.length || left.some((d, i) => d < 0 || d >= a.ndim || right[i] >= b.ndim))
    throw new ProjError('invalid-argument', `dims ${JSON.stringify(given)}`, {
      op: 'tensordot',
      shapes: [a.shape, b.shape],
    });
  left.forEach((d, i) => {
    if (a.shape[d] !== b.shape[right[i]] && a.shape[d] !== 1 && b.shape[right[i]] !== 1)
      throw new ProjError('shape-mismatch', `sizes ${a.shape[d]} and ${b.shape[right[i]]} differ`, {
        op: 'tensordot',
        shapes: [a.shape, b.shape],
      });
  });
  if (a.dtype !== b.dtype)
    throw new ProjError('dtype', `operands of ${a.dtype} and ${b.dtype}`, {
      op: 'tensordot',
      cure: 'Cast one of them',
    });
  const labelsA = a.shape.map((_, d) => (left.includes(d) ? `s${left.indexOf(d)}` : `a${d}`));
  const labelsB = b.shape.map((_, d) => (right.includes(d) ? `s${right.indexOf(d)}` : `b${d}`));
  const kept = [...labelsA, ...labelsB].filter((label) => !label.startsWith('s'));
  const { node, labels } = contractPair(
    { node: a.node, labels: labelsA },
    { node: b.node, labels: labelsB },
    new Set(kept),
  );
  return wrap(
    permuteNode(
      node,
      kept.map((label) => labels.indexOf(label)),
    ),
  );
}
/** All products of two vectors' elements. */
export function outer(input: Tensor, vec2: Tensor): Tensor {
  if (input.ndim !== 1 || vec2.ndim !== 1)
    throw new ProjError('shape-mismatch', 'vectors are needed', { op: 'outer', shapes: [input.shape, vec2.shape] });
  return mul(input.unsqueeze(-1), vec2);
}
/** Products summed over the last dimensions of both; with a 0-dim operand the elementwise product. */
export function inner(input: Tensor, other: Tensor): Tensor {
  if (input.ndim === 0 || other.ndim === 0) return mul(input, other);
  return tensordot(input, other, [[input.ndim - 1], [other.ndim - 1]]);
}
/** Dot product of vectors, the first conjugated. */
export function vdot(input: Tensor, other: Tensor): Tensor {
  return input.conj().dot(other);
}
/** Kronecker product. */
export function kron(input: Tensor, other: Tensor): Tensor {
  const rank = Math.max(input.ndim, other.ndim);
  const lead = (x: Tensor): number[] => [...new Array<number>(rank - x.ndim).fill(1), ...x.shape];
  const [a, b] = [lead(input), lead(other)];
  const left = input.reshape(a.flatMap((size) => [size, 1]));
  const right = other.reshape(b.flatMap((size) => [1, size]));
  return wrap(
    reshapeNode(
      mul(left, right).node,
      a.map((size, i) => size * b[i]),
    ),
  );
}
/** Cross product of vectors of length 3 along `dim` (the first dimension of that length). */
export function cross(input: Tensor, other: Tensor, dim: number | null | { dim?: number | null } = null): Tensor {
  const { dim: given } = leading<{ dim?: number | null }>('cross', { dim: null }, 'dim', dim);
  const shape = broadcastShapes('cross', input.shape, other.shape);
  const at = given === null ? shape.indexOf(3) : normalizeDim(given, shape.length, 'cross');
  if (at < 0 || shape[at] !== 3)
    throw new ProjError('shape-mismatch', 'no dimension of length 3', {
      op: 'cross',
      shapes: [input.shape, other.shape],
    });
  const [a, b] = [input.expand(shape), other.expand(shape)];
  const part = (x: Tensor, i: number): Tensor => x.narrow(at, i, 1);
  const component = (i: number, j: number): Tensor => mul(part(a, i), part(b, j)).sub(mul(part(a, j), part(b, i)));
  return concatenate([component(1, 2), component(2, 0), component(0, 1)], at, 'cross');
}

export interface BetaAlpha {
  /** Factor of the input; 0 leaves it out altogether. */
  readonly beta?: Scalar;
  /** Factor of the product. */
  readonly alpha?: Scalar;
}
const BETA_ALPHA: Defaults<BetaAlpha> = { beta: 1, alpha: 1 };
function scaledSum(op: string, input: Tensor, value: Tensor, options: BetaAlpha): Tensor {
  const { beta, alpha } = withDefaults(op, BETA_ALPHA, options);
  if (input.dtype !== value.dtype)
    throw new ProjError('dtype', `an input of ${input.dtype} and a product of ${value.dtype}`, {
      op,
      cure: 'Cast one of them',
    });
  const whole = (x: Scalar): Scalar =>
    isIntegral(input.dtype) && typeof scalarValue(x) === 'number' ? Math.trunc(Number(scalarValue(x))) : x;
  const scaled = isOne(alpha) ? value : mul(value, whole(alpha));
  const shape = value.shape;
  if (input.ndim > shape.length)
    throw new ProjError('shape-mismatch', 'the input does not broadcast to the product', {
      op,
      shapes: [input.shape, shape],
    });
  const base = input.expand(shape);
  if (isNothing(beta)) return scaled;
  return add(isOne(beta) ? base : mul(base, whole(beta)), scaled);
}
/** beta · input + alpha · (mat1 @ mat2). */
export function addmm(input: Tensor, mat1: Tensor, mat2: Tensor, options: BetaAlpha = {}): Tensor {
  return scaledSum('addmm', input, mat1.mm(mat2), options);
}
/** beta · input + alpha · (mat @ vec). */
export function addmv(input: Tensor, mat: Tensor, vec: Tensor, options: BetaAlpha = {}): Tensor {
  return scaledSum('addmv', input, mat.mv(vec), options);
}
/** beta · input + alpha · outer(vec1, vec2). */
export function addr(input: Tensor, vec1: Tensor, vec2: Tensor, options: BetaAlpha = {}): Tensor {
  const value = outer(vec1, vec2);
  const type = promoteTypes(input.dtype, value.dtype);
  if (type === 'bool') {
    const { beta, alpha } = withDefaults('addr', BETA_ALPHA, options);
    const [keeps, adds] = [beta, alpha].map((x) => !isNothing(x));
    const product = adds ? value : value.logicalXor(value);
    return keeps ? product.logicalOr(input) : product;
  }
  return scaledSum('addr', wrap(castNode(input.node, type)), wrap(castNode(value.node, type)), options);
}
/** beta · input + alpha · the sum of the batch's products. */
export function addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, options: BetaAlpha = {}): Tensor {
  return scaledSum('addbmm', input, wrap(reduceDims('sum', batch1.bmm(batch2).node, [0], false)), options);
}
/** beta · input + alpha · (batch1 @ batch2). */
export function baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, options: BetaAlpha = {}): Tensor {
  return scaledSum('baddbmm', input, batch1.bmm(batch2), options);
}
/** Product of matrices in the cheapest order (dynamic programming over the bracketings). */
export function multiplyChain(matrices: readonly Tensor[]): Tensor {
  const sizes = [matrices[0].shape[0], ...matrices.map((m) => m.shape[1])];
  const n = matrices.length;
  const cost = Array.from({ length: n }, () => new Float64Array(n));
  const cut = Array.from({ length: n }, () => new Int32Array(n));
  for (let length = 2; length <= n; length++) {
    for (let i = 0; i + length <= n; i++) {
      const j = i + length - 1;
      cost[i][j] = Infinity;
      for (let k = i; k < j; k++) {
        const total = cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1];
        if (total < cost[i][j]) [cost[i][j], cut[i][j]] = [total, k];
      }
    }
  }
  const build = (i: number, j: number): Tensor =>
    i === j ? matrices[i] : matmul(build(i, cut[i][j]), build(cut[i][j] + 1, j));
  return build(0, n - 1);
}
/** Product of matrices, in the cheapest order. */
export function chainMatmul(...matrices: readonly (Tensor | readonly Tensor[])[]): Tensor {
  return multiplyChain(
    (matrices.length === 1 && !(matrices[0] instanceof Tensor) ? matrices[0] : matrices) as readonly Tensor[],
  );
}
export const EINSUM: readonly OpRow[] = [
  row('einsum', einsum as never, 'equation, *operands'),
  row('tensordot', tensordot as never, 'a, b, dims=2'),
  row('outer', outer, 'input, vec2', { torch: ['torch.outer', 'Tensor.outer', 'torch.ger', 'Tensor.ger'] }),
  row('ger', outer, 'input, vec2', { torch: [] }),
  row('inner', inner, 'input, other'),
  row('vdot', vdot, 'input, other'),
  row('kron', kron, 'input, other'),
  row('cross', cross, 'input, other, dim=None'),
  row('addmm', addmm, 'input, mat1, mat2, *, beta=1, alpha=1', { inPlace: true }),
  row('addmv', addmv, 'input, mat, vec, *, beta=1, alpha=1', { inPlace: true }),
  row('addr', addr, 'input, vec1, vec2, *, beta=1, alpha=1', { inPlace: true }),
  row('addbmm', addbmm, 'input, batch1, batch2, *, beta=1, alpha=1', { inPlace: true }),
  row('baddbmm', baddbmm, 'input, batch1, batch2, *, beta=1, alpha=1', { inPlace: true }),
  row('chainMatmul', chainMatmul as never, '*matrices'),
];
