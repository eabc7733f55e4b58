/** Orthogonal polynomials by their three-term recurrences. The degree may be a number or a tensor, which is read. */
import { ProjError } from '@proj/kernel';
import { castNode } from '../graph/build.ts';
import { promotedType, type TensorLike, unify } from '../ops/arguments.ts';
import { where } from '../ops/elementwise.ts';
import { scalarValue, toFloat } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { constant, f } from './quadrature.ts';

interface Family {
  /** The polynomial of degree 1: first[0] + first[1] x. */
  readonly first: readonly [number, number];
  /** P_{k+1} = ((a + b x) P_k - c P_{k-1}) / d. */
  next(k: number): readonly [a: number, b: number, c: number, d: number];
  /** Argument 2x - 1. */
  readonly shifted?: boolean;
}
const LARGEST_DEGREE = 512;

const family =
  (name: string, { first, next, shifted = false }: Family) =>
  (input: TensorLike, n: TensorLike): Tensor => {
    if (!(input instanceof Tensor) && !(n instanceof Tensor))
      throw new ProjError('invalid-argument', 'at least one operand must be a tensor', { op: name });
    const dtype = toFloat(promotedType(input, n));
    const [argument, rawDegree] = unify(name, [input, n], 'float64').map(wrap);
    const degree = rawDegree.detach().trunc();
    const largest =
      n instanceof Tensor
        ? n.numel() === 0
          ? 0
          : Math.trunc(n.detach().double().amax().item())
        : Math.trunc(Number(scalarValue(n)));
    if (largest > LARGEST_DEGREE)
      throw new ProjError('invalid-argument', `degree ${largest}`, {
        op: name,
        cure: `Use degrees up to ${LARGEST_DEGREE}`,
      });
    const x = shifted ? argument.mul(2).sub(f(1)) : argument;
    let before = constant(x, 1);
    let current = x.mul(f(first[1])).add(f(first[0]));
    let result = where(degree.eq(0), before, constant(x, 0));
    for (let k = 1; k <= largest; k++) {
      result = where(degree.eq(k), current, result);
      const [a, b, c, d] = next(k);
      [before, current] = [
        current,
        x
          .mul(f(b))
          .add(f(a))
          .mul(current)
          .sub(before.mul(f(c)))
          .div(f(d)),
      ];
    }
    return wrap(castNode(where(x.ne(x), x, result).node, dtype));
  };

const chebyshev = (): readonly [number, number, number, number] => [0, 2, 1, 1];
/** Chebyshev polynomial of the first kind. */
export const chebyshevPolynomialT = family('chebyshevPolynomialT', { first: [0, 1], next: chebyshev });
/** Chebyshev polynomial of the second kind. */
export const chebyshevPolynomialU = family('chebyshevPolynomialU', { first: [0, 2], next: chebyshev });
/** Chebyshev polynomial of the third kind. */
export const chebyshevPolynomialV = family('chebyshevPolynomialV', { first: [-1, 2], next: chebyshev });
/** Chebyshev polynomial of the fourth kind. */
export const chebyshevPolynomialW = family('chebyshevPolynomialW', { first: [1, 2], next: chebyshev });
/** Chebyshev polynomial of the first kind of 2x - 1. */
export const shiftedChebyshevPolynomialT = family('shiftedChebyshevPolynomialT', {
  first: [0, 1],
  next: chebyshev,
  shifted: true,
});
/** Chebyshev polynomial of the second kind of 2x - 1. */
export const shiftedChebyshevPolynomialU = family('shiftedChebyshevPolynomialU', {
  first: [0, 2],
  next: chebyshev,
  shifted: true,
});
/** Chebyshev polynomial of the third kind of 2x - 1. */
export const shiftedChebyshevPolynomialV = family('shiftedChebyshevPolynomialV', {
  first: [-1, 2],
  next: chebyshev,
  shifted: true,
});
/** Chebyshev polynomial of the fourth kind of 2x - 1. */
export const shiftedChebyshevPolynomialW = family('shiftedChebyshevPolynomialW', {
  first: [1, 2],
  next: chebyshev,
  shifted: true,
});
/** Hermite polynomial, physicists' form. */
export const hermitePolynomialH = family('hermitePolynomialH', { first: [0, 2], next: (k) => [0, 2, 2 * k, 1] });
/** Hermite polynomial, probabilists' form. */
export const hermitePolynomialHe = family('hermitePolynomialHe', { first: [0, 1], next: (k) => [0, 1, k, 1] });
/** Laguerre polynomial. */
export const laguerrePolynomialL = family('laguerrePolynomialL', {
  first: [1, -1],
  next: (k) => [2 * k + 1, -1, k, k + 1],
});
/** Legendre polynomial. */
export const legendrePolynomialP = family('legendrePolynomialP', {
  first: [0, 1],
  next: (k) => [0, 2 * k + 1, k, k + 1],
});
