/**
 * Sparse tensors: coordinates (COO) and compressed rows or columns (CSR, CSC), with PyTorch's names. Functions here take sparse tensors where those of `@proj/tensor`
 * take dense ones; nothing takes memory for zeros but `toDense`.
 */
export { type SparseLayout, SparseTensor } from './sparse-tensor.ts';
export {
  type BlockLayout,
  BlockSparseTensor,
  sparseBscTensor,
  sparseBsrTensor,
  sparseCompressedTensor,
  toSparseBsc,
  toSparseBsr,
} from './block.ts';
export {
  sparseCooTensor,
  sparseCscTensor,
  sparseCsrTensor,
  sparseMask,
  type SparseOptions,
  spdiags,
  toDense,
  toSparse,
  toSparseCoo,
  toSparseCsc,
  toSparseCsr,
} from './construct.ts';
export * from './unary.ts';
export { add, type AddOptions, div, type DivOptions, floorDivide, mul, pow, sub } from './arithmetic.ts';
export { any, logSoftmax, norm, softmax, type SparseSoftmaxOptions, sum, type SumOptions } from './reductions.ts';
export { addmm, type AddmmOptions, bmm, hspmm, matmul, mm, mv, sampledAddmm, smm } from './products.ts';
export {
  cat,
  index,
  indexSelect,
  isSameSize,
  narrowCopy,
  permute,
  select,
  stack,
  t,
  transpose,
  unsqueeze,
} from './movement.ts';
