/** Products with weights: integers exactly; scales and minimums in float64, rounded to float32 once. */
import { signWords, xnorDot } from '../../quantize/binary.ts';
import { groupColumns } from '../../quantize/scheme.ts';
import type { QuantizedMatrix } from '../../quantize/scheme.ts';
import { ACTIVATION_GROUPS, dotGroupColumns, dotGroups } from '../types.ts';
import { type ActivationValue, floatsOf, type FloatValue, rowOf, type SumsValue } from './values.ts';

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

/** `scale`: Σ over groups of activation scale · (weight scale · sum + minimum · sum of activation codes). */
export function scaleSums(acc: SumsValue, x: ActivationValue, w: QuantizedMatrix): FloatValue {
  const { groups } = acc;
  const width = dotGroupColumns(x.kind, w.scheme.name, w.columns);
  const activationGroup = ACTIVATION_GROUPS[x.kind];
  const activationScales = x.data.scales.length / acc.rows;
  const weightGroup = groupColumns(w.scheme, w.columns);
  const weightScales = w.scales.length / w.rows;
  const sums = w.minimums === undefined ? undefined : codeSums(x, width, groups);
  return floatsOf(acc.rows, acc.columns, (t, row) => {
    let total = 0;
    for (let g = 0; g < groups; g++) {
      const column = g * width;
      const ofX =
        x.data.scales[t * activationScales + (activationGroup === 'row' ? 0 : Math.floor(column / activationGroup))];
      const at = row * weightScales + Math.floor(column / weightGroup);
      const minimum = w.minimums === undefined || sums === undefined ? 0 : w.minimums[at] * sums[t * groups + g];
      total += ofX * (w.scales[at] * acc.data[(t * acc.columns + row) * groups + g] + minimum);
    }
    return total;
  });
}

/** Product of floats with a matrix of floats. */
export function floatProduct(x: FloatValue, w: Float32Array, rows: number): FloatValue {
  return floatsOf(x.rows, rows, (t, row) => {
    const a = rowOf(x, t);
    const b = row * x.columns;
    let sum = 0;
    for (let c = 0; c < x.columns; c++) sum += a[c] * w[b + c];
    return sum;
  });
}
