/**
 * The sparse tensor: values at some places, zero at all others. The values are an ordinary lazy tensor [count, …dense dimensions], so gradients, devices and
 * fusion are theirs; the places are a `Pattern` on the host. Nothing here takes memory for the zeros, but `toDense`.
 */
import { type Device, type DType, ProjError } from '@proj/kernel';
import { constantNode, reshapeNode, scatterNode } from '../graph/build.ts';
import { elementCount, isDifferentiable, isGradEnabled, sameShape, type Shape } from '../graph/node.ts';
import { fromArray } from '../ops/creation.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { sumGroups, takeRows } from './kernels.ts';
import { linearPositions, type Pattern } from './pattern.ts';

/** How indices are kept, under PyTorch's names: coordinates, or one dimension compressed to where its rows (columns) begin. */
export type SparseLayout = 'sparse_coo' | 'sparse_csr' | 'sparse_csc';

/** What is said of a sparse tensor beside its places and values. */
interface Details {
  readonly layout?: SparseLayout;
  /** For coordinates: whether they are known to be sorted, none twice. */
  readonly coalesced?: boolean;
  /** What compressed indices are given out as. */
  readonly indexType?: 'int64' | 'int32';
}

/** Values at the places of a pattern. Made by `sparseCooTensor`, `sparseCsrTensor`, `sparseCscTensor`, `toSparse` and the operations. */
export class SparseTensor {
  readonly shape: Shape;
  readonly layout: SparseLayout;
  readonly #indexType: 'int64' | 'int32';
  #values: Tensor;
  #pattern: Pattern;
  #coalesced: boolean;

  /** For the library's own use: `values` [pattern.count, …rest]. */
  constructor(
    pattern: Pattern,
    values: Tensor,
    { layout = 'sparse_coo', coalesced, indexType = 'int64' }: Details = {},
  ) {
    this.#pattern = pattern;
    this.#values = values;
    this.layout = layout;
    this.shape = [...pattern.sizes, ...values.shape.slice(1)];
    this.#coalesced = layout !== 'sparse_coo' || (coalesced ?? false) || pattern.count < 2;
    this.#indexType = indexType;
  }

  /** The values as they are kept, places that occur several times included: [count, …dense dimensions]. PyTorch: `_values()`. */
  get storedValues(): Tensor {
    return this.#values;
  }
  /** The places. */
  get pattern(): Pattern {
    return this.#pattern;
  }
  get dtype(): DType {
    return this.storedValues.dtype;
  }
  get device(): Device {
    return this.storedValues.device;
  }
  get ndim(): number {
    return this.shape.length;
  }
  /** The number of dimensions. */
  dim(): number {
    return this.ndim;
  }
  /** The number of elements, zeros included. */
  numel(): number {
    return elementCount(this.shape);
  }
  /** The shape, or its entry `dim`. */
  size(): Shape;
  size(dim: number): number;
  size(dim?: number): Shape | number {
    return dim === undefined ? this.shape : this.shape[dim < 0 ? dim + this.ndim : dim];
  }
  /** The number of stored values. PyTorch: `_nnz()`. */
  nnz(): number {
    return this.pattern.count;
  }
  /** The number of dimensions that have coordinates. */
  sparseDim(): number {
    return this.pattern.sizes.length;
  }
  /** The number of dimensions of one stored value. */
  denseDim(): number {
    return this.ndim - this.sparseDim();
  }
  /** Whether the layout is that of coordinates, as in PyTorch. */
  get isSparse(): boolean {
    return this.layout === 'sparse_coo';
  }
  get isSparseCsr(): boolean {
    return this.layout === 'sparse_csr';
  }
  get isQuantized(): boolean {
    return false;
  }
  /** Whether coordinates are known to be sorted, none twice. */
  isCoalesced(): boolean {
    this.#require('sparse_coo', 'isCoalesced');
    return this.#coalesced;
  }

  #require(layout: SparseLayout, op: string): void {
    if (this.layout === layout) return;
    throw new ProjError('invalid-argument', `the layout is ${this.layout}, not ${layout}`, {
      op,
      shapes: [this.shape],
      cure: `Convert it with ${{ sparse_coo: 'toSparse()', sparse_csr: 'toSparseCsr()', sparse_csc: 'toSparseCsc()' }[layout]}`,
    });
  }
  #requireCoalesced(op: string): void {
    if (this.#coalesced) return;
    throw new ProjError('invalid-argument', 'places may occur several times', {
      op,
      shapes: [this.shape],
      cure: 'Call coalesce() first, or read storedIndices and storedValues',
    });
  }

  // Indices and values

  /** Coordinates, int64 [sparseDim, nnz], sorted. Errors: not coalesced; another layout. */
  indices(): Tensor {
    this.#require('sparse_coo', 'indices');
    this.#requireCoalesced('indices');
    return this.storedIndices;
  }
  /** Coordinates as they are kept, int64 [sparseDim, nnz]. PyTorch: `_indices()`. */
  get storedIndices(): Tensor {
    return this.pattern.indices(this.device);
  }
  /** The values, [nnz, …dense dimensions]. Errors: coordinates that are not coalesced. */
  values(): Tensor {
    this.#requireCoalesced('values');
    return this.storedValues;
  }
  /** Where each row begins, [rows + 1]. Errors: another layout than sparse_csr. */
  crowIndices(): Tensor {
    return this.#pointers('sparse_csr', 'crowIndices', 0);
  }
  /** The column of each value. Errors: another layout than sparse_csr. */
  colIndices(): Tensor {
    return this.#plain('sparse_csr', 'colIndices', 1);
  }
  /** Where each column begins, [columns + 1]. Errors: another layout than sparse_csc. */
  ccolIndices(): Tensor {
    return this.#pointers('sparse_csc', 'ccolIndices', 1);
  }
  /** The row of each value. Errors: another layout than sparse_csc. */
  rowIndices(): Tensor {
    return this.#plain('sparse_csc', 'rowIndices', 0);
  }
  #pointers(layout: SparseLayout, op: string, dim: number): Tensor {
    this.#require(layout, op);
    const { pattern, device } = this;
    return pattern.tensor(`${op} ${this.#indexType}`, device, () => {
      const { pointers } = pattern.byIndex(dim);
      return fromArray(pointers, [pointers.length], this.#indexType, { device });
    });
  }
  #plain(layout: SparseLayout, op: string, dim: number): Tensor {
    this.#require(layout, op);
    const { pattern, device } = this;
    return pattern.tensor(`${op} ${this.#indexType}`, device, () =>
      fromArray(pattern.coordinates[dim], [pattern.count], this.#indexType, { device }),
    );
  }

  /** Other values at the same places: [nnz, …]. How values are changed without a look at the places, in captured functions too. */
  withValues(values: Tensor): SparseTensor {
    if (values.shape[0] !== this.pattern.count)
      throw new ProjError('shape-mismatch', `${values.shape[0]} values for ${this.pattern.count} places`, {
        op: 'withValues',
        shapes: [values.shape],
      });
    return new SparseTensor(this.pattern, values, {
      layout: this.layout,
      coalesced: this.#coalesced,
      indexType: this.#indexType,
    });
  }

  // Conversion

  /** Values of the same place added up, places sorted row by row. */
  coalesce(): SparseTensor {
    this.#require('sparse_coo', 'coalesce');
    return this.#coalesced ? this : this.sorted();
  }
  /** For the library's own use: coordinates that are coalesced and sorted indeed, of any layout. (PyTorch calls those of a compressed matrix coalesced.) */
  sorted(): SparseTensor {
    const { pattern, storedValues } = this;
    if (pattern.isSorted)
      return this.isSparse && this.#coalesced ? this : new SparseTensor(pattern, storedValues, { coalesced: true });
    const merged = pattern.merged();
    return new SparseTensor(merged.pattern, sumGroups(storedValues, merged.groups), { coalesced: true });
  }
  /** All elements, zeros included. */
  toDense(): Tensor {
    const { dtype, device, shape } = this;
    const { pattern, storedValues: values } = dtype === 'bool' ? this.sorted() : this;
    const [, ...rest] = values.shape;
    const places = elementCount(pattern.sizes);
    const zero = constantNode(device, dtype, [places, ...rest], dtype === 'bool' ? false : 0);
    if (pattern.count === 0 || elementCount(shape) === 0) return wrap(reshapeNode(zero, shape));
    const linear = pattern.tensor('linear', device, () =>
      fromArray(linearPositions(pattern), [pattern.count], 'int64', { device }),
    );
    return wrap(reshapeNode(scatterNode(dtype === 'bool' ? 'set' : 'add', zero, linear.node, values.node), shape));
  }
  /** The same as coordinates, in the order in which the values are kept. */
  toSparse(): SparseTensor {
    return this.isSparse ? this : new SparseTensor(this.pattern, this.storedValues, { coalesced: true });
  }
  /** As {@link toSparse}. */
  toSparseCoo(): SparseTensor {
    return this.toSparse();
  }
  /** The matrix with its rows compressed. Errors: not two sparse dimensions. */
  toSparseCsr(): SparseTensor {
    return this.#compressed('sparse_csr', 'toSparseCsr');
  }
  /** The matrix with its columns compressed. Errors: not two sparse dimensions. */
  toSparseCsc(): SparseTensor {
    return this.#compressed('sparse_csc', 'toSparseCsc');
  }
  #compressed(layout: SparseLayout, op: string): SparseTensor {
    if (this.layout === layout) return this;
    if (this.sparseDim() !== 2 || this.denseDim() !== 0)
      throw new ProjError('shape-mismatch', 'only matrices can be compressed', { op, shapes: [this.shape] });
    const { pattern, storedValues } = this.sorted();
    if (layout === 'sparse_csr') return new SparseTensor(pattern, storedValues, { layout });
    const { order } = pattern.byIndex(1);
    return new SparseTensor(pattern.pick(order), takeRows(storedValues, order), { layout });
  }

  /** The values in another dtype, at the same places. */
  to(dtype: DType): SparseTensor {
    return dtype === this.dtype ? this : this.withValues(this.storedValues.to(dtype));
  }
  float(): SparseTensor {
    return this.to('float32');
  }
  double(): SparseTensor {
    return this.to('float64');
  }
  /**
   * Takes places and values of `source`, cast to this dtype and brought into this layout: in place, as `x.copy_(mul(x, 2))`. Errors: another shape; a leaf that
   * records gradients.
   */
  copy_(source: SparseTensor): this {
    requireSameShape(this, source, 'copy_');
    if (this.requiresGrad && this.isLeaf && isGradEnabled())
      throw new ProjError('autograd', 'a leaf that requires a gradient cannot be changed in place', {
        op: 'copy_',
        shapes: [this.shape],
        cure: 'Wrap the update in noGrad(() => …)',
      });
    const converted = this.isSparse ? source.toSparse() : source.#compressed(this.layout, 'copy_');
    this.#pattern = converted.#pattern;
    this.#coalesced = converted.#coalesced;
    this.#values = converted.#values.to(this.dtype);
    return this;
  }
  /** Takes all values away, in place. */
  zero_(): this {
    const none = new Int32Array(0);
    return this.copy_(new SparseTensor(this.#pattern.pick(none), takeRows(this.#values.detach(), none), this));
  }
  /** Values in memory of their own, at the same places. */
  clone(): SparseTensor {
    return this.withValues(this.storedValues.clone());
  }

  // Gradients: those of the values

  get requiresGrad(): boolean {
    return this.storedValues.requiresGrad;
  }
  get isLeaf(): boolean {
    return this.storedValues.isLeaf;
  }
  /** Makes the values record gradients. Errors: they are not a leaf, or no floats. */
  requiresGrad_(value = true): this {
    if (value && !isDifferentiable(this.dtype))
      throw new ProjError('autograd', 'only floating-point tensors can require gradients', {
        op: 'requiresGrad_',
        dtypes: [this.dtype],
      });
    this.storedValues.requiresGrad_(value);
    return this;
  }
  /** The gradient of the values, at their places: at no other is there one. Null before `backward`. */
  get grad(): SparseTensor | null {
    const { grad } = this.storedValues;
    if (grad === null) return null;
    const { pattern, layout } = this;
    if (pattern.isSorted || !this.isSparse)
      return new SparseTensor(pattern, grad, { layout, indexType: this.#indexType });
    // Values of one place have one gradient.
    const { pattern: merged, groups } = pattern.merged();
    return new SparseTensor(
      merged,
      takeRows(
        grad,
        groups.pointers.subarray(0, -1).map((at) => groups.order[at]),
      ),
    );
  }
  /** The same values, cut off from gradients. */
  detach(): SparseTensor {
    return this.withValues(this.storedValues.detach());
  }

  toString(): string {
    const { shape, layout, pattern } = this;
    const places =
      pattern.count > 1000 ? '' : `indices=${String(this.storedIndices)}, values=${String(this.storedValues)}, `;
    return `sparse(${places}size=[${shape.join(', ')}], nnz=${pattern.count}, layout=${layout})`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** Whether two sparse tensors have the same places in the same order. */
export function samePlaces(a: Pattern, b: Pattern): boolean {
  if (a === b) return true;
  return (
    sameShape(a.sizes, b.sizes) &&
    a.count === b.count &&
    a.coordinates.every((axis, d) => axis.every((at, k) => at === b.coordinates[d][k]))
  );
}

/** Errors: shapes that differ. */
export function requireSameShape(a: SparseTensor, b: { readonly shape: Shape }, op: string): void {
  if (!sameShape(a.shape, b.shape))
    throw new ProjError('shape-mismatch', 'the operands have different shapes', {
      op,
      shapes: [a.shape, b.shape],
      cure: 'Sparse operands are not broadcast',
    });
}
