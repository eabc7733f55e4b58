/**
 * The `control` parameter of step kernels: what changes from one step to the next, read by the kernels themselves so that a step is one call. An i32 buffer:
 * the number of tokens, and from element 16 on two numbers for each token, its position and the sequence that it belongs to.
 */
import type { KernelBuilder, Memory, Value } from '@proj/kernel';

/** A token of a step. */
export interface StepRow {
  /** Position in its sequence. */
  readonly position: number;
  /** Which of the sequences that share caches. */
  readonly sequence: number;
}

const ROWS = 16;
const ROW = { position: 0, sequence: 1, elements: 2 } as const;

/** Elements of a buffer for steps of at most `tokens` tokens: whole lines, so that another may follow. */
export const controlElements = (tokens: number): number => ROWS + 16 * Math.ceil((ROW.elements * tokens) / 16);

/** Fills a control buffer. */
export function writeControl(control: Int32Array, rows: readonly StepRow[]): void {
  control[0] = rows.length;
  rows.forEach(({ position, sequence }, token) => {
    control[ROWS + ROW.elements * token + ROW.position] = position;
    control[ROWS + ROW.elements * token + ROW.sequence] = sequence;
  });
}

export const stepTokens = (b: KernelBuilder, control: Memory): Value => b.cast(b.load(control, 0), 'index');

const field = (b: KernelBuilder, control: Memory, token: Value, element: number): Value =>
  b.cast(b.load(control, b.add(b.mul(token, ROW.elements), ROWS + element)), 'index');

/** Position of a token in its sequence. */
export const rowPosition = (b: KernelBuilder, control: Memory, token: Value): Value =>
  field(b, control, token, ROW.position);
/** The sequence of a token. */
export const rowSequence = (b: KernelBuilder, control: Memory, token: Value): Value =>
  field(b, control, token, ROW.sequence);
