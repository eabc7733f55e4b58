/** Linear layers with float weights: what stays unquantised, and the reference of what does not. Rows of weights lie one after the other. */
import { buildKernel, type DeviceFeatures, type Kernel, type KernelBuilder, type Value } from '@proj/kernel';
import { PANEL_ROWS } from '../quantize/layout.ts';
import { stepTokens } from './control.ts';
import { rowStride } from './rows.ts';

export interface FloatLinearShape {
  readonly rows: number;
  readonly columns: number;
  /** Elements between the rows of the input. */
  readonly stride: number;
  /** Rows come in pairs of panels, gate and up, and `join(gate, up)` is stored. */
  readonly join?: (b: KernelBuilder, gate: Value, up: Value) => Value;
}

/** Parameters: weights f32, x f32, out f32, control i32. Range: output rows. */
export function floatLinearKernel(name: string, shape: FloatLinearShape, features: DeviceFeatures): Kernel {
  const { rows, columns, stride, join } = shape;
  return buildKernel(name, (b) => {
    const weights = b.buffer('weights', 'f32');
    const x = b.buffer('x', 'f32');
    const out = b.buffer('out', 'f32', 'write');
    const tokens = stepTokens(b, b.buffer('control', 'i32'));
    const lanes = Math.max(1, features.vectorBytes / 4);
    const whole = Math.floor(columns / lanes) * lanes;
    const dot = (row: Value, token: Value): Value => {
      const from = b.mul(row, columns);
      const at = b.mul(token, stride);
      const zero = b.splat(b.constant(0, 'f32'), lanes);
      const product = (i: Value, width: number, sum: Value): Value =>
        b.mulAdd(b.load(weights, b.add(from, i), width), b.load(x, b.add(at, i), width), sum);
      const [sums] = b.for(0, whole, lanes, [zero], (i, sum) => [product(i, lanes, sum)]);
      const [rest] = b.for(whole, columns, 1, [b.horizontal('reduceAdd', sums)], (i, sum) => [product(i, 1, sum)]);
      return rest;
    };
    const outputs = join === undefined ? rows : rows / 2;
    b.for(b.begin, b.end, 1, [], (row) =>
      b.for(0, tokens, 1, [], (token) => {
        const result = b.add(b.mul(token, rowStride(outputs)), row);
        if (join === undefined) return b.store(out, result, dot(row, token));
        const gate = b.add(b.mul(b.div(row, PANEL_ROWS), 2 * PANEL_ROWS), b.rem(row, PANEL_ROWS));
        b.store(out, result, join(b, dot(gate, token), dot(b.add(gate, PANEL_ROWS), token)));
      }),
    );
  });
}
