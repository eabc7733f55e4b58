/** Options of the commands: what they may be, and errors that name the flag. */
import { ProjError } from '@proj/kernel';
import { type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';
import { count, flagOf, problemText } from 'app-support';
import { z } from 'zod';

/** Flags as commander gives them, names in camelCase. */
export type Flags = Readonly<Record<string, unknown>>;

export const flag = z.boolean().default(false);
/** A quantisation scheme by name. */
export const scheme = z.enum(Object.keys(SCHEMES) as [SchemeName, ...SchemeName[]]);

/** What every command that runs a model takes. */
export const deviceShape = {
  device: z.enum(['native', 'wasm', 'js', 'interpreter']).optional(),
  threads: count.optional(),
} as const;

/** The options of a command. @throws ProjError `invalid-argument` that names each flag that is wrong. */
export function readOptions<Shape extends z.ZodRawShape>(
  shape: Shape,
  flags: Flags,
): z.infer<z.ZodObject<Shape, z.core.$strict>> {
  const result = z.strictObject(shape).safeParse(flags);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    if (issue.code === 'unrecognized_keys') return `there is no option ${issue.keys.map(flagOf).join(', ')}`;
    const field = String(issue.path[0] ?? '');
    return `${flagOf(field)}: ${problemText(issue, flags[field])}`;
  });
  throw new ProjError('invalid-argument', problems.join('; '), { cure: '--help lists the options' });
}
