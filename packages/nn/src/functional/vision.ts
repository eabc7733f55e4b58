/** Rearranging and resampling images. Resampling is separable: a matrix for each dimension. */
import { ProjError, withDefaults } from '@proj/kernel';
import { fromArray, matmul, type Tensor, where } from '@proj/tensor';
import {
  castNode,
  elementCount,
  foldNode,
  permuteNode,
  reshapeNode,
  takeNode,
  windowNode,
  wrap,
} from '@proj/tensor/graph';
import { adaptiveAvgPool1d, adaptiveAvgPool2d, adaptiveAvgPool3d } from './pooling.ts';
import { type OpRow, row, tuple } from './support.ts';

const range = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i);

/** Channels to positions: [..., C·r², H, W] → [..., C, H·r, W·r]. */
export function pixelShuffle(input: Tensor, upscaleFactor: number): Tensor {
  if (input.ndim < 3)
    throw new ProjError('shape-mismatch', 'an input [..., C, H, W] is needed', {
      op: 'pixelShuffle',
      shapes: [input.shape],
    });
  const r = upscaleFactor;
  const lead = input.shape.slice(0, -3);
  const [channels, height, width] = input.shape.slice(-3);
  if (r <= 0 || channels % (r * r) !== 0)
    throw new ProjError('shape-mismatch', `${channels} channels do not divide by ${r * r}`, {
      op: 'pixelShuffle',
      shapes: [input.shape],
    });
  const n = lead.length;
  const split = input.reshape([...lead, channels / (r * r), r, r, height, width]);
  return split
    .permute([...range(0, n), n, n + 3, n + 1, n + 4, n + 2])
    .reshape([...lead, channels / (r * r), height * r, width * r]);
}
/** Positions to channels: [..., C, H·r, W·r] → [..., C·r², H, W]. */
export function pixelUnshuffle(input: Tensor, downscaleFactor: number): Tensor {
  if (input.ndim < 3)
    throw new ProjError('shape-mismatch', 'an input [..., C, H, W] is needed', {
      op: 'pixelUnshuffle',
      shapes: [input.shape],
    });
  const r = downscaleFactor;
  const lead = input.shape.slice(0, -3);
  const [channels, height, width] = input.shape.slice(-3);
  if (r <= 0 || height % r !== 0 || width % r !== 0)
    throw new ProjError('shape-mismatch', `[${height}, ${width}] does not divide by ${r}`, {
      op: 'pixelUnshuffle',
      shapes: [input.shape],
    });
  const n = lead.length;
  const split = input.reshape([...lead, channels, height / r, r, width / r, r]);
  return split
    .permute([...range(0, n), n, n + 2, n + 4, n + 1, n + 3])
    .reshape([...lead, channels * r * r, height / r, width / r]);
}
/** Interleaves groups of channels: channel g·k + j goes to j·groups + g. */
export function channelShuffle(input: Tensor, groups: number): Tensor {
  const [batch, channels, ...rest] = input.shape;
  if (channels % groups !== 0)
    throw new ProjError('invalid-argument', `${channels} channels do not divide into ${groups} groups`, {
      op: 'channelShuffle',
      shapes: [input.shape],
    });
  return input
    .reshape([batch, groups, channels / groups, ...rest])
    .transpose(1, 2)
    .reshape(input.shape);
}

type Size = number | readonly number[];
export interface UnfoldOptions {
  readonly dilation?: Size;
  readonly padding?: Size;
  readonly stride?: Size;
}
function spatialGeometry(op: string, kernelSize: Size, options: UnfoldOptions) {
  const { dilation, padding, stride } = withDefaults(op, { dilation: 1, padding: 0, stride: 1 }, options);
  return {
    kernel: tuple(kernelSize, 2, 'kernelSize', op),
    dilations: tuple(dilation, 2, 'dilation', op),
    paddings: tuple(padding, 2, 'padding', op),
    strides: tuple(stride, 2, 'stride', op),
  };
}
/** Windows as columns: [N, C, H, W] → [N, C·KH·KW, positions]. */
export function unfold(input: Tensor, kernelSize: Size, options: UnfoldOptions = {}): Tensor {
  const { kernel, dilations, paddings, strides } = spatialGeometry('unfold', kernelSize, options);
  if (input.ndim !== 3 && input.ndim !== 4)
    throw new ProjError('shape-mismatch', 'an input [N, C, H, W] or [C, H, W] is needed', {
      op: 'unfold',
      shapes: [input.shape],
    });
  const x = input.ndim === 4 ? input.node : reshapeNode(input.node, [1, ...input.shape]);
  const counts = kernel.map(
    (k, i) => Math.floor((x.shape[i + 2] + 2 * paddings[i] - dilations[i] * (k - 1) - 1) / strides[i]) + 1,
  );
  if (counts.some((count) => count < 1))
    throw new ProjError('shape-mismatch', 'the kernel is larger than the padded input', {
      op: 'unfold',
      shapes: [input.shape],
    });
  let windows = x;
  kernel.forEach((size, i) => {
    windows = windowNode(windows, i + 2, counts[i], {
      size,
      stride: strides[i],
      dilation: dilations[i],
      padding: paddings[i],
    });
  });
  const columns = reshapeNode(permuteNode(windows, [0, 1, 4, 5, 2, 3]), [
    x.shape[0],
    x.shape[1] * elementCount(kernel),
    elementCount(counts),
  ]);
  return wrap(input.ndim === 4 ? columns : reshapeNode(columns, columns.shape.slice(1)));
}
/** The adjoint of {@link unfold}: columns added up into [N, C, …outputSize]. */
export function fold(input: Tensor, outputSize: Size, kernelSize: Size, options: UnfoldOptions = {}): Tensor {
  const { kernel, dilations, paddings, strides } = spatialGeometry('fold', kernelSize, options);
  const sizes = tuple(outputSize, 2, 'outputSize', 'fold');
  if (input.ndim !== 2 && input.ndim !== 3)
    throw new ProjError('shape-mismatch', 'an input [N, C·kernel, positions] is needed', {
      op: 'fold',
      shapes: [input.shape],
    });
  const x = input.ndim === 3 ? input.node : reshapeNode(input.node, [1, ...input.shape]);
  const counts = kernel.map(
    (k, i) => Math.floor((sizes[i] + 2 * paddings[i] - dilations[i] * (k - 1) - 1) / strides[i]) + 1,
  );
  const patch = elementCount(kernel);
  if (x.shape[1] % patch !== 0 || x.shape[2] !== elementCount(counts))
    throw new ProjError('shape-mismatch', `columns [C·${patch}, ${elementCount(counts)}] are expected`, {
      op: 'fold',
      shapes: [input.shape],
    });
  let node = permuteNode(reshapeNode(x, [x.shape[0], x.shape[1] / patch, ...kernel, ...counts]), [0, 1, 4, 5, 2, 3]);
  for (const i of [1, 0])
    node = foldNode(node, i + 2, sizes[i], {
      size: kernel[i],
      stride: strides[i],
      dilation: dilations[i],
      padding: paddings[i],
    });
  return wrap(input.ndim === 3 ? node : reshapeNode(node, node.shape.slice(1)));
}

export type InterpolationMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'area';
export interface InterpolateOptions {
  readonly size?: number | readonly number[] | null;
  readonly scaleFactor?: number | readonly number[] | null;
  readonly mode?: InterpolationMode;
  readonly alignCorners?: boolean | null;
  /** Computes the scale from the sizes instead of using `scaleFactor` itself. */
  readonly recomputeScaleFactor?: boolean | null;
  /** Widens the filter when making smaller. */
  readonly antialias?: boolean;
}

// Keys 1981, a = -0.75 (-0.5 with antialiasing).
const cubic = (x: number, a: number): number => {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
};
const triangle = (x: number): number => Math.max(0, 1 - Math.abs(x));

type Taps = readonly (readonly [position: number, weight: number])[];
/** What each output position takes from the input: positions and weights. */
function taps(
  mode: 'linear' | 'cubic',
  input: number,
  output: number,
  scale: number,
  alignCorners: boolean,
  antialias: boolean,
): Taps[] {
  const ratio = alignCorners ? (output > 1 ? (input - 1) / (output - 1) : 0) : scale;
  return range(0, output).map((o) => {
    if (antialias) {
      const stretch = Math.max(1, ratio);
      const support = (mode === 'cubic' ? 2 : 1) * stretch;
      const center = ratio * (o + 0.5);
      const first = Math.max(0, Math.trunc(center - support + 0.5));
      const last = Math.min(input, Math.trunc(center + support + 0.5));
      const raw = range(first, last - first).map(
        (at) =>
          [
            at,
            mode === 'cubic' ? cubic((at - center + 0.5) / stretch, -0.5) : triangle((at - center + 0.5) / stretch),
          ] as const,
      );
      const total = raw.reduce((sum, [, weight]) => sum + weight, 0);
      return raw.map(([at, weight]) => [at, weight / total] as const);
    }
    const real = alignCorners ? Math.fround(ratio * o) : Math.fround(Math.fround(ratio) * (o + 0.5) - 0.5);
    if (mode === 'linear') {
      const at = Math.max(0, real);
      const low = Math.min(Math.floor(at), input - 1);
      const share = Math.min(1, at - low);
      return [
        [low, 1 - share],
        [Math.min(low + 1, input - 1), share],
      ];
    }
    const low = Math.floor(real);
    return [-1, 0, 1, 2].map((k) => [Math.min(input - 1, Math.max(0, low + k)), cubic(real - low - k, -0.75)] as const);
  });
}

/** Applies a matrix [O, L] of taps along `dim`. */
function resample(x: Tensor, dim: number, table: readonly Taps[]): Tensor {
  const length = x.shape[dim];
  const matrix = new Float64Array(table.length * length);
  table.forEach((list, o) => {
    for (const [at, weight] of list) matrix[o * length + at] += weight;
  });
  const weights = fromArray(matrix, [table.length, length], x.dtype, { device: x.device });
  const order = [...range(0, x.ndim).filter((d) => d !== dim), dim];
  const result = matmul(x.permute(order), weights.transpose(0, 1));
  return result.permute(order.map((_, d) => order.indexOf(d)));
}

/** Resizes the spatial dimensions of [N, C, ...] to `size`, or by `scaleFactor`. */
export function interpolate(input: Tensor, options: InterpolateOptions = {}): Tensor {
  const { size, scaleFactor, mode, alignCorners, recomputeScaleFactor, antialias } = withDefaults(
    'interpolate',
    {
      size: null,
      scaleFactor: null,
      mode: 'nearest',
      alignCorners: null,
      recomputeScaleFactor: null,
      antialias: false,
    },
    options,
  );
  const op = 'interpolate';
  const spatial = input.ndim - 2;
  if (spatial < 1 || spatial > 3)
    throw new ProjError('shape-mismatch', 'an input [N, C, ...] with 1 to 3 spatial dimensions is needed', {
      op,
      shapes: [input.shape],
    });
  if ((size === null) === (scaleFactor === null))
    throw new ProjError('invalid-argument', 'give either size or scaleFactor', { op });
  const nearest = mode === 'nearest' || mode === 'nearest-exact' || mode === 'area';
  if (nearest && alignCorners !== null)
    throw new ProjError('invalid-argument', `alignCorners does not apply to mode "${mode}"`, { op });
  const needed = { linear: 1, bilinear: 2, bicubic: 2, trilinear: 3 } as const;
  if (!nearest && needed[mode] !== spatial)
    throw new ProjError('shape-mismatch', `mode "${mode}" needs ${needed[mode]} spatial dimensions`, {
      op,
      shapes: [input.shape],
    });
  if (antialias && mode !== 'bilinear' && mode !== 'bicubic')
    throw new ProjError('invalid-argument', 'antialias is for bilinear and bicubic', { op });
  const lengths = input.shape.slice(2);
  const factors =
    scaleFactor === null ? null : typeof scaleFactor === 'number' ? lengths.map(() => scaleFactor) : scaleFactor;
  if (factors !== null && factors.length !== spatial)
    throw new ProjError('invalid-argument', `${spatial} scale factors are needed`, { op });
  const sizes =
    factors === null
      ? tuple(size as Size, spatial, 'size', op)
      : lengths.map((length, i) => Math.floor(length * factors[i]));
  if (sizes.some((s) => s < 1))
    throw new ProjError('shape-mismatch', 'input and output sizes should be greater than 0', {
      op,
      shapes: [input.shape],
    });
  if (mode === 'area') {
    if (spatial === 1) return adaptiveAvgPool1d(input, sizes);
    return spatial === 2 ? adaptiveAvgPool2d(input, sizes) : adaptiveAvgPool3d(input, sizes);
  }
  const scales = lengths.map((length, i) =>
    factors !== null && recomputeScaleFactor !== true ? 1 / factors[i] : length / sizes[i],
  );
  let x = input;
  sizes.forEach((count, i) => {
    const dim = i + 2;
    if (mode === 'nearest' || mode === 'nearest-exact') {
      const ratio = Math.fround(scales[i]);
      const positions = range(0, count).map((o) =>
        Math.min(
          Math.floor(mode === 'nearest' ? Math.fround(o * ratio) : Math.fround((o + 0.5) * ratio)),
          lengths[i] - 1,
        ),
      );
      x = pickAlong(x, dim, positions);
    } else
      x = resample(
        x,
        dim,
        taps(mode === 'bicubic' ? 'cubic' : 'linear', lengths[i], count, scales[i], alignCorners ?? false, antialias),
      );
  });
  return x;
}
/** Elements `positions` along `dim`. */
function pickAlong(x: Tensor, dim: number, positions: readonly number[]): Tensor {
  const index = fromArray(BigInt64Array.from(positions, BigInt), [positions.length], 'int64', { device: x.device });
  const order = [dim, ...range(0, x.ndim).filter((d) => d !== dim)];
  const taken = takeNode(permuteNode(x.node, order), index.node);
  return wrap(
    permuteNode(
      taken,
      order.map((_, d) => order.indexOf(d)),
    ),
  );
}
export interface UpsampleOptions {
  readonly size?: number | readonly number[] | null;
  readonly scaleFactor?: number | readonly number[] | null;
  readonly mode?: InterpolationMode;
  readonly alignCorners?: boolean | null;
}
type UpsampleSize = Pick<UpsampleOptions, 'size' | 'scaleFactor'>;
/** {@link interpolate} under its older name. */
export const upsample = (input: Tensor, options: UpsampleOptions = {}): Tensor =>
  interpolate(
    input,
    withDefaults('upsample', { size: null, scaleFactor: null, mode: 'nearest', alignCorners: null }, options),
  );
/** {@link interpolate} with the nearest neighbour. */
export const upsampleNearest = (input: Tensor, options: UpsampleSize = {}): Tensor =>
  interpolate(input, withDefaults('upsampleNearest', { size: null, scaleFactor: null }, options));
/** {@link interpolate}, bilinear, with corners aligned. */
export const upsampleBilinear = (input: Tensor, options: UpsampleSize = {}): Tensor =>
  interpolate(input, {
    ...withDefaults('upsampleBilinear', { size: null, scaleFactor: null }, options),
    mode: 'bilinear',
    alignCorners: true,
  });

export interface GridSampleOptions {
  readonly mode?: 'bilinear' | 'nearest' | 'bicubic';
  readonly paddingMode?: 'zeros' | 'border' | 'reflection';
  readonly alignCorners?: boolean | null;
}

/** Coordinates in -1 … 1 as positions in 0 … length-1. */
const unnormalize = (x: Tensor, length: number, alignCorners: boolean): Tensor =>
  alignCorners ? x.add(1).mul((length - 1) / 2) : x.add(1).mul(length).sub(1).div(2);

/** Positions folded back at the borders. */
function reflect(x: Tensor, length: number, alignCorners: boolean): Tensor {
  const low = alignCorners ? 0 : -0.5;
  const span = alignCorners ? length - 1 : length;
  if (span === 0) return x.mul(0);
  const distance = x.sub(low).abs();
  const extra = distance.fmod(span);
  const flips = distance.div(span).floor().detach();
  return where(flips.remainder(2).eq(0), extra.add(low), extra.neg().add(span + low)).clamp(0, length - 1);
}

/** Samples [N, C, (D,) H, W] at positions `grid` [N, (D,) H, W, dims], whose last entries are x, y(, z) in -1 … 1. */
export function gridSample(input: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const { mode, paddingMode, alignCorners } = withDefaults(
    'gridSample',
    { mode: 'bilinear', paddingMode: 'zeros', alignCorners: null },
    options,
  );
  const op = 'gridSample';
  const spatial = input.ndim - 2;
  if (
    (spatial !== 2 && spatial !== 3) ||
    grid.ndim !== input.ndim ||
    grid.shape[grid.ndim - 1] !== spatial ||
    grid.shape[0] !== input.shape[0]
  ) {
    throw new ProjError(
      'shape-mismatch',
      'an input [N, C, H, W] and a grid [N, H, W, 2] (or their 3-dim forms) are needed',
      { op, shapes: [input.shape, grid.shape] },
    );
  }
  if (mode === 'bicubic' && spatial !== 2)
    throw new ProjError('invalid-argument', 'bicubic is for 2 spatial dimensions', { op });
  const align = alignCorners ?? false;
  const [batch, channels] = input.shape;
  const lengths = input.shape.slice(2);
  const places = grid.shape.slice(1, -1);
  const count = elementCount(places);
  const limited = (x: Tensor, length: number): Tensor =>
    paddingMode === 'border' ? x.clamp(0, length - 1) : paddingMode === 'reflection' ? reflect(x, length, align) : x;
  // The grid lists x first; spatial dimension i is its entry spatial-1-i.
  const raw = lengths.map((length, i) =>
    unnormalize(grid.select(-1, spatial - 1 - i).reshape([batch, count]), length, align),
  );
  const rows = input.permute([0, ...range(2, spatial), 1]).reshape([batch * elementCount(lengths), channels]);
  const offset = wrap(
    castNode(
      fromArray(
        BigInt64Array.from(range(0, batch), (b) => BigInt(b) * BigInt(elementCount(lengths))),
        [batch, 1],
        'int64',
        { device: input.device },
      ).node,
      'int64',
    ),
  );
  /** Values at integer positions (as floats), 0 outside: [N, count, C]. */
  const fetch = (at: readonly Tensor[]): Tensor => {
    let linear = offset;
    let inside: Tensor | null = null;
    at.forEach((position, i) => {
      const valid = position.ge(0).logicalAnd(position.le(lengths[i] - 1));
      inside = inside === null ? valid : inside.logicalAnd(valid);
      const safe = wrap(castNode(position.detach().clamp(0, lengths[i] - 1).node, 'int64'));
      linear = linear.add(safe.mul(elementCount(lengths.slice(i + 1))));
    });
    const values = wrap(takeNode(rows.node, linear.node));
    return inside === null ? values : values.mul((inside as Tensor).unsqueeze(-1));
  };
  let result: Tensor;
  if (mode === 'nearest') result = fetch(raw.map((x, i) => limited(x, lengths[i]).round().detach()));
  else {
    const positions = mode === 'bicubic' ? raw : raw.map((x, i) => limited(x, lengths[i]));
    const lows = positions.map((x) => x.floor().detach());
    const shares = positions.map((x, i) => x.sub(lows[i]));
    const steps = mode === 'bicubic' ? [-1, 0, 1, 2] : [0, 1];
    const weight = (share: Tensor, step: number): Tensor => {
      if (mode === 'bilinear') return step === 0 ? share.neg().add(1) : share;
      const a = -0.75;
      const d = step <= 0 ? share.sub(step) : share.neg().add(step);
      return step === 0 || step === 1
        ? d
            .mul(a + 2)
            .sub(a + 3)
            .mul(d)
            .mul(d)
            .add(1)
        : d
            .mul(a)
            .sub(5 * a)
            .mul(d)
            .add(8 * a)
            .mul(d)
            .sub(4 * a);
    };
    const combinations = lows.reduce<number[][]>(
      (all) => all.flatMap((list) => steps.map((step) => [...list, step])),
      [[]],
    );
    result = combinations
      .map((list) => {
        const at = lows.map((low, i) =>
          mode === 'bicubic' ? limited(low.add(list[i]), lengths[i]) : low.add(list[i]),
        );
        const factor = shares.map((share, i) => weight(share, list[i])).reduce((product, one) => product.mul(one));
        return fetch(at).mul(factor.unsqueeze(-1));
      })
      .reduce((sum, one) => sum.add(one));
  }
  return result.permute([0, 2, 1]).reshape([batch, channels, ...places]);
}

export interface AffineGridOptions {
  readonly alignCorners?: boolean | null;
}
/** The grid for {@link gridSample} that applies `theta` [N, 2, 3] (or [N, 3, 4]) to an output of shape `size`. */
export function affineGrid(theta: Tensor, size: readonly number[], options: AffineGridOptions = {}): Tensor {
  const { alignCorners } = withDefaults('affineGrid', { alignCorners: null }, options);
  const spatial = size.length - 2;
  if (theta.ndim !== 3 || theta.shape[1] !== spatial || theta.shape[2] !== spatial + 1)
    throw new ProjError('shape-mismatch', `theta must be [N, ${spatial}, ${spatial + 1}]`, {
      op: 'affineGrid',
      shapes: [theta.shape],
    });
  const places = size.slice(2);
  const line = (length: number): number[] =>
    range(0, length).map((i) =>
      alignCorners === true
        ? length > 1
          ? -1 + (2 * i) / (length - 1)
          : 0
        : length === 0
          ? 0
          : (2 * i + 1) / length - 1,
    );
  const lines = places.map(line);
  const count = elementCount(places);
  const base = new Float64Array(count * (spatial + 1));
  for (let n = 0; n < count; n++) {
    let rest = n;
    for (let i = spatial - 1; i >= 0; i--) {
      base[n * (spatial + 1) + (spatial - 1 - i)] = lines[i][rest % places[i]];
      rest = Math.floor(rest / places[i]);
    }
    base[n * (spatial + 1) + spatial] = 1;
  }
  const points = fromArray(base, [count, spatial + 1], theta.dtype, { device: theta.device });
  return matmul(points, theta.transpose(1, 2)).reshape([theta.shape[0], ...places, spatial]);
}

export const VISION: readonly OpRow[] = [
  row('pixelShuffle', pixelShuffle, 'input, upscale_factor', { torch: ['torch.pixel_shuffle'] }),
  row('pixelUnshuffle', pixelUnshuffle, 'input, downscale_factor', { torch: ['torch.pixel_unshuffle'] }),
  row('channelShuffle', channelShuffle, 'input, groups', {
    torch: ['torch.channel_shuffle', 'torch.nn.functional.native_channel_shuffle', 'torch.native_channel_shuffle'],
  }),
  row('unfold', unfold, 'input, kernel_size, dilation=1, padding=0, stride=1'),
  row('fold', fold, 'input, output_size, kernel_size, dilation=1, padding=0, stride=1'),
  row(
    'interpolate',
    interpolate,
    "input, size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None, antialias=False",
  ),
  row('upsample', upsample, "input, size=None, scale_factor=None, mode='nearest', align_corners=None"),
  row('upsampleNearest', upsampleNearest, 'input, size=None, scale_factor=None'),
  row('upsampleBilinear', upsampleBilinear, 'input, size=None, scale_factor=None'),
  row('gridSample', gridSample, "input, grid, mode='bilinear', padding_mode='zeros', align_corners=None"),
  row('affineGrid', affineGrid, 'theta, size, align_corners=None'),
];
