/** Matrix products with sparse operands. What is dense comes out dense, what is sparse takes memory for what is not zero. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { promotedType } from '../ops/arguments.ts';
import type { Scalar } from '../promotion.ts';
import { Tensor } from '../tensor.ts';
import { inLayoutOf } from './arithmetic.ts';
import { productAtPattern, sparseTimesDense } from './kernels.ts';
import { mapped, Pattern } from './pattern.ts';
import { Meeting, productOfSparse } from './sparse-product.ts';
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

function sparseTimesSparse(a: SparseTensor, b: SparseTensor): SparseTensor {
  const [x, y] = [a.toSparse(), b.toSparse()];
  const meeting = new Meeting(x.pattern, y.pattern);
  const values = productOfSparse(x.storedValues, y.storedValues, meeting);
  return inLayoutOf(a, new SparseTensor(meeting.pattern, values, { coalesced: true }));
}

/** A sparse matrix times a sparse one: sparse. */
export function mm(input: SparseTensor, mat2: SparseTensor): SparseTensor;
/** A sparse matrix times a dense one, or the reverse: dense. */
export function mm(input: Matrix, mat2: Matrix): Tensor;
/**
 * The matrix product [M, K] · [K, N]. Sparse times dense and dense times sparse are dense; sparse times sparse is sparse and coalesced, in the layout of `input`.
 * PyTorch: `torch.mm`, `torch.sparse.mm`. Errors: shapes or dtypes that do not fit.
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
