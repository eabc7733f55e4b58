/**
 * Kernels over the rows of activations, one token a row: RMSNorm with (1 + gain), the residual sum, and quantisation, in any of the combinations that a
 * transformer layer needs, so that a row is read once. Rows of floats are padded to 16 elements, rows of codes to whole groups of 32.
 *
 * Quantisation: scale = absmax / 127, code = round-half-even(x · (127 / absmax)), all in f32; `a1` takes the signs and the mean absolute value.
 */
import {
  buildKernel,
  type DeviceFeatures,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Value,
} from '@proj/kernel';
import type { Mode } from '../il/il.ts';
import { ACTIVATION_GROUP, PANEL_ROWS } from '../quantize/layout.ts';
import type { ActivationScheme } from '../quantize/scheme.ts';
import { codesPerUnit } from './arithmetic.ts';
import { Columns, type Row } from './columns.ts';
import { stepTokens } from './control.ts';
import { activationColumns, activationScales, activationSums, activationWords, CODE_SUM_FACTOR } from './linear.ts';
import { modeTables, normFactor, normTerm } from './modes.ts';

export interface RowShape {
  readonly columns: number;
  /** `each`: all tokens of the step; `last`: only its last one, whose result becomes row 0. */
  readonly rows: 'each' | 'last';
  /** x + norm(y), with gain 1; without it x alone. The sum is a result. */
  readonly residual: boolean;
  /** Norm with gain 2 of what came out of that. */
  readonly norm: boolean;
  /** The result: as floats, or quantised. `null` where only the residual sum is wanted. */
  readonly output: 'f32' | ActivationScheme | null;
  readonly eps: number;
  readonly mode: Mode;
  /** Elements between the rows of x and of y, where they are part of something wider. */
  readonly strides?: { readonly x: number; readonly y: number };
}

/** Elements that a row of floats takes. */
export const rowStride = (columns: number): number => Math.ceil(columns / PANEL_ROWS) * PANEL_ROWS;

/**
 * Parameters, those that the shape needs, in this order: x f32, y f32, gain1 f32, sum f32 (written), gain2 f32, and out f32, or codes i8 / signs i32, scales f32, sums i32;
 * tables f32 (norms in data mode), control i32. Range: the most tokens of a step, or 1 for the last row.
 */
export function rowKernel(name: string, shape: RowShape, features: DeviceFeatures): Kernel {
  return buildKernel(name, (b) => {
    const lanes = Math.min(PANEL_ROWS, Math.max(1, features.vectorBytes / 4));
    const { residual, norm, output, columns } = shape;
    const x = b.buffer('x', 'f32');
    const y = residual ? b.buffer('y', 'f32') : null;
    const gain1 = residual ? b.buffer('gain1', 'f32') : null;
    const sum = residual ? b.buffer('sum', 'f32', 'readwrite') : null;
    const gain2 = norm ? b.buffer('gain2', 'f32') : null;
    const sink = output === null ? null : makeSink(b, output, columns, lanes);
    const tables = residual || norm ? modeTables(b, shape.mode) : null;
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    const term = (value: Value): Value => normTerm(b, shape.mode, value);
    const factorOf = (total: Value): Value => normFactor(b, shape.mode, tables, total, columns, shape.eps);
    const row = (token: Value, result: Value): void => {
      const xs = b.mul(token, shape.strides?.x ?? rowStride(columns));
      const ys = b.mul(token, shape.strides?.y ?? rowStride(columns));
      const sums = b.mul(result, rowStride(columns));
      const columnsOf = new Columns(b, columns, lanes);
      let source = (at: Value, mask: Value | null): Value => b.load(x, b.add(xs, at), lanes, mask);
      let squares: Value | null = null;
      if (y !== null && gain1 !== null && sum !== null) {
        const factor = factorOf(columnsOf.total((at, mask) => term(b.load(y, b.add(ys, at), lanes, mask))));
        const read = source;
        squares = columnsOf.total((at, mask) => {
          const scaled = b.mul(b.load(y, b.add(ys, at), lanes, mask), factor);
          const value = b.add(read(at, mask), b.mul(scaled, b.add(b.load(gain1, at, lanes, mask), 1)));
          b.store(sum, b.add(sums, at), value, mask);
          return term(value);
        });
        source = (at, mask) => b.load(sum, b.add(sums, at), lanes, mask);
      }
      if (sink === null) return;
      if (gain2 === null) return sink(columnsOf, result, source);
      const factor = factorOf(squares ?? columnsOf.total((at, mask) => term(source(at, mask))));
      const plain = source;
      sink(columnsOf, result, (at, mask) =>
        b.mul(b.mul(plain(at, mask), factor), b.add(b.load(gain2, at, lanes, mask), 1)),
      );
    };
    if (shape.rows === 'last') b.for(b.begin, b.end, 1, [], (r) => row(b.sub(tokens, 1), r));
    else b.for(b.begin, b.end, 1, [], (r) => b.if(b.lt(r, tokens), () => row(r, r)));
  });
}

/** The groups of 32 behind a row, up to the padded width. */
function padding(b: KernelBuilder, columns: number, body: (group: Value) => void): void {
  const first = Math.ceil(columns / ACTIVATION_GROUP);
  const end = activationColumns(columns) / ACTIVATION_GROUP;
  for (let group = first; group < end; group++) body(b.index(group));
}

/** Writes a row of results. */
type Sink = (columns: Columns, row: Value, value: Row) => void;

function makeSink(b: KernelBuilder, output: 'f32' | ActivationScheme, columns: number, lanes: number): Sink {
  if (output === 'f32') return floats(b, b.buffer('out', 'f32', 'write'), columns);
  const codes = b.buffer('codes', output === 'a1' ? 'i32' : 'i8', 'write');
  const scales = b.buffer('scales', 'f32', 'write');
  if (output === 'a1') return signs(b, codes, scales, columns, lanes);
  const sums = b.buffer('sums', 'i32', 'write');
  return output === 'a8g32' ? grouped(b, codes, scales, sums, columns) : whole(b, codes, scales, sums, columns);
}

function floats(b: KernelBuilder, out: Memory, columns: number): Sink {
  return (of, row, value) => {
    const first = b.mul(row, rowStride(columns));
    of.fold([], (_, parts) => {
      for (const [at, mask] of parts) b.store(out, b.add(first, at), value(at, mask), mask);
      return [];
    });
  };
}

const largest = (b: KernelBuilder, values: readonly Value[]): Value =>
  b.horizontal(
    'reduceMax',
    values.map((v) => b.abs(v)).reduce((x, y) => b.max(x, y)),
  );

/** Stores codes and gives their sum. */
function encode(
  b: KernelBuilder,
  codes: Memory,
  at: readonly Value[],
  values: readonly Value[],
  inverse: Value,
): Value {
  const numbers = values.map((v) => b.cast(b.round(b.mul(v, inverse)), 'i32'));
  numbers.forEach((n, p) => b.store(codes, at[p], b.cast(n, 'i8')));
  return b.horizontal(
    'reduceAdd',
    numbers.reduce((x, y) => b.add(x, y)),
  );
}

function grouped(b: KernelBuilder, codes: Memory, scales: Memory, sums: Memory, columns: number): Sink {
  const padded = activationColumns(columns);
  return (of, row, value) => {
    const first = b.mul(row, padded);
    const scaleRow = b.mul(row, activationScales('a8g32', columns));
    const sumRow = b.mul(row, activationSums(columns));
    const [total] = of.fold([b.constant(0, 'i32')], (group, parts, [running]) => {
      const values = parts.map(([at, mask]) => value(at, mask));
      const absmax = largest(b, values);
      b.store(scales, b.add(scaleRow, group), b.div(absmax, 127));
      const sum = encode(
        b,
        codes,
        parts.map(([at]) => b.add(first, at)),
        values,
        codesPerUnit(b, absmax),
      );
      b.store(sums, b.add(sumRow, group), b.mul(sum, CODE_SUM_FACTOR));
      return [b.add(running, sum)];
    });
    b.store(sums, b.add(sumRow, padded / ACTIVATION_GROUP), b.mul(total, CODE_SUM_FACTOR));
    padding(b, columns, (group) => {
      zeroGroup(b, codes, b.add(first, b.mul(group, ACTIVATION_GROUP)), of.lanes);
      b.store(scales, b.add(scaleRow, group), b.constant(0, 'f32'));
      b.store(sums, b.add(sumRow, group), b.constant(0, 'i32'));
    });
  };
}

function zeroGroup(b: KernelBuilder, codes: Memory, at: Value, lanes: number): void {
  for (let p = 0; p < ACTIVATION_GROUP; p += lanes) b.store(codes, b.add(at, p), b.splat(b.constant(0, 'i8'), lanes));
}

function whole(b: KernelBuilder, codes: Memory, scales: Memory, sums: Memory, columns: number): Sink {
  const padded = activationColumns(columns);
  return (of, row, value) => {
    const first = b.mul(row, padded);
    const sumRow = b.mul(row, activationSums(columns));
    const zero = b.splat(b.constant(0, 'f32'), of.lanes);
    const [peak] = of.fold([zero], (_, parts, [running]) => [
      parts.reduce((max, [at, mask]) => b.max(max, b.abs(value(at, mask))), running),
    ]);
    const absmax = b.horizontal('reduceMax', peak);
    const inverse = codesPerUnit(b, absmax);
    b.store(scales, row, b.div(absmax, 127));
    const [total] = of.fold([b.constant(0, 'i32')], (group, parts, [running]) => {
      const values = parts.map(([at, mask]) => value(at, mask));
      const sum = encode(
        b,
        codes,
        parts.map(([at]) => b.add(first, at)),
        values,
        inverse,
      );
      b.store(sums, b.add(sumRow, group), b.mul(sum, CODE_SUM_FACTOR));
      return [b.add(running, sum)];
    });
    b.store(sums, b.add(sumRow, padded / ACTIVATION_GROUP), b.mul(total, CODE_SUM_FACTOR));
    padding(b, columns, (group) => {
      zeroGroup(b, codes, b.add(first, b.mul(group, ACTIVATION_GROUP)), of.lanes);
      b.store(sums, b.add(sumRow, group), b.constant(0, 'i32'));
    });
  };
}

/** Bit 8i + s of word w is the sign of column 32w + 4s + i, the order of the packed weights. */
function signs(b: KernelBuilder, codes: Memory, scales: Memory, columns: number, lanes: number): Sink {
  return (of, row, value) => {
    const words = b.mul(row, activationWords('a1', columns));
    const total = of.total((at, mask) => b.abs(value(at, mask)));
    b.store(scales, row, b.div(total, columns));
    of.fold([], (group, parts) => {
      const bits = parts.map(([at, mask], p) => {
        const column = b.add(b.iota('i32', lanes), p * lanes);
        const weight = b.shl(b.splat(b.constant(1, 'i32'), lanes), b.add(b.shl(b.and(column, 3), 3), b.shr(column, 2)));
        const positive = b.ge(value(at, mask), 0);
        const zero = b.splat(b.constant(0, 'i32'), lanes);
        const set = b.select(positive, weight, zero);
        return mask === null ? set : b.select(mask, set, zero);
      });
      b.store(
        codes,
        b.add(words, group),
        b.horizontal(
          'reduceAdd',
          bits.reduce((x, y) => b.add(x, y)),
        ),
      );
      return [];
    });
    padding(b, columns, (group) => b.store(codes, b.add(words, group), b.constant(0, 'i32')));
  };
}
