/** Every function of `math` as a kernel, with arguments and how far two targets may be apart: one may fuse `mulAdd`, another not. */
import { buildKernel, type KernelBuilder } from '../ir/builder.ts';
import type { Value } from '../ir/ir.ts';
import * as math from '../math/index.ts';
import { randomNumbers } from './data.ts';
import type { RandomKernel } from './random-kernel.ts';

interface MathFunction {
  readonly f: (b: KernelBuilder, ...args: Value[]) => Value;
  /** Interval of each argument. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Largest distance between two targets in f32 and f64, in units in the last place. */
  readonly ulps: readonly [number, number];
  /** Whether every other argument is of any size, instead of in the interval. */
  readonly anySize?: true;
}

const one = (f: MathFunction['f'], low: number, high: number, single: number, double: number): MathFunction => ({
  f,
  ranges: [[low, high]],
  ulps: [single, double],
});
const anySize = (f: MathFunction): MathFunction => ({ ...f, anySize: true });
const two = (
  f: MathFunction['f'],
  first: readonly [number, number],
  second: readonly [number, number],
  single: number,
  double: number,
): MathFunction => ({ f, ranges: [first, second], ulps: [single, double] });

/** Functions of f32 and f64 by name. */
export const MATH_FUNCTIONS: Readonly<Record<string, MathFunction>> = {
  exp: one(math.exp, -110, 95, 2, 2),
  exp2: one(math.exp2, -155, 130, 2, 2),
  expm1: one(math.expm1, -20, 90, 3, 4),
  sigmoid: one(math.sigmoid, -80, 80, 4, 4),
  log: one(math.log, 0, 20, 2, 2),
  log2: one(math.log2, 0, 20, 4, 2),
  log10: one(math.log10, 0, 20, 1, 2),
  log1p: one(math.log1p, -1, 20, 4, 4),
  sin: anySize(one(math.sin, -1e6, 1e6, 3, 2)),
  cos: anySize(one(math.cos, -1e6, 1e6, 3, 2)),
  tan: anySize(one(math.tan, -1e6, 1e6, 6, 4)),
  asin: one(math.asin, -1, 1, 4, 4),
  acos: one(math.acos, -1, 1, 4, 4),
  atan: one(math.atan, -20, 20, 4, 2),
  atan2: two(math.atan2, [-5, 5], [-5, 5], 4, 4),
  sinc: one(math.sinc, -5, 5, 1, 6),
  sinh: one(math.sinh, -90, 90, 1, 4),
  cosh: one(math.cosh, -90, 90, 1, 4),
  tanh: one(math.tanh, -12, 12, 3, 6),
  asinh: one(math.asinh, -50, 50, 1, 4),
  acosh: one(math.acosh, 1, 50, 1, 4),
  atanh: one(math.atanh, -1, 1, 1, 4),
  erf: one(math.erf, -4.5, 4.5, 3, 4),
  erfc: one(math.erfc, -4, 9, 1, 10),
  erfinv: one(math.erfinv, -1, 1, 1, 16),
  ndtr: one(math.ndtr, -10, 10, 1, 12),
  ndtri: one(math.ndtri, 0, 0.49, 1, 16),
  logNdtr: one(math.logNdtr, -20, 8, 1, 16),
  lgamma: one(math.lgamma, 3, 100, 1, 32),
  digamma: one(math.digamma, 2, 100, 1, 32),
  trigamma: one((b, x) => math.polygamma(b, 1, x), 0.1, 100, 1, 32),
  zeta: two(math.zeta, [1.1, 10], [0.2, 10], 1, 32),
  i0: one(math.i0, -20, 20, 1, 16),
  i0e: one(math.i0e, -20, 20, 1, 16),
  i1: one(math.i1, -20, 20, 1, 16),
  i1e: one(math.i1e, -20, 20, 1, 16),
  entr: one(math.entr, 0, 5, 3, 3),
  xlogy: two(math.xlogy, [-5, 5], [0, 5], 3, 3),
  xlog1p: two(math.xlog1p, [-5, 5], [-1, 5], 6, 6),
  pow: two(math.pow, [0, 20], [-20, 20], 1, 4),
  fmod: two(math.fmod, [-1e9, 1e9], [-5, 5], 0, 0),
  remainder: two(math.remainder, [-1e9, 1e9], [-5, 5], 0, 0),
  floorDiv: two(math.floorDiv, [-100, 100], [-5, 5], 0, 0),
  maximum: two(math.maximum, [-1, 1], [-1, 1], 0, 0),
  minimum: two(math.minimum, [-1, 1], [-1, 1], 0, 0),
  sign: one(math.sign, -1, 1, 0, 0),
};

const SIZE = 512;
const SPECIAL = [0, -0, 1, -1, 0.5, -0.5, 2, Infinity, -Infinity, NaN, 1e-40, 3e38];

/** A kernel that applies the function to vectors of `lanes` of `type`, and arguments of which some are special values. */
export function mathKernel(name: string, type: 'f32' | 'f64', lanes: number): RandomKernel & { readonly ulps: number } {
  const { f, ranges, ulps, anySize } = MATH_FUNCTIONS[name];
  const kernel = buildKernel(`${name}_${type}x${lanes}`, (b) => {
    const inputs = ranges.map((_, i) => b.buffer(`x${i}`, type));
    const out = b.buffer('out', type, 'write');
    b.for(b.begin, b.end, lanes, [], (i) => b.store(out, i, f(b, ...inputs.map((memory) => b.load(memory, i, lanes)))));
  });
  const random = randomNumbers(name.length + lanes);
  const array = type === 'f32' ? Float32Array : Float64Array;
  const buffers = ranges.map(([low, high], argument) => {
    // Every special value of the first argument meets every one of the second.
    const special = (i: number): number =>
      SPECIAL[argument === 0 ? i % SPECIAL.length : Math.floor(i / SPECIAL.length)];
    const greatest = type === 'f32' ? 127 : 1023;
    const number = (i: number): number => {
      if (i < SPECIAL.length ** 2) return special(i);
      if (anySize !== undefined && i % 2 === 0) return (random() < 0.5 ? -1 : 1) * 2 ** ((2 * random() - 1) * greatest);
      return low + (high - low) * random();
    };
    const values = new array(Array.from({ length: SIZE }, (_, i) => number(i)));
    return new Uint8Array(values.buffer);
  });
  buffers.push(new Uint8Array(SIZE * array.BYTES_PER_ELEMENT));
  return { kernel, inputs: { buffers, end: SIZE, align: lanes, grain: lanes }, ulps: ulps[type === 'f32' ? 0 : 1] };
}
