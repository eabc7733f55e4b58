/** The repository's own text: its pages, then the comments that document its source. What programs train on when they are given nothing. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProjError } from '@proj/kernel';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const LEFT_OUT = ['node_modules', 'dist', 'test', 'bench', 'fixtures', 'api', 'runs', 'coverage'];
const FEWEST_CHARACTERS = 10_000;

function* filesOf(folder: string, ending: string): Generator<string> {
  if (!existsSync(folder)) return;
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) {
      if (entry.name.endsWith(ending)) yield path;
    } else if (!LEFT_OUT.includes(entry.name) && !entry.name.startsWith('.')) yield* filesOf(path, ending);
  }
}

const commentsOf = (source: string): string =>
  Array.from(source.matchAll(/\/\*\*([^]*?)\*\//g), ([, inside]) =>
    inside.replaceAll(/^[ \t]*\*[ \t]?/gm, '').trim(),
  ).join('\n');

/** The text, in an order that does not change. @throws ProjError `data-loading` outside of the repository. */
export function repositoryText(repository = REPOSITORY): string {
  const parts: string[] = [];
  for (const path of filesOf(repository, '.md')) parts.push(readFileSync(path, 'utf8'));
  for (const path of filesOf(join(repository, 'packages'), '.ts')) parts.push(commentsOf(readFileSync(path, 'utf8')));
  const text = parts.filter((part) => part !== '').join('\n\n');
  if (text.length < FEWEST_CHARACTERS)
    throw new ProjError('data-loading', "the repository's text was not found", {
      op: 'repositoryText',
      cure: 'Run inside the repository, or give a text with --text FILE',
    });
  return text;
}
