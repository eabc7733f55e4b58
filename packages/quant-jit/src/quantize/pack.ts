/**
 * Packed weights: panels of 16 rows, lines of 64 bytes with 4 bytes for each row, then scales, then minimums (docs/brain-blitz.md has the table).
 *
 * A line is written as 16 words, one a row. With the unsigned codes of a row as bytes, in words `w0, w1, …` of four columns, word `l` of a packed row is
 * `w[k·l] | w[k·l+1] << bits | … | w[k·l+k-1] << (k-1)·bits` for k = 8 / bits, whatever the number of bits. Words are little-endian, as on
 * every machine that Node runs on.
 */
import { floatToHalfBits, halfBitsToFloat, ProjError } from '@proj/kernel';
import { checkMatrix } from './quantize.ts';
import { packedLayout, type PackedLayout, PANEL_ROWS } from './layout.ts';
import { type QuantizedMatrix, scheme as schemeOf, type Scheme, type SchemeName } from './scheme.ts';

const resolve = (scheme: Scheme | SchemeName): Scheme => (typeof scheme === 'string' ? schemeOf(scheme) : scheme);
/** Bytes of a packed matrix. */
export const packedBytes = (scheme: Scheme | SchemeName, rows: number, columns: number): number =>
  packedLayout(resolve(scheme), rows, columns).bytes;

/** Where codes, scales and minimums begin in a packed matrix. */
export function packedOffsets(
  scheme: Scheme | SchemeName,
  rows: number,
  columns: number,
): { readonly codes: number; readonly scales: number; readonly minimums: number } {
  const { scales, minimums } = packedLayout(resolve(scheme), rows, columns);
  return { codes: 0, scales, minimums };
}

/** A quantised matrix in the layout of the kernels. Padded rows and columns have code 0 (bit 0 where codes are signs) and scale 0. */
export function packMatrix(matrix: QuantizedMatrix): Uint8Array {
  const bytes = new Uint8Array(packedBytes(matrix.scheme, matrix.rows, matrix.columns));
  packRows(bytes, matrix.rows, matrix, 0);
  return bytes;
}

/**
 * Writes some rows of a packed matrix of `rows` rows, so that a large one need not be in memory at once: `block` holds the rows from `firstRow` on, a multiple
 * of 16, and has a multiple of 16 rows itself unless it is the last.
 */
export function packRows(bytes: Uint8Array, rows: number, block: QuantizedMatrix, firstRow: number): void {
  const op = 'packRows';
  const { scheme, columns, codes, scales, minimums, values } = block;
  const layout = packedLayout(scheme, rows, columns);
  const end = firstRow + block.rows;
  if (bytes.length !== layout.bytes || bytes.byteOffset % 4 !== 0)
    throw new ProjError('shape-mismatch', `${bytes.length} bytes for a packed matrix of ${layout.bytes}`, {
      op,
      cure: 'Give an array of packedBytes() that begins at a multiple of 4 bytes',
    });
  if (firstRow % PANEL_ROWS !== 0 || end > rows || (end < rows && end % PANEL_ROWS !== 0))
    throw new ProjError('shape-mismatch', `rows ${firstRow} … ${end} of ${rows}`, {
      op,
      cure: `Begin and end at multiples of ${PANEL_ROWS}, or at the last row`,
    });
  if (scheme.bits === 32) {
    checkMatrix(op, values?.length ?? 0, block.rows, columns);
    if (values !== undefined)
      new Float32Array(bytes.buffer, bytes.byteOffset, rows * columns).set(values, firstRow * columns);
    return;
  }
  checkMatrix(op, codes.length, block.rows, columns);
  if (
    scales.length !== block.rows * layout.groups ||
    (minimums?.length ?? 0) !== (scheme.asymmetric ? scales.length : 0)
  )
    throw new ProjError(
      'shape-mismatch',
      `${scales.length} scales and ${minimums?.length ?? 0} minimums for ${block.rows} rows of ${layout.groups} groups`,
      { op, cure: 'Scheme and scales must come from the same quantisation' },
    );
  packCodes(bytes, block, firstRow, layout);
  packScales(bytes, layout.scales, scales, block, firstRow, layout);
  if (minimums !== undefined) packScales(bytes, layout.minimums, minimums, block, firstRow, layout);
}

function packCodes(
  bytes: Uint8Array,
  { scheme, rows, columns, codes }: QuantizedMatrix,
  firstRow: number,
  layout: PackedLayout,
): void {
  const { bits, offset } = scheme;
  const { linesPerPanel, columns: paddedColumns } = layout;
  const packed = new Uint32Array(bytes.buffer, bytes.byteOffset, layout.panels * PANEL_ROWS * linesPerPanel);
  const row = new Uint8Array(paddedColumns).fill(offset);
  const words = new Uint32Array(row.buffer);
  const signs = bits === 1;
  for (let r = 0; r < Math.ceil(rows / PANEL_ROWS) * PANEL_ROWS; r++) {
    const begin = r * columns;
    if (r >= rows) row.fill(offset);
    else if (signs) for (let c = 0; c < columns; c++) row[c] = (codes[begin + c] + 1) >> 1;
    else for (let c = 0; c < columns; c++) row[c] = codes[begin + c] + offset;
    let at = Math.floor((firstRow + r) / PANEL_ROWS) * linesPerPanel * PANEL_ROWS + (r % PANEL_ROWS);
    for (let word = 0; word < words.length; at += PANEL_ROWS) {
      let line = words[word++];
      for (let shift = bits; shift < 8; shift += bits) line |= words[word++] << shift;
      packed[at] = line;
    }
  }
}

function packScales(
  bytes: Uint8Array,
  offset: number,
  scales: Float32Array,
  { scheme, rows }: QuantizedMatrix,
  firstRow: number,
  layout: PackedLayout,
): void {
  const { groups, panels } = layout;
  const start = bytes.byteOffset + offset;
  if (scheme.scaleType === 'f32') {
    new Float32Array(bytes.buffer, start, panels * PANEL_ROWS).set(scales, firstRow);
    return;
  }
  const halves = new Uint16Array(bytes.buffer, start, panels * PANEL_ROWS * groups);
  for (let r = 0, at = 0; r < rows; r++)
    for (let g = 0; g < groups; g++, at++) {
      const bits = floatToHalfBits(scales[at]);
      if (halfBitsToFloat(bits) !== scales[at])
        throw new ProjError(
          'invalid-argument',
          `the scale ${scales[at]} of row ${firstRow + r}, group ${g} is no f16`,
          {
            op: 'packRows',
            cure: 'Round scales to the type of the scheme before packing, as quantize() does',
          },
        );
      halves[scaleIndex(firstRow + r, g, groups)] = bits;
    }
}

/** Index of a group scale in `[panel][group][16 rows]`. */
const scaleIndex = (row: number, group: number, groups: number): number =>
  (Math.floor(row / PANEL_ROWS) * groups + group) * PANEL_ROWS + (row % PANEL_ROWS);

/** The codes and scales of a packed matrix. @throws ProjError `shape-mismatch` when the bytes are not as many as the shape needs. */
export function unpackMatrix(
  bytes: Uint8Array,
  scheme: Scheme | SchemeName,
  rows: number,
  columns: number,
): QuantizedMatrix {
  const target = resolve(scheme);
  const layout = packedLayout(target, rows, columns);
  if (bytes.length !== layout.bytes)
    throw new ProjError(
      'shape-mismatch',
      `${bytes.length} bytes are not a ${target.name} matrix of ${rows} rows and ${columns} columns (${layout.bytes} bytes)`,
      {
        op: 'unpackMatrix',
        cure: 'Give the scheme, rows and columns that the matrix was packed with',
      },
    );
  // Views of 4-byte elements need an aligned start.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  if (target.bits === 32) {
    const values = new Float32Array(aligned.buffer, aligned.byteOffset, rows * columns).slice();
    return { scheme: target, rows, columns, codes: new Int8Array(0), scales: new Float32Array(0), values };
  }
  const codes = unpackCodes(aligned, rows, columns, target, layout);
  const scales = unpackScales(aligned, layout.scales, rows, target, layout);
  if (!target.asymmetric) return { scheme: target, rows, columns, codes, scales };
  const minimums = unpackScales(aligned, layout.minimums, rows, target, layout);
  return { scheme: target, rows, columns, codes, scales, minimums };
}

function unpackCodes(
  bytes: Uint8Array,
  rows: number,
  columns: number,
  scheme: Scheme,
  layout: PackedLayout,
): Int8Array {
  const { bits, offset } = scheme;
  const { linesPerPanel, columns: paddedColumns } = layout;
  const paddedRows = layout.panels * PANEL_ROWS;
  const packed = new Uint32Array(bytes.buffer, bytes.byteOffset, paddedRows * linesPerPanel);
  const row = new Uint8Array(paddedColumns);
  const words = new Uint32Array(row.buffer);
  const mask = ((1 << bits) - 1) * 0x01010101;
  const codes = new Int8Array(rows * columns);
  for (let r = 0; r < rows; r++) {
    let at = Math.floor(r / PANEL_ROWS) * linesPerPanel * PANEL_ROWS + (r % PANEL_ROWS);
    for (let word = 0; word < words.length; at += PANEL_ROWS)
      for (let shift = 0; shift < 8; shift += bits) words[word++] = (packed[at] >>> shift) & mask;
    const begin = r * columns;
    if (bits === 1) for (let c = 0; c < columns; c++) codes[begin + c] = 2 * row[c] - 1;
    else for (let c = 0; c < columns; c++) codes[begin + c] = row[c] - offset;
  }
  return codes;
}

function unpackScales(
  bytes: Uint8Array,
  offset: number,
  rows: number,
  scheme: Scheme,
  layout: PackedLayout,
): Float32Array {
  const { groups, panels } = layout;
  const start = bytes.byteOffset + offset;
  if (scheme.scaleType === 'f32') return new Float32Array(bytes.buffer, start, rows).slice();
  const halves = new Uint16Array(bytes.buffer, start, panels * PANEL_ROWS * groups);
  const scales = new Float32Array(rows * groups);
  for (let r = 0, at = 0; r < rows; r++)
    for (let g = 0; g < groups; g++, at++) scales[at] = halfBitsToFloat(halves[scaleIndex(r, g, groups)]);
  return scales;
}
