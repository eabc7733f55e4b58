/**
 * Fuses a gated pair: `gelu(linear(x, gate)) · linear(x, up)` is `gated_linear(x, w)`, where w has the rows of gate, then those of up. One product reads its
 * input once, and neither side of the gate is ever in memory.
 */
import type { Instruction, InstructionOf, Program } from '../il.ts';
import { typeText } from '../types.ts';
import { removeDead } from './fold.ts';
import { join, joinable } from './join-constants.ts';
import { declarationsFirst, replaced, View } from './rewrite.ts';

/** The products under a gate: `mul` operands in either order. */
function products(
  view: View,
  mul: InstructionOf<'mul'>,
): readonly [InstructionOf<'linear'>, InstructionOf<'linear'>] | undefined {
  const [a, b] = mul.operands;
  for (const [gated, plain] of [
    [a, b],
    [b, a],
  ]) {
    const gelu = view.given(gated, 'gelu');
    const gate = gelu === undefined ? undefined : view.given(gelu.operands[0], 'linear');
    const up = view.given(plain, 'linear');
    if (gelu === undefined || gate === undefined || up === undefined || gate.operands[0] !== up.operands[0]) continue;
    if ([gated, plain, gelu.operands[0]].every((value) => view.usedOnce(value))) return [gate, up];
  }
  return undefined;
}

export function fuseGate(given: Program): Program {
  const program = declarationsFirst(given);
  const view = new View(program);
  const table = new Map<Instruction, Instruction[]>();
  for (const instruction of program.instructions) {
    if (instruction.op !== 'mul') continue;
    const found = products(view, instruction);
    if (found === undefined) continue;
    const [gate, up] = found;
    const constants = [gate, up].flatMap(({ operands }) => joinable(view, operands[1]) ?? []);
    const [a, b] = constants.map(({ results }) => typeText(results[0].type));
    if (a === undefined || a !== b) continue;
    const both = join(view, constants);
    const operands = [gate.operands[0], both.results[0].name];
    table.set(instruction, [both, { op: 'gated_linear', results: instruction.results, operands, attributes: {} }]);
  }
  return declarationsFirst(removeDead(replaced(program, table)));
}
