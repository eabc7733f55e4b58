/** Linear layers with float weights: what stays unquantised, and the reference of what does not. Rows of weights lie one after the other. */
import { buildKernel, type DeviceFeatures, type Kernel, type KernelBuilder, type Value } from '@proj/kernel';
import { PANEL_ROWS } from '../quantize/layout.ts';
import { Columns } from './columns.ts';
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
    const lanes = Math.min(PANEL_ROWS, Math.max(1, features.vectorBytes / 4));
    const row = new Columns(b, columns, lanes);
    const dot = (from: Value, token: Value): Value =>
      row.total((at, mask) => {
        const weight = b.load(weights, b.add(b.mul(from, columns), at), lanes, mask);
        return b.mul(weight, b.load(x, b.add(b.mul(token, stride), at), lanes, mask));
      });
    const outputs = join === undefined ? rows : rows / 2;
    b.for(b.begin, b.end, 1, [], (item) =>
      b.for(0, tokens, 1, [], (token) => {
        const result = b.add(b.mul(token, rowStride(outputs)), item);
        if (join === undefined) return b.store(out, result, dot(item, token));
        const gate = b.add(b.mul(b.div(item, PANEL_ROWS), 2 * PANEL_ROWS), b.rem(item, PANEL_ROWS));
        b.store(out, result, join(b, dot(gate, token), dot(b.add(gate, PANEL_ROWS), token)));
      }),
    );
  });
}
