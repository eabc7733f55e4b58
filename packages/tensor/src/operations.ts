/** Every operation as a function. */
export * from './ops/creation.ts';
export * from './ops/cumulative.ts';
export * from './ops/data-dependent.ts';
export * from './ops/diagonals.ts';
export * from './ops/einsum.ts';
export * from './ops/elementwise.ts';
export * from './ops/indexing.ts';
export * from './ops/joining.ts';
export * from './ops/ordering.ts';
export * from './ops/products.ts';
export * from './ops/reductions.ts';
export * from './ops/scatter.ts';
export * from './ops/statistics.ts';
export * from './ops/views.ts';
