/**
 * Incomplete gamma functions of a great first argument, near the second: the uniform expansion of Temme (1979; DLMF 8.12). With λ = x / a and
 * η²/2 = λ - 1 - ln λ, Q(a, x) is erfc(η·√(a/2)) / 2 and a correction that is a power series in η and 1/a.
 */
import type { Tensor } from '../tensor.ts';
import { f, polynomial } from './quadrature.ts';

/** Powers of 1/a in the correction, and of η in each: errors below 2^-53 for a > 60 and 1/2 < λ < 2. */
const POWERS = 9;
const DEGREE = 24;

/** The coefficients c_k(η) of DLMF 8.12.10, by their recurrence: c_k = (c'_(k-1) - c'_(k-1)(0)·η/(λ-1)) / η. */
function corrections(): readonly (readonly number[])[] {
  const length = DEGREE + 2 * POWERS;
  // λ - 1 = Σ alpha[n]·η^(n+1), from (λ - 1)·dλ/dη = η·λ.
  const alpha = [1];
  for (let n = 1; n < length; n++) {
    let sum = alpha[n - 1];
    for (let j = 1; j < n; j++) sum -= (j + 1) * alpha[j] * alpha[n - j];
    alpha.push(sum / (n + 2));
  }
  // η / (λ - 1) = Σ inverse[n]·η^n.
  const inverse = [1];
  for (let n = 1; n < length; n++) {
    let sum = 0;
    for (let j = 1; j <= n; j++) sum -= alpha[j] * inverse[n - j];
    inverse.push(sum);
  }
  const table = [inverse.slice(1)];
  for (let k = 1; k < POWERS; k++) {
    const derivative = table[k - 1].slice(1).map((c, n) => c * (n + 1));
    table.push(derivative.slice(1).map((c, n) => c - derivative[0] * inverse[n + 1]));
  }
  return table.map((row) => row.slice(0, DEGREE));
}
const CORRECTIONS = corrections();
/** (atanh s - s) / s³ in s². */
const ATANH = Array.from({ length: 17 }, (_, n) => 1 / (2 * n + 3));

/** P(a, x) and Q(a, x). */
export function largeGamma(a: Tensor, x: Tensor): { readonly lower: Tensor; readonly upper: Tensor } {
  const excess = x.sub(a).div(a);
  const s = excess.div(excess.add(f(2)));
  const rest = s.rsub(1);
  // (λ - 1 - ln λ) / (λ - 1)², smooth at λ = 1.
  const ratio = rest
    .sub(
      rest
        .mul(rest)
        .mul(s)
        .mul(polynomial(s.mul(s), ATANH)),
    )
    .mul(f(0.5));
  const eta = excess.mul(ratio.mul(f(2)).sqrt());
  const inverse = a.reciprocal();
  let correction = polynomial(eta, CORRECTIONS[POWERS - 1]);
  for (let k = POWERS - 2; k >= 0; k--) correction = correction.mul(inverse).add(polynomial(eta, CORRECTIONS[k]));
  const size = excess.mul(excess).mul(ratio).mul(a).neg().exp();
  const rounding = size.mul(correction).mul(a.mul(f(2 * Math.PI)).rsqrt());
  const distance = eta.mul(a.mul(f(0.5)).sqrt());
  return {
    lower: distance.neg().erfc().mul(f(0.5)).sub(rounding),
    upper: distance.erfc().mul(f(0.5)).add(rounding),
  };
}
