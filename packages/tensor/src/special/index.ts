/** torch.special: mathematical functions beyond the elementary ones. */
export {
  digamma,
  digamma as psi,
  erf,
  erfc,
  erfinv,
  exp2,
  expm1,
  lgamma as gammaln,
  log1p,
  round,
  sigmoid as expit,
} from '../ops/elementwise.ts';
export { logit, sinc, xlogy } from '../ops/arithmetic.ts';
export { logSoftmax, logsumexp, softmax } from '../ops/statistics.ts';
export {
  airyAi,
  besselJ0,
  besselJ1,
  besselY0,
  besselY1,
  i0,
  i0 as modifiedBesselI0,
  i0e,
  i1,
  i1 as modifiedBesselI1,
  i1e,
  modifiedBesselK0,
  modifiedBesselK1,
  scaledModifiedBesselK0,
  scaledModifiedBesselK1,
  sphericalBesselJ0,
} from './bessel.ts';
export { igamma as gammainc, igammac as gammaincc, mvlgamma as multigammaln, polygamma, zeta } from './gamma.ts';
export { entr, erfcx, logNdtr, ndtr, ndtri, xlog1py } from './normal.ts';
export {
  chebyshevPolynomialT,
  chebyshevPolynomialU,
  chebyshevPolynomialV,
  chebyshevPolynomialW,
  hermitePolynomialH,
  hermitePolynomialHe,
  laguerrePolynomialL,
  legendrePolynomialP,
  shiftedChebyshevPolynomialT,
  shiftedChebyshevPolynomialU,
  shiftedChebyshevPolynomialV,
  shiftedChebyshevPolynomialW,
} from './polynomials.ts';
