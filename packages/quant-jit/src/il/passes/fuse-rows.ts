/**
 * Fuses products of one input: `linear(x, q)`, `linear(x, k)`, `linear(x, v)` are one `linear` with the rows of q, k and v stacked, and slices of its result.
 * One product of three times the rows has one third of the starts and joins, and reads its input once.
 */
import type { Instruction, InstructionOf, Program } from '../il.ts';
import { floats } from '../types.ts';
import { removeDead } from './fold.ts';
import { join, joinable, joinedName } from './join-constants.ts';
import { declarationsFirst, replaced, View } from './rewrite.ts';

function fuse(view: View, group: readonly InstructionOf<'linear'>[]): Instruction[] {
  const constants = group.flatMap(({ operands }) => joinable(view, operands[1]) ?? []);
  const stacked = join(view, constants);
  const types = group.map(({ results }) => results[0].type);
  const ends: number[] = [];
  for (const type of types) ends.push((ends.at(-1) ?? 0) + (type.kind === 'f32' ? type.columns : 0));
  const columns = ends.at(-1) ?? 0;
  const rows = types[0].kind === 'f32' ? types[0].rows : 'T';
  let name = joinedName(group.map(({ results }) => results[0].name)).replaceAll('+', '_');
  while (view.has(name)) name += '_';
  return [
    stacked,
    {
      op: 'linear',
      results: [{ name, type: floats(rows, columns) }],
      operands: [group[0].operands[0], stacked.results[0].name],
      attributes: {},
    },
    ...group.map(({ results }, i): Instruction => ({
      op: 'slice',
      results,
      operands: [name],
      attributes: { begin: i === 0 ? 0 : ends[i - 1], end: ends[i] },
    })),
  ];
}

export function fuseRows(given: Program): Program {
  const program = declarationsFirst(given);
  const view = new View(program);
  const groups = new Map<string, InstructionOf<'linear'>[]>();
  for (const instruction of program.instructions) {
    if (instruction.op !== 'linear') continue;
    const [x, w] = instruction.operands;
    const type = joinable(view, w)?.results[0].type;
    if (type?.kind !== 'weight') continue;
    const key = `${x} ${type.scheme}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [instruction]);
    else group.push(instruction);
  }
  const table = new Map<Instruction, Instruction[]>();
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    const fused = fuse(view, group);
    group.forEach((instruction, i) => table.set(instruction, i === 0 ? fused : []));
  }
  return declarationsFirst(removeDead(replaced(program, table)));
}
