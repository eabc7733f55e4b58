/** Walks over the columns of a row in groups of 32, whatever the width of vectors is, so that sums are in the same order on every device. */
import type { KernelBuilder, Value } from '@proj/kernel';
import { ROW_PARTS } from '../arithmetic.ts';
import { ACTIVATION_GROUP } from '../quantize/layout.ts';
import { joinLanes } from './arithmetic.ts';

/** What a row has at columns from `at` on; columns that `mask` does not have are 0. */
export type Row = (at: Value, mask: Value | null) => Value;

/** Walks over the columns of a row in groups of 32, the last one masked where it is not full. */
export class Columns {
  readonly #b: KernelBuilder;
  readonly #columns: number;
  readonly lanes: number;

  constructor(b: KernelBuilder, columns: number, lanes: number) {
    this.#b = b;
    this.#columns = columns;
    this.lanes = lanes;
  }

  /** Folds a row into carried values; `body` gets the group and the vectors of it. */
  fold(
    initial: readonly Value[],
    body: (
      group: Value,
      parts: readonly (readonly [Value, Value | null])[],
      carried: readonly Value[],
    ) => readonly Value[],
  ): Value[] {
    const b = this.#b;
    const whole = Math.floor(this.#columns / ACTIVATION_GROUP);
    const parts = (group: Value, tail: boolean): (readonly [Value, Value | null])[] =>
      Array.from({ length: ACTIVATION_GROUP / this.lanes }, (_, p) => {
        const at = b.add(b.mul(group, ACTIVATION_GROUP), p * this.lanes);
        const column = b.add(b.iota('i32', this.lanes), b.splat(b.cast(at, 'i32'), this.lanes));
        return [at, tail ? b.lt(column, this.#columns) : null];
      });
    const carried = b.for(0, whole, 1, initial, (group, ...c) => body(group, parts(group, false), c));
    if (this.#columns % ACTIVATION_GROUP === 0) return carried;
    const last = b.index(whole);
    return [...body(last, parts(last, true), carried)];
  }

  /** The sum over a row, of which each column that is equal modulo 32 has a partial sum. */
  total(value: Row): Value {
    const b = this.#b;
    const zeros = Array.from({ length: ROW_PARTS / this.lanes }, () => b.splat(b.constant(0, 'f32'), this.lanes));
    const sums = this.fold(zeros, (_, parts, carried) =>
      parts.map(([at, mask], p) => b.add(carried[p], value(at, mask))),
    );
    return joinLanes(b, sums);
  }
}
