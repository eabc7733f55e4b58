/** The packed layout against a reader written from the table of docs/brain-blitz.md, one weight at a time. */
import { halfBitsToFloat } from '@proj/kernel';
import { describe, expect, it } from 'vitest';
import {
  dequantize,
  packedBytes,
  packedOffsets,
  packMatrix,
  packRows,
  quantize,
  type Scheme,
  type SchemeName,
  SCHEMES,
  unpackMatrix,
} from '../src/quantize/index.ts';
import { gaussian } from './gaussian.ts';

const names = Object.keys(SCHEMES) as SchemeName[];
const coded = names.filter((name) => name !== 'f32');
const shapes = [
  [16, 32],
  [1, 1],
  [17, 33],
  [5, 127],
  [33, 300],
  [48, 256],
] as const;

/** The unsigned code at a row and column, by the table. */
function readCode(bytes: Uint8Array, { bits }: Scheme, paddedColumns: number, row: number, column: number): number {
  const perLine = 32 / bits;
  const lines = paddedColumns / perLine;
  const inLine = column % perLine;
  const line = Math.floor(column / perLine);
  const byte =
    bytes[Math.floor(row / 16) * lines * 64 + line * 64 + 4 * (row % 16) + (bits === 8 ? inLine : inLine % 4)];
  const part = Math.floor(inLine / 4);
  switch (bits) {
    case 8:
      return byte;
    case 4:
      return part === 0 ? byte & 15 : byte >> 4;
    case 2:
      return (byte >> (2 * part)) & 3;
    default:
      return (byte >> part) & 1;
  }
}

describe.each(coded)('%s', (name) => {
  const scheme: Scheme = SCHEMES[name];
  const group = scheme.group === 'row' ? 32 : scheme.group;
  it.each(shapes)('[%i, %i] is where the table says, and comes back bit for bit', (rows, columns) => {
    const matrix = quantize(gaussian(rows * columns, 3), rows, columns, name);
    const bytes = packMatrix(matrix);
    const paddedColumns = Math.ceil(columns / group) * group;
    const paddedRows = Math.ceil(rows / 16) * 16;
    const groups = scheme.group === 'row' ? 1 : paddedColumns / group;
    const scaleBytes = Math.ceil((paddedRows * groups * (scheme.scaleType === 'f16' ? 2 : 4)) / 64) * 64;
    const codeBytes = (paddedRows * paddedColumns * scheme.bits) / 8;
    expect(bytes.length).toBe(codeBytes + scaleBytes * (scheme.asymmetric ? 2 : 1));
    expect(packedBytes(name, rows, columns)).toBe(bytes.length);
    expect(packedOffsets(name, rows, columns)).toEqual({
      codes: 0,
      scales: codeBytes,
      minimums: codeBytes + scaleBytes,
    });
    for (let r = 0; r < paddedRows; r++)
      for (let c = 0; c < paddedColumns; c++) {
        const u = readCode(bytes, scheme, paddedColumns, r, c);
        const inside = r < rows && c < columns;
        const code = inside ? matrix.codes[r * columns + c] : 0;
        const expected = scheme.bits === 1 ? (code === 1 ? 1 : 0) : code + scheme.offset;
        if (u !== expected) expect.fail(`row ${r}, column ${c}: ${u} and not ${expected}`);
      }
    const view = new DataView(bytes.buffer);
    for (const [part, offset] of [
      [matrix.scales, codeBytes],
      [matrix.minimums, codeBytes + scaleBytes],
    ] as const)
      for (let i = 0; i < (part?.length ?? 0); i++) {
        const r = Math.floor(i / groups);
        const at = (Math.floor(r / 16) * groups + (i % groups)) * 16 + (r % 16);
        const stored =
          scheme.scaleType === 'f16'
            ? halfBitsToFloat(view.getUint16(offset + 2 * at, true))
            : view.getFloat32(offset + 4 * at, true);
        expect(stored).toBe(part?.[i]);
      }
    const back = unpackMatrix(bytes, name, rows, columns);
    expect(back.codes).toEqual(matrix.codes);
    expect(back.scales).toEqual(matrix.scales);
    expect(back.minimums).toEqual(matrix.minimums);
    expect(packMatrix(back)).toEqual(bytes);
  });
});

it('f32 is the floats row by row, padded to 64 bytes', () => {
  const values = gaussian(7 * 5, 1);
  const bytes = packMatrix(quantize(values, 7, 5, 'f32'));
  expect(bytes.length).toBe(192);
  expect(new Float32Array(bytes.buffer, 0, 35)).toEqual(values);
  expect(dequantize(unpackMatrix(bytes, 'f32', 7, 5))).toEqual(values);
});

it('an unaligned view unpacks', () => {
  const matrix = quantize(gaussian(16 * 64, 2), 16, 64, 'q4g32');
  const bytes = packMatrix(matrix);
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect(unpackMatrix(shifted.subarray(1), 'q4g32', 16, 64).codes).toEqual(matrix.codes);
});

it('wrong sizes are refused', () => {
  expect(() => unpackMatrix(new Uint8Array(64), 'q8', 16, 32)).toThrow(/64 bytes are not a q8 matrix/);
  const matrix = quantize(gaussian(64, 2), 2, 32, 'q8g32');
  expect(() => packMatrix({ ...matrix, scales: new Float32Array(3) })).toThrow(/3 scales/);
  expect(() => packMatrix({ ...matrix, scales: new Float32Array([0.1, 0.2]) })).toThrow(/no f16/);
});

it.each(names)('%s: packed in blocks of rows it is what it is in one go', (name) => {
  const [rows, columns] = [75, 200];
  const w = gaussian(rows * columns, 12);
  const whole = packMatrix(quantize(w, rows, columns, name));
  const blocks = new Uint8Array(whole.length).fill(0);
  for (const [begin, end] of [
    [48, 75],
    [0, 16],
    [16, 48],
  ])
    packRows(blocks, rows, quantize(w.subarray(begin * columns, end * columns), end - begin, columns, name), begin);
  expect(blocks).toEqual(whole);
  const block = quantize(w.subarray(0, 20 * columns), 20, columns, name);
  expect(() => packRows(blocks, rows, block, 0)).toThrow(/rows 0 … 20 of 75/);
  expect(() => packRows(blocks, rows, block, 8)).toThrow(/multiples of 16/);
  expect(() => packRows(blocks.subarray(64), rows, block, 0)).toThrow(/for a packed matrix of/);
});
