/** Windows, and the short-time Fourier transform. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { castNode, foldNode, windowNode } from '../graph/build.ts';
import { fft, ifft, irfft, rfft } from '../fft/index.ts';
import { getDefaultDtype, isComplexDType, isFloatingPoint, isIntegral, toComplex } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { fromArray, ones, TENSOR, type TensorOptions } from './creation.ts';
import { flip, narrow, reshape } from './views.ts';
import { real, viewAsComplex, viewAsReal } from './complex.ts';
import { concatenate } from './joining.ts';
import { constantPadNd } from './layout.ts';
import { type OpRow, row } from './table.ts';

export interface WindowTensorOptions extends TensorOptions {
  /** One period (for spectra) rather than a symmetric window (for filters). */
  readonly periodic?: boolean;
}
const WINDOW: Defaults<WindowTensorOptions> = { ...TENSOR, periodic: true };

function makeWindow(
  op: string,
  length: number,
  { periodic, ...options }: Defaults<WindowTensorOptions>,
  value: (position: number) => number,
): Tensor {
  if (!Number.isInteger(length) || length < 0) throw new ProjError('invalid-argument', `a window of ${length}`, { op });
  const dtype = options.dtype ?? getDefaultDtype();
  if (!isFloatingPoint(dtype)) throw new ProjError('dtype', `a window of ${dtype}`, { op, cure: 'Use a float dtype' });
  const last = periodic ? length : length - 1;
  return fromArray(
    Float64Array.from({ length }, (_, i) => (length === 1 ? 1 : value(i / last))),
    [length],
    dtype,
    options,
  );
}
type Periodic<Options = WindowTensorOptions> = boolean | Options;
/** The options of a window; `periodic` may stand before them, or with them. */
function windowOptions<Options extends WindowTensorOptions>(
  op: string,
  defaults: Defaults<Options>,
  periodic: Periodic<Options>,
  options: Options,
): Defaults<Options> {
  const placed = typeof periodic === 'boolean' ? { periodic } : periodic;
  return withDefaults<Options>(op, defaults, { ...options, ...placed });
}
const cosine = (turns: number): number => Math.cos(2 * Math.PI * turns);

/** Hann's window: half a period of a raised cosine. */
export function hannWindow(windowLength: number, periodic: Periodic = true, options: WindowTensorOptions = {}): Tensor {
  const op = 'hannWindow';
  return makeWindow(op, windowLength, windowOptions(op, WINDOW, periodic, options), (t) => 0.5 - 0.5 * cosine(t));
}
export interface HammingOptions extends WindowTensorOptions {
  readonly alpha?: number;
  readonly beta?: number;
}
/** Hamming's window: alpha - beta · cos. */
export function hammingWindow(
  windowLength: number,
  periodic: Periodic<HammingOptions> = true,
  options: HammingOptions = {},
): Tensor {
  const op = 'hammingWindow';
  const { alpha, beta, ...rest } = windowOptions<HammingOptions>(
    op,
    { ...WINDOW, alpha: 0.54, beta: 0.46 },
    periodic,
    options,
  );
  return makeWindow(op, windowLength, rest, (t) => alpha - beta * cosine(t));
}
/** Blackman's window. */
export function blackmanWindow(
  windowLength: number,
  periodic: Periodic = true,
  options: WindowTensorOptions = {},
): Tensor {
  const op = 'blackmanWindow';
  return makeWindow(
    op,
    windowLength,
    windowOptions(op, WINDOW, periodic, options),
    (t) => 0.42 - 0.5 * cosine(t) + 0.08 * cosine(2 * t),
  );
}
/** Bartlett's window: a triangle. */
export function bartlettWindow(
  windowLength: number,
  periodic: Periodic = true,
  options: WindowTensorOptions = {},
): Tensor {
  const op = 'bartlettWindow';
  return makeWindow(op, windowLength, windowOptions(op, WINDOW, periodic, options), (t) => 1 - Math.abs(2 * t - 1));
}
export interface KaiserOptions extends WindowTensorOptions {
  readonly beta?: number;
}
/** Kaiser's window of shape `beta`. */
export function kaiserWindow(
  windowLength: number,
  periodic: Periodic<KaiserOptions> = true,
  beta: number | KaiserOptions = 12,
  options: KaiserOptions = {},
): Tensor {
  const op = 'kaiserWindow';
  const { beta: shape, ...rest } = windowOptions<KaiserOptions>(op, { ...WINDOW, beta: 12 }, periodic, {
    ...(typeof beta === 'number' ? { beta } : beta),
    ...options,
  });
  return makeWindow(
    op,
    windowLength,
    rest,
    (t) => bessel0(shape * Math.sqrt(Math.max(0, 1 - (2 * t - 1) ** 2))) / bessel0(shape),
  );
}
/** I₀ by its power series. */
function bessel0(x: number): number {
  let [term, sum] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

export interface StftOptions {
  readonly hopLength?: number | null;
  readonly winLength?: number | null;
  readonly window?: Tensor | null;
  /** Frames are centred on their time: the signal is padded by half a frame at both ends. */
  readonly center?: boolean;
  readonly padMode?: string;
  readonly normalized?: boolean;
  readonly onesided?: boolean | null;
  readonly returnComplex?: boolean | null;
  readonly length?: number | null;
}
const STFT: Defaults<StftOptions> = {
  hopLength: null,
  winLength: null,
  window: null,
  center: true,
  padMode: 'reflect',
  normalized: false,
  onesided: null,
  returnComplex: null,
  length: null,
};
interface Frames {
  readonly hop: number;
  readonly window: Tensor;
}
function frames(
  op: string,
  nFft: number,
  { dtype, device }: Tensor,
  { hopLength, winLength, window }: Defaults<StftOptions>,
): Frames {
  const length = winLength ?? nFft;
  if (!(nFft > 0) || !(length > 0) || length > nFft)
    throw new ProjError('invalid-argument', `nFft ${nFft}, winLength ${length}`, { op });
  const hop = hopLength ?? Math.floor(nFft / 4);
  if (!(hop > 0)) throw new ProjError('invalid-argument', `hopLength ${hop}`, { op });
  if (window !== null && (window.ndim !== 1 || window.shape[0] !== length))
    throw new ProjError('shape-mismatch', `a window of ${length} is needed`, { op, shapes: [window.shape] });
  const own = window === null ? ones([length], { dtype, device }) : wrap(castNode(window.node, dtype));
  const left = Math.floor((nFft - length) / 2);
  return { hop, window: constantPadNd(own, [left, nFft - length - left]) };
}
function extend(x: Tensor, amount: number, mode: string): Tensor {
  const length = x.shape[x.ndim - 1];
  const part = (start: number, count: number): Tensor => narrow(x, -1, start, count);
  switch (mode) {
    case 'constant':
      return constantPadNd(x, [amount, amount]);
    case 'reflect':
      if (amount >= length)
        throw new ProjError('shape-mismatch', `reflection by ${amount} of ${length} samples`, {
          op: 'stft',
          shapes: [x.shape],
        });
      return concatenate(
        [flip(part(1, amount), [-1]), x, flip(part(length - 1 - amount, amount), [-1])],
        x.ndim - 1,
        'stft',
      );
    case 'replicate':
      return concatenate(
        [
          part(0, 1).expand([...x.shape.slice(0, -1), amount]),
          x,
          part(length - 1, 1).expand([...x.shape.slice(0, -1), amount]),
        ],
        x.ndim - 1,
        'stft',
      );
    case 'circular':
      return concatenate([part(length - amount, amount), x, part(0, amount)], x.ndim - 1, 'stft');
    default:
      throw new ProjError('invalid-argument', `padMode "${mode}"`, {
        op: 'stft',
        cure: "Use 'reflect', 'constant', 'replicate' or 'circular'",
      });
  }
}
/** Complex signals and windows have complex spectra without a mirror image. */
function asSignal(op: string, input: Tensor, window: Tensor | null): Tensor {
  if (isIntegral(input.dtype))
    throw new ProjError('dtype', `${op} of ${input.dtype}`, { op, cure: 'Use a float or complex tensor' });
  return window !== null && isComplexDType(window.dtype) ? wrap(castNode(input.node, toComplex(input.dtype))) : input;
}
/**
 * Short-time Fourier transform of [L] or [B, L]: complex [B, frequencies, frames], or with a last dimension of real and imaginary part
 * where `returnComplex` is false (which it is for real signals unless told).
 */
export function stft(input: Tensor, nFft: number, options: StftOptions = {}): Tensor {
  const given = withDefaults('stft', STFT, options);
  const { center, padMode, normalized, returnComplex } = given;
  if (input.ndim < 1 || input.ndim > 2)
    throw new ProjError('shape-mismatch', 'a signal or a batch of signals is needed', {
      op: 'stft',
      shapes: [input.shape],
    });
  const typed = asSignal('stft', input, given.window);
  const isComplex = isComplexDType(typed.dtype);
  const onesided = given.onesided ?? !isComplex;
  if (onesided && isComplex)
    throw new ProjError('invalid-argument', 'a complex signal has no one-sided spectrum', {
      op: 'stft',
      cure: 'Give onesided: false',
    });
  const { hop, window } = frames('stft', nFft, typed, given);
  const batch = typed.ndim === 1 ? reshape(typed, [1, typed.shape[0]]) : typed;
  const signal = center ? extend(batch, Math.floor(nFft / 2), padMode) : batch;
  const samples = signal.shape[1];
  if (samples < nFft)
    throw new ProjError('shape-mismatch', `frames of ${nFft} in ${samples} samples`, {
      op: 'stft',
      shapes: [input.shape],
    });
  const count = Math.floor((samples - nFft) / hop) + 1;
  const cut = wrap(windowNode(signal.node, 1, count, { size: nFft, stride: hop, dilation: 1, padding: 0 })).mul(window);
  const norm = normalized ? 'ortho' : 'backward';
  const spectrum = (onesided ? rfft(cut, { norm }) : fft(cut, { norm })).transpose(1, 2);
  const result = (returnComplex ?? isComplex) ? spectrum : viewAsReal(spectrum);
  return input.ndim === 1 ? result.squeeze(0) : result;
}
/**
 * The signal whose short-time Fourier transform this is: complex [B, frequencies, frames], or real with a last dimension of two, to [B, L].
 * With `returnComplex` the signal is complex, which needs all frequencies.
 */
export function istft(input: Tensor, nFft: number, options: StftOptions = {}): Tensor {
  const chosen = withDefaults('istft', STFT, options);
  const { center, normalized, onesided, length, returnComplex } = chosen;
  const spectrum = isComplexDType(input.dtype) ? input : viewAsComplex(input);
  if (spectrum.ndim < 2 || spectrum.ndim > 3)
    throw new ProjError('shape-mismatch', 'a spectrum, or a batch of them, is needed', {
      op: 'istft',
      shapes: [input.shape],
    });
  const half = Math.floor(nFft / 2);
  const full = spectrum.ndim === 2 ? spectrum.unsqueeze(0) : spectrum;
  const [, given, count] = full.shape;
  const one = onesided ?? given !== nFft;
  if (given !== (one ? half + 1 : nFft))
    throw new ProjError('shape-mismatch', `${given} frequencies for nFft ${nFft}`, {
      op: 'istft',
      shapes: [input.shape],
    });
  if (returnComplex === true && one)
    throw new ProjError('invalid-argument', 'a one-sided spectrum is that of a real signal', {
      op: 'istft',
      cure: 'Give onesided: false',
    });
  const like = returnComplex === true ? spectrum : real(spectrum);
  if (returnComplex !== true && isComplexDType(chosen.window?.dtype ?? 'float32'))
    throw new ProjError('dtype', 'a complex window needs returnComplex: true', { op: 'istft' });
  const { hop, window } = frames('istft', nFft, like, chosen);
  const norm = normalized ? 'ortho' : 'backward';
  const turned = full.transpose(1, 2);
  // A real signal is told by the first half of its spectrum; the rest is not looked at.
  const frame =
    returnComplex === true ? ifft(turned, { norm }) : irfft(turned.narrow(2, 0, half + 1), { n: nFft, norm });
  const total = nFft + hop * (count - 1);
  const shape = { size: nFft, stride: hop, dilation: 1, padding: 0 };
  const sum = wrap(foldNode(frame.mul(window).node, 1, total, shape));
  const envelope = wrap(foldNode(window.square().expand([1, count, nFft]).node, 1, total, shape));
  const start = center ? half : 0;
  const end = length === null ? total - start : start + length;
  const inside = Math.min(end, total);
  const weight = envelope.narrow(1, start, inside - start);
  if (
    weight
      .detach()
      .abs()
      .toFlatArray()
      .some((w) => Math.abs(w) < 1e-11)
  )
    throw new ProjError('invalid-argument', 'the windows do not cover every sample', {
      op: 'istft',
      cure: 'Use a smaller hopLength or another window',
    });
  const signal = constantPadNd(sum.narrow(1, start, inside - start).div(weight), [0, end - inside]);
  return spectrum.ndim === 2 ? signal.squeeze(0) : signal;
}
/** Powers of the elements of a vector, as rows: x^(n-1) … 1, or the other way round. */
export function vander(
  x: Tensor,
  N: number | null | { N?: number | null; increasing?: boolean } = null,
  options: { increasing?: boolean } = {},
): Tensor {
  const given = withDefaults(
    'vander',
    { N: null, increasing: false },
    typeof N === 'object' && N !== null ? N : { ...options, N },
  );
  if (x.ndim !== 1) throw new ProjError('shape-mismatch', 'a vector is needed', { op: 'vander', shapes: [x.shape] });
  const columns = given.N ?? x.shape[0];
  const base = x.dtype === 'bool' ? x.long() : x;
  const powers = fromArray(
    Array.from({ length: columns }, (_, i) => (given.increasing ? i : columns - 1 - i)),
    [columns],
    'int64',
    { device: x.device },
  );
  return base.unsqueeze(-1).pow(powers);
}

const window = (name: string, fn: unknown, signature: string): OpRow =>
  row(name, fn as never, signature, { method: false, differentiable: false });

export const SIGNAL: readonly OpRow[] = [
  window('hannWindow', hannWindow, 'window_length, periodic=True, *, dtype=None'),
  window('hammingWindow', hammingWindow, 'window_length, periodic=True, alpha=0.54, beta=0.46, *, dtype=None'),
  window('blackmanWindow', blackmanWindow, 'window_length, periodic=True, *, dtype=None'),
  window('bartlettWindow', bartlettWindow, 'window_length, periodic=True, *, dtype=None'),
  window('kaiserWindow', kaiserWindow, 'window_length, periodic=True, beta=12.0, *, dtype=None'),
  row(
    'stft',
    stft,
    'input, n_fft, hop_length=None, win_length=None, window=None, center=True, pad_mode="reflect", normalized=False, onesided=None, return_complex=None',
  ),
  row(
    'istft',
    istft,
    'input, n_fft, hop_length=None, win_length=None, window=None, center=True, normalized=False, onesided=None, length=None, return_complex=False',
  ),
  row('vander', vander as never, 'x, N=None, increasing=False', { method: false }),
];
