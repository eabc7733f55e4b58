/** Every operation as a function. */
export * from './ops/constants.ts';
export * from './ops/aliases.ts';
export * from './ops/arithmetic.ts';
export * from './ops/conversion.ts';
export * from './ops/creation.ts';
export * from './ops/cumulative.ts';
export * from './ops/data-dependent.ts';
export * from './ops/diagonals.ts';
export * from './ops/einsum.ts';
export * from './ops/elementwise.ts';
export * from './ops/indexing.ts';
export * from './ops/joining.ts';
export * from './ops/layout.ts';
export * from './ops/ordering.ts';
export * from './ops/products.ts';
export * from './ops/random.ts';
export * from './ops/reductions.ts';
export * from './ops/scatter.ts';
export * from './ops/signal.ts';
export * from './ops/statistics.ts';
export * from './ops/views.ts';
export { i0 } from './special/bessel.ts';
export { igamma, igammac, mvlgamma, polygamma } from './special/gamma.ts';
export { det, inv as inverse, matrixExp, matrixPower, slogdet, logdet, pinv as pinverse } from './linalg/inverses.ts';
export {
  choleskyInverse,
  choleskySolve,
  geqrf,
  householderProduct as orgqr,
  legacyLuSolve as luSolve,
  luUnpack,
  ormqr,
  pcaLowrank,
  svdLowrank,
} from './linalg/decompositions.ts';
