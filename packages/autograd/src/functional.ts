/** torch.autograd.functional: products with and whole Jacobians and Hessians of functions of tensors. */
import { type Defaults, ProjError, withDefaults } from '@proj/kernel';
import { type Tensor } from '@proj/tensor';
import { constantNode, identityNode, wrap } from '@proj/tensor/graph';
import { gradOrNull, listOf, type TensorOrList } from './backward.ts';
import { enableGrad } from './modes.ts';
import { stackTensors } from './stack.ts';

/** A function of tensors that gives one tensor or several. */
export type TensorFunction = (...inputs: Tensor[]) => TensorOrList;
export interface FunctionalOptions {
  /** Records the result, so that it can be differentiated. */
  readonly createGraph?: boolean;
  /** Makes independence of an input an error instead of zeros. */
  readonly strict?: boolean;
}
export interface JacobianOptions extends FunctionalOptions {
  /** Accepted for compatibility: rows are always built lazily and computed together. */
  readonly vectorize?: boolean;
  readonly strategy?: 'reverse-mode' | 'forward-mode';
  readonly outerJacobianStrategy?: 'reverse-mode' | 'forward-mode';
}

const JACOBIAN: Defaults<JacobianOptions> = {
  createGraph: false,
  strict: false,
  vectorize: false,
  strategy: 'reverse-mode',
  outerJacobianStrategy: 'reverse-mode',
};

const zerosOf = (like: Tensor): Tensor => wrap(constantNode(like.device, like.dtype, like.shape, 0));
const like = (template: TensorOrList, values: readonly Tensor[]): TensorOrList =>
  Array.isArray(template) ? values : values[0];

/** Inputs to differentiate by: with their history when the result is recorded, as fresh leaves otherwise. */
function prepare(inputs: TensorOrList, createGraph: boolean): Tensor[] {
  return listOf(inputs).map((input) =>
    createGraph && input.requiresGrad ? wrap(identityNode(input.node)) : input.detach().clone().requiresGrad_(),
  );
}

const finish = (values: readonly Tensor[], createGraph: boolean): Tensor[] =>
  values.map((value) => (createGraph ? value : value.detach()));

function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  gradOutputs: readonly Tensor[],
  createGraph: boolean,
  strict: boolean,
  op: string,
): Tensor[] {
  const used = outputs.flatMap((output, i) => (output.requiresGrad ? [i] : []));
  if (strict && used.length < outputs.length)
    throw new ProjError('autograd', 'an output does not depend on the inputs', { op, cure: 'Drop strict for zeros' });
  const found: (Tensor | null)[] =
    used.length === 0
      ? inputs.map(() => null)
      : gradOrNull(
          used.map((i) => outputs[i]),
          inputs,
          { gradOutputs: used.map((i) => gradOutputs[i]), createGraph, retainGraph: true, allowUnused: true },
        );
  return found.map((value, i) => {
    if (value === null && strict)
      throw new ProjError('autograd', `the outputs do not depend on input ${i}`, { op, cure: 'Drop strict for zeros' });
    return value ?? zerosOf(inputs[i]);
  });
}

function vectors(v: TensorOrList | null | undefined, templates: readonly Tensor[], op: string): Tensor[] {
  if (v === null || v === undefined) {
    if (templates.length === 1 && templates[0].numel() === 1) return [zerosOf(templates[0]).add(1)];
    throw new ProjError('autograd', 'v is needed unless there is a single value of one element', { op });
  }
  const given = listOf(v);
  if (given.length !== templates.length)
    throw new ProjError('autograd', `${given.length} vectors for ${templates.length} values`, { op });
  given.forEach((one, i) => {
    if (one.shape.join() !== templates[i].shape.join())
      throw new ProjError('autograd', 'v has another shape than the value', {
        op,
        shapes: [templates[i].shape, one.shape],
      });
  });
  return [...given];
}

function call(
  func: TensorFunction,
  inputs: readonly Tensor[],
  op: string,
): { raw: TensorOrList; outputs: readonly Tensor[] } {
  const raw = func(...inputs);
  const outputs = listOf(raw);
  if (outputs.length === 0) throw new ProjError('autograd', 'the function gave no tensor', { op });
  return { raw, outputs };
}

/** [func(inputs), vᵀ·J]. `v` has the shape of the outputs; it may be left out for a scalar. */
export function vjp(
  func: TensorFunction,
  inputs: TensorOrList,
  v?: TensorOrList | null,
  options: FunctionalOptions = {},
): [TensorOrList, TensorOrList] {
  const { createGraph, strict } = withDefaults('vjp', { createGraph: false, strict: false }, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const { raw, outputs } = call(func, prepared, 'vjp');
    const products = gradients(outputs, prepared, vectors(v, outputs, 'vjp'), createGraph, strict, 'vjp');
    return [like(raw, finish(outputs, createGraph)), like(inputs, finish(products, createGraph))];
  });
}

/** J·v by differentiating vᵀ·J, which is linear in v, once more. */
function forwardProducts(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  tangents: readonly Tensor[],
  createGraph: boolean,
  strict: boolean,
  op: string,
): Tensor[] {
  const cotangents = outputs.map((output) => zerosOf(output).requiresGrad_());
  const pulled = gradients(outputs, inputs, cotangents, true, strict, op);
  return gradients(pulled, cotangents, tangents, createGraph, strict, op);
}

/** [func(inputs), J·v]. `v` has the shape of the inputs. */
export function jvp(
  func: TensorFunction,
  inputs: TensorOrList,
  v?: TensorOrList | null,
  options: FunctionalOptions = {},
): [TensorOrList, TensorOrList] {
  const { createGraph, strict } = withDefaults('jvp', { createGraph: false, strict: false }, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const { raw, outputs } = call(func, prepared, 'jvp');
    const products = forwardProducts(outputs, prepared, vectors(v, prepared, 'jvp'), createGraph, strict, 'jvp');
    return [like(raw, finish(outputs, createGraph)), like(raw, finish(products, createGraph))];
  });
}

/** Rows [output elements, …input shape] of the Jacobian of `output`, one backward pass each. */
function jacobianRows(output: Tensor, inputs: readonly Tensor[], createGraph: boolean, strict: boolean): Tensor[] {
  const count = output.numel();
  const flat = output.reshape([count]);
  const rows = Array.from({ length: count }, (_, i) =>
    gradients([flat.select(0, i)], inputs, [zerosOf(flat.select(0, 0)).add(1)], createGraph, strict, 'jacobian'),
  );
  return inputs.map((input, i) =>
    count === 0
      ? wrap(constantNode(input.device, input.dtype, [...output.shape, ...input.shape], 0))
      : stackTensors(rows.map((row) => row[i])).reshape([...output.shape, ...input.shape]),
  );
}

export type NestedTensors = Tensor | readonly Tensor[] | readonly (readonly Tensor[])[];

/** The Jacobian [...output shape, ...input shape]; a list for several outputs or inputs, a list of lists for both. */
export function jacobian(func: TensorFunction, inputs: TensorOrList, options: JacobianOptions = {}): NestedTensors {
  const { createGraph, strict } = withDefaults('jacobian', JACOBIAN, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const { raw, outputs } = call(func, prepared, 'jacobian');
    const blocks = outputs.map((output) => finish(jacobianRows(output, prepared, createGraph, strict), createGraph));
    const perOutput = blocks.map((row) => (Array.isArray(inputs) ? row : row[0]));
    return (Array.isArray(raw) ? perOutput : perOutput[0]) as NestedTensors;
  });
}

function scalarOutput(func: TensorFunction, inputs: readonly Tensor[], op: string): Tensor {
  const { outputs } = call(func, inputs, op);
  if (outputs.length !== 1 || outputs[0].numel() !== 1)
    throw new ProjError('autograd', 'the function must give one tensor of one element', {
      op,
      shapes: outputs.map((output) => output.shape),
    });
  return outputs[0].reshape([]);
}

/** The Hessian of a function that gives one number: [...input shape, ...input shape], or a list of lists of blocks for several inputs. */
export function hessian(func: TensorFunction, inputs: TensorOrList, options: JacobianOptions = {}): NestedTensors {
  const { createGraph, strict } = withDefaults('hessian', JACOBIAN, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const output = scalarOutput(func, prepared, 'hessian');
    const first = gradients([output], prepared, [zerosOf(output).add(1)], true, strict, 'hessian');
    const blocks = first.map((gradient) => finish(jacobianRows(gradient, prepared, createGraph, strict), createGraph));
    return (Array.isArray(inputs) ? blocks : blocks[0][0]) as NestedTensors;
  });
}

/** [func(inputs), H·v] for a function that gives one number; by differentiating the gradient forward. */
export function hvp(
  func: TensorFunction,
  inputs: TensorOrList,
  v?: TensorOrList | null,
  options: FunctionalOptions = {},
): [Tensor, TensorOrList] {
  const { createGraph, strict } = withDefaults('hvp', { createGraph: false, strict: false }, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const output = scalarOutput(func, prepared, 'hvp');
    const first = gradients([output], prepared, [zerosOf(output).add(1)], true, strict, 'hvp');
    const products = forwardProducts(first, prepared, vectors(v, prepared, 'hvp'), createGraph, strict, 'hvp');
    return [finish([output], createGraph)[0], like(inputs, finish(products, createGraph))];
  });
}

/** [func(inputs), vᵀ·H] for a function that gives one number; cheaper than {@link hvp}, and equal to it where H is symmetric. */
export function vhp(
  func: TensorFunction,
  inputs: TensorOrList,
  v?: TensorOrList | null,
  options: FunctionalOptions = {},
): [Tensor, TensorOrList] {
  const { createGraph, strict } = withDefaults('vhp', { createGraph: false, strict: false }, options);
  return enableGrad(() => {
    const prepared = prepare(inputs, createGraph);
    const output = scalarOutput(func, prepared, 'vhp');
    const first = gradients([output], prepared, [zerosOf(output).add(1)], true, strict, 'vhp');
    const products = gradients(first, prepared, vectors(v, prepared, 'vhp'), createGraph, strict, 'vhp');
    return [finish([output], createGraph)[0], like(inputs, finish(products, createGraph))];
  });
}
