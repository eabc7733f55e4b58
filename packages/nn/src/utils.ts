/** torch.nn.utils: gradients and parameters of whole models, and packed sequences. */
import { ProjError } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { cat, Tensor } from '@proj/tensor';
import { constantNode, wrap } from '@proj/tensor/graph';

export * from './modules/packed-sequence.ts';

const listOf = (parameters: Tensor | Iterable<Tensor>): Tensor[] =>
  parameters instanceof Tensor ? [parameters] : [...parameters];

export interface ClipNormOptions {
  /** Which norm (default 2; Infinity for the largest element). */
  readonly normType?: number;
  /** Throws when the norm is not finite, which computes it. */
  readonly errorIfNonfinite?: boolean;
}
/** Scales all gradients down in place so that their norm together is at most `maxNorm`. Returns the norm before. */
export function clipGradNorm_(
  parameters: Tensor | Iterable<Tensor>,
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipNormOptions = {},
): Tensor {
  const gradients = listOf(parameters).flatMap((parameter) => (parameter.grad === null ? [] : [parameter.grad]));
  return noGrad(() => {
    if (gradients.length === 0)
      return new Tensor(wrap(constantNode(listOf(parameters)[0].device, 'float32', [], 0)).node);
    const values = gradients.map((gradient) => gradient.detach());
    const total = totalNorm(values, normType);
    if (errorIfNonfinite && !Number.isFinite(total.item()))
      throw new ProjError('autograd', `the norm of the gradients is ${total.item()}`, { op: 'clipGradNorm_' });
    const factor = total.add(1e-6).reciprocal().mul(maxNorm).clamp(null, 1);
    gradients.forEach((gradient, i) => gradient.assign(values[i].mul(factor).node, 'clipGradNorm_'));
    return total;
  });
}
function totalNorm(values: readonly Tensor[], normType: number): Tensor {
  const join = (parts: readonly Tensor[], fn: (a: Tensor, b: Tensor) => Tensor): Tensor =>
    parts.reduce((a, b) => fn(a, b));
  if (normType === Infinity)
    return join(
      values.map((value) => value.abs().amax()),
      (a, b) => a.maximum(b),
    );
  if (normType === 2)
    return join(
      values.map((value) => value.mul(value).sum()),
      (a, b) => a.add(b),
    ).sqrt();
  return join(
    values.map((value) => value.abs().pow(normType).sum()),
    (a, b) => a.add(b),
  ).pow(1 / normType);
}
/** Limits every element of the gradients to ±clipValue, in place. */
export function clipGradValue_(parameters: Tensor | Iterable<Tensor>, clipValue: number): void {
  noGrad(() => {
    for (const { grad } of listOf(parameters))
      grad?.assign(grad.detach().clamp(-clipValue, clipValue).node, 'clipGradValue_');
  });
}
/** All parameters as one vector. */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  return cat(
    [...parameters].map((parameter) => parameter.reshape([-1])),
    0,
  );
}
/** Copies a vector back into the parameters. */
export function vectorToParameters(vec: Tensor, parameters: Iterable<Tensor>): void {
  let offset = 0;
  noGrad(() => {
    for (const parameter of parameters) {
      const count = parameter.numel();
      parameter.assign(
        vec
          .detach()
          .narrow(0, offset, count)
          .reshape([...parameter.shape]).node,
        'copy_',
      );
      offset += count;
    }
  });
}
