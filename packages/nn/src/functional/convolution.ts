/**
 * Convolutions in one to three dimensions. Input windows are a matrix [channels · kernel, batch · positions] that is multiplied by the weight
 * once for each group (im2col; Chellapilla et al. 2006), so that the gradient of the weight is one product too; without gradients it is a matrix
 * for each image. A transposed convolution is the adjoint: product first, then overlapping windows are added up.
 */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import {
  type AnyNode,
  binaryNode,
  contiguousNode,
  contractNode,
  elementCount,
  expandNode,
  foldNode,
  isGradEnabled,
  padNode,
  permuteNode,
  reduceNode,
  reshapeNode,
  windowNode,
  wrap,
} from '@proj/tensor/graph';
import { isOptions, type OpRow, row, tuple } from './support.ts';

type Size = number | readonly number[];
export interface ConvolutionOptions {
  readonly stride?: Size;
  /** Zeros on both sides, or 'valid' (none), or 'same' (the output has the size of the input; stride 1). */
  readonly padding?: Size | 'same' | 'valid';
  readonly dilation?: Size;
  readonly groups?: number;
}
export interface TransposedConvolutionOptions {
  readonly stride?: Size;
  readonly padding?: Size;
  /** Added to the size of the output at one side. */
  readonly outputPadding?: Size;
  readonly groups?: number;
  readonly dilation?: Size;
}

/** What is meant where it is not said. */
export const CONVOLUTION: Defaults<ConvolutionOptions> = { stride: 1, padding: 0, dilation: 1, groups: 1 };
export const TRANSPOSED_CONVOLUTION: Defaults<TransposedConvolutionOptions> = {
  stride: 1,
  padding: 0,
  outputPadding: 0,
  groups: 1,
  dilation: 1,
};
interface BiasOption {
  readonly bias?: Tensor | null;
}

const CONVOLUTION_OF_FUNCTION = { ...CONVOLUTION, bias: null };
const TRANSPOSED_OF_FUNCTION = { ...TRANSPOSED_CONVOLUTION, bias: null };

const range = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i);

function checkOperands(
  op: string,
  spatial: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  channels: number,
  outChannels: number,
): void {
  const details = { op, shapes: [input.shape, weight.shape], dtypes: [input.dtype, weight.dtype] };
  if (weight.ndim !== spatial + 2)
    throw new ProjError('shape-mismatch', `the weight must have ${spatial + 2} dimensions`, details);
  if (input.ndim !== spatial + 2 && input.ndim !== spatial + 1)
    throw new ProjError(
      'shape-mismatch',
      `the input must have ${spatial + 2} dimensions, or ${spatial + 1} without a batch`,
      details,
    );
  if (input.dtype !== weight.dtype)
    throw new ProjError('dtype', 'input and weight differ in dtype', { ...details, cure: 'Cast one of them' });
  if (input.shape[input.ndim - spatial - 1] !== channels)
    throw new ProjError(
      'shape-mismatch',
      `the input has ${input.shape[input.ndim - spatial - 1]} channels, the weight expects ${channels}`,
      details,
    );
  if (bias !== null && (bias.ndim !== 1 || bias.shape[0] !== outChannels))
    throw new ProjError('shape-mismatch', `the bias must have ${outChannels} elements`, { op, shapes: [bias.shape] });
}

function withBias(result: AnyNode, bias: Tensor | null, spatial: number): AnyNode {
  if (bias === null) return result;
  return binaryNode(
    'add',
    result,
    expandNode(reshapeNode(bias.node, [bias.shape[0], ...range(0, spatial).map(() => 1)]), result.shape),
  );
}

/**
 * Whether each image is a product of its own, whose result lies where it belongs. Its last vector of positions, of up to 16, is not shared with
 * the next image then: more multiplications, which must not cost more than putting the result in order. Gradients are cheaper of one product.
 */
const multipliesApart = (positions: number, patch: number): boolean =>
  (Math.ceil(positions / 16) * 16 - positions) * patch < 32 * positions;

function convolve(
  op: string,
  spatial: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: ConvolutionOptions & BiasOption,
): Tensor {
  const { stride, padding, dilation, groups } = withDefaults(op, CONVOLUTION_OF_FUNCTION, options);
  const strides = tuple(stride, spatial, 'stride', op);
  const dilations = tuple(dilation, spatial, 'dilation', op);
  if (strides.some((s) => s <= 0))
    throw new ProjError('invalid-argument', 'non-positive stride is not supported', { op });
  if (groups <= 0 || weight.shape[0] % groups !== 0)
    throw new ProjError('invalid-argument', `${weight.shape[0]} output channels do not divide into ${groups} groups`, {
      op,
      shapes: [input.shape, weight.shape],
    });
  checkOperands(op, spatial, input, weight, bias, weight.shape[1] * groups, weight.shape[0]);
  const kernel = weight.shape.slice(2);
  if (padding === 'same' && strides.some((s) => s !== 1))
    throw new ProjError('invalid-argument', "padding 'same' needs stride 1", { op });
  const total = kernel.map((k, i) => dilations[i] * (k - 1));
  const before =
    padding === 'same'
      ? total.map((t) => Math.floor(t / 2))
      : padding === 'valid'
        ? kernel.map(() => 0)
        : tuple(padding, spatial, 'padding', op);
  if (before.some((p) => p < 0)) throw new ProjError('invalid-argument', 'negative padding is not supported', { op });
  const batched = input.ndim === spatial + 2;
  const x = batched ? input.node : reshapeNode(input.node, [1, ...input.shape]);
  const [batch, channels] = x.shape;
  const counts = kernel.map(
    (_, i) =>
      Math.floor((x.shape[i + 2] + (padding === 'same' ? total[i] : 2 * before[i]) - total[i] - 1) / strides[i]) + 1,
  );
  if (counts.some((count) => count < 1))
    throw new ProjError('shape-mismatch', 'the kernel is larger than the padded input', {
      op,
      shapes: [input.shape, weight.shape],
    });
  const outChannels = weight.shape[0];
  const after = counts.map((count, i) =>
    Math.max(0, (count - 1) * strides[i] + total[i] + 1 - before[i] - x.shape[i + 2]),
  );
  const isDepthwise = groups === channels && outChannels === channels;
  const padded = padNode(x, [0, 0, ...before], [0, 0, ...after]);
  let windows = isDepthwise && padded !== x ? contiguousNode(padded) : padded;
  kernel.forEach((size, i) => {
    windows = windowNode(windows, i + 2, counts[i], { size, stride: strides[i], dilation: dilations[i], padding: 0 });
  });
  // windows: [batch, channels, ...counts, ...kernel]
  let result: AnyNode;
  if (isDepthwise) {
    // One filter a channel: a reduction, without the matrix.
    const filters = expandNode(reshapeNode(weight.node, [channels, ...counts.map(() => 1), ...kernel]), windows.shape);
    result = withBias(
      reduceNode('sum', binaryNode('mul', windows, filters), range(2 + spatial, spatial)),
      bias,
      spatial,
    );
  } else {
    const positions = elementCount(counts);
    const patch = elementCount(weight.shape.slice(1));
    const needsGradient = isGradEnabled() && (windows.requiresGrad || weight.requiresGrad);
    const apart = !needsGradient && multipliesApart(positions, patch);
    const images = apart ? batch : 1;
    const ofImages = (node: AnyNode, rows: number, columns: number): AnyNode =>
      reshapeNode(expandNode(reshapeNode(node, [1, groups, rows, columns]), [images, groups, rows, columns]), [
        images * groups,
        rows,
        columns,
      ]);
    const [kernels, places] = [range(2 + spatial, spatial), range(2, spatial)];
    const order = apart ? [0, 1, ...kernels, ...places] : [1, ...kernels, 0, ...places];
    const columns = reshapeNode(permuteNode(windows, order), [images * groups, patch, (batch / images) * positions]);
    const product = contractNode(ofImages(weight.node, outChannels / groups, patch), contiguousNode(columns));
    // The bias is added in the layout of the product, so that it goes into its store.
    const biased =
      bias === null
        ? product
        : binaryNode('add', product, expandNode(ofImages(bias.node, outChannels / groups, 1), product.shape));
    result = apart
      ? reshapeNode(biased, [batch, outChannels, ...counts])
      : permuteNode(reshapeNode(biased, [outChannels, batch, ...counts]), [1, 0, ...places]);
  }
  return wrap(batched ? result : reshapeNode(result, result.shape.slice(1)));
}

function convolveTransposed(
  op: string,
  spatial: number,
  input: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: TransposedConvolutionOptions & BiasOption,
): Tensor {
  const { stride, padding, outputPadding, groups, dilation } = withDefaults(op, TRANSPOSED_OF_FUNCTION, options);
  const strides = tuple(stride, spatial, 'stride', op);
  const dilations = tuple(dilation, spatial, 'dilation', op);
  const paddings = tuple(padding, spatial, 'padding', op);
  const extra = tuple(outputPadding, spatial, 'outputPadding', op);
  if (groups <= 0 || weight.shape[0] % groups !== 0)
    throw new ProjError('invalid-argument', `${weight.shape[0]} input channels do not divide into ${groups} groups`, {
      op,
      shapes: [input.shape, weight.shape],
    });
  const outChannels = weight.shape[1] * groups;
  checkOperands(op, spatial, input, weight, bias, weight.shape[0], outChannels);
  extra.forEach((e, i) => {
    if (e < 0 || (e >= strides[i] && e >= dilations[i]))
      throw new ProjError('invalid-argument', 'output padding must be smaller than either stride or dilation', { op });
  });
  const kernel = weight.shape.slice(2);
  const batched = input.ndim === spatial + 2;
  const x = batched ? input.node : reshapeNode(input.node, [1, ...input.shape]);
  const [batch, channels] = x.shape;
  const counts = x.shape.slice(2);
  const lengths = kernel.map(
    (k, i) => (counts[i] - 1) * strides[i] - 2 * paddings[i] + dilations[i] * (k - 1) + extra[i] + 1,
  );
  if (lengths.some((length) => length < 1))
    throw new ProjError('shape-mismatch', 'the output would be empty', { op, shapes: [input.shape, weight.shape] });
  const positions = batch * elementCount(counts);
  const inGroup = channels / groups;
  const patch = elementCount(weight.shape.slice(1));
  const values = reshapeNode(permuteNode(x, [1, 0, ...range(2, spatial)]), [groups, inGroup, positions]);
  const filters = permuteNode(reshapeNode(weight.node, [groups, inGroup, patch]), [0, 2, 1]);
  const columns = reshapeNode(contractNode(filters, values), [outChannels, ...kernel, batch, ...counts]);
  // [out, ...kernel, batch, ...counts] → [batch, out, ...counts, ...kernel]
  let folded = permuteNode(columns, [spatial + 1, 0, ...range(spatial + 2, spatial), ...range(1, spatial)]);
  for (let i = spatial - 1; i >= 0; i--)
    folded = foldNode(folded, i + 2, lengths[i], {
      size: kernel[i],
      stride: strides[i],
      dilation: dilations[i],
      padding: paddings[i],
    });
  const biased = withBias(folded, bias, spatial);
  return wrap(batched ? biased : reshapeNode(biased, biased.shape.slice(1)));
}

/** Cross-correlation of [N, C, L] (or [C, L]) with [O, C/groups, K]. */
export function conv1d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (ConvolutionOptions & BiasOption) | null = null,
  options: ConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return conv1d(input, weight, bias.bias ?? null, bias);
  return convolve('conv1d', 1, input, weight, bias, options);
}
/** Cross-correlation of [N, C, H, W] (or [C, H, W]) with [O, C/groups, KH, KW]. */
export function conv2d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (ConvolutionOptions & BiasOption) | null = null,
  options: ConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return conv2d(input, weight, bias.bias ?? null, bias);
  return convolve('conv2d', 2, input, weight, bias, options);
}
/** Cross-correlation of [N, C, D, H, W] (or [C, D, H, W]) with [O, C/groups, KD, KH, KW]. */
export function conv3d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (ConvolutionOptions & BiasOption) | null = null,
  options: ConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return conv3d(input, weight, bias.bias ?? null, bias);
  return convolve('conv3d', 3, input, weight, bias, options);
}
/** The adjoint of conv1d: weight [C, O/groups, K]. */
export function convTranspose1d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (TransposedConvolutionOptions & BiasOption) | null = null,
  options: TransposedConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return convTranspose1d(input, weight, bias.bias ?? null, bias);
  return convolveTransposed('convTranspose1d', 1, input, weight, bias, options);
}
/** The adjoint of conv2d: weight [C, O/groups, KH, KW]. */
export function convTranspose2d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (TransposedConvolutionOptions & BiasOption) | null = null,
  options: TransposedConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return convTranspose2d(input, weight, bias.bias ?? null, bias);
  return convolveTransposed('convTranspose2d', 2, input, weight, bias, options);
}
/** The adjoint of conv3d: weight [C, O/groups, KD, KH, KW]. */
export function convTranspose3d(
  input: Tensor,
  weight: Tensor,
  bias: Tensor | (TransposedConvolutionOptions & BiasOption) | null = null,
  options: TransposedConvolutionOptions = {},
): Tensor {
  if (isOptions(bias)) return convTranspose3d(input, weight, bias.bias ?? null, bias);
  return convolveTransposed('convTranspose3d', 3, input, weight, bias, options);
}
/** conv1d with time first: input [T, N, C], weight [K, C, O], `pad` zeros on both ends. */
export function convTbc(input: Tensor, weight: Tensor, bias: Tensor, pad = 0): Tensor {
  return conv1d(input.permute([1, 2, 0]), weight.permute([2, 1, 0]), bias, { padding: pad }).permute([2, 0, 1]);
}

const forward = 'input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1';
const transposed = 'input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1';
export const CONVOLUTIONS: readonly OpRow[] = [
  row('conv1d', conv1d, forward, { torch: ['torch.conv1d'] }),
  row('conv2d', conv2d, forward, { torch: ['torch.conv2d'] }),
  row('conv3d', conv3d, forward, { torch: ['torch.conv3d'] }),
  row('convTranspose1d', convTranspose1d, transposed, {
    torch: ['torch.nn.functional.conv_transpose1d', 'torch.conv_transpose1d'],
  }),
  row('convTranspose2d', convTranspose2d, transposed, {
    torch: ['torch.nn.functional.conv_transpose2d', 'torch.conv_transpose2d'],
  }),
  row('convTranspose3d', convTranspose3d, transposed, {
    torch: ['torch.nn.functional.conv_transpose3d', 'torch.conv_transpose3d'],
  }),
  row('convTbc', convTbc, 'input, weight, bias, pad=0', { torch: ['torch.nn.functional.conv_tbc', 'torch.conv_tbc'] }),
];
