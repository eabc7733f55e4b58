/** Limits for the gradients of a whole model. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { stack, Tensor, zeros } from '@proj/tensor';

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
  options: ClipNormOptions = {},
): Tensor {
  const { normType, errorIfNonfinite } = withDefaults(
    'clipGradNorm_',
    { normType: 2, errorIfNonfinite: false },
    options,
  );
  const gradients = listOf(parameters).flatMap((parameter) => (parameter.grad === null ? [] : [parameter.grad]));
  return noGrad(() => {
    if (gradients.length === 0) return zeros([]);
    const values = gradients.map((gradient) => gradient.detach());
    const total = totalNorm(values, normType);
    if (errorIfNonfinite && !Number.isFinite(total.item()))
      throw new ProjError('autograd', `the norm of the gradients is ${total.item()}`, { op: 'clipGradNorm_' });
    const factor = total.add(1e-6).reciprocal().mul(maxNorm).clamp(null, 1);
    gradients.forEach((gradient, i) => gradient.assign(values[i].mul(factor).node, 'clipGradNorm_'));
    return total;
  });
}
/** The norm of all values together; like PyTorch's, the norm of their norms. */
function totalNorm(values: readonly Tensor[], normType: number): Tensor {
  if (normType === 2) return sumOf(values.map((value) => value.mul(value).sum())).sqrt();
  const norms = values.map((value) => norm(value, normType));
  return norms.length === 1 ? norms[0] : norm(stack(norms), normType);
}
const sumOf = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => a.add(b));
function norm(value: Tensor, normType: number): Tensor {
  if (normType === Infinity) return value.abs().amax();
  if (normType === -Infinity) return value.abs().amin();
  if (normType === 0) return value.ne(0).sum().to(value.dtype);
  return value
    .abs()
    .pow(normType)
    .sum()
    .pow(1 / normType);
}
/** Limits every element of the gradients to ±clipValue, in place. */
export function clipGradValue_(parameters: Tensor | Iterable<Tensor>, clipValue: number): void {
  noGrad(() => {
    for (const { grad } of listOf(parameters))
      grad?.assign(grad.detach().clamp(-clipValue, clipValue).node, 'clipGradValue_');
  });
}
