/**
 * Bessel functions and the Airy function. Integral representations near the origin (DLMF 10.9, 10.32, 9.5), Hankel's asymptotic series
 * (DLMF 10.17, 10.40, 9.7) beyond.
 */
import { isnan, where } from '../ops/elementwise.ts';
import type { Tensor } from '../tensor.ts';
import { branch, constant, f, inDouble, polynomial, quadrature } from './quadrature.ts';

const EULER_GAMMA = 0.5772156649015329;
/** Midpoints of [0, π]. */
const ANGLES = Array.from({ length: 96 }, (_, j) => ((j + 0.5) * Math.PI) / 96);
const EQUAL = ANGLES.map(() => 1 / ANGLES.length);
const SINES = ANGLES.map(Math.sin);
const COSINES = ANGLES.map(Math.cos);
const COSINES_LESS_ONE = ANGLES.map((angle) => -2 * Math.sin(angle / 2) ** 2);
/** Where the series take over from the integrals. */
const FAR = 25;

/** a_k(ν) of Hankel's expansions: Π (4ν² - (2j-1)²) / (k! 8^k). */
function hankel(order: number, count: number): number[] {
  const a = [1];
  for (let k = 1; k < count; k++) a.push((a[k - 1] * (4 * order * order - (2 * k - 1) ** 2)) / (8 * k));
  return a;
}
/** Coefficients in 1/x² of the two series of J and Y. */
function hankelPairs(order: number): { p: number[]; q: number[] } {
  const a = hankel(order, 18);
  const signed = (offset: number): number[] =>
    a.flatMap((x, k) => (k % 2 === offset ? [((k - offset) / 2) % 2 === 0 ? x : -x] : []));
  return { p: signed(0), q: signed(1) };
}

/** J or Y far from the origin, for positive x. */
function oscillating(x: Tensor, order: 0 | 1, kind: 'J' | 'Y'): Tensor {
  const { p, q } = hankelPairs(order);
  const inverse = x.mul(x).reciprocal();
  const [even, odd] = [polynomial(inverse, p), polynomial(inverse, q).div(x)];
  const phase = x.sub(f((order * Math.PI) / 2 + Math.PI / 4));
  const wave =
    kind === 'J' ? even.mul(phase.cos()).sub(odd.mul(phase.sin())) : even.mul(phase.sin()).add(odd.mul(phase.cos()));
  return wave.mul(x.mul(f(Math.PI / 2)).rsqrt());
}
const j0Near = (x: Tensor): Tensor => quadrature(x, SINES, EQUAL, (a, s) => a.mul(s).cos());
const j1Near = (x: Tensor): Tensor =>
  quadrature(
    x,
    SINES,
    EQUAL.map((w, j) => w * SINES[j]),
    (a, s) => a.mul(s).sin(),
  );

/** Bessel function of the first kind, order 0. */
export const besselJ0 = inDouble((x) => {
  const size = x.abs();
  return where(
    size.eq(Infinity),
    constant(x, 0),
    branch(size.gt(FAR), size, [FAR, 0], (a) => oscillating(a, 0, 'J'), j0Near),
  );
});
/** Bessel function of the first kind, order 1. */
export const besselJ1 = inDouble((x) => {
  const size = x.abs();
  return where(
    size.eq(Infinity),
    constant(x, 0),
    branch(size.gt(FAR), size, [FAR, 0], (a) => oscillating(a, 1, 'J'), j1Near).mul(x.sign()),
  );
});

/** Neumann's series Σ (-1)^k J_2k(x) / k as weights of the integrals of J_2k. */
const NEUMANN = ANGLES.map((angle) => {
  let sum = 0;
  for (let k = 1; k <= 40; k++) sum += ((k % 2 === 0 ? 1 : -1) * Math.cos(2 * k * angle)) / k;
  return sum / ANGLES.length;
});
const logTerm = (x: Tensor): Tensor => x.mul(f(0.5)).log().add(f(EULER_GAMMA));
const y0Near = (x: Tensor): Tensor =>
  logTerm(x)
    .mul(j0Near(x))
    .mul(f(2 / Math.PI))
    .sub(quadrature(x, SINES, NEUMANN, (a, s) => a.mul(s).cos()).mul(f(4 / Math.PI)));
const y1Near = (x: Tensor): Tensor =>
  logTerm(x)
    .mul(j1Near(x))
    .sub(j0Near(x).div(x))
    .mul(f(2 / Math.PI))
    .sub(
      quadrature(
        x,
        SINES,
        NEUMANN.map((w, j) => w * SINES[j]),
        (a, s) => a.mul(s).sin(),
      ).mul(f(4 / Math.PI)),
    );
const secondKind = (order: 0 | 1, near: (x: Tensor) => Tensor): ((input: Tensor) => Tensor) =>
  inDouble((x) => {
    const positive = where(x.gt(0), x, constant(x, 1));
    const value = branch(positive.gt(FAR), positive, [FAR, 1], (a) => oscillating(a, order, 'Y'), near);
    return where(
      x.gt(0),
      where(x.eq(Infinity), constant(x, 0), value),
      where(x.eq(0), constant(x, -Infinity), constant(x, Number.NaN)),
    );
  });
/** Bessel function of the second kind, order 0. */
export const besselY0 = secondKind(0, y0Near);
/** Bessel function of the second kind, order 1. */
export const besselY1 = secondKind(1, y1Near);

/** e^-|x| I_n(x) for |x|. */
function scaledI(size: Tensor, order: 0 | 1): Tensor {
  const series = hankel(order, 20).map((a, k) => (k % 2 === 0 ? a : -a));
  return branch(
    size.gt(30),
    size,
    [30, 0],
    (a) => polynomial(a.reciprocal(), series).mul(a.rsqrt().mul(f(1 / Math.sqrt(2 * Math.PI)))),
    (a) =>
      quadrature(a, COSINES_LESS_ONE, order === 0 ? EQUAL : EQUAL.map((w, j) => w * COSINES[j]), (b, c) =>
        b.mul(c).exp(),
      ),
  );
}
/** Modified Bessel function of the first kind, order 0, times e^-|x|. */
export const i0e = inDouble((x) => scaledI(x.abs(), 0));
/** I_1(x) / x in x² (DLMF 10.25.2), for |x| <= `NEAR`: the integral's error does not vanish with x. */
const ODD_SERIES = [0.5];
for (let k = 1; k < 14; k++) ODD_SERIES.push(ODD_SERIES[k - 1] / (4 * k * (k + 1)));
const NEAR = 3;
const oddNear = (x: Tensor): Tensor => polynomial(x.mul(x), ODD_SERIES).mul(x);
const oddFar = (x: Tensor): Tensor => scaledI(x.abs(), 1).mul(x.sign());
/** Modified Bessel function of the first kind, order 1, times e^-|x|. */
export const i1e = inDouble((x) =>
  branch(
    x.abs().le(NEAR),
    x,
    [0, NEAR],
    (a) => oddNear(a).mul(a.abs().neg().exp()),
    (a) => oddFar(a),
  ),
);
/** Modified Bessel function of the first kind, order 0. */
export const i0 = inDouble((x) => scaledI(x.abs(), 0).mul(x.abs().exp()));
/** Modified Bessel function of the first kind, order 1. */
export const i1 = inDouble((x) => branch(x.abs().le(NEAR), x, [0, NEAR], oddNear, (a) => oddFar(a).mul(a.abs().exp())));

/** Steps of the trapezoidal rule for ∫ exp(-x cosh t). */
const STEP = 0.1;
const HYPERBOLIC = Array.from({ length: 250 }, (_, j) => Math.cosh(j * STEP));
const HYPERBOLIC_LESS_ONE = Array.from({ length: 250 }, (_, j) => 2 * Math.sinh((j * STEP) / 2) ** 2);
const HYPERBOLIC_WEIGHTS = HYPERBOLIC.map((_, j) => (j === 0 ? STEP / 2 : STEP));
const EULER = 0.5772156649015329;
const thirdKind = (order: 0 | 1, scaled: boolean): ((input: Tensor) => Tensor) =>
  inDouble((x) => {
    const positive = where(x.gt(0), x, constant(x, 1));
    const weights = order === 0 ? HYPERBOLIC_WEIGHTS : HYPERBOLIC_WEIGHTS.map((w, j) => w * HYPERBOLIC[j]);
    const integral = quadrature(positive, HYPERBOLIC_LESS_ONE, weights, (a, c) => a.mul(c).neg().exp());
    const far = positive.gt(50);
    const series = polynomial(where(far, positive, constant(x, 50)).reciprocal(), hankel(order, 16)).mul(
      positive.mul(f(2 / Math.PI)).rsqrt(),
    );
    // Below, the integral would need steps without end; what is left out of the limit is smaller than x² log x.
    const near = positive.lt(2e-9);
    const small = where(near, positive, constant(x, 1));
    const limit = order === 0 ? small.mul(f(0.5)).log().add(f(EULER)).neg() : small.reciprocal();
    const value = where(near, limit.mul(small.exp()), where(far, series, integral));
    return where(
      x.gt(0),
      scaled ? value : value.mul(positive.neg().exp()),
      where(x.eq(0), constant(x, Infinity), constant(x, Number.NaN)),
    );
  });
/** Modified Bessel function of the second kind, order 0. */
export const modifiedBesselK0 = thirdKind(0, false);
/** Modified Bessel function of the second kind, order 1. */
export const modifiedBesselK1 = thirdKind(1, false);
/** Modified Bessel function of the second kind, order 0, times e^x. */
export const scaledModifiedBesselK0 = thirdKind(0, true);
/** Modified Bessel function of the second kind, order 1, times e^x. */
export const scaledModifiedBesselK1 = thirdKind(1, true);

/** Spherical Bessel function of the first kind, order 0: sin(x) / x. */
export const sphericalBesselJ0 = inDouble((x) => {
  const small = x.abs().lt(0.3);
  const value = branch(
    small,
    x,
    [0, 1],
    (a) => polynomial(a.mul(a), [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800]),
    (a) => a.sin().div(a),
  );
  return where(x.abs().eq(Infinity), constant(x, 0), value);
});

/** Nodes of the trapezoidal rule for the Airy integral along Im t = c. */
const AIRY_STEP = 0.07;
const AIRY_NODES = Array.from({ length: 130 }, (_, j) => j * AIRY_STEP);
const AIRY_WEIGHTS = AIRY_NODES.map((_, j) => (j === 0 ? AIRY_STEP / 2 : AIRY_STEP) / Math.PI);
/** u_k of DLMF 9.7.2. */
const AIRY_SERIES = Array.from({ length: 20 }).reduce<number[]>(
  (u, _, i) => (i === 0 ? [1] : [...u, (u[i - 1] * (6 * i - 5) * (6 * i - 3) * (6 * i - 1)) / (216 * i * (2 * i - 1))]),
  [],
);
/** The Airy function Ai. */
export const airyAi = inDouble((x) => {
  const far = x.lt(-10);
  const value = branch(
    far,
    x,
    [-10, 0],
    (a) => {
      const size = a.neg();
      const zeta = size.pow(1.5).mul(f(2 / 3));
      const inverse = zeta.mul(zeta).reciprocal();
      const pick = (offset: number): number[] =>
        AIRY_SERIES.flatMap((u, k) => (k % 2 === offset ? [((k - offset) / 2) % 2 === 0 ? u : -u] : []));
      const phase = zeta.sub(f(Math.PI / 4));
      const wave = phase
        .cos()
        .mul(polynomial(inverse, pick(0)))
        .add(phase.sin().mul(polynomial(inverse, pick(1)).div(zeta)));
      return wave.div(size.pow(0.25).mul(f(Math.sqrt(Math.PI))));
    },
    (a) => {
      const shift = a.clamp(f(0.5)).sqrt();
      const integral = quadratureWith(a, shift);
      return integral.mul(shift.pow(3).div(3).sub(a.mul(shift)).exp());
    },
  );
  return where(isnan(x), x, where(x.eq(Infinity), constant(x, 0), value));
});
function quadratureWith(x: Tensor, shift: Tensor): Tensor {
  const c = shift.unsqueeze(-1);
  return quadrature(x, AIRY_NODES, AIRY_WEIGHTS, (a, s) =>
    s
      .mul(s)
      .mul(c)
      .neg()
      .exp()
      .mul(
        s
          .pow(3)
          .div(3)
          .add(a.sub(c.mul(c)).mul(s))
          .cos(),
      ),
  );
}
