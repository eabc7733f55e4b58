/** Weights as a length and a direction (Salimans and Kingma 2016). */
import { type Defaults, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import type { Tensor } from '@proj/tensor';
import { normalizeDim } from '@proj/tensor/graph';
import { defineDerived, type DerivedField, type Module, removeField } from '../module.ts';
import { Parameter } from '../parameter.ts';
import { type NameOptions, requireParameter, siblingField, withName } from './fields.ts';
import { makePlain } from './plain-parameter.ts';

export interface WeightNormOptions extends NameOptions {
  /** The dimension that keeps a length for each of its places (default 0); null (or -1) for one length of the whole tensor. */
  readonly dim?: number | null;
}
const WEIGHT_NORM: Defaults<WeightNormOptions> = { name: 'weight', dim: 0 };

/** weight = g · v / ‖v‖. */
class WeightNorm implements DerivedField {
  readonly op = 'weightNorm';
  readonly gain: string;
  readonly direction: string;
  readonly dim: number | null;

  constructor(key: string, dim: number | null) {
    this.gain = siblingField(key, 'g');
    this.direction = siblingField(key, 'v');
    this.dim = dim;
  }
  compute(module: Module): Tensor {
    const gain = Reflect.get(module, this.gain) as Tensor;
    const direction = Reflect.get(module, this.direction) as Tensor;
    return direction.mul(gain.div(normExcept(direction, this.dim)));
  }
}

/** The lengths of the parts at each place of `dim`, with the other dimensions as 1; of the whole where `dim` is null. */
function normExcept(value: Tensor, dim: number | null): Tensor {
  if (dim === null) return value.norm(2);
  const others = value.shape.map((_, d) => d).filter((d) => d !== dim);
  return others.length === 0 ? value.abs() : value.norm(2, others, { keepdim: true });
}

/**
 * Replaces parameter `name` (default 'weight') by its lengths `weight_g` and its direction `weight_v`; the weight is computed from them when it is read.
 * Gives the module. Make the optimiser afterwards. Errors: no such parameter; one that is computed already.
 */
export function weightNorm<M extends Module>(
  module: M,
  name?: string | WeightNormOptions,
  options: WeightNormOptions = {},
): M {
  const op = 'weightNorm';
  const { name: wanted, dim } = withDefaults(op, WEIGHT_NORM, withName(name, options));
  const { key, value } = requireParameter(op, module, wanted);
  // PyTorch takes -1 for "no dimension".
  const field = new WeightNorm(key, dim === null || dim === -1 ? null : normalizeDim(dim, value.ndim, op));
  const gain = noGrad(() => normExcept(value.detach(), field.dim));
  removeField(module, key);
  module.registerParameter(field.gain, new Parameter(gain));
  module.registerParameter(field.direction, new Parameter(value));
  defineDerived(module, key, field);
  return module;
}

/** Makes the weight a plain parameter with its present value. Errors: it has no weight norm. */
export function removeWeightNorm<M extends Module>(module: M, name: string | NameOptions = {}): M {
  makePlain(
    { op: 'removeWeightNorm', made: 'weight norm', by: 'weightNorm' },
    module,
    name,
    WeightNorm,
    ({ gain, direction }) => [gain, direction],
  );
  return module;
}
