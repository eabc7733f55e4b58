/**
 * Sums over fixed nodes: many special functions are integrals that the trapezoidal rule gets right to the last digit (periodic or doubly
 * exponentially decaying integrands; Trefethen and Weideman 2014). Computed in float64, whatever the dtype of the argument.
 */
import { castNode, constantNode } from '../graph/build.ts';
import { fromArray } from '../ops/creation.ts';
import { where } from '../ops/elementwise.ts';
import { FloatScalar, toFloat } from '../promotion.ts';
import { type Tensor, wrap } from '../tensor.ts';

/** `fn` computed in float64, its result in the dtype of the argument (the default float dtype for integers). */
export const inDouble =
  (fn: (x: Tensor) => Tensor) =>
  (input: Tensor): Tensor => {
    const dtype = toFloat(input.dtype);
    return wrap(castNode(fn(wrap(castNode(input.node, 'float64'))).node, dtype));
  };

export const constant = (like: Tensor, value: number): Tensor =>
  wrap(constantNode(like.device, like.dtype, like.shape, value));
/** A number that counts as a float, whatever its value. */
export const f = (value: number): FloatScalar => new FloatScalar(value);

/** Σ weight[j] · fn(x, node[j]). */
export function quadrature(
  x: Tensor,
  nodes: readonly number[],
  weights: readonly number[],
  fn: (x: Tensor, node: Tensor) => Tensor,
): Tensor {
  const table = (values: readonly number[]): Tensor =>
    fromArray(Float64Array.from(values), [values.length], 'float64', { device: x.device });
  return fn(x.unsqueeze(-1), table(nodes)).mul(table(weights)).sum(-1);
}

/** c[0] + c[1] x + c[2] x² + … */
export function polynomial(x: Tensor, coefficients: readonly number[]): Tensor {
  let result = constant(x, coefficients[coefficients.length - 1]);
  for (let i = coefficients.length - 2; i >= 0; i--) result = result.mul(x).add(f(coefficients[i]));
  return result;
}

/** `inside(x)` where `mask`, else `outside(x)`; each sees a harmless argument elsewhere, so that gradients stay finite. */
export function branch(
  mask: Tensor,
  x: Tensor,
  harmless: readonly [number, number],
  inside: (x: Tensor) => Tensor,
  outside: (x: Tensor) => Tensor,
): Tensor {
  return where(
    mask,
    inside(where(mask, x, constant(x, harmless[0]))),
    outside(where(mask, constant(x, harmless[1]), x)),
  );
}
