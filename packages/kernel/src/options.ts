/** Options objects of functions and classes: defaults, and an error for names that do not exist, which JavaScript would pass over in silence. */
import { ProjError } from './errors.ts';

/** A value for every option; those that are left out otherwise stand as null. */
export type Defaults<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/**
 * `options` over `defaults`, which name every option there is; one that is undefined counts as left out. Errors (`invalid-argument`): a name that
 * does not exist, with the one that may be meant; something that is no object.
 */
export function withDefaults<Options extends object>(
  op: string,
  defaults: NoInfer<Defaults<Options>>,
  options: Options,
): Defaults<Options> {
  checkOptions(op, defaults, options);
  let result: Defaults<Options> = defaults;
  for (const name in options) {
    const value = options[name];
    if (value === undefined) continue;
    if (result === defaults) result = { ...defaults };
    (result as { [Name in keyof Options]: unknown })[name] = value;
  }
  return result;
}

/** Refuses what {@link withDefaults} refuses; `known` has the names. */
export function checkOptions(op: string, known: object, options: object): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new ProjError('invalid-argument', `${describeValue(options)} where an object of options belongs`, {
      op,
      cure: `Write { name: value }; known are ${Object.keys(known).join(', ')}`,
    });
  for (const name in options) if (!Object.hasOwn(known, name)) throw unknownOption(op, name, Object.keys(known));
}

/** A value in an error: what it is, shortly. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** The error for a name that is none of `known`. */
export function unknownOption(op: string, name: string, known: readonly string[]): ProjError {
  const meant = nearest(name, known);
  return new ProjError('invalid-argument', `unknown option '${name}'`, {
    op,
    cure: `${meant === undefined ? '' : `Did you mean '${meant}'? `}${known.length === 0 ? 'There are none' : `Known are ${known.join(', ')}`}`,
  });
}

/** Other than in case and underscores. */
const folded = (name: string): string => name.toLowerCase().replaceAll('_', '');

/** The name that is written like `name` but for a slip (`keepDims`, `weight_decay`), or is an abbreviation or the whole of it (`lr`, `batch`). */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const given = folded(name);
  const slips = (other: string): number => {
    const distance = editDistance(given, folded(other));
    return distance <= Math.min(2, Math.round(folded(other).length / 3)) ? distance : Infinity;
  };
  const best = known.toSorted((a, b) => slips(a) - slips(b))[0];
  if (best !== undefined && slips(best) < Infinity) return best;
  return known.find((other) => abbreviates(folded(other), given) || abbreviates(given, folded(other)));
}

/** Insertions, deletions and replacements of letters from one to the other (Levenshtein 1966). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++)
      next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (a[i] === b[j] ? 0 : 1)));
    row = next;
  }
  return row[b.length];
}

/** Whether `short` begins as `long` does and its letters stand there in order. */
function abbreviates(short: string, long: string): boolean {
  if (short.length < 2 || short[0] !== long[0]) return false;
  let at = 0;
  for (const letter of long) if (letter === short[at]) at++;
  return at === short.length;
}
