/**
 * The observer that keeps a histogram and looks for the range with the smallest squared error of quantisation (`torch.ao.quantization.HistogramObserver`, after
 * caffe2's NormMinimization). It reads its inputs: what it does depends on them. Numbers are rounded to float32 where PyTorch's are.
 */
import { withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, histc, type Tensor, zeros } from '@proj/tensor';
import { type ObserverOptions, type QuantizationVectors, RANGE, UniformObserver } from './observer.ts';

const f32 = Math.fround;
/** Granularity of the search, as a share of all elements. */
const STEP = 1e-5;

export interface HistogramObserverOptions extends ObserverOptions {
  /** Default 2048. */
  readonly bins?: number;
  /** How finely histograms of different ranges are aligned. Default 128. */
  readonly upsampleRate?: number;
}

/** A histogram over [min, max]. */
interface Histogram {
  readonly counts: Float32Array;
  readonly min: number;
  readonly max: number;
}

/** Floor division of float32 numbers as PyTorch does it, exact at multiples. */
function floorDivide(a: number, b: number): number {
  const remainder = a % b;
  const adjusted = remainder !== 0 && b < 0 !== remainder < 0 ? 1 : 0;
  return Math.round(f32(f32(a - remainder) / b)) - adjusted;
}
/** The nearest integer, halves to the even one. */
function nearest(x: number): number {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
}
const cube = (x: number): number => f32(f32(x * x) * x);
/** The integral of density · x² between two distances from a grid point. */
const norm = (begin: number, end: number, density: number): number =>
  f32(density * f32(f32(cube(end) - cube(begin)) / 3));

/** The squared error when the bins `first` … `last` are spread over `levels` integers. */
function quantizationError({ counts, min, max }: Histogram, levels: number, first: number, last: number): number {
  const width = (max - min) / counts.length;
  const levelWidth = (width * (last - first + 1)) / levels;
  if (levelWidth === 0) return 0;
  const [step, level] = [f32(width), f32(levelWidth)];
  const half = f32(levelWidth / 2);
  const levelOf = (x: number): number => Math.min(levels - 1, Math.max(0, floorDivide(x, level)));
  let total = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const begin = f32((bin - first) * step);
    const end = f32(begin + step);
    const [from, to] = [levelOf(begin), levelOf(end)];
    const density = f32(counts[bin] / step);
    let error = norm(f32(begin - f32(f32(from + 0.5) * level)), half, density);
    error = f32(error + f32((to - from - 1) * norm(-half, half, density)));
    total += f32(error + norm(-half, f32(end - f32(f32(to * level) + half)), density));
  }
  return total;
}

/** Narrows the range from both ends while the error shrinks; gives the first and the last bin that stay. */
function searchRange(histogram: Histogram, levels: number): [number, number] {
  const { counts } = histogram;
  const cumulative = new Float32Array(counts.length);
  let running = 0;
  counts.forEach((count, i) => (cumulative[i] = running += count));
  const total = cumulative[counts.length - 1];
  let [low, high] = [0, 1];
  let [first, last] = [0, counts.length - 1];
  let best = Infinity;
  while (low < high) {
    const [nextLow, nextHigh] = [low + STEP, high - STEP];
    let left = first;
    let right = last;
    while (left < last && cumulative[left] < f32(nextLow * total)) left++;
    while (right > first && cumulative[right] > f32(nextHigh * total)) right--;
    let [nextFirst, nextLast] = [first, last];
    if (left - first > last - right) [nextFirst, low] = [left, nextLow];
    else [nextLast, high] = [right, nextHigh];
    if (nextFirst === first && nextLast === last) continue;
    const error = quantizationError(histogram, levels, nextFirst, nextLast);
    if (error > best) break;
    best = error;
    [first, last] = [nextFirst, nextLast];
  }
  return [first, last];
}

/**
 * Adds `old` to `counts`. A grid of fine bins aligns them: one old bin is `upsample` of them, one new bin `downsample`, and the old ones begin at fine
 * bin `start`.
 */
function combine(
  counts: Float32Array,
  old: Float32Array,
  upsample: number,
  downsample: number,
  start: number,
): Float32Array {
  const { length } = old;
  const below = new Float64Array(length + 1);
  old.forEach((count, i) => (below[i + 1] = below[i] + count * upsample));
  /** What lies in fine bins before the end of new bin i. */
  const integral = (i: number): number => {
    const fine = Math.min(length * upsample, Math.max(0, (i + 1) * downsample - start));
    const bin = Math.floor(fine / upsample);
    return below[bin] + (fine - bin * upsample) * (old[bin] ?? 0);
  };
  return counts.map((count, i) => f32(count + f32((integral(i) - f32(i === 0 ? 0 : integral(i - 1))) / upsample)));
}

/** Keeps a histogram of all inputs and chooses the range with the least squared error. Reads its inputs. Schemes: per tensor. */
export class HistogramObserver extends UniformObserver {
  readonly bins: number;
  readonly upsampleRate: number;
  declare histogram: Tensor;

  constructor(options: HistogramObserverOptions = {}) {
    const { bins, upsampleRate, ...rest } = withDefaults(
      new.target.name,
      { ...RANGE, bins: 2048, upsampleRate: 128 },
      options,
    );
    super(rest, false);
    this.bins = bins;
    this.upsampleRate = upsampleRate;
    this.registerBuffer('histogram', zeros([bins]));
    this.registerBuffer('minVal', fromArray([Infinity], [], 'float32'));
    this.registerBuffer('maxVal', fromArray([-Infinity], [], 'float32'));
  }

  private state(): Histogram {
    return {
      counts: this.histogram.toTypedArray() as Float32Array,
      min: this.minVal.item(),
      max: this.maxVal.item(),
    };
  }

  override forward(input: Tensor): Tensor {
    if (input.numel() === 0) return input;
    const x = input.detach().to('float32');
    const state = this.state();
    const next =
      state.min === state.max || (state.min === Infinity && state.max === -Infinity)
        ? this.first(x)
        : this.added(x, state);
    noGrad(() => {
      this.histogram.copy_(fromArray(next.counts, [this.bins], 'float32'));
      this.minVal.fill_(next.min);
      this.maxVal.fill_(next.max);
    });
    return input;
  }

  /** Counts between the ends, cut to integers: PyTorch 1.13 does so, and its scales depend on it. */
  private count(x: Tensor, min: number, max: number): Float32Array {
    const { bins } = this;
    return histc(x, { bins, min: Math.trunc(min), max: Math.trunc(max) }).toTypedArray() as Float32Array;
  }
  private first(x: Tensor): Histogram {
    const [min, max] = [x.amin().item(), x.amax().item()];
    return { counts: this.count(x, min, max), min, max };
  }
  private added(x: Tensor, old: Histogram): Histogram {
    const { bins, upsampleRate } = this;
    const min = Math.min(old.min, x.amin().item());
    let max = Math.max(old.max, x.amax().item());
    const fine = f32(f32(old.max - old.min) / (bins * upsampleRate));
    const grid = f32(bins * fine);
    const downsample = Math.ceil(f32(f32(max - min) / grid));
    max = f32(max + f32(f32(downsample * grid) - f32(max - min)));
    const start = nearest(f32(f32(old.min - min) / fine));
    const counts = this.count(x, min, max);
    if (min === old.min && max === old.max) return { counts: counts.map((n, i) => f32(n + old.counts[i])), min, max };
    return { counts: combine(counts, old.counts, upsampleRate, downsample, start), min, max };
  }

  override calculateQparams(): QuantizationVectors {
    const state = this.state();
    if (state.min === Infinity && state.max === -Infinity) return this.qparamsOf(this.minVal, this.maxVal);
    const [first, last] = searchRange(state, this.dtype === 'qint32' ? 2 ** 32 : 256);
    const width = f32(f32(state.max - state.min) / this.bins);
    const at = (bins: number): Tensor => fromArray([f32(state.min + f32(width * bins))], [], 'float32');
    return this.qparamsOf(at(first), at(last + 1));
  }
}
