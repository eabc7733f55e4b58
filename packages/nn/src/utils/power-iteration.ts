/** The largest singular value of a weight by power iteration (Miyato et al. 2018): what both forms of spectral norm share. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { randn, type Tensor } from '@proj/tensor';
import { normalizeDim } from '@proj/tensor/graph';
import { normalize } from '../functional/normalization.ts';
import type { Module } from '../module.ts';
import { ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from '../modules/convolution.ts';
import type { NameOptions } from './fields.ts';

export interface SpectralNormOptions extends NameOptions {
  /** Power iterations for each forward in training (default 1). */
  readonly nPowerIterations?: number;
  /** Keeps lengths from zero (default 1e-12). */
  readonly eps?: number;
  /** The dimension of the outputs (default 0; 1 for transposed convolutions). */
  readonly dim?: number | null;
}
const SPECTRAL_NORM: Defaults<SpectralNormOptions> = { name: 'weight', nPowerIterations: 1, eps: 1e-12, dim: null };

/** Options with their defaults. Errors: unknown names; no iterations. */
export function spectralOptions(op: string, options: SpectralNormOptions): Defaults<SpectralNormOptions> {
  const filled = withDefaults(op, SPECTRAL_NORM, options);
  if (!Number.isInteger(filled.nPowerIterations) || filled.nPowerIterations <= 0)
    throw new ProjError('invalid-argument', `nPowerIterations is ${filled.nPowerIterations}`, {
      op,
      cure: 'Give a whole number from 1 on',
    });
  return filled;
}
/** The dimension of a weight that counts outputs. */
export function outputDim(op: string, module: Module, weight: Tensor, dim: number | null): number {
  const transposed = [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d].some((kind) => module instanceof kind);
  return normalizeDim(dim ?? (transposed ? 1 : 0), weight.ndim, op);
}

/** A weight as a matrix with one row for each place of `dim`. */
export function asMatrix(weight: Tensor, dim: number): Tensor {
  const order = [dim, ...weight.shape.map((_, d) => d).filter((d) => d !== dim)];
  return weight.permute(order).reshape([weight.shape[dim], -1]);
}
/** A random direction. */
export const randomUnit = (like: Tensor, size: number, eps: number): Tensor =>
  normalize(randn(size, { dtype: like.dtype, device: like.device }), { dim: 0, eps });

/** The direction that the vector is sent to by the matrix. */
const sent = (matrix: Tensor, vector: Tensor, eps: number): Tensor => normalize(matrix.mv(vector), { dim: 0, eps });

/** Singular vectors `u` (of outputs) and `v` (of inputs) in place, one of them from the other in turn, `first` first. */
export function iterate(
  matrix: Tensor,
  { u, v }: { readonly u: Tensor; readonly v: Tensor },
  first: 'u' | 'v',
  { times, eps }: { readonly times: number; readonly eps: number },
): void {
  noGrad(() => {
    const weight = matrix.detach();
    let [left, right] = [u.detach(), v.detach()];
    for (let k = 0; k < times; k++) {
      if (first === 'u') left = sent(weight, right, eps);
      right = sent(weight.t(), left, eps);
      if (first === 'v') left = sent(weight, right, eps);
    }
    u.assign(left.node);
    v.assign(right.node);
  });
}
/** The weight divided by uᵀ·W·v. The vectors are copied, so that a later iteration does not disturb the gradient of this one. */
export function dividedBySpectralNorm(
  weight: Tensor,
  matrix: Tensor,
  { u, v }: { readonly u: Tensor; readonly v: Tensor },
): Tensor {
  return weight.div(u.clone().dot(matrix.mv(v.clone())));
}
