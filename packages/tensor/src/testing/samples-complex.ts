/** Sample calls with complex numbers: of the operations that make and take them apart, and further ones of operations on any dtype. */
import { complexScalar } from '../promotion.ts';
import { complex } from '../ops/complex.ts';
import type { Tensor } from '../tensor.ts';
import type { FloatOptions, SampleMaker } from './maker.ts';
import { type Accuracy, FLOATS, type OpSample, op, type OpSamples, sample, type SampleOptions } from './sample.ts';

/** Complex numbers, whose two parts are the leaves of gradient checks. */
const numbers = (m: SampleMaker, shape: readonly number[], range: FloatOptions = {}): Tensor =>
  complex(m.float(shape, range), m.float(shape, range));

type Call = readonly [name: string, args: OpSample['args'], options?: SampleOptions];
const calls = (...list: readonly Call[]): OpSample[] =>
  list.map(([name, args, options]) => sample(name, args, options));
/** Complex arithmetic takes several real operations, which may be fused. */
const further = (...list: readonly Call[]): OpSample[] =>
  calls(...list).map((one) => ({ ...one, accuracy: 'composed' }));
const unary = (range: FloatOptions = {}): OpSample[] =>
  further(
    ['complex', (m) => [numbers(m, [3, 5], range)]],
    ['complex, longer than a vector', (m) => [numbers(m, [67], range)], { derivatives: 'none' }],
    ['complex, transposed', (m) => [numbers(m, [4, 3], range).t()], { dtypes: ['float32'], derivatives: 'none' }],
  );
const binary: OpSample[] = further(
  ['complex', (m) => [numbers(m, [2, 3]), numbers(m, [3])]],
  ['complex and real', (m) => [numbers(m, [4]), m.positive([4])]],
  ['real and complex', (m) => [m.positive([4]), numbers(m, [4])]],
  ['complex number', (m) => [numbers(m, [4]), complexScalar(0.5, -2)]],
);
/** Well-conditioned matrices. */
const dominant = (m: SampleMaker): Tensor => numbers(m, [3, 3]).add(m.constant([5, 0, 0, 0, 6, 0, 0, 0, 7], [3, 3]));
const positive = (m: SampleMaker): Tensor => {
  const a = numbers(m, [3, 3]);
  return a.matmul(a.mH).add(m.constant([1, 0, 0, 0, 2, 0, 0, 0, 3], [3, 3]));
};
const square = (m: SampleMaker): Tensor => numbers(m, [3, 3]);

/** Operations for which complex numbers are one kind of argument among others. */
export const MORE_SAMPLES: Readonly<Record<string, readonly OpSample[]>> = {
  exp: unary(),
  log: unary(),
  log2: unary(),
  log10: unary(),
  sqrt: unary(),
  rsqrt: unary(),
  reciprocal: unary(),
  square: unary(),
  sin: unary(),
  cos: unary(),
  tan: unary(),
  asin: unary(),
  acos: unary(),
  atan: unary({ low: 0.1, high: 0.8 }),
  sinh: unary(),
  cosh: unary(),
  tanh: unary(),
  asinh: unary(),
  // As in PyTorch, the gradient is that of 1 / √(z² - 1), which has another sign on the left.
  acosh: unary({ low: 0.1, high: 1.5 }),
  atanh: unary({ low: 0.1, high: 0.8 }),
  sigmoid: unary(),
  neg: unary(),
  abs: unary(),
  angle: unary(),
  sgn: unary(),
  real: unary(),
  conj: unary(),
  conjPhysical: unary(),
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  pow: binary,
  eq: binary,
  ne: binary,
  isclose: further(['complex', (m) => [numbers(m, [4]), numbers(m, [4])], { derivatives: 'none' }]),
  isfinite: unary(),
  isreal: unary(),
  sum: further(['complex', (m) => [numbers(m, [3, 4]), 1]]),
  mean: further(['complex', (m) => [numbers(m, [3, 4]), 0]]),
  prod: further(['complex', (m) => [numbers(m, [3, 5]), 1]], ['complex, all', (m) => [numbers(m, [7])]]),
  var: further(['complex', (m) => [numbers(m, [3, 4]), 1]]),
  std: further(['complex', (m) => [numbers(m, [3, 4]), 1]]),
  norm: further(['complex', (m) => [numbers(m, [3, 4])]]),
  cumsum: further(['complex', (m) => [numbers(m, [3, 4]), 0]]),
  cumprod: further(['complex', (m) => [numbers(m, [3, 5]), 1]]),
  matmul: further(
    ['complex', (m) => [numbers(m, [3, 4]), numbers(m, [4, 2])]],
    ['complex, batched', (m) => [numbers(m, [2, 3, 4]), numbers(m, [4, 2])]],
    ['complex, transposed', (m) => [numbers(m, [4, 3]).t(), numbers(m, [2, 4]).t()]],
  ),
  dot: further(['complex', (m) => [numbers(m, [5]), numbers(m, [5])]]),
  vdot: further(['complex', (m) => [numbers(m, [5]), numbers(m, [5])]]),
  addmm: further([
    'complex',
    (m) => [square(m), square(m), square(m), { beta: complexScalar(0, 1), alpha: complexScalar(2, -1) }],
  ]),
  cat: further(['complex and real', (m) => [[numbers(m, [2, 3]), m.float([1, 3])]]]),
  stack: further(['complex', (m) => [[numbers(m, [3]), numbers(m, [3])], 1]]),
  gather: further(['complex', (m) => [numbers(m, [3, 4]), 1, m.indices([3, 2], 0, 4)]]),
  indexSelect: further(['complex', (m) => [numbers(m, [3, 4]), 0, m.indices([5], 0, 3)]]),
  scatterAdd: further(['complex', (m) => [numbers(m, [3, 4]), 1, m.indices([3, 2], 0, 4), numbers(m, [3, 2])]]),
  maskedFill: further(['complex', (m) => [numbers(m, [3, 4]), m.mask([3, 4]), complexScalar(1, 2)]]),
  constantPadNd: further(['complex', (m) => [numbers(m, [2, 3]), [1, 2], complexScalar(1, 2)]]),
  flip: further(['complex', (m) => [numbers(m, [2, 3]), [0, 1]]]),
  permute: further(['complex', (m) => [numbers(m, [2, 3, 4]), [2, 0, 1]]]),
  expand: further(['complex', (m) => [numbers(m, [2, 1]), [3, 2, 4]]]),
  'linalg.inv': further(['complex', (m) => [dominant(m)]]),
  'linalg.solve': further(['complex', (m) => [dominant(m), numbers(m, [3, 2])]]),
  'linalg.det': further(['complex', (m) => [dominant(m)]]),
  'linalg.slogdet': further(['complex', (m) => [dominant(m)]]),
  'linalg.cholesky': further(['complex', (m) => [positive(m)]]),
  'linalg.solveTriangular': further(['complex', (m) => [dominant(m), numbers(m, [3, 2]), { upper: true }]]),
  'linalg.luFactor': further(['complex', (m) => [dominant(m)]]),
  'linalg.qr': further(['complex', (m) => [dominant(m)], { derivatives: 'none' }]),
  'linalg.ldlFactor': further(['complex', (m) => [positive(m), { hermitian: true }], { derivatives: 'none' }]),
  'linalg.svdvals': further(['complex', (m) => [numbers(m, [3, 2])], { derivatives: 'first' }]),
  'linalg.eigvalsh': further(['complex', (m) => [positive(m)], { derivatives: 'first' }]),
  'linalg.pinv': further(['complex', (m) => [numbers(m, [4, 2])], { derivatives: 'first' }]),
  'linalg.matrixExp': further(['complex', (m) => [square(m).mul(0.3)], { derivatives: 'first' }]),
  tril: further(['complex', (m) => [square(m)]]),
};

const of = (accuracy: Accuracy, ...list: readonly Call[]): OpSamples => op(accuracy, ...calls(...list));

const transforms = of(
  'solved',
  ['complex', (m) => [numbers(m, [2, 6])]],
  ['another dimension, ortho', (m) => [numbers(m, [5, 3]), { dim: 0, norm: 'ortho' }]],
  ['cut and filled', (m) => [numbers(m, [2, 4]), { n: 7, norm: 'forward' }]],
  ['in stages', (m) => [numbers(m, [2, 80])], { derivatives: 'none' }],
  ['with a large prime', (m) => [numbers(m, [131])], { derivatives: 'none' }],
);
const ofReals = of(
  'solved',
  ['real', (m) => [m.float([2, 6])]],
  ['odd length', (m) => [m.float([2, 5]), { norm: 'ortho' }]],
  ['another dimension', (m) => [m.float([4, 3]), { n: 3, dim: 0 }]],
);
const toReals = of(
  'solved',
  ['complex', (m) => [numbers(m, [2, 4])]],
  ['odd length', (m) => [numbers(m, [2, 4]), { n: 7, norm: 'ortho' }]],
);
const plane = (complexInput: boolean): OpSamples => {
  const make = (m: SampleMaker, shape: readonly number[]): Tensor =>
    complexInput ? numbers(m, shape) : m.float(shape);
  return of(
    'solved',
    ['ordinary', (m) => [make(m, [2, 3, 4])]],
    ['lengths', (m) => [make(m, [3, 4]), { s: [2, 6], norm: 'ortho' }]],
  );
};
const frequencies = of('rounded', ['even', () => [8]], ['odd', () => [7, { d: 0.25 }]]);
const shifts = of('exact', ['all', (m) => [m.float([3, 4])]], ['one', (m) => [numbers(m, [3, 4]), { dim: 1 }]]);

/** Operations that are about complex numbers alone. */
export const COMPLEX_SAMPLES: Readonly<Record<string, OpSamples>> = {
  complex: of('exact', ['ordinary', (m) => [m.float([2, 3]), m.float([3])], { dtypes: FLOATS }]),
  polar: of('function', ['ordinary', (m) => [m.positive([2, 3]), m.float([2, 3])], { dtypes: FLOATS }]),
  imag: of('exact', ['ordinary', (m) => [numbers(m, [3, 4])]], ['transposed', (m) => [numbers(m, [3, 4]).t()]]),
  viewAsReal: of('exact', ['ordinary', (m) => [numbers(m, [3, 4])]], ['0-dim', (m) => [numbers(m, [])]]),
  viewAsComplex: of('exact', ['ordinary', (m) => [m.float([3, 4, 2])]], ['one', (m) => [m.float([2])]]),
  'fft.fft': transforms,
  'fft.ifft': transforms,
  'fft.rfft': ofReals,
  'fft.ihfft': ofReals,
  'fft.irfft': toReals,
  'fft.hfft': toReals,
  'fft.fft2': plane(true),
  'fft.ifft2': plane(true),
  'fft.irfft2': plane(true),
  'fft.hfft2': plane(true),
  'fft.rfft2': plane(false),
  'fft.ihfft2': plane(false),
  'fft.fftn': plane(true),
  'fft.ifftn': plane(true),
  'fft.irfftn': plane(true),
  'fft.hfftn': plane(true),
  'fft.rfftn': plane(false),
  'fft.ihfftn': plane(false),
  'fft.fftfreq': frequencies,
  'fft.rfftfreq': frequencies,
  'fft.fftshift': shifts,
  'fft.ifftshift': shifts,
  cfloat: of('exact', ['ordinary', (m) => [m.float([3])], { dtypes: ['float32'], derivatives: 'none' }]),
  cdouble: of('exact', ['ordinary', (m) => [m.float([3])], { dtypes: ['float64'] }]),
};
