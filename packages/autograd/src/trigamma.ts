/** The derivative of digamma, of nodes that have derivatives themselves: recurrence to x ≥ 8, then the asymptotic series (Abramowitz and Stegun 6.4.12). */
import type { AnyNode } from '@proj/tensor/graph';
import { add, less, mul, reciprocal, sin, square, sub, where } from './arithmetic.ts';

// Bernoulli numbers B₂ … B₁₆.
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510];
const SHIFT = 8;

export function trigamma(x: AnyNode): AnyNode {
  // ψ′(x) = π²/sin²(πx) - ψ′(1-x) left of ½.
  const reflected = less(x, 0.5);
  const positive = where(reflected, sub(1, x), x);
  let sum = reciprocal(square(positive));
  for (let k = 1; k < SHIFT; k++) sum = add(sum, reciprocal(square(add(positive, k))));
  const inverse = reciprocal(add(positive, SHIFT));
  const inverseSquare = square(inverse);
  let series = mul(inverseSquare, BERNOULLI[BERNOULLI.length - 1]);
  for (let k = BERNOULLI.length - 2; k >= 0; k--) series = mul(inverseSquare, add(series, BERNOULLI[k]));
  // 1/z + 1/(2z²) + Σ B₂ₖ/z²ᵏ⁺¹.
  const tail = mul(inverse, add(add(mul(inverse, 0.5), series), 1));
  const value = add(sum, tail);
  const sine = sin(mul(x, Math.PI));
  return where(reflected, sub(mul(reciprocal(square(sine)), Math.PI ** 2), value), value);
}
