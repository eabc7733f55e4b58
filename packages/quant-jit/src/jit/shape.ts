/** What running a program takes to know, apart from its lowering. */
import type { Instruction } from '../il/il.ts';
import type { NativeCodeILNN } from '../il/native-code-ilnn.ts';

export interface ProgramShape {
  /** Longest context; 0 for a program without attention. */
  readonly positions: number;
  /** Of the rows that it loads; 0 where it loads tokens. */
  readonly columns: number;
  /** Tokens that there are: rows of the embedding, null without one. */
  readonly vocabulary: number | null;
}

export function shapeOf({ config, program }: NativeCodeILNN): ProgramShape {
  const input = program.instructions.find(
    (each): each is Extract<Instruction, { op: 'load_input' }> => each.op === 'load_input',
  );
  const table = program.instructions.find(({ op }) => op === 'embed')?.operands[0];
  let vocabulary: number | null = null;
  for (const { results } of program.instructions)
    for (const { name, type } of results) if (name === table && type.kind === 'weight') [vocabulary] = type.shape;
  return { positions: config.positions, columns: input?.attributes.columns ?? 0, vocabulary };
}
