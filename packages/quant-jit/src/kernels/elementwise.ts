/** Kernels that work element by element over rows of floats, and row by row: what is left when the passes have fused what they can. */
import {
  buildKernel,
  type DeviceFeatures,
  type Kernel,
  type KernelBuilder,
  type Memory,
  type Value,
  vectorLoop,
} from '@proj/kernel';
import type { Mode } from '../il/il.ts';
import { PANEL_ROWS } from '../quantize/layout.ts';
import { Columns } from './columns.ts';
import { stepTokens } from './control.ts';
import { modeTables, normaliser, softmaxWeight } from './modes.ts';
import { rowStride } from './rows.ts';

export interface ElementwiseShape {
  readonly columns: number;
  /** Elements between the rows of each operand. */
  readonly strides: readonly number[];
  readonly table?: boolean;
  readonly apply: (b: KernelBuilder, operands: readonly Value[], table: Memory | null) => Value;
}

/** Parameters: the operands f32, [table f32], out f32, control i32. Range: the most tokens of a step. */
export function elementwiseKernel(name: string, shape: ElementwiseShape, features: DeviceFeatures): Kernel {
  const { columns, strides, table = false, apply } = shape;
  return buildKernel(name, (b) => {
    const operands = strides.map((_, i) => b.buffer(`x${i}`, 'f32'));
    const values = table ? b.buffer('table', 'f32') : null;
    const out = b.buffer('out', 'f32', 'write');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    b.for(b.begin, b.end, 1, [], (row) =>
      b.if(b.lt(row, tokens), () =>
        vectorLoop(b, 0, columns, Math.max(1, features.vectorBytes / 4), (i, lanes) => {
          const loaded = operands.map((operand, o) => b.load(operand, b.add(b.mul(row, strides[o]), i), lanes));
          b.store(out, b.add(b.mul(row, rowStride(columns)), i), apply(b, loaded, values));
        }),
      ),
    );
  });
}

/** The last row of anything, as words. Parameters: from i32, out i32, control i32. Range: 1. */
export function lastRowKernel(name: string, shape: { readonly words: number; readonly stride: number }): Kernel {
  return buildKernel(name, (b) => {
    const from = b.buffer('from', 'i32');
    const out = b.buffer('out', 'i32', 'write');
    const tokens = stepTokens(b, b.buffer('control', 'i32'));
    b.for(b.begin, b.end, 1, [], () => {
      const first = b.mul(b.sub(tokens, 1), shape.stride);
      b.for(0, shape.words, 1, [], (i) => b.store(out, i, b.load(from, b.add(first, i))));
    });
  });
}

/** Softmax of each row. Parameters: x f32, [tables f32 (data mode)], out f32, control i32. Range: the most tokens of a step. */
export function softmaxKernel(
  name: string,
  { columns, stride, mode }: { readonly columns: number; readonly stride: number; readonly mode: Mode },
  features: DeviceFeatures,
): Kernel {
  return buildKernel(name, (b) => {
    const x = b.buffer('x', 'f32');
    const tables = modeTables(b, mode);
    const out = b.buffer('out', 'f32', 'readwrite');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    const lanes = Math.min(PANEL_ROWS, Math.max(1, features.vectorBytes / 4));
    const row = new Columns(b, columns, lanes);
    b.for(b.begin, b.end, 1, [], (token) =>
      b.if(b.lt(token, tokens), () => {
        const from = b.mul(token, stride);
        const to = b.mul(token, rowStride(columns));
        const lowest = b.splat(b.constant(-Infinity, 'f32'), lanes);
        const score = (at: Value, mask: Value | null): Value => {
          const value = b.load(x, b.add(from, at), lanes, mask);
          return mask === null ? value : b.select(mask, value, lowest);
        };
        const [peaks] = row.fold([lowest], (_, parts, [most]) => [
          parts.reduce((highest, [at, mask]) => b.max(score(at, mask), highest), most),
        ]);
        const peak = b.splat(b.horizontal('reduceMax', peaks), lanes);
        const sum = row.total((at, mask) => {
          const value = score(at, mask);
          const seen = b.ne(value, -Infinity);
          const weight = softmaxWeight(b, mode, tables, b.sub(b.select(seen, value, peak), peak));
          const share = b.select(seen, weight, b.splat(b.constant(0, 'f32'), lanes));
          b.store(out, b.add(to, at), share, mask);
          return share;
        });
        const factor = b.splat(normaliser(b, mode, sum), lanes);
        row.fold([], (_, parts) => {
          for (const [at, mask] of parts)
            b.store(out, b.add(to, at), b.mul(b.load(out, b.add(to, at), lanes, mask), factor), mask);
          return [];
        });
      }),
    );
  });
}
