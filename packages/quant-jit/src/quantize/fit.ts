/**
 * The scale (and minimum) of one group of weights, and the codes that follow from it. A *rule* gives them from the group's statistics; a *search*
 * looks for the pair with the least squared error (a grid around the rule's scale, then Lloyd's alternation: codes for the scale, least squares
 * for the codes). Rules are those of XNOR-Net (Rastegari et al. 2016), BitNet b1.58 (Ma et al. 2024) and the block formats of GGML.
 */
import { floatToHalfBits, halfBitsToFloat, ProjError } from '@proj/kernel';
import type { Scheme } from './scheme.ts';

/** A weight of the group is `minimum + scale · code`; `minimum` is 0 where the scheme is symmetric. Both are rounded as they are stored. */
export interface Fit {
  readonly scale: number;
  readonly minimum: number;
}

const roundScale = (x: number, { scaleType }: Scheme): number =>
  scaleType === 'f16' ? halfBitsToFloat(floatToHalfBits(x)) : Math.fround(x);

/** The nearest code of `x` in units of the scale: half away from zero, clipped; the sign alone where codes are signs. */
export function nearestCode(x: number, { bits, lowest, highest }: Scheme): number {
  if (bits === 1) return x >= 0 ? 1 : -1;
  const clipped = x < lowest ? lowest : x > highest ? highest : x;
  return (clipped < 0 ? clipped - 0.5 : clipped + 0.5) | 0;
}

const inverseOf = (scale: number): number => (scale === 0 ? 0 : 1 / scale);

/**
 * Writes the codes of `values[begin … end)` to `codes`, from `at`. `bits` are the same values seen as integers: signs are random, so they are taken from there
 * without a branch, which makes it four times as fast.
 */
export function encodeGroup(
  values: Float32Array,
  bits: Int32Array,
  begin: number,
  end: number,
  scheme: Scheme,
  { scale, minimum }: Fit,
  codes: Int8Array,
  at: number,
): void {
  const inverse = inverseOf(scale);
  const { highest } = scheme;
  if (scheme.bits === 1) {
    // -1 where the sign bit is set and it is not the zero that has one.
    for (let i = begin; i < end; i++) {
      const word = bits[i];
      codes[at++] = ((word >> 31) & (-(word & 0x7fffffff) >> 31)) | 1;
    }
  } else if (scheme.asymmetric)
    for (let i = begin; i < end; i++) {
      const x = (values[i] - minimum) * inverse;
      codes[at++] = (x < 0 ? 0 : x > highest ? highest : x) + 0.5;
    }
  else {
    const furthest = -scheme.lowest;
    const magnitude = Math.abs(inverse);
    const flip = inverse < 0 ? -1 : 0;
    for (let i = begin; i < end; i++) {
      const x = Math.abs(values[i]) * magnitude;
      const sign = (bits[i] >> 31) ^ flip;
      const code = (((x > furthest ? furthest : x) + 0.5) ^ sign) - sign;
      codes[at++] = code > highest ? highest : code;
    }
  }
}

/** The scale that the scheme's rule gives to `values[begin … end)`. @throws ProjError where a weight is not finite or too large for the scale's type. */
export function fitByRule(values: Float32Array, begin: number, end: number, scheme: Scheme): Fit {
  let smallest = Infinity;
  let largest = -Infinity;
  let total = 0;
  for (let i = begin; i < end; i++) {
    const x = values[i];
    if (x < smallest) smallest = x;
    if (x > largest) largest = x;
    total += Math.abs(x);
  }
  if (!(total < Infinity)) throw notFinite(values, begin, end);
  const fit = ruleOf(smallest, largest, total / (end - begin), scheme);
  if (!Number.isFinite(fit.scale) || !Number.isFinite(fit.minimum))
    throw new ProjError(
      'invalid-argument',
      `weights of up to ${Math.max(-smallest, largest)} have a scale beyond ${scheme.scaleType}`,
      {
        op: 'quantize',
        cure: 'Use a scheme with f32 scales (q8, q158, q1), or leave this matrix in f32',
      },
    );
  return fit;
}

function ruleOf(smallest: number, largest: number, meanAbsolute: number, scheme: Scheme): Fit {
  const { asymmetric, lowest, highest } = scheme;
  if (asymmetric) {
    const minimum = roundScale(smallest, scheme);
    return { scale: roundScale(Math.max(0, largest - minimum) / highest, scheme), minimum };
  }
  if (highest === 1) return { scale: roundScale(meanAbsolute, scheme), minimum: 0 };
  const extreme = largest >= -smallest ? largest : smallest;
  // Codes that reach further down than up: the extreme gets the lowest code, whatever its sign.
  const scale = lowest === -highest ? Math.abs(extreme) / highest : extreme / lowest;
  return { scale: roundScale(scale, scheme), minimum: 0 };
}

/** Thrown by a fit that meets NaN or an infinity; callers turn it into an error with row and column. */
export class NotFinite extends Error {
  /** Where it lies among the values. */
  readonly index: number;
  constructor(index: number) {
    super(`value ${index} is not finite`);
    this.index = index;
  }
}

function notFinite(values: Float32Array, begin: number, end: number): NotFinite {
  let index = begin;
  while (index < end && Number.isFinite(values[index])) index++;
  return new NotFinite(index);
}

/** Sum of squared errors of `values[begin … end)` under a fit, weighted by `importance` (of the columns from `column`) where given. */
export function fitError(
  values: Float32Array,
  begin: number,
  end: number,
  scheme: Scheme,
  { scale, minimum }: Fit,
  importance?: Float32Array,
  column = 0,
): number {
  const { highest } = scheme;
  const furthest = -scheme.lowest;
  const inverse = inverseOf(scale);
  const size = Math.abs(scale);
  const magnitude = Math.abs(inverse);
  let sum = 0;
  for (let i = begin; i < end; i++) {
    let difference: number;
    if (scheme.asymmetric) {
      const x = values[i] - minimum;
      const units = x * inverse;
      difference = x - scale * (((units < 0 ? 0 : units > highest ? highest : units) + 0.5) | 0);
    } else {
      // The error is the same on both sides of 0, but for the code that one side lacks.
      const x = Math.abs(values[i]);
      const units = x * magnitude;
      let code = ((units > furthest ? furthest : units) + 0.5) | 0;
      if (code > highest && values[i] * inverse > 0) code = highest;
      difference = x - size * (scheme.bits === 1 ? 1 : code);
    }
    sum += difference * difference * (importance === undefined ? 1 : importance[column + i - begin]);
  }
  return sum;
}

/** Scales tried by the search, in units of the rule's. The best one of a Gaussian lies at 1.53 for ternary codes, and below 1 where the rule spans the range. */
const RANGE_FACTORS = Array.from({ length: 9 }, (_, i) => 0.55 + 0.06 * i);
const MEAN_FACTORS = Array.from({ length: 16 }, (_, i) => 0.5 + 0.1 * i);
const LLOYD_STEPS = 4;

/** The fit of least squared error that a search around the rule's finds; never worse than the rule's. */
export function fitBySearch(
  values: Float32Array,
  begin: number,
  end: number,
  scheme: Scheme,
  importance?: Float32Array,
  column = 0,
): Fit {
  const rule = fitByRule(values, begin, end, scheme);
  let best = rule;
  let least = fitError(values, begin, end, scheme, rule, importance, column);
  const consider = (candidate: Fit): boolean => {
    if (!Number.isFinite(candidate.scale) || !Number.isFinite(candidate.minimum)) return false;
    const error = fitError(values, begin, end, scheme, candidate, importance, column);
    if (!(error < least)) return false;
    best = candidate;
    least = error;
    return true;
  };
  if (least === 0) return rule;
  const centre = rule.minimum + (rule.scale * scheme.highest) / 2;
  // Signs are the same at every scale: least squares finds theirs at once.
  const factors = scheme.bits === 1 ? [] : scheme.highest === 1 ? MEAN_FACTORS : RANGE_FACTORS;
  for (const factor of factors) {
    const scale = roundScale(rule.scale * factor, scheme);
    if (!scheme.asymmetric) {
      consider({ scale, minimum: 0 });
      if (scheme.lowest !== -scheme.highest) consider({ scale: -scale, minimum: 0 });
    } else consider({ scale, minimum: roundScale(centre - (scale * scheme.highest) / 2, scheme) });
  }
  for (let step = 0; step < LLOYD_STEPS; step++)
    if (!consider(leastSquares(values, begin, end, scheme, best, importance, column))) break;
  return best;
}

/** The best scale and minimum for the codes that `fit` gives. */
function leastSquares(
  values: Float32Array,
  begin: number,
  end: number,
  scheme: Scheme,
  fit: Fit,
  importance: Float32Array | undefined,
  column: number,
): Fit {
  const inverse = inverseOf(fit.scale);
  let weights = 0;
  let codes = 0;
  let codesSquared = 0;
  let products = 0;
  let sum = 0;
  for (let i = begin; i < end; i++) {
    const weight = importance === undefined ? 1 : importance[column + i - begin];
    const code = nearestCode((values[i] - fit.minimum) * inverse, scheme);
    weights += weight;
    codes += weight * code;
    codesSquared += weight * code * code;
    products += weight * code * values[i];
    sum += weight * values[i];
  }
  if (!scheme.asymmetric) return { scale: roundScale(products / codesSquared, scheme), minimum: 0 };
  const scale = (weights * products - codes * sum) / (weights * codesSquared - codes * codes);
  return { scale: roundScale(scale, scheme), minimum: roundScale((sum - scale * codes) / weights, scheme) };
}
