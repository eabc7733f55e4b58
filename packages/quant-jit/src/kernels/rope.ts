/**
 * Rotary positions (Su et al. 2021, arXiv 2104.09864; the form of Hugging Face: column i of a head turns with column i + head_dim / 2). The angles of a step are
 * computed once, by {@link angleKernel}, and read by every layer.
 */
import { buildKernel, type DeviceFeatures, type Kernel, vectorLoop } from '@proj/kernel';
import { sineAndCosine } from './arithmetic.ts';
import { rowPosition, stepTokens } from './control.ts';
import { rowStride } from './rows.ts';

const lanesOf = ({ vectorBytes }: DeviceFeatures): number => Math.max(1, vectorBytes / 4);

/**
 * Parameters: frequencies f32 [head_dim / 2], angles f32 [token][head_dim] (cosines, then sines), control i32. Range: the most tokens of a step. The product of
 * position and frequency is rounded to f32, as the reference does.
 */
export function angleKernel(name: string, headDim: number, features: DeviceFeatures): Kernel {
  return buildKernel(name, (b) => {
    const frequencies = b.buffer('frequencies', 'f32');
    const angles = b.buffer('angles', 'f32', 'write');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    const half = headDim / 2;
    b.for(b.begin, b.end, 1, [], (token) =>
      b.if(b.lt(token, tokens), () => {
        const position = b.cast(b.cast(rowPosition(b, control, token), 'i32'), 'f32');
        const row = b.mul(token, headDim);
        vectorLoop(b, 0, half, lanesOf(features), (i, lanes) => {
          const angle = b.mul(b.load(frequencies, i, lanes), position);
          const { sin, cos } = sineAndCosine(b, angle);
          b.store(angles, b.add(row, i), cos);
          b.store(angles, b.add(b.add(row, i), half), sin);
        });
      }),
    );
  });
}

export interface RopeShape {
  readonly heads: number;
  readonly headDim: number;
  /** Elements between the rows of the input. */
  readonly stride: number;
}

/** Parameters: x f32, angles f32, out f32, control i32. Range: the most tokens of a step. */
export function ropeKernel(name: string, { heads, headDim, stride }: RopeShape, features: DeviceFeatures): Kernel {
  return buildKernel(name, (b) => {
    const x = b.buffer('x', 'f32');
    const angles = b.buffer('angles', 'f32');
    const out = b.buffer('out', 'f32', 'write');
    const control = b.buffer('control', 'i32');
    const tokens = stepTokens(b, control);
    const half = headDim / 2;
    b.for(b.begin, b.end, 1, [], (token) =>
      b.if(b.lt(token, tokens), () => {
        const turn = b.mul(token, headDim);
        b.for(0, heads, 1, [], (head) => {
          const from = b.add(b.mul(token, stride), b.mul(head, headDim));
          const to = b.add(b.mul(token, rowStride(heads * headDim)), b.mul(head, headDim));
          vectorLoop(b, 0, half, lanesOf(features), (i, lanes) => {
            const cos = b.load(angles, b.add(turn, i), lanes);
            const sin = b.load(angles, b.add(b.add(turn, i), half), lanes);
            const low = b.load(x, b.add(from, i), lanes);
            const high = b.load(x, b.add(b.add(from, i), half), lanes);
            b.store(out, b.add(to, i), b.sub(b.mul(low, cos), b.mul(high, sin)));
            b.store(out, b.add(b.add(to, i), half), b.add(b.mul(high, cos), b.mul(low, sin)));
          });
        });
      }),
    );
  });
}
