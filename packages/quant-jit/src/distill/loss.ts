/**
 * What a student is trained against: λ₁ ‖y_s − y_t‖² of the hidden states, λ₂ T² KL(p_t ‖ p_s) of the softened predictions (Hinton, Vinyals and Dean 2015), λ₃
 * cross-entropy with the text.
 */
import { noGrad } from '@proj/autograd';
import { crossEntropy, logSoftmax } from '@proj/nn/functional';
import type { Tensor } from '@proj/tensor';
import type { Gemma2ForCausalLM } from '../gemma2/model.ts';

/** The weights of the parts of the loss, and how much predictions are softened. */
export interface DistillationWeights {
  /** λ₁, of the squared error of the residual stream after each layer over the square of the teacher's, averaged over layers. */
  readonly hidden: number;
  /** λ₂ */
  readonly kl: number;
  /** λ₃ */
  readonly crossEntropy: number;
  /** T */
  readonly temperature: number;
}

const flat = (logits: Tensor): Tensor => logits.reshape([-1, logits.shape.at(-1) ?? 0]);

/** The loss and its parts before they are weighted: [loss, hidden, kl (at temperature T, without T²), cross-entropy]. */
export function distillationLosses(
  teacher: Gemma2ForCausalLM,
  student: Gemma2ForCausalLM,
  inputs: Tensor,
  targets: Tensor,
  { hidden, kl, crossEntropy: ce, temperature }: DistillationWeights,
): readonly Tensor[] {
  const outputHiddenStates = hidden !== 0;
  const given = student.call(inputs, { outputHiddenStates });
  const wanted = noGrad(() => teacher.call(inputs, { outputHiddenStates }));
  const labels = crossEntropy(flat(given.logits), targets.reshape([-1]));
  const soft = (logits: Tensor): Tensor => logSoftmax(flat(logits).to('float32').div(temperature), -1);
  const target = soft(wanted.logits).detach();
  const divergence = target
    .exp()
    .mul(target.sub(soft(given.logits)))
    .sum(-1)
    .mean();
  // The first state is the embeddings; the last one is before the last norm.
  const errors = given.hiddenStates.slice(1).map((state, layer) => {
    const reference = wanted.hiddenStates[layer + 1].detach().to('float32');
    return state.sub(reference).square().mean().div(reference.square().mean().add(1e-12));
  });
  const distance = errors.length === 0 ? labels.detach().mul(0) : errors.reduce((a, b) => a.add(b)).div(errors.length);
  const loss = distance
    .mul(hidden)
    .add(divergence.mul(kl * temperature ** 2))
    .add(labels.mul(ce));
  return [loss, distance, divergence, labels];
}
