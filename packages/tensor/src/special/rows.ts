/** Rows of the op table for special functions. Few are Tensor methods. */
import type { Tensor } from '../tensor.ts';
import { type OpRow, row } from '../ops/table.ts';
import type * as besselModule from './bessel.ts';
import {
  besselJ0,
  besselJ1,
  besselY0,
  besselY1,
  i0e,
  i1e,
  i0,
  i1,
  modifiedBesselK0,
  modifiedBesselK1,
  scaledModifiedBesselK0,
  scaledModifiedBesselK1,
  sphericalBesselJ0,
  airyAi,
} from './bessel.ts';
import { igamma, igammac, mvlgamma, polygamma, zeta } from './gamma.ts';
import { erfcx, ndtr, logNdtr, ndtri, entr, xlog1py } from './normal.ts';
import {
  chebyshevPolynomialT,
  chebyshevPolynomialU,
  chebyshevPolynomialV,
  chebyshevPolynomialW,
  shiftedChebyshevPolynomialT,
  shiftedChebyshevPolynomialU,
  shiftedChebyshevPolynomialV,
  shiftedChebyshevPolynomialW,
  hermitePolynomialH,
  hermitePolynomialHe,
  laguerrePolynomialL,
  legendrePolynomialP,
} from './polynomials.ts';

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const special = (name: string, fn: unknown, signature = 'input', differentiable = false): OpRow =>
  row(name, fn as never, signature, { method: false, differentiable, torch: () => [`torch.special.${snake(name)}`] });

/** Listed rather than imported as namespaces, whose objects take long to make when the package is loaded. */
const bessel: { readonly [K in keyof typeof besselModule]: (typeof besselModule)[K] } = {
  besselJ0,
  besselJ1,
  besselY0,
  besselY1,
  i0e,
  i1e,
  i0,
  i1,
  modifiedBesselK0,
  modifiedBesselK1,
  scaledModifiedBesselK0,
  scaledModifiedBesselK1,
  sphericalBesselJ0,
  airyAi,
};
const normal = { erfcx, ndtr, logNdtr, ndtri, entr, xlog1py };
const polynomials = {
  chebyshevPolynomialT,
  chebyshevPolynomialU,
  chebyshevPolynomialV,
  chebyshevPolynomialW,
  shiftedChebyshevPolynomialT,
  shiftedChebyshevPolynomialU,
  shiftedChebyshevPolynomialV,
  shiftedChebyshevPolynomialW,
  hermitePolynomialH,
  hermitePolynomialHe,
  laguerrePolynomialL,
  legendrePolynomialP,
};

export const SPECIAL: readonly OpRow[] = [
  row('i0', bessel.i0, 'input', { inPlace: true, torch: ['torch.i0', 'Tensor.i0', 'torch.special.i0'] }),
  row('igamma', igamma as never, 'input, other', {
    inPlace: true,
    differentiable: false,
    torch: ['torch.igamma', 'Tensor.igamma', 'torch.special.gammainc'],
  }),
  row('igammac', igammac as never, 'input, other', {
    inPlace: true,
    differentiable: false,
    torch: ['torch.igammac', 'Tensor.igammac', 'torch.special.gammaincc'],
  }),
  row('mvlgamma', mvlgamma, 'input, p', {
    inPlace: true,
    torch: ['torch.mvlgamma', 'Tensor.mvlgamma', 'torch.special.multigammaln'],
  }),
  row('polygamma', (input: Tensor, n: number) => polygamma(n, input), 'input, n', {
    inPlace: true,
    torch: ['Tensor.polygamma'],
  }),
  row('polygamma', polygamma as never, 'n, input', {
    method: false,
    torch: ['torch.polygamma', 'torch.special.polygamma'],
  }),
  ...['i0e', 'i1', 'i1e'].map((name) => special(name, bessel[name as 'i0e' | 'i1' | 'i1e'], 'input', true)),
  ...Object.entries(bessel)
    .filter(([name]) => !['i0', 'i0e', 'i1', 'i1e'].includes(name))
    .map(([name, fn]) => special(name, fn)),
  special('modifiedBesselI0', bessel.i0),
  special('modifiedBesselI1', bessel.i1),
  special('zeta', zeta, 'input, other', true),
  ...Object.entries(normal).map(([name, fn]) => special(name, fn, name === 'xlog1py' ? 'input, other' : 'input', true)),
  ...Object.entries(polynomials).map(([name, fn]) => special(name, fn, 'input, n')),
];
