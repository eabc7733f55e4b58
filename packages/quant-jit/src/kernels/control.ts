/** The `control` parameter of step kernels: what changes from one step to the next, read by the kernels themselves so that a step is one call. */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';

/** Elements of the i32 buffer. */
export const CONTROL = { tokens: 0, position: 1, elements: 16 } as const;

export const stepTokens = (b: KernelBuilder, control: Memory): Value =>
  b.cast(b.load(control, CONTROL.tokens), 'index');
/** Position of the step's first token in the sequence. */
export const stepPosition = (b: KernelBuilder, control: Memory): Value =>
  b.cast(b.load(control, CONTROL.position), 'index');
