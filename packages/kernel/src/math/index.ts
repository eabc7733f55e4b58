/**
 * Functions written in the kernel language: each takes a builder and values, of any lanes, and gives the value of the result, so that every target
 * has the same function with the same accuracy. Bounds in the comments are the largest errors measured by the tests, in units in the last
 * place, with and without fused multiply-add.
 */
export { fmod, floorDiv, maximum, minimum, remainder, sign, truncDiv } from './arithmetic.ts';
export { i0, i0e, i1, i1e } from './bessel.ts';
export { erf, erfc, erfinv, logNdtr, ndtr, ndtri } from './error-function.ts';
export { exp, exp2, expm1, roughExp, roughExp2, scaledExp, sigmoid } from './exponential.ts';
export { digamma, lgamma, polygamma, zeta } from './gamma.ts';
export { acosh, asinh, atanh, cosh, sinh, tanh } from './hyperbolic.ts';
export { entr, log, log10, log1p, log2, xlog1p, xlogy } from './logarithm.ts';
export { pow, powInteger } from './power.ts';
export { normal, philox, philox4x32, uniform, uniformDouble } from './random.ts';
export { acos, asin, atan, atan2, cos, sin, sinCosTurns, sinPi, sinc, tan } from './trigonometric.ts';
export { copySign, isNaNValue, polynomial, type BinaryFunction, type UnaryFunction } from './support.ts';
