/** Matrix products with sparse operands (Gustavson 1978 for two of them). What is dense comes out dense, what is sparse takes memory for what is not zero. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { promotedType } from '../ops/arguments.ts';
import type { Scalar } from '../promotion.ts';
import { Tensor } from '../tensor.ts';
import { inLayoutOf } from './arithmetic.ts';
import { productAtPattern, sparseTimesDense, sumGroups, takeRows } from './kernels.ts';
import { type Coordinates, coordinates, mapped, Pattern, sortedOrder } from './pattern.ts';
import { SparseTensor } from './sparse-tensor.ts';

type Matrix = SparseTensor | Tensor;

function requireMatrices(a: Matrix, b: Matrix, op: string): void {
  for (const x of [a, b])
    if (x.ndim !== 2 || (x instanceof SparseTensor && x.denseDim() > 0))
      throw new ProjError('shape-mismatch', 'matrices are needed, both of their dimensions sparse or both dense', {
        op,
        shapes: [a.shape, b.shape],
      });
  if (a.shape[1] !== b.shape[0])
    throw new ProjError('shape-mismatch', `${a.shape[1]} columns times ${b.shape[0]} rows`, {
      op,
      shapes: [a.shape, b.shape],
    });
  if (a.dtype !== b.dtype)
    throw new ProjError('dtype', 'the operands have different dtypes', {
      op,
      dtypes: [a.dtype, b.dtype],
      shapes: [a.shape, b.shape],
      cure: `Use x.to('${promotedType(...([a, b].map((x) => (x instanceof Tensor ? x : x.storedValues)) as [Tensor, Tensor]))}')`,
    });
}

/** The rows of a matrix that have values: `order` lists the values row by row, row r from `begin.get(r)` to `end.get(r)`. */
function rowsOf({ coordinates: [rows], count }: Pattern): {
  readonly order: Int32Array;
  readonly begin: Map<number, number>;
  readonly end: Map<number, number>;
} {
  const order = sortedOrder([rows], count);
  const begin = new Map<number, number>();
  const end = new Map<number, number>();
  for (let at = 0; at < count; at++) {
    const row = rows[order[at]];
    if (at === 0 || row !== rows[order[at - 1]]) {
      if (at > 0) end.set(rows[order[at - 1]], at);
      begin.set(row, at);
    }
  }
  if (count > 0) end.set(rows[order[count - 1]], count);
  return { order, begin, end };
}

/** The distinct values of `axis`, ascending, and the place of each element among them. */
function ranked(axis: Coordinates): { readonly distinct: Coordinates; readonly rank: Int32Array } {
  const order = sortedOrder([axis], axis.length);
  const rank = new Int32Array(axis.length);
  let last = -1;
  const firsts: number[] = [];
  order.forEach((k, at) => {
    if (at === 0 || axis[k] !== axis[order[at - 1]]) {
      firsts.push(k);
      last++;
    }
    rank[k] = last;
  });
  return { distinct: mapped(Int32Array.from(firsts), 2 ** 53, (k) => axis[k]), rank };
}

/** Small numbers, each once, to be had in order: bits where they are many, a sorted list where they are few. */
class SmallNumbers {
  readonly #bits: Int32Array;
  readonly #list: Int32Array;
  #count = 0;

  constructor(limit: number) {
    this.#bits = new Int32Array(Math.ceil(limit / 32));
    this.#list = new Int32Array(limit);
  }
  /** Adds a number that is not there. */
  add(number: number): void {
    this.#bits[number >>> 5] |= 1 << (number & 31);
    this.#list[this.#count++] = number;
  }
  /** The numbers, ascending; afterwards there are none. */
  take(): Int32Array {
    const numbers = this.#list.subarray(0, this.#count);
    if (16 * this.#count < this.#bits.length) {
      for (const number of numbers) this.#bits[number >>> 5] = 0;
      numbers.sort();
    } else this.#scan();
    this.#count = 0;
    return numbers;
  }
  #scan(): void {
    let at = 0;
    for (let word = 0; word < this.#bits.length; word++) {
      for (let bits = this.#bits[word]; bits !== 0; bits &= bits - 1)
        this.#list[at++] = 32 * word + 31 - Math.clz32(bits & -bits);
      this.#bits[word] = 0;
    }
  }
}

/**
 * Which places multiply to which: those of `a` and `b` for every product, result by result, and where the products of each result begin. A row of the result
 * takes two passes over its products: one finds its columns, one puts each product where its column is (Gustavson 1978).
 */
function productPlaces(
  a: Pattern,
  b: Pattern,
): { left: Int32Array; right: Int32Array; pointers: Int32Array; pattern: Pattern } {
  const ofA = rowsOf(a);
  const ofB = rowsOf(b);
  const { distinct, rank } = ranked(b.coordinates[1]);
  // Of each value of b, row by row: its place and the rank of its column. Of each value of a: the row of b that it meets.
  const ranks = ofB.order.map((k) => rank[k]);
  const starts = Int32Array.from(a.coordinates[1], (row) => ofB.begin.get(row) ?? 0);
  const ends = Int32Array.from(a.coordinates[1], (row) => ofB.end.get(row) ?? 0);
  const count = starts.reduce((total, start, i) => total + ends[i] - start, 0);
  const left = new Int32Array(count);
  const right = new Int32Array(count);
  const pointers = new Int32Array(count + 1);
  const sizes = [a.sizes[0], b.sizes[1]];
  const [rows, columns] = sizes.map((size) => coordinates(count, size));
  const found = new SmallNumbers(distinct.length);
  // Of the columns of the row at hand: how many products each has, and then where the next of them goes.
  const next = new Int32Array(distinct.length);
  let results = 0;
  for (const [row, begin] of ofA.begin) {
    const end = ofA.end.get(row) ?? begin;
    for (let at = begin; at < end; at++) {
      const i = ofA.order[at];
      for (let k = starts[i]; k < ends[i]; k++) if (next[ranks[k]]++ === 0) found.add(ranks[k]);
    }
    const inOrder = found.take();
    for (const column of inOrder) {
      const first = pointers[results];
      rows[results] = row;
      columns[results++] = distinct[column];
      pointers[results] = first + next[column];
      next[column] = first;
    }
    for (let at = begin; at < end; at++) {
      const i = ofA.order[at];
      for (let k = starts[i]; k < ends[i]; k++) {
        const place = next[ranks[k]]++;
        left[place] = i;
        right[place] = ofB.order[k];
      }
    }
    for (const column of inOrder) next[column] = 0;
  }
  const pattern = new Pattern(sizes, [rows.slice(0, results), columns.slice(0, results)], results);
  return { left, right, pointers: pointers.slice(0, results + 1), pattern };
}

function sparseTimesSparse(a: SparseTensor, b: SparseTensor): SparseTensor {
  const [x, y] = [a.toSparse(), b.toSparse()];
  const { left, right, pointers, pattern } = productPlaces(x.pattern, y.pattern);
  const products = takeRows(x.storedValues, left).mul(takeRows(y.storedValues, right));
  const values = sumGroups(products, { pointers, order: left.map((_, k) => k) });
  return inLayoutOf(a, new SparseTensor(pattern, values, { coalesced: true }));
}

/** A sparse matrix times a sparse one: sparse. */
export function mm(input: SparseTensor, mat2: SparseTensor): SparseTensor;
/** A sparse matrix times a dense one, or the reverse: dense. */
export function mm(input: Matrix, mat2: Matrix): Tensor;
/**
 * The matrix product [M, K] · [K, N]. Sparse times dense and dense times sparse are dense; sparse times sparse is sparse and coalesced, in the layout of `input`,
 * and takes memory for every product of two values. PyTorch: `torch.mm`, `torch.sparse.mm`. Errors: shapes or dtypes that do not fit.
 */
export function mm(input: Matrix, mat2: Matrix): Matrix {
  requireMatrices(input, mat2, 'mm');
  if (input instanceof SparseTensor)
    return mat2 instanceof SparseTensor
      ? sparseTimesSparse(input, mat2)
      : sparseTimesDense(input.storedValues, input.pattern, mat2);
  if (!(mat2 instanceof SparseTensor)) return input.mm(mat2);
  return sparseTimesDense(mat2.storedValues, mat2.pattern.axes([1, 0]), input.t()).t();
}

/** A sparse matrix [M, K] times a vector [K]: dense [M]. PyTorch: `torch.mv`. Errors: shapes or dtypes that do not fit. */
export function mv(input: SparseTensor, vec: Tensor): Tensor {
  if (vec.ndim !== 1)
    throw new ProjError('shape-mismatch', 'a vector is needed', { op: 'mv', shapes: [input.shape, vec.shape] });
  return mm(input, vec.unsqueeze(1)).squeeze(1);
}

/**
 * Sparse matrices [B, M, K] (coordinates in all three dimensions) times dense ones [B, K, N]: dense [B, M, N]. PyTorch: `torch.bmm`. Errors: shapes or dtypes that do
 * not fit.
 */
export function bmm(input: SparseTensor, mat2: Tensor): Tensor {
  const op = 'bmm';
  const x = input.toSparse();
  if (x.sparseDim() !== 3 || mat2.ndim !== 3 || x.shape[0] !== mat2.shape[0] || x.shape[2] !== mat2.shape[1])
    throw new ProjError('shape-mismatch', 'sparse [B, M, K] and dense [B, K, N] are needed', {
      op,
      shapes: [x.shape, mat2.shape],
    });
  const [batch, rows, depth] = x.shape;
  const [batches, ...axes] = x.pattern.coordinates;
  const sizes = [batch * rows, batch * depth];
  // One block after the other along the diagonal of one matrix.
  const places = axes.map((axis, d) => {
    const result = mapped(axis, sizes[d], (at) => at);
    batches.forEach((b, k) => (result[k] += b * [rows, depth][d]));
    return result;
  });
  const wide = new SparseTensor(new Pattern(sizes, places, x.nnz()), x.storedValues);
  return mm(wide, mat2.reshape([batch * depth, mat2.shape[2]])).reshape([batch, rows, mat2.shape[2]]);
}

/** The matrix product of matrices, of a matrix and a vector, or of batches of sparse matrices. PyTorch: `torch.matmul`. */
export function matmul(input: Matrix, other: Matrix): Matrix {
  if (input instanceof SparseTensor && other instanceof Tensor && other.ndim === 1) return mv(input, other);
  if (input instanceof SparseTensor && other instanceof Tensor && input.ndim === 3) return bmm(input, other);
  return mm(input, other);
}

/** Options of {@link addmm} and {@link sampledAddmm}. */
export interface AddmmOptions {
  readonly beta?: Scalar;
  readonly alpha?: Scalar;
}
const BETA_ALPHA: Defaults<AddmmOptions> = { beta: 1, alpha: 1 };
const scaledBy = (x: Tensor, factor: Scalar): Tensor => (factor === 1 ? x : x.mul(factor));

/** beta · input + alpha · (mat1 · mat2), dense; `input` broadcasts to [M, N]. PyTorch: `torch.addmm`, `torch.sparse.addmm`. Errors: as {@link mm}; two sparse matrices. */
export function addmm(input: Tensor, mat1: Matrix, mat2: Matrix, options: AddmmOptions = {}): Tensor {
  const { beta, alpha } = withDefaults('addmm', BETA_ALPHA, options);
  const product = mm(mat1, mat2);
  if (product instanceof SparseTensor || input instanceof SparseTensor)
    throw new ProjError('invalid-argument', 'addmm of sparse and sparse', {
      op: 'addmm',
      cure: 'Use add(input, mm(mat1, mat2))',
    });
  return scaledBy(input, beta).add(scaledBy(product, alpha));
}

/**
 * beta · input + alpha · (mat1 · mat2) at the places of `input` [M, N] only; `mat1` [M, K], `mat2` [K, N] dense. Nothing is computed elsewhere. PyTorch:
 * `torch.sparse.sampled_addmm`. Errors: shapes or dtypes that do not fit.
 */
export function sampledAddmm(
  input: SparseTensor,
  mat1: Tensor,
  mat2: Tensor,
  options: AddmmOptions = {},
): SparseTensor {
  const op = 'sampledAddmm';
  const { beta, alpha } = withDefaults(op, BETA_ALPHA, options);
  requireMatrices(mat1, mat2, op);
  if (input.shape.join() !== [mat1.shape[0], mat2.shape[1]].join() || input.dtype !== mat1.dtype)
    throw new ProjError('shape-mismatch', 'input has not the shape and dtype of the product', {
      op,
      shapes: [input.shape, mat1.shape, mat2.shape],
      dtypes: [input.dtype, mat1.dtype, mat2.dtype],
    });
  const x = input.isSparse ? input.coalesce() : input;
  const product = productAtPattern(mat1, mat2.t(), x.pattern);
  return x.withValues(scaledBy(x.storedValues, beta).add(scaledBy(product, alpha)));
}

/** A sparse matrix times a dense one, as a tensor of rows: those of the sparse matrix that have values. PyTorch: `torch.hspmm`. */
export function hspmm(input: SparseTensor, mat2: Tensor): SparseTensor {
  requireMatrices(input, mat2, 'hspmm');
  const x = input.sorted();
  const [rows, columns] = x.pattern.coordinates;
  const used: number[] = [];
  const rank = mapped(rows, x.nnz(), () => 0);
  rows.forEach((row, k) => {
    if (used[used.length - 1] !== row) used.push(row);
    rank[k] = used.length - 1;
  });
  const compact = new Pattern([used.length, x.shape[1]], [rank, columns], x.nnz());
  const pattern = new Pattern([x.shape[0]], [mapped(Int32Array.from(used), x.shape[0], (row) => row)], used.length);
  return new SparseTensor(pattern, sparseTimesDense(x.storedValues, compact, mat2));
}
/** As {@link hspmm}, with coordinates for single elements. PyTorch: `torch.smm`. */
export function smm(input: SparseTensor, mat: Tensor): SparseTensor {
  const rows = hspmm(input, mat);
  const [axis] = rows.pattern.coordinates;
  const width = mat.shape[1];
  const places = Int32Array.from({ length: rows.nnz() * width }, (_, k) => k);
  const sizes = [input.shape[0], width];
  const axes = [mapped(places, sizes[0], (k) => axis[Math.floor(k / width)]), mapped(places, width, (k) => k % width)];
  return new SparseTensor(new Pattern(sizes, axes, places.length), rows.storedValues.reshape([-1]));
}
