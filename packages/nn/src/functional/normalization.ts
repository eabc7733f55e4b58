/** Normalisation by statistics of the input. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { Tensor } from '@proj/tensor';
import { elementCount } from '@proj/tensor/graph';
import { avgPool2d, avgPool3d } from './pooling.ts';
import { pad } from './padding.ts';
import { isOptions, type OpRow, row } from './support.ts';

const range = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i);

/** (x - mean) / √(variance + eps) over `dims`, with the statistics it used. */
function standardize(
  x: Tensor,
  dims: readonly number[],
  eps: number,
): { result: Tensor; mean: Tensor; variance: Tensor } {
  const mean = x.mean(dims, { keepdim: true });
  const centered = x.sub(mean);
  const variance = centered.mul(centered).mean(dims, { keepdim: true });
  return { result: centered.mul(variance.add(eps).rsqrt()), mean, variance };
}

function affine(x: Tensor, weight: Tensor | null, bias: Tensor | null, shape: readonly number[]): Tensor {
  const scaled = weight === null ? x : x.mul(weight.reshape(shape));
  return bias === null ? scaled : scaled.add(bias.reshape(shape));
}

export interface EpsOptions {
  readonly eps?: number;
}
/** Scale and shift, given among the options. */
export interface AffineOptions {
  readonly weight?: Tensor | null;
  readonly bias?: Tensor | null;
}
/** Running statistics, given among the options. */
export interface RunningOptions {
  readonly runningMean?: Tensor | null;
  readonly runningVar?: Tensor | null;
}
const affineAndRest = <Options extends AffineOptions>({ weight = null, bias = null, ...rest }: Options) =>
  [weight, bias, rest] as const;
const statisticsAndRest = <Options extends AffineOptions & RunningOptions>({
  runningMean = null,
  runningVar = null,
  ...rest
}: Options) => [runningMean, runningVar, ...affineAndRest(rest)] as const;

/** Normalises over the last dimensions, which have the shape `normalizedShape` (Ba et al. 2016). */
export function layerNorm(
  input: Tensor,
  normalizedShape: readonly number[] | number,
  weight: Tensor | (EpsOptions & AffineOptions) | null = null,
  bias: Tensor | null = null,
  options: EpsOptions = {},
): Tensor {
  const { eps } = withDefaults('layerNorm', { eps: 1e-5 }, options);
  if (isOptions(weight)) return layerNorm(input, normalizedShape, ...affineAndRest(weight));
  const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
  if (shape.length === 0 || input.shape.slice(input.ndim - shape.length).join() !== shape.join()) {
    throw new ProjError('shape-mismatch', `the input does not end in [${shape.join(', ')}]`, {
      op: 'layerNorm',
      shapes: [input.shape],
    });
  }
  for (const parameter of [weight, bias])
    if (parameter !== null && parameter.shape.join() !== shape.join())
      throw new ProjError('shape-mismatch', 'weight and bias must have the normalized shape', {
        op: 'layerNorm',
        shapes: [parameter.shape, shape],
      });
  if (input.numel() === 0) return affine(input, weight, bias, shape);
  return affine(standardize(input, range(input.ndim - shape.length, shape.length), eps).result, weight, bias, shape);
}

/** Normalises over groups of channels (Wu and He 2018). */
export function groupNorm(
  input: Tensor,
  numGroups: number,
  weight: Tensor | (EpsOptions & AffineOptions) | null = null,
  bias: Tensor | null = null,
  options: EpsOptions = {},
): Tensor {
  const { eps } = withDefaults('groupNorm', { eps: 1e-5 }, options);
  if (isOptions(weight)) return groupNorm(input, numGroups, ...affineAndRest(weight));
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'an input [N, C, ...] is needed', { op: 'groupNorm', shapes: [input.shape] });
  const [batch, channels, ...spatial] = input.shape;
  if (channels % numGroups !== 0)
    throw new ProjError('invalid-argument', `${channels} channels do not divide into ${numGroups} groups`, {
      op: 'groupNorm',
      shapes: [input.shape],
    });
  const perChannel = [channels, ...spatial.map(() => 1)];
  if (input.numel() === 0) return affine(input, weight, bias, perChannel);
  const grouped = input.reshape([batch, numGroups, (channels / numGroups) * elementCount(spatial)]);
  return affine(standardize(grouped, [2], eps).result.reshape(input.shape), weight, bias, perChannel);
}

export interface BatchNormOptions extends EpsOptions {
  /** Uses the statistics of the batch, and updates the running ones. */
  readonly training?: boolean;
  /** Share of the new statistics in the running ones; a tensor of one number where it is not known before a captured function runs. */
  readonly momentum?: number | Tensor;
}

/** running ← (1 - momentum)·running + momentum·observed. */
function updateRunning(running: Tensor | null, observed: Tensor, momentum: number | Tensor): void {
  if (running === null) return;
  noGrad(() => {
    const kept = momentum instanceof Tensor ? momentum.neg().add(1) : 1 - momentum;
    running.assign(running.mul(kept).add(observed.detach().reshape(running.shape).mul(momentum)).node, 'batchNorm');
  });
}

/** Normalises each channel (dimension 1) over batch and positions (Ioffe and Szegedy 2015). */
export function batchNorm(
  input: Tensor,
  runningMean: Tensor | (BatchNormOptions & AffineOptions & RunningOptions) | null = null,
  runningVar: Tensor | null = null,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  options: BatchNormOptions = {},
): Tensor {
  const { training, momentum, eps } = withDefaults('batchNorm', { training: false, momentum: 0.1, eps: 1e-5 }, options);
  if (isOptions(runningMean)) return batchNorm(input, ...statisticsAndRest(runningMean));
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'an input [N, C, ...] is needed', { op: 'batchNorm', shapes: [input.shape] });
  const channels = input.shape[1];
  for (const [name, one] of Object.entries({ runningMean, runningVar, weight, bias })) {
    if (one !== null && one.numel() !== channels)
      throw new ProjError('shape-mismatch', `${name} has ${one.numel()} elements for ${channels} channels`, {
        op: 'batchNorm',
        shapes: [input.shape, one.shape],
      });
  }
  const perChannel = input.shape.map((_, dim) => (dim === 1 ? channels : 1));
  if (!training) {
    if (runningMean === null || runningVar === null)
      throw new ProjError('invalid-argument', 'running statistics are needed outside training', { op: 'batchNorm' });
    const result = input.sub(runningMean.reshape(perChannel)).mul(runningVar.reshape(perChannel).add(eps).rsqrt());
    return affine(result, weight, bias, perChannel);
  }
  const dims = [0, ...range(2, input.ndim - 2)];
  const count = dims.reduce((product, dim) => product * input.shape[dim], 1);
  if (count === 1)
    throw new ProjError('shape-mismatch', 'more than one value per channel is needed in training', {
      op: 'batchNorm',
      shapes: [input.shape],
    });
  const { result, mean, variance } = standardize(input, dims, eps);
  updateRunning(runningMean, mean, momentum);
  updateRunning(runningVar, variance.detach().mul(count / (count - 1)), momentum);
  return affine(result, weight, bias, perChannel);
}

export interface InstanceNormOptions extends EpsOptions {
  readonly useInputStats?: boolean;
  readonly momentum?: number;
}
/** Normalises each channel of each case over its positions (Ulyanov et al. 2016). */
export function instanceNorm(
  input: Tensor,
  runningMean: Tensor | (InstanceNormOptions & AffineOptions & RunningOptions) | null = null,
  runningVar: Tensor | null = null,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  options: InstanceNormOptions = {},
): Tensor {
  const { useInputStats, momentum, eps } = withDefaults(
    'instanceNorm',
    { useInputStats: true, momentum: 0.1, eps: 1e-5 },
    options,
  );
  if (isOptions(runningMean)) return instanceNorm(input, ...statisticsAndRest(runningMean));
  if (input.ndim < 3)
    throw new ProjError('shape-mismatch', 'an input [N, C, ...] with positions is needed', {
      op: 'instanceNorm',
      shapes: [input.shape],
    });
  const channels = input.shape[1];
  const perChannel = input.shape.map((_, dim) => (dim === 1 ? channels : 1));
  if (!useInputStats) return batchNorm(input, runningMean, runningVar, weight, bias, { training: false, eps });
  const dims = range(2, input.ndim - 2);
  const count = elementCount(input.shape.slice(2));
  if (count === 1)
    throw new ProjError('shape-mismatch', 'more than one position is needed', {
      op: 'instanceNorm',
      shapes: [input.shape],
    });
  const { result, mean, variance } = standardize(input, dims, eps);
  updateRunning(runningMean, mean.detach().mean(0), momentum);
  updateRunning(
    runningVar,
    variance
      .detach()
      .mul(count / (count - 1))
      .mean(0),
    momentum,
  );
  return affine(result, weight, bias, perChannel);
}

export interface LocalResponseNormOptions {
  readonly alpha?: number;
  readonly beta?: number;
  readonly k?: number;
}
/** Divides by a power of the mean square of neighbouring channels (Krizhevsky et al. 2012). */
export function localResponseNorm(input: Tensor, size: number, options: LocalResponseNormOptions = {}): Tensor {
  const { alpha, beta, k } = withDefaults('localResponseNorm', { alpha: 1e-4, beta: 0.75, k: 1 }, options);
  if (input.ndim < 3)
    throw new ProjError('shape-mismatch', 'an input of at least 3 dimensions is needed', {
      op: 'localResponseNorm',
      shapes: [input.shape],
    });
  if (input.numel() === 0) return input;
  const before = Math.floor(size / 2);
  const after = Math.floor((size - 1) / 2);
  const squares = input.mul(input).unsqueeze(1);
  const mean =
    input.ndim === 3
      ? avgPool2d(pad(squares, [0, 0, before, after]), [size, 1], 1).squeeze(1)
      : avgPool3d(
          pad(
            squares.reshape([input.shape[0], 1, input.shape[1], input.shape[2], elementCount(input.shape.slice(3))]),
            [0, 0, 0, 0, before, after],
          ),
          [size, 1, 1],
          1,
        ).reshape(input.shape);
  return input.div(mean.mul(alpha).add(k).pow(beta));
}

export interface NormalizeOptions {
  readonly p?: number;
  readonly dim?: number;
  readonly eps?: number;
}
/** Divides by the p-norm along `dim`, at least eps. */
export function normalize(input: Tensor, options: NormalizeOptions = {}): Tensor {
  const { p, dim, eps } = withDefaults('normalize', { p: 2, dim: 1, eps: 1e-12 }, options);
  return input.div(vectorNorm(input, p, dim).clamp(eps));
}

/** (Σ |x|ᵖ)^(1/p) along `dim`, kept as size 1. */
export function vectorNorm(x: Tensor, p: number, dim: number): Tensor {
  if (p === Infinity) return x.abs().amax(dim, { keepdim: true });
  if (p === -Infinity) return x.abs().amin(dim, { keepdim: true });
  if (p === 0) return x.ne(0).sum(dim, { keepdim: true, dtype: x.isComplex() ? x.real().dtype : x.dtype });
  if (p === 1) return x.abs().sum(dim, { keepdim: true });
  if (p === 2) {
    const square = x.isComplex() ? x.real().square().add(x.imag().square()) : x.mul(x);
    return safeRoot(square.sum(dim, { keepdim: true }));
  }
  return x
    .abs()
    .pow(p)
    .sum(dim, { keepdim: true })
    .pow(1 / p);
}
/** √x with gradient 0 instead of infinity at 0. */
export function safeRoot(x: Tensor): Tensor {
  const zero = x.eq(0);
  return x.add(zero).sqrt().mul(zero.logicalNot());
}

export const NORMALIZATION: readonly OpRow[] = [
  row('layerNorm', layerNorm, 'input, normalized_shape, weight=None, bias=None, eps=1e-05', {
    torch: ['torch.layer_norm'],
  }),
  row('groupNorm', groupNorm, 'input, num_groups, weight=None, bias=None, eps=1e-05', { torch: ['torch.group_norm'] }),
  row(
    'batchNorm',
    batchNorm,
    'input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05',
    { torch: ['torch.batch_norm'] },
  ),
  row(
    'instanceNorm',
    instanceNorm,
    'input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-05',
    { torch: ['torch.instance_norm'] },
  ),
  row('localResponseNorm', localResponseNorm, 'input, size, alpha=0.0001, beta=0.75, k=1.0'),
  row('normalize', normalize, 'input, p=2.0, dim=1, eps=1e-12, out=None'),
];
