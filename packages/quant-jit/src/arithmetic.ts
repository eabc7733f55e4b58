/**
 * The float arithmetic of a program, to the bit: float32, rounded after each operation, sums in an order that has nothing to do with the width of vectors or with
 * how many tokens a step has. `kernels/arithmetic.ts` says the same in the kernel language, in additions and multiplications that no target joins, so
 * every device and the interpreter have the same bits. Only the angles of rotary positions are in float64 (and rounded once): they are few.
 */
const { fround } = Math;

/** Partial sums of a row: one for the columns that are equal modulo this. */
export const ROW_PARTS = 32;
/** Partial sums over positions of a cache. */
export const POSITION_PARTS = 16;
/** Partial sums of products of queries and keys: one for the columns of a head that are equal modulo this. */
export const headParts = (headDim: number): number => (headDim % 4 === 0 ? 4 : headDim % 2 === 0 ? 2 : 1);

/** Floats whose largest is smaller than this become codes of 0: what they would be multiplied with is near infinity. */
export const SMALLEST_PEAK = 2 ** -120;

/** Partial sums to one: the first half plus the second, until one is left. */
export function joinParts(parts: Float32Array): number {
  for (let half = parts.length / 2; half >= 1; half /= 2) for (let i = 0; i < half; i++) parts[i] += parts[i + half];
  return parts[0];
}

/** A sum of floats, of which element `i` is in partial sum `(first + i) mod parts`. */
export function sumOf(values: Float32Array, parts = ROW_PARTS, first = 0): number {
  const sums = new Float32Array(parts);
  for (let i = 0; i < values.length; i++) sums[(first + i) % parts] += values[i];
  return joinParts(sums);
}

/** The sum of the products of a row with `weights` from `at` on. */
export function dotOf(row: Float32Array, weights: Float32Array, at: number): number {
  const sums = new Float32Array(ROW_PARTS);
  for (let i = 0; i < row.length; i++) sums[i % ROW_PARTS] += fround(row[i] * weights[at + i]);
  return joinParts(sums);
}

const bitsOf = new Int32Array(1);
const floatOf = new Float32Array(bitsOf.buffer);

/** Bits that {@link shortened} leaves out of the 24 of a float. */
export const LEFT_OUT = 7;

/** x rounded to 17 significant bits, so that its product with a code of 8 bits is exact, and may be added with or without a rounding of its own. */
export function shortened(x: number): number {
  floatOf[0] = x;
  bitsOf[0] = (bitsOf[0] + (1 << (LEFT_OUT - 1))) & -(1 << LEFT_OUT);
  return floatOf[0];
}

/** What {@link exp} is made of. */
export const EXP = {
  log2e: fround(Math.LOG2E),
  /** Adding it rounds a float to an integer, which then stands in the low bits. */
  round: 12582912,
  /** ln 2 in two parts: n · high is exact. */
  high: 0.693145751953125,
  low: fround(1.428606765330187e-6),
  /** (e^r − 1 − r) / r² for |r| <= 0.347, with a relative error of e^r of 2^−28, from the highest power down. */
  series: [
    0.0013841429026797414, 0.00836937315762043, 0.04166807979345322, 0.16666515171527863, 0.4999999403953552,
  ].map(fround),
  lowest: -87,
  highest: 88,
} as const;

/** e^x: within 2 ulp; 0 below −87, where softmax has nothing left to add to, and as at 88 above. */
export function exp(x: number): number {
  if (x < EXP.lowest) return 0;
  const bounded = x > EXP.highest ? EXP.highest : x;
  const n = fround(fround(fround(bounded * EXP.log2e) + EXP.round) - EXP.round);
  const r = fround(fround(bounded - fround(n * EXP.high)) - fround(n * EXP.low));
  let p: number = EXP.series[0];
  for (let i = 1; i < EXP.series.length; i++) p = fround(fround(p * r) + EXP.series[i]);
  p = fround(fround(fround(fround(r * r) * p) + r) + 1);
  bitsOf[0] = (n + 127) << 23;
  return fround(p * floatOf[0]);
}

/** What {@link tanh} is made of. */
export const TANH = {
  /** (tanh x − x) / x³ in x² for |x| <= 0.61, from the highest power down. */
  series: [
    -0.005820197053253651, 0.020735986530780792, -0.053767524659633636, 0.13331753015518188, -0.33333292603492737,
  ].map(fround),
  small: fround(0.61),
} as const;

/** tanh x, within 3 ulp. */
export function tanh(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude < TANH.small) {
    const z = fround(x * x);
    let p: number = TANH.series[0];
    for (let i = 1; i < TANH.series.length; i++) p = fround(fround(p * z) + TANH.series[i]);
    return fround(fround(fround(z * x) * p) + x);
  }
  const value = fround(1 - fround(2 / fround(exp(fround(magnitude * 2)) + 1)));
  return x < 0 ? -value : value;
}

/** What {@link gelu} is made of: −2 √(2/π), and that times 0.044715. */
export const GELU = {
  linear: fround(-2 * Math.sqrt(2 / Math.PI)),
  cubic: fround(-2 * Math.sqrt(2 / Math.PI) * 0.044715),
} as const;

/** GELU by tanh, as in Gemma: x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), which is x / (1 + e^−2(…)). */
export const gelu = (x: number): number =>
  fround(x / fround(1 + exp(fround(x * fround(fround(fround(x * x) * GELU.cubic) + GELU.linear)))));

/** 1 / k! of every other k up to 15, from the highest down. */
const series = (last: number): readonly number[] =>
  Array.from({ length: 7 }, (_, i) => {
    let value = i % 2 === 0 ? -1 : 1;
    for (let k = 2; k <= last - 2 * i; k++) value /= k;
    return value;
  });

/** What {@link sine} and {@link cosine} are made of: Taylor's series without the first term, and π/2 in parts of which the first has 33 bits. */
export const TURN = {
  sin: series(15),
  cos: series(14),
  high: 1.5707963267341256,
  low: 6.077100506506192e-11,
} as const;

/** Sine and cosine of float32 angles, 0 to 2^20, in float64 and rounded to float32 once. */
export function sineAndCosine(angle: number): { readonly sin: number; readonly cos: number } {
  const n = Math.floor(angle * (2 / Math.PI) + 0.5);
  const r = angle - n * TURN.high - n * TURN.low;
  const z = r * r;
  let [s, c] = [0, 0];
  for (let i = 0; i < TURN.sin.length; i++) {
    s = s * z + TURN.sin[i];
    c = c * z + TURN.cos[i];
  }
  const sin = s * z * r + r;
  const cos = c * z + 1;
  const quarter = n - 4 * Math.floor(n / 4);
  const odd = quarter === 1 || quarter === 3;
  return {
    sin: fround((odd ? cos : sin) * (quarter >= 2 ? -1 : 1)),
    cos: fround((odd ? sin : cos) * (quarter === 1 || quarter === 2 ? -1 : 1)),
  };
}
