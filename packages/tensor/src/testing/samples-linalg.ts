/** Sample calls of linear algebra. Matrices are well-conditioned, so that two devices come to the same. */
import type { Tensor } from '../tensor.ts';
import type { SampleMaker } from './maker.ts';
import { FLOATS, op, type OpSample, type OpSamples, sample, type SampleOptions } from './sample.ts';

type Call = readonly [name: string, args: OpSample['args'], options?: SampleOptions];
const solves = (...list: readonly Call[]): OpSamples =>
  op('solved', ...list.map(([name, args, options]) => sample(name, args, { dtypes: FLOATS, ...options })));
const FIRST: SampleOptions = { derivatives: 'first' };
const NONE: SampleOptions = { derivatives: 'none' };

const identity = (n: number, scale: number): number[] =>
  Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? scale : 0));
/** Far from singular. */
const regular = (m: SampleMaker, n = 3, batch: readonly number[] = []): Tensor =>
  m.float([...batch, n, n]).add(m.constant(identity(n, 4), [n, n]));
const symmetric = (m: SampleMaker, n = 3, batch: readonly number[] = []): Tensor => {
  const a = m.float([...batch, n, n]);
  // Distinct diagonal entries keep eigenvalues apart.
  return a.add(a.transpose(-1, -2)).add(
    m.constant(
      identity(n, 1).map((x, i) => x * (3 + 4 * Math.floor(i / n))),
      [n, n],
    ),
  );
};
const positive = (m: SampleMaker, n = 3, batch: readonly number[] = []): Tensor => {
  const a = m.float([...batch, n, n]);
  return a.matmul(a.transpose(-1, -2)).add(m.constant(identity(n, 2), [n, n]));
};
const upper = (m: SampleMaker, n = 3): Tensor => regular(m, n).triu();
const lower = (m: SampleMaker, n = 3): Tensor => regular(m, n).tril();

const inverses = solves(
  ['ordinary', (m) => [regular(m)]],
  ['batch', (m) => [regular(m, 2, [2])]],
  ['1 by 1', (m) => [regular(m, 1)]],
  ['larger', (m) => [regular(m, 12)], NONE],
  ['no matrices', (m) => [regular(m, 2, [0])]],
  ['permuting', (m) => [m.values([0, 2, 1, 3, 0, 1, 1, 1, 0], [3, 3])]],
);
const solutions = solves(
  ['matrix', (m) => [regular(m), m.float([3, 2])]],
  ['vector', (m) => [regular(m), m.float([3])]],
  ['batch', (m) => [regular(m, 2, [2]), m.float([2, 2, 1])]],
);
const determinants = solves(
  ['ordinary', (m) => [regular(m)]],
  ['batch', (m) => [regular(m, 2, [2])]],
  ['1 by 1', (m) => [regular(m, 1)]],
  ['no columns', (m) => [regular(m, 0)], NONE],
);
const factorizations = (options: SampleOptions = FIRST): OpSamples =>
  solves(['ordinary', (m) => [regular(m)], options], ['batch', (m) => [regular(m, 2, [2])], options]);
const choleskys = solves(
  ['ordinary', (m) => [positive(m)]],
  ['batch', (m) => [positive(m, 2, [2])]],
  ['upper', (m) => [positive(m), { upper: true }]],
  ['larger', (m) => [positive(m, 9)], NONE],
);
const exponentials = solves(
  ['ordinary', (m) => [m.float([3, 3])], FIRST],
  ['batch', (m) => [m.float([2, 2, 2])], FIRST],
);
const powers = solves(
  ['cubed', (m) => [regular(m), 3]],
  ['inverse', (m) => [regular(m), -2], FIRST],
  ['zeroth', (m) => [regular(m), 0], NONE],
);
const orthogonals = solves(
  ['square', (m) => [regular(m)], FIRST],
  ['tall', (m) => [m.float([4, 2])], FIRST],
  ['batch', (m) => [m.float([2, 3, 2])], FIRST],
);
const reflectors = (m: SampleMaker): [Tensor, Tensor] => [m.float([4, 2]), m.float([2], { low: 0.5, high: 1.5 })];
const norms: readonly Call[] = [['frobenius', (m) => [m.float([3, 4])]]];

export const LINALG_SAMPLES: Record<string, OpSamples> = {
  'linalg.matmul': solves(['ordinary', (m) => [m.float([3, 4]), m.float([4, 2])]]),
  'linalg.multiDot': solves(['ordinary', (m) => [[m.float([2, 5]), m.float([5, 3]), m.float([3, 2])]]]),
  'linalg.vecdot': solves(['ordinary', (m) => [m.float([3, 4]), m.float([3, 4])]]),
  'linalg.cross': solves(['ordinary', (m) => [m.float([2, 3]), m.float([2, 3])]]),
  'linalg.diagonal': solves(['ordinary', (m) => [m.float([2, 3, 4])]]),
  'linalg.vander': solves(['ordinary', (m) => [m.float([3])]]),
  'linalg.cholesky': choleskys,
  cholesky: solves(['ordinary', (m) => [positive(m)]]),
  'linalg.choleskyEx': solves(['ordinary', (m) => [positive(m)]]),
  choleskyInverse: solves(['ordinary', (m) => [lower(m)]]),
  choleskySolve: solves(['ordinary', (m) => [m.float([3, 2]), lower(m)]]),
  'linalg.eig': solves(['ordinary', (m) => [regular(m)], NONE], ['batch', (m) => [regular(m, 2, [2])], NONE]),
  'linalg.eigvals': solves(['ordinary', (m) => [regular(m)], NONE]),
  'linalg.ldlFactor': solves(
    ['ordinary', (m) => [symmetric(m)], NONE],
    ['2 by 2 pivot', (m) => [m.values([0, 2, 2, 0], [2, 2])], NONE],
  ),
  'linalg.ldlFactorEx': solves(['ordinary', (m) => [symmetric(m)], NONE]),
  'linalg.ldlSolve': solves([
    'ordinary',
    (m) => [m.values([2, 0, 0.5, 3], [2, 2]), m.integers([1, 2], [2], 'int32'), m.float([2, 1])],
    NONE,
  ]),
  'linalg.eigh': solves(['values', (m) => [symmetric(m)], NONE], ['batch', (m) => [symmetric(m, 2, [2])], NONE]),
  'linalg.eigvalsh': solves(
    ['ordinary', (m) => [symmetric(m)], FIRST],
    ['batch', (m) => [symmetric(m, 2, [2])], FIRST],
    ['larger', (m) => [symmetric(m, 9)], NONE],
  ),
  symeig: solves(['ordinary', (m) => [symmetric(m)], FIRST]),
  'linalg.qr': orthogonals,
  qr: orthogonals,
  'linalg.geqrf': solves(['ordinary', (m) => [m.float([4, 2])], NONE]),
  geqrf: solves(['ordinary', (m) => [m.float([4, 2])], NONE]),
  'linalg.householderProduct': solves(['ordinary', (m) => reflectors(m), FIRST]),
  orgqr: solves(['ordinary', (m) => reflectors(m), FIRST]),
  'linalg.ormqr': solves(['ordinary', (m) => [...reflectors(m), m.float([4, 3])], NONE]),
  ormqr: solves(['ordinary', (m) => [...reflectors(m), m.float([4, 3])], NONE]),
  'linalg.lu': factorizations(),
  'linalg.luFactor': factorizations(),
  'linalg.luFactorEx': factorizations(),
  lu: factorizations(),
  'linalg.luSolve': solves([
    'ordinary',
    (m) => [regular(m), m.integers([1, 2, 3], [3], 'int32'), m.float([3, 2])],
    FIRST,
  ]),
  luSolve: solves(['ordinary', (m) => [m.float([3, 2]), regular(m), m.integers([1, 2, 3], [3], 'int32')], FIRST]),
  luUnpack: solves(['ordinary', (m) => [regular(m), m.integers([2, 3, 3], [3], 'int32')], FIRST]),
  'linalg.svd': solves(
    ['ordinary', (m) => [symmetric(m), { fullMatrices: false }], NONE],
    ['tall', (m) => [m.float([4, 2]), { fullMatrices: false }], NONE],
  ),
  'linalg.svdvals': solves(
    ['ordinary', (m) => [regular(m)], FIRST],
    ['tall', (m) => [m.float([4, 2])], FIRST],
    ['batch', (m) => [m.float([2, 2, 3])], FIRST],
  ),
  svd: solves(['ordinary', (m) => [m.float([4, 2])], NONE]),
  svdLowrank: op('solved'),
  pcaLowrank: op('solved'),
  'linalg.cond': solves(['ordinary', (m) => [regular(m)], FIRST], ['frobenius', (m) => [regular(m), 'fro'], FIRST]),
  'linalg.det': determinants,
  det: determinants,
  logdet: solves(['ordinary', (m) => [positive(m)]]),
  'linalg.slogdet': solves(['ordinary', (m) => [regular(m)]]),
  slogdet: solves(['ordinary', (m) => [regular(m)]]),
  'linalg.inv': inverses,
  inverse: inverses,
  'linalg.invEx': solves(['ordinary', (m) => [regular(m)]]),
  'linalg.pinv': solves(['ordinary', (m) => [m.float([4, 2])], FIRST]),
  pinverse: solves(['ordinary', (m) => [regular(m)], FIRST]),
  'linalg.lstsq': solves(['ordinary', (m) => [m.float([4, 2]), m.float([4, 1])], NONE]),
  'linalg.matrixExp': exponentials,
  matrixExp: exponentials,
  'linalg.matrixPower': powers,
  matrixPower: powers,
  'linalg.matrixRank': solves(['ordinary', (m) => [regular(m)], NONE]),
  'linalg.solve': solutions,
  'linalg.solveEx': solves(['ordinary', (m) => [regular(m), m.float([3, 2])]]),
  'linalg.tensorinv': solves(['ordinary', (m) => [regular(m, 4).reshape([2, 2, 4]), { ind: 2 }]]),
  'linalg.tensorsolve': solves(['ordinary', (m) => [regular(m, 4).reshape([2, 2, 4]), m.float([2, 2])]]),
  'linalg.solveTriangular': solves(
    ['upper', (m) => [upper(m), m.float([3, 2]), { upper: true }]],
    ['lower', (m) => [lower(m), m.float([3, 2]), { upper: false }]],
  ),
  triangularSolve: solves(['ordinary', (m) => [m.float([3, 2]), upper(m)]]),
  'linalg.matrixNorm': solves(
    ...norms,
    ['nuclear', (m) => [regular(m), 'nuc'], FIRST],
    ['spectral', (m) => [regular(m), 2], FIRST],
    ['columns', (m) => [regular(m), 1]],
  ),
  'linalg.norm': solves(...norms, ['vector', (m) => [m.float([4]), 3]]),
  'linalg.vectorNorm': solves(
    ['ordinary', (m) => [m.float([3, 4])]],
    ['three', (m) => [m.positive([3, 4]), 3, { dim: 1 }]],
  ),
};
