/** A constant that joins the rows of others: the part that `fuse-rows` and `fuse-gate` share. */
import { PANEL_ROWS } from '../../quantize/layout.ts';
import type { InstructionOf } from '../il.ts';
import { weight, type WeightType } from '../types.ts';
import type { View } from './rewrite.ts';

/** Names with the segments that differ joined by "+": `a.q_proj.weight` and `a.k_proj.weight` give `a.q_proj+k_proj.weight`. */
export function joinedName(names: readonly string[]): string {
  const split = names.map((name) => name.split('.'));
  if (split.some(({ length }) => length !== split[0].length)) return names.join('+');
  return split[0].map((_, i) => [...new Set(split.map((segments) => segments[i]))].join('+')).join('.');
}

/** The constant of a value, if its rows can be joined with others: a matrix of whole panels, read once, not joined already. */
export function joinable(view: View, value: string): InstructionOf<'const'> | undefined {
  const constant = view.given(value, 'const');
  const type = constant?.results[0].type;
  if (constant === undefined || type?.kind !== 'weight' || type.shape.length !== 2) return undefined;
  return type.shape[0] % PANEL_ROWS === 0 && constant.attributes.parts.length === 0 && view.usedOnce(value)
    ? constant
    : undefined;
}

/** One constant with the rows of all, which have one scheme and one width. */
export function join(view: View, constants: readonly InstructionOf<'const'>[]): InstructionOf<'const'> {
  const types = constants.map(({ results }) => results[0].type as WeightType);
  const parts = constants.map(({ attributes }) => attributes.name);
  const name = joinedName(parts);
  let value = joinedName(constants.map(({ results }) => results[0].name)).replaceAll('+', '_');
  while (view.has(value)) value += '_';
  const shape = [types.reduce((sum, type) => sum + type.shape[0], 0), types[0].shape[1]];
  return {
    op: 'const',
    results: [{ name: value, type: weight(types[0].scheme, shape) }],
    operands: [],
    attributes: { name, parts, layout: 'any' },
  };
}
