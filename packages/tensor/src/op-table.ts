/** All rows of the op table. */
import { FFT } from './fft/rows.ts';
import { LINALG } from './linalg/rows.ts';
import { ARITHMETIC } from './ops/arithmetic.ts';
import { COMPLEX } from './ops/complex.ts';
import { CONVERSION } from './ops/conversion.ts';
import { CREATION } from './ops/creation.ts';
import { CUMULATIVE } from './ops/cumulative.ts';
import { DATA_DEPENDENT } from './ops/data-dependent.ts';
import { DIAGONALS } from './ops/diagonals.ts';
import { EINSUM } from './ops/einsum.ts';
import { ELEMENTWISE } from './ops/elementwise.ts';
import { FOREIGN_DATA } from './ops/foreign-data.ts';
import { INDEXING } from './ops/indexing.ts';
import { JOINING } from './ops/joining.ts';
import { LAYOUT } from './ops/layout.ts';
import { ORDERING } from './ops/ordering.ts';
import { PRODUCTS } from './ops/products.ts';
import { RANDOM } from './ops/random.ts';
import { REDUCTIONS } from './ops/reductions.ts';
import { SCATTER } from './ops/scatter.ts';
import { SIGNAL } from './ops/signal.ts';
import { STATISTICS } from './ops/statistics.ts';
import type { OpRow } from './ops/table.ts';
import { VIEWS } from './ops/views.ts';
import { SPECIAL } from './special/rows.ts';

/** One row for each public operation of this package. */
export const opTable: readonly OpRow[] = [
  ...CREATION,
  ...ELEMENTWISE,
  ...VIEWS,
  ...REDUCTIONS,
  ...PRODUCTS,
  ...ARITHMETIC,
  ...COMPLEX,
  ...CONVERSION,
  ...CUMULATIVE,
  ...DATA_DEPENDENT,
  ...DIAGONALS,
  ...EINSUM,
  ...FOREIGN_DATA,
  ...INDEXING,
  ...JOINING,
  ...LAYOUT,
  ...ORDERING,
  ...RANDOM,
  ...SCATTER,
  ...SIGNAL,
  ...STATISTICS,
  ...SPECIAL,
  ...LINALG,
  ...FFT,
];
