/**
 * The op table: one row for each public operation, with PyTorch's names and signature. It drives the Tensor methods, the conformance runner,
 * the gradient checks, the cross-device test and the API documentation.
 */
import type { Tensor } from '../tensor.ts';

// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyFunction = (...args: never[]) => unknown;

/** Arguments for one test call of an operation: how the gradient check and the cross-device test exercise a row. */
export interface Sample {
  /** What is special about it: `broadcast`, `size 0`, `ties` … */
  readonly name: string;
  /** Makes the arguments; `random(shape)` gives float64 tensors with smooth values in (-1, 1) … see `samples.ts`. */
  readonly args: (make: SampleMaker) => readonly unknown[];
}

export interface SampleMaker {
  /** Values in (low, high), away from each other where `distinct`. */
  tensor(
    shape: readonly number[],
    options?: { low?: number; high?: number; distinct?: boolean; requiresGrad?: boolean },
  ): Tensor;
  integers(shape: readonly number[], low: number, high: number): Tensor;
  booleans(shape: readonly number[]): Tensor;
  values(data: readonly number[], shape: readonly number[]): Tensor;
}

export interface OpRow {
  /** Public name, camelCase. */
  readonly name: string;
  /** PyTorch's names for it. */
  readonly torch: readonly string[];
  /** PyTorch's signature: `input, dim, *, dtype=None`. */
  readonly signature: string;
  readonly fn: AnyFunction;
  /** Whether it is a method of Tensor (with the first argument as `this`). */
  readonly method: boolean;
  /** Whether `name_` exists: the result is written into the first argument. */
  readonly inPlace: boolean;
  readonly differentiable: boolean;
  readonly samples: readonly Sample[];
}

export interface RowOptions {
  /** PyTorch's names, or what spells them out; `torch.<snake>` and `Tensor.<snake>` unless given. */
  readonly torch?: readonly string[] | (() => readonly string[]);
  readonly method?: boolean;
  readonly inPlace?: boolean;
  readonly differentiable?: boolean;
  readonly samples?: readonly Sample[];
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** A row whose names in PyTorch are spelled out when they are asked for: the table is built whenever the package is loaded. */
class TableRow implements OpRow {
  readonly name: string;
  readonly fn: AnyFunction;
  readonly signature: string;
  readonly method: boolean;
  readonly inPlace: boolean;
  readonly differentiable: boolean;
  readonly samples: readonly Sample[];
  readonly #torch: RowOptions['torch'];

  constructor(name: string, fn: AnyFunction, signature: string, options: RowOptions) {
    this.name = name;
    this.fn = fn;
    this.signature = signature;
    this.method = options.method ?? signature.startsWith('input');
    this.inPlace = options.inPlace ?? false;
    this.differentiable = options.differentiable ?? true;
    this.samples = options.samples ?? [];
    this.#torch = options.torch;
  }

  get torch(): readonly string[] {
    if (typeof this.#torch === 'function') return this.#torch();
    return this.#torch ?? [`torch.${snake(this.name)}`, ...(this.method ? [`Tensor.${snake(this.name)}`] : [])];
  }
}

/** A row of the op table. */
export function row(name: string, fn: AnyFunction, signature: string, options: RowOptions = {}): OpRow {
  return new TableRow(name, fn, signature, options);
}
