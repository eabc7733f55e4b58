/** Work that does not fit into memory: which settings to change. */
import { ProjError } from '@proj/kernel';
import { flagOf } from './settings.ts';

/** An error for lack of memory as one about the settings that ask for it (by field, with their values); any other as it is. */
export function tooLarge(error: unknown, op: string, sizes: Readonly<Record<string, number>>): unknown {
  if (!(error instanceof ProjError) || error.code !== 'out-of-memory') return error;
  const settings = Object.entries(sizes).map(([field, value]) => `${flagOf(field)} ${value}`);
  const [lack] = error.message.replace(/^\w+: /, '').split('. ');
  return new ProjError('out-of-memory', `it does not fit into memory with ${settings.join(', ')} (${lack})`, {
    op,
    cure: `Make ${Object.keys(sizes).map(flagOf).join(' or ')} smaller`,
    cause: error,
  });
}
