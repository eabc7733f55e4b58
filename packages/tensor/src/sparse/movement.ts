/** Changes of places: transposes, joins, parts. Values are copied where they are chosen, never touched otherwise. */
import { ProjError } from '@proj/kernel';
import { normalizeDim } from '../ops/arguments.ts';
import { zeros } from '../ops/creation.ts';
import { cat as joinDense } from '../ops/joining.ts';
import type { Tensor } from '../tensor.ts';
import { takeRows } from './kernels.ts';
import { joined, mapped, Pattern } from './pattern.ts';
import { SparseTensor } from './sparse-tensor.ts';

/**
 * The dimensions in the order `dims`; sparse dimensions stay before dense ones. A compressed matrix, transposed, has its other dimension compressed. PyTorch:
 * `torch.permute`. Errors: no permutation; sparse and dense dimensions mixed.
 */
export function permute(input: SparseTensor, dims: readonly number[]): SparseTensor {
  const op = 'permute';
  const order = dims.map((dim) => normalizeDim(dim, input.ndim, op));
  const sparseDims = input.sparseDim();
  if (new Set(order).size !== input.ndim || order.length !== input.ndim)
    throw new ProjError('invalid-argument', `[${dims.join(', ')}] is no permutation of ${input.ndim} dimensions`, {
      op,
    });
  if (order.some((dim, i) => dim < sparseDims !== i < sparseDims))
    throw new ProjError('invalid-argument', 'sparse and dense dimensions change places among themselves only', {
      op,
      shapes: [input.shape],
    });
  if (order.every((dim, i) => dim === i)) return input;
  const inside = order.slice(sparseDims).map((dim) => dim - sparseDims + 1);
  const values = inside.every((dim, i) => dim === i + 1)
    ? input.storedValues
    : input.storedValues.permute([0, ...inside]);
  const pattern = input.pattern.axes(order.slice(0, sparseDims));
  if (input.isSparse) {
    const unmoved = order.slice(0, sparseDims).every((dim, i) => dim === i);
    return new SparseTensor(pattern, values, { coalesced: unmoved && input.isCoalesced() });
  }
  return new SparseTensor(pattern, values, { layout: input.isSparseCsr ? 'sparse_csc' : 'sparse_csr' });
}
/** Two dimensions exchanged, as {@link permute}. PyTorch: `torch.transpose`. */
export function transpose(input: SparseTensor, dim0: number, dim1: number): SparseTensor {
  const order = input.shape.map((_, i) => i);
  const [a, b] = [normalizeDim(dim0, input.ndim, 'transpose'), normalizeDim(dim1, input.ndim, 'transpose')];
  [order[a], order[b]] = [b, a];
  return permute(input, order);
}
/** A matrix transposed; a vector as it is. PyTorch: `torch.t`. */
export function t(input: SparseTensor): SparseTensor {
  if (input.ndim > 2) throw new ProjError('shape-mismatch', 'a matrix is needed', { op: 't', shapes: [input.shape] });
  return input.ndim < 2 ? input : transpose(input, 0, 1);
}

/** A dimension of size 1 at `dim`; among the sparse ones, or after them among the dense ones. PyTorch: `torch.unsqueeze`. */
export function unsqueeze(input: SparseTensor, dim: number): SparseTensor {
  const x = input.toSparse();
  const at = normalizeDim(dim, x.ndim + 1, 'unsqueeze');
  const sparseDims = x.sparseDim();
  if (at > sparseDims) return new SparseTensor(x.pattern, x.storedValues.unsqueeze(at - sparseDims + 1));
  const axes = x.pattern.coordinates.toSpliced(at, 0, new Int32Array(x.nnz()));
  return new SparseTensor(new Pattern(x.pattern.sizes.toSpliced(at, 0, 1), axes, x.nnz()), x.storedValues);
}

/**
 * Sparse tensors one after the other along `dim`, as coordinates that are not coalesced. PyTorch: `torch.cat`. Errors: none at all; shapes that differ elsewhere;
 * different numbers of sparse dimensions.
 */
export function cat(tensors: readonly SparseTensor[], dim: number = 0): SparseTensor {
  const op = 'cat';
  if (tensors.length === 0) throw new ProjError('invalid-argument', 'at least one tensor is needed', { op });
  const all = tensors.map((x) => x.toSparse());
  const [first] = all;
  const at = normalizeDim(dim, first.ndim, op);
  const dims = first.sparseDim();
  for (const x of all)
    if (
      x.sparseDim() !== dims ||
      x.ndim !== first.ndim ||
      x.shape.some((size, d) => d !== at && size !== first.shape[d])
    )
      throw new ProjError('shape-mismatch', `the tensors differ in more than dimension ${at}`, {
        op,
        shapes: all.map(({ shape }) => shape),
      });
  const lengths = all.map(({ shape }) => shape[at]);
  const before = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
  const total = lengths.reduce((a, b) => a + b, 0);
  const values = all.map((x) => x.storedValues);
  const count = all.reduce((n, x) => n + x.nnz(), 0);
  const sizes = first.pattern.sizes.map((size, d) => (d === at ? total : size));
  const axes = sizes.map((size, d) =>
    joined(
      all.map(({ pattern }, i) =>
        d === at ? mapped(pattern.coordinates[d], size, (k) => k + before[i]) : pattern.coordinates[d],
      ),
      size,
    ),
  );
  if (at < dims) return new SparseTensor(new Pattern(sizes, axes, count), joinDense(values, 0));
  // Along a dense dimension the others have zeros.
  const inside = at - dims + 1;
  const padded = values.map((x, i) => {
    const none = (size: number): Tensor => zeros(x.shape.with(inside, size), { dtype: x.dtype, device: x.device });
    return joinDense([none(before[i]), x, none(total - before[i] - lengths[i])], inside);
  });
  return new SparseTensor(new Pattern(sizes, axes, count), joinDense(padded, 0));
}
/** Sparse tensors of one shape along a new dimension. PyTorch: `torch.stack`. */
export function stack(tensors: readonly SparseTensor[], dim: number = 0): SparseTensor {
  return cat(
    tensors.map((x) => unsqueeze(x, dim)),
    dim,
  );
}

/** The chosen places, with dimension `dim` renumbered: `places` of the values, and what their index becomes. */
function chosen(
  x: SparseTensor,
  dim: number,
  size: number,
  places: readonly number[],
  at: readonly number[],
): SparseTensor {
  const order = Int32Array.from(places);
  const picked = x.pattern.pick(order);
  const sizes = picked.sizes.with(dim, size);
  const axes = picked.coordinates.with(
    dim,
    mapped(Int32Array.from(at), size, (k) => k),
  );
  return new SparseTensor(new Pattern(sizes, axes, order.length), takeRows(x.storedValues, order));
}

/**
 * The slices of dimension `dim` that a vector of indices names, in its order; reads the indices. PyTorch: `torch.index_select`. Errors: an index outside.
 */
export function indexSelect(input: SparseTensor, dim: number, index: Tensor): SparseTensor {
  const x = input.toSparse();
  const at = normalizeDim(dim, x.ndim, 'indexSelect');
  if (at >= x.sparseDim()) return x.withValues(x.storedValues.indexSelect(at - x.sparseDim() + 1, index));
  const wanted = index.reshape([-1]).toFlatArray();
  const axis = x.pattern.coordinates[at];
  const having = new Map<number, number[]>();
  axis.forEach((i, k) => {
    const known = having.get(i);
    if (known === undefined) having.set(i, [k]);
    else known.push(k);
  });
  const [places, positions]: [number[], number[]] = [[], []];
  for (const [position, i] of wanted.entries()) {
    if (i < 0 || i >= x.shape[at])
      throw new ProjError('index-out-of-range', `index ${i} in dimension ${at} of size ${x.shape[at]}`, {
        op: 'indexSelect',
      });
    for (const k of having.get(i) ?? []) {
      places.push(k);
      positions.push(position);
    }
  }
  return chosen(x, at, wanted.length, places, positions);
}

/** The slice at `index` of dimension `dim`: one dimension fewer, dense when no sparse one is left. PyTorch: `torch.select`. Errors: an index outside. */
export function select(input: SparseTensor, dim: number, index: number): SparseTensor | Tensor {
  const x = input.toSparse();
  const at = normalizeDim(dim, x.ndim, 'select');
  const size = x.shape[at];
  if (!Number.isInteger(index) || index < -size || index >= size)
    throw new ProjError('index-out-of-range', `index ${index} in dimension ${at} of size ${size}`, { op: 'select' });
  const wanted = index < 0 ? index + size : index;
  const dims = x.sparseDim();
  if (at >= dims) return new SparseTensor(x.pattern, x.storedValues.select(at - dims + 1, wanted));
  const places = Array.from(x.pattern.coordinates[at].keys()).filter((k) => x.pattern.coordinates[at][k] === wanted);
  const values = takeRows(x.storedValues, places);
  if (dims === 1) return values.sum(0);
  const others = x.pattern.sizes.map((_, d) => d).filter((d) => d !== at);
  return new SparseTensor(x.pattern.pick(Int32Array.from(places)).axes(others), values);
}
/** Python's brackets with one number: {@link select} of dimension 0. */
export const index = (input: SparseTensor, at: number): SparseTensor | Tensor => select(input, 0, at);

/** `length` slices of dimension `dim` from `start` on. PyTorch: `torch.narrow_copy`. Errors: a part outside. */
export function narrowCopy(input: SparseTensor, dim: number, start: number, length: number): SparseTensor {
  const x = input.toSparse();
  const at = normalizeDim(dim, x.ndim, 'narrowCopy');
  const size = x.shape[at];
  const begin = start < 0 ? start + size : start;
  if (!(begin >= 0 && length >= 0 && begin + length <= size))
    throw new ProjError('index-out-of-range', `${length} from ${start} on of dimension ${at} of size ${size}`, {
      op: 'narrowCopy',
    });
  if (at >= x.sparseDim()) return x.withValues(x.storedValues.narrow(at - x.sparseDim() + 1, begin, length));
  const axis = x.pattern.coordinates[at];
  const places = Array.from(axis.keys()).filter((k) => axis[k] >= begin && axis[k] < begin + length);
  const result = chosen(
    x,
    at,
    length,
    places,
    places.map((k) => axis[k] - begin),
  );
  return new SparseTensor(result.pattern, result.storedValues, { coalesced: x.isCoalesced() });
}
/** Whether two tensors have the same shape. PyTorch: `torch.is_same_size`. */
export const isSameSize = (input: SparseTensor, other: SparseTensor): boolean =>
  input.shape.join() === other.shape.join();
