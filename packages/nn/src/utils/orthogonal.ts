/**
 * Matrices with orthonormal columns (or rows, where there are more columns) from free ones: by the matrix exponential, the Cayley map or Householder
 * reflections. With a base, the free matrix moves around it (Lezcano-Casado 2019, dynamic trivialisations).
 */
import { ProjError } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { cat, eye, finfo, geqrf, randn, type Tensor, where, zeros, zerosLike } from '@proj/tensor';
import { householderProduct, matrixExp, solve } from '@proj/tensor/linalg';
import { Module } from '../module.ts';

export type OrthogonalMap = 'matrix_exp' | 'cayley' | 'householder';

const PLANE = { dim1: -2, dim2: -1 } as const;
const place = (x: Tensor): Pick<Tensor, 'dtype' | 'device'> => ({ dtype: x.dtype, device: x.device });
const diagonalOf = (x: Tensor): Tensor => x.diagonal(PLANE);
const adjoint = (x: Tensor): Tensor => (x.isComplex() ? x.transpose(-2, -1).conj() : x.transpose(-2, -1));

/** The factor Q of A = Q·R for which the diagonal of R is not negative. */
function orthogonalFactor(matrix: Tensor): Tensor {
  const { a, tau } = geqrf(matrix);
  return householderProduct(a, tau).mul(diagonalOf(a).sgn().unsqueeze(-2));
}
function isOrthogonal(matrix: Tensor): boolean {
  const [rows, columns] = matrix.shape.slice(-2);
  const product = adjoint(matrix).matmul(matrix);
  const identity = eye(columns, place(matrix)).expand([...product.shape]);
  return product.allclose(identity, { atol: 10 * rows * finfo(matrix.dtype).eps });
}

/** The parametrization: `call` gives the orthogonal matrix, `rightInverse` the free one. */
export class Orthogonal extends Module {
  readonly map: OrthogonalMap;
  readonly useTrivialization: boolean;
  declare base: Tensor | null;

  constructor(map: OrthogonalMap, useTrivialization: boolean) {
    super();
    this.map = map;
    this.useTrivialization = useTrivialization;
    if (useTrivialization) this.registerBuffer('base', null);
  }
  override forward(free: Tensor): Tensor {
    const wide = free.shape[free.ndim - 2] < free.shape[free.ndim - 1];
    const tall = wide ? free.transpose(-2, -1) : free;
    const own = this.map === 'householder' ? reflections(tall) : rotation(tall, this.map);
    const base = this.useTrivialization ? this.base : null;
    const result = base === null ? own : base.matmul(own);
    return wide ? result.transpose(-2, -1) : result;
  }
  rightInverse(value: Tensor): Tensor {
    return noGrad(() => {
      const [rows, columns] = value.shape.slice(-2);
      const wide = rows < columns;
      const tall = wide ? value.transpose(-2, -1) : value;
      if (this.useTrivialization) {
        this.base = baseOf(tall);
        const free = zerosLike(value);
        return free.diagonalScatter(diagonalOf(free).sub(1), PLANE);
      }
      if (this.map !== 'householder')
        throw new ProjError('not-implemented', `the map ${this.map} has no inverse`, {
          op: 'orthogonal',
          cure: "Use { useTrivialization: true }, or orthogonalMap 'householder'",
        });
      const { a, tau } = geqrf(tall);
      const signs = diagonalOf(a).sign();
      const free = a.diagonalScatter(where(tau.eq(0), signs.neg(), signs), PLANE);
      return wide ? free.transpose(-2, -1) : free;
    });
  }
}

/** A square orthogonal matrix whose first columns are those of `tall`, made orthonormal where they are not. */
function baseOf(tall: Tensor): Tensor {
  const [rows, columns] = tall.shape.slice(-2);
  if (rows === columns) return isOrthogonal(tall) ? tall.clone() : orthogonalFactor(tall);
  const others = randn([...tall.shape.slice(0, -2), rows, rows - columns], place(tall));
  return orthogonalFactor(cat([tall, others], -1));
}
/** The first columns of the rotation whose generator has `tall` below its diagonal. */
function rotation(tall: Tensor, map: 'matrix_exp' | 'cayley'): Tensor {
  const [rows, columns] = tall.shape.slice(-2);
  const lower = tall.tril();
  const square =
    rows === columns ? lower : cat([lower, zeros([...tall.shape.slice(0, -2), rows, rows - columns], place(tall))], -1);
  const skew = square.sub(adjoint(square));
  const identity = eye(rows, place(tall));
  const whole =
    map === 'matrix_exp' ? matrixExp(skew) : solve(identity.sub(skew.mul(0.5)), identity.add(skew.mul(0.5)));
  return rows === columns ? whole : whole.narrow(-1, 0, columns);
}
/** The product of the reflections along the columns below the diagonal; the diagonal holds signs. */
function reflections(tall: Tensor): Tensor {
  const axes = tall.tril({ diagonal: -1 });
  const tau = axes.mul(axes).sum(-2).add(1).reciprocal().mul(2);
  const signs = diagonalOf(tall).detach().trunc();
  return householderProduct(axes, tau).mul(signs.unsqueeze(-2));
}
