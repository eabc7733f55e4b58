/** Kernels that work element by element over rows of floats, and row by row: what is left when the passes have fused what they can. */
import {
  buildKernel,
  type DeviceFeatures,
  type Kernel,
  type KernelBuilder,
  math,
  type Memory,
  type Value,
  vectorLoop,
} from '@proj/kernel';
import type { Mode } from '../il/il.ts';
import type { Lut } from '../quantize/lut.ts';
import { stepTokens } from './control.ts';
import { modeTables, normaliser, softmaxWeight } from './modes.ts';
import { rowStride } from './rows.ts';

const GELU_INNER = Math.sqrt(2 / Math.PI);
const GELU_CUBIC = 0.044715;

/** GELU by tanh, as in Gemma: x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))). */
export function gelu(b: KernelBuilder, x: Value): Value {
  const inner = b.mul(b.mul(x, GELU_INNER), b.mulAdd(b.mul(x, x), GELU_CUBIC, b.constant(1, x.type)));
  return b.mul(b.mul(x, 0.5), b.add(math.tanh(b, inner), 1));
}

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

/** A value of a table, at the centre of the cell of x; beyond its ends as at them. */
export function lookUpLut(b: KernelBuilder, table: Memory, lut: Lut, x: Value): Value {
  const cell = b.cast(b.floor(b.div(b.sub(x, lut.lo), Math.fround(lut.cell))), 'i32');
  return b.gather(table, b.cast(b.min(b.max(cell, 0), lut.table.length - 1), 'index'));
}

/** Softmax of each row. Parameters: x f32, [tables f32 (data mode)], out f32, control i32. Range: the most tokens of a step. */
export function softmaxKernel(
  name: string,
  { columns, stride, mode }: { readonly columns: number; readonly stride: number; readonly mode: Mode },
): Kernel {
  return buildKernel(name, (b) => {
    const x = b.buffer('x', 'f32');
    const tables = modeTables(b, mode);
    const out = b.buffer('out', 'f32', 'readwrite');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    b.for(b.begin, b.end, 1, [], (token) =>
      b.if(b.lt(token, tokens), () => {
        const from = b.mul(token, stride);
        const to = b.mul(token, rowStride(columns));
        const [peak] = b.for(0, columns, 1, [b.constant(-Infinity, 'f32')], (i, most) => [
          b.max(b.load(x, b.add(from, i)), most),
        ]);
        const [sum] = b.for(0, columns, 1, [b.constant(0, 'f32')], (i, running) => {
          const weight = softmaxWeight(b, mode, tables, b.sub(b.load(x, b.add(from, i)), peak));
          b.store(out, b.add(to, i), weight);
          return [b.add(running, weight)];
        });
        const factor = normaliser(b, mode, sum);
        b.for(0, columns, 1, [], (i) => b.store(out, b.add(to, i), b.mul(b.load(out, b.add(to, i)), factor)));
      }),
    );
  });
}
