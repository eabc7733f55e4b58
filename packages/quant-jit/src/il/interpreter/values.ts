/** What values are while the interpreter runs. */
import { ProjError } from '@proj/kernel';
import type { QuantizedActivations } from '../../quantize/activations.ts';
import type { QuantizedMatrix } from '../../quantize/scheme.ts';
import type { ActivationScheme } from '../../quantize/scheme.ts';
import type { WeightType } from '../types.ts';

/** Floats, row by row. */
export interface FloatValue {
  readonly kind: 'f32';
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}
/** Integer sums, `[row][column][group]`. */
export interface SumsValue {
  readonly kind: 'i32';
  readonly rows: number;
  readonly columns: number;
  readonly groups: number;
  readonly data: Int32Array;
}
export interface ActivationValue {
  readonly kind: ActivationScheme;
  readonly data: QuantizedActivations;
}
export interface TokensValue {
  readonly kind: 'tokens';
  readonly data: Int32Array;
}
/** A constant; read when it is asked for. */
export interface WeightValue {
  readonly kind: 'weight';
  readonly type: WeightType;
  readonly matrix: () => QuantizedMatrix;
  readonly floats: () => Float32Array;
}

export type IlValue = FloatValue | SumsValue | ActivationValue | TokensValue | WeightValue;

const otherKind = (wanted: string, value: IlValue | undefined): ProjError =>
  new ProjError('kernel-verification', `an operand is ${value?.kind ?? 'missing'}, not ${wanted}`, {
    op: 'interpret',
    cure: 'Verify the program before it runs',
  });

export function asFloats(value: IlValue | undefined): FloatValue {
  if (value?.kind !== 'f32') throw otherKind('f32', value);
  return value;
}
export function asSums(value: IlValue | undefined): SumsValue {
  if (value?.kind !== 'i32') throw otherKind('i32', value);
  return value;
}
export function asActivation(value: IlValue | undefined): ActivationValue {
  if (value?.kind === 'a8g32' || value?.kind === 'a8' || value?.kind === 'a1') return value;
  throw otherKind('activations', value);
}
export function asTokens(value: IlValue | undefined): TokensValue {
  if (value?.kind !== 'tokens') throw otherKind('tokens', value);
  return value;
}
export function asWeight(value: IlValue | undefined): WeightValue {
  if (value?.kind !== 'weight') throw otherKind('a weight', value);
  return value;
}

/** Floats of which each is `f(row, column)`, rounded to float32. */
export function floatsOf(rows: number, columns: number, f: (row: number, column: number) => number): FloatValue {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) data[row * columns + column] = f(row, column);
  return { kind: 'f32', rows, columns, data };
}

/** Floats of which each is `f` of the element in its place. */
export const mapFloats = ({ rows, columns, data }: FloatValue, f: (x: number) => number): FloatValue => ({
  kind: 'f32',
  rows,
  columns,
  data: Float32Array.from(data, f),
});

/** One row of floats. */
export const rowOf = ({ data, columns }: FloatValue, row: number): Float32Array =>
  data.subarray(row * columns, (row + 1) * columns);
