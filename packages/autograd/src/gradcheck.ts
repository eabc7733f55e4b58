/** Comparing gradients with finite differences, as torch.autograd.gradcheck. */
import { ProjError, withDefaults } from '@proj/kernel';
import { fromArray, Tensor } from '@proj/tensor';
import { isComplexType, isDifferentiable } from '@proj/tensor/graph';
import { gradOrNull, listOf, type TensorOrList } from './backward.ts';
import { enableGrad, noGrad } from './modes.ts';

export interface GradcheckOptions {
  /** Step of the central differences (default 1e-6). */
  readonly eps?: number;
  readonly atol?: number;
  readonly rtol?: number;
  /** Throw on a mismatch (default) or return false. */
  readonly raiseException?: boolean;
}

type AnyInputs = readonly unknown[];
type CheckedFunction = (...inputs: never[]) => unknown;

const tensorsOf = (result: unknown): Tensor[] =>
  result instanceof Tensor
    ? [result]
    : Array.isArray(result)
      ? result.filter((x): x is Tensor => x instanceof Tensor)
      : Object.values(result as object).filter((x): x is Tensor => x instanceof Tensor);
const differentiableOutputs = (result: unknown): Tensor[] =>
  tensorsOf(result).filter((output) => isDifferentiable(output.dtype));

/** A fixed pattern of weights away from zero, so that no output hides behind another. */
const weights = (count: number, seed: number): Float64Array =>
  Float64Array.from({ length: count }, (_, i) => 1 + Math.sin(12.9898 * (i + 1) + 78.233 * (seed + 1)));

/** Numbers that a tensor's elements are made of: a complex one is two. */
const parts = (x: Tensor): number => x.numel() * (isComplexType(x.dtype) ? 2 : 1);

const weighted = (outputs: readonly Tensor[]): number => {
  let total = 0;
  outputs.forEach((output, k) => {
    const values = output.toFlatArray();
    const factors = weights(values.length, k);
    values.forEach((value, i) => (total += value * factors[i]));
  });
  return total;
};

/**
 * Checks the gradients of `func` with respect to those `inputs` that require one against central differences of a weighted sum of its outputs.
 * Inputs should be float64 or complex128; complex numbers count as their two parts. Errors (or returns false): a gradient differs by more than atol + rtol · |numeric|.
 */
export function gradcheck(func: CheckedFunction, inputs: AnyInputs, options: GradcheckOptions = {}): boolean {
  const { eps, atol, rtol, raiseException } = withDefaults(
    'gradcheck',
    { eps: 1e-6, atol: 1e-5, rtol: 1e-3, raiseException: true },
    options,
  );
  const run = func as (...args: unknown[]) => unknown;
  const checked = inputs.flatMap((x, i) => (x instanceof Tensor && x.requiresGrad ? [{ tensor: x, at: i }] : []));
  if (checked.length === 0) throw new ProjError('autograd', 'no input requires a gradient', { op: 'gradcheck' });
  const outputs = differentiableOutputs(run(...inputs))
    .map((output, k) => ({
      output,
      cotangent: fromArray(weights(parts(output), k), output.shape, output.dtype, { device: output.device }),
    }))
    .filter(({ output }) => output.requiresGrad);
  const analytic =
    outputs.length === 0
      ? checked.map(() => null)
      : gradOrNull(
          outputs.map((one) => one.output),
          checked.map((one) => one.tensor),
          { gradOutputs: outputs.map((one) => one.cotangent), allowUnused: true },
        );
  for (let n = 0; n < checked.length; n++) {
    const { tensor, at } = checked[n];
    const values = Float64Array.from(tensor.detach().toFlatArray());
    const found = analytic[n]?.toFlatArray() ?? new Array<number>(values.length).fill(0);
    for (let i = 0; i < values.length; i++) {
      const shifted = (delta: number): number =>
        noGrad(() => {
          const moved = values.slice();
          moved[i] += delta;
          const other = fromArray(moved, tensor.shape, tensor.dtype, { device: tensor.device });
          return weighted(differentiableOutputs(run(...inputs.map((x, k) => (k === at ? other : x)))));
        });
      const numeric = (shifted(eps) - shifted(-eps)) / (2 * eps);
      if (Math.abs(found[i] - numeric) <= atol + rtol * Math.abs(numeric)) continue;
      if (!raiseException) return false;
      throw new ProjError(
        'autograd',
        `the gradient of input ${at} at element ${i} is ${found[i]}, by differences ${numeric}`,
        { op: 'gradcheck', shapes: [tensor.shape], dtypes: [tensor.dtype] },
      );
    }
  }
  return true;
}

/** As {@link gradcheck}, for the gradients of the gradients of `func`. */
export function gradgradcheck(
  func: CheckedFunction,
  inputs: AnyInputs,
  gradOutputs: TensorOrList | null = null,
  options: GradcheckOptions = {},
): boolean {
  const run = func as (...args: unknown[]) => unknown;
  const positions = inputs.flatMap((x, i) => (x instanceof Tensor && x.requiresGrad ? [i] : []));
  const outputs = noGrad(() => differentiableOutputs(run(...inputs)));
  const seeds =
    gradOutputs === null
      ? outputs.map((output, k) =>
          fromArray(weights(parts(output), k + 7), output.shape, output.dtype, {
            device: output.device,
            requiresGrad: true,
          }),
        )
      : [...listOf(gradOutputs)];
  const first = (...args: unknown[]): Tensor[] => {
    const own = args
      .slice(0, inputs.length)
      .map((x, i) =>
        positions.includes(i) && x instanceof Tensor && !x.requiresGrad ? x.detach().clone().requiresGrad_() : x,
      );
    const results = differentiableOutputs(run(...own));
    const used = results.flatMap((result, i) => (result.requiresGrad ? [i] : []));
    const targets = positions.map((i) => own[i] as Tensor);
    const found = gradOrNull(
      used.map((i) => results[i]),
      targets,
      {
        gradOutputs: used.map((i) => args[inputs.length + i] as Tensor),
        createGraph: true,
        retainGraph: true,
        allowUnused: true,
      },
    );
    return found.filter((gradient) => gradient !== null);
  };
  const runWithGrad = (...args: unknown[]): Tensor[] => enableGrad(() => first(...args));
  return gradcheck(runWithGrad as CheckedFunction, [...inputs, ...seeds], options);
}
