/**
 * Kernels that work on one matrix at a time, batch by batch, in float64. Each gives one packed row of numbers per matrix, which its caller
 * cuts into factors: so no factor is computed without the others, and none is lost when it is not asked for.
 */
import { buildKernel, type KernelBuilder, type Memory, type Operand, type Value } from '@proj/kernel';
import { defineOp } from '../define-op.ts';
import type { Shape } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';

/** A matrix (or vector) in memory, row by row from `base`. */
export class Grid {
  readonly b: KernelBuilder;
  readonly memory: Memory;
  readonly base: Value;
  readonly columns: number;

  constructor(b: KernelBuilder, memory: Memory, base: Value, columns: number) {
    this.b = b;
    this.memory = memory;
    this.base = base;
    this.columns = columns;
  }
  #at(row: Operand, column: Operand): Value {
    const { b } = this;
    return b.add(
      this.base,
      b.add(b.mul(typeof row === 'object' ? row : b.index(Number(row)), b.index(this.columns)), column),
    );
  }
  get(row: Operand, column: Operand): Value {
    return this.b.load(this.memory, this.#at(row, column));
  }
  set(row: Operand, column: Operand, value: Value): void {
    this.b.store(this.memory, this.#at(row, column), value);
  }
  /** The part of the same memory that starts `offset` elements on, with its own width. */
  part(offset: number, columns: number): Grid {
    return new Grid(this.b, this.memory, this.b.add(this.base, this.b.index(offset)), columns);
  }
}

/** Loops and sums over indices, in the words of the algorithms. */
export class Steps {
  readonly b: KernelBuilder;
  constructor(b: KernelBuilder) {
    this.b = b;
  }
  number(value: number): Value {
    return this.b.constant(value, 'f64');
  }
  each(start: Operand, end: Operand, body: (i: Value) => void): void {
    this.b.for(start, end, 1, [], (i) => body(i));
  }
  /** From `last` down to `first`. */
  down(last: Operand, first: Operand, body: (i: Value) => void): void {
    const { b } = this;
    const top = typeof last === 'object' ? last : b.index(Number(last));
    const count = b.add(b.sub(top, first), 1);
    b.for(0, count, 1, [], (i) => body(b.sub(top, i)));
  }
  sum(start: Operand, end: Operand, term: (i: Value) => Value): Value {
    return this.b.for(start, end, 1, [this.number(0)], (i, total) => [this.b.add(total, term(i))])[0];
  }
  swap(grid: Grid, r1: Value, c1: Value, r2: Value, c2: Value): void {
    const x = grid.get(r1, c1);
    const y = grid.get(r2, c2);
    grid.set(r1, c1, y);
    grid.set(r2, c2, x);
  }
}

export type Sizes = readonly Shape[];
interface Definition {
  readonly name: string;
  /** Numbers in the packed result of one matrix. */
  readonly size: (shapes: Sizes) => number;
  readonly body: (s: Steps, inputs: readonly Grid[], out: Grid, shapes: Sizes) => void;
}

/** An operation on [batch, rows, columns] float64 tensors that gives [batch, size]. */
export function batchedOp({ name, size, body }: Definition): (...inputs: readonly Tensor[]) => Tensor {
  const op = defineOp({
    name,
    outputs: (inputs) => [{ shape: [inputs[0].shape[0], size(inputs.map(({ shape }) => shape))], dtype: 'float64' }],
    launches: (inputs) => {
      const shapes = inputs.map(({ shape }) => shape);
      const width = size(shapes);
      const kernel = buildKernel(name, (b) => {
        const sources = inputs.map((_, i) => b.buffer(`in${i}`, 'f64'));
        const result = b.buffer('out', 'f64', 'readwrite');
        b.for(b.begin, b.end, 1, [], (batch) => {
          const grids = sources.map(
            (memory, i) => new Grid(b, memory, b.mul(batch, b.index(shapes[i][1] * shapes[i][2])), shapes[i][2]),
          );
          body(new Steps(b), grids, new Grid(b, result, b.mul(batch, b.index(width)), width), shapes);
        });
      });
      return { launches: [{ kernel, begin: 0, end: inputs[0].shape[0], grain: 1, align: 1 }], workspaceBytes: 0 };
    },
  });
  return (...inputs) => op(inputs)[0];
}
