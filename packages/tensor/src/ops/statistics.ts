/** Norms, moments, softmax, distances, covariances and histograms. */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { castNode, complexNode, constantNode, partNode } from '../graph/build.ts';
import {
  getDefaultDtype,
  isComplexDType,
  isFloatingPoint,
  isIntegral,
  type Scalar,
  scalarValue,
  toFloat,
  toReal,
} from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { broadcastShapes, leading, normalizeDim, normalizeDims } from './arguments.ts';
import { fromArray } from './creation.ts';
import { abs, add, div, exp, isnan, log, mul, reciprocal, safeRoot, sign, sqrt, sub, where } from './elementwise.ts';
import { matmul } from './products.ts';
import {
  amax,
  amin,
  type Dims,
  type KeepdimOptions,
  mean,
  type ReduceOptions,
  sum,
  variance,
  type VarianceOptions,
} from './reductions.ts';
import { type OpRow, row } from './table.ts';

const constant = (like: Tensor, value: number): Tensor =>
  wrap(constantNode(like.device, like.dtype, like.shape, value));
const asFloat = (x: Tensor): Tensor => wrap(castNode(x.node, toFloat(x.dtype)));

/** log(sum(exp(x))) over `dim`, without overflow. */
export function logsumexp(input: Tensor, dim: Dims, options: KeepdimOptions = {}): Tensor {
  const { keepdim } = withDefaults('logsumexp', { keepdim: false }, options);
  const x = asFloat(input);
  const dims = normalizeDims(dim, x.ndim, 'logsumexp');
  if (x.ndim === 0) return wrap(x.node);
  if (x.numel() === 0) return log(sum(exp(x), dims, { keepdim }));
  const top = amax(x.detach(), dims, { keepdim: true });
  const shift = where(top.abs().eq(Infinity), constant(top, 0), top);
  const total = log(sum(exp(sub(x, shift)), dims, { keepdim: true })).add(shift);
  return keepdim ? total : total.reshape(x.shape.filter((_, i) => !dims.includes(i)));
}

export interface SoftmaxOptions {
  /** The input is cast to this first. */
  readonly dtype?: DType | null;
}
function softmaxInput(
  op: string,
  input: Tensor,
  dim: number,
  dtype: DType | null | undefined,
): { x: Tensor; at: number } {
  const x = dtype === null || dtype === undefined ? input : wrap(castNode(input.node, dtype));
  if (isIntegral(x.dtype))
    throw new ProjError('dtype', `${op} of ${x.dtype}`, { op, cure: 'Cast to a float dtype, or give dtype' });
  return { x, at: normalizeDim(dim, input.ndim, op) };
}
/** exp(x) / sum(exp(x)) along `dim`. */
export function softmax(input: Tensor, dim: number, options: SoftmaxOptions = {}): Tensor {
  const { dtype } = withDefaults('softmax', { dtype: null }, options);
  const { x, at } = softmaxInput('softmax', input, dim, dtype);
  if (x.numel() === 0) return wrap(x.node);
  if (x.ndim === 0) return x.sub(x).add(1);
  const shifted = exp(sub(x, amax(x.detach(), at, { keepdim: true })));
  // One division a row, not one an element.
  return mul(shifted, reciprocal(sum(shifted, at, { keepdim: true })));
}
/** The logarithm of {@link softmax}, computed without overflow. */
export function logSoftmax(input: Tensor, dim: number, options: SoftmaxOptions = {}): Tensor {
  const { dtype } = withDefaults('logSoftmax', { dtype: null }, options);
  const { x, at } = softmaxInput('logSoftmax', input, dim, dtype);
  if (x.numel() === 0) return wrap(x.node);
  if (x.ndim === 0) return x.sub(x);
  const shifted = sub(x, amax(x.detach(), at, { keepdim: true }));
  return sub(shifted, log(sum(exp(shifted), at, { keepdim: true })));
}

/** Variance and mean over `dim`. */
export function varMean(input: Tensor, dim: Dims | boolean = null, options: VarianceOptions = {}): [Tensor, Tensor] {
  return [
    variance(input, dim, options),
    mean(input, typeof dim === 'boolean' ? null : dim, { keepdim: options.keepdim ?? false }),
  ];
}
/** Standard deviation and mean over `dim`. */
export function stdMean(input: Tensor, dim: Dims | boolean = null, options: VarianceOptions = {}): [Tensor, Tensor] {
  const [v, m] = varMean(input, dim, options);
  return [safeRoot(v), m];
}

const withoutNaN = (x: Tensor): Tensor => (isFloatingPoint(x.dtype) ? where(isnan(x), constant(x, 0), x) : x);
/** Sum with NaN as zero. */
export function nansum(input: Tensor, dim: Dims = null, options: ReduceOptions = {}): Tensor {
  if (isComplexDType(input.dtype))
    throw new ProjError('dtype', `nansum of ${input.dtype}`, { op: 'nansum', cure: 'Sum the parts' });
  return sum(withoutNaN(input), dim, options);
}
/** Mean of the elements that are not NaN. */
export function nanmean(input: Tensor, dim: Dims = null, options: ReduceOptions = {}): Tensor {
  const { keepdim, dtype } = withDefaults('nanmean', { keepdim: false, dtype: null }, options);
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `nanmean of ${input.dtype}`, { op: 'nanmean', cure: 'Cast to a float dtype' });
  const counts = sum(wrap(castNode(isnan(input).logicalNot().node, dtype ?? input.dtype)), dim, { keepdim });
  return div(nansum(input, dim, { keepdim, dtype }), counts);
}
/** How many elements are not zero. */
export function countNonzero(input: Tensor, dim: Dims | { readonly dim?: Dims } = null): Tensor {
  const { dim: dims } = leading<{ dim?: Dims }>('countNonzero', { dim: null }, 'dim', dim);
  return sum(wrap(castNode(castNode(input.node, 'bool'), 'int64')), dims);
}

/** The p-norm of a vector for each position of the other dimensions. */
export function vectorNormOf(x: Tensor, p: number, dims: readonly number[], keepdim: boolean): Tensor {
  const all = dims.length === 0 ? null : dims;
  if (isComplexDType(x.dtype)) {
    if (p !== 2) return vectorNormOf(abs(x), p, dims, keepdim);
    const [re, im] = [false, true].map((imaginary) => wrap(partNode(x.node, imaginary)));
    return safeRoot(add(sum(mul(re, re), all, { keepdim }), sum(mul(im, im), all, { keepdim })));
  }
  if (x.ndim > 0 && dims.length === 0) return sum(x, null, { keepdim });
  if (p === Infinity) return amax(abs(x), all, { keepdim });
  if (p === -Infinity) return amin(abs(x), all, { keepdim });
  if (p === 0) return sum(abs(sign(x)), all, { keepdim });
  if (p === 1) return sum(abs(x), all, { keepdim });
  if (p === 2) return safeRoot(sum(mul(x, x), all, { keepdim }));
  // The root is taken of a sum that may be zero: its gradient there is zero, as in PyTorch.
  const powers = sum(safePower(abs(x), p), all, { keepdim });
  return safePower(powers, 1 / p);
}
function safePower(x: Tensor, p: number): Tensor {
  if (!x.requiresGrad || p >= 1) return x.pow(p);
  const zero = x.eq(0);
  return where(zero, constant(x, p < 0 ? Infinity : 0), where(zero, constant(x, 1), x).pow(p));
}

export type NormOrder = Scalar | 'fro' | 'nuc' | null;
export interface NormOptions extends ReduceOptions {
  readonly dim?: Dims;
}
let nuclearNorm: ((x: Tensor, dims: readonly number[], keepdim: boolean) => Tensor) | null = null;
/** `linalg` gives the norm that needs singular values. */
export function setNuclearNorm(fn: NonNullable<typeof nuclearNorm>): void {
  nuclearNorm = fn;
}
/** The p-norm (2) of all elements or over `dim`; `'fro'` is the Frobenius norm, `'nuc'` the nuclear one. */
export function norm(
  input: Tensor,
  p: NormOrder | (NormOptions & { readonly p?: NormOrder }) = 'fro',
  dim: Dims = null,
  options: ReduceOptions = {},
): Tensor {
  const {
    p: kind,
    dim: over,
    keepdim,
    dtype,
  } = leading<NormOptions & { readonly p?: NormOrder }>(
    'norm',
    { p: 'fro', dim: null, keepdim: false, dtype: null },
    'p',
    p,
    { dim, ...options },
  );
  const x = dtype === null ? input : wrap(castNode(input.node, dtype));
  if (isIntegral(x.dtype))
    throw new ProjError('dtype', `norm of ${x.dtype}`, { op: 'norm', cure: 'Cast to a float dtype' });
  const dims = normalizeDims(over, x.ndim, 'norm');
  if (kind === 'nuc') {
    if (nuclearNorm === null)
      throw new ProjError('not-implemented', 'the nuclear norm needs linalg', {
        op: 'norm',
        cure: 'Import @proj/tensor/linalg',
      });
    return nuclearNorm(x, dims, keepdim);
  }
  const order = kind === 'fro' || kind === null ? 2 : Number(scalarValue(kind));
  return vectorNormOf(x, order, dims, keepdim);
}
/** The p-norm of the difference. */
export function dist(input: Tensor, other: Tensor, p: number | { p?: number } = 2): Tensor {
  const difference = sub(input, other);
  return vectorNormOf(
    difference,
    leading<{ p?: number }>('dist', { p: 2 }, 'p', p).p,
    normalizeDims(null, difference.ndim, 'dist'),
    false,
  );
}

export interface CdistOptions {
  readonly computeMode?: string | number | null;
}
/** p-norm distances between all rows of x1 [..., P, M] and x2 [..., R, M]: [..., P, R]. */
export function cdist(x1: Tensor, x2: Tensor, p: number = 2, _options: CdistOptions = {}): Tensor {
  if (x1.ndim < 2 || x2.ndim < 2 || x1.shape[x1.ndim - 1] !== x2.shape[x2.ndim - 1])
    throw new ProjError('shape-mismatch', 'matrices with rows of one length are needed', {
      op: 'cdist',
      shapes: [x1.shape, x2.shape],
    });
  if (!isFloatingPoint(x1.dtype))
    throw new ProjError('dtype', `cdist of ${x1.dtype}`, { op: 'cdist', cure: 'Cast to a float dtype' });
  if (p < 0) throw new ProjError('invalid-argument', `p = ${p}`, { op: 'cdist' });
  const difference = sub(x1.unsqueeze(-2), x2.unsqueeze(-3));
  if (x1.shape[x1.ndim - 1] === 0) return wrap(constantNode(x1.device, x1.dtype, difference.shape.slice(0, -1), 0));
  return vectorNormOf(difference, p, [difference.ndim - 1], false);
}

export interface CovOptions {
  readonly correction?: number;
  /** How often each observation counts. */
  readonly fweights?: Tensor | null;
  /** How much each observation weighs. */
  readonly aweights?: Tensor | null;
}
/** Reads the tensor; inside a capture nothing can be read, and nothing is checked. */
function anyNegative(x: Tensor): boolean {
  try {
    return x
      .detach()
      .toFlatArray()
      .some((value) => value < 0);
  } catch (error) {
    if (error instanceof ProjError && error.code === 'capture') return false;
    throw error;
  }
}
/** Covariance matrix of variables (rows) over observations (columns). */
export function cov(input: Tensor, options: CovOptions = {}): Tensor {
  const { correction, fweights, aweights } = withDefaults(
    'cov',
    { correction: 1, fweights: null, aweights: null },
    options,
  );
  if (input.ndim > 2)
    throw new ProjError('shape-mismatch', 'at most two dimensions are needed', { op: 'cov', shapes: [input.shape] });
  if (input.dtype === 'bool') throw new ProjError('dtype', 'cov of bool', { op: 'cov' });
  const x = asFloat(input.ndim < 2 ? input.reshape([1, -1]) : input);
  const observations = x.shape[1];
  for (const w of [fweights, aweights]) {
    if (w !== null && (w.ndim > 1 || w.numel() !== observations))
      throw new ProjError('shape-mismatch', 'one weight for each observation is needed', {
        op: 'cov',
        shapes: [input.shape, w.shape],
      });
  }
  if (fweights !== null && !isIntegral(fweights.dtype))
    throw new ProjError('dtype', `fweights of ${fweights.dtype}`, { op: 'cov', cure: 'Use integers' });
  if (aweights !== null && !isFloatingPoint(aweights.dtype))
    throw new ProjError('dtype', `aweights of ${aweights.dtype}`, { op: 'cov', cure: 'Use floats' });
  for (const w of [fweights, aweights])
    if (w !== null && anyNegative(w))
      throw new ProjError('invalid-argument', 'weights cannot be negative', { op: 'cov' });
  const weights = fweights === null ? aweights : aweights === null ? fweights : mul(fweights, aweights);
  const w = weights === null ? null : wrap(castNode(weights.reshape([-1]).node, toReal(x.dtype)));
  const total = w === null ? wrap(constantNode(x.device, toReal(x.dtype), [], observations)) : sum(w);
  const centre = w === null ? mean(x, 1, { keepdim: true }) : div(sum(mul(x, w), 1, { keepdim: true }), total);
  const deviation = sub(x, centre);
  const squares =
    w !== null && aweights !== null ? sum(mul(w, wrap(castNode(aweights.reshape([-1]).node, w.dtype)))) : null;
  const factor =
    w === null
      ? total.sub(correction)
      : squares === null
        ? total.sub(correction)
        : total.sub(mul(div(squares, total), correction));
  const product = matmul(deviation, (w === null ? deviation : mul(deviation, w)).mH);
  const result = div(product, factor.clamp(0));
  return result.numel() === 1 ? result.reshape([]) : result;
}
/** Correlation coefficients of variables (rows), in [-1, 1]. */
export function corrcoef(input: Tensor): Tensor {
  const c = cov(input);
  if (c.ndim === 0) return div(c, c);
  const deviations = sqrt(c.diagonal().real());
  const result = div(div(c, deviations.unsqueeze(-1)), deviations.unsqueeze(0));
  if (!isComplexDType(result.dtype)) return result.clamp(-1, 1);
  const [re, im] = [false, true].map((imaginary) => wrap(partNode(result.node, imaginary)).clamp(-1, 1));
  return wrap(complexNode(re.node, im.node));
}

/** Slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it. */
export function renorm(input: Tensor, p: number, dim: number, maxnorm: number): Tensor {
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'a tensor of at least two dimensions is needed', {
      op: 'renorm',
      shapes: [input.shape],
    });
  if (p <= 0) throw new ProjError('invalid-argument', `p = ${p}`, { op: 'renorm' });
  const at = normalizeDim(dim, input.ndim, 'renorm');
  const norms = vectorNormOf(
    input,
    p,
    input.shape.map((_, i) => i).filter((i) => i !== at),
    true,
  );
  const factor = where(norms.gt(maxnorm), norms.add(1e-7).reciprocal().mul(maxnorm), constant(norms, 1));
  return mul(input, factor);
}

/** Counts of elements in `bins` equal intervals of [min, max]; of the range of the data when both are 0. */
export function histc(input: Tensor, options: { bins?: number; min?: number; max?: number } = {}): Tensor {
  const { bins, min, max } = withDefaults('histc', { bins: 100, min: 0, max: 0 }, options);
  if (!isFloatingPoint(input.dtype))
    throw new ProjError('dtype', `histc of ${input.dtype}`, { op: 'histc', cure: 'Cast to a float dtype' });
  if (!(bins > 0)) throw new ProjError('invalid-argument', `${bins} bins`, { op: 'histc' });
  const values = input.detach().toFlatArray();
  let [low, high] = [min, max];
  if (low === high && values.length > 0)
    [low, high] = [
      values.reduce((a, b) => Math.min(a, b), Infinity),
      values.reduce((a, b) => Math.max(a, b), -Infinity),
    ];
  if (low === high) [low, high] = [low - 1, high + 1];
  if (!(low < high) || !Number.isFinite(low) || !Number.isFinite(high))
    throw new ProjError('invalid-argument', `a range from ${low} to ${high}`, { op: 'histc' });
  const counts = new Float64Array(bins);
  // Rounded as PyTorch's, which decides where elements close to an edge go.
  const round = input.dtype === 'float64' ? (x: number): number => x : Math.fround;
  const range = round(high - low);
  for (const v of values)
    if (v >= low && v <= high) counts[Math.min(bins - 1, Math.floor(round(round(round(v - low) * bins) / range)))]++;
  return fromArray(counts, [bins], input.dtype, { device: input.device });
}

export interface HistogramOptions {
  readonly range?: readonly number[] | null;
  readonly weight?: Tensor | null;
  readonly density?: boolean;
}
export interface Histogram {
  readonly hist: Tensor;
  readonly binEdges: Tensor;
}
/** Counts of rows of [N, D] in a D-dimensional grid of bins. Edges are left-closed; the last bin includes its right edge. */
export function histogramdd(
  input: Tensor,
  bins: number | readonly (number | Tensor)[],
  options: HistogramOptions = {},
): { hist: Tensor; binEdges: Tensor[] } {
  const { range, weight, density } = withDefaults(
    'histogramdd',
    { range: null, weight: null, density: false },
    options,
  );
  if (input.ndim < 2)
    throw new ProjError('shape-mismatch', 'at least two dimensions are needed', {
      op: 'histogramdd',
      shapes: [input.shape],
    });
  const width = input.shape[input.ndim - 1];
  const values = input.detach().toFlatArray();
  const rows = width === 0 ? 0 : values.length / width;
  const weights = weight?.toFlatArray() ?? null;
  const list = typeof bins === 'number' ? Array.from({ length: width }, () => bins) : bins;
  const edges = list.map((bin, d) => {
    if (bin instanceof Tensor) return bin.toFlatArray();
    let [low, high] = range === null ? [Infinity, -Infinity] : [range[2 * d], range[2 * d + 1]];
    if (range === null)
      for (let i = 0; i < rows; i++)
        [low, high] = [Math.min(low, values[i * width + d]), Math.max(high, values[i * width + d])];
    if (rows === 0 && range === null) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 0.5, high + 0.5];
    const rounded = new Float32Array(1);
    return Array.from({ length: bin + 1 }, (_, i) => {
      const edge = i === bin ? high : low + ((high - low) * i) / bin;
      if (input.dtype !== 'float32') return edge;
      rounded[0] = edge;
      return rounded[0];
    });
  });
  const sizes = edges.map((e) => e.length - 1);
  const counts = new Float64Array(sizes.reduce((a, b) => a * b, 1));
  for (let i = 0; i < rows; i++) {
    let at = 0;
    for (let d = 0; d < width && at >= 0; d++) {
      const v = values[i * width + d];
      const e = edges[d];
      const inside = v >= e[0] && v <= e[e.length - 1];
      at = inside ? at * sizes[d] + Math.min(sizes[d] - 1, upperBound(e, v) - 1) : -1;
    }
    if (at >= 0) counts[at] += weights === null ? 1 : weights[i];
  }
  const { device, dtype } = input;
  let hist = fromArray(counts, sizes, dtype, { device });
  const binEdges = edges.map((e) => fromArray(e, [e.length], dtype, { device }));
  if (density) {
    hist = div(hist, sum(hist));
    binEdges.forEach((e, d) => {
      const widths = e.narrow(0, 1, sizes[d]).sub(e.narrow(0, 0, sizes[d]));
      hist = div(hist, widths.reshape(sizes.map((_, i) => (i === d ? -1 : 1))));
    });
  }
  return { hist, binEdges };
}
function upperBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
/** Counts of elements in bins: a number of equal ones, or between the given edges. */
export function histogram(input: Tensor, bins: number | Tensor, options: HistogramOptions = {}): Histogram {
  const { hist, binEdges } = histogramdd(input.reshape([-1, 1]), [bins], {
    ...options,
    weight: options.weight?.reshape([-1]) ?? null,
  });
  return { hist, binEdges: binEdges[0] };
}

/** The position of each value in a sorted sequence (the last dimension): how many elements are smaller (or, from the right, not larger). */
function positionsIn(
  op: string,
  sequence: Tensor,
  values: Tensor,
  right: boolean,
  outInt32: boolean,
  sorter: Tensor | null,
): Tensor {
  const sorted = sorter === null ? sequence : sequence.takeAlongDim(sorter, -1);
  if (
    sequence.ndim > 1 &&
    (values.ndim !== sequence.ndim || values.shape.slice(0, -1).some((s, i) => s !== sequence.shape[i]))
  ) {
    throw new ProjError('shape-mismatch', 'sequences and values need equal leading dimensions', {
      op,
      shapes: [sequence.shape, values.shape],
    });
  }
  const line = sequence.ndim <= 1 ? sorted : sorted.unsqueeze(-2);
  const column = values.unsqueeze(-1);
  const before = right ? line.le(column) : line.lt(column);
  // NaN counts as larger than every number.
  const smaller = isFloatingPoint(values.dtype)
    ? right
      ? before.logicalOr(isnan(column))
      : before.logicalOr(isnan(column).logicalAnd(isnan(line).logicalNot()))
    : before;
  return wrap(castNode(sum(wrap(castNode(smaller.node, 'int64')), -1).node, outInt32 ? 'int32' : 'int64'));
}
export interface SearchOptions {
  readonly outInt32?: boolean;
  readonly right?: boolean;
  readonly side?: 'left' | 'right' | null;
  readonly sorter?: Tensor | null;
}
const valuesOf = (values: Tensor | Scalar, like: Tensor): Tensor =>
  values instanceof Tensor
    ? values
    : wrap(
        constantNode(
          like.device,
          isFloatingPoint(like.dtype)
            ? like.dtype
            : Number.isInteger(Number(scalarValue(values)))
              ? like.dtype
              : getDefaultDtype(),
          [],
          scalarValue(values),
        ),
      );
/** Where `values` would be inserted into sorted sequences (the last dimension) to keep them sorted. */
export function searchsorted(sortedSequence: Tensor, input: Tensor | Scalar, options: SearchOptions = {}): Tensor {
  const { outInt32, right, side, sorter } = withDefaults(
    'searchsorted',
    { outInt32: false, right: false, side: null, sorter: null },
    options,
  );
  if (side === 'left' && right)
    throw new ProjError('invalid-argument', 'side "left" contradicts right', { op: 'searchsorted' });
  return positionsIn(
    'searchsorted',
    sortedSequence,
    valuesOf(input, sortedSequence),
    right || side === 'right',
    outInt32,
    sorter,
  );
}
/** The bucket of each value between sorted boundaries. */
export function bucketize(input: Tensor | Scalar, boundaries: Tensor, options: SearchOptions = {}): Tensor {
  const { outInt32, right } = withDefaults(
    'bucketize',
    { outInt32: false, right: false, side: null, sorter: null },
    options,
  );
  if (boundaries.ndim !== 1)
    throw new ProjError('shape-mismatch', 'boundaries must be a vector', {
      op: 'bucketize',
      shapes: [boundaries.shape],
    });
  return positionsIn('bucketize', boundaries, valuesOf(input, boundaries), right, outInt32, null);
}

/** The shape that all shapes broadcast to. */
export const broadcastShapesOf = (...shapes: readonly (number | readonly number[])[]): number[] =>
  broadcastShapes('broadcastShapes', ...shapes.map((s) => (typeof s === 'number' ? [s] : s)));
/** All tensors expanded to their common shape. */
export function broadcastTensors(...tensors: readonly (Tensor | readonly Tensor[])[]): Tensor[] {
  const list = (tensors.length === 1 && !(tensors[0] instanceof Tensor) ? tensors[0] : tensors) as readonly Tensor[];
  const shape = broadcastShapes('broadcastTensors', ...list.map((t) => t.shape));
  return list.map((t) => t.expand(shape));
}
export const STATISTICS: readonly OpRow[] = [
  row('logsumexp', logsumexp, 'input, dim, keepdim=False', {
    torch: ['torch.logsumexp', 'Tensor.logsumexp', 'torch.special.logsumexp'],
  }),
  row('softmax', softmax, 'input, dim, *, dtype=None', {
    torch: ['torch.softmax', 'Tensor.softmax', 'torch.special.softmax'],
  }),
  row('logSoftmax', logSoftmax, 'input, dim, *, dtype=None', {
    torch: ['torch.log_softmax', 'Tensor.log_softmax', 'torch.special.log_softmax'],
  }),
  row('varMean', varMean as never, 'input, dim=None, unbiased=True, keepdim=False, *, correction=None', {
    method: false,
  }),
  row('stdMean', stdMean as never, 'input, dim=None, unbiased=True, keepdim=False, *, correction=None', {
    method: false,
  }),
  row('nansum', nansum, 'input, dim=None, keepdim=False, *, dtype=None'),
  row('nanmean', nanmean, 'input, dim=None, keepdim=False, *, dtype=None'),
  row('countNonzero', countNonzero, 'input, dim=None', { differentiable: false }),
  row('norm', norm as never, 'input, p="fro", dim=None, keepdim=False, dtype=None'),
  row('dist', dist, 'input, other, p=2'),
  row('cdist', cdist, 'x1, x2, p=2.0, compute_mode=None'),
  row('cov', cov, 'input, *, correction=1, fweights=None, aweights=None'),
  row('corrcoef', corrcoef, 'input'),
  row('renorm', renorm, 'input, p, dim, maxnorm', { inPlace: true }),
  row('histc', histc, 'input, bins=100, min=0, max=0', { differentiable: false }),
  row('histogram', histogram, 'input, bins, *, range=None, weight=None, density=False', { differentiable: false }),
  row('histogramdd', histogramdd, 'input, bins, range=None, weight=None, density=False', {
    method: false,
    differentiable: false,
  }),
  row('searchsorted', searchsorted, 'sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None', {
    differentiable: false,
  }),
  row('bucketize', bucketize, 'input, boundaries, *, out_int32=False, right=False', {
    method: false,
    differentiable: false,
  }),
  row('broadcastShapes', broadcastShapesOf as never, '*shapes', { differentiable: false }),
  row('broadcastTensors', broadcastTensors as never, '*tensors'),
];
