/** Moving, turning and padding dimensions. */
import { ProjError } from '@proj/kernel';
import { complexNode, padNode, partNode, sliceNode } from '../graph/build.ts';
import type { AnyNode } from '../graph/node.ts';
import { ComplexScalar, isComplexDType, isIntegral, type Scalar, scalarValue } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { leading, normalizeDim } from './arguments.ts';
import { type OpRow, row } from './table.ts';
import { flip, narrow, permute, transpose } from './views.ts';

/** Dimensions `source` moved to the places `destination`; the others keep their order. A view. */
export function movedim(
  input: Tensor,
  source: number | readonly number[],
  destination: number | readonly number[],
): Tensor {
  const [from, to] = [source, destination].map((dims) =>
    (typeof dims === 'number' ? [dims] : [...dims]).map((dim) => normalizeDim(dim, input.ndim, 'movedim')),
  );
  if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
    throw new ProjError('invalid-argument', `dims [${from.join(', ')}] to [${to.join(', ')}]`, {
      op: 'movedim',
      shapes: [input.shape],
      cure: 'Give equally many dims, without repeats',
    });
  }
  if (input.ndim === 0) return permute(input, []);
  const rest = input.shape.map((_, i) => i).filter((i) => !from.includes(i));
  const order = input.shape.map((_, i) => (to.includes(i) ? from[to.indexOf(i)] : (rest.shift() as number)));
  return permute(input, order);
}
/** A matrix transposed; the last two dimensions of a batch. A view. */
export function matrixTranspose(input: Tensor): Tensor {
  if (input.ndim === 1)
    throw new ProjError('shape-mismatch', 'a vector cannot be transposed', {
      op: 'mT',
      shapes: [input.shape],
      cure: 'Use unsqueeze first',
    });
  return input.ndim === 0 ? input : transpose(input, -2, -1);
}
/** All dimensions in reverse order. A view. */
export function reverseDims(input: Tensor): Tensor {
  return permute(
    input,
    input.shape.map((_, i) => input.ndim - 1 - i),
  );
}
/** Columns in reverse order. */
export function fliplr(input: Tensor): Tensor {
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions is needed', {
      op: 'fliplr',
      shapes: [input.shape],
    });
  return flip(input, [1]);
}
/** Rows in reverse order. */
export function flipud(input: Tensor): Tensor {
  if (input.ndim < 1)
    throw new ProjError('shape-mismatch', 'a tensor of at least one dimension is needed', {
      op: 'flipud',
      shapes: [input.shape],
    });
  return flip(input, [0]);
}
export interface RotationOptions {
  /** Quarter turns, from the first of `dims` towards the second. */
  readonly k?: number;
  readonly dims?: readonly number[];
}
/** Turned by k · 90° in the plane of `dims`, from the first towards the second. */
export function rot90(
  input: Tensor,
  k: number | RotationOptions = 1,
  dims: readonly number[] | RotationOptions = [0, 1],
): Tensor {
  const { k: turns, dims: plane } = leading<RotationOptions>(
    'rot90',
    { k: 1, dims: [0, 1] },
    'k',
    k,
    'length' in dims ? { dims } : dims,
  );
  if (input.ndim < 2 || plane.length !== 2)
    throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions and two dims are needed', {
      op: 'rot90',
      shapes: [input.shape],
    });
  const [a, b] = plane.map((dim) => normalizeDim(dim, input.ndim, 'rot90'));
  if (a === b) throw new ProjError('invalid-argument', 'the dims are the same', { op: 'rot90' });
  switch (((turns % 4) + 4) % 4) {
    case 1:
      return transpose(flip(input, [b]), a, b);
    case 2:
      return flip(input, [a, b]);
    case 3:
      return transpose(flip(input, [a]), a, b);
    default:
      return wrap(input.node);
  }
}
/** A copy of elements start … start+length-1 of `dim`. */
export function narrowCopy(input: Tensor, dim: number, start: number, length: number): Tensor {
  return wrap(narrow(input, dim, start, length).node);
}
/** `value` around the tensor: pairs (before, after) from the last dimension backwards; negative ones cut off. */
export function constantPadNd(
  input: Tensor,
  pad: readonly number[],
  value: Scalar | { readonly value?: Scalar } = 0,
): Tensor {
  const { value: around } = leading<{ value?: Scalar }>('constantPadNd', { value: 0 }, 'value', value);
  if (pad.length % 2 !== 0 || pad.length > 2 * input.ndim)
    throw new ProjError('invalid-argument', `${pad.length} pad sizes for ${input.ndim} dimensions`, {
      op: 'constantPadNd',
      shapes: [input.shape],
      cure: 'Give pairs, from the last dimension backwards',
    });
  const amount = (dim: number, side: 0 | 1): number => pad[2 * (input.ndim - 1 - dim) + side] ?? 0;
  const sizes = input.shape.map((size, d) => size + Math.min(0, amount(d, 0)) + Math.min(0, amount(d, 1)));
  input.shape.forEach((size, d) => {
    if (size + amount(d, 0) + amount(d, 1) < 0 || sizes[d] < 0)
      throw new ProjError('shape-mismatch', `padding by ${amount(d, 0)} and ${amount(d, 1)} leaves less than nothing`, {
        op: 'constantPadNd',
        shapes: [input.shape],
      });
  });
  const cut = sliceNode(
    input.node,
    input.shape.map((_, d) => Math.max(0, -amount(d, 0))),
    sizes,
    input.shape.map(() => 1),
  );
  const [before, after] = ([0, 1] as const).map((side) => input.shape.map((_, d) => Math.max(0, amount(d, side))));
  if (around instanceof ComplexScalar && isComplexDType(input.dtype)) {
    const part = (imaginary: boolean, filling: number): AnyNode =>
      padNode(partNode(cut, imaginary), before, after, filling);
    return wrap(complexNode(part(false, around.re), part(true, around.im)));
  }
  const filling = Number(scalarValue(around));
  return wrap(padNode(cut, before, after, isIntegral(input.dtype) ? Math.trunc(filling) : filling));
}

export const LAYOUT: readonly OpRow[] = [
  row('movedim', movedim, 'input, source, destination'),
  row('moveaxis', movedim, 'input, source, destination'),
  row('fliplr', fliplr, 'input'),
  row('flipud', flipud, 'input'),
  row('rot90', rot90 as never, 'input, k=1, dims=(0, 1)'),
  row('narrowCopy', narrowCopy, 'input, dim, start, length'),
  row('constantPadNd', constantPadNd, 'input, pad, value=0', { torch: ['torch.constant_pad_nd'] }),
];
