/**
 * Chooses how each constant lies in memory, by what reads it. Floats lie in rows. Codes lie in panels of 16 rows, whose sums fill a vector register without a
 * horizontal step; the table of tokens too, since its product with the last hidden state reads all of it and `embed` one row a token. Gate and up lie in pairs: a kernel that goes
 * through memory from front to back then has the sums of both sides of 16 outputs.
 */
import type { Instruction, Layout, Program } from '../il.ts';
import { View } from './rewrite.ts';

export function chooseLayouts(program: Program): Program {
  const view = new View(program);
  const layoutOf = (value: string): Layout => {
    if (view.uses(value).some(({ op }) => op === 'gated_linear')) return 'pairs';
    const type = view.type(value);
    return type?.kind === 'weight' && type.scheme === 'f32' ? 'rows' : 'panels';
  };
  return {
    instructions: program.instructions.map((instruction): Instruction => {
      if (instruction.op !== 'const') return instruction;
      const layout = layoutOf(instruction.results[0].name);
      return { ...instruction, attributes: { ...instruction.attributes, layout } };
    }),
  };
}
