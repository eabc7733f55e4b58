/** Discrete Fourier transforms, with the names and conventions of torch.fft. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import {
  castNode,
  concatNode,
  constantNode,
  padNode,
  partNode,
  permuteNode,
  reshapeNode,
  sliceNode,
} from '../graph/build.ts';
import { conjNode } from '../graph/complex.ts';
import { type AnyNode, elementCount } from '../graph/node.ts';
import { normalizeDim } from '../ops/arguments.ts';
import { fromArray, TENSOR, type TensorOptions } from '../ops/creation.ts';
import { mul } from '../ops/elementwise.ts';
import { roll } from '../ops/joining.ts';
import { FloatScalar, getDefaultDtype, isComplexDType, toComplex, toFloat } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';
import type { Sign } from './tables.ts';
import { transformRows } from './transform.ts';

/** Which direction is divided by n: the inverse, the transform, or each by √n. */
export type FftNorm = 'backward' | 'forward' | 'ortho' | null;
export interface FftOptions {
  /** Length of the transform: the input is cut or filled with zeros. */
  readonly n?: number | null;
  readonly dim?: number;
  readonly norm?: FftNorm;
}
export interface FftnOptions {
  /** Lengths along `dim`; -1 for the input's. */
  readonly s?: readonly number[] | null;
  readonly dim?: readonly number[] | number | null;
  readonly norm?: FftNorm;
}

const LINE: Defaults<FftOptions> = { n: null, dim: -1, norm: null };
const PLANE: Defaults<FftnOptions> = { s: null, dim: null, norm: null };

function factorOf(op: string, norm: FftNorm, count: number, inverse: boolean): number {
  switch (norm ?? 'backward') {
    case 'ortho':
      return 1 / Math.sqrt(count);
    case 'backward':
      return inverse ? 1 / count : 1;
    case 'forward':
      return inverse ? 1 : 1 / count;
    default:
      throw new ProjError('invalid-argument', `norm "${String(norm)}"`, {
        op,
        cure: "Use 'backward', 'forward' or 'ortho'",
      });
  }
}
const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : mul(x, new FloatScalar(factor)));

function floats(op: string, input: Tensor): Tensor {
  if (input.dtype === 'float16' || input.dtype === 'bfloat16')
    throw new ProjError('dtype', `${op} of ${input.dtype}`, { op, cure: 'Cast to float32' });
  return wrap(castNode(input.node, toFloat(input.dtype)));
}
const complexes = (op: string, input: Tensor): Tensor => {
  const x = floats(op, input);
  return wrap(castNode(x.node, toComplex(x.dtype)));
};
function reals(op: string, input: Tensor): Tensor {
  if (isComplexDType(input.dtype))
    throw new ProjError('dtype', `${op} of ${input.dtype}`, { op, cure: 'A real tensor is needed' });
  return floats(op, input);
}

function requireSize(op: string, size: number, input: Tensor): number {
  if (!Number.isInteger(size) || size < 1)
    throw new ProjError('invalid-argument', `a transform of ${size} numbers`, { op, shapes: [input.shape] });
  return size;
}
/** Cut or filled with zeros to `size` along `dim`. */
function resized(x: AnyNode, dim: number, size: number): AnyNode {
  const at = (value: number): number[] => x.shape.map((_, d) => (d === dim ? value : 0));
  const sizes = x.shape.map((s, d) => (d === dim ? Math.min(s, size) : s));
  const cut = sliceNode(
    x,
    at(0),
    sizes,
    at(0).map(() => 1),
  );
  return padNode(cut, at(0), at(Math.max(0, size - x.shape[dim])));
}
/** `fn` on rows [1, rows, n] of the numbers along `dim`. */
function alongRows(x: AnyNode, dim: number, fn: (rows: AnyNode) => AnyNode): AnyNode {
  const order = [...x.shape.map((_, d) => d).filter((d) => d !== dim), dim];
  const moved = permuteNode(x, order);
  const lead = moved.shape.slice(0, -1);
  const result = fn(reshapeNode(moved, [1, elementCount(lead), x.shape[dim]]));
  return permuteNode(
    reshapeNode(result, [...lead, result.shape[2]]),
    order.map((_, d) => order.indexOf(d)),
  );
}
/** The transform along `dim`, without a factor; the first `columns` results. */
function along(x: AnyNode, dim: number, sign: Sign, columns = x.shape[dim]): AnyNode {
  return alongRows(x, dim, (rows) =>
    rows.shape[1] === 0 ? constantNode(x.device, x.dtype, [1, 0, columns], 0) : transformRows(rows, sign, columns),
  );
}
const halfOf = (n: number): number => Math.floor(n / 2) + 1;
/** The real numbers whose transform's first half is given, times n. */
function fromHalf(x: AnyNode, dim: number, n: number, sign: Sign): AnyNode {
  const half = resized(x, dim, halfOf(n));
  const rest = n - half.shape[dim];
  const whole =
    rest === 0
      ? half
      : concatNode(
          [
            half,
            conjNode(
              sliceNode(
                half,
                half.shape.map((_, d) => (d === dim ? rest : 0)),
                half.shape.map((s, d) => (d === dim ? rest : s)),
                half.shape.map((_, d) => (d === dim ? -1 : 1)),
              ),
            ),
          ],
          dim,
        );
  return partNode(along(whole, dim, sign), false);
}
const halfTransform = (x: AnyNode, dim: number, sign: Sign): AnyNode => along(x, dim, sign, halfOf(x.shape[dim]));

// One dimension

function lineOf(op: string, input: Tensor, { n, dim }: Defaults<FftOptions>): { at: number; size: number } {
  if (input.ndim === 0)
    throw new ProjError('shape-mismatch', 'at least one dimension is needed', { op, shapes: [input.shape] });
  const at = normalizeDim(dim, input.ndim, op);
  return { at, size: requireSize(op, n ?? input.shape[at], input) };
}
const complexToComplex =
  (op: string, sign: Sign) =>
  (input: Tensor, options: FftOptions = {}): Tensor => {
    const given = withDefaults(op, LINE, options);
    const x = complexes(op, input);
    const { at, size } = lineOf(op, x, given);
    return scaled(wrap(along(resized(x.node, at, size), at, sign)), factorOf(op, given.norm, size, sign === 1));
  };
/** The discrete Fourier transform along `dim` (the last). Errors: fewer than one number. */
export const fft = complexToComplex('fft', -1);
/** The inverse of {@link fft}. */
export const ifft = complexToComplex('ifft', 1);

/** Real numbers to the first half of their transform, of which the rest is the mirror image. */
const realToComplex =
  (op: string, sign: Sign) =>
  (input: Tensor, options: FftOptions = {}): Tensor => {
    const given = withDefaults(op, LINE, options);
    const x = reals(op, input);
    const { at, size } = lineOf(op, x, given);
    const cut = castNode(resized(x.node, at, size), toComplex(x.dtype));
    return scaled(wrap(halfTransform(cut, at, sign)), factorOf(op, given.norm, size, sign === 1));
  };
/** The first ⌊n/2⌋ + 1 results of the transform of real numbers. Errors: a complex tensor. */
export const rfft = realToComplex('rfft', -1);
/** The first ⌊n/2⌋ + 1 results of the inverse transform of real numbers. Errors: a complex tensor. */
export const ihfft = realToComplex('ihfft', 1);

const complexToReal =
  (op: string, sign: Sign) =>
  (input: Tensor, options: FftOptions = {}): Tensor => {
    const given = withDefaults(op, LINE, options);
    const x = complexes(op, input);
    const { at, size } = lineOf(op, x, { ...given, n: given.n ?? 2 * (x.shape.at(given.dim) ?? 1) - 2 });
    return scaled(wrap(fromHalf(x.node, at, size, sign)), factorOf(op, given.norm, size, sign === 1));
  };
/** The n (2·(half - 1) unless given) real numbers whose {@link rfft} this is. */
export const irfft = complexToReal('irfft', 1);
/** The n (2·(half - 1) unless given) real results of the transform of numbers that are their mirror image, conjugated; the first half is given. */
export const hfft = complexToReal('hfft', -1);

// Several dimensions

interface Plane {
  readonly dims: readonly number[];
  readonly sizes: readonly number[];
}
function planeOf(op: string, input: Tensor, { s, dim }: Defaults<FftnOptions>, last?: (size: number) => number): Plane {
  const given = dim === null ? null : typeof dim === 'number' ? [dim] : dim;
  if (s !== null && given !== null && s.length !== given.length)
    throw new ProjError('invalid-argument', `${s.length} lengths for ${given.length} dims`, { op });
  if (s !== null && s.length > input.ndim)
    throw new ProjError('shape-mismatch', `${s.length} lengths for ${input.ndim} dimensions`, {
      op,
      shapes: [input.shape],
    });
  const count = s?.length ?? input.ndim;
  const dims =
    given?.map((d) => normalizeDim(d, input.ndim, op)) ??
    Array.from({ length: count }, (_, i) => input.ndim - count + i);
  if (new Set(dims).size !== dims.length)
    throw new ProjError('invalid-argument', `dims [${dims.join(', ')}] repeat`, { op });
  if (last !== undefined && dims.length === 0)
    throw new ProjError('invalid-argument', 'at least one dimension is needed', { op, shapes: [input.shape] });
  const sizes = dims.map((d, i) => {
    const wanted = s?.[i] ?? -1;
    if (wanted !== -1) return requireSize(op, wanted, input);
    return requireSize(op, last !== undefined && i === dims.length - 1 ? last(input.shape[d]) : input.shape[d], input);
  });
  return { dims, sizes };
}
const productOf = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
/** Transforms along each of `dims`, cut or filled first. */
const overAll = (x: AnyNode, dims: readonly number[], sizes: readonly number[], sign: Sign): AnyNode =>
  dims.reduceRight((node, dim, i) => along(resized(node, dim, sizes[i]), dim, sign), x);

type Many = (input: Tensor, options?: FftnOptions) => Tensor;
const manyComplex =
  (op: string, sign: Sign): Many =>
  (input, options = {}) => {
    const given = withDefaults(op, PLANE, options);
    const x = complexes(op, input);
    const { dims, sizes } = planeOf(op, x, given);
    return scaled(wrap(overAll(x.node, dims, sizes, sign)), factorOf(op, given.norm, productOf(sizes), sign === 1));
  };
const manyFromReal =
  (op: string, sign: Sign): Many =>
  (input, options = {}) => {
    const given = withDefaults(op, PLANE, options);
    const x = reals(op, input);
    const { dims, sizes } = planeOf(op, x, given, (size) => size);
    const [at, size] = [dims[dims.length - 1], sizes[sizes.length - 1]];
    const first = halfTransform(castNode(resized(x.node, at, size), toComplex(x.dtype)), at, sign);
    return scaled(
      wrap(overAll(first, dims.slice(0, -1), sizes.slice(0, -1), sign)),
      factorOf(op, given.norm, productOf(sizes), sign === 1),
    );
  };
const manyToReal =
  (op: string, sign: Sign): Many =>
  (input, options = {}) => {
    const given = withDefaults(op, PLANE, options);
    const x = complexes(op, input);
    const { dims, sizes } = planeOf(op, x, given, (size) => 2 * (size - 1));
    const [at, size] = [dims[dims.length - 1], sizes[sizes.length - 1]];
    const others = overAll(resized(x.node, at, halfOf(size)), dims.slice(0, -1), sizes.slice(0, -1), sign);
    return scaled(wrap(fromHalf(others, at, size, sign)), factorOf(op, given.norm, productOf(sizes), sign === 1));
  };
/** The same over the last two dimensions unless `dim` is given. */
const two =
  (many: Many): Many =>
  (input, options = {}) =>
    many(input, { ...options, dim: options.dim ?? [-2, -1] });

/** The transform along several dimensions (all of them, or the last ones as `s` has lengths). */
export const fftn = manyComplex('fftn', -1);
/** The inverse of {@link fftn}. */
export const ifftn = manyComplex('ifftn', 1);
/** {@link rfft} along the last of `dim`, {@link fft} along the others. */
export const rfftn = manyFromReal('rfftn', -1);
/** The inverse of {@link rfftn}. */
export const irfftn = manyToReal('irfftn', 1);
/** {@link fft} along all but the last of `dim`, then {@link hfft}. */
export const hfftn = manyToReal('hfftn', -1);
/** The inverse of {@link hfftn}. */
export const ihfftn = manyFromReal('ihfftn', 1);
/** {@link fftn} over the last two dimensions. */
export const fft2 = two(fftn);
/** {@link ifftn} over the last two dimensions. */
export const ifft2 = two(ifftn);
/** {@link rfftn} over the last two dimensions. */
export const rfft2 = two(rfftn);
/** {@link irfftn} over the last two dimensions. */
export const irfft2 = two(irfftn);
/** {@link hfftn} over the last two dimensions. */
export const hfft2 = two(hfftn);
/** {@link ihfftn} over the last two dimensions. */
export const ihfft2 = two(ihfftn);

// Frequencies

export interface FrequencyOptions extends TensorOptions {
  /** Time between samples. */
  readonly d?: number;
}
const frequencies =
  (op: string, count: (n: number) => number, at: (i: number, n: number) => number) =>
  (n: number, options: FrequencyOptions = {}): Tensor => {
    const { d, ...rest } = withDefaults(op, { ...TENSOR, d: 1 }, options);
    if (!Number.isInteger(n) || n < 0) throw new ProjError('invalid-argument', `${n} frequencies`, { op });
    const values = Float64Array.from({ length: count(n) }, (_, i) => at(i, n) / (n * d));
    return fromArray(values, [values.length], rest.dtype ?? getDefaultDtype(), rest);
  };
/** The frequency of each result of {@link fft}: 0, 1, … then the negative ones, over n·d. */
export const fftfreq = frequencies(
  'fftfreq',
  (n) => n,
  (i, n) => (i < Math.ceil(n / 2) ? i : i - n),
);
/** The frequency of each result of {@link rfft}. */
export const rfftfreq = frequencies('rfftfreq', halfOf, (i) => i);

const shifted =
  (op: string, by: (n: number) => number) =>
  (input: Tensor, options: { readonly dim?: number | readonly number[] | null } = {}): Tensor => {
    const { dim } = withDefaults(op, { dim: null }, options);
    const dims = dim === null ? input.shape.map((_, d) => d) : typeof dim === 'number' ? [dim] : dim;
    const at = dims.map((d) => normalizeDim(d, input.ndim, op));
    return at.length === 0
      ? wrap(input.node)
      : roll(
          input,
          at.map((d) => by(input.shape[d])),
          at,
        );
  };
/** Zero frequency moved to the middle. */
export const fftshift = shifted('fftshift', (n) => Math.floor(n / 2));
/** The inverse of {@link fftshift}. */
export const ifftshift = shifted('ifftshift', (n) => Math.ceil(n / 2));
