/** `backward` and `grad`, with the arguments and errors of torch.autograd. */
import { checkOptions, ProjError } from '@proj/kernel';
import type { Tensor } from '@proj/tensor';
import { type AnyNode, type BackwardOptions, evaluateAlongside, setBackwardEngine, wrap } from '@proj/tensor/graph';
import { filled } from './arithmetic.ts';
import { accumulateInto, runBackward, seedFor } from './engine.ts';
import { stackTensors } from './stack.ts';

export type TensorOrList = Tensor | readonly Tensor[];
export type Gradients = Tensor | null | readonly (Tensor | null)[];

const isList = (x: unknown): x is readonly unknown[] => Array.isArray(x);
export const listOf = (x: TensorOrList): readonly Tensor[] => (isList(x) ? x : [x]);
const gradientsOf = (x: Gradients | undefined): readonly (Tensor | null)[] =>
  x === undefined ? [] : isList(x) ? x : [x];
const one = (like: AnyNode): AnyNode => filled(like, 1);

const BACKWARD: Record<keyof BackwardOptions, true> = { createGraph: true, retainGraph: true, inputs: true };

function checkOutputs(outputs: readonly Tensor[], op: string): void {
  for (const output of outputs) {
    if (!output.requiresGrad) {
      throw new ProjError(
        'autograd',
        'the value requires no gradient: nothing that it was computed from does, or recording was off',
        { op, shapes: [output.shape], dtypes: [output.dtype], cure: 'Set requiresGrad on the inputs, outside noGrad' },
      );
    }
  }
}

/**
 * Accumulates the gradients of the sum of `tensors`, each weighted by its `gradTensors` (1 for a tensor of one element), into the `.grad` of the
 * leaves they depend on, or of `inputs`. Errors: nothing requires a gradient; the graph was freed by an earlier backward; a value was changed in place.
 */
export function backward(tensors: TensorOrList, gradTensors: Gradients = null, options: BackwardOptions = {}): void {
  checkOptions('backward', BACKWARD, options);
  const { createGraph = false, retainGraph = createGraph, inputs } = options;
  const outputs = listOf(tensors);
  checkOutputs(outputs, 'backward');
  const given = gradientsOf(gradTensors);
  const seeds = outputs.map((output, i) => seedFor(output, given[i], 'backward', one));
  const roots = outputs.map((output) => output.node);
  roots.forEach(evaluateAlongside);
  if (inputs === undefined) {
    runBackward(roots, seeds, { createGraph, retainGraph, wanted: null });
    return;
  }
  const targets = listOf(inputs);
  if (targets.length === 0) throw new ProjError('autograd', 'inputs is empty', { op: 'backward' });
  const found = runBackward(roots, seeds, {
    createGraph,
    retainGraph,
    wanted: new Set(targets.map((tensor) => tensor.node)),
  });
  for (const tensor of targets) {
    const gradient = found.get(tensor.node);
    if (gradient !== undefined) accumulateInto(tensor, gradient, createGraph);
  }
}
setBackwardEngine(backward);

export interface GradOptions {
  /** Gradients of the outputs to start from; 1 for outputs of one element. */
  readonly gradOutputs?: Gradients;
  readonly retainGraph?: boolean;
  /** Records the gradients, so that they can be differentiated again. */
  readonly createGraph?: boolean;
  /** Gives null instead of an error for inputs that the outputs do not depend on. */
  readonly allowUnused?: boolean;
  /** `gradOutputs` have a leading dimension of cases; so have the results. */
  readonly isGradsBatched?: boolean;
}

const GRAD: Record<keyof GradOptions, true> = {
  gradOutputs: true,
  retainGraph: true,
  createGraph: true,
  allowUnused: true,
  isGradsBatched: true,
};

/** The gradients of `inputs` and null for those that the outputs do not depend on. */
export function gradOrNull(outputs: TensorOrList, inputs: TensorOrList, options: GradOptions = {}): (Tensor | null)[] {
  checkOptions('grad', GRAD, options);
  const { gradOutputs, createGraph = false, retainGraph = createGraph } = options;
  const { allowUnused = false, isGradsBatched = false } = options;
  const from = listOf(outputs);
  const to = listOf(inputs);
  const given = gradientsOf(gradOutputs);
  if (isGradsBatched) return batched(from, to, given, { createGraph, retainGraph, allowUnused });
  checkOutputs(from, 'grad');
  for (const input of to)
    if (!input.requiresGrad)
      throw new ProjError('autograd', 'an input requires no gradient', {
        op: 'grad',
        shapes: [input.shape],
        dtypes: [input.dtype],
        cure: 'Call requiresGrad_() on it before computing with it',
      });
  const wanted = new Set(to.map((tensor) => tensor.node));
  const seeds = from.map((output, i) => seedFor(output, given[i], 'grad', one));
  const found = runBackward(
    from.map((output) => output.node),
    seeds,
    { createGraph, retainGraph, wanted },
  );
  return to.map((tensor, i) => {
    const gradient = found.get(tensor.node);
    if (gradient !== undefined) return wrap(gradient);
    if (allowUnused) return null;
    throw new ProjError('autograd', `input ${i} was not used to compute the outputs`, {
      op: 'grad',
      shapes: [tensor.shape],
      dtypes: [tensor.dtype],
      cure: 'Give { allowUnused: true } for null in its place',
    });
  });
}

function batched(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradients: readonly (Tensor | null)[],
  options: GradOptions,
): (Tensor | null)[] {
  const count = gradients.find((gradient) => gradient !== null)?.shape[0] ?? 0;
  const cases = Array.from({ length: count }, (_, i) =>
    gradOrNull(outputs, inputs, {
      ...options,
      gradOutputs: gradients.map((gradient) => gradient?.select(0, i) ?? null),
      retainGraph: options.retainGraph === true || i + 1 < count,
    }),
  );
  return inputs.map((_, i) => {
    const found = cases.map((ofCase) => ofCase[i]).filter((gradient) => gradient !== null);
    return found.length === 0 ? null : stackTensors(found);
  });
}

/**
 * The gradients of the sum of `outputs` (weighted by `gradOutputs`) with respect to each of `inputs`. Nothing is accumulated.
 * Errors as {@link backward}; an input that is not used, unless `allowUnused` (then its entry is null, typed as a tensor).
 */
export function grad(outputs: TensorOrList, inputs: TensorOrList, options: GradOptions = {}): Tensor[] {
  return gradOrNull(outputs, inputs, options) as Tensor[];
}
