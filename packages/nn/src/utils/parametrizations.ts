/** Parametrizations that come with the package, as torch.nn.utils.parametrizations. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { normalize } from '../functional/normalization.ts';
import { Module } from '../module.ts';
import { findField, type NameOptions, requireTensor, withName } from './fields.ts';
import { Orthogonal, type OrthogonalMap } from './orthogonal.ts';
import { isParametrized, type Parametrized, registerParametrization } from './parametrize.ts';
import {
  asMatrix,
  dividedBySpectralNorm,
  iterate,
  outputDim,
  randomUnit,
  spectralOptions,
  type SpectralNormOptions,
} from './power-iteration.ts';

export type { OrthogonalMap, SpectralNormOptions };

export interface OrthogonalOptions extends NameOptions {
  /** How the matrix is made; by default 'matrix_exp' for square and complex ones, 'householder' for others. */
  readonly orthogonalMap?: OrthogonalMap | null;
  /** Keeps a base that the free matrix moves around (default true). */
  readonly useTrivialization?: boolean;
}
const ORTHOGONAL: Defaults<OrthogonalOptions> = { name: 'weight', orthogonalMap: null, useTrivialization: true };
const MAPS: readonly string[] = ['matrix_exp', 'cayley', 'householder'] satisfies OrthogonalMap[];

/** The present value of a tensor that is to be parametrised, for the first time or once more. */
function presentValue(op: string, module: Module, name: string): Tensor {
  const key = isParametrized(module, name) ? findField(module, name) : undefined;
  return key === undefined ? requireTensor(op, module, name).value : (Reflect.get(module, key) as Tensor);
}

/**
 * Keeps a matrix (or batch of matrices [..., m, n]) orthogonal: its columns are orthonormal, or its rows where m < n. It starts as the present one, made
 * orthogonal. Gives the module. Errors: no such tensor; fewer than two dimensions; a map that does not exist.
 */
export function orthogonal<M extends Module>(
  module: M,
  name?: string | OrthogonalOptions,
  options: OrthogonalOptions = {},
): M & Parametrized {
  const op = 'orthogonal';
  const given = withDefaults(op, ORTHOGONAL, withName(name, options));
  const weight = presentValue(op, module, given.name);
  if (weight.ndim < 2)
    throw new ProjError('shape-mismatch', 'a matrix or a batch of matrices is needed', { op, shapes: [weight.shape] });
  const square = weight.shape[weight.ndim - 2] === weight.shape[weight.ndim - 1];
  const map = given.orthogonalMap ?? (square || weight.isComplex() ? 'matrix_exp' : 'householder');
  if (!MAPS.includes(map))
    throw new ProjError('invalid-argument', `orthogonalMap "${map}" does not exist`, {
      op,
      cure: `Use one of ${MAPS.join(', ')}`,
    });
  if (map === 'householder' && weight.isComplex())
    throw new ProjError('dtype', 'the map householder is for real matrices', { op, cure: "Use 'matrix_exp'" });
  return registerParametrization(module, given.name, new Orthogonal(map, given.useTrivialization), { unsafe: true });
}

/** The largest singular value kept at 1. */
class SpectralNorm extends Module {
  readonly dim: number;
  readonly eps: number;
  readonly times: number;
  declare _u: Tensor;
  declare _v: Tensor;

  constructor(weight: Tensor, dim: number, { nPowerIterations, eps }: Defaults<SpectralNormOptions>) {
    super();
    this.dim = dim;
    this.eps = eps;
    this.times = nPowerIterations;
    if (weight.ndim < 2) return;
    const matrix = asMatrix(weight.detach(), dim);
    const [rows, columns] = matrix.shape;
    this.registerBuffer('_u', randomUnit(weight, rows, eps));
    this.registerBuffer('_v', randomUnit(weight, columns, eps));
    // As many as PyTorch starts with.
    iterate(matrix, this.vectors, 'u', { times: 15, eps });
  }
  get vectors(): { readonly u: Tensor; readonly v: Tensor } {
    return { u: this._u, v: this._v };
  }
  override forward(weight: Tensor): Tensor {
    if (weight.ndim < 2) return normalize(weight, { dim: 0, eps: this.eps });
    const matrix = asMatrix(weight, this.dim);
    if (this.training) iterate(matrix, this.vectors, 'u', this);
    return dividedBySpectralNorm(weight, matrix, this.vectors);
  }
  rightInverse(value: Tensor): Tensor {
    return value;
  }
}

/**
 * Divides a weight by its largest singular value, which each reading in training brings nearer by power iteration; a vector by its length. Gives the
 * module. Errors: no such tensor; no iterations.
 */
export function spectralNorm<M extends Module>(
  module: M,
  name?: string | SpectralNormOptions,
  options: SpectralNormOptions = {},
): M & Parametrized {
  const op = 'spectralNorm';
  const given = spectralOptions(op, withName(name, options));
  const weight = presentValue(op, module, given.name);
  const dim = outputDim(op, module, weight, given.dim);
  return registerParametrization(module, given.name, new SpectralNorm(weight, dim, given));
}
