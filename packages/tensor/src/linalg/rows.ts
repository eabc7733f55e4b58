/* oxlint-disable import/namespace -- rows are made by name */
/** Rows of the op table for linear algebra: torch.linalg's names, and the older ones of torch and Tensor. */
import { type OpRow, row } from '../ops/table.ts';
import * as decompositions from './decompositions.ts';
import * as linalg from './index.ts';
import { logdet } from './inverses.ts';

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
const SIGNATURES: Record<keyof typeof linalg, string> = {
  matmul: 'input, other',
  cholesky: 'A, *, upper=False',
  choleskyEx: 'A, *, upper=False, check_errors=False',
  eigh: 'A, UPLO="L"',
  eigvalsh: 'A, UPLO="L"',
  geqrf: 'input',
  householderProduct: 'A, tau',
  lu: 'A, *, pivot=True',
  luFactor: 'A, *, pivot=True',
  luFactorEx: 'A, *, pivot=True, check_errors=False',
  luSolve: 'LU, pivots, B, *, left=True, adjoint=False',
  ormqr: 'input, tau, other, left=True, transpose=False',
  qr: 'A, mode="reduced"',
  svd: 'A, full_matrices=True, *, driver=None',
  svdvals: 'A, *, driver=None',
  cond: 'A, p=None',
  det: 'A',
  inv: 'A',
  invEx: 'A, *, check_errors=False',
  lstsq: 'A, B, rcond=None, *, driver=None',
  matrixExp: 'A',
  matrixPower: 'A, n',
  matrixRank: 'A, *, atol=None, rtol=None, hermitian=False',
  multiDot: 'tensors',
  pinv: 'A, *, atol=None, rtol=None, hermitian=False',
  slogdet: 'A',
  solve: 'A, B, *, left=True',
  solveEx: 'A, B, *, left=True, check_errors=False',
  tensorinv: 'A, ind=2',
  tensorsolve: 'A, B, dims=None',
  vander: 'x, N=None',
  vecdot: 'x, y, *, dim=-1',
  matrixNorm: 'A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None',
  norm: 'A, ord=None, dim=None, keepdim=False, *, dtype=None',
  vectorNorm: 'x, ord=2, dim=None, keepdim=False, *, dtype=None',
  solveTriangular: 'A, B, *, upper, left=True, unitriangular=False',
  eig: 'A',
  eigvals: 'A',
  ldlFactor: 'A, *, hermitian=False',
  ldlFactorEx: 'A, *, hermitian=False, check_errors=False',
  ldlSolve: 'LD, pivots, B, *, hermitian=False',
  cross: 'input, other, *, dim=-1',
  diagonal: 'A, *, offset=0, dim1=-2, dim2=-1',
};
/** Names that torch and Tensor have too, with the same function. */
const SHARED: Partial<Record<keyof typeof linalg, readonly string[]>> = {
  det: ['torch.det'],
  inv: ['torch.inverse'],
  slogdet: ['torch.slogdet'],
  matrixPower: ['torch.matrix_power'],
  matrixExp: ['torch.matrix_exp'],
  pinv: ['torch.pinverse'],
  householderProduct: ['torch.orgqr'],
  geqrf: ['torch.geqrf'],
  ormqr: ['torch.ormqr'],
  multiDot: [],
};
const legacy = (name: string, fn: unknown, signature: string, torch?: readonly string[]): OpRow =>
  row(name, fn as never, signature, { method: true, torch });

/** Computed in JavaScript, without a gradient. */
const ON_THE_HOST: ReadonlySet<string> = new Set(['eig', 'eigvals', 'ldlFactor', 'ldlFactorEx', 'ldlSolve']);

export const LINALG: readonly OpRow[] = [
  ...(Object.keys(SIGNATURES) as (keyof typeof linalg)[]).map((name) =>
    row(`linalg.${name}`, linalg[name] as never, SIGNATURES[name], {
      method: false,
      differentiable: !ON_THE_HOST.has(name),
      torch: [
        ...(name === 'geqrf' || name === 'ormqr' ? [] : [`torch.linalg.${snake(name)}`]),
        ...(SHARED[name] ?? []),
      ],
    }),
  ),
  legacy('det', linalg.det, 'input', ['Tensor.det']),
  legacy('inverse', linalg.inv, 'input', ['Tensor.inverse']),
  legacy('slogdet', linalg.slogdet, 'input', ['Tensor.slogdet']),
  legacy('logdet', logdet, 'input'),
  legacy('matrixPower', linalg.matrixPower, 'input, n', ['Tensor.matrix_power']),
  legacy('matrixExp', linalg.matrixExp, 'input', ['Tensor.matrix_exp']),
  legacy('pinverse', linalg.pinv, 'input, rcond=1e-15', ['Tensor.pinverse']),
  legacy('orgqr', linalg.householderProduct, 'input, input2', ['Tensor.orgqr']),
  legacy('geqrf', linalg.geqrf, 'input', ['Tensor.geqrf']),
  legacy('ormqr', linalg.ormqr, 'input, input2, input3, left=True, transpose=False', ['Tensor.ormqr']),
  legacy('cholesky', decompositions.cholesky, 'input, upper=False'),
  legacy('choleskyInverse', decompositions.choleskyInverse, 'input, upper=False'),
  legacy('choleskySolve', decompositions.choleskySolve, 'input, input2, upper=False'),
  legacy('lu', decompositions.legacyLu, 'input, pivot=True, get_infos=False'),
  legacy('luSolve', decompositions.legacyLuSolve, 'b, LU_data, LU_pivots'),
  row('luUnpack', decompositions.luUnpack, 'LU_data, LU_pivots, unpack_data=True, unpack_pivots=True', {
    method: false,
  }),
  legacy('qr', decompositions.legacyQr, 'input, some=True'),
  legacy('svd', decompositions.legacySvd, 'input, some=True, compute_uv=True'),
  legacy('symeig', decompositions.symeig, 'input, eigenvectors=False, upper=True'),
  row('svdLowrank', decompositions.svdLowrank as never, 'A, q=6, niter=2, M=None', { method: false }),
  row('pcaLowrank', decompositions.pcaLowrank as never, 'A, q=None, center=True, niter=2', { method: false }),
  legacy('triangularSolve', decompositions.triangularSolve, 'b, A, upper=True, transpose=False, unitriangular=False'),
];
