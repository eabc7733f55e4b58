/** Pooling over windows. A maximum passes its gradient to the first element that has it, as PyTorch does. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import { customGradient } from '@proj/autograd';
import {
  type AnyNode,
  binaryNode,
  castNode,
  constantNode,
  elementCount,
  expandNode,
  iotaNode,
  isIntegral,
  padNode,
  reduceNode,
  reshapeNode,
  takeNode,
  permuteNode,
  whereNode,
  windowNode,
  wrap,
} from '@proj/tensor/graph';
import { type OpRow, requireSpatial, row, tuple } from './support.ts';

type Size = number | readonly number[];
export interface MaxPoolOptions {
  readonly padding?: Size;
  readonly dilation?: Size;
  /** Counts windows that overlap the end in part. */
  readonly ceilMode?: boolean;
  readonly returnIndices?: boolean;
}
export interface AvgPoolOptions {
  readonly padding?: Size;
  readonly ceilMode?: boolean;
  /** Whether padding counts as elements (default true). */
  readonly countIncludePad?: boolean;
  /** Divides by this instead of the number of elements. */
  readonly divisorOverride?: number | null;
}
export const MAX_POOL: Defaults<MaxPoolOptions> = { padding: 0, dilation: 1, ceilMode: false, returnIndices: false };
export const AVG_POOL: Defaults<AvgPoolOptions> = {
  padding: 0,
  ceilMode: false,
  countIncludePad: true,
  divisorOverride: null,
};
type PoolResult = Tensor | [Tensor, Tensor];

const range = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i);

interface Geometry {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly counts: readonly number[];
}

function geometry(
  op: string,
  spatial: number,
  input: Tensor,
  kernelSize: Size,
  stride: Size | null | undefined,
  padding: Size,
  dilation: Size,
  ceilMode: boolean,
): Geometry {
  requireSpatial(op, spatial, input);
  const kernel = tuple(kernelSize, spatial, 'kernelSize', op);
  const strides =
    stride === null || stride === undefined || (Array.isArray(stride) && stride.length === 0)
      ? kernel
      : tuple(stride, spatial, 'stride', op);
  const paddings = tuple(padding, spatial, 'padding', op);
  const dilations = tuple(dilation, spatial, 'dilation', op);
  if ([...strides, ...kernel, ...dilations].some((n) => n <= 0))
    throw new ProjError('invalid-argument', 'kernelSize, stride and dilation must be positive', { op });
  if (input.shape.slice(input.ndim - spatial - 1).includes(0))
    throw new ProjError('shape-mismatch', 'only the batch may be empty', { op, shapes: [input.shape] });
  if (paddings.some((p, i) => p < 0 || p > kernel[i] / 2))
    throw new ProjError('invalid-argument', 'padding must be at most half of the kernel', { op });
  const lengths = input.shape.slice(-spatial);
  const counts = lengths.map((length, i) => {
    const free = length + 2 * paddings[i] - dilations[i] * (kernel[i] - 1) - 1;
    let count = (ceilMode ? Math.ceil(free / strides[i]) : Math.floor(free / strides[i])) + 1;
    // The last window must start inside the input or its left padding.
    if (ceilMode && (count - 1) * strides[i] >= length + paddings[i]) count--;
    if (count < 1)
      throw new ProjError('shape-mismatch', 'the kernel is larger than the padded input', {
        op,
        shapes: [input.shape],
      });
    return count;
  });
  return { kernel, stride: strides, padding: paddings, dilation: dilations, counts };
}

/** [..lead, ...lengths] → [..lead, ...counts, ...kernel]; outside stands `fill`. */
function windowsOf(x: AnyNode, g: Geometry, fill: number): AnyNode {
  const spatial = g.kernel.length;
  const lead = x.shape.length - spatial;
  const ends = g.counts.map(
    (count, i) => (count - 1) * g.stride[i] + g.dilation[i] * (g.kernel[i] - 1) + 1 - g.padding[i],
  );
  let windows = x;
  const explicit = fill !== 0 && g.kernel.some((_, i) => g.padding[i] > 0 || ends[i] > x.shape[lead + i]);
  if (explicit) {
    const before = x.shape.map((_, d) => (d < lead ? 0 : g.padding[d - lead]));
    const after = x.shape.map((size, d) => (d < lead ? 0 : Math.max(0, ends[d - lead] - size)));
    windows = padNode(x, before, after, fill);
  }
  g.kernel.forEach((size, i) => {
    windows = windowNode(windows, lead + i, g.counts[i], {
      size,
      stride: g.stride[i],
      dilation: g.dilation[i],
      padding: explicit ? 0 : g.padding[i],
    });
  });
  return windows;
}

/** For windows [..., ...kernel], the first position (in row order) inside the kernel at which the maximum stands. */
export function firstPosition(windows: AnyNode, largest: AnyNode, spatial: number): AnyNode {
  const axes = range(windows.shape.length - spatial, spatial);
  const kernel = windows.shape.slice(-spatial);
  const size = elementCount(kernel);
  const spread = expandNode(reshapeNode(largest, [...largest.shape, ...kernel.map(() => 1)]), windows.shape);
  const positions = expandNode(reshapeNode(iotaNode(windows.device, 'int64', size, 0, 1), kernel), windows.shape);
  const hit = binaryNode('or', binaryNode('eq', windows, spread), binaryNode('ne', windows, windows));
  return reduceNode('min', whereNode(hit, positions, constantNode(windows.device, 'int64', windows.shape, size)), axes);
}

/** The maximum over the last `spatial` dimensions; its gradient goes to the first element that has it. */
export function maximumOf(windows: Tensor, spatial: number): Tensor {
  const axes = range(windows.ndim - spatial, spatial);
  return customGradient((x) => {
    const largest = reduceNode('max', x.detach().node, axes);
    return {
      value: wrap(largest),
      gradFunc: (gradient) => {
        const kernel = x.shape.slice(-spatial);
        const first = firstPosition(x.detach().node, largest, spatial);
        const spread = (node: AnyNode): AnyNode =>
          expandNode(reshapeNode(node, [...node.shape, ...kernel.map(() => 1)]), x.shape);
        const positions = expandNode(
          reshapeNode(iotaNode(x.device, 'int64', elementCount(kernel), 0, 1), kernel),
          x.shape,
        );
        return wrap(
          whereNode(
            binaryNode('eq', spread(first), positions),
            spread(gradient.node),
            constantNode(x.device, x.dtype, x.shape, 0),
          ),
        );
      },
    };
  })(windows);
}

/** Positions in the input of the kernel positions `first` of each window; `table[i]` lists, for spatial dimension i, [count, kernel] input positions. */
function inputPositions(
  first: AnyNode,
  tables: readonly (readonly (readonly number[])[])[],
  lengths: readonly number[],
): AnyNode {
  const spatial = lengths.length;
  const lead = first.shape.length - spatial;
  const kernel = tables.map((table) => table[0]?.length ?? 1);
  const constant = (value: number): AnyNode => constantNode(first.device, 'int64', first.shape, value);
  let linear: AnyNode | null = null;
  let rest = first;
  for (let i = spatial - 1; i >= 0; i--) {
    const inKernel = i === 0 ? rest : binaryNode('remainder', rest, constant(kernel[i]));
    if (i > 0) rest = binaryNode('floorDivide', rest, constant(kernel[i]));
    // table[output][inKernel], by a look-up in the flattened table.
    const rows = tables[i].length;
    const offsets = expandNode(
      reshapeNode(
        iotaNode(first.device, 'int64', rows, 0, kernel[i]),
        first.shape.map((_, d) => (d === lead + i ? rows : 1)),
      ),
      first.shape,
    );
    const flat = fromArray(BigInt64Array.from(tables[i].flat(), BigInt), [rows * kernel[i]], 'int64', {
      device: first.device,
    });
    const at = takeNode(flat.node, binaryNode('add', offsets, inKernel));
    const scale = elementCount(lengths.slice(i + 1));
    const term = scale === 1 ? at : binaryNode('mul', at, constant(scale));
    linear = linear === null ? term : binaryNode('add', linear, term);
  }
  return linear ?? first;
}

function maxPool(
  op: string,
  spatial: number,
  input: Tensor,
  kernelSize: Size,
  stride: Size | null | undefined,
  options: MaxPoolOptions,
): PoolResult {
  const { padding, dilation, ceilMode, returnIndices } = withDefaults(op, MAX_POOL, options);
  const g = geometry(op, spatial, input, kernelSize, stride, padding, dilation, ceilMode);
  const windows = wrap(windowsOf(input.node, g, -Infinity));
  const values = maximumOf(windows, spatial);
  if (!returnIndices) return values;
  const tables = g.kernel.map((size, i) =>
    range(0, g.counts[i]).map((o) => range(0, size).map((k) => o * g.stride[i] + k * g.dilation[i] - g.padding[i])),
  );
  const first = firstPosition(windows.detach().node, values.detach().node, spatial);
  return [values, wrap(inputPositions(first, tables, input.shape.slice(-spatial)))];
}

/** Max pooling gives pairs of values and positions where positions are asked for. */
interface MaxPool {
  (
    input: Tensor,
    kernelSize: Size,
    stride: Size | null | undefined,
    options: MaxPoolOptions & { returnIndices: true },
  ): [Tensor, Tensor];
  (input: Tensor, kernelSize: Size, stride?: Size | null, options?: MaxPoolOptions): Tensor;
}
const maxPoolOf = (op: string, spatial: number): MaxPool =>
  ((input: Tensor, kernelSize: Size, stride: Size | null = null, options: MaxPoolOptions = {}) =>
    maxPool(op, spatial, input, kernelSize, stride, options)) as MaxPool;
/** The largest element of each window of [N, C, L]; with `returnIndices` also where it was. */
export const maxPool1d = maxPoolOf('maxPool1d', 1);
/** As {@link maxPool1d} for [N, C, H, W]. */
export const maxPool2d = maxPoolOf('maxPool2d', 2);
/** As {@link maxPool1d} for [N, C, D, H, W]. */
export const maxPool3d = maxPoolOf('maxPool3d', 3);

const withIndices =
  (op: string, spatial: number) =>
  (input: Tensor, kernelSize: Size, stride: Size | null = null, options: MaxPoolOptions = {}): [Tensor, Tensor] =>
    maxPool(op, spatial, input, kernelSize, stride, { ...options, returnIndices: true }) as [Tensor, Tensor];
/** The largest of each window, and where in its input plane it is. */
export const maxPool1dWithIndices = withIndices('maxPool1d', 1);
/** The largest of each window, and where in its input plane it is. */
export const maxPool2dWithIndices = withIndices('maxPool2d', 2);
/** The largest of each window, and where in its input plane it is. */
export const maxPool3dWithIndices = withIndices('maxPool3d', 3);

/** Sums over windows. */
const windowSums = (x: AnyNode, g: Geometry): AnyNode => {
  const windows = windowsOf(x, g, 0);
  return reduceNode('sum', windows, range(windows.shape.length - g.kernel.length, g.kernel.length));
};

function avgPool(
  op: string,
  spatial: number,
  input: Tensor,
  kernelSize: Size,
  stride: Size | null | undefined,
  options: AvgPoolOptions,
): Tensor {
  const { padding, ceilMode, countIncludePad, divisorOverride } = withDefaults(op, AVG_POOL, options);
  if (divisorOverride === 0) throw new ProjError('invalid-argument', 'divisorOverride must not be 0', { op });
  const g = geometry(op, spatial, input, kernelSize, stride, padding, 1, ceilMode);
  const sums = wrap(windowSums(input.node, g));
  // Integers are divided as C does.
  const over = (divisor: number | Tensor): Tensor =>
    isIntegral(sums.dtype) ? sums.div(divisor, { roundingMode: 'trunc' }) : sums.div(divisor);
  if (divisorOverride !== null) return over(divisorOverride);
  const sizes = g.counts.map((count, i) =>
    range(0, count).map((o) => {
      const length = input.shape[input.ndim - spatial + i];
      const start = o * g.stride[i] - g.padding[i];
      const end = Math.min(start + g.kernel[i], length + g.padding[i]);
      return countIncludePad ? end - start : Math.min(end, length) - Math.max(start, 0);
    }),
  );
  if (sizes.every((list) => list.every((size) => size === list[0])))
    return over(sizes.reduce((product, list) => product * list[0], 1));
  const divisors = sizes.reduce<number[]>((all, list) => all.flatMap((a) => list.map((b) => a * b)), [1]);
  return over(fromArray(divisors, g.counts, input.dtype, { device: input.device }));
}

const avgPoolOf =
  (op: string, spatial: number) =>
  (input: Tensor, kernelSize: Size, stride: Size | null = null, options: AvgPoolOptions = {}): Tensor =>
    avgPool(op, spatial, input, kernelSize, stride, options);
/** The average of each window of [N, C, L]. */
export const avgPool1d = avgPoolOf('avgPool1d', 1);
/** The average of each window of [N, C, H, W]. */
export const avgPool2d = avgPoolOf('avgPool2d', 2);
/** The average of each window of [N, C, D, H, W]. */
export const avgPool3d = avgPoolOf('avgPool3d', 3);

export interface LpPoolOptions {
  readonly ceilMode?: boolean;
}
export const LP_POOL: Defaults<LpPoolOptions> = { ceilMode: false };
const lpPoolOf =
  (op: string, spatial: number) =>
  (
    input: Tensor,
    normType: number,
    kernelSize: Size,
    stride: Size | null = null,
    options: LpPoolOptions = {},
  ): Tensor => {
    const { ceilMode } = withDefaults(op, LP_POOL, options);
    const kernel = tuple(kernelSize, spatial, 'kernelSize', op);
    const mean = avgPool(op, spatial, input.pow(normType), kernelSize, stride, { ceilMode });
    return mean
      .sign()
      .mul(mean.abs().relu())
      .mul(elementCount(kernel))
      .pow(1 / normType);
  };
/** (Σ xᵖ)^(1/p) over windows of [N, C, L]. */
export const lpPool1d = lpPoolOf('lpPool1d', 1);
/** (Σ xᵖ)^(1/p) over windows of [N, C, H, W]. */
export const lpPool2d = lpPoolOf('lpPool2d', 2);

type AdaptiveSize = number | null | readonly (number | null)[];
function adaptiveSizes(op: string, spatial: number, input: Tensor, outputSize: AdaptiveSize): number[] {
  requireSpatial(op, spatial, input);
  const list = Array.isArray(outputSize)
    ? (outputSize as readonly (number | null)[])
    : new Array<number | null>(spatial).fill(outputSize as number | null);
  const sizes = (list.length === 1 ? new Array<number | null>(spatial).fill(list[0]) : list).map(
    (size, i) => size ?? input.shape[input.ndim - spatial + i],
  );
  if (sizes.length !== spatial) throw new ProjError('invalid-argument', `${spatial} output sizes are needed`, { op });
  if (input.shape.slice(-spatial).includes(0))
    throw new ProjError('shape-mismatch', 'spatial dimensions must not be empty', { op, shapes: [input.shape] });
  return sizes;
}

interface AdaptiveWindow {
  readonly starts: readonly number[];
  readonly sizes: readonly number[];
}
/** Output o covers the elements from ⌊o·L/O⌋ to ⌈(o+1)·L/O⌉. */
const adaptiveWindow = (length: number, count: number): AdaptiveWindow => {
  const starts = range(0, count).map((o) => Math.floor((o * length) / count));
  return { starts, sizes: starts.map((start, o) => Math.ceil(((o + 1) * length) / count) - start) };
};

/** Windows of unequal size along `dim`, [.., L, ..] → [.., O, .., K], `fill` where a window has fewer than K elements. */
function adaptiveWindows(x: AnyNode, dim: number, { starts, sizes }: AdaptiveWindow, fill: number): AnyNode {
  const widest = Math.max(1, ...sizes);
  const last = x.shape[dim] - 1;
  const index = fromArray(
    BigInt64Array.from(starts.flatMap((start) => range(start, widest).map((at) => BigInt(Math.min(at, last))))),
    [starts.length, widest],
    'int64',
    { device: x.device },
  );
  const order = [dim, ...range(0, x.shape.length).filter((d) => d !== dim)];
  const taken = takeNode(permuteNode(x, order), index.node);
  // [O, K, ...rest] → [...rest with O at dim, K]
  const rank = taken.shape.length;
  const moved = permuteNode(taken, [...range(2, dim), 0, ...range(2 + dim, rank - 2 - dim), 1]);
  const valid = fromArray(
    sizes.flatMap((size) => range(0, widest).map((k) => k < size)),
    [starts.length, widest],
    'bool',
    { device: x.device },
  );
  const mask = expandNode(
    reshapeNode(
      valid.node,
      moved.shape.map((_, d) => (d === dim ? starts.length : d === rank - 1 ? widest : 1)),
    ),
    moved.shape,
  );
  return whereNode(mask, moved, constantNode(x.device, x.dtype, moved.shape, fill));
}

function adaptiveMaxPool(
  op: string,
  spatial: number,
  input: Tensor,
  outputSize: AdaptiveSize,
  returnIndices: boolean,
): PoolResult {
  const sizes = adaptiveSizes(op, spatial, input, outputSize);
  const lead = input.ndim - spatial;
  const lengths = input.shape.slice(lead);
  const windows = sizes.map((count, i) => adaptiveWindow(lengths[i], count));
  let node = input.node;
  windows.forEach((window, i) => {
    node = adaptiveWindows(node, lead + i, window, -Infinity);
  });
  const values = maximumOf(wrap(node), spatial);
  if (!returnIndices) return values;
  const tables = windows.map(({ starts, sizes: extents }) =>
    starts.map((start) => range(start, Math.max(1, ...extents))),
  );
  return [
    values,
    wrap(inputPositions(firstPosition(wrap(node).detach().node, values.detach().node, spatial), tables, lengths)),
  ];
}

function adaptiveAvgPool(op: string, spatial: number, input: Tensor, outputSize: AdaptiveSize): Tensor {
  const sizes = adaptiveSizes(op, spatial, input, outputSize);
  const lead = input.ndim - spatial;
  const lengths = input.shape.slice(lead);
  if (sizes.every((count, i) => count > 0 && lengths[i] % count === 0))
    return avgPool(
      op,
      spatial,
      input,
      lengths.map((length, i) => length / sizes[i]),
      null,
      {},
    );
  let node = input.node;
  sizes.forEach((count, i) => {
    const window = adaptiveWindow(lengths[i], count);
    const sums = reduceNode('sum', adaptiveWindows(node, lead + i, window, 0), [node.shape.length]);
    const extents = fromArray(window.sizes.slice(), [count, ...range(0, spatial - 1 - i).map(() => 1)], input.dtype, {
      device: input.device,
    });
    node = binaryNode('div', sums, expandNode(castNode(extents.node, sums.dtype), sums.shape));
  });
  return wrap(node);
}

const adaptiveAvgPoolOf =
  (op: string, spatial: number) =>
  (input: Tensor, outputSize: AdaptiveSize): Tensor =>
    adaptiveAvgPool(op, spatial, input, outputSize);
/** Means over windows that are chosen so that the output has `outputSize`. */
export const adaptiveAvgPool1d = adaptiveAvgPoolOf('adaptiveAvgPool1d', 1);
/** Means over windows that are chosen so that the output has `outputSize`; null keeps a size. */
export const adaptiveAvgPool2d = adaptiveAvgPoolOf('adaptiveAvgPool2d', 2);
/** Means over windows that are chosen so that the output has `outputSize`; null keeps a size. */
export const adaptiveAvgPool3d = adaptiveAvgPoolOf('adaptiveAvgPool3d', 3);
export interface ReturnIndicesOptions {
  readonly returnIndices?: boolean;
}
const adaptiveMaxPoolOf =
  (op: string, spatial: number) =>
  (input: Tensor, outputSize: AdaptiveSize, options: ReturnIndicesOptions = {}): PoolResult =>
    adaptiveMaxPool(op, spatial, input, outputSize, withDefaults(op, { returnIndices: false }, options).returnIndices);
/** Maxima over windows that are chosen so that the output has `outputSize`. */
export const adaptiveMaxPool1d = adaptiveMaxPoolOf('adaptiveMaxPool1d', 1);
/** Maxima over windows that are chosen so that the output has `outputSize`; null keeps a size. */
export const adaptiveMaxPool2d = adaptiveMaxPoolOf('adaptiveMaxPool2d', 2);
/** Maxima over windows that are chosen so that the output has `outputSize`; null keeps a size. */
export const adaptiveMaxPool3d = adaptiveMaxPoolOf('adaptiveMaxPool3d', 3);

const maxSignature = 'input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False';
const avgSignature =
  'input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None';
const lpSignature = 'input, norm_type, kernel_size, stride=None, ceil_mode=False';
export const POOLING: readonly OpRow[] = [
  row('maxPool1d', maxPool1d, maxSignature, { torch: ['torch.max_pool1d'] }),
  row('maxPool2d', maxPool2d, maxSignature, { torch: ['torch.max_pool2d'] }),
  row('maxPool3d', maxPool3d, maxSignature, { torch: ['torch.max_pool3d'] }),
  row('maxPool1dWithIndices', maxPool1dWithIndices, maxSignature, { torch: ['torch.max_pool1d_with_indices'] }),
  row('maxPool2dWithIndices', maxPool2dWithIndices, maxSignature),
  row('maxPool3dWithIndices', maxPool3dWithIndices, maxSignature),
  row('avgPool1d', avgPool1d, avgSignature, { torch: ['torch.avg_pool1d'] }),
  row('avgPool2d', avgPool2d, avgSignature),
  row('avgPool3d', avgPool3d, avgSignature),
  row('lpPool1d', lpPool1d, lpSignature),
  row('lpPool2d', lpPool2d, lpSignature),
  row('adaptiveAvgPool1d', adaptiveAvgPool1d, 'input, output_size', { torch: ['torch.adaptive_avg_pool1d'] }),
  row('adaptiveAvgPool2d', adaptiveAvgPool2d, 'input, output_size'),
  row('adaptiveAvgPool3d', adaptiveAvgPool3d, 'input, output_size'),
  row('adaptiveMaxPool1d', adaptiveMaxPool1d, 'input, output_size, return_indices=False'),
  row('adaptiveMaxPool2d', adaptiveMaxPool2d, 'input, output_size, return_indices=False'),
  row('adaptiveMaxPool3d', adaptiveMaxPool3d, 'input, output_size, return_indices=False'),
];
