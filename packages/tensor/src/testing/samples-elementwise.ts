/** Sample calls of elementwise operations. */
import type { DType } from '@proj/kernel';
import type { FloatOptions } from './maker.ts';
import {
  type Accuracy,
  ALL_FLOATS,
  ANY,
  FLOATS,
  INTEGERS,
  NUMBERS,
  op,
  type OpSample,
  type OpSamples,
  sample,
  type SampleOptions,
} from './sample.ts';

const ONE: readonly DType[] = ['float32'];
const NO_DERIVATIVE: SampleOptions = { derivatives: 'none', dtypes: ONE };

/** A function of one tensor on numbers from a range. `corners`: values where it, or its derivative, is special. */
function unary(
  accuracy: Accuracy,
  range: FloatOptions,
  corners: readonly number[],
  { dtypes = ALL_FLOATS, derivatives = 'all' }: SampleOptions = {},
): OpSamples {
  return op(
    accuracy,
    sample('ordinary', (m) => [m.float([3, 5], range)], { dtypes, derivatives }),
    sample('longer than a vector', (m) => [m.float([67], range)], { ...NO_DERIVATIVE, dtypes: FLOATS }),
    sample('size 0', (m) => [m.float([2, 0, 3], range)], { dtypes: ONE, derivatives }),
    sample('0-dim', (m) => [m.float([], range)], { dtypes: ONE, derivatives }),
    sample('size 1', (m) => [m.float([1, 1], range)], { dtypes: ONE, derivatives }),
    sample('transposed and reversed', (m) => [m.float([4, 3], range).t().flip(0)], { dtypes: ONE, derivatives }),
    sample('every second element', (m) => [m.float([3, 9], range).slice(1, 1, null, 2)], { dtypes: ONE, derivatives }),
    sample('corners', (m) => [m.values(corners)], { dtypes: FLOATS, derivatives: 'none' }),
  );
}
const alias = (accuracy: Accuracy, range: FloatOptions, options: SampleOptions = {}): OpSamples =>
  op(
    accuracy,
    sample('ordinary', (m) => [m.float([3, 5], range)], { dtypes: ONE, ...options }),
  );

const WIDE: FloatOptions = { low: -3, high: 3 };
const POSITIVE: FloatOptions = { low: 0.3, high: 3 };
const UNIT: FloatOptions = { low: -0.9, high: 0.9 };
const ABOVE_ONE: FloatOptions = { low: 1.2, high: 4 };
const EDGES = [0, -0, 1, -1, 1e-30, -1e-30, 1e30, -1e30, Infinity, -Infinity, Number.NaN];
const MODERATE = [0, -0, 1, -1, 1e-30, -1e-30, 1000, -1000, 88, -87, 104, Infinity, -Infinity, Number.NaN];
const floatOf = (accuracy: Accuracy, range: FloatOptions, corners: readonly number[]): OpSamples =>
  unary(accuracy, range, corners, { dtypes: [...ALL_FLOATS, 'int64', 'uint8', 'bool'] });

/** An operation on two tensors of these ranges. */
function binary(
  accuracy: Accuracy,
  left: FloatOptions,
  right: FloatOptions,
  { dtypes = ANY, derivatives = 'all' }: SampleOptions = {},
  corners: readonly (readonly [number, number])[] = [],
): OpSamples {
  return op(
    accuracy,
    sample('ordinary', (m) => [m.float([3, 5], left), m.float([3, 5], right)], { dtypes, derivatives }),
    sample('longer than a vector', (m) => [m.float([67], left), m.float([67], right)], {
      dtypes: dtypes.filter((t) => t === 'float32' || t === 'float64' || t === 'int64'),
      derivatives: 'none',
    }),
    sample('broadcast', (m) => [m.float([3, 1, 2], left), m.float([4, 1], right)], {
      dtypes: dtypes.slice(0, 1),
      derivatives,
    }),
    sample('with a 0-dim tensor', (m) => [m.float([2, 3], left), m.float([], right)], {
      dtypes: dtypes.slice(0, 1),
      derivatives,
    }),
    sample('size 0', (m) => [m.float([0, 3], left), m.float([1, 3], right)], {
      dtypes: dtypes.slice(0, 1),
      derivatives,
    }),
    sample('views', (m) => [m.float([4, 3], left).t(), m.float([3, 8], right).slice(1, 0, null, 2).flip(1)], {
      dtypes: dtypes.slice(0, 1),
      derivatives,
    }),
    ...(corners.length === 0
      ? []
      : [
          sample('corners', (m) => [m.values(corners.map(([a]) => a)), m.values(corners.map(([, b]) => b))], {
            dtypes: dtypes.filter((t) => t === 'float32' || t === 'float64'),
            derivatives: 'none',
          }),
        ]),
  );
}
const withNumber = (
  samples: OpSamples,
  left: FloatOptions,
  number: number,
  derivatives: OpSample['derivatives'] = 'all',
): OpSamples => ({
  ...samples,
  samples: [
    ...samples.samples,
    sample('with a number', (m) => [m.float([2, 3], left), number], {
      dtypes: samples.samples[0].dtypes.includes('int64') ? ['float32', 'int64'] : ONE,
      derivatives,
    }),
  ],
});
const aliasOfTwo = (
  accuracy: Accuracy,
  left: FloatOptions,
  right: FloatOptions,
  options: SampleOptions = {},
): OpSamples =>
  op(
    accuracy,
    sample('ordinary', (m) => [m.float([2, 3], left), m.float([3], right)], { dtypes: ONE, ...options }),
  );

const PAIRS: readonly (readonly [number, number])[] = [
  [0, 0],
  [0, -0],
  [1, 0],
  [-1, 0],
  [0, 1],
  [Infinity, 1],
  [-Infinity, Infinity],
  [Infinity, Infinity],
  [Number.NaN, 1],
  [1, Number.NaN],
  [7, 3],
  [-7, 3],
  [7, -3],
  [-7, -3],
  [6, 3],
  [-6, 3],
  [1e30, 1e-30],
  [5.5, 2],
  [-5.5, 2],
];
const comparison = binary('exact', WIDE, WIDE, { derivatives: 'none' }, [...PAIRS, [2, 2]]);
const comparisonAlias = aliasOfTwo('exact', WIDE, WIDE, { derivatives: 'none' });
const logicalSamples = (): OpSamples =>
  op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], WIDE), m.float([3, 5], WIDE)], {
      dtypes: ['bool', 'float32', 'int64'],
      derivatives: 'none',
    }),
    sample('zeros', (m) => [m.values([0, -0, 1, Number.NaN, 0, 2], [2, 3]), m.values([0, 1, 3])], NO_DERIVATIVE),
  );
const bitSamples = (shift = false): OpSamples =>
  op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], WIDE), m.float([3, 5], shift ? { low: 0, high: 1 } : WIDE)], {
      dtypes: shift ? INTEGERS : [...INTEGERS, 'bool'],
      derivatives: 'none',
    }),
    sample('broadcast', (m) => [m.float([3, 1], WIDE), m.float([70], shift ? { low: 0, high: 0.8 } : WIDE)], {
      dtypes: ['int64', 'int32'],
      derivatives: 'none',
    }),
    sample('with a number', (m) => [m.float([3, 4], WIDE), 3], { dtypes: ['int64', 'int32'], derivatives: 'none' }),
  );
const casts = (derivatives: OpSample['derivatives']): OpSamples =>
  op(
    'exact',
    sample('from every dtype', (m) => [m.float([3, 7], { low: 0, high: 3 })], { dtypes: ANY, derivatives }),
    sample('negative numbers', (m) => [m.float([67], { low: -3, high: 3 })], {
      dtypes: ['float32', 'float64', 'int64', 'int32'],
      derivatives: 'none',
    }),
    sample('a view', (m) => [m.positive([4, 3]).t().flip(0)], { dtypes: ONE, derivatives }),
  );
const rounding = (corners: readonly number[]): OpSamples =>
  unary('exact', { low: -3, high: 3, distinct: true }, corners, { dtypes: NUMBERS });
const ROUNDING_CORNERS = [
  0.5,
  1.5,
  2.5,
  -0.5,
  -1.5,
  -2.5,
  0.49999997,
  8388607.5,
  -8388609,
  1e30,
  Infinity,
  -Infinity,
  Number.NaN,
  -0,
  0,
];

export const ELEMENTWISE_SAMPLES: Record<string, OpSamples> = {
  exp: floatOf('function', WIDE, MODERATE),
  exp2: floatOf('function', WIDE, [...MODERATE, 127.5, -149, 128]),
  expm1: floatOf('function', WIDE, MODERATE),
  log: floatOf('function', POSITIVE, EDGES),
  log2: floatOf('function', POSITIVE, [...EDGES, 8]),
  log10: floatOf('function', POSITIVE, [...EDGES, 1000]),
  log1p: floatOf('function', UNIT, EDGES),
  sqrt: floatOf('exact', POSITIVE, EDGES),
  rsqrt: floatOf('rounded', POSITIVE, EDGES),
  reciprocal: floatOf('exact', POSITIVE, EDGES),
  square: unary('exact', WIDE, EDGES, { dtypes: NUMBERS }),
  sin: floatOf('function', WIDE, MODERATE),
  cos: floatOf('function', WIDE, MODERATE),
  tan: floatOf('function', { low: -1.2, high: 1.2 }, MODERATE),
  asin: floatOf('function', UNIT, EDGES),
  acos: floatOf('function', UNIT, EDGES),
  atan: floatOf('function', WIDE, EDGES),
  arcsin: alias('function', UNIT),
  arccos: alias('function', UNIT),
  arctan: alias('function', WIDE),
  sinh: floatOf('function', WIDE, MODERATE),
  cosh: floatOf('function', WIDE, MODERATE),
  tanh: floatOf('function', WIDE, MODERATE),
  asinh: floatOf('function', WIDE, EDGES),
  acosh: floatOf('function', ABOVE_ONE, EDGES),
  atanh: floatOf('function', UNIT, EDGES),
  arcsinh: alias('function', WIDE),
  arccosh: alias('function', ABOVE_ONE),
  arctanh: alias('function', UNIT),
  erf: floatOf('function', WIDE, EDGES),
  erfc: floatOf('function', WIDE, EDGES),
  erfinv: floatOf('function', UNIT, [0, -0, 1, -1, 0.999, -0.999, 2, Number.NaN]),
  lgamma: unary('function', { low: 3.2, high: 9 }, [1, 2, 0.5, 30, 1e10, Infinity, Number.NaN], { dtypes: ALL_FLOATS }),
  digamma: unary('function', { low: 2, high: 9 }, [1, 2, 0.25, 30, 1e10, Infinity, Number.NaN], {
    dtypes: ALL_FLOATS,
    derivatives: 'first',
  }),
  sigmoid: floatOf('function', WIDE, MODERATE),
  neg: unary('exact', WIDE, EDGES, { dtypes: NUMBERS }),
  negative: alias('exact', WIDE),
  abs: unary('exact', { ...WIDE, distinct: true }, EDGES, { dtypes: NUMBERS }),
  absolute: alias('exact', { ...WIDE, distinct: true }),
  sign: unary('exact', { ...WIDE, distinct: true }, EDGES, { dtypes: ANY }),
  sgn: alias('exact', { ...WIDE, distinct: true }),
  relu: unary('exact', { ...WIDE, distinct: true }, EDGES, { dtypes: NUMBERS }),
  floor: rounding(ROUNDING_CORNERS),
  ceil: rounding(ROUNDING_CORNERS),
  trunc: rounding(ROUNDING_CORNERS),
  fix: alias('exact', { ...WIDE, distinct: true }),
  frac: unary('exact', { ...WIDE, distinct: true }, [0.5, -0.5, 1e30, 0], { dtypes: ALL_FLOATS }),
  positive: alias('exact', WIDE),
  round: op(
    'exact',
    ...rounding(ROUNDING_CORNERS).samples,
    sample('decimals', (m) => [m.float([9], WIDE), { decimals: 2 }], { derivatives: 'none' }),
    sample('tens', (m) => [m.float([9], { low: -300, high: 300 }), { decimals: -1 }], { derivatives: 'none' }),
  ),
  add: op(
    'exact',
    ...withNumber(binary('exact', WIDE, WIDE, {}, PAIRS), WIDE, 2.5).samples,
    sample('alpha', (m) => [m.float([3, 4]), m.float([4]), { alpha: 2 }], { dtypes: ['float32', 'int64'] }),
  ),
  sub: op(
    'exact',
    ...withNumber(binary('exact', WIDE, WIDE, { dtypes: NUMBERS }, PAIRS), WIDE, 2.5).samples,
    sample('alpha', (m) => [m.float([3, 4]), m.float([4]), { alpha: 2 }], { dtypes: ['float32', 'int64'] }),
  ),
  subtract: aliasOfTwo('exact', WIDE, WIDE),
  rsub: withNumber(aliasOfTwo('exact', WIDE, WIDE), WIDE, 1),
  mul: withNumber(binary('exact', WIDE, WIDE, {}, PAIRS), WIDE, -3),
  multiply: aliasOfTwo('exact', WIDE, WIDE),
  div: op(
    'exact',
    ...withNumber(binary('exact', WIDE, POSITIVE, {}, PAIRS), WIDE, 3).samples,
    sample('rounded down', (m) => [m.float([3, 4], WIDE), m.float([4], POSITIVE), { roundingMode: 'floor' }], {
      dtypes: NUMBERS,
      derivatives: 'none',
    }),
    sample('rounded to zero', (m) => [m.float([3, 4], WIDE), m.float([4], POSITIVE), { roundingMode: 'trunc' }], {
      dtypes: NUMBERS,
      derivatives: 'none',
    }),
  ),
  divide: aliasOfTwo('exact', WIDE, POSITIVE),
  trueDivide: aliasOfTwo('exact', WIDE, POSITIVE),
  floorDivide: withNumber(binary('exact', WIDE, POSITIVE, { dtypes: NUMBERS }, PAIRS), WIDE, 2),
  remainder: withNumber(
    binary('exact', { ...WIDE, distinct: true }, { low: 4, high: 5 }, { dtypes: NUMBERS, derivatives: 'first' }, PAIRS),
    { ...WIDE, distinct: true },
    2,
  ),
  fmod: withNumber(
    binary('exact', { ...WIDE, distinct: true }, { low: 4, high: 5 }, { dtypes: NUMBERS, derivatives: 'first' }, PAIRS),
    { ...WIDE, distinct: true },
    2,
  ),
  maximum: binary('exact', { ...WIDE, distinct: true }, { low: -2.5, high: 2.5, distinct: true }, {}, PAIRS),
  minimum: binary('exact', { ...WIDE, distinct: true }, { low: -2.5, high: 2.5, distinct: true }, {}, PAIRS),
  pow: op(
    'function',
    ...binary('function', POSITIVE, WIDE, { dtypes: ALL_FLOATS }, [
      [0, 0],
      [0, 1],
      [0, -1],
      [-2, 3],
      [-2, 2],
      [-2, 0.5],
      [1, Number.NaN],
      [Number.NaN, 0],
      [Infinity, 2],
      [2, -Infinity],
      [10, 30],
    ]).samples,
    sample('squared', (m) => [m.float([3, 4], WIDE), 2], { dtypes: NUMBERS }),
    sample('cubed', (m) => [m.float([3, 4], WIDE), 3], { dtypes: [...ALL_FLOATS, 'int64', 'int32'] }),
    sample('root', (m) => [m.positive([3, 4]), 0.5]),
    sample('inverse', (m) => [m.positive([3, 4]), -1]),
    sample('number to tensor', (m) => [2, m.float([3, 4])]),
    sample('integers', (m) => [m.integers([2, -3, 5, 0, 7, -1]), m.integers([3, 3, 2, 0, 5, 60])], {
      dtypes: ONE,
      derivatives: 'none',
    }),
  ),
  floatPower: op(
    'function',
    sample('ordinary', (m) => [m.positive([3, 4]), m.float([4])], { dtypes: ['float32', 'float64', 'int64'] }),
  ),
  atan2: binary('function', WIDE, { low: 0.5, high: 2 }, { dtypes: [...ALL_FLOATS, 'int64'] }, PAIRS),
  arctan2: aliasOfTwo('function', WIDE, POSITIVE),
  eq: comparison,
  ne: comparison,
  lt: comparison,
  le: comparison,
  gt: comparison,
  ge: comparison,
  notEqual: comparisonAlias,
  less: comparisonAlias,
  lessEqual: comparisonAlias,
  greater: comparisonAlias,
  greaterEqual: comparisonAlias,
  logicalAnd: logicalSamples(),
  logicalOr: logicalSamples(),
  logicalXor: logicalSamples(),
  logicalNot: op(
    'exact',
    sample('ordinary', (m) => [m.values([0, 1, -0, Number.NaN, 3, -2], [2, 3])], {
      dtypes: ['bool', 'float32', 'int64'],
      derivatives: 'none',
    }),
  ),
  bitwiseAnd: bitSamples(),
  bitwiseOr: bitSamples(),
  bitwiseXor: bitSamples(),
  bitwiseLeftShift: bitSamples(true),
  bitwiseRightShift: bitSamples(true),
  bitwiseNot: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 23], WIDE)], { dtypes: [...INTEGERS, 'bool'], derivatives: 'none' }),
  ),
  where: op(
    'exact',
    sample('ordinary', (m) => [m.mask([3, 5]), m.float([3, 5]), m.float([3, 5])], { dtypes: ANY }),
    sample('broadcast', (m) => [m.mask([3, 1]), m.float([5]), m.float([2, 1, 1])]),
    sample('numbers', (m) => [m.mask([3, 5]), m.float([3, 5]), 0], { dtypes: ONE }),
    sample('size 0', (m) => [m.mask([0]), m.float([0]), m.float([1])], { dtypes: ONE }),
    sample('views', (m) => [m.mask([3, 4]).t(), m.float([3, 4]).t(), m.float([4, 3]).flip(0, 1)]),
  ),
  clamp: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), -1.01, 1.03], { dtypes: NUMBERS }),
    sample('lower only', (m) => [m.float([67], { ...WIDE, distinct: true }), 0.1], {
      dtypes: ONE,
      derivatives: 'first',
    }),
    sample('upper only', (m) => [m.float([9], { ...WIDE, distinct: true }), null, 0.1], { dtypes: ONE }),
    sample('tensors', (m) => [
      m.float([3, 4], { ...WIDE, distinct: true }),
      m.float([4], { low: -2, high: -1.1 }),
      m.float([3, 1], { low: 1.1, high: 2 }),
    ]),
    sample('corners', (m) => [m.values(EDGES), -1, 1], { derivatives: 'none' }),
  ),
  clip: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), -1.01, 1.03], { dtypes: ONE }),
  ),
  isnan: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  isfinite: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  isinf: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  isposinf: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  isneginf: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  isreal: op(
    'exact',
    sample('ordinary', (m) => [m.float([3])], { dtypes: NUMBERS, derivatives: 'none' }),
  ),
  addcmul: op(
    'sum',
    sample('ordinary', (m) => [m.float([3, 5]), m.float([3, 5]), m.float([3, 5])], {
      dtypes: [...ALL_FLOATS, 'int64'],
    }),
    sample('broadcast', (m) => [m.float([3, 1]), m.float([4]), m.float([1]), { value: 0.5 }]),
  ),
  addcdiv: op(
    'sum',
    sample('ordinary', (m) => [m.float([3, 5]), m.float([3, 5]), m.positive([3, 5])], { dtypes: ALL_FLOATS }),
    sample('broadcast', (m) => [m.float([3, 1]), m.float([4]), m.positive([1]), { value: 0.5 }]),
  ),
  lerp: op(
    'sum',
    sample('number', (m) => [m.float([3, 5]), m.float([3, 5]), 0.3], { dtypes: FLOATS }),
    sample('beyond the middle', (m) => [m.float([3, 5]), m.float([5]), 0.8]),
    sample('tensor', (m) => [m.float([3, 5]), m.float([3, 5]), m.float([5], { low: 0.1, high: 0.9, distinct: true })]),
  ),
  hypot: binary('function', POSITIVE, { low: 4, high: 5 }, { dtypes: ALL_FLOATS }, PAIRS),
  logaddexp: binary('function', WIDE, { low: 4, high: 5 }, { dtypes: ALL_FLOATS }, PAIRS),
  logaddexp2: binary('function', WIDE, { low: 4, high: 5 }, { dtypes: ALL_FLOATS }, PAIRS),
  xlogy: binary('function', { low: 0.3, high: 2 }, POSITIVE, { dtypes: [...ALL_FLOATS, 'int64'] }, PAIRS),
  heaviside: binary('exact', WIDE, WIDE, { derivatives: 'none' }, PAIRS),
  signbit: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: ANY, derivatives: 'none' }),
  ),
  copysign: withNumber(
    binary('exact', { low: 0.5, high: 2 }, { ...WIDE, distinct: true }, { dtypes: [...ALL_FLOATS, 'int64'] }, PAIRS),
    { low: 0.5, high: 2 },
    -1,
  ),
  nextafter: binary('exact', WIDE, WIDE, { dtypes: FLOATS, derivatives: 'none' }, PAIRS),
  frexp: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], WIDE)], { dtypes: ALL_FLOATS }),
    sample('corners', (m) => [m.values([0, 1, -1, 8, 1e-30, 1e30, 0.5, 3e-39])], { derivatives: 'none' }),
  ),
  ldexp: op(
    'function',
    sample('ordinary', (m) => [m.float([3, 5]), m.indices([3, 5], -3, 4)], { dtypes: FLOATS }),
    sample('broadcast', (m) => [m.float([3, 1]), m.indices([4], -3, 4)]),
  ),
  nanToNum: op(
    'exact',
    sample('corners', (m) => [m.values(EDGES)], { dtypes: ANY, derivatives: 'none' }),
    sample('ordinary', (m) => [m.float([3, 4])]),
    sample('given', (m) => [m.values(EDGES), { nan: 1, posinf: 2, neginf: 3 }], { derivatives: 'none' }),
  ),
  clampMin: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), 0.1]),
    sample('tensor', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), m.values([-0.01, 0.02, 0.5, 9, -9])]),
  ),
  clampMax: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), 0.1]),
  ),
  fmax: binary('exact', { ...WIDE, distinct: true }, { low: -2.5, high: 2.5, distinct: true }, {}, PAIRS),
  fmin: binary('exact', { ...WIDE, distinct: true }, { low: -2.5, high: 2.5, distinct: true }, {}, PAIRS),
  isclose: op(
    'exact',
    sample(
      'ordinary',
      (m) => [m.values([1, 1.000001, 2, Number.NaN, Infinity]), m.values([1, 1, 2.1, Number.NaN, Infinity])],
      { dtypes: ['float64', 'float32', 'int64'], derivatives: 'none' },
    ),
    sample('equal NaN', (m) => [m.values([1, Number.NaN]), m.values([1, Number.NaN]), { equalNan: true }], {
      derivatives: 'none',
    }),
  ),
  allclose: op(
    'exact',
    sample('close', (m) => [m.values([1, 2]), m.values([1, 2.0000001])], {
      dtypes: ['float64', 'float32'],
      derivatives: 'none',
    }),
    sample('apart', (m) => [m.values([1, 2]), m.values([1, 2.1])], { derivatives: 'none' }),
  ),
  deg2rad: alias('exact', { low: -180, high: 180 }),
  rad2deg: alias('exact', WIDE),
  hardshrink: op(
    'exact',
    ...unary('exact', { ...WIDE, distinct: true }, [...EDGES, 0.5, -0.5], { dtypes: ALL_FLOATS }).samples,
    sample('lambd', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), { lambd: 1.1 }]),
  ),
  prelu: op(
    'exact',
    sample('one slope', (m) => [m.float([3, 5], { ...WIDE, distinct: true }), m.float([1], UNIT)], {
      dtypes: ALL_FLOATS,
    }),
    sample('a slope for each channel', (m) => [m.float([2, 3, 4], { ...WIDE, distinct: true }), m.float([3], UNIT)]),
    sample('corners', (m) => [m.values(EDGES), m.values([0.25])], NO_DERIVATIVE),
  ),
  logit: op(
    'function',
    ...unary('function', { low: 0.1, high: 0.9 }, [0, 1, 0.5, -1, 2], { dtypes: ALL_FLOATS }).samples,
    sample('eps', (m) => [m.values([0.01, 0.3, 0.6, 0.995]), 0.05]),
  ),
  sinc: unary('function', { low: 0.2, high: 2 }, [0, -0, 1, 0.5, 1e-20], { dtypes: ALL_FLOATS }),
  gcd: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { low: -9, high: 9 }), m.float([5], { low: -9, high: 9 })], {
      dtypes: INTEGERS,
      derivatives: 'none',
    }),
  ),
  lcm: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 5], { low: -2, high: 2 }), m.float([5], { low: -2, high: 2 })], {
      dtypes: ['int64', 'int32'],
      derivatives: 'none',
    }),
  ),
  float: casts('none'),
  double: casts('all'),
  half: casts('none'),
  bfloat16: casts('none'),
  long: casts('none'),
  int: casts('none'),
  short: casts('none'),
  char: casts('none'),
  byte: op(
    'exact',
    sample('from every dtype', (m) => [m.float([3, 7], { low: 0, high: 3 })], { dtypes: ANY, derivatives: 'none' }),
  ),
  bool: casts('none'),
  to: op(
    'exact',
    sample('dtype', (m) => [m.positive([3, 4]), 'float64'], { dtypes: ANY }),
    sample('options', (m) => [m.positive([3, 4]), { dtype: 'int32' }], { derivatives: 'none' }),
    sample('copy', (m) => [m.positive([3, 4]).t(), { copy: true }]),
  ),
  typeAs: op(
    'exact',
    sample('ordinary', (m) => [m.positive([3, 4]), m.integers([1])], { dtypes: ONE, derivatives: 'none' }),
  ),
  type: op(
    'exact',
    sample('name', (m) => [m.positive([3])], NO_DERIVATIVE),
    sample('cast', (m) => [m.positive([3]), 'int32'], NO_DERIVATIVE),
  ),
};
