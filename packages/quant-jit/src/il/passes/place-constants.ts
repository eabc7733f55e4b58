/** Puts each constant on the line before its first reader, so that a layer of the text has what it needs beside it. */
import type { Instruction, Program } from '../il.ts';

export function placeConstants({ instructions }: Program): Program {
  const waiting = new Map<string, Instruction>();
  const placed: Instruction[] = [];
  for (const instruction of instructions) {
    if (instruction.op === 'const') {
      waiting.set(instruction.results[0].name, instruction);
      continue;
    }
    for (const operand of instruction.operands) {
      const constant = waiting.get(operand);
      if (constant === undefined) continue;
      placed.push(constant);
      waiting.delete(operand);
    }
    placed.push(instruction);
  }
  return { instructions: placed };
}
