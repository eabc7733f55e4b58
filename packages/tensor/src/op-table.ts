/** All rows of the op table. */
import { CREATION } from './ops/creation.ts';
import { ELEMENTWISE } from './ops/elementwise.ts';
import { PRODUCTS } from './ops/products.ts';
import { REDUCTIONS } from './ops/reductions.ts';
import type { OpRow } from './ops/table.ts';
import { VIEWS } from './ops/views.ts';

/** One row for each public operation of this package. */
export const opTable: readonly OpRow[] = [...CREATION, ...ELEMENTWISE, ...VIEWS, ...REDUCTIONS, ...PRODUCTS];
