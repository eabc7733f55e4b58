/** Sample calls of indexing, gathering, scattering, masks and operations whose shape depends on the values. */
import {
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

type Call = readonly [name: string, args: OpSample['args'], options?: SampleOptions];
const exact = (dtypes: SampleOptions['dtypes'], ...list: readonly Call[]): OpSamples =>
  op('exact', ...list.map(([name, args, options], i) => sample(name, args, options ?? (i === 0 ? { dtypes } : {}))));
const sums = (dtypes: SampleOptions['dtypes'], ...list: readonly Call[]): OpSamples => ({
  ...exact(dtypes, ...list),
  accuracy: 'sum',
});
const NONE: SampleOptions = { derivatives: 'none' };
const none = (dtypes: SampleOptions['dtypes']): SampleOptions => ({ dtypes, derivatives: 'none' });
/** Indices that do not repeat, so that writing in order does not matter. */
const ROWS = [2, 0, 1];

const reduceCalls = (extra: readonly unknown[] = []): Call[] =>
  (['prod', 'mean', 'amax', 'amin'] as const).map((mode): Call => [
    mode,
    (m) => [
      m.float([4, 3], { low: 0.5, high: 2 }),
      0,
      m.integers([0, 2, 2]),
      m.float([3, 3], { low: 2.5, high: 4, distinct: true }),
      mode,
      ...extra,
    ],
    { dtypes: ['float32', 'float64', 'int64'] },
  ]);

export const INDEX_SAMPLES: Record<string, OpSamples> = {
  index: exact(
    ANY,
    ['row', (m) => [m.float([3, 4]), 1]],
    ['slice', (m) => [m.float([5, 4]), { start: 1, step: 2 }, -1]],
    ['rows by tensor', (m) => [m.float([3, 4]), m.integers([2, 0, 0])]],
    ['two tensors', (m) => [m.float([3, 4]), m.integers([2, 0, 1]), m.integers([-1, 0, 2])]],
    ['mask', (m) => [m.float([3, 4]), m.integers([1, 0, 1], [3], 'bool')]],
    ['full mask', (m) => [m.float([2, 2]), m.integers([1, 0, 1, 1], [2, 2], 'bool')]],
    ['ellipsis and null', (m) => [m.float([2, 3, 4]), '...', null, 1]],
    ['apart', (m) => [m.float([2, 3, 4]), m.integers([0, 1]), {}, m.integers([3, 0])]],
    ['list', (m) => [m.float([3, 4]), [0, 2]]],
    ['broadcast', (m) => [m.float([3, 4]), m.integers([0, 2], [2, 1]), m.integers([1, 3])]],
    ['of a reversed tensor', (m) => [m.float([3, 4]).flip(0), m.integers([0, 1])]],
  ),
  setIndex: exact(
    ANY,
    ['row', (m) => [m.float([3, 4]), 1, m.float([4])], none(ANY)],
    ['slice', (m) => [m.float([5, 4]), [{ start: 1, step: 2 }, -1], 7], NONE],
    ['mask', (m) => [m.float([3, 4]), m.integers([1, 0, 1], [3], 'bool'), 0], NONE],
    ['tensor', (m) => [m.float([3, 4]), m.integers([2, 0]), m.float([2, 4])], NONE],
  ),
  indexPut: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), [m.integers([2, 0, 1]), m.integers([3, 0, 1])], m.float([3])]],
    ['accumulate', (m) => [m.float([3, 4]), [m.integers([2, 0, 2])], m.float([3, 4]), true]],
    ['mask', (m) => [m.float([3, 4]), [m.integers([1, 0, 1], [3], 'bool')], m.float([])]],
  ),
  indexPut_: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), [m.integers([2, 0, 1]), m.integers([3, 0, 1])], m.float([3])], none(ANY)],
    ['accumulate', (m) => [m.float([3, 4]), [m.integers([2, 0, 2])], m.float([3, 4]), true], NONE],
  ),
  gather: exact(
    ANY,
    ['last dim', (m) => [m.float([3, 4]), 1, m.indices([3, 2], 0, 4)]],
    ['first dim', (m) => [m.float([3, 4]), 0, m.indices([5, 4], 0, 3)]],
    ['fewer rows', (m) => [m.float([3, 4]), 1, m.indices([2, 6], 0, 4)]],
    ['0-dim', (m) => [m.float([]), 0, m.integers([0], [])]],
    ['size 0', (m) => [m.float([3, 4]), 0, m.integers([], [0, 4])]],
    ['of a transposed tensor', (m) => [m.float([4, 3]).t(), 1, m.indices([3, 2], 0, 4)]],
    ['long', (m) => [m.float([50, 3]), 0, m.indices([100, 3], 0, 50)], NONE],
  ),
  takeAlongDim: exact(
    NUMBERS,
    ['ordinary', (m) => [m.float([3, 4]), m.indices([3, 2], 0, 4), 1]],
    ['broadcast', (m) => [m.float([3, 4]), m.integers([0, -1], [2, 1]), 0]],
    ['flat', (m) => [m.float([3, 4]), m.integers([11, 0])]],
  ),
  take: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), m.integers([0, 11, -1, 5], [2, 2])]],
    ['none', (m) => [m.float([3, 4]), m.integers([], [0])]],
  ),
  indexSelect: exact(
    ANY,
    ['rows', (m) => [m.float([3, 4]), 0, m.integers([2, 0, 2])]],
    ['columns', (m) => [m.float([3, 4]), 1, m.integers([3, 0], [2], 'int32')]],
    ['none', (m) => [m.float([3, 4]), 1, m.integers([], [0])]],
    ['0-dim', (m) => [m.float([]), 0, m.integers([0])]],
    ['long', (m) => [m.float([40, 33]), 0, m.indices([90], 0, 40)], NONE],
  ),
  scatter: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), 0, m.integers([2, 0, 1, 2], [1, 4]), m.float([1, 4])]],
    ['number', (m) => [m.float([3, 4]), 1, m.integers(ROWS, [3, 1]), 1.5]],
    ['equal indices: the last one wins', (m) => [m.float([4]), 0, m.integers([1, 1, 1]), m.float([3])], NONE],
    ['add', (m) => [m.float([3, 4]), 0, m.integers([2, 2, 1, 1], [1, 4]), m.float([1, 4]), { reduce: 'add' }], NONE],
    ['multiply', (m) => [m.float([3]), 0, m.integers([2, 2]), m.float([2]), { reduce: 'multiply' }], NONE],
    ['none', (m) => [m.float([3]), 0, m.integers([], [0]), m.float([0])]],
  ),
  scatterAdd: sums(
    [...ALL_FLOATS, ...INTEGERS],
    ['ordinary', (m) => [m.float([3, 4]), 0, m.indices([2, 4], 0, 3), m.float([2, 4])]],
    ['columns', (m) => [m.float([3, 4]), 1, m.indices([3, 9], 0, 4), m.float([3, 9])]],
    ['long', (m) => [m.float([10]), 0, m.indices([300], 0, 10), m.float([300])], NONE],
  ),
  scatterReduce: sums(
    NUMBERS,
    ['sum', (m) => [m.float([3, 4]), 0, m.indices([2, 4], 0, 3), m.float([2, 4]), 'sum']],
    ...(['prod', 'mean', 'amax', 'amin'] as const).flatMap((mode): Call[] => [
      [
        mode,
        (m) => [
          m.float([3, 4], { low: 0.5, high: 2 }),
          0,
          m.integers([0, 2, 1, 0, 0, 1, 1, 2], [2, 4]),
          m.float([2, 4], { low: 2.5, high: 4, distinct: true }),
          mode,
        ],
        { dtypes: ['float32', 'float64', 'int64'] },
      ],
      [
        `${mode} without self`,
        (m) => [
          m.float([3, 4], { low: 0.5, high: 2 }),
          0,
          m.integers([0, 2, 1, 0, 0, 1, 1, 2], [2, 4]),
          m.float([2, 4], { low: 2.5, high: 4, distinct: true }),
          mode,
          { includeSelf: false },
        ],
      ],
    ]),
  ),
  indexAdd: sums(
    [...ALL_FLOATS, ...INTEGERS],
    ['ordinary', (m) => [m.float([3, 4]), 0, m.integers([2, 0, 2]), m.float([3, 4])]],
    ['alpha', (m) => [m.float([3, 4]), 1, m.integers([1, 1]), m.float([3, 2]), { alpha: 0.5 }]],
  ),
  indexCopy: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), 0, m.integers([2, 0]), m.float([2, 4])]],
    ['columns', (m) => [m.float([3, 4]), 1, m.integers([1]), m.float([3, 1])]],
  ),
  indexFill: exact(
    ANY,
    ['number', (m) => [m.float([3, 4]), 0, m.integers([2, 0]), 1]],
    ['tensor', (m) => [m.float([3, 4]), 1, m.integers([-1]), m.float([])]],
  ),
  indexReduce: sums(
    FLOATS,
    ...reduceCalls(),
    ...reduceCalls([{ includeSelf: false }]).map(([name, args]): Call => [`${name} without self`, args]),
  ),
  put: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), m.integers([0, 11, -2]), m.float([3])]],
    ['accumulate', (m) => [m.float([3, 4]), m.integers([0, 1, 0]), m.float([3]), true]],
  ),
  maskedFill: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), m.mask([3, 4]), 1]],
    [
      'broadcast',
      (m) => [m.float([3, 4]), m.mask([4]), -Infinity],
      { dtypes: ['float32', 'float64'], derivatives: 'none' },
    ],
    ['tensor', (m) => [m.float([3, 4]), m.mask([3, 1]), m.float([])]],
  ),
  maskedScatter: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), m.mask([3, 4]), m.float([12])]],
    ['row', (m) => [m.float([3, 4]), m.mask([4]), m.float([12])]],
  ),
  maskedSelect: exact(
    ANY,
    ['ordinary', (m) => [m.float([3, 4]), m.mask([3, 4])]],
    ['broadcast', (m) => [m.float([3, 1]), m.mask([4])]],
    ['none', (m) => [m.float([3]), m.integers([0, 0, 0], [3], 'bool')]],
  ),
  nonzero: exact(
    ANY,
    ['ordinary', (m) => [m.values([0, 1, 0, 2, 3, 0], [2, 3])], none(ANY)],
    ['tuple', (m) => [m.values([0, 1, 0, 2, 3, 0], [2, 3]), { asTuple: true }], NONE],
  ),
  argwhere: exact(ANY, ['ordinary', (m) => [m.values([0, 1, 0, 2, 3, 0], [2, 3])], NONE]),
  unique: exact(
    NUMBERS,
    ['ordinary', (m) => [m.values([3, 1, 2, 1, 3, 3])], none(NUMBERS)],
    ['all results', (m) => [m.values([3, 1, 2, 1, 3, 3], [2, 3]), { returnInverse: true, returnCounts: true }], NONE],
    ['rows', (m) => [m.values([1, 2, 1, 2, 0, 1], [3, 2]), { dim: 0, returnInverse: true }], NONE],
  ),
  uniqueConsecutive: exact(NUMBERS, ['ordinary', (m) => [m.values([3, 3, 1, 1, 3]), { returnCounts: true }], NONE]),
  bincount: exact(
    FLOATS,
    ['ordinary', (m) => [m.integers([0, 3, 3, 1])], none(['float32'])],
    ['weights', (m) => [m.integers([0, 3, 3, 1]), { weights: m.values([0.5, 1, 2, 3]), minlength: 6 }], NONE],
  ),
  isin: exact(
    NUMBERS,
    ['ordinary', (m) => [m.values([1, 2, 3, 4], [2, 2]), m.values([2, 4])], none(NUMBERS)],
    ['invert', (m) => [m.values([1, 2, 3]), m.values([2]), { invert: true }], NONE],
  ),
  equal: exact(
    ANY,
    ['equal', (m) => [m.values([1, 2]), m.values([1, 2])], none(ANY)],
    ['different', (m) => [m.values([1, 2]), m.values([1, 3])], NONE],
    ['shapes', (m) => [m.values([1, 2]), m.values([1])], NONE],
  ),
};
