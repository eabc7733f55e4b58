/** Where programs find their constants, and how a joined constant is made of its parts. */
import { ProjError } from '@proj/kernel';
import { PANEL_ROWS } from '../quantize/layout.ts';
import type { QuantizedMatrix } from '../quantize/scheme.ts';
import type { RowOrder } from './il.ts';

/** The tensors of a converted file by name: quantised matrices, and floats row by row. */
export interface ConstantSource {
  matrix(name: string): QuantizedMatrix;
  floats(name: string): Float32Array;
  /** Whether there is a tensor of this name. Where it says yes to a joined constant, that is read; else its parts are. */
  has?(name: string): boolean;
}

/** Where a row of a joined constant comes from. */
export interface PartRow {
  readonly part: number;
  readonly row: number;
}

/** The part and its row that row `row` of a joined constant is. `counts` are the rows of the parts. */
export function partRow(order: RowOrder, counts: readonly number[], row: number): PartRow {
  switch (order) {
    case 'panels': {
      const panel = Math.floor(row / PANEL_ROWS);
      return { part: panel % 2, row: Math.floor(panel / 2) * PANEL_ROWS + (row % PANEL_ROWS) };
    }
    case 'stacked': {
      let rest = row;
      for (const [part, count] of counts.entries()) {
        if (rest < count) return { part, row: rest };
        rest -= count;
      }
      throw new ProjError('index-out-of-range', `row ${row} of parts with ${counts.join(' + ')} rows`, {
        op: 'partRow',
        cure: 'Ask for a row below the sum',
      });
    }
    default:
      return order satisfies never;
  }
}

/** The rows of several matrices of one scheme as one matrix. */
export function joinMatrices(parts: readonly QuantizedMatrix[], order: RowOrder): QuantizedMatrix {
  const [first] = parts;
  const { scheme, columns } = first;
  for (const part of parts)
    if (part.scheme.name !== scheme.name || part.columns !== columns)
      throw new ProjError('shape-mismatch', 'parts of a joined constant differ in scheme or columns', {
        op: 'joinMatrices',
        shapes: parts.map((each) => [each.rows, each.columns]),
        dtypes: parts.map((each) => each.scheme.name),
        cure: 'Join matrices of one scheme and one width',
      });
  const counts = parts.map(({ rows }) => rows);
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const groups = first.scales.length / first.rows;
  const codes = new Int8Array(rows * columns);
  const scales = new Float32Array(rows * groups);
  const minimums = scheme.asymmetric ? new Float32Array(rows * groups) : undefined;
  for (let to = 0; to < rows; to++) {
    const { part, row } = partRow(order, counts, to);
    const from = parts[part];
    codes.set(from.codes.subarray(row * columns, (row + 1) * columns), to * columns);
    scales.set(from.scales.subarray(row * groups, (row + 1) * groups), to * groups);
    if (from.minimums !== undefined)
      minimums?.set(from.minimums.subarray(row * groups, (row + 1) * groups), to * groups);
  }
  return { scheme, rows, columns, codes, scales, ...(minimums === undefined ? {} : { minimums }) };
}

/** The rows of several float matrices of `columns` columns as one. */
export function joinFloats(parts: readonly Float32Array[], columns: number, order: RowOrder): Float32Array {
  const counts = parts.map(({ length }) => length / columns);
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const joined = new Float32Array(rows * columns);
  for (let to = 0; to < rows; to++) {
    const { part, row } = partRow(order, counts, to);
    joined.set(parts[part].subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return joined;
}

/** A source over tables of tensors. @throws ProjError `invalid-argument` for a name that is not there. */
export function constantsFrom(tables: {
  readonly matrices?: ReadonlyMap<string, QuantizedMatrix>;
  readonly floats?: ReadonlyMap<string, Float32Array>;
}): ConstantSource {
  const find = <T>(what: string, table: ReadonlyMap<string, T> | undefined, name: string): T => {
    const found = table?.get(name);
    if (found !== undefined) return found;
    throw new ProjError('invalid-argument', `there is no ${what} "${name}"`, {
      op: 'constants',
      cure: 'Convert the model again, or correct the name in the program',
    });
  };
  return {
    matrix: (name) => find('quantised matrix', tables.matrices, name),
    floats: (name) => find('float tensor', tables.floats, name),
    has: (name) => tables.matrices?.has(name) === true || tables.floats?.has(name) === true,
  };
}
