/** Pooling over windows at random places (Graham 2014), and the partial inverse of max pooling. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { rand, scatter, type Tensor, zeros } from '@proj/tensor';
import {
  castNode,
  constantNode,
  elementCount,
  expandNode,
  iotaNode,
  reshapeNode,
  takeNode,
  wrap,
} from '@proj/tensor/graph';
import { firstPosition, maximumOf } from './pooling.ts';
import { type OpRow, requireSpatial, row, tuple } from './support.ts';

type Size = number | readonly number[];

export interface MaxUnpoolOptions {
  readonly padding?: Size;
  readonly outputSize?: readonly number[] | null;
}
function maxUnpool(
  op: string,
  spatial: number,
  input: Tensor,
  indices: Tensor,
  kernelSize: Size,
  stride: Size | null | undefined,
  options: MaxUnpoolOptions,
): Tensor {
  const { padding, outputSize } = withDefaults(op, { padding: 0, outputSize: null }, options);
  requireSpatial(op, spatial, input);
  if (indices.dtype !== 'int64')
    throw new ProjError('dtype', `indices of ${indices.dtype}`, {
      op,
      cure: 'Use the indices that max pooling returned',
    });
  if (indices.shape.join() !== input.shape.join())
    throw new ProjError('shape-mismatch', 'input and indices differ in shape', {
      op,
      shapes: [input.shape, indices.shape],
    });
  const kernel = tuple(kernelSize, spatial, 'kernelSize', op);
  const strides = stride === null || stride === undefined ? kernel : tuple(stride, spatial, 'stride', op);
  const paddings = tuple(padding, spatial, 'padding', op);
  if (strides.some((s) => s <= 0)) throw new ProjError('invalid-argument', 'stride must be positive', { op });
  const lead = input.shape.slice(0, input.ndim - spatial);
  const natural = kernel.map((k, i) => (input.shape[lead.length + i] - 1) * strides[i] - 2 * paddings[i] + k);
  const sizes = outputSize === null ? natural : outputSize.slice(-spatial);
  if (
    sizes.length !== spatial ||
    sizes.some((size, i) => Math.abs(size - natural[i]) >= strides[i] && size !== natural[i])
  ) {
    throw new ProjError('invalid-argument', `output size [${sizes.join(', ')}] is not near [${natural.join(', ')}]`, {
      op,
      shapes: [input.shape],
    });
  }
  const rows = elementCount(lead);
  const count = elementCount(input.shape.slice(lead.length));
  const base = zeros([rows, elementCount(sizes)], { dtype: input.dtype, device: input.device });
  return scatter(base, 1, indices.reshape([rows, count]), input.reshape([rows, count])).reshape([...lead, ...sizes]);
}
const maxUnpoolOf =
  (op: string, spatial: number) =>
  (
    input: Tensor,
    indices: Tensor,
    kernelSize: Size,
    stride: Size | null = null,
    options: MaxUnpoolOptions = {},
  ): Tensor =>
    maxUnpool(op, spatial, input, indices, kernelSize, stride, options);
/** Puts pooled values back where they came from, zeros elsewhere: [N, C, L]. */
export const maxUnpool1d = maxUnpoolOf('maxUnpool1d', 1);
/** As {@link maxUnpool1d} for [N, C, H, W]. */
export const maxUnpool2d = maxUnpoolOf('maxUnpool2d', 2);
/** As {@link maxUnpool1d} for [N, C, D, H, W]. */
export const maxUnpool3d = maxUnpoolOf('maxUnpool3d', 3);

export interface FractionalPoolOptions {
  readonly outputSize?: Size | null;
  /** The size of the output relative to the input. */
  readonly outputRatio?: Size | null;
  readonly returnIndices?: boolean;
  /** Uniform numbers [N, C, dimensions] that place the windows. */
  readonly randomSamples?: Tensor | null;
}

export const FRACTIONAL_POOL: Defaults<FractionalPoolOptions> = {
  outputSize: null,
  outputRatio: null,
  returnIndices: false,
  randomSamples: null,
};

const along = (x: Tensor, rank: number, at: readonly number[]): Tensor => {
  const shape = new Array<number>(rank).fill(1);
  at.forEach((dim, i) => (shape[dim] = x.shape[i]));
  return x.reshape(shape);
};

function fractionalMaxPool(
  op: string,
  spatial: number,
  input: Tensor,
  kernelSize: Size,
  options: FractionalPoolOptions,
): Tensor | [Tensor, Tensor] {
  const { outputSize, outputRatio, returnIndices, randomSamples } = withDefaults(op, FRACTIONAL_POOL, options);
  if ((outputSize === null) === (outputRatio === null))
    throw new ProjError('invalid-argument', 'give either outputSize or outputRatio', { op });
  requireSpatial(op, spatial, input);
  const batched = input.ndim === spatial + 2;
  const x = batched ? input : input.unsqueeze(0);
  const [batch, channels, ...lengths] = x.shape;
  const kernel = tuple(kernelSize, spatial, 'kernelSize', op);
  const ratios = typeof outputRatio === 'number' ? lengths.map(() => outputRatio) : outputRatio;
  if (ratios?.some((ratio) => !(ratio > 0 && ratio < 1)) === true)
    throw new ProjError('invalid-argument', 'outputRatio must be between 0 and 1', { op });
  const counts =
    ratios === null
      ? tuple(outputSize as Size, spatial, 'outputSize', op)
      : lengths.map((length, i) => Math.floor(length * ratios[i]));
  if (counts.some((count, i) => count + kernel[i] - 1 > lengths[i]))
    throw new ProjError('shape-mismatch', 'the output is too large for the input', { op, shapes: [input.shape] });
  const samples = (
    randomSamples ?? rand([batch, channels, spatial], { dtype: input.dtype, device: input.device })
  ).detach();
  // Linear input positions of every window element: [batch, channels, ...counts, ...kernel].
  const rank = 2 + 2 * spatial;
  const rows = along(
    wrap(iotaNode(x.device, 'int64', batch * channels, 0, elementCount(lengths))).reshape([batch, channels]),
    rank,
    [0, 1],
  );
  let linear = wrap(constantNode(x.device, 'int64', new Array<number>(rank).fill(1), 0));
  counts.forEach((count, i) => {
    // PyTorch lists the sample of the last dimension first in two dimensions, and in order in three.
    const sample = samples.select(2, spatial === 2 ? 1 - i : i).reshape([batch, channels, 1]);
    const free = lengths[i] - kernel[i];
    const alpha = count > 1 ? free / (count - 1) : 0;
    const output = wrap(iotaNode(x.device, input.dtype, count, 0, 1));
    const inner = sample.add(output).mul(alpha).trunc().sub(sample.mul(alpha).trunc());
    const last = output.eq(count - 1);
    const start = wrap(castNode(inner.mul(last.logicalNot()).add(last.mul(free)).node, 'int64'));
    const position = along(start, rank, [0, 1, 2 + i]).add(
      along(wrap(iotaNode(x.device, 'int64', kernel[i], 0, 1)), rank, [2 + spatial + i]),
    );
    linear = linear.mul(lengths[i]).add(position);
  });
  const shape = [batch, channels, ...counts, ...kernel];
  const index = wrap(expandNode(linear.add(rows).node, shape));
  const windows = wrap(takeNode(reshapeNode(x.node, [x.numel()]), index.node));
  const values = maximumOf(windows, spatial);
  const squeeze = (y: Tensor): Tensor => (batched ? y : y.squeeze(0));
  if (!returnIndices) return squeeze(values);
  const patch = elementCount(kernel);
  const first = wrap(firstPosition(windows.detach().node, values.detach().node, spatial));
  const flat = wrap(expandNode(linear.node, shape)).reshape([values.numel(), patch]);
  return [squeeze(values), squeeze(flat.gather(1, first.reshape([values.numel(), 1])).reshape(values.shape))];
}
const fractionalMaxPoolOf =
  (op: string, spatial: number) =>
  (input: Tensor, kernelSize: Size, options: FractionalPoolOptions = {}): Tensor | [Tensor, Tensor] =>
    fractionalMaxPool(op, spatial, input, kernelSize, options);
/** The largest elements of windows that begin at random, about evenly spaced places of [N, C, H, W]. */
export const fractionalMaxPool2d = fractionalMaxPoolOf('fractionalMaxPool2d', 2);
/** As {@link fractionalMaxPool2d} for [N, C, D, H, W]. */
export const fractionalMaxPool3d = fractionalMaxPoolOf('fractionalMaxPool3d', 3);

const unpoolSignature = 'input, indices, kernel_size, stride=None, padding=0, output_size=None';
const fractionalSignature =
  'input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None';
export const UNPOOLING: readonly OpRow[] = [
  row('maxUnpool1d', maxUnpool1d, unpoolSignature),
  row('maxUnpool2d', maxUnpool2d, unpoolSignature),
  row('maxUnpool3d', maxUnpool3d, unpoolSignature),
  row('fractionalMaxPool2d', fractionalMaxPool2d, fractionalSignature),
  row('fractionalMaxPool3d', fractionalMaxPool3d, fractionalSignature),
];
