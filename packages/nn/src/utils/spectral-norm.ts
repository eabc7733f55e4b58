/** Weights divided by their largest singular value, as torch.nn.utils.spectral_norm; `parametrizations` has the newer form. */
import type { Defaults } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { defineDerived, type DerivedField, type Module, removeField } from '../module.ts';
import { type NameOptions, requireParameter, siblingField, withName } from './fields.ts';
import { makePlain } from './plain-parameter.ts';
import {
  asMatrix,
  dividedBySpectralNorm,
  iterate,
  outputDim,
  randomUnit,
  spectralOptions,
  type SpectralNormOptions,
} from './power-iteration.ts';

interface Parts {
  readonly weight: Tensor;
  readonly matrix: Tensor;
  readonly u: Tensor;
  readonly v: Tensor;
}
class SpectralNorm implements DerivedField {
  readonly op = 'spectralNorm';
  readonly original: string;
  readonly left: string;
  readonly right: string;
  readonly dim: number;
  readonly times: number;
  readonly eps: number;

  constructor(key: string, dim: number, { nPowerIterations, eps }: Defaults<SpectralNormOptions>) {
    this.original = siblingField(key, 'orig');
    this.left = siblingField(key, 'u');
    this.right = siblingField(key, 'v');
    this.dim = dim;
    this.times = nPowerIterations;
    this.eps = eps;
  }
  parts(module: Module): Parts {
    const read = (key: string): Tensor => Reflect.get(module, key) as Tensor;
    const weight = read(this.original);
    return { weight, matrix: asMatrix(weight, this.dim), u: read(this.left), v: read(this.right) };
  }
  beforeForward(module: Module): void {
    if (!module.training) return;
    const parts = this.parts(module);
    iterate(parts.matrix, parts, 'v', this);
  }
  compute(module: Module): Tensor {
    const parts = this.parts(module);
    return dividedBySpectralNorm(parts.weight, parts.matrix, parts);
  }
}

/**
 * Replaces parameter `name` (default 'weight') by `weight_orig` and the buffers `weight_u` and `weight_v`; the weight that is read is the original divided
 * by its largest singular value, which each `call` in training brings nearer by power iteration. Gives the module. Errors: as `weightNorm`.
 */
export function spectralNorm<M extends Module>(
  module: M,
  name?: string | SpectralNormOptions,
  options: SpectralNormOptions = {},
): M {
  const op = 'spectralNorm';
  const given = spectralOptions(op, withName(name, options));
  const { key, value } = requireParameter(op, module, given.name);
  const field = new SpectralNorm(key, outputDim(op, module, value, given.dim), given);
  const [rows, columns] = asMatrix(value.detach(), field.dim).shape;
  removeField(module, key);
  module.registerParameter(field.original, value);
  module.registerBuffer(field.left, randomUnit(value, rows, given.eps));
  module.registerBuffer(field.right, randomUnit(value, columns, given.eps));
  defineDerived(module, key, field);
  return module;
}

/** Makes the weight a plain parameter with its present value. Errors: it has no spectral norm. */
export function removeSpectralNorm<M extends Module>(module: M, name: string | NameOptions = {}): M {
  makePlain(
    { op: 'removeSpectralNorm', made: 'spectral norm', by: 'spectralNorm' },
    module,
    name,
    SpectralNorm,
    ({ original, left, right }) => [original, left, right],
  );
  return module;
}
