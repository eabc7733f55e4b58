/** Values whose gradient is not that of a primitive: results of user-written functions, of checkpoints, and of operations made by `defineOp`. */
import { ProjError } from '@proj/kernel';
import { customGradients, customOutputs } from '@proj/tensor';
import { type AnyNode, wrap } from '@proj/tensor/graph';

/** Ties the outputs of a function to its inputs. The first output is the oldest node of them, so that a backward pass meets it last. */
export interface FunctionLink {
  readonly name: string;
  readonly outputs: readonly AnyNode[];
  readonly inputs: readonly AnyNode[];
  released: boolean;
  readonly kind: 'backward' | 'recompute';
  /** Gradients of the inputs from those of the outputs (`backward`), or the outputs anew, with their graph (`recompute`). */
  run(gradients: readonly (AnyNode | null)[]): readonly (AnyNode | null)[];
  /** The user function asked for what it saved for a second time is an error, unless it saved nothing. */
  readonly savesValues: boolean;
}

export const functionLinks = new WeakMap<AnyNode, FunctionLink>();

/** The link of a node, made on first sight for the outputs of a custom operation. */
export function linkOf(node: AnyNode): FunctionLink | undefined {
  const known = functionLinks.get(node);
  if (known !== undefined || node.op !== 'custom') return known;
  const { operation, options } = node.attr;
  const outputs = customOutputs(node);
  const inputs = node.sources;
  const link: FunctionLink = {
    name: operation.name,
    outputs,
    inputs,
    released: false,
    kind: 'backward',
    savesValues: true,
    run: (gradients) => {
      const gradient = customGradients.get(operation);
      if (gradient === undefined)
        throw new ProjError('autograd', `${operation.name} has no gradient`, {
          op: operation.name,
          cure: 'Give defineOp a vjp',
        });
      return gradient(
        gradients.map((one) => (one === null ? null : wrap(one))),
        inputs.map(wrap),
        outputs.map(wrap),
        options,
      ).map((one) => one?.node ?? null);
    },
  };
  for (const output of outputs) functionLinks.set(output, link);
  return link;
}
