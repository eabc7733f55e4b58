/** Triangular, LU and Cholesky solvers with their gradients (formulas after Giles 2008 and Walter 2018). */
import { ProjError, withDefaults } from '@proj/kernel';
import { attachGradient } from '../attach-gradient.ts';
import { castNode } from '../graph/build.ts';
import { arange } from '../ops/creation.ts';
import { concatenate } from '../ops/joining.ts';
import { matmul } from '../ops/products.ts';
import { where } from '../ops/elementwise.ts';
import { type Tensor, wrap } from '../tensor.ts';
import { isComplexDType, toReal } from '../promotion.ts';
import { permutationKernel } from './kernels.ts';
import {
  batchOf,
  blocksOf,
  columnsOf,
  commonBatch,
  cut,
  identityOf,
  kernelsFor,
  requireMatrix,
  rowsOf,
  sumBatch,
  toKernel,
  zerosOf,
} from './shared.ts';

export interface TriangularOptions {
  readonly upper?: boolean;
  /** Solve A X = B (default) rather than X A = B. */
  readonly left?: boolean;
  /** The diagonal of A counts as ones. */
  readonly unitriangular?: boolean;
}
/** X with A X = B (or X A = B) for a triangular A. */
export function solveTriangular(A: Tensor, B: Tensor, options: TriangularOptions = {}): Tensor {
  const { upper, left, unitriangular } = withDefaults(
    'solveTriangular',
    { upper: true, left: true, unitriangular: false },
    options,
  );
  requireMatrix('solveTriangular', A, true);
  requireMatrix('solveTriangular', B);
  if (!left) return solveTriangular(A.mT, B.mT, { upper: !upper, unitriangular }).mT;
  if (A.dtype !== B.dtype)
    throw new ProjError('dtype', `operands of ${A.dtype} and ${B.dtype}`, { op: 'solveTriangular' });
  if (columnsOf(A) !== rowsOf(B))
    throw new ProjError('shape-mismatch', 'A and B have different numbers of rows', {
      op: 'solveTriangular',
      shapes: [A.shape, B.shape],
    });
  const batch = commonBatch('solveTriangular', A, B);
  const shape = [rowsOf(B), columnsOf(B)];
  const value = cut(
    kernelsFor(A)[`${upper ? 'upper' : 'lower'}${unitriangular ? 'Unit' : ''}`](toKernel(A, batch), toKernel(B, batch)),
    0,
    batch,
    shape,
    B.dtype,
  );
  return attachGradient(value, [A, B], (g, [a, b], x) => {
    const gradB = solveTriangular(a.mH, g, { upper: !upper, unitriangular });
    const product = matmul(gradB, x.mH).neg();
    const gradA = upper ? product.triu(unitriangular ? 1 : 0) : product.tril(unitriangular ? -1 : 0);
    return [sumBatch(gradA, a), sumBatch(gradB, b)];
  });
}

export interface LuParts {
  readonly LU: Tensor;
  /** int32, from 1. */
  readonly pivots: Tensor;
  /** int32: 0, or the first zero pivot. */
  readonly info: Tensor;
}
/** The LU factorisation in compact form, with the gradient of its factors. */
export function luParts(A: Tensor): LuParts {
  const [m, n, batch] = [rowsOf(A), columnsOf(A), batchOf(A)];
  const k = Math.min(m, n);
  const packed = kernelsFor(A).lu(toKernel(A));
  const value = cut(packed, 0, batch, [m, n], A.dtype);
  const pivots = wrap(castNode(cut(packed, blocksOf(A) * m * n, batch, [k], 'float64').add(1).node, 'int32'));
  const LU = attachGradient(value, [A], (g, _, lu) => [luBackward(g, lu, pivots)]);
  const zero = value.diagonal({ dim1: -2, dim2: -1 }).eq(0);
  const first = wrap(castNode(zero.node, 'int32'));
  const position = k === 0 ? zerosOf(A, batch, 'int32') : first.amax(-1).mul(first.argmax(-1).add(1));
  return { LU, pivots, info: wrap(castNode(position.node, 'int32')) };
}
const halves = (lu: Tensor): { L: Tensor; U: Tensor } => {
  const [m, n] = [rowsOf(lu), columnsOf(lu)];
  const k = Math.min(m, n);
  const L = lu
    .narrow(-1, 0, k)
    .tril(-1)
    .add(m === k ? identityOf(lu, k) : identityOf(lu, m).narrow(1, 0, k));
  return { L, U: lu.narrow(-2, 0, k).triu() };
};
function luBackward(g: Tensor, lu: Tensor, pivots: Tensor): Tensor {
  const { L, U } = halves(lu);
  const [m, n] = [rowsOf(lu), columnsOf(lu)];
  const k = Math.min(m, n);
  const P = permutationMatrix(pivots, m, lu);
  const gL = g.narrow(-1, 0, k).tril(-1);
  const gU = g.narrow(-2, 0, k).triu();
  const square = { L: L.narrow(-2, 0, k), U: U.narrow(-1, 0, k), gL: gL.narrow(-2, 0, k), gU: gU.narrow(-1, 0, k) };
  const leftInverse = (x: Tensor): Tensor => solveTriangular(square.L.mH, x, { upper: true, unitriangular: true });
  const rightInverse = (x: Tensor): Tensor => solveTriangular(square.U.mH, x, { upper: false, left: false });
  let lower = matmul(square.L.mH, square.gL);
  let upper = matmul(square.gU, square.U.mH);
  if (m < n) {
    const [U2, gU2] = [U.narrow(-1, k, n - k), gU.narrow(-1, k, n - k)];
    lower = lower.sub(matmul(gU2, U2.mH));
    const first = rightInverse(leftInverse(lower.tril(-1).add(upper.triu())));
    return matmul(P, concatenate([first, leftInverse(gU2)], first.ndim - 1, 'lu'));
  }
  if (m > n) {
    const [L2, gL2] = [L.narrow(-2, k, m - k), gL.narrow(-2, k, m - k)];
    upper = upper.sub(matmul(L2.mH, gL2));
    const first = rightInverse(leftInverse(lower.tril(-1).add(upper.triu())));
    return matmul(P, concatenate([first, rightInverse(gL2)], first.ndim - 2, 'lu'));
  }
  return matmul(P, rightInverse(leftInverse(lower.tril(-1).add(upper.triu()))));
}
/** P of A = P L U from row swaps. */
export function permutationMatrix(pivots: Tensor, m: number, like: Tensor): Tensor {
  const batch = pivots.shape.slice(0, -1);
  const rows = toKernel(wrap(castNode(pivots.unsqueeze(-1).node, 'float64')));
  const width = zerosOf(like, [rows.shape[0], m, 1], 'float64');
  const P = cut(permutationKernel(rows, width), 0, batch, [m, m], toReal(like.dtype));
  return wrap(castNode(P.node, like.dtype));
}
/** P, L and U from the compact form. */
export function unpackLu(LU: Tensor, pivots: Tensor): { P: Tensor; L: Tensor; U: Tensor } {
  return { P: permutationMatrix(pivots, rowsOf(LU), LU), ...halves(LU) };
}

/** X with A X = B from A's factors. */
export function solveWithLu(LU: Tensor, pivots: Tensor, B: Tensor, adjoint = false): Tensor {
  const { P, L, U } = unpackLu(LU, pivots);
  if (adjoint)
    return matmul(
      P,
      solveTriangular(L.mH, solveTriangular(U.mH, B, { upper: false }), { upper: true, unitriangular: true }),
    );
  return solveTriangular(U, solveTriangular(L, matmul(P.mT, B), { upper: false, unitriangular: true }));
}

/** X with A X = B, B with columns. */
export function solveMatrix(A: Tensor, B: Tensor): { X: Tensor; info: Tensor } {
  const { LU, pivots, info } = luParts(A.detach());
  const value = solveWithLu(LU, pivots, B.detach());
  const X = attachGradient(value, [A, B], (g, [a, b], x) => {
    const gradB = solveMatrix(a.mH, g).X;
    return [sumBatch(matmul(gradB, x.mH).neg(), a), sumBatch(gradB, b)];
  });
  return { X, info };
}

/** The lower Cholesky factor and whether it exists (0) or which leading minor is not positive. */
export function choleskyParts(A: Tensor, upper: boolean): { L: Tensor; info: Tensor } {
  const [n, batch] = [rowsOf(A), batchOf(A)];
  const packed = kernelsFor(A).cholesky(toKernel(upper ? A.mH : A));
  const value = cut(packed, 0, batch, [n, n], A.dtype);
  const L = attachGradient(value, [A], (g, _, l) => {
    const phi = matmul(l.mH, g).tril();
    const half = phi.add(phi.tril(-1).mH).mul(0.5);
    const inner = solveTriangular(l.mH, half, { upper: true });
    return [solveTriangular(l, inner, { upper: false, left: false })];
  });
  return { L, info: cut(packed, blocksOf(A) * n * n, batch, [], 'int32') };
}

export const notPositive = (value: number): string => `the leading minor of order ${value} is not positive`;
export const isSingular = (value: number): string => `the matrix is singular: pivot ${value} is zero`;

/** The determinant's sign (direction, for complex ones) and the logarithm of its size. */
export function logDeterminant(A: Tensor): { sign: Tensor; logabsdet: Tensor } {
  const { LU, pivots } = luParts(A.detach());
  const diagonal = LU.diagonal({ dim1: -2, dim2: -1 });
  const direction = diagonal.sgn().prod(-1).mul(swapSign(pivots, A)).detach();
  const value = diagonal.abs().log().sum(-1);
  const throughInverse = (g: Tensor, a: Tensor): Tensor =>
    solveMatrix(
      a.mH,
      wrap(castNode(g.node, a.dtype))
        .unsqueeze(-1)
        .unsqueeze(-1)
        .mul(identityOf(a, rowsOf(a))),
    ).X;
  const sign = isComplexDType(A.dtype)
    ? attachGradient(direction, [A], (g, [a], s) => {
        const turn = s.conj().mul(g);
        return [throughInverse(turn.sub(turn.conj()).mul(0.5), a)];
      })
    : direction;
  return { sign, logabsdet: attachGradient(value, [A], (g, [a]) => [throughInverse(g, a)]) };
}
/** -1 for an odd number of row swaps, else 1. */
function swapSign(pivots: Tensor, like: Tensor): Tensor {
  const n = pivots.shape[pivots.ndim - 1];
  const swaps = pivots.ne(arange(1, n + 1, { dtype: 'int32', device: pivots.device })).sum(-1);
  return wrap(castNode(swaps.remainder(2).mul(-2).add(1).node, toReal(like.dtype)));
}

/** The determinant; where it vanishes its gradient is the matrix of cofactors, from singular vectors. */
export function determinant(A: Tensor, cofactors: (a: Tensor) => Tensor): Tensor {
  const { LU, pivots } = luParts(A.detach());
  const value = LU.diagonal({ dim1: -2, dim2: -1 }).prod(-1).mul(swapSign(pivots, A));
  return attachGradient(value, [A], (g, [a], det) => {
    const n = rowsOf(a);
    const wide = g.unsqueeze(-1).unsqueeze(-1);
    const size = a.detach().abs().amax([-2, -1], { keepdim: true }).pow(n);
    const regular = det.detach().abs().unsqueeze(-1).unsqueeze(-1).gt(size.mul(1e-6));
    const safe = where(regular, a, identityOf(a, n).expand(a.shape));
    const inverse = solveMatrix(safe.mH, identityOf(a, n).expand(a.shape)).X;
    const smooth = inverse.mul(determinant(safe, cofactors).conj().unsqueeze(-1).unsqueeze(-1));
    return [where(regular, smooth, cofactors(a.detach())).mul(wide)];
  });
}
