/**
 * Computes only the last token's row where only that row is read: `last(f(x))` is `f(last(x))` for every operation that works row by row. In a prompt this
 * saves the last layer's feed-forward and output projection for all tokens but one. Attention and rope stay as they are: other rows are keys of later steps.
 */
import type { IlOp, Instruction, Program } from '../il.ts';
import type { Result } from '../il.ts';
import type { ValueType } from '../types.ts';
import { fold } from './fold.ts';
import { View } from './rewrite.ts';

/** Operations whose row of the result needs only that row of the operands. */
const ROW_BY_ROW: ReadonlySet<IlOp> = new Set<IlOp>([
  'norm',
  'quantize',
  'int_dot',
  'xnor_dot',
  'scale',
  'add',
  'mul',
  'gelu',
  'softcap',
  'slice',
  'lut',
  'softmax',
  'linear',
  'gated_linear',
]);

const oneRow = (type: ValueType): ValueType => ('rows' in type ? { ...type, rows: 1 } : type);

function sinkOnce(program: Program): Program | undefined {
  const view = new View(program);
  for (const [i, instruction] of program.instructions.entries()) {
    if (instruction.op !== 'last') continue;
    const [x] = instruction.operands;
    const at = program.instructions.findIndex(({ results }) => results.some(({ name }) => name === x));
    const source = program.instructions[at];
    if (source === undefined || !ROW_BY_ROW.has(source.op) || !view.usedOnce(x)) continue;
    const lasts: Instruction[] = [];
    const operands = source.operands.map((operand): string => {
      const type = view.type(operand);
      if (type === undefined || !('rows' in type) || type.rows === 1) return operand;
      let name = `${operand}.last`;
      while (view.has(name) || lasts.some(({ results }) => results[0].name === name)) name += '_';
      lasts.push({ op: 'last', results: [{ name, type: oneRow(type) }], operands: [operand], attributes: {} });
      return name;
    });
    const results: Result[] = [{ name: instruction.results[0].name, type: oneRow(source.results[0].type) }];
    const moved = [...lasts, { ...source, operands, results } as Instruction];
    const before = program.instructions.slice(0, i).filter((each) => each !== source);
    return { instructions: [...before, ...moved, ...program.instructions.slice(i + 1)] };
  }
  return undefined;
}

export function sinkLast(program: Program): Program {
  let now = fold(program);
  for (let next = sinkOnce(now); next !== undefined; next = sinkOnce(now)) now = fold(next);
  return plainNames(now);
}

/** Takes the marks off names that were made while another of the same name was there, where it is gone. */
function plainNames({ instructions }: Program): Program {
  const taken = new Set(instructions.flatMap(({ results }) => results.map(({ name }) => name)));
  const plain = new Map<string, string>();
  for (const name of [...taken].filter((each) => each.endsWith('.last_'))) {
    const shorter = name.slice(0, -1);
    if (!taken.has(shorter)) plain.set(name, shorter);
  }
  const rename = (name: string): string => plain.get(name) ?? name;
  return {
    instructions: instructions.map((each) => ({
      ...each,
      operands: each.operands.map(rename),
      results: each.results.map(({ name, type }) => ({ name: rename(name), type })),
    })),
  };
}
