/** All passes in their order, the program verified after each. */
import { ProjError, toProjError } from '@proj/kernel';
import type { Program } from '../il.ts';
import { verify } from '../verify.ts';
import { chooseLayouts } from './choose-layouts.ts';
import { fold } from './fold.ts';
import { fuseGate } from './fuse-gate.ts';
import { fuseLinear } from './fuse-linear.ts';
import { fuseNorm } from './fuse-norm.ts';
import { fuseRows } from './fuse-rows.ts';
import { placeConstants } from './place-constants.ts';
import type { Pass } from './rewrite.ts';
import { sinkLast } from './sink-last.ts';

/** The passes by name, in the order in which they run. */
export const PASSES = {
  'sink-last': sinkLast,
  'fuse-linear': fuseLinear,
  'fuse-gate': fuseGate,
  'fuse-rows': fuseRows,
  'fuse-norm': fuseNorm,
  fold,
  'choose-layouts': chooseLayouts,
  'place-constants': placeConstants,
} as const satisfies Readonly<Record<string, Pass>>;

/** The name of a pass. */
export type PassName = keyof typeof PASSES;

/** Options of {@link optimise}. */
export interface OptimiseOptions {
  /** Passes that are left out. */
  readonly without?: readonly PassName[];
  /** Told of the program after each pass. */
  readonly after?: (pass: PassName, program: Program) => void;
}

/** The program after all passes: in the interpreter, the same results bit for bit. */
export function optimise(program: Program, { without = [], after }: OptimiseOptions = {}): Program {
  let now = program;
  for (const [name, pass] of Object.entries(PASSES) as [PassName, Pass][]) {
    if (without.includes(name)) continue;
    now = pass(now);
    try {
      verify(now);
    } catch (error) {
      throw new ProjError('kernel-verification', `after the pass ${name}: ${toProjError(error).message}`, {
        op: 'optimise',
        cure: `This is a mistake of the pass: leave it out with { without: ['${name}'] }`,
        cause: error,
      });
    }
    after?.(name, now);
  }
  return now;
}
