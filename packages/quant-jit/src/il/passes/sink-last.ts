/**
 * Computes only the last token's row where only that row is read: `last(f(x))` is `f(last(x))` for every operation that works row by row. In a prompt this
 * saves the last layer's feed-forward and output projection for all tokens but one. Attention and rope stay as they are: other rows are keys of later steps.
 */
import type { IlOp, Instruction, Program } from '../il.ts';
import type { TokensType, ValueType, WeightType } from '../types.ts';
import { fold } from './fold.ts';
import { renamed, View } from './rewrite.ts';

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

const hasRows = (type: ValueType | undefined): type is Exclude<ValueType, TokensType | WeightType> =>
  type !== undefined && 'rows' in type;

/** Instructions of which only the last row is read, by `last` or by others of them. */
function narrowed(view: View): Set<Instruction> {
  const found = new Set<Instruction>();
  for (const instruction of view.program.instructions.toReversed()) {
    const [result] = instruction.results;
    if (!ROW_BY_ROW.has(instruction.op) || !hasRows(result.type) || result.type.rows === 1) continue;
    const readers = view.uses(result.name);
    if (readers.length > 0 && readers.every((reader) => reader.op === 'last' || found.has(reader)))
      found.add(instruction);
  }
  return found;
}

export function sinkLast(program: Program): Program {
  const view = new View(program);
  const narrow = narrowed(view);
  const narrowNames = new Set([...narrow].map(({ results }) => results[0].name));
  const isNarrow = (value: string): boolean => narrowNames.has(value);
  /** The last row of a value that has all of them. */
  const lastOf = new Map<string, string>();
  const instructions: Instruction[] = [];
  const names = new Map<string, string>();
  for (const instruction of program.instructions) {
    if (instruction.op === 'last') {
      const [x] = instruction.operands;
      const known = isNarrow(x) ? x : lastOf.get(x);
      const [{ name }] = instruction.results;
      if (known !== undefined) names.set(name, known);
      else {
        lastOf.set(x, name);
        instructions.push(instruction);
      }
      continue;
    }
    if (!narrow.has(instruction)) {
      instructions.push(instruction);
      continue;
    }
    const operands = instruction.operands.map((operand): string => {
      const type = view.type(operand);
      if (!hasRows(type) || type.rows === 1 || isNarrow(operand)) return operand;
      const known = lastOf.get(operand);
      if (known !== undefined) return known;
      let name = `${operand}.last`;
      while (view.has(name)) name += '_';
      lastOf.set(operand, name);
      instructions.push({
        op: 'last',
        results: [{ name, type: { ...type, rows: 1 } }],
        operands: [operand],
        attributes: {},
      });
      return name;
    });
    const results = instruction.results.map(({ name, type }) => ({
      name,
      type: hasRows(type) ? { ...type, rows: 1 as const } : type,
    }));
    instructions.push({ ...instruction, operands, results } as Instruction);
  }
  return fold(renamed({ instructions }, names));
}
