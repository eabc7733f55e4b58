/** Gamma-related functions: polygamma, Hurwitz zeta, incomplete and multivariate gamma. */
import { ProjError } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { castNode } from '../graph/build.ts';
import { promotedType, type TensorLike, unify } from '../ops/arguments.ts';
import { where } from '../ops/elementwise.ts';
import { isIntegral, toFloat } from '../promotion.ts';
import { Tensor, wrap } from '../tensor.ts';
import { largeGamma } from './large-gamma.ts';
import { constant, f, inDouble, quadrature } from './quadrature.ts';

/** A function of two arguments in float64, broadcast; the result has their promoted dtype. */
export const pairInDouble =
  (name: string, fn: (a: Tensor, b: Tensor) => Tensor) =>
  (input: TensorLike, other: TensorLike): Tensor => {
    if (!(input instanceof Tensor) && !(other instanceof Tensor))
      throw new ProjError('invalid-argument', 'at least one operand must be a tensor', { op: name });
    const dtype = toFloat(promotedType(input, other));
    const [a, b] = unify(name, [input, other], 'float64').map(wrap);
    return wrap(castNode(fn(a, b).node, dtype));
  };

/** B_2j / (2j)!. */
const BERNOULLI = [
  1 / 12,
  -1 / 720,
  1 / 30240,
  -1 / 1209600,
  1 / 47900160,
  -691 / 1307674368000,
  1 / 74724249600,
  -3617 / 10670622842880000,
];
const DIRECT = 48;
const OFFSETS = Array.from({ length: DIRECT }, (_, k) => k);

/** Σ (q + k)^-s by Euler and Maclaurin, for s > 1 and q that is no pole. */
function hurwitz(s: Tensor, q: Tensor): Tensor {
  const exponent = s.neg();
  const wide = exponent.unsqueeze(-1);
  const direct = quadrature(
    q,
    OFFSETS,
    OFFSETS.map(() => 1),
    (a, k) => a.add(k).pow(wide.expand([...a.shape.slice(0, -1), DIRECT])),
  );
  const end = q.add(f(DIRECT));
  const power = end.pow(exponent);
  let total = direct.add(power.mul(end).div(s.sub(f(1)))).add(power.mul(f(0.5)));
  let factor = s.mul(power).div(end);
  BERNOULLI.forEach((b, j) => {
    total = total.add(factor.mul(f(b)));
    factor = factor
      .mul(s.add(f(2 * j + 1)))
      .mul(s.add(f(2 * j + 2)))
      .div(end.mul(end));
  });
  return total;
}

/** The Hurwitz zeta function Σ (q + k)^-x. */
export const zeta = pairInDouble('zeta', (x, q) => {
  const whole = q.eq(q.floor());
  const pole = q.le(0).logicalAnd(whole);
  const undefinedPower = q.le(0).logicalAnd(whole.logicalNot()).logicalAnd(x.ne(x.floor()));
  const regular = x.gt(1).logicalAnd(pole.logicalNot()).logicalAnd(undefinedPower.logicalNot());
  const value = hurwitz(where(regular, x, constant(x, 2)), where(regular, q, constant(q, 1)));
  const elsewhere = where(x.eq(1).logicalOr(x.gt(1).logicalAnd(pole)), constant(x, Infinity), constant(x, Number.NaN));
  // Of an infinite order the first term alone is left.
  return where(regular, where(x.eq(Infinity), q.pow(x.neg()), value), elsewhere);
});

/** The derivative of digamma: reflection below 1/2, recurrence up to 6, then the asymptotic series. Poles come out as PyTorch's large numbers. */
function trigamma(input: Tensor): Tensor {
  const x = wrap(castNode(input.node, toFloat(input.dtype)));
  const low = x.lt(0.5);
  const sine = where(low, x, constant(x, 0.5)).mul(f(Math.PI)).sin();
  const reflected = sine
    .mul(sine)
    .reciprocal()
    .mul(f(Math.PI * Math.PI));
  let y = where(low, x.rsub(1), x);
  let sum = constant(x, 0);
  for (let i = 0; i < 6; i++) {
    sum = sum.add(y.mul(y).reciprocal());
    y = y.add(1);
  }
  const inverse = y.mul(y).reciprocal();
  const series = inverse
    .mul(f(-1 / 30))
    .add(f(1 / 6))
    .add(inverse.mul(inverse).mul(f(1 / 42)))
    .mul(inverse)
    .add(y.reciprocal().mul(f(0.5)))
    .add(1)
    .div(y);
  const total = sum.add(series);
  return where(low, reflected.sub(total), total);
}

/** The n-th derivative of the digamma function. */
export function polygamma(n: number, input: Tensor): Tensor {
  if (!Number.isInteger(n) || n < 0)
    throw new ProjError('invalid-argument', `order ${n}`, { op: 'polygamma', cure: 'Use a non-negative integer' });
  if (n === 0) return input.digamma();
  if (n === 1) return attachGradient(trigamma(input.detach()), [input], (g, [x]) => [g.mul(polygamma(2, x))]);
  let factorial = n % 2 === 0 ? -1 : 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return inDouble((x) => zeta(f(n + 1), x).mul(f(factorial)))(input);
}

/** log of the multivariate gamma function of dimension p. */
export function mvlgamma(input: Tensor, p: number): Tensor {
  if (!Number.isInteger(p) || p < 1)
    throw new ProjError('invalid-argument', `dimension ${p}`, { op: 'mvlgamma', cure: 'Use a positive integer' });
  return inDouble((x) => {
    let total = x.lgamma();
    for (let i = 1; i < p; i++) total = total.add(x.sub(f(i / 2)).lgamma());
    return total.add(f(((p * (p - 1)) / 4) * Math.log(Math.PI)));
  })(input);
}

const TERMS = Array.from({ length: 160 }, (_, n) => n);
/** Nodes and weights of ∫₀^∞ g(u) e^-u du, by the double exponential rule u = exp(t - e^-t) (Mori). */
const DECAY = Array.from({ length: 100 }, (_, j) => -4.5 + j * 0.09)
  .map((t) => ({ u: Math.exp(t - Math.exp(-t)), slope: 1 + Math.exp(-t) }))
  .map(({ u, slope }) => ({ u, weight: 0.09 * slope * u * Math.exp(-u) }))
  .filter(({ weight }) => weight > 1e-300);

/** Lower and upper regularised incomplete gamma functions, whichever is the smaller one by its own formula. */
function incomplete(a: Tensor, x: Tensor): { lower: Tensor; useSeries: Tensor; upper: Tensor } {
  const useSeries = x.lt(a.add(f(1)));
  const prefix = (y: Tensor, offset: number): Tensor =>
    a
      .mul(y.log())
      .sub(y)
      .sub(a.add(f(offset)).lgamma())
      .exp();
  const small = where(useSeries, x, constant(x, 0.5));
  const base = a.add(f(1));
  const terms = quadrature(
    small.log(),
    TERMS,
    TERMS.map(() => 1),
    (logX, n) => {
      const wide = base.unsqueeze(-1);
      return logX.mul(n).sub(wide.add(n).lgamma()).add(wide.lgamma()).exp();
    },
  );
  const large = where(useSeries, a.detach().add(f(2)), x);
  const tail = quadrature(
    large,
    DECAY.map(({ u }) => u),
    DECAY.map(({ weight }) => weight),
    (y, u) =>
      u
        .div(y)
        .add(f(1))
        .pow(
          a
            .unsqueeze(-1)
            .sub(f(1))
            .expand([...y.shape.slice(0, -1), DECAY.length]),
        ),
  );
  return { useSeries, lower: prefix(small, 1).mul(terms), upper: prefix(large, 0).div(large).mul(tail) };
}
function regularised(upper: boolean) {
  return (a: Tensor, x: Tensor): Tensor => {
    const regular = a.gt(0).logicalAnd(x.gt(0)).logicalAnd(x.lt(Infinity)).logicalAnd(a.lt(Infinity));
    const isLarge = regular
      .logicalAnd(a.gt(60))
      .logicalAnd(x.gt(a.mul(f(0.5))))
      .logicalAnd(x.lt(a.mul(f(2))));
    const ordinary = regular.logicalAnd(isLarge.logicalNot());
    const parts = incomplete(where(ordinary, a, constant(a, 1)), where(ordinary, x, constant(x, 1)));
    const large = largeGamma(where(isLarge, a, constant(a, 100)), where(isLarge, x, constant(x, 100)));
    const value = upper
      ? where(isLarge, large.upper, where(parts.useSeries, parts.lower.rsub(1), parts.upper))
      : where(isLarge, large.lower, where(parts.useSeries, parts.lower, parts.upper.rsub(1)));
    const [atZero, atInfinity] = upper ? [1, 0] : [0, 1];
    const invalid = a
      .lt(0)
      .logicalOr(x.lt(0))
      .logicalOr(a.eq(0).logicalAnd(x.eq(0)))
      .logicalOr(a.eq(Infinity).logicalAnd(x.eq(Infinity)))
      .logicalOr(a.ne(a))
      .logicalOr(x.ne(x));
    const edge = where(a.eq(0).logicalOr(x.eq(Infinity)), constant(x, atInfinity), constant(x, atZero));
    return where(regular, value, where(invalid, constant(x, Number.NaN), edge));
  };
}
function floatsOnly(op: string, fn: (input: TensorLike, other: TensorLike) => Tensor) {
  return (input: TensorLike, other: TensorLike): Tensor => {
    const dtype = promotedType(input, other);
    if (isIntegral(dtype)) throw new ProjError('dtype', `${op} of ${dtype}`, { op, cure: 'Cast to a float dtype' });
    return fn(input, other);
  };
}
/** The regularised lower incomplete gamma function P(a, x). */
export const igamma = floatsOnly('igamma', pairInDouble('igamma', regularised(false)));
/** The regularised upper incomplete gamma function Q(a, x). */
export const igammac = floatsOnly('igammac', pairInDouble('igammac', regularised(true)));
