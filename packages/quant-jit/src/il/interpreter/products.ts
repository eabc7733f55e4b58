/** Products with weights: integers exactly; scales, minimums and floats in float32, in an order that kernels keep. */
import { signWords, xnorDot } from '../../quantize/binary.ts';
import { groupColumns } from '../../quantize/scheme.ts';
import type { QuantizedMatrix } from '../../quantize/scheme.ts';
import { dotOf } from '../../arithmetic.ts';
import { dotGroupColumns, dotGroups } from '../types.ts';
import { type ActivationValue, floatsOf, type FloatValue, rowOf, type SumsValue } from './values.ts';

const { fround } = Math;

/** `xnor_dot` of all rows. */
export function xnorDots({ data: x }: ActivationValue, w: QuantizedMatrix): SumsValue {
  const words = Math.ceil(w.columns / 32);
  const data = new Int32Array(x.tokens * w.rows);
  for (let row = 0; row < w.rows; row++) {
    const signs = signWords(Float32Array.from(w.codes.subarray(row * w.columns, (row + 1) * w.columns)));
    for (let t = 0; t < x.tokens; t++)
      data[t * w.rows + row] = xnorDot(x.words.subarray(t * words, (t + 1) * words), signs, w.columns);
  }
  return { kind: 'i32', rows: x.tokens, columns: w.rows, groups: 1, data };
}

/** `int_dot` of all rows: sums of products of signed codes, group by group. */
export function intDots({ kind, data: x }: ActivationValue, w: QuantizedMatrix): SumsValue {
  const groups = dotGroups(kind, w.scheme.name, w.columns);
  const width = dotGroupColumns(kind, w.scheme.name, w.columns);
  const data = new Int32Array(x.tokens * w.rows * groups);
  let at = 0;
  for (let t = 0; t < x.tokens; t++)
    for (let row = 0; row < w.rows; row++)
      for (let g = 0; g < groups; g++) {
        const end = Math.min(w.columns, (g + 1) * width);
        const a = t * x.paddedColumns;
        const b = row * w.columns;
        let sum = 0;
        for (let c = g * width; c < end; c++) sum += x.codes[a + c] * w.codes[b + c];
        data[at++] = sum;
      }
  return { kind: 'i32', rows: x.tokens, columns: w.rows, groups, data };
}

/** Sums of activation codes over each group of a product, `[token][group]`: what minimums are multiplied with. */
function codeSums({ data: x }: ActivationValue, width: number, groups: number): Int32Array {
  const sums = new Int32Array(x.tokens * groups);
  for (let t = 0; t < x.tokens; t++)
    for (let c = 0; c < x.columns; c++) sums[t * groups + Math.floor(c / width)] += x.codes[t * x.paddedColumns + c];
  return sums;
}

/**
 * `scale`, in float32 and in this order, rounded after each multiplication and each addition. For each group of the weights, sums are multiplied with the
 * scales of the activations and added up; that is multiplied with the scale of the weights and added to what there is; then the same with the sums of the
 * activations' codes and the minimum. A scale for whole rows is multiplied with the total, that of the weights before that of the activations.
 */
export function scaleSums(acc: SumsValue, x: ActivationValue, w: QuantizedMatrix): FloatValue {
  const { groups } = acc;
  const width = dotGroupColumns(x.kind, w.scheme.name, w.columns);
  const ofGroups = x.kind === 'a8g32';
  const activationScales = x.data.scales.length / acc.rows;
  const weightScales = w.scales.length / w.rows;
  const byRow = w.scheme.group === 'row';
  const parts = byRow || !ofGroups ? 1 : groupColumns(w.scheme, w.columns) / width;
  const codes = w.minimums === undefined ? undefined : codeSums(x, width, groups);
  return floatsOf(acc.rows, acc.columns, (t, row) => {
    const scaled = (sum: number, g: number): number =>
      ofGroups ? fround(fround(sum) * x.data.scales[t * activationScales + g]) : fround(sum);
    const total = (sums: Int32Array, first: number, g: number): number => {
      let sum = scaled(sums[first + g], g);
      for (let part = 1; part < parts && g + part < groups; part++)
        sum = fround(sum + scaled(sums[first + g + part], g + part));
      return sum;
    };
    const first = (t * acc.columns + row) * groups;
    let result = 0;
    for (let g = 0; g < groups; g += parts) {
      const sum = total(acc.data, first, g);
      const at = row * weightScales + g / parts;
      result = fround(result + (byRow ? sum : fround(sum * w.scales[at])));
      if (codes !== undefined && w.minimums !== undefined)
        result = fround(result + fround(w.minimums[at] * total(codes, t * groups, g)));
    }
    if (byRow) result = fround(result * w.scales[row]);
    return ofGroups ? result : fround(result * x.data.scales[t]);
  });
}

/** Product of floats with a matrix of floats. */
export function floatProduct(x: FloatValue, w: Float32Array, rows: number): FloatValue {
  return floatsOf(x.rows, rows, (t, row) => dotOf(rowOf(x, t), w, row * x.columns));
}
