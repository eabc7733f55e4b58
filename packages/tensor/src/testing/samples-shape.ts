/** Sample calls of creation, views, joining, splitting, diagonals and in-place changes of shape. */
import type { SampleMaker } from './maker.ts';
import { ALL_FLOATS, ANY, FLOATS, op, type OpSample, type OpSamples, sample, type SampleOptions } from './sample.ts';

const NONE: SampleOptions = { derivatives: 'none', dtypes: ['float32'] };
const ONE: SampleOptions = { dtypes: ['float32', 'float64'] };
type Args = OpSample['args'];

/** Creation: no tensor arguments, so that the device is given in the options. */
const make = (...calls: readonly (readonly [string, Args])[]): OpSamples =>
  op('exact', ...calls.map(([name, args]) => sample(name, args, { dtypes: ANY, derivatives: 'none' })));
const made = (m: SampleMaker, more: object = {}): object => ({ dtype: m.dtype, device: m.device, ...more });
const exact = (...calls: readonly (readonly [string, Args, SampleOptions?])[]): OpSamples =>
  op(
    'exact',
    ...calls.map(([name, args, options], i) => sample(name, args, options ?? (i === 0 ? { dtypes: ANY } : ONE))),
  );
const silent = (...calls: readonly (readonly [string, Args])[]): OpSamples =>
  op('exact', ...calls.map(([name, args]) => sample(name, args, NONE)));

const transposes = exact(
  ['ordinary', (m) => [m.float([3, 4, 2]), 0, 2]],
  ['negative dims', (m) => [m.float([3, 4]), -1, -2]],
  ['0-dim', (m) => [m.float([]), 0, -1]],
  ['of a reversed tensor', (m) => [m.float([5, 70]).flip(1), 0, 1]],
  ['size 0', (m) => [m.float([0, 4]), 0, 1]],
);
const reshapes = exact(
  ['ordinary', (m) => [m.float([4, 6]), 3, 8]],
  ['inferred', (m) => [m.float([4, 6]), [2, -1, 3]]],
  ['of a transposed tensor', (m) => [m.float([4, 6]).t(), [8, 3]]],
  ['size 0', (m) => [m.float([0, 6]), [3, 0, 2]]],
  ['0-dim', (m) => [m.float([]), [1, 1]]],
  ['to 0-dim', (m) => [m.float([1]), []]],
  ['of a reversed slice', (m) => [m.float([5, 9]).slice(1, 1, null, 2).flip(0), [10, 2]]],
);
const expands = exact(
  ['ordinary', (m) => [m.float([3, 1]), 3, 5]],
  ['new dimensions', (m) => [m.float([2, 1]), [4, -1, 3]]],
  ['0-dim', (m) => [m.float([]), [2, 3]]],
  ['size 0', (m) => [m.float([1, 2]), [0, 2]]],
);
const cats = exact(
  ['ordinary', (m) => [[m.float([2, 3]), m.float([1, 3])]]],
  ['along the last dim', (m) => [[m.float([2, 3]), m.float([2, 70]), m.float([2, 1])], -1]],
  ['one', (m) => [[m.float([2, 3])], 1]],
  ['empty parts', (m) => [[m.float([0]), m.float([2, 3]), m.float([0, 3])], 0]],
  ['views', (m) => [[m.float([3, 4]).t(), m.float([4, 3]).flip(0)], 0]],
  [
    'the same twice',
    (m) => {
      const x = m.float([2, 2]);
      return [[x, x, x.mul(2)], 1];
    },
  ],
  ['mixed dtypes', (m) => [[m.float([2]), m.integers([1, 2])]], { dtypes: ['float32', 'int32'] }],
);
const parts3: Args = (m) => [[m.float([2, 3]), m.float([2, 3])]];

export const SHAPE_SAMPLES: Record<string, OpSamples> = {
  tensor: make(
    [
      'nested',
      (m) => [
        [
          [1, 0, 3],
          [4, 5, 0],
        ],
        made(m),
      ],
    ],
    ['number', (m) => [3, made(m)]],
    ['empty', (m) => [[], made(m)]],
  ),
  asTensor: make([
    'nested',
    (m) => [
      [
        [1, 0, 3],
        [4, 5, 0],
      ],
      made(m),
    ],
  ]),
  asarray: make([
    'nested',
    (m) => [
      [
        [1, 0],
        [4, 5],
      ],
      made(m),
    ],
  ]),
  frombuffer: make(['bytes', (m) => [Uint8Array.from({ length: 32 }, (_, i) => Number(i % 16 === 0)), made(m)]]),
  scalarTensor: make(['number', (m) => [3, made(m)]]),
  zeros: make(['ordinary', (m) => [2, 3, made(m)]], ['size 0', (m) => [[2, 0], made(m)]]),
  ones: make(['ordinary', (m) => [[2, 3], made(m)]], ['0-dim', (m) => [[], made(m)]]),
  empty: make(['ordinary', (m) => [[2, 3], made(m)]]),
  full: make(['ordinary', (m) => [[2, 3], 3, made(m)]]),
  emptyStrided: make(['ordinary', (m) => [[2, 3], [3, 1], made(m)]]),
  zerosLike: exact(['ordinary', (m) => [m.float([2, 3])], { dtypes: ANY, derivatives: 'none' }]),
  onesLike: exact(['ordinary', (m) => [m.float([2, 3])], { dtypes: ANY, derivatives: 'none' }]),
  emptyLike: exact(['ordinary', (m) => [m.float([2, 3])], { dtypes: ANY, derivatives: 'none' }]),
  fullLike: exact(['ordinary', (m) => [m.float([2, 3]), 1], { dtypes: ANY, derivatives: 'none' }]),
  arange: op(
    'rounded',
    sample('end', (m) => [7, { device: m.device }], NONE),
    sample('start and end', (m) => [2, 7, { device: m.device }], NONE),
    sample('step', (m) => [7, -2, -2, made(m)], {
      derivatives: 'none',
      dtypes: ['float32', 'float64', 'int64', 'int32'],
    }),
    sample('fractions', (m) => [0, 1, 0.125, made(m)], { derivatives: 'none' }),
    sample('long', (m) => [300, made(m)], { derivatives: 'none', dtypes: ['float32', 'int64', 'int16'] }),
  ),
  linspace: op(
    'rounded',
    sample('ordinary', (m) => [-1, 2, 7, made(m)], { derivatives: 'none' }),
    sample('one', (m) => [3, 4, 1, made(m)], { derivatives: 'none' }),
    sample('none', (m) => [3, 4, 0, made(m)], { derivatives: 'none' }),
  ),
  logspace: op(
    'function',
    sample('ordinary', (m) => [-1, 2, 7, made(m)], { derivatives: 'none' }),
    sample('base 2', (m) => [0, 4, 5, made(m, { base: 2 })], { derivatives: 'none' }),
  ),
  eye: make(['square', (m) => [3, made(m)]], ['wide', (m) => [2, 5, made(m)]], ['none', (m) => [0, made(m)]]),
  newZeros: silent(['ordinary', (m) => [m.float([2]), [2, 3]]]),
  newOnes: silent(['ordinary', (m) => [m.float([2]), [2, 3]]]),
  newEmpty: silent(['ordinary', (m) => [m.float([2]), [2, 3]]]),
  newFull: silent(['ordinary', (m) => [m.float([2]), [2, 3], 7]]),
  newTensor: silent([
    'ordinary',
    (m) => [
      m.float([2]),
      [
        [1, 2],
        [3, 4],
      ],
    ],
  ]),
  newEmptyStrided: silent(['ordinary', (m) => [m.float([2]), [2, 3], [3, 1]]]),
  reshape: reshapes,
  view: reshapes,
  viewAs: exact([
    'ordinary',
    (m) => [
      m.float([4, 6]),
      m.integers([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [3, 8]),
    ],
  ]),
  reshapeAs: exact(['ordinary', (m) => [m.float([4, 1]), m.integers([0, 0, 0, 0], [2, 2])]]),
  permute: exact(
    ['ordinary', (m) => [m.float([2, 3, 4]), 2, 0, 1]],
    ['list', (m) => [m.float([2, 3, 4]), [-1, 1, 0]]],
    ['0-dim', (m) => [m.float([]), []]],
    ['large', (m) => [m.float([3, 20, 33]), 2, 1, 0], { derivatives: 'none' }],
  ),
  transpose: transposes,
  swapaxes: transposes,
  swapdims: transposes,
  t: exact(['matrix', (m) => [m.float([3, 4])]], ['vector', (m) => [m.float([3])]], ['0-dim', (m) => [m.float([])]]),
  expand: expands,
  broadcastTo: expands,
  expandAs: exact(['ordinary', (m) => [m.float([3, 1]), m.mask([2, 3, 4])]]),
  unsqueeze: exact(
    ['ordinary', (m) => [m.float([3, 4]), 1]],
    ['last', (m) => [m.float([3, 4]), -1]],
    ['0-dim', (m) => [m.float([]), 0]],
  ),
  squeeze: exact(
    ['all', (m) => [m.float([1, 3, 1])]],
    ['one', (m) => [m.float([1, 3, 1]), 0]],
    ['not 1', (m) => [m.float([1, 3]), 1]],
  ),
  flatten: exact(
    ['all', (m) => [m.float([2, 3, 4])]],
    ['part', (m) => [m.float([2, 3, 4]), 1]],
    ['0-dim', (m) => [m.float([])]],
    ['of a permuted tensor', (m) => [m.float([2, 3, 4]).permute(1, 2, 0), 0, 1]],
  ),
  ravel: exact(['ordinary', (m) => [m.float([2, 3]).t()]]),
  unflatten: exact(
    ['ordinary', (m) => [m.float([2, 12]), 1, [3, 4]]],
    ['inferred', (m) => [m.float([2, 12]), -1, [3, -1]]],
  ),
  narrow: exact(
    ['ordinary', (m) => [m.float([5, 4]), 0, 1, 3]],
    ['none', (m) => [m.float([5, 4]), 1, 2, 0]],
    ['from the end', (m) => [m.float([5, 4]), 1, -2, 2]],
  ),
  select: exact(['ordinary', (m) => [m.float([5, 4]), 0, 1]], ['from the end', (m) => [m.float([5, 4]), 1, -1]]),
  slice: exact(
    ['ordinary', (m) => [m.float([9, 3]), 0, 1, 8, 3]],
    ['all', (m) => [m.float([9]), 0]],
    ['beyond the end', (m) => [m.float([9]), 0, -3, 100]],
    ['none', (m) => [m.float([9]), 0, 5, 2]],
  ),
  flip: exact(
    ['ordinary', (m) => [m.float([3, 4]), 0]],
    ['both', (m) => [m.float([3, 70]), [0, 1]]],
    ['size 0', (m) => [m.float([0, 2]), 0]],
    ['of a slice', (m) => [m.float([9]).slice(0, 1, null, 3), 0]],
  ),
  clone: exact(['ordinary', (m) => [m.float([3, 4]).t()]]),
  contiguous: exact(['ordinary', (m) => [m.float([3, 4]).t()]]),
  diagonal: exact(
    ['ordinary', (m) => [m.float([3, 4])]],
    ['above', (m) => [m.float([3, 4]), { offset: 1 }]],
    ['below', (m) => [m.float([3, 4]), { offset: -2 }]],
    ['batch', (m) => [m.float([2, 3, 4]), { dim1: 1, dim2: 2 }]],
    ['beyond', (m) => [m.float([2, 2]), { offset: 5 }]],
    ['turned', (m) => [m.float([3, 2, 3]), { dim1: -1, dim2: 0 }]],
  ),
  diagEmbed: exact(
    ['ordinary', (m) => [m.float([3])]],
    ['batch', (m) => [m.float([2, 3]), { offset: 1 }]],
    ['turned', (m) => [m.float([2, 3]), { offset: -1, dim1: 0, dim2: 2 }]],
  ),
  diag: exact(['vector', (m) => [m.float([3])]], ['matrix', (m) => [m.float([3, 4]), 1]]),
  diagflat: exact(['ordinary', (m) => [m.float([2, 2]), 1]]),
  trace: op(
    'sum',
    sample('ordinary', (m) => [m.float([4, 3])], { dtypes: [...FLOATS, 'int64', 'bool'] }),
  ),
  diagonalScatter: exact(
    ['ordinary', (m) => [m.float([3, 4]), m.float([3])]],
    ['offset', (m) => [m.float([3, 4]), m.float([2]), { offset: -1 }]],
  ),
  selectScatter: exact(['ordinary', (m) => [m.float([3, 4]), m.float([4]), 0, 1]]),
  sliceScatter: exact(
    ['ordinary', (m) => [m.float([6, 4]), m.float([2, 4]), { dim: 0, start: 1, end: 5, step: 2 }]],
    ['all', (m) => [m.float([3]), m.float([3])]],
  ),
  tril: exact(
    ['ordinary', (m) => [m.float([4, 5])]],
    ['above', (m) => [m.float([2, 4, 5]), 1]],
    ['below', (m) => [m.float([4, 5]), -2]],
  ),
  triu: exact(['ordinary', (m) => [m.float([4, 5])]], ['above', (m) => [m.float([2, 4, 5]), 1]]),
  trilIndices: silent(['ordinary', (m) => [3, 4, 1, { device: m.device }]]),
  triuIndices: silent(['ordinary', (m) => [3, 4, -1, { device: m.device }]]),
  unfold: exact(
    ['ordinary', (m) => [m.float([7, 2]), 0, 3, 2]],
    ['side by side', (m) => [m.float([2, 6]), 1, 3, 3]],
    ['overlapping', (m) => [m.float([2, 9]), -1, 4, 1]],
  ),
  asStrided: exact(
    ['ordinary', (m) => [m.float([4, 5]), [2, 3], [1, 2], 1]],
    ['overlapping', (m) => [m.float([9]), [4, 3], [2, 1]]],
  ),
  asStridedScatter: exact(['ordinary', (m) => [m.float([4, 5]), m.float([2, 3]), [2, 3], [10, 2], 1]]),
  cat: cats,
  concat: cats,
  concatenate: cats,
  stack: exact(
    ['ordinary', (m) => [[m.float([2, 3]), m.float([2, 3])]]],
    ['last', (m) => [[m.float([2, 3]), m.float([2, 3]), m.float([2, 3])], -1]],
    ['0-dim', (m) => [[m.float([]), m.float([])]]],
  ),
  hstack: exact(['matrices', parts3], ['vectors', (m) => [[m.float([2]), m.float([3])]]]),
  vstack: exact(['matrices', parts3], ['vectors', (m) => [[m.float([3]), m.float([3])]]]),
  dstack: exact(['matrices', parts3]),
  columnStack: exact(['matrices', parts3], ['vectors', (m) => [[m.float([3]), m.float([3])]]]),
  atleast1d: exact(['0-dim', (m) => [m.float([])]], ['several', (m) => [m.float([]), m.float([2])]]),
  atleast2d: exact(['0-dim', (m) => [m.float([])]], ['vector', (m) => [m.float([3])]]),
  atleast3d: exact(
    ['0-dim', (m) => [m.float([])]],
    ['vector', (m) => [m.float([3])]],
    ['matrix', (m) => [m.float([3, 2])]],
  ),
  split: exact(['size', (m) => [m.float([7, 2]), 3]], ['sizes', (m) => [m.float([2, 7]), [1, 0, 6], 1]]),
  splitWithSizes: exact(['ordinary', (m) => [m.float([7]), [3, 4]]]),
  chunk: exact(['ordinary', (m) => [m.float([7, 2]), 3]], ['more than elements', (m) => [m.float([2]), 5]]),
  tensorSplit: exact(['sections', (m) => [m.float([7, 2]), 3]], ['indices', (m) => [m.float([7]), [2, 5]]]),
  hsplit: exact(['ordinary', (m) => [m.float([2, 6]), 2]]),
  vsplit: exact(['ordinary', (m) => [m.float([6, 2]), [1, 4]]]),
  dsplit: exact(['ordinary', (m) => [m.float([2, 2, 4]), 2]]),
  unbind: exact(['ordinary', (m) => [m.float([3, 2])]], ['last', (m) => [m.float([3, 2]), -1]]),
  repeat: exact(
    ['ordinary', (m) => [m.float([2, 3]), 2, 3]],
    ['new dimensions', (m) => [m.float([3]), [2, 1, 2]]],
    ['zero times', (m) => [m.float([3]), 0]],
  ),
  tile: exact(['ordinary', (m) => [m.float([2, 3]), 2]], ['more', (m) => [m.float([3]), [2, 2]]]),
  repeatInterleave: exact(
    ['number', (m) => [m.float([2, 3]), 2, { dim: 1 }]],
    ['flat', (m) => [m.float([2, 2]), 3]],
    ['tensor', (m) => [m.float([3, 2]), m.integers([1, 0, 3]), { dim: 0 }]],
  ),
  meshgrid: exact(
    ['ij', (m) => [m.float([2]), m.float([3])]],
    ['xy', (m) => [m.float([2]), m.float([3]), { indexing: 'xy' }]],
  ),
  cartesianProd: exact(['ordinary', (m) => [m.float([2]), m.float([3])]]),
  combinations: exact(
    ['pairs', (m) => [m.float([4])]],
    ['with replacement', (m) => [m.float([3]), { r: 2, withReplacement: true }]],
  ),
  blockDiag: exact(
    ['ordinary', (m) => [m.float([2, 2]), m.float([1, 3]), m.float([2])]],
    ['mixed dtypes', (m) => [m.float([2, 2]), m.integers([1, 2])], { dtypes: ['float32'] }],
  ),
  roll: exact(
    ['ordinary', (m) => [m.float([5, 3]), 2, 0]],
    ['flat', (m) => [m.float([2, 3]), -1]],
    ['two dims', (m) => [m.float([4, 5]), [1, -2], [0, 1]]],
  ),
  movedim: exact(['one', (m) => [m.float([2, 3, 4]), 0, 2]], ['several', (m) => [m.float([2, 3, 4]), [0, 1], [-1, 0]]]),
  moveaxis: exact(['one', (m) => [m.float([2, 3, 4]), -1, 0]]),
  adjoint: exact(['ordinary', (m) => [m.float([2, 3, 4])]]),
  fliplr: exact(['ordinary', (m) => [m.float([3, 4])]]),
  flipud: exact(['ordinary', (m) => [m.float([3, 4])]]),
  rot90: exact(['once', (m) => [m.float([3, 4])]], ['three times', (m) => [m.float([2, 3, 4]), 3, [1, 2]]]),
  narrowCopy: exact(['ordinary', (m) => [m.float([5, 4]), 0, 1, 3]]),
  constantPadNd: exact(
    ['ordinary', (m) => [m.float([2, 3]), [1, 2]]],
    ['two dims', (m) => [m.float([2, 3]), [1, 0, 2, 1], 1.5]],
    ['cropping', (m) => [m.float([4, 5]), [-1, 2]]],
    ['of a reversed tensor', (m) => [m.float([4, 5]).flip(1), [1, 1]]],
  ),
  real: exact(['ordinary', (m) => [m.float([3])], { dtypes: ALL_FLOATS }]),
  conj: exact(['ordinary', (m) => [m.float([3])], { dtypes: ALL_FLOATS }]),
  conjPhysical: exact(['ordinary', (m) => [m.float([3])], { dtypes: ALL_FLOATS }]),
  isConj: silent(['ordinary', (m) => [m.float([3])]]),
  isNeg: silent(['ordinary', (m) => [m.float([3])]]),
  broadcastShapes: silent(['ordinary', () => [[3, 1], [4]]]),
  broadcastTensors: exact(['ordinary', (m) => [m.float([3, 1]), m.float([4])]]),
  fill: exact(['number', (m) => [m.float([2, 3]), 2]], ['tensor', (m) => [m.float([2, 3]), m.float([])]]),
  zero_: silent(['ordinary', (m) => [m.float([2, 3])]]),
  copy_: silent(
    ['ordinary', (m) => [m.float([2, 3]), m.float([3])]],
    ['cast', (m) => [m.integers([1, 2, 3]), m.values([1.9, -1.9, 3])]],
  ),
  fillDiagonal_: silent(
    ['ordinary', (m) => [m.float([3, 4]), 5]],
    ['tall, wrapped', (m) => [m.float([7, 3]), 5, { wrap: true }]],
    ['tall', (m) => [m.float([7, 3]), 5]],
  ),
  squeeze_: silent(['ordinary', (m) => [m.float([1, 3])]]),
  unsqueeze_: silent(['ordinary', (m) => [m.float([3]), 0]]),
  t_: silent(['ordinary', (m) => [m.float([2, 3])]]),
  transpose_: silent(['ordinary', (m) => [m.float([2, 3]), 0, 1]]),
  swapaxes_: silent(['ordinary', (m) => [m.float([2, 3]), 0, 1]]),
  swapdims_: silent(['ordinary', (m) => [m.float([2, 3]), 0, 1]]),
  resize_: silent(
    ['the same number', (m) => [m.float([2, 3]), [3, 2]]],
    ['fewer', (m) => [m.float([2, 3]), [2]]],
    ['more', (m) => [m.float([2]), [3]]],
  ),
  asStrided_: silent(['ordinary', (m) => [m.float([4, 5]), [2, 3], [1, 2], 1]]),
  resizeAs_: silent(['ordinary', (m) => [m.float([2, 3]), m.float([3, 2])]]),
  cpu: silent(['ordinary', (m) => [m.float([2])]]),
  isFloatingPoint: silent(['ordinary', (m) => [m.float([2])]]),
  isSameSize: silent(
    ['the same', (m) => [m.float([2, 3]), m.float([2, 3])]],
    ['another', (m) => [m.float([2, 3]), m.float([6])]],
  ),
  detach: silent(['ordinary', (m) => [m.float([2, 3])]]),
  isComplex: silent(['ordinary', (m) => [m.float([2])]]),
  isSigned: silent(['ordinary', (m) => [m.float([2])]]),
  isNonzero: silent(['ordinary', (m) => [m.values([2])]]),
  isTensor: silent(['ordinary', (m) => [m.float([2])]], ['number', () => [1]]),
  numel: silent(['ordinary', (m) => [m.float([2, 3])]]),
  nelement: silent(['ordinary', (m) => [m.float([2, 3])]]),
  ndimension: silent(['ordinary', (m) => [m.float([2, 3])]]),
  stride: silent(['ordinary', (m) => [m.float([2, 3])]], ['one', (m) => [m.float([2, 3]), 0]]),
  storageOffset: silent(['ordinary', (m) => [m.float([2])]]),
  isContiguous: silent(['ordinary', (m) => [m.float([2])]]),
  isSetTo: silent([
    'ordinary',
    (m) => {
      const x = m.float([2]);
      return [x, x];
    },
  ]),
  resolveConj: exact(['ordinary', (m) => [m.float([2])], { dtypes: ALL_FLOATS }]),
  resolveNeg: exact(['ordinary', (m) => [m.float([2])], { dtypes: ALL_FLOATS }]),
  resultType: silent(['ordinary', (m) => [m.float([2]), m.integers([1])]], ['number', (m) => [m.integers([1]), 2.5]]),
  canCast: silent(['yes', () => ['int32', 'float32']], ['no', () => ['float32', 'int32']]),
  finfo: silent(['ordinary', () => ['float32']]),
  iinfo: silent(['ordinary', () => ['int32']]),
};
