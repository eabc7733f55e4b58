/** What a sample call of an operation is. */
import type { DType } from '@proj/kernel';
import type { SampleMaker } from './maker.ts';

/**
 * How far two devices may be apart: `exact` not at all; `rounded` 1 ulp (a multiplication and addition may be one operation);
 * `function` 4 ulp (transcendental functions, written in the kernel language); `composed` 64 ulp of the larger of the value and 1 (series and
 * recurrences of many such steps, which cancel near zeros); `solved` 512 ulp of the same (factorisations of well-conditioned matrices); `sum` a few roundings of the sum of magnitudes.
 */
export type Accuracy = 'exact' | 'rounded' | 'function' | 'composed' | 'solved' | 'sum';

export interface OpSample {
  /** What is special about it: `broadcast`, `size 0`, `ties` … */
  readonly name: string;
  readonly args: (make: SampleMaker) => readonly unknown[];
  /** The dtypes that it is tried with. */
  readonly dtypes: readonly DType[];
  /** Which derivatives finite differences can check: all, the first only, none (kinks, ties, values without a neighbourhood). */
  readonly derivatives: 'all' | 'first' | 'none';
  /** That of the operation unless given. */
  readonly accuracy?: Accuracy;
}

export interface OpSamples {
  readonly accuracy: Accuracy;
  readonly samples: readonly OpSample[];
}

export interface SampleOptions {
  readonly dtypes?: readonly DType[];
  readonly derivatives?: OpSample['derivatives'];
}

export const FLOATS: readonly DType[] = ['float32', 'float64'];
export const ALL_FLOATS: readonly DType[] = ['float32', 'float64', 'float16', 'bfloat16'];
export const INTEGERS: readonly DType[] = ['int64', 'int32', 'int16', 'int8', 'uint8'];
export const NUMBERS: readonly DType[] = [...ALL_FLOATS, ...INTEGERS];
export const ANY: readonly DType[] = [...NUMBERS, 'bool'];

/** A sample call, in float32 and float64 unless told. */
export const sample = (
  name: string,
  args: OpSample['args'],
  { dtypes = FLOATS, derivatives = 'all' }: SampleOptions = {},
): OpSample => ({ name, args, dtypes, derivatives });

export const op = (accuracy: Accuracy, ...samples: readonly OpSample[]): OpSamples => ({ accuracy, samples });
