/** Values whose gradient is not that of their primitive: results of user-written functions and of checkpoints. */
import type { AnyNode } from '@proj/tensor/graph';

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
