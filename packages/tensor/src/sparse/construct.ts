/** Making sparse tensors: of indices and values, of dense tensors, of diagonals. */
import { type Defaults, type DType, ProjError, withDefaults } from '@proj/kernel';
import { elementCount, type Shape } from '../graph/node.ts';
import { deviceArgument } from '../ops/arguments.ts';
import { fromArray, tensor, zeros } from '../ops/creation.ts';
import { nonzeroPositions } from '../ops/data-dependent.ts';
import { type NestedArray, Tensor } from '../tensor.ts';
import { takeRows } from './kernels.ts';
import { type Coordinates, linearPositions, Pattern, patternAt } from './pattern.ts';
import { type SparseLayout, SparseTensor } from './sparse-tensor.ts';

/** Options of the constructors. */
export interface SparseOptions {
  /** That of the values unless given. */
  readonly dtype?: DType | null;
  readonly device?: string | null;
  /** Makes the values a leaf that records gradients. */
  readonly requiresGrad?: boolean;
}
/** What the constructors may be told. */
export const SPARSE: Defaults<SparseOptions> = { dtype: null, device: null, requiresGrad: false };
/** A tensor, or numbers for one. */
export type TensorData = Tensor | NestedArray;

/** Indices as a tensor. Errors: another dtype than int64 or int32. */
export const indexTensor = (data: TensorData, op: string): Tensor => {
  const indices = data instanceof Tensor ? data : tensor(data, { dtype: 'int64' });
  if (indices.dtype !== 'int64' && indices.dtype !== 'int32' && indices.numel() > 0)
    throw new ProjError('dtype', `indices of ${indices.dtype}`, { op, cure: 'Cast them to int64' });
  return indices;
};
/** Values as a tensor of the dtype that is asked for; a leaf where gradients are. */
export function valueTensor(data: TensorData, options: SparseOptions, op: string): Tensor {
  const { dtype, device, requiresGrad } = withDefaults(op, SPARSE, options);
  const made = data instanceof Tensor ? data : tensor(data, { dtype, device });
  const values = dtype === null ? made : made.to(dtype);
  return requiresGrad ? values.detach().requiresGrad_() : values;
}

/** No values at all. */
export function sparseCooTensor(size: readonly number[], options?: SparseOptions): SparseTensor;
/** Values at coordinates. */
export function sparseCooTensor(
  indices: TensorData,
  values: TensorData,
  size?: readonly number[] | null,
  options?: SparseOptions,
): SparseTensor;
/**
 * `values` [count, …dense dimensions] at the coordinates `indices` [sparse dimensions, count] (int64) of a tensor of shape `size`, which is as small as possible
 * unless given. Places may occur several times: their values add up. Indices are read and checked. With `size` alone: no values. PyTorch:
 * `torch.sparse_coo_tensor`. Errors: indices outside; numbers of dimensions or values that do not fit.
 */
export function sparseCooTensor(
  ...args:
    | readonly [size: readonly number[], options?: SparseOptions]
    | readonly [indices: TensorData, values: TensorData, size?: readonly number[] | null, options?: SparseOptions]
): SparseTensor {
  const op = 'sparseCooTensor';
  const [first, second, third, options = {}] = args as [
    TensorData,
    TensorData,
    Shape | null | undefined,
    SparseOptions?,
  ];
  if (!(second instanceof Tensor) && !Array.isArray(second) && typeof second !== 'number')
    return emptySparse(first as Shape, second as unknown as SparseOptions | undefined);
  const indices = indexTensor(first, op);
  const values = valueTensor(second, options, op);
  const [dims, count] = indices.shape;
  if (indices.ndim !== 2 || values.ndim === 0 || values.shape[0] !== count)
    throw new ProjError('shape-mismatch', 'indices must be [sparse dimensions, count] and values [count, …]', {
      op,
      shapes: [indices.shape, values.shape],
    });
  const size = third ?? smallestSize(indices, values);
  if (size.length !== dims + values.ndim - 1 || values.shape.slice(1).some((extent, d) => extent !== size[dims + d]))
    throw new ProjError('shape-mismatch', `indices of ${dims} dimensions and these values do not fit the size`, {
      op,
      shapes: [indices.shape, values.shape, size],
      cure: 'Give a size of as many dimensions as indices have rows and a value has dimensions',
    });
  return new SparseTensor(Pattern.read(indices, size.slice(0, dims), op), values);
}
function smallestSize(indices: Tensor, values: Tensor): number[] {
  const [dims, count] = indices.shape;
  const flat = indices.toFlatArray();
  const reach = Array.from({ length: dims }, (_, d) =>
    flat.slice(d * count, (d + 1) * count).reduce((most, at) => Math.max(most, at + 1), 0),
  );
  return [...reach, ...values.shape.slice(1)];
}
function emptySparse(size: Shape, options: SparseOptions = {}): SparseTensor {
  const { dtype, device, requiresGrad } = withDefaults('sparseCooTensor', SPARSE, options);
  const pattern = patternAt([], [...size]);
  return new SparseTensor(pattern, zeros([0], { dtype, device: deviceArgument(device), requiresGrad }), {
    coalesced: true,
  });
}

/** Compressed indices as coordinates. Errors: what is no compressed pattern. */
export function compressedPattern(
  compressed: Tensor,
  plain: Tensor,
  size: readonly [number, number],
  major: 0 | 1,
  op: string,
): Pattern {
  const wrong = (what: string): ProjError =>
    new ProjError('invalid-argument', what, { op, shapes: [compressed.shape, plain.shape, size] });
  const pointers = compressed.toFlatArray();
  const [count] = plain.shape;
  if (pointers.length !== size[major] + 1)
    throw wrong(`${pointers.length} pointers for ${size[major]} of dimension ${major}`);
  if (pointers[0] !== 0 || pointers[pointers.length - 1] !== count)
    throw wrong(`pointers must go from 0 to the number of values, ${count}`);
  const majors = new Int32Array(count);
  for (let i = 0; i < size[major]; i++) {
    if (pointers[i + 1] < pointers[i]) throw wrong('pointers must not fall');
    majors.fill(i, pointers[i], pointers[i + 1]);
  }
  const minors = Int32Array.from(plain.toFlatArray());
  for (let k = 0; k < count; k++) {
    if (minors[k] < 0 || minors[k] >= size[1 - major])
      throw new ProjError(
        'index-out-of-range',
        `index ${minors[k]} in dimension ${1 - major} of size ${size[1 - major]}`,
        { op },
      );
    if (k > 0 && majors[k] === majors[k - 1] && minors[k] <= minors[k - 1])
      throw wrong('indices must rise within each row (column)');
  }
  const axes: Coordinates[] = major === 0 ? [majors, minors] : [minors, majors];
  return new Pattern(size, axes, count);
}

/** The smallest [rows, columns] that pointers and indices fit; `major` is the compressed dimension. Reads the indices. */
export function compressedSize(compressed: Tensor, plain: Tensor, major: 0 | 1): [number, number] {
  const length = Math.max(0, compressed.shape[0] - 1);
  const reach = plain.toFlatArray().reduce((most, at) => Math.max(most, at + 1), 0);
  return major === 0 ? [length, reach] : [reach, length];
}

function compressedTensor(
  layout: 'sparse_csr' | 'sparse_csc',
  compressedData: TensorData,
  plainData: TensorData,
  valueData: TensorData,
  size: readonly number[] | null,
  options: SparseOptions,
  op: string,
): SparseTensor {
  const compressed = indexTensor(compressedData, op);
  const plain = indexTensor(plainData, op);
  const values = valueTensor(valueData, options, op);
  if (compressed.ndim !== 1 || plain.ndim !== 1 || values.ndim !== 1 || (size !== null && size.length !== 2))
    throw new ProjError('shape-mismatch', 'one matrix at a time: pointers, indices and values must be vectors', {
      op,
      shapes: [compressed.shape, plain.shape, values.shape],
      cure: 'Make a tensor for each matrix of a batch',
    });
  if (plain.shape[0] !== values.shape[0])
    throw new ProjError('shape-mismatch', `${values.shape[0]} values for ${plain.shape[0]} indices`, {
      op,
      shapes: [plain.shape, values.shape],
    });
  const major = layout === 'sparse_csr' ? 0 : 1;
  const whole = size === null ? compressedSize(compressed, plain, major) : ([...size] as [number, number]);
  const indexType = compressed.dtype === 'int32' ? 'int32' : 'int64';
  return new SparseTensor(compressedPattern(compressed, plain, whole, major, op), values, { layout, indexType });
}

/**
 * The matrix [rows, columns] whose row i has `values` [count] from `crowIndices[i]` to `crowIndices[i + 1]`, at columns `colIndices` [count] that rise. Indices are
 * read and checked. PyTorch: `torch.sparse_csr_tensor`. Errors: what is no such matrix.
 */
export function sparseCsrTensor(
  crowIndices: TensorData,
  colIndices: TensorData,
  values: TensorData,
  size: readonly number[] | null = null,
  options: SparseOptions = {},
): SparseTensor {
  return compressedTensor('sparse_csr', crowIndices, colIndices, values, size, options, 'sparseCsrTensor');
}
/** As {@link sparseCsrTensor} with columns for rows. PyTorch: `torch.sparse_csc_tensor`. */
export function sparseCscTensor(
  ccolIndices: TensorData,
  rowIndices: TensorData,
  values: TensorData,
  size: readonly number[] | null = null,
  options: SparseOptions = {},
): SparseTensor {
  return compressedTensor('sparse_csc', ccolIndices, rowIndices, values, size, options, 'sparseCscTensor');
}
/**
 * The elements of a dense tensor that are not zero, as coordinates of its first `sparseDim` dimensions (of all unless given); rows of the rest are kept where
 * any element is not zero. Reads the tensor; gradients flow to it. PyTorch: `Tensor.to_sparse`. Errors: 0-dim tensors.
 */
export function toSparse(input: Tensor | SparseTensor, sparseDim: number | null = null): SparseTensor {
  if (input instanceof SparseTensor) return input.toSparse();
  const dims = sparseDim ?? input.ndim;
  if (!Number.isInteger(dims) || dims < 1 || dims > input.ndim)
    throw new ProjError('invalid-argument', `${dims} sparse dimensions`, {
      op: 'toSparse',
      shapes: [input.shape],
      cure: `Use 1 to ${input.ndim}`,
    });
  const sizes = input.shape.slice(0, dims);
  const rest = input.shape.slice(dims);
  const rows = input.reshape([elementCount(sizes), ...rest]);
  const kept =
    rest.length === 0
      ? rows.detach()
      : rows
          .detach()
          .ne(0)
          .any(rest.map((_, d) => d + 1));
  const [places] = nonzeroPositions(kept);
  const linear = places.toFlatArray();
  return new SparseTensor(patternAt(linear, sizes), takeRows(rows, linear), { coalesced: true });
}
/** As {@link toSparse}. */
export const toSparseCoo = (input: Tensor | SparseTensor): SparseTensor => toSparse(input);
/** The matrix with its rows compressed. Reads a dense one. PyTorch: `Tensor.to_sparse_csr`. */
export const toSparseCsr = (input: Tensor | SparseTensor): SparseTensor => toSparse(input).toSparseCsr();
/** The matrix with its columns compressed. Reads a dense one. PyTorch: `Tensor.to_sparse_csc`. */
export const toSparseCsc = (input: Tensor | SparseTensor): SparseTensor => toSparse(input).toSparseCsc();
/** All elements, zeros included; a dense tensor as it is. PyTorch: `Tensor.to_dense`. */
export const toDense = (input: Tensor | { toDense(): Tensor }): Tensor =>
  input instanceof Tensor ? input : input.toDense();

/**
 * The matrix of shape [rows, columns] with row k of `diagonals` [D, L] on its diagonal `offsets[k]`: element j of it in column j. PyTorch:
 * `torch.sparse.spdiags`. Errors: offsets that occur twice.
 */
export function spdiags(
  diagonals: Tensor,
  offsets: Tensor,
  shape: readonly [number, number],
  options: { readonly layout?: SparseLayout } = {},
): SparseTensor {
  const op = 'spdiags';
  const { layout } = withDefaults(op, { layout: 'sparse_coo' }, options);
  const at = offsets.reshape([-1]).toFlatArray();
  const bands = diagonals.ndim === 1 ? diagonals.unsqueeze(0) : diagonals;
  if (bands.ndim !== 2 || bands.shape[0] !== at.length || new Set(at).size !== at.length)
    throw new ProjError('shape-mismatch', 'there must be one diagonal for each offset, and no offset twice', {
      op,
      shapes: [diagonals.shape, offsets.shape],
    });
  const [rows, columns] = shape;
  const length = bands.shape[1];
  const places: [number, number, number][] = [];
  for (const [band, offset] of at.entries())
    for (let j = Math.max(0, offset); j < Math.min(columns, length, rows + offset); j++)
      places.push([j - offset, j, band * length + j]);
  const axes = [0, 1].map((d) => Int32Array.from(places, (place) => place[d]));
  const values = takeRows(
    bands.reshape([-1]),
    places.map(([, , from]) => from),
  );
  const result = new SparseTensor(new Pattern([rows, columns], axes, places.length), values);
  if (layout === 'sparse_coo') return result;
  return layout === 'sparse_csr' ? result.toSparseCsr() : result.toSparseCsc();
}

/** A tensor of a dense one's elements at the places of `mask`, which must be coalesced. PyTorch: `Tensor.sparse_mask`. Errors: other shapes. */
export function sparseMask(input: Tensor, mask: SparseTensor): SparseTensor {
  const op = 'sparseMask';
  if (!(mask instanceof SparseTensor))
    throw new ProjError('invalid-argument', 'the mask must be a sparse tensor', { op, cure: 'Use toSparse(mask)' });
  if (mask.isSparse && !mask.isCoalesced())
    throw new ProjError('invalid-argument', 'the mask has places that may occur several times', {
      op,
      cure: 'Use mask.coalesce()',
    });
  if (input.shape.join() !== mask.shape.join())
    throw new ProjError('shape-mismatch', 'tensor and mask have different shapes', {
      op,
      shapes: [input.shape, mask.shape],
    });
  return mask.withValues(elementsAt(input, mask.pattern));
}

/** The elements (rows of the dense dimensions) of a dense tensor at the places of a pattern. */
export function elementsAt(input: Tensor, pattern: Pattern): Tensor {
  const { sizes, count } = pattern;
  const rows = input.reshape([elementCount(sizes), ...input.shape.slice(sizes.length)]);
  const { device } = input;
  return rows.indexSelect(0, fromArray(linearPositions(pattern), [count], 'int64', { device }));
}
