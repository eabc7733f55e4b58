/** Rows of constants between their order, which programs and interpreters know, and the places that layouts give them in memory. */
import { PANEL_ROWS } from '../quantize/layout.ts';
import type { QuantizedMatrix } from '../quantize/scheme.ts';
import type { Layout } from './il.ts';

/** Moves rows to their places in a layout, or back. */
function moveRows<Data extends Float32Array | Int8Array>(
  data: Data,
  rows: number,
  layout: Layout,
  store: boolean,
): Data {
  if (layout !== 'pairs' || data.length === 0) return data;
  const width = data.length / rows;
  const moved = data.slice() as Data;
  for (let row = 0; row < rows; row++) {
    const second = row >= rows / 2;
    const inHalf = second ? row - rows / 2 : row;
    const place = (2 * Math.floor(inHalf / PANEL_ROWS) + Number(second)) * PANEL_ROWS + (inHalf % PANEL_ROWS);
    const [from, to] = store ? [row, place] : [place, row];
    moved.set(data.subarray(from * width, (from + 1) * width), to * width);
  }
  return moved;
}

/** Floats of `rows` rows as a layout has them. */
export const storeRows = (floats: Float32Array, rows: number, layout: Layout): Float32Array =>
  moveRows(floats, rows, layout, true);
/** Floats of `rows` rows in their order, from a layout. */
export const loadRows = (floats: Float32Array, rows: number, layout: Layout): Float32Array =>
  moveRows(floats, rows, layout, false);

const moveMatrix = (matrix: QuantizedMatrix, layout: Layout, store: boolean): QuantizedMatrix => {
  const { rows, codes, scales, minimums, values } = matrix;
  return {
    ...matrix,
    codes: moveRows(codes, rows, layout, store),
    scales: moveRows(scales, rows, layout, store),
    ...(minimums === undefined ? {} : { minimums: moveRows(minimums, rows, layout, store) }),
    ...(values === undefined ? {} : { values: moveRows(values, rows, layout, store) }),
  };
};
/** A matrix with its rows as a layout has them. */
export const storeMatrix = (matrix: QuantizedMatrix, layout: Layout): QuantizedMatrix =>
  moveMatrix(matrix, layout, true);
/** A matrix with its rows in their order, from a layout. */
export const loadMatrix = (matrix: QuantizedMatrix, layout: Layout): QuantizedMatrix =>
  moveMatrix(matrix, layout, false);
