/** Operations from outside: `defineOp` makes a function on tensors of a shape rule, kernels and a gradient. */
import { checkOptions, ProjError } from '@proj/kernel';
import type { CustomLaunch, CustomOperation, ShapeAndType } from './graph/custom.ts';
import { type AnyNode, makeNode } from './graph/node.ts';
import { Tensor, wrap } from './tensor.ts';

/** Gradients of the inputs from those of the outputs (null: none came). `outputs` are the operation's results. */
export type CustomGradient = (
  gradients: readonly (Tensor | null)[],
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  options: unknown,
) => readonly (Tensor | null)[];

/** The gradient of each defined operation; `@proj/autograd` looks here. */
export const customGradients = new WeakMap<CustomOperation, CustomGradient>();

/** All outputs of the call that a node is one output of. */
const siblings = new WeakMap<AnyNode, readonly AnyNode[]>();
export const customOutputs = (node: AnyNode): readonly AnyNode[] => siblings.get(node) ?? [node];

export interface OpDefinition<Options> extends Omit<CustomOperation, 'outputs' | 'launches' | 'key'> {
  /** Shapes and dtypes of the outputs; throws for inputs that do not fit. */
  outputs(inputs: readonly ShapeAndType[], options: Options): readonly ShapeAndType[];
  /** The launches, in order. Every kernel declares the same buffers: inputs, outputs, workspace. */
  launches(
    inputs: readonly ShapeAndType[],
    outputs: readonly ShapeAndType[],
    options: Options,
    features: Parameters<CustomOperation['launches']>[3],
  ): { readonly launches: readonly CustomLaunch[]; readonly workspaceBytes: number };
  /** Distinguishes options in the cache of plans (their JSON unless given). */
  key?(options: Options): string;
  /** The gradient; without it the operation has none. */
  vjp?(
    gradients: readonly (Tensor | null)[],
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    options: Options,
  ): readonly (Tensor | null)[];
}

const DEFINITION: Record<keyof OpDefinition<unknown>, true> = {
  name: true,
  outputs: true,
  launches: true,
  key: true,
  vjp: true,
};

/** A function on tensors from a shape rule, kernels and a gradient. Returns all outputs. Errors: an entry of `definition` that does not exist. */
export function defineOp<Options = void>(
  definition: OpDefinition<Options>,
): (inputs: readonly Tensor[], options: Options) => Tensor[] {
  checkOptions('defineOp', DEFINITION, definition);
  const { name } = definition;
  const operation: CustomOperation = {
    name,
    outputs: (inputs, options) => definition.outputs(inputs, options as Options),
    launches: (inputs, outputs, options, features) =>
      definition.launches(inputs, outputs, options as Options, features),
    key: (options) => definition.key?.(options as Options) ?? JSON.stringify(options ?? null),
  };
  const { vjp } = definition;
  if (vjp !== undefined)
    customGradients.set(operation, (gradients, inputs, outputs, options) =>
      vjp(gradients, inputs, outputs, options as Options),
    );
  return (inputs, options) => {
    for (const input of inputs)
      if (!(input instanceof Tensor)) throw new ProjError('invalid-argument', 'tensors are needed', { op: name });
    if (inputs.length === 0) throw new ProjError('invalid-argument', 'at least one input is needed', { op: name });
    const sources = inputs.map((input) => input.node);
    const nodes = operation
      .outputs(sources, options)
      .map(({ dtype, shape }, output) => makeNode('custom', dtype, shape, sources, { operation, output, options }));
    for (const node of nodes) siblings.set(node, nodes);
    return nodes.map(wrap);
  };
}
