/** Sample calls of reductions, cumulative operations, products of matrices, and statistics. */
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

type Args = OpSample['args'];
type Call = readonly [name: string, args: Args, options?: SampleOptions];
/** The first call in all the dtypes given, the rest in floats. */
const calls = (accuracy: Accuracy, dtypes: SampleOptions['dtypes'], ...list: readonly Call[]): OpSamples =>
  op(accuracy, ...list.map(([name, args, options], i) => sample(name, args, options ?? (i === 0 ? { dtypes } : {}))));
const NONE: SampleOptions = { derivatives: 'none' };
const FIRST: SampleOptions = { derivatives: 'first' };

/** The ways in which a reduction over `dim` can be called. */
function reduction(
  accuracy: Accuracy,
  { dtypes = ALL_FLOATS, derivatives = 'all' }: SampleOptions = {},
  range: FloatOptions = {},
  empty = true,
): OpSamples {
  const options: SampleOptions = { derivatives };
  return op(
    accuracy,
    sample('all', (m) => [m.float([3, 4], range)], { dtypes, derivatives }),
    sample('last dim', (m) => [m.float([3, 70], range), -1], {
      derivatives: 'none',
      dtypes: ['float32', 'float64', ...(dtypes.includes('int64') ? ['int64' as const] : [])],
    }),
    sample('first dim', (m) => [m.float([5, 3], range), 0], options),
    sample('first dim, long rows', (m) => [m.float([7, 70], range), 0], NONE),
    sample('middle dim kept', (m) => [m.float([2, 3, 4], range), 1, { keepdim: true }], options),
    sample('two dims', (m) => [m.float([3, 2, 4], range), [0, 2]], options),
    sample('of a transposed tensor', (m) => [m.float([4, 3], range).t(), 1], options),
    sample('of a reversed slice', (m) => [m.float([3, 9], range).slice(1, 0, null, 2).flip(1), 1], options),
    sample('0-dim', (m) => [m.float([], range)], options),
    sample('size 1', (m) => [m.float([3, 1], range), 1], options),
    sample('no rows', (m) => [m.float([0, 3], range), 1], options),
    ...(empty ? [sample('no elements', (m) => [m.float([2, 0], range), 1], options)] : []),
  );
}
const DISTINCT: FloatOptions = { low: -3, high: 3, distinct: true };
const extremes = op(
  'exact',
  ...reduction('exact', { dtypes: [...ANY] }, DISTINCT, false).samples,
  sample('ties', (m) => [m.values([1, 3, 3, 2, 3, 1], [2, 3]), 1], { derivatives: 'none' }),
  sample(
    'NaN',
    (m) => [m.values([1, Number.NaN, 3, 2, 3, 1, ...new Array<number>(40).fill(0), Number.NaN, 1], [2, 24]), 1],
    { derivatives: 'none' },
  ),
  sample('infinite', (m) => [m.values([-Infinity, -Infinity, Infinity, 1], [2, 2]), 1], { derivatives: 'none' }),
);
const anyAll = op(
  'exact',
  sample('all', (m) => [m.mask([3, 4])], { dtypes: ['float32'], derivatives: 'none' }),
  sample('rows', (m) => [m.float([3, 70]), 1], { dtypes: ANY, derivatives: 'none' }),
  sample('columns', (m) => [m.mask([5, 33]), 0], { dtypes: ['float32'], derivatives: 'none' }),
  sample('no elements', (m) => [m.mask([2, 0]), 1], { dtypes: ['float32'], derivatives: 'none' }),
  sample('kept', (m) => [m.mask([2, 3, 4]), [0, 1], { keepdim: true }], { dtypes: ['float32'], derivatives: 'none' }),
);
const moments = op(
  'sum',
  ...reduction('sum', { dtypes: ALL_FLOATS }, {}, false).samples.filter(
    (s) => s.name !== '0-dim' && s.name !== 'size 1' && s.name !== 'no rows',
  ),
  sample('population', (m) => [m.float([3, 4]), 1, { unbiased: false }]),
  sample('correction', (m) => [m.float([3, 4]), 0, { correction: 2, keepdim: true }]),
  sample('unbiased as only argument', (m) => [m.float([3, 4]), false]),
);
const cumulative = (accuracy: Accuracy, range: FloatOptions = {}): OpSamples =>
  calls(
    accuracy,
    [...ALL_FLOATS, 'int64', 'uint8', 'bool'],
    ['ordinary', (m) => [m.float([3, 4], range), 1]],
    ['first dim', (m) => [m.float([5, 3], range), 0]],
    ['longer', (m) => [m.float([2, 70], range), -1], NONE],
    ['0-dim', (m) => [m.float([], range), 0]],
    ['size 0', (m) => [m.float([2, 0], range), 1]],
    ['of a transposed tensor', (m) => [m.float([4, 3], range).t(), 1]],
    ['of a reversed tensor', (m) => [m.float([4, 3], range).flip(0), 0]],
  );
const cumulativeExtremes = calls(
  'exact',
  [...FLOATS, 'float16', 'int64'],
  ['ordinary', (m) => [m.float([3, 5], DISTINCT), 1]],
  ['first dim', (m) => [m.float([5, 3], DISTINCT), 0]],
  ['ties', (m) => [m.values([1, 3, 3, 2, 3]), 0], NONE],
  ['NaN', (m) => [m.values([1, Number.NaN, 3]), 0], NONE],
  ['0-dim', (m) => [m.float([]), 0]],
);

const products = (...list: readonly Call[]): OpSamples =>
  op(
    'sum',
    ...list.map(([name, args, options], i) =>
      sample(name, args, options ?? (i === 0 ? { dtypes: [...ALL_FLOATS, 'int64', 'int32'] } : {})),
    ),
  );
const outers = products(
  ['ordinary', (m) => [m.float([3]), m.float([4])]],
  ['size 0', (m) => [m.float([0]), m.float([4])]],
);
const norms: readonly Call[] = [
  ['all', (m) => [m.float([3, 4])]],
  ['rows', (m) => [m.float([3, 4]), 2, 1]],
  ['one', (m) => [m.float([3, 4], DISTINCT), 1, 0]],
  ['infinity', (m) => [m.float([3, 4], DISTINCT), Infinity, 1]],
  ['three', (m) => [m.float([3, 4], DISTINCT), 3, 1]],
  ['zero', (m) => [m.values([0, 1, 0, 2]), 0], NONE],
  ['minus infinity', (m) => [m.float([3, 4], DISTINCT), -Infinity]],
  ['half', (m) => [m.positive([3]), 0.5]],
];

export const REDUCE_SAMPLES: Record<string, OpSamples> = {
  sum: op(
    'sum',
    ...reduction('sum', { dtypes: ANY }).samples,
    sample('large, to few', (m) => [m.float([3, 20000]), 1], { dtypes: ['float32'], derivatives: 'none' }),
    sample('dtype', (m) => [m.float([3, 4]), 1, { dtype: 'float64' }], {
      dtypes: ['float32', 'int64'],
      derivatives: 'none',
    }),
  ),
  prod: op(
    'sum',
    ...reduction('sum', { dtypes: [...ALL_FLOATS, 'int64', 'bool'] }, { low: 0.5, high: 1.5 }).samples,
    sample('one zero', (m) => [m.values([1, 0, 2, 3, 4, 5], [2, 3]), 1]),
    sample('two zeros', (m) => [m.values([1, 0, 0, 3, 4, 5], [2, 3]), 1]),
    sample('zero, all', (m) => [m.values([2, 0, 3])]),
  ),
  mean: op(
    'sum',
    ...reduction('sum', { dtypes: ALL_FLOATS }, {}, false).samples,
    sample('no elements', (m) => [m.float([2, 0]), 1], FIRST),
  ),
  amax: extremes,
  amin: extremes,
  any: anyAll,
  all: anyAll,
  var: moments,
  std: moments,
  nansum: op(
    'sum',
    ...reduction('sum', { dtypes: ALL_FLOATS }).samples.slice(0, 4),
    sample('NaN', (m) => [m.values([1, Number.NaN, 3, 4], [2, 2]), 1], { derivatives: 'none' }),
  ),
  nanmean: op(
    'sum',
    sample('ordinary', (m) => [m.float([3, 4]), 1], { dtypes: ALL_FLOATS }),
    sample('NaN', (m) => [m.values([1, Number.NaN, 3, 4], [2, 2]), 1], { derivatives: 'none' }),
  ),
  countNonzero: op(
    'exact',
    sample('ordinary', (m) => [m.values([0, 1, 0, 2, 3, 0], [2, 3]), 1], { dtypes: ANY, derivatives: 'none' }),
  ),
  varMean: op(
    'sum',
    sample('ordinary', (m) => [m.float([3, 4]), 1], { dtypes: ALL_FLOATS }),
    sample('all', (m) => [m.float([3, 4])]),
  ),
  stdMean: op(
    'sum',
    sample('ordinary', (m) => [m.float([3, 4]), 1], { dtypes: ALL_FLOATS }),
  ),
  logsumexp: calls(
    'sum',
    ALL_FLOATS,
    ['ordinary', (m) => [m.float([3, 4]), 1]],
    ['first dim', (m) => [m.float([3, 4]), 0, { keepdim: true }]],
    ['all', (m) => [m.float([3, 4]), [0, 1]]],
    ['large', (m) => [m.values([1000, 1000, -1000, -1000], [2, 2]), 1]],
    ['infinite', (m) => [m.values([-Infinity, -Infinity, Infinity, 1], [2, 2]), 1], NONE],
  ),
  softmax: calls(
    'sum',
    ALL_FLOATS,
    ['ordinary', (m) => [m.float([3, 5]), 1]],
    ['first dim', (m) => [m.float([4, 3]), 0]],
    ['middle', (m) => [m.float([2, 3, 4]), 1]],
    ['long rows', (m) => [m.float([3, 200], { low: -5, high: 5 }), -1], NONE],
    ['of a transposed tensor', (m) => [m.float([4, 3]).t(), -1]],
    ['0-dim', (m) => [m.float([]), 0]],
    ['size 0', (m) => [m.float([0, 3]), 1]],
    ['large', (m) => [m.values([1000, 999, -1000, 5], [2, 2]), 1]],
    ['dtype', (m) => [m.float([2, 3]), 1, { dtype: 'float64' }]],
  ),
  logSoftmax: calls(
    'sum',
    ALL_FLOATS,
    ['ordinary', (m) => [m.float([3, 5]), 1]],
    ['first dim', (m) => [m.float([4, 3]), 0]],
    ['long rows', (m) => [m.float([3, 200], { low: -5, high: 5 }), -1], NONE],
    ['0-dim', (m) => [m.float([]), 0]],
    ['large', (m) => [m.values([1000, 999, -1000, 5], [2, 2]), 1]],
  ),
  cumsum: cumulative('sum'),
  cumprod: op(
    'sum',
    ...cumulative('sum', { low: 0.5, high: 1.5 }).samples,
    sample('zeros', (m) => [m.values([2, 0, 3, 4, 0, 5], [2, 3]), 1]),
  ),
  cummax: cumulativeExtremes,
  cummin: cumulativeExtremes,
  logcumsumexp: calls(
    'sum',
    ALL_FLOATS,
    ['ordinary', (m) => [m.float([3, 4]), 1]],
    ['first dim', (m) => [m.float([3, 4]), 0]],
    ['infinite', (m) => [m.values([-Infinity, 1, Infinity]), 0], NONE],
  ),
  diff: calls(
    'exact',
    [...ALL_FLOATS, 'int64', 'bool'],
    ['ordinary', (m) => [m.float([3, 5])]],
    ['second', (m) => [m.float([5, 3]), { n: 2, dim: 0 }]],
    ['prepend', (m) => [m.float([3]), { prepend: m.float([1]), append: m.float([2]) }]],
  ),
  gradient: calls(
    'rounded',
    FLOATS,
    ['ordinary', (m) => [m.float([4, 5])]],
    ['second order', (m) => [m.float([5]), { edgeOrder: 2, spacing: 0.5 }]],
    ['coordinates', (m) => [m.float([4]), { spacing: [m.constant([0, 1, 3, 4])] }]],
  ),
  trapezoid: calls(
    'sum',
    [...FLOATS, 'int64'],
    ['ordinary', (m) => [m.float([3, 5])]],
    ['coordinates', (m) => [m.float([3, 5]), m.float([5])]],
    ['dx', (m) => [m.float([3, 5]), null, { dx: 0.5, dim: 0 }]],
  ),
  cumulativeTrapezoid: calls(
    'sum',
    FLOATS,
    ['ordinary', (m) => [m.float([3, 5])]],
    ['coordinates', (m) => [m.float([3, 5]), m.float([5])]],
  ),
  sumToSize: calls('sum', ALL_FLOATS, ['ordinary', (m) => [m.float([2, 3, 4]), [3, 1]]]),
  matmul: products(
    ['matrices', (m) => [m.float([3, 4]), m.float([4, 5])]],
    ['vectors', (m) => [m.float([4]), m.float([4])]],
    ['vector left', (m) => [m.float([4]), m.float([4, 3])]],
    ['vector right', (m) => [m.float([2, 3, 4]), m.float([4])]],
    ['batches broadcast', (m) => [m.float([2, 1, 3, 4]), m.float([3, 4, 2])]],
    ['batch times matrix', (m) => [m.float([2, 3, 4]), m.float([4, 2])]],
    ['transposed', (m) => [m.float([4, 3]).t(), m.float([5, 4]).t()]],
    ['reversed', (m) => [m.float([3, 4]).flip(1), m.float([4, 2]).flip(0)]],
    ['every second row', (m) => [m.float([6, 8]).slice(0, 0, null, 2).slice(1, 1, null, 2), m.float([4, 2])]],
    ['nothing to sum', (m) => [m.float([3, 0]), m.float([0, 2])]],
    ['no rows', (m) => [m.float([0, 4]), m.float([4, 2])]],
    ['size 1', (m) => [m.float([1, 1]), m.float([1, 1])]],
    ['odd sizes', (m) => [m.float([37, 53]), m.float([53, 29])], NONE],
    ['tall', (m) => [m.float([130, 70]), m.float([70, 3])], NONE],
    ['deep', (m) => [m.float([3, 700]), m.float([700, 5])], NONE],
    ['expanded batch', (m) => [m.float([1, 3, 4]).expand(2, 3, 4), m.float([2, 4, 2])]],
  ),
  mm: products(
    ['ordinary', (m) => [m.float([3, 4]), m.float([4, 5])]],
    ['after an elementwise operation', (m) => [m.float([3, 4]).mul(2).exp(), m.float([4, 5]).t().reshape([4, 5])]],
  ),
  mv: products(
    ['ordinary', (m) => [m.float([3, 4]), m.float([4])]],
    ['transposed', (m) => [m.float([40, 33]).t(), m.float([40])], NONE],
  ),
  dot: products(
    ['ordinary', (m) => [m.float([5]), m.float([5])]],
    ['long', (m) => [m.float([1000]), m.float([1000])], NONE],
    ['size 0', (m) => [m.float([0]), m.float([0])]],
  ),
  vdot: products(['ordinary', (m) => [m.float([5]), m.float([5])]]),
  bmm: products(
    ['ordinary', (m) => [m.float([2, 3, 4]), m.float([2, 4, 5])]],
    ['permuted', (m) => [m.float([3, 4, 2]).permute(2, 0, 1), m.float([2, 5, 4]).transpose(1, 2)]],
    ['larger', (m) => [m.float([3, 20, 17]), m.float([3, 17, 33])], NONE],
  ),
  einsum: products(
    ['product', (m) => ['ij,jk->ik', m.float([3, 4]), m.float([4, 2])]],
    ['batch', (m) => ['bij,bjk->bik', m.float([2, 3, 4]), m.float([2, 4, 2])]],
    ['trace', (m) => ['ii->', m.float([3, 3])]],
    ['diagonal', (m) => ['ii->i', m.float([3, 3])]],
    ['outer', (m) => ['i,j->ij', m.float([3]), m.float([2])]],
    ['three operands', (m) => ['ij,jk,kl->il', m.float([2, 3]), m.float([3, 4]), m.float([4, 2])]],
    ['ellipsis', (m) => ['...ij,...jk->...ik', m.float([2, 3, 4]), m.float([4, 2])]],
    ['bilinear', (m) => ['bn,anm,bm->ba', m.float([2, 3]), m.float([4, 3, 2]), m.float([2, 2])]],
    ['implicit', (m) => ['ij,kj', m.float([2, 3]), m.float([4, 3])]],
    ['transposed', (m) => ['ji', m.float([2, 3])]],
    ['attention', (m) => ['bhqd,bhkd->bhqk', m.float([2, 2, 3, 4]), m.float([2, 2, 5, 4])]],
  ),
  tensordot: products(
    ['two dims', (m) => [m.float([2, 3, 4]), m.float([3, 4, 5])]],
    [
      'pairs',
      (m) => [
        m.float([2, 3, 4]),
        m.float([4, 5, 2]),
        [
          [0, 2],
          [2, 0],
        ],
      ],
    ],
    ['none', (m) => [m.float([2]), m.float([3]), 0]],
  ),
  outer: outers,
  ger: outers,
  inner: products(
    ['ordinary', (m) => [m.float([2, 3]), m.float([4, 3])]],
    ['0-dim', (m) => [m.float([]), m.float([4, 3])]],
  ),
  kron: products(
    ['ordinary', (m) => [m.float([2, 3]), m.float([2, 2])]],
    ['ranks', (m) => [m.float([2]), m.float([2, 2])]],
  ),
  cross: op(
    'rounded',
    sample('ordinary', (m) => [m.float([2, 3]), m.float([2, 3])], { dtypes: [...ALL_FLOATS, 'int64'] }),
    sample('dim', (m) => [m.float([3, 3]), m.float([3, 3]), 1]),
  ),
  addmm: products(
    ['ordinary', (m) => [m.float([3, 5]), m.float([3, 4]), m.float([4, 5])]],
    ['scaled, broadcast', (m) => [m.float([5]), m.float([3, 4]), m.float([4, 5]), { beta: 0.5, alpha: 2 }]],
    [
      'beta 0',
      (m) => [m.values(new Array<number>(15).fill(Number.NaN), [3, 5]), m.float([3, 4]), m.float([4, 5]), { beta: 0 }],
      NONE,
    ],
  ),
  addmv: products(['ordinary', (m) => [m.float([3]), m.float([3, 4]), m.float([4])]]),
  addr: products(['ordinary', (m) => [m.float([3, 4]), m.float([3]), m.float([4])]]),
  addbmm: products(['ordinary', (m) => [m.float([3, 2]), m.float([2, 3, 4]), m.float([2, 4, 2])]]),
  baddbmm: products(['ordinary', (m) => [m.float([2, 3, 2]), m.float([2, 3, 4]), m.float([2, 4, 2]), { alpha: 0.5 }]]),
  chainMatmul: products(['ordinary', (m) => [m.float([2, 5]), m.float([5, 3]), m.float([3, 2])]]),
  norm: calls('sum', ALL_FLOATS, ...norms),
  dist: calls(
    'sum',
    FLOATS,
    ['ordinary', (m) => [m.float([3, 4]), m.float([4])]],
    ['one', (m) => [m.float([3, 4], DISTINCT), m.float([4], { low: 4, high: 5 }), 1]],
  ),
  cdist: calls(
    'sum',
    FLOATS,
    ['ordinary', (m) => [m.float([3, 2]), m.float([4, 2], { low: 2, high: 4 })]],
    ['one', (m) => [m.float([2, 3, 2]), m.float([2, 4, 2], { low: 2, high: 4 }), 1]],
  ),
  cov: calls(
    'sum',
    [...FLOATS, 'int64'],
    ['ordinary', (m) => [m.float([3, 5])]],
    ['vector', (m) => [m.float([5])]],
    ['weights', (m) => [m.float([2, 3]), { fweights: m.integers([1, 2, 3]), aweights: m.constant([0.5, 1, 2]) }]],
  ),
  corrcoef: calls('sum', FLOATS, ['ordinary', (m) => [m.float([3, 5])], FIRST]),
  renorm: calls('sum', FLOATS, ['ordinary', (m) => [m.float([3, 4], { low: 0.5, high: 2 }), 2, 0, 1.5]]),
  max: op(
    'exact',
    ...dimExtremes(),
    sample('other', (m) => [m.float([2, 3], DISTINCT), m.float([3], { low: -2.1, high: 2.2, distinct: true })]),
  ),
  min: op('exact', ...dimExtremes()),
  argmax: op('exact', ...positions()),
  argmin: op('exact', ...positions()),
  aminmax: calls(
    'exact',
    ANY,
    ['all', (m) => [m.float([3, 4], DISTINCT)]],
    ['dim', (m) => [m.float([3, 4], DISTINCT), { dim: 1, keepdim: true }]],
  ),
  sort: calls(
    'exact',
    ANY,
    ['ordinary', (m) => [m.float([3, 7], DISTINCT)]],
    ['descending', (m) => [m.float([3, 7], DISTINCT), 0, { descending: true }]],
    ['ties are stable', (m) => [m.values([2, 1, 2, 1, 2, 1, 0, 2]), 0], NONE],
    ['NaN', (m) => [m.values([2, Number.NaN, 1, Infinity, -Infinity]), 0], NONE],
    ['longer', (m) => [m.float([2, 333], { low: -9, high: 9 }), 1], NONE],
    ['0-dim', (m) => [m.float([])]],
    ['size 0', (m) => [m.float([2, 0])]],
    ['size 1', (m) => [m.float([3, 1])]],
  ),
  argsort: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 7])], { dtypes: NUMBERS, derivatives: 'none' }),
    sample('descending', (m) => [m.float([3, 7]), 0, { descending: true }], NONE),
  ),
  msort: calls('exact', NUMBERS, ['ordinary', (m) => [m.float([4, 3], DISTINCT)]]),
  topk: calls(
    'exact',
    NUMBERS,
    ['ordinary', (m) => [m.float([3, 7], DISTINCT), 3]],
    ['smallest', (m) => [m.float([5, 3], DISTINCT), 2, { dim: 0, largest: false }]],
    ['none', (m) => [m.float([3, 4]), 0]],
  ),
  kthvalue: calls(
    'exact',
    NUMBERS,
    ['ordinary', (m) => [m.float([3, 7], DISTINCT), 3]],
    ['kept', (m) => [m.float([3, 7], DISTINCT), 1, 0, { keepdim: true }]],
  ),
  median: calls(
    'exact',
    NUMBERS,
    ['all', (m) => [m.float([3, 5], DISTINCT)]],
    ['dim', (m) => [m.float([4, 3], DISTINCT), 0]],
    ['NaN', (m) => [m.values([1, Number.NaN, 3, 4, 5, 6], [2, 3]), 1], NONE],
  ),
  nanmedian: calls(
    'exact',
    FLOATS,
    ['all', (m) => [m.float([3, 5], DISTINCT)]],
    ['NaN', (m) => [m.values([1, Number.NaN, 3, 4, 5, 6], [2, 3]), 1], NONE],
  ),
  mode: op(
    'exact',
    sample('ordinary', (m) => [m.values([1, 2, 2, 3, 3, 1, 1, 5], [2, 4]), 1], {
      dtypes: ['float32', 'int64'],
      derivatives: 'none',
    }),
  ),
  quantile: calls(
    'rounded',
    FLOATS,
    ['median', (m) => [m.float([3, 5], DISTINCT), 0.5]],
    ['several', (m) => [m.float([3, 5], DISTINCT), m.constant([0.1, 0.5, 0.9]), 1]],
    ['lower', (m) => [m.float([5], DISTINCT), 0.3, 0, { interpolation: 'lower' }]],
    ['NaN', (m) => [m.values([1, Number.NaN, 3]), 0.5], NONE],
  ),
  nanquantile: calls(
    'rounded',
    FLOATS,
    ['ordinary', (m) => [m.float([3, 5], DISTINCT), 0.4, 1]],
    ['NaN', (m) => [m.values([1, Number.NaN, 3]), 0.5], NONE],
  ),
  histc: op(
    'exact',
    sample('ordinary', (m) => [m.float([20]), { bins: 4, min: -1, max: 1 }], NONE),
  ),
  histogram: op(
    'rounded',
    sample('ordinary', (m) => [m.float([20]), 4], NONE),
    sample('density', (m) => [m.float([20]), 4, { range: [-1, 1], density: true }], NONE),
  ),
  histogramdd: op(
    'rounded',
    sample('ordinary', (m) => [m.float([10, 2]), [2, 3]], NONE),
  ),
  searchsorted: op(
    'exact',
    sample('ordinary', (m) => [m.values([-1, 0, 0.5, 1]), m.float([3, 4])], {
      dtypes: [...FLOATS, 'int64'],
      derivatives: 'none',
    }),
    sample('right', (m) => [m.values([-1, 0, 0.5, 1]), m.values([0, 1, 2]), { right: true }], NONE),
    sample('rows', (m) => [m.values([1, 3, 5, 2, 4, 6], [2, 3]), m.values([3, 4, 3, 4], [2, 2])], NONE),
  ),
  bucketize: op(
    'exact',
    sample('ordinary', (m) => [m.float([3, 4]), m.values([-1, 0, 0.5, 1])], {
      dtypes: [...FLOATS, 'int64'],
      derivatives: 'none',
    }),
  ),
};

function dimExtremes(): OpSample[] {
  return [
    sample('all', (m) => [m.float([3, 4], DISTINCT)], { dtypes: ANY }),
    sample('dim', (m) => [m.float([3, 4], DISTINCT), 1], { dtypes: [...FLOATS, ...INTEGERS] }),
    sample('kept', (m) => [m.float([3, 4], DISTINCT), 0, { keepdim: true }]),
    sample('ties', (m) => [m.values([1, 3, 3, 0, 0, -1], [2, 3]), 1], { derivatives: 'none' }),
    sample('NaN', (m) => [m.values([1, Number.NaN, 3, Number.NaN], [2, 2]), 1], { derivatives: 'none' }),
    sample('long rows', (m) => [m.float([3, 100]), -1], { derivatives: 'none' }),
    sample('of a transposed tensor', (m) => [m.float([4, 3], DISTINCT).t(), -1]),
    sample('0-dim', (m) => [m.float([]), 0]),
  ];
}
function positions(): OpSample[] {
  const none: SampleOptions = { derivatives: 'none' };
  return [
    sample('all', (m) => [m.float([3, 4], DISTINCT)], { dtypes: NUMBERS, derivatives: 'none' }),
    sample('dim', (m) => [m.float([3, 4]), 1], none),
    sample('kept', (m) => [m.float([3, 4]), 0, { keepdim: true }], none),
    sample('ties', (m) => [m.values([1, 3, 3, 0, 0, -1], [2, 3]), 1], none),
    sample('NaN', (m) => [m.values([1, Number.NaN, 3, Number.NaN], [2, 2]), 1], none),
    sample('long rows', (m) => [m.float([3, 100]), -1], none),
    sample('of a transposed tensor', (m) => [m.float([40, 3]).t(), -1], none),
  ];
}
