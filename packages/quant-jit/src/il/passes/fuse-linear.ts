/** Fuses integer products with their scales: `scale(int_dot(xq, w), xq, w)` and the XNOR form are `linear(xq, w)`. */
import type { Instruction, Program } from '../il.ts';
import { removeDead } from './fold.ts';
import { replaced, View } from './rewrite.ts';

export function fuseLinear(program: Program): Program {
  const view = new View(program);
  const table = new Map<Instruction, Instruction[]>();
  for (const instruction of program.instructions) {
    if (instruction.op !== 'scale') continue;
    const [sums, x, w] = instruction.operands;
    const dot = view.given(sums, 'int_dot') ?? view.given(sums, 'xnor_dot');
    if (dot === undefined || !view.usedOnce(sums) || dot.operands[0] !== x || dot.operands[1] !== w) continue;
    table.set(instruction, [{ op: 'linear', results: instruction.results, operands: [x, w], attributes: {} }]);
  }
  return removeDead(replaced(program, table));
}
