/** Every operation as a function. */
export * from './ops/creation.ts';
export * from './ops/elementwise.ts';
export * from './ops/products.ts';
export * from './ops/reductions.ts';
export * from './ops/views.ts';
