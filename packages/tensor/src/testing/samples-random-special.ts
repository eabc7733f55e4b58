/** Sample calls of random numbers (seeded, so that every device draws the same) and of special functions. */
import type { DType } from '@proj/kernel';
import { manualSeed } from '../ops/generator.ts';
import type { FloatOptions } from './maker.ts';
import {
  type Accuracy,
  ALL_FLOATS,
  FLOATS,
  INTEGERS,
  op,
  type OpSample,
  type OpSamples,
  sample,
  type SampleOptions,
} from './sample.ts';

const seeded =
  (args: OpSample['args']): OpSample['args'] =>
  (m) => {
    manualSeed(7);
    return args(m);
  };
const drawn = (
  accuracy: Accuracy,
  dtypes: readonly DType[],
  ...calls: readonly (readonly [string, OpSample['args']])[]
): OpSamples =>
  op(accuracy, ...calls.map(([name, args]) => sample(name, seeded(args), { dtypes, derivatives: 'none' })));
/** Operations on the generator alone make no tensor that a device computes. */
const NO_TENSORS = op('exact');

/** A function of one variable; `corners` may be points where it is infinite. */
const special = (range: FloatOptions, corners: readonly number[], options: SampleOptions = {}): OpSamples =>
  op(
    'composed',
    sample('ordinary', (m) => [m.float([3, 5], range)], { dtypes: FLOATS, derivatives: 'all', ...options }),
    sample('longer than a vector', (m) => [m.float([37], range)], { dtypes: ['float32'], derivatives: 'none' }),
    sample('size 0', (m) => [m.float([0], range)], { dtypes: ['float32'], derivatives: 'none' }),
    sample('corners', (m) => [m.values(corners)], { dtypes: FLOATS, derivatives: 'none' }),
  );
const NO_DERIVATIVE: SampleOptions = { derivatives: 'none' };
const WIDE: FloatOptions = { low: -6, high: 6 };
const POSITIVE: FloatOptions = { low: 0.2, high: 9 };
const bessel = special({ low: -12, high: 12 }, [0, 1, 5, 8, 20, 100, Number.NaN], NO_DERIVATIVE);
const besselOfPositive = special({ low: 0.2, high: 12 }, [0, 1, 2, 8, 20, 100, Number.NaN], NO_DERIVATIVE);
const polynomial = op(
  'composed',
  sample('orders', (m) => [m.float([2, 9], { low: -0.95, high: 0.95 }), m.integers([0, 1, 2, 3, 4, 5, 6, 7, 9])], {
    dtypes: FLOATS,
    derivatives: 'none',
  }),
);
const shifted = op(
  'composed',
  sample('orders', (m) => [m.float([2, 9], { low: 0.05, high: 0.95 }), m.integers([0, 1, 2, 3, 4, 5, 6, 7, 9])], {
    dtypes: FLOATS,
    derivatives: 'none',
  }),
);

const windows = op(
  'composed',
  sample('periodic', (m) => [9, { dtype: m.dtype, device: m.device }], { dtypes: FLOATS, derivatives: 'none' }),
  sample('symmetric', (m) => [8, false, { dtype: m.dtype, device: m.device }], { dtypes: FLOATS, derivatives: 'none' }),
);

export const RANDOM_SPECIAL_SAMPLES: Record<string, OpSamples> = {
  manualSeed: NO_TENSORS,
  seed: NO_TENSORS,
  initialSeed: NO_TENSORS,
  getRngState: NO_TENSORS,
  setRngState: NO_TENSORS,
  rand: drawn(
    'exact',
    ALL_FLOATS,
    ['ordinary', (m) => [3, 5, { dtype: m.dtype, device: m.device }]],
    ['longer', (m) => [[300], { dtype: m.dtype, device: m.device }]],
    ['size 0', (m) => [[0], { dtype: m.dtype, device: m.device }]],
  ),
  randn: drawn(
    'composed',
    ALL_FLOATS,
    ['ordinary', (m) => [3, 5, { dtype: m.dtype, device: m.device }]],
    ['longer', (m) => [[300], { dtype: m.dtype, device: m.device }]],
  ),
  randLike: drawn('exact', ALL_FLOATS, ['ordinary', (m) => [m.float([3, 4])]]),
  randnLike: drawn('composed', ALL_FLOATS, ['ordinary', (m) => [m.float([3, 4])]]),
  randint: drawn(
    'exact',
    ['float32'],
    ['ordinary', (m) => [-5, 9, [4, 40], { device: m.device }]],
    ['high only', (m) => [7, [5], { device: m.device }]],
    ['wide', (m) => [0, 2 ** 40, [70], { device: m.device }]],
  ),
  randintLike: drawn('exact', ['float32', ...INTEGERS], ['ordinary', (m) => [m.float([3, 4]), 0, 9]]),
  randperm: drawn(
    'exact',
    ['float32'],
    ['ordinary', (m) => [200, { device: m.device }]],
    ['none', (m) => [0, { device: m.device }]],
  ),
  normal: drawn(
    'composed',
    FLOATS,
    ['tensors', (m) => [m.float([3, 4]), m.positive([4])]],
    ['numbers', (m) => [2, 0.5, [70], { dtype: m.dtype, device: m.device }]],
  ),
  bernoulli: drawn(
    'exact',
    ALL_FLOATS,
    ['ordinary', (m) => [m.float([3, 40], { low: 0, high: 1 })]],
    ['p', (m) => [m.float([70]), 0.25]],
  ),
  multinomial: drawn(
    'exact',
    ['float32', 'float64'],
    ['replaced', (m) => [m.positive([2, 9]), 30, { replacement: true }]],
    ['not replaced', (m) => [m.positive([9]), 5]],
  ),
  poisson: drawn('exact', ['float32', 'float64'], ['ordinary', (m) => [m.float([3, 9], { low: 0.2, high: 6 })]]),
  uniform_: drawn('composed', FLOATS, ['ordinary', (m) => [m.float([3, 40]), -1, 2]]),
  normal_: drawn('composed', FLOATS, ['ordinary', (m) => [m.float([3, 40]), 1, 2]]),
  bernoulli_: drawn('exact', ['float32', 'int64', 'bool'], ['ordinary', (m) => [m.float([3, 40]), 0.3]]),
  exponential_: drawn('composed', FLOATS, ['ordinary', (m) => [m.float([3, 40]), 2]]),
  geometric_: drawn('exact', ['float32'], ['ordinary', (m) => [m.float([3, 40]), 0.3]]),
  cauchy_: drawn('composed', FLOATS, ['ordinary', (m) => [m.float([3, 40]), 1, 2]]),
  logNormal_: drawn('composed', FLOATS, ['ordinary', (m) => [m.float([3, 40]), 0, 0.5]]),
  random_: drawn(
    'exact',
    ['float32', 'int64', 'int32', 'uint8'],
    ['ordinary', (m) => [m.float([3, 40]), 2, 19]],
    ['all', (m) => [m.float([40])]],
  ),

  hannWindow: windows,
  hammingWindow: windows,
  blackmanWindow: windows,
  bartlettWindow: windows,
  kaiserWindow: windows,
  angle: op(
    'exact',
    sample('ordinary', (m) => [m.values([1, -2, 3, -0.5])], { dtypes: FLOATS }),
  ),
  vander: op(
    'sum',
    sample('ordinary', (m) => [m.float([3])]),
    sample('increasing', (m) => [m.float([3]), 5, { increasing: true }]),
  ),
  stft: op(
    'sum',
    sample('ordinary', (m) => [m.float([24]), 8, { hopLength: 4, returnComplex: false }]),
    sample('batch, not centred', (m) => [
      m.float([2, 16]),
      8,
      { center: false, returnComplex: false, window: m.constant([0.1, 0.5, 0.9, 1, 1, 0.9, 0.5, 0.1]) },
    ]),
  ),
  istft: op(
    'sum',
    sample('ordinary', (m) => [m.float([5, 5, 2]), 8, { hopLength: 2 }]),
  ),

  i0: special(WIDE, [0, 8, -8, 30, Number.NaN], { derivatives: 'all' }),
  i0e: special(WIDE, [0, 8, -8, 100, Number.NaN]),
  i1: special(WIDE, [0, 8, -8, 30, Number.NaN]),
  i1e: special(WIDE, [0, 8, -8, 100, Number.NaN]),
  airyAi: special({ low: -5, high: 5 }, [0, -2, 2, 10, Number.NaN], NO_DERIVATIVE),
  besselJ0: bessel,
  besselJ1: bessel,
  besselY0: besselOfPositive,
  besselY1: besselOfPositive,
  modifiedBesselI0: special(WIDE, [0, 8, -8, Number.NaN], NO_DERIVATIVE),
  modifiedBesselI1: special(WIDE, [0, 8, -8, Number.NaN], NO_DERIVATIVE),
  modifiedBesselK0: besselOfPositive,
  modifiedBesselK1: besselOfPositive,
  scaledModifiedBesselK0: besselOfPositive,
  scaledModifiedBesselK1: besselOfPositive,
  sphericalBesselJ0: bessel,
  igamma: op(
    'composed',
    sample('ordinary', (m) => [m.float([3, 4], POSITIVE), m.float([4], POSITIVE)], { derivatives: 'none' }),
  ),
  igammac: op(
    'composed',
    sample('ordinary', (m) => [m.float([3, 4], POSITIVE), m.float([4], POSITIVE)], { derivatives: 'none' }),
  ),
  mvlgamma: op(
    'composed',
    sample('ordinary', (m) => [m.float([3, 4], { low: 2, high: 6 }), 3], { derivatives: 'first' }),
  ),
  'polygamma(input, n)': op(
    'composed',
    ...[0, 1, 2].map((n) => sample(`order ${n}`, (m) => [m.float([7], POSITIVE), n], { derivatives: 'first' })),
  ),
  'polygamma(n, input)': op(
    'composed',
    sample('order 1', (m) => [1, m.float([7], POSITIVE)], { derivatives: 'first' }),
  ),
  zeta: op(
    'composed',
    sample('ordinary', (m) => [m.constant([1.5, 2, 4, 7]), m.float([3, 4], { low: 0.5, high: 4 })], {
      derivatives: 'first',
    }),
  ),
  entr: special({ low: 0.1, high: 3 }, [0, -1, 1, Number.NaN]),
  erfcx: special({ low: -2, high: 9 }, [0, 30, -3, Number.NaN]),
  logNdtr: special(WIDE, [0, -30, 30]),
  ndtr: special(WIDE, [0, -9, 9]),
  ndtri: special({ low: 0.02, high: 0.98 }, [0, 1, 0.5, 1e-9]),
  xlog1py: op(
    'composed',
    sample('ordinary', (m) => [m.positive([3, 4]), m.float([4], { low: -0.5, high: 3 })]),
  ),
  chebyshevPolynomialT: polynomial,
  chebyshevPolynomialU: polynomial,
  chebyshevPolynomialV: polynomial,
  chebyshevPolynomialW: polynomial,
  hermitePolynomialH: polynomial,
  hermitePolynomialHe: polynomial,
  laguerrePolynomialL: polynomial,
  legendrePolynomialP: polynomial,
  shiftedChebyshevPolynomialT: shifted,
  shiftedChebyshevPolynomialU: shifted,
  shiftedChebyshevPolynomialV: shifted,
  shiftedChebyshevPolynomialW: shifted,
};
