/**
 * Roots of unity as tensors: matrices of discrete Fourier transforms, twiddle factors, chirps. Angles are reduced in integers and computed in
 * float64, so that every entry is right to the last bit of its dtype. The tables used last are kept.
 */
import type { Device, DType } from '@proj/kernel';
import { fromArray } from '../ops/creation.ts';
import type { Tensor } from '../tensor.ts';
import { keep } from '../tidy.ts';

/** -1 for the transform, 1 for its inverse: the sign of the exponent. */
export type Sign = -1 | 1;

const tables = new WeakMap<Device, Map<string, Tensor>>();
/** Numbers that the kept tables of a device may have together. */
const MAX_NUMBERS = 1 << 23;

function cached(device: Device, key: string, make: () => Tensor): Tensor {
  let kept = tables.get(device);
  if (kept === undefined) tables.set(device, (kept = new Map()));
  const known = kept.get(key);
  if (known !== undefined && known.node.data?.disposed !== true) {
    kept.delete(key);
    kept.set(key, known);
    return known;
  }
  const made = keep(make());
  kept.set(key, made);
  let numbers = 0;
  for (const table of kept.values()) numbers += 2 * table.numel();
  for (const [oldest, table] of kept) {
    if (numbers <= MAX_NUMBERS || table === made) break;
    kept.delete(oldest);
    numbers -= 2 * table.numel();
  }
  return made;
}

/** exp(sign · 2πi · turn(i, j) / size) for i < rows, j < columns. */
function roots(
  rows: number,
  columns: number,
  size: number,
  sign: Sign,
  turn: (i: number, j: number) => number,
): Float64Array {
  const data = new Float64Array(2 * rows * columns);
  for (let i = 0, at = 0; i < rows; i++)
    for (let j = 0; j < columns; j++, at += 2) {
      const angle = (2 * Math.PI * (turn(i, j) % size)) / size;
      data[at] = Math.cos(angle);
      data[at + 1] = sign * Math.sin(angle);
    }
  return data;
}

/** The matrix [n, n] that transforms rows of n numbers from the right. */
export const fourierMatrix = (n: number, sign: Sign, dtype: DType, device: Device): Tensor =>
  cached(device, `matrix ${n} ${sign} ${dtype}`, () =>
    fromArray(
      roots(n, n, n, sign, (i, j) => i * j),
      [n, n],
      dtype,
      { device },
    ),
  );

/** The factors [rest, radix] between the two steps of a transform of rest · radix numbers. */
export const twiddles = (rest: number, radix: number, sign: Sign, dtype: DType, device: Device): Tensor =>
  cached(device, `twiddles ${rest} ${radix} ${sign} ${dtype}`, () =>
    fromArray(
      roots(rest, radix, rest * radix, sign, (i, j) => i * j),
      [rest, radix],
      dtype,
      { device },
    ),
  );

/** exp(sign · πi · j² / n) for j < n. The square is reduced exactly: it is below 2⁵³ as long as n is below 9·10⁷. */
const chirpOf = (n: number, sign: Sign): Float64Array => roots(1, n, 2 * n, sign, (_, j) => j * j);
export const chirp = (n: number, sign: Sign, dtype: DType, device: Device): Tensor =>
  cached(device, `chirp ${n} ${sign} ${dtype}`, () => fromArray(chirpOf(n, sign), [n], dtype, { device }));

/** The transform, over `size` numbers, of the conjugated chirp laid around zero: what Bluestein's convolution multiplies with. */
export const chirpSpectrum = (n: number, size: number, sign: Sign, dtype: DType, device: Device): Tensor =>
  cached(device, `spectrum ${n} ${size} ${sign} ${dtype}`, () => {
    const wave = chirpOf(n, sign);
    const data = new Float64Array(2 * size);
    for (let j = 0; j < n; j++)
      for (const at of j === 0 ? [0] : [j, size - j]) {
        data[2 * at] = wave[2 * j];
        data[2 * at + 1] = -wave[2 * j + 1];
      }
    return fromArray(powerOfTwo(data), [size], dtype, { device });
  });

/** The transform of a power of two of (re, im) pairs, by Cooley and Tukey's algorithm, on the host. */
function powerOfTwo(data: Float64Array): Float64Array {
  const n = data.length / 2;
  let from = data;
  // Stockham's form: every pass reads one array and writes the other, in order.
  for (let size = n, stride = 1; size > 1; size /= 2, stride *= 2) {
    const to = new Float64Array(2 * n);
    const half = size / 2;
    for (let p = 0; p < half; p++) {
      const [c, s] = [Math.cos((2 * Math.PI * p) / size), -Math.sin((2 * Math.PI * p) / size)];
      for (let q = 0; q < stride; q++) {
        const a = 2 * (q + stride * p);
        const b = 2 * (q + stride * (p + half));
        const u = 2 * (q + stride * 2 * p);
        const v = u + 2 * stride;
        const [x, y] = [from[a] - from[b], from[a + 1] - from[b + 1]];
        to[u] = from[a] + from[b];
        to[u + 1] = from[a + 1] + from[b + 1];
        to[v] = x * c - y * s;
        to[v + 1] = x * s + y * c;
      }
    }
    from = to;
  }
  return from;
}
