/** Folding: operations that change nothing, values computed twice, values that nobody reads. */
import type { Instruction, Program } from '../il.ts';
import { printInstruction } from '../print.ts';
import { sameType } from '../types.ts';
import { renamed, replaced, View } from './rewrite.ts';

/** Leaves out what no stored result depends on. Caches belong to one attention, so an attention that is not read has no effect either. */
export function removeDead({ instructions }: Program): Program {
  const live = new Set<string>();
  const kept: Instruction[] = [];
  for (const instruction of instructions.toReversed()) {
    if (instruction.op !== 'store' && !instruction.results.some(({ name }) => live.has(name))) continue;
    for (const operand of instruction.operands) live.add(operand);
    kept.push(instruction);
  }
  return { instructions: kept.toReversed() };
}

/** Leaves out slices of all columns and `last` of one row; joins slices of slices. */
export function simplify(program: Program): Program {
  const view = new View(program);
  const names = new Map<string, string>();
  const table = new Map<Instruction, Instruction[]>();
  for (const instruction of program.instructions) {
    if (instruction.op !== 'slice' && instruction.op !== 'last') continue;
    const [x] = instruction.operands;
    const [result] = instruction.results;
    const type = view.type(x);
    if (type !== undefined && sameType(type, result.type)) {
      names.set(result.name, x);
      table.set(instruction, []);
      continue;
    }
    const outer = instruction.op === 'slice' ? view.given(x, 'slice') : undefined;
    if (outer === undefined || instruction.op !== 'slice') continue;
    const { begin, end } = instruction.attributes;
    const from = outer.attributes.begin;
    const attributes = { begin: from + begin, end: from + end };
    table.set(instruction, [{ ...instruction, operands: outer.operands, attributes }]);
  }
  return renamed(replaced(program, table), names);
}

/** Leaves out instructions that repeat another: same operation, operands and attributes. Attention has a cache, so it is never shared. */
export function shareCommon(program: Program): Program {
  const known = new Map<string, Instruction>();
  const names = new Map<string, string>();
  const instructions: Instruction[] = [];
  for (const instruction of program.instructions) {
    const operands = instruction.operands.map((operand) => names.get(operand) ?? operand);
    const now: Instruction = { ...instruction, operands };
    const key = printInstruction({ ...now, results: [] });
    const first = known.get(key);
    if (instruction.op === 'store' || instruction.op === 'attention' || first === undefined) {
      instructions.push(now);
      known.set(key, now);
      continue;
    }
    instruction.results.forEach(({ name }, i) => names.set(name, first.results[i].name));
  }
  return { instructions };
}

/** All three until nothing changes. */
export function fold(program: Program): Program {
  let now = program;
  for (;;) {
    const next = removeDead(shareCommon(simplify(now)));
    if (next.instructions.length === now.instructions.length && text(next) === text(now)) return next;
    now = next;
  }
}

const text = ({ instructions }: Program): string => instructions.map(printInstruction).join('\n');
