/**
 * Fuses what passes over the same row one after the other: norm then quantize, norm then the residual sum, and the sum with the next norm and quantize.
 * Three rewrites, each used where the value between has no other reader (but the residual itself, which `add_norm_quantize` gives too).
 */
import type { Instruction, Program } from '../il.ts';
import { removeDead } from './fold.ts';
import { declarationsFirst, replaced, View } from './rewrite.ts';

type Rewrite = (instruction: Instruction, view: View) => Instruction | undefined;

const normQuantize: Rewrite = (instruction, view) => {
  if (instruction.op !== 'quantize') return undefined;
  const [x] = instruction.operands;
  const norm = view.given(x, 'norm');
  if (norm === undefined || !view.usedOnce(x)) return undefined;
  const attributes = { ...norm.attributes, scheme: instruction.attributes.scheme };
  return { op: 'norm_quantize', results: instruction.results, operands: norm.operands, attributes };
};

const addNorm: Rewrite = (instruction, view) => {
  if (instruction.op !== 'add') return undefined;
  const [a, b] = instruction.operands;
  for (const [x, y] of [
    [a, b],
    [b, a],
  ]) {
    const norm = view.given(y, 'norm');
    if (norm === undefined || !view.usedOnce(y) || a === b) continue;
    return {
      op: 'add_norm',
      results: instruction.results,
      operands: [x, ...norm.operands],
      attributes: norm.attributes,
    };
  }
  return undefined;
};

function everywhere(program: Program, rewrite: Rewrite): Program {
  const view = new View(program);
  const table = new Map<Instruction, Instruction[]>();
  for (const instruction of program.instructions) {
    const found = rewrite(instruction, view);
    if (found !== undefined) table.set(instruction, [found]);
  }
  return removeDead(replaced(program, table));
}

/** add_norm and the one norm_quantize of its result become one, in the place of the first. */
function addNormQuantize(program: Program): Program {
  const view = new View(program);
  const table = new Map<Instruction, Instruction[]>();
  for (const instruction of program.instructions) {
    if (instruction.op !== 'add_norm') continue;
    const [h] = instruction.results;
    const readers = view.uses(h.name).filter(({ op }) => op === 'norm_quantize');
    const [next] = readers;
    if (next?.op !== 'norm_quantize' || readers.length !== 1) continue;
    const { eps, mode } = instruction.attributes;
    if (next.attributes.eps !== eps || next.attributes.mode !== mode) continue;
    table.set(instruction, [
      {
        op: 'add_norm_quantize',
        results: [h, next.results[0]],
        operands: [...instruction.operands, next.operands[1]],
        attributes: next.attributes,
      },
    ]);
    table.set(next, []);
  }
  return replaced(program, table);
}

export const fuseNorm = (program: Program): Program =>
  addNormQuantize(everywhere(everywhere(declarationsFirst(program), normQuantize), addNorm));
