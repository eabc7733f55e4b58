/**
 * Types of IL-NN values. A value has rows (the tokens of a step: symbolic `T`, or 1 after `last`) and columns (known when the program is built); a weight
 * has a scheme and a shape. Types are plain data, compared by their text.
 */
import { ProjError } from '@proj/kernel';
import { SCHEMES, scheme as schemeOf } from '../quantize/scheme.ts';
import type { ActivationScheme, SchemeName } from '../quantize/scheme.ts';

/** `T`: as many rows as the step has tokens; 1: one row, the last token's. */
export type Rows = 'T' | 1;

/** The identifiers of the step's tokens, i32. */
export interface TokensType {
  readonly kind: 'tokens';
}
/** Floats, one row a token. */
export interface FloatType {
  readonly kind: 'f32';
  readonly rows: Rows;
  readonly columns: number;
}
/** Integer sums of products, one for each group of the reduction. */
export interface SumsType {
  readonly kind: 'i32';
  readonly rows: Rows;
  readonly columns: number;
  readonly groups: number;
}
/** Quantised activations: codes and their scales. */
export interface ActivationType {
  readonly kind: ActivationScheme;
  readonly rows: Rows;
  readonly columns: number;
}
/** A constant: a matrix `[rows, columns]` of any scheme, or a vector `[n]` of floats. */
export interface WeightType {
  readonly kind: 'weight';
  readonly scheme: SchemeName;
  readonly shape: readonly number[];
}

export type ValueType = TokensType | FloatType | SumsType | ActivationType | WeightType;

/** Columns of a token that share an activation scale; `row` when all do. */
export const ACTIVATION_GROUPS: Record<ActivationScheme, 32 | 'row'> = { a8g32: 32, a8: 'row', a1: 'row' };

/** Whether a value holds quantised activations. */
export const isActivation = (type: ValueType): type is ActivationType => Object.hasOwn(ACTIVATION_GROUPS, type.kind);

/** Scales that a token of an activation has. */
export function activationGroups(kind: ActivationScheme, columns: number): number {
  const group = ACTIVATION_GROUPS[kind];
  return group === 'row' ? 1 : Math.ceil(columns / group);
}

/** Columns of one group of an integer product: the finer of the groups of both sides. */
export function dotGroupColumns(kind: ActivationScheme, weight: SchemeName, columns: number): number {
  const sides = [ACTIVATION_GROUPS[kind], SCHEMES[weight].group].map((group) => (group === 'row' ? columns : group));
  return Math.min(...sides);
}

/** Groups of an integer product over `columns` columns. */
export const dotGroups = (kind: ActivationScheme, weight: SchemeName, columns: number): number =>
  Math.ceil(columns / dotGroupColumns(kind, weight, columns));

export const floats = (rows: Rows, columns: number): FloatType => ({ kind: 'f32', rows, columns });
export const weight = (scheme: SchemeName, shape: readonly number[]): WeightType => ({ kind: 'weight', scheme, shape });

/** The printed form: `tokens[T]`, `f32[T, 64]`, `i32[T, 64, 2]`, `a8g32[T, 64]`, `weight q8[512, 64]`, `weight f32[64]`. */
export function typeText(type: ValueType): string {
  switch (type.kind) {
    case 'tokens':
      return 'tokens[T]';
    case 'weight':
      return `weight ${type.scheme}[${type.shape.join(', ')}]`;
    case 'i32':
      return `i32[${type.rows}, ${type.columns}, ${type.groups}]`;
    case 'f32':
    case 'a8g32':
    case 'a8':
    case 'a1':
      return `${type.kind}[${type.rows}, ${type.columns}]`;
    default:
      return type satisfies never;
  }
}

export const sameType = (a: ValueType, b: ValueType): boolean => typeText(a) === typeText(b);

/** The type that a text names. @throws ProjError `serialization`: what is wrong with it. */
export function parseType(text: string): ValueType {
  const match = /^(?:(weight)\s+)?(\w+)\[([^\]]*)\]$/.exec(text.trim());
  if (match === null) throw badType(text);
  const [, isWeight, kind, list] = match;
  const parts = list.split(',').map((part) => part.trim());
  const size = (part: string | undefined): number => {
    const value = Number(part);
    if (part === undefined || !/^\d+$/.test(part) || value < 1) throw badType(text);
    return value;
  };
  if (isWeight !== undefined) {
    if (parts.length > 2) throw badType(text);
    return weight(schemeOf(kind).name, parts.map(size));
  }
  if (kind === 'tokens' && list === 'T') return { kind: 'tokens' };
  const rows: Rows | undefined = parts[0] === 'T' ? 'T' : parts[0] === '1' ? 1 : undefined;
  if (rows === undefined) throw badType(text);
  if (kind === 'i32' && parts.length === 3) return { kind, rows, columns: size(parts[1]), groups: size(parts[2]) };
  if (parts.length !== 2) throw badType(text);
  if (kind === 'f32' || kind === 'a8g32' || kind === 'a8' || kind === 'a1')
    return { kind, rows, columns: size(parts[1]) };
  throw badType(text);
}

const badType = (text: string): ProjError =>
  new ProjError('serialization', `"${text.trim()}" is not a type`, {
    op: 'parse',
    cure: 'Types are tokens[T], f32[T, n], i32[T, n, groups], a8g32[T, n], a8[T, n], a1[T, n] and weight scheme[rows, columns], with T or 1 rows',
  });
