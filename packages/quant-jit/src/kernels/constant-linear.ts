/** Linear layers whose weights are constants of the kernel. */
import { type DeviceFeatures, embedConstants, type Kernel } from '@proj/kernel';
import { packedLayout } from '../quantize/layout.ts';
import { linearKernel, type LinearShape } from './linear.ts';

/** As `linearKernel`, with a packed matrix in place of the parameters codes, scales and minimums. */
export function constantLinearKernel(
  name: string,
  shape: LinearShape,
  weights: Uint8Array,
  features: DeviceFeatures,
): Kernel {
  const { scales, minimums, bytes } = packedLayout(shape.scheme, shape.rows, shape.columns);
  const contents = new Map([
    ['codes', weights.subarray(0, scales)],
    ['scales', weights.subarray(scales, minimums)],
    ...(shape.scheme.asymmetric ? [['minimums', weights.subarray(minimums, bytes)] as const] : []),
  ]);
  return embedConstants(linearKernel(name, shape, features), contents);
}
