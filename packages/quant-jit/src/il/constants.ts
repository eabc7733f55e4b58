/** Where programs find their constants, and how a joined constant is made of its parts. */
import { ProjError } from '@proj/kernel';
import type { QuantizedMatrix } from '../quantize/scheme.ts';

/** The tensors of a converted file by name: quantised matrices, and floats row by row. Rows are in their order, however the file lays them out. */
export interface ConstantSource {
  matrix(name: string): QuantizedMatrix;
  floats(name: string): Float32Array;
  /** Whether there is a tensor of this name. Where it says yes to a joined constant, that is read; else its parts are. */
  has?(name: string): boolean;
}

const concatenated = <Data extends Float32Array | Int8Array>(parts: readonly Data[], empty: Data): Data => {
  let at = 0;
  for (const part of parts) {
    empty.set(part, at);
    at += part.length;
  }
  return empty;
};

/** The rows of several matrices of floats, one after the other. */
export const joinFloats = (parts: readonly Float32Array[]): Float32Array =>
  parts.length === 1
    ? parts[0]
    : concatenated(parts, new Float32Array(parts.reduce((sum, { length }) => sum + length, 0)));

/** The rows of several matrices of one scheme, one after the other. */
export function joinMatrices(parts: readonly QuantizedMatrix[]): QuantizedMatrix {
  const [first] = parts;
  if (parts.length === 1) return first;
  const { scheme, columns } = first;
  for (const part of parts)
    if (part.scheme.name !== scheme.name || part.columns !== columns)
      throw new ProjError('shape-mismatch', 'parts of a joined constant differ in scheme or columns', {
        op: 'joinMatrices',
        shapes: parts.map((each) => [each.rows, each.columns]),
        dtypes: parts.map((each) => each.scheme.name),
        cure: 'Join matrices of one scheme and one width',
      });
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const codes = concatenated(
    parts.map((part) => part.codes),
    new Int8Array(rows * columns),
  );
  const minimums = parts.flatMap((part) => part.minimums ?? []);
  return {
    scheme,
    rows,
    columns,
    codes,
    scales: joinFloats(parts.map((part) => part.scales)),
    ...(minimums.length === 0 ? {} : { minimums: joinFloats(minimums) }),
  };
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
