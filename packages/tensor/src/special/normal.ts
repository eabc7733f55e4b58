/** The normal distribution's functions, entropy, and scaled error functions. */
import { where } from '../ops/elementwise.ts';
import type { Tensor } from '../tensor.ts';
import { pairInDouble } from './gamma.ts';
import { branch, constant, f, inDouble, quadrature } from './quadrature.ts';

/** Trapezoidal rule for (2x/π) ∫ e^(-t²) / (x² + t²) dt, exact to the last digit from x = 5 on; divided by x above and below, for x = ∞. */
const NODES = Array.from({ length: 14 }, (_, n) => (n * 0.5) ** 2);
const WEIGHTS = NODES.map((square, n) => ((n === 0 ? 0.5 : 1) * Math.exp(-square)) / Math.PI);
/** e^(x²) to the last digits for x <= 27: x² in two parts, the first of them exact (Dekker 1971). */
function growingGaussian(x: Tensor): Tensor {
  const bounded = where(x.detach().abs().lt(30), x.detach(), constant(x, 30));
  const scaled = bounded.mul(f(2 ** 27 + 1));
  const upper = scaled.sub(scaled.sub(bounded));
  return upper
    .mul(upper)
    .exp()
    .mul(x.sub(upper).mul(x.add(upper)).exp());
}
const scaledErfc = (x: Tensor): Tensor =>
  branch(
    x.gt(5),
    x,
    [6, 0],
    (a) => quadrature(a, NODES, WEIGHTS, (b, t) => t.div(b).add(b).reciprocal()),
    (a) => growingGaussian(a).mul(a.erfc()),
  );

/** exp(x²) · erfc(x). */
export const erfcx = inDouble(scaledErfc);
const cdf = (x: Tensor): Tensor => x.mul(f(-Math.SQRT1_2)).erfc().mul(f(0.5));
/** The distribution function of the standard normal distribution. */
export const ndtr = inDouble(cdf);
const logCdf = (x: Tensor): Tensor =>
  branch(
    x.lt(-1),
    x,
    [-2, 0],
    (a) =>
      scaledErfc(a.mul(f(-Math.SQRT1_2)))
        .mul(f(0.5))
        .log()
        .sub(a.mul(f(0.5)).mul(a)),
    (a) => a.mul(f(Math.SQRT1_2)).erfc().mul(f(-0.5)).log1p(),
  );
/** The logarithm of the distribution function, accurate far into the tail. */
export const logNdtr = inDouble(logCdf);

/** For p below 1/2 and above, not near: Newton's method on the logarithm, from a rational start (Abramowitz and Stegun 26.2.23). */
function tailQuantile(p: Tensor): Tensor {
  const regular = p.gt(0).logicalAnd(p.lt(1));
  const inside = where(regular, p, constant(p, 0.5));
  const upper = inside.gt(0.5);
  const tail = where(upper, inside.rsub(1), inside);
  const logTail = tail.log();
  const t = logTail.detach().mul(-2).sqrt();
  const numerator = t.mul(f(0.010328)).add(f(0.802853)).mul(t).add(f(2.515517));
  const denominator = t.mul(f(0.001308)).add(f(0.189269)).mul(t).add(f(1.432788)).mul(t).add(f(1));
  let x = numerator.div(denominator).sub(t);
  const step = (at: Tensor, target: Tensor): Tensor => {
    const value = logCdf(at);
    return at.sub(
      value.sub(target).mul(
        at
          .mul(at)
          .mul(f(0.5))
          .add(f(Math.log(2 * Math.PI) / 2))
          .add(value)
          .exp(),
      ),
    );
  };
  for (let i = 0; i < 2; i++) x = step(x, logTail.detach());
  // The last steps carry the gradient: each doubles the order up to which the derivatives are right.
  x = step(step(x.detach(), logTail), logTail);
  const value = where(upper, x.neg(), x);
  return where(
    regular,
    value,
    where(p.eq(0), constant(p, -Infinity), where(p.eq(1), constant(p, Infinity), constant(p, Number.NaN))),
  );
}
/** The quantile of the standard normal distribution. */
export const ndtri = inDouble((p) =>
  branch(
    p.ge(0.25).logicalAnd(p.le(0.75)),
    p,
    [0.5, 0.1],
    // The difference is exact.
    (a) => a.sub(f(0.5)).mul(2).erfinv().mul(f(Math.SQRT2)),
    tailQuantile,
  ),
);

/** -x · ln x; 0 at zero, -∞ below. */
export const entr = inDouble((x) => {
  const positive = x.gt(0);
  const safe = where(positive, x, constant(x, 1));
  return where(
    x.ne(x),
    x,
    where(positive, safe.mul(safe.log()).neg(), where(x.eq(0), constant(x, 0), constant(x, -Infinity))),
  );
});
/** x · log1p(y), zero where x is zero (unless y is NaN). */
export const xlog1py = pairInDouble('xlog1py', (x, y) => {
  const zero = x.eq(0).logicalAnd(y.eq(y));
  const safe = where(zero, constant(y, 0), y);
  return where(y.ne(y), y, where(zero, constant(x, 0), x.mul(safe.log1p())));
});
