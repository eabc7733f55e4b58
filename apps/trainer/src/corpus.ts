/** The text that ships with the repository: its own documentation, pages first, then the comments that document the source. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ProjError } from '@proj/kernel';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const SKIPPED = new Set(['node_modules', 'dist', 'test', 'bench', 'fixtures', 'api', 'runs', 'coverage']);

/** Files under a folder with one of the endings, in the order of their names. */
function filesUnder(folder: string, ending: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory())
        return SKIPPED.has(entry.name) || entry.name.startsWith('.') ? [] : filesUnder(path, ending);
      return entry.name.endsWith(ending) ? [path] : [];
    });
}

/** The documentation comments of a source file as plain sentences. */
function comments(source: string): string {
  return [...source.matchAll(/\/\*\*([\s\S]*?)\*\//g)]
    .map(([, body]) =>
      body
        .split('\n')
        .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
        .join('\n')
        .trim(),
    )
    .join('\n');
}

/** Rare signs would only blow the vocabulary up. */
const plain = (text: string): string =>
  text.replace(/[^\n\x20-\x7e]/g, (c) =>
    c === '\t' ? ' ' : c === '’' ? "'" : c === '–' || c === '—' ? '-' : c === '…' ? '...' : '',
  );

/** The documentation of this repository as one text. */
export function documentationText(repository = REPOSITORY): string {
  const pages = filesUnder(repository, '.md').map((path) => readFileSync(path, 'utf8'));
  const sources = filesUnder(join(repository, 'packages'), '.ts').map((path) => comments(readFileSync(path, 'utf8')));
  const text = plain([...pages, ...sources].filter((part) => part !== '').join('\n\n'));
  if (text.length < 10_000)
    throw new ProjError('data-loading', 'the documentation of the repository was not found', {
      op: 'documentationText',
      cure: 'Run the trainer inside the repository, or pass --text FILE',
    });
  return text;
}
