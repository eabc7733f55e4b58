/**
 * Memory plan: where each value lies while a step runs. Values of T rows share the step arena, whose offsets are multiplied by the tokens of the step; values
 * of one row share the fixed arena. A place is used again after the last reader. Greedy by size (largest first, lowest offset that is free for its lifetime),
 * the planner of Pisarchyk and Lee 2020, arXiv 2001.03288.
 */
import type { IlOp, Program } from '../il.ts';
import { activationGroups, type ValueType } from '../types.ts';

/** Where a value lies. */
export interface Place {
  readonly arena: 'step' | 'fixed';
  /** In bytes; times the tokens of the step in the step arena. */
  readonly offset: number;
  /** Per token in the step arena. */
  readonly bytes: number;
}

/** Places of all values but constants, and the size of both arenas. */
export interface MemoryPlan {
  readonly places: ReadonlyMap<string, Place>;
  /** Bytes for each token of a step. */
  readonly bytesPerToken: number;
  readonly fixedBytes: number;
}

/** Options of {@link planMemory}. */
export interface MemoryOptions {
  /** Bytes of one row of a value (default: {@link rowBytes}). */
  readonly bytes?: (type: ValueType) => number;
  /** Offsets and sizes are multiples of this (default 64). */
  readonly align?: number;
  /** Operations whose result is a view of their first operand and needs no place of its own (default: none). */
  readonly views?: readonly IlOp[];
}

/** Bytes of one row: floats and sums 4 each; int8 codes padded to 32 with a scale and a sum for each group; signs 32 a word, and a scale. */
export function rowBytes(type: ValueType): number {
  switch (type.kind) {
    case 'tokens':
      return 4;
    case 'f32':
      return 4 * type.columns;
    case 'i32':
      return 4 * type.columns * type.groups;
    case 'a8g32':
    case 'a8':
      return 32 * Math.ceil(type.columns / 32) + 8 * activationGroups(type.kind, type.columns);
    case 'a1':
      return 4 * Math.ceil(type.columns / 32) + 4;
    case 'weight':
      return 0;
    default:
      return type satisfies never;
  }
}

interface Lifetime {
  readonly name: string;
  readonly arena: Place['arena'];
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

function lifetimes(
  { instructions }: Program,
  bytes: (type: ValueType) => number,
  align: number,
  views: readonly IlOp[],
): Lifetime[] {
  // A view lives in what it looks at.
  const root = new Map<string, string>();
  const rootOf = (name: string): string => root.get(name) ?? name;
  for (const { op, results, operands } of instructions)
    if (views.includes(op)) for (const { name } of results) root.set(name, rootOf(operands[0]));
  const lastUse = new Map<string, number>();
  instructions.forEach(({ op, operands }, i) => {
    // A stored value is read after the step.
    for (const operand of operands) lastUse.set(rootOf(operand), op === 'store' ? instructions.length : i);
  });
  const stored = new Set(instructions.flatMap(({ op, operands }) => (op === 'store' ? operands.map(rootOf) : [])));
  return instructions.flatMap(({ results }, first) =>
    results.flatMap(({ name, type }): Lifetime[] => {
      if (type.kind === 'weight' || root.has(name)) return [];
      const arena = 'rows' in type && type.rows === 1 ? 'fixed' : 'step';
      const last = stored.has(name) ? instructions.length : (lastUse.get(name) ?? first);
      return [{ name, arena, bytes: Math.ceil(bytes(type) / align) * align, first, last }];
    }),
  );
}

/** Places for all values, such that no two that live at the same time overlap. An instruction's results do not take the place of its operands. */
export function planMemory(
  program: Program,
  { bytes = rowBytes, align = 64, views = [] }: MemoryOptions = {},
): MemoryPlan {
  const places = new Map<string, Place>();
  const sizes = { step: 0, fixed: 0 };
  const placed: { life: Lifetime; offset: number }[] = [];
  const bySize = lifetimes(program, bytes, align, views).toSorted((a, b) => b.bytes - a.bytes || a.first - b.first);
  for (const life of bySize) {
    let offset = 0;
    const taken = placed
      .filter(({ life: other }) => other.arena === life.arena && other.first <= life.last && life.first <= other.last)
      .toSorted((a, b) => a.offset - b.offset);
    for (const other of taken) {
      if (other.offset - offset >= life.bytes) break;
      offset = Math.max(offset, other.offset + other.life.bytes);
    }
    placed.push({ life, offset });
    places.set(life.name, { arena: life.arena, offset, bytes: life.bytes });
    sizes[life.arena] = Math.max(sizes[life.arena], offset + life.bytes);
  }
  return { places, bytesPerToken: sizes.step, fixedBytes: sizes.fixed };
}
