/** Options of the commands: what they may be, and errors that name the flag. */
import { resolve } from 'node:path';
import { ProjError } from '@proj/kernel';
import { type SchemeName, SCHEMES } from '@proj/quant-jit/quantize';
import { z } from 'zod';

/** Flags as commander gives them, names in camelCase. */
export type Flags = Readonly<Record<string, unknown>>;

const fromText = (value: unknown): unknown =>
  typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
const number = (schema: z.ZodNumber) => z.preprocess(fromText, schema);

/** A whole number, 1 at least. */
export const count = number(z.number().int().min(1).max(Number.MAX_SAFE_INTEGER));
/** A whole number, 0 at least. */
export const countOrZero = number(z.number().int().min(0).max(Number.MAX_SAFE_INTEGER));
export const share = number(z.number().gt(0).max(1));
export const notNegative = number(z.number().min(0));
export const positive = number(z.number().positive());
export const flag = z.boolean().default(false);
/** A quantisation scheme by name. */
export const scheme = z.enum(Object.keys(SCHEMES) as [SchemeName, ...SchemeName[]]);

/** What every command that runs a model takes. */
export const deviceShape = {
  device: z.enum(['native', 'wasm', 'js', 'interpreter']).optional(),
  threads: count.optional(),
} as const;

export const flagOf = (field: string): string => `--${field.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

/** Where the user stands: npm and pnpm change the folder before they start a script. */
export const userPath = (path: string): string => resolve(process.env['INIT_CWD'] ?? process.cwd(), path);

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
    return `${flagOf(field)}: ${issue.message}, got ${JSON.stringify(flags[field])}`;
  });
  throw new ProjError('invalid-argument', problems.join('; '), { cure: '--help lists the options' });
}
