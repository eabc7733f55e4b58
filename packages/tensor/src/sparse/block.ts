/**
 * Sparse matrices of dense blocks (BSR, BSC): a pattern of blocks, values [count, block rows, block columns]. They are a way to keep a matrix; operations take
 * them as coordinates (`toSparse`), values change with `withValues`.
 */
import { type Device, type DType, ProjError, withDefaults } from '@proj/kernel';
import type { Shape } from '../graph/node.ts';
import { fromArray } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import {
  compressedPattern,
  compressedSize,
  indexTensor,
  sparseCscTensor,
  sparseCsrTensor,
  SPARSE,
  type SparseOptions,
  type TensorData,
  toSparse,
  valueTensor,
} from './construct.ts';
import { takeRows } from './kernels.ts';
import { Pattern } from './pattern.ts';
import { type SparseLayout, SparseTensor } from './sparse-tensor.ts';

/** Layouts of blocks, under PyTorch's names: rows of blocks compressed, or columns. */
export type BlockLayout = 'sparse_bsr' | 'sparse_bsc';

/** A matrix of dense blocks, most of them zero. Made by `sparseBsrTensor`, `sparseBscTensor`, `toSparseBsr` and `toSparseBsc`. */
export class BlockSparseTensor {
  readonly layout: BlockLayout;
  /** Where the blocks stand, in blocks. */
  readonly pattern: Pattern;
  /** The blocks, [nnz, block rows, block columns]. */
  readonly storedValues: Tensor;
  readonly shape: Shape;

  constructor(layout: BlockLayout, pattern: Pattern, values: Tensor) {
    this.layout = layout;
    this.pattern = pattern;
    this.storedValues = values;
    this.shape = pattern.sizes.map((size, d) => size * values.shape[d + 1]);
  }
  get dtype(): DType {
    return this.storedValues.dtype;
  }
  get device(): Device {
    return this.storedValues.device;
  }
  get requiresGrad(): boolean {
    return this.storedValues.requiresGrad;
  }
  /** The number of blocks. PyTorch: `_nnz()`. */
  nnz(): number {
    return this.pattern.count;
  }
  /** The blocks, [nnz, block rows, block columns]. */
  values(): Tensor {
    return this.storedValues;
  }
  /** Where each row of blocks begins. Errors: another layout than sparse_bsr. */
  crowIndices(): Tensor {
    return this.#pointers('sparse_bsr', 'crowIndices');
  }
  /** The column of each block, in blocks. Errors: another layout than sparse_bsr. */
  colIndices(): Tensor {
    return this.#plain('sparse_bsr', 'colIndices');
  }
  /** Where each column of blocks begins. Errors: another layout than sparse_bsc. */
  ccolIndices(): Tensor {
    return this.#pointers('sparse_bsc', 'ccolIndices');
  }
  /** The row of each block, in blocks. Errors: another layout than sparse_bsc. */
  rowIndices(): Tensor {
    return this.#plain('sparse_bsc', 'rowIndices');
  }
  #major(layout: BlockLayout, op: string): 0 | 1 {
    if (this.layout !== layout)
      throw new ProjError('invalid-argument', `the layout is ${this.layout}, not ${layout}`, {
        op,
        shapes: [this.shape],
      });
    return layout === 'sparse_bsr' ? 0 : 1;
  }
  #pointers(layout: BlockLayout, op: string): Tensor {
    const { pointers } = this.pattern.byIndex(this.#major(layout, op));
    return fromArray(pointers, [pointers.length], 'int64', { device: this.device });
  }
  #plain(layout: BlockLayout, op: string): Tensor {
    const axis = this.pattern.coordinates[1 - this.#major(layout, op)];
    return fromArray(axis, [axis.length], 'int64', { device: this.device });
  }

  /** Other blocks at the same places. */
  withValues(values: Tensor): BlockSparseTensor {
    return new BlockSparseTensor(this.layout, this.pattern, values);
  }
  /** All elements, zeros included. */
  toDense(): Tensor {
    const { pattern, storedValues, shape } = this;
    return new SparseTensor(pattern, storedValues).toDense().permute([0, 2, 1, 3]).reshape(shape);
  }
  /** The elements of the blocks as coordinates, zeros within blocks included. */
  toSparse(): SparseTensor {
    const { pattern, storedValues, shape } = this;
    const [, height, width] = storedValues.shape;
    const size = height * width;
    const [rows, columns] = pattern.coordinates;
    const axis = (at: (block: number, inside: number) => number): Int32Array =>
      Int32Array.from({ length: pattern.count * size }, (_, k) => at(Math.floor(k / size), k % size));
    const axes = [
      axis((block, inside) => rows[block] * height + Math.floor(inside / width)),
      axis((block, inside) => columns[block] * width + (inside % width)),
    ];
    return new SparseTensor(new Pattern(shape, axes, pattern.count * size), storedValues.reshape([-1])).coalesce();
  }
}

function blockTensor(
  layout: BlockLayout,
  compressedData: TensorData,
  plainData: TensorData,
  valueData: TensorData,
  size: readonly number[] | null,
  options: SparseOptions,
  op: string,
): BlockSparseTensor {
  const [compressed, plain] = [indexTensor(compressedData, op), indexTensor(plainData, op)];
  const values = valueTensor(valueData, options, op);
  if (compressed.ndim !== 1 || plain.ndim !== 1 || values.ndim !== 3 || values.shape[0] !== plain.shape[0])
    throw new ProjError(
      'shape-mismatch',
      'pointers and indices must be vectors and values [count, rows, columns] of blocks',
      {
        op,
        shapes: [compressed.shape, plain.shape, values.shape],
      },
    );
  const block = values.shape.slice(1);
  const major = layout === 'sparse_bsr' ? 0 : 1;
  const grid = size === null ? compressedSize(compressed, plain, major) : size.map((extent, d) => extent / block[d]);
  if (grid.length !== 2 || !grid.every(Number.isInteger))
    throw new ProjError('shape-mismatch', `blocks of [${block.join(', ')}] do not fill the size`, {
      op,
      shapes: [values.shape, size ?? []],
    });
  return new BlockSparseTensor(layout, compressedPattern(compressed, plain, [grid[0], grid[1]], major, op), values);
}

/**
 * The matrix whose row i of blocks has the blocks `values` [count, block rows, block columns] from `crowIndices[i]` to `crowIndices[i + 1]`, at columns of blocks
 * `colIndices` [count] that rise. PyTorch: `torch.sparse_bsr_tensor`. Errors: what is no such matrix.
 */
export function sparseBsrTensor(
  crowIndices: TensorData,
  colIndices: TensorData,
  values: TensorData,
  size: readonly number[] | null = null,
  options: SparseOptions = {},
): BlockSparseTensor {
  return blockTensor('sparse_bsr', crowIndices, colIndices, values, size, options, 'sparseBsrTensor');
}
/** As {@link sparseBsrTensor} with columns for rows. PyTorch: `torch.sparse_bsc_tensor`. */
export function sparseBscTensor(
  ccolIndices: TensorData,
  rowIndices: TensorData,
  values: TensorData,
  size: readonly number[] | null = null,
  options: SparseOptions = {},
): BlockSparseTensor {
  return blockTensor('sparse_bsc', ccolIndices, rowIndices, values, size, options, 'sparseBscTensor');
}

/**
 * The blocks of a dense matrix that are not all zero; `blocksize` [rows, columns] must divide its shape. Reads the matrix; gradients flow to it. PyTorch:
 * `Tensor.to_sparse_bsr`. Errors: blocks that do not divide it.
 */
export function toSparseBsr(input: Tensor, blocksize: readonly [number, number]): BlockSparseTensor {
  const [height, width] = blocksize;
  const [rows, columns] = input.shape;
  if (input.ndim !== 2 || rows % height !== 0 || columns % width !== 0)
    throw new ProjError('shape-mismatch', `blocks of [${blocksize.join(', ')}] do not divide the matrix`, {
      op: 'toSparseBsr',
      shapes: [input.shape],
    });
  const blocks = input.reshape([rows / height, height, columns / width, width]).permute([0, 2, 1, 3]);
  const { pattern, storedValues } = toSparse(blocks, 2);
  return new BlockSparseTensor('sparse_bsr', pattern, storedValues);
}
/** As {@link toSparseBsr} with columns for rows. PyTorch: `Tensor.to_sparse_bsc`. */
export function toSparseBsc(input: Tensor, blocksize: readonly [number, number]): BlockSparseTensor {
  const { pattern, storedValues } = toSparseBsr(input, blocksize);
  const { order } = pattern.byIndex(1);
  return new BlockSparseTensor('sparse_bsc', pattern.pick(order), takeRows(storedValues, order));
}

/**
 * The matrix of compressed indices in the layout that `layout` names (default sparse_csr): {@link sparseBsrTensor} and its relatives. PyTorch:
 * `torch.sparse_compressed_tensor`. Errors: the layout sparse_coo; what is no such matrix.
 */
export function sparseCompressedTensor(
  compressedIndices: TensorData,
  plainIndices: TensorData,
  values: TensorData,
  size: readonly number[] | null = null,
  options: SparseOptions & { readonly layout?: SparseLayout | BlockLayout } = {},
): SparseTensor | BlockSparseTensor {
  const { layout, ...rest } = withDefaults('sparseCompressedTensor', { ...SPARSE, layout: 'sparse_csr' }, options);
  switch (layout) {
    case 'sparse_csr':
      return sparseCsrTensor(compressedIndices, plainIndices, values, size, rest);
    case 'sparse_csc':
      return sparseCscTensor(compressedIndices, plainIndices, values, size, rest);
    case 'sparse_bsr':
    case 'sparse_bsc':
      return blockTensor(layout, compressedIndices, plainIndices, values, size, rest, 'sparseCompressedTensor');
    case 'sparse_coo':
      throw new ProjError('invalid-argument', 'sparse_coo is not a compressed layout', {
        op: 'sparseCompressedTensor',
        cure: 'Use sparseCooTensor',
      });
    default:
      return layout satisfies never;
  }
}
