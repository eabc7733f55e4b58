/** Values of options and settings: what they may be, and in words what is wrong with them. Flags and variables are text, files have numbers. */
import { z } from 'zod';

const fromText = (value: unknown): unknown =>
  typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
const number = (schema: z.ZodNumber) => z.preprocess(fromText, schema);

/** A whole number, 1 at least. */
export const count = number(z.number().int().min(1));
/** A whole number from 1 to `most`. */
export const countUpTo = (most: number) => number(z.number().int().min(1).max(most));
/** A whole number, 0 at least. */
export const countOrZero = number(z.number().int().min(0));
/** A number above 0. */
export const positive = number(z.number().positive());
/** A number, 0 at least. */
export const notNegative = number(z.number().min(0));
/** A number from 0, below 1. */
export const share = number(z.number().min(0).lt(1));

/** A number above 0, up to 1. */
export const partOfOne = number(z.number().gt(0).max(1));

/** The flag of a field: `batchSize` is `--batch-size`. */
export const flagOf = (field: string): string => `--${field.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;

const KINDS: Readonly<Record<string, string>> = {
  number: 'a number',
  int: 'a whole number',
  string: 'text',
  boolean: 'true or false',
};

/** What is wrong with a value, in words. */
export function problemText(issue: z.core.$ZodIssue, value: unknown): string {
  if (value === undefined) return 'is missing';
  return `${requirement(issue)}, got ${JSON.stringify(value)}`;
}

function requirement(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      return `must be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}`;
    case 'too_big':
      return `must be ${issue.inclusive === false ? 'below' : 'at most'} ${issue.maximum}`;
    case 'invalid_value':
      return `must be one of ${issue.values.join(', ')}`;
    default:
      return issue.message;
  }
}
