/**
 * Schemes: how a weight matrix is stored, and how activations are quantised while a program runs. The table in docs/brain-blitz.md says the same in prose.
 *
 * Terms: a *code* is the signed integer of a weight; `u` is its stored, unsigned form, code + offset; a *group* is a run of consecutive columns of one
 * row that shares a scale. A weight is scale · code, or minimum + scale · code where the scheme is asymmetric.
 */
import { ProjError } from '@proj/kernel';

export interface Scheme {
  readonly name: SchemeName;
  /** Bits that a code takes in the packed form. */
  readonly bits: 1 | 2 | 4 | 8 | 32;
  /** Columns that share a scale; `row` when a whole row does. */
  readonly group: 32 | 64 | 128 | 'row';
  readonly scaleType: 'f16' | 'f32';
  /** Whether groups have a minimum beside their scale. */
  readonly asymmetric: boolean;
  /** Smallest and largest code. */
  readonly lowest: number;
  readonly highest: number;
  /** Stored form of code 0 (of 1-bit codes, which have no 0: u is (code + 1) / 2). */
  readonly offset: number;
}

export type SchemeName =
  'f32' | 'q8' | 'q8g32' | 'q4g32' | 'q4g64' | 'q4g128' | 'q4g32a' | 'q4g64a' | 'q4g128a' | 'q158' | 'q1' | 'q1g128';

const int8 = { bits: 8, asymmetric: false, lowest: -127, highest: 127, offset: 128 } as const;
const int4 = { bits: 4, scaleType: 'f16', asymmetric: false, lowest: -8, highest: 7, offset: 8 } as const;
const uint4 = { bits: 4, scaleType: 'f16', asymmetric: true, lowest: 0, highest: 15, offset: 0 } as const;
const binary = { bits: 1, asymmetric: false, lowest: -1, highest: 1, offset: 0 } as const;

export const SCHEMES: { readonly [Name in SchemeName]: Scheme & { readonly name: Name } } = {
  f32: { name: 'f32', bits: 32, group: 'row', scaleType: 'f32', asymmetric: false, lowest: 0, highest: 0, offset: 0 },
  q8: { name: 'q8', ...int8, group: 'row', scaleType: 'f32' },
  q8g32: { name: 'q8g32', ...int8, group: 32, scaleType: 'f16' },
  q4g32: { name: 'q4g32', ...int4, group: 32 },
  q4g64: { name: 'q4g64', ...int4, group: 64 },
  q4g128: { name: 'q4g128', ...int4, group: 128 },
  q4g32a: { name: 'q4g32a', ...uint4, group: 32 },
  q4g64a: { name: 'q4g64a', ...uint4, group: 64 },
  q4g128a: { name: 'q4g128a', ...uint4, group: 128 },
  q158: { name: 'q158', bits: 2, group: 'row', scaleType: 'f32', asymmetric: false, lowest: -1, highest: 1, offset: 1 },
  q1: { name: 'q1', ...binary, group: 'row', scaleType: 'f32' },
  q1g128: { name: 'q1g128', ...binary, group: 128, scaleType: 'f16' },
};

/** How activations are quantised: int8 with a scale per group of 32 or per token, or signs with a scale per token. */
export type ActivationScheme = 'a8g32' | 'a8' | 'a1';

/** Activation schemes that a weight scheme can be multiplied with; the first is the default. */
export const ACTIVATIONS: Record<Exclude<SchemeName, 'f32'>, readonly ActivationScheme[]> = {
  q8: ['a8g32', 'a8'],
  q8g32: ['a8g32', 'a8'],
  q4g32: ['a8g32', 'a8'],
  q4g64: ['a8g32', 'a8'],
  q4g128: ['a8g32', 'a8'],
  q4g32a: ['a8g32', 'a8'],
  q4g64a: ['a8g32', 'a8'],
  q4g128a: ['a8g32', 'a8'],
  q158: ['a8'],
  q1: ['a8', 'a1'],
  q1g128: ['a8'],
};

/** The scheme of a name. @throws ProjError `invalid-argument` with the known names. */
export function scheme(name: string): Scheme {
  const found: Scheme | undefined = Object.hasOwn(SCHEMES, name) ? SCHEMES[name as SchemeName] : undefined;
  if (found === undefined)
    throw new ProjError('invalid-argument', `there is no quantisation scheme "${name}"`, {
      op: 'scheme',
      cure: `Use one of ${Object.keys(SCHEMES).join(', ')}`,
    });
  return found;
}

/** Columns of a row that share a scale. */
export const groupColumns = ({ group }: Scheme, columns: number): number => (group === 'row' ? columns : group);

/** Groups of a row, the last one perhaps not full. */
export const groupCount = (of: Scheme, columns: number): number => Math.ceil(columns / groupColumns(of, columns));

/** Bits that a weight takes, scales and minimums counted (row scales of `columns` columns). */
export function bitsPerWeight(of: Scheme, columns: number): number {
  if (of.bits === 32) return 32;
  const perGroup = (of.scaleType === 'f16' ? 16 : 32) * (of.asymmetric ? 2 : 1);
  return of.bits + perGroup / groupColumns(of, columns);
}

/** A quantised matrix before it is packed: what quantisers give and packers take. */
export interface QuantizedMatrix {
  readonly scheme: Scheme;
  readonly rows: number;
  readonly columns: number;
  /** Signed codes, row by row. */
  readonly codes: Int8Array;
  /** One for each row and group, row by row, already rounded to the scheme's scale type. */
  readonly scales: Float32Array;
  /** As many minimums where the scheme is asymmetric. */
  readonly minimums?: Float32Array;
  /** The weights themselves, of scheme `f32`, which has no codes and no scales. */
  readonly values?: Float32Array;
}
