/** Special functions against figures of mpmath (40 digits). */
import * as T from '@proj/tensor';
import * as special from '@proj/tensor/special';
import { describe, expect, it } from 'vitest';
import { expectTensor } from './support/expect-tensor.ts';

const x = T.tensor([0.75, 2, 8.5, 33], { dtype: 'float64' });

/** As {@link expectTensor} for float64, with a relative bound: 0 must be 0. */
function expectRelative(values: readonly number[], found: T.Tensor): void {
  found.toFlatArray().forEach((value, i) => {
    const close = Math.abs(Number(value) - values[i]) <= 2e-15 * Math.abs(values[i]);
    if (!close && value !== values[i]) expect.fail(`element ${i} is ${String(value)}, expected ${values[i]}`);
  });
}
const doubles = (...values: number[]): T.Tensor => T.tensor(values, { dtype: 'float64' });

describe('special functions where figures are small or great', () => {
  it('modified Bessel functions', () => {
    const at = doubles(0, 1e-300, -1e-9, 0.5, 2.9);
    expectRelative([0, 5e-301, -5e-10, 0.2578943053908963, 3.6126072124369073], special.i1(at));
    expectRelative([0, 5e-301, -4.999999995000001e-10, 0.1564208031848717, 0.19877728162727987], special.i1e(at));
    expectRelative([3.989422804014327e-155], special.i0e(doubles(1e308)));
  });
  it('modified Bessel functions of the second kind near 0, and where their integral is steep', () => {
    const at = doubles(5e-9, 0.25, 48);
    expectRelative([19.229759440170724, 1.5415067512483027, 2.571489448024889e-22], special.modifiedBesselK0(at));
    expectRelative([199999999.99999994, 3.7470259744407115, 2.598139099995218e-22], special.modifiedBesselK1(at));
    expectRelative([200000000.99999994, 4.811276588171025, 0.18230455927561467], special.scaledModifiedBesselK1(at));
  });
  it('incomplete gamma functions of great arguments', () => {
    const [a, x] = [doubles(70, 300, 1000, 9500, 1e6), doubles(70, 250, 1040.5, 9555.5, 999000)];
    expectRelative(
      [0.5158954620346908, 0.0011623936310546183, 0.8987278287405588, 0.7162479385334286, 0.15865521357430365],
      special.gammainc(a, x),
    );
    expectRelative(
      [0.48410453796530917, 0.9988376063689454, 0.10127217125944125, 0.28375206146657134, 0.8413447864256963],
      special.gammaincc(a, x),
    );
  });
  it('the Airy function where its series begins', () => {
    const found = Number(special.airyAi(doubles(-10.47846944722334)).item());
    expect(Math.abs(found + 0.30921094402582605)).toBeLessThan(1e-14);
  });
  it('the zeta function of infinite order, as PyTorch 1.13', () => {
    expectRelative([1, Infinity], special.zeta(doubles(Infinity, Infinity), doubles(1, 0.5)));
  });
  it('normal quantiles beside 1/2', () => {
    expectRelative(
      [0, 5.565832849343534e-16, -0.00025066283008800747, -0.5244005127080408],
      special.ndtri(doubles(0.5, 0.5 + 2 ** -52, 0.4999, 0.3)),
    );
  });
  it('the logarithm of the normal distribution function', () => {
    expectRelative([-8.449999999999999e307], special.logNdtr(doubles(-1.3e154)));
  });
  it('scaled complementary error function', () => {
    expectRelative(
      [0.11748964756583025, 0.16400729757293264, 1.0442939379528289e174],
      special.erfcx(doubles(4.7, 3.3, -20)),
    );
  });
  it('log of the gamma function beside its first pole and far from it', () => {
    expectRelative(
      [744.4400719213812, 741.6674831991414, 693.1471805599454, Infinity, 0, 0],
      T.lgamma(doubles(2 ** -1074, -(2 ** -1070), -(2 ** -1000), -5e305, 1, 2)),
    );
    expect(Object.is(T.lgamma(doubles(1)).item(), 0)).toBe(true);
  });
});

describe('special functions', () => {
  it('Bessel J0', () => {
    expectTensor(
      special.besselJ0(x),
      'float64',
      [4],
      [0.864242275166649, 0.223890779141236, 0.0419392518429345, 0.0972706722355095],
    );
  });
  it('Bessel J1', () => {
    expectTensor(
      special.besselJ1(x.neg()),
      'float64',
      [4],
      [-0.349243602174862, -0.576724807756873, -0.273121963674054, -0.100619649115117],
    );
  });
  it('Bessel Y0', () => {
    expectTensor(
      special.besselY0(x),
      'float64',
      [4],
      [-0.137172769385772, 0.510375672649745, 0.270205105365787, 0.0991348255208795],
    );
  });
  it('Bessel Y1', () => {
    expectTensor(
      special.besselY1(x),
      'float64',
      [4],
      [-1.03759455076929, -0.107032431540938, -0.0261686793985375, -0.0957801224197018],
    );
  });
  it('modified Bessel I1', () => {
    expectTensor(
      special.i1(x),
      'float64',
      [4],
      [0.401992461580922, 1.59063685463733, 641.619902540067, 14735300419212.2],
    );
  });
  it('scaled modified Bessel I0', () => {
    expectTensor(
      special.i0e(x),
      'float64',
      [4],
      [0.541165219203495, 0.308508322553671, 0.139001843054848, 0.0697146260749177],
    );
  });
  it('scaled modified Bessel K0', () => {
    expectTensor(
      special.scaledModifiedBesselK0(x),
      'float64',
      [4],
      [1.29260299776396, 0.841568215070771, 0.423935999333698, 0.217361232029731],
    );
  });
  it('scaled modified Bessel K1', () => {
    expectTensor(
      special.scaledModifiedBesselK1(x),
      'float64',
      [4],
      [2.01026186433392, 1.03347684706869, 0.448213391563079, 0.220630356740421],
    );
  });
  it('Airy Ai', () => {
    expectTensor(
      special.airyAi(x.neg()),
      'float64',
      [4],
      [0.517772575151584, 0.227407428201686, -0.330290237630209, 0.234829518830197],
    );
  });
  it('erfcx', () => {
    expectTensor(
      special.erfcx(x),
      'float64',
      [4],
      [0.506937650293145, 0.255395676310506, 0.0659251224999804, 0.0170888151310041],
    );
  });
  it('log of the normal distribution', () => {
    expectTensor(
      special.logNdtr(x.neg()),
      'float64',
      [4],
      [-1.48444822991966, -3.78318433368203, -39.1973964282177, -548.916362269738],
    );
  });
  it('normal quantiles', () => {
    expectTensor(
      special.ndtri(T.tensor([1e-12, 0.3, 0.999], { dtype: 'float64' })),
      'float64',
      [3],
      [-7.03448382530113, -0.524400512708041, 3.09023230616781],
    );
  });
  it('Hurwitz zeta', () => {
    expectTensor(
      special.zeta(T.tensor([2.5], { dtype: 'float64' }), x),
      'float64',
      [4],
      [2.49154238551194, 0.341487257250917, 0.0293913608110869, 0.00359765470101581],
    );
  });
  it('polygamma', () => {
    expectTensor(
      special.polygamma(3, x),
      'float64',
      [4],
      [19.7633125348506, 0.493939402266829, 0.0038761403602824, 5.82337088795388e-5],
    );
  });
  it('lower incomplete gamma', () => {
    expectTensor(
      special.gammainc(T.tensor([0.5, 2, 9, 40], { dtype: 'float64' }), x),
      'float64',
      [4],
      [0.779328638080153, 0.593994150290162, 0.476894954967113, 0.130224697802875],
    );
  });
  it('upper incomplete gamma', () => {
    expectTensor(
      special.gammaincc(T.tensor([0.5, 2, 9, 20], { dtype: 'float64' }), x),
      'float64',
      [4],
      [0.220671361919847, 0.406005849709838, 0.523105045032887, 0.00596194220556152],
    );
  });
  it('Legendre polynomials', () => {
    expectTensor(
      special.legendrePolynomialP(T.tensor([0.3], { dtype: 'float64' }), T.tensor([0, 1, 5, 8])),
      'float64',
      [4],
      [1, 0.3, 0.34538625, -0.239074591015625],
    );
  });
  it('Hermite polynomials', () => {
    expectTensor(
      special.hermitePolynomialH(T.tensor([0.3], { dtype: 'float64' }), T.tensor([0, 1, 5, 8])),
      'float64',
      [4],
      [1, 0.6, 31.75776, 576.66806016],
    );
  });
});
