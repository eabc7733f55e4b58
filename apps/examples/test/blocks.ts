/** The code blocks of Markdown files, and the programs that they are. */
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
const here = join(root, 'apps/examples');

export interface CodeBlock {
  /** The Markdown file, from the root, and the line of the opening fence. */
  readonly document: string;
  readonly line: number;
  readonly code: string;
  /** The file that the block quotes. */
  readonly file: string | null;
  /** What the block that follows says it prints. */
  readonly output: string | null;
}

const DOCUMENTS = ['*.md', 'docs/**/*.md', 'packages/*/README.md', 'apps/*/README.md', 'tooling/*/README.md'];

/** All TypeScript blocks of the repository's documentation. */
export function codeBlocks(): CodeBlock[] {
  const documents = DOCUMENTS.flatMap((pattern) => globSync(pattern, { cwd: root, exclude: ['docs/api/**'] }));
  return documents.sort().flatMap((document) => blocksOf(document, readFileSync(join(root, document), 'utf8')));
}

/** The TypeScript blocks of one document. */
export function blocksOf(document: string, text: string): CodeBlock[] {
  const fences = [...text.matchAll(/^```(\w*)([^\n]*)\n([\s\S]*?)\n```$/gm)];
  return fences.flatMap((fence, i) => {
    const [whole, language, attributes, code] = fence;
    if (language !== 'ts') return [];
    const next = fences[i + 1];
    const follows =
      next !== undefined && next[1] === 'text' && text.slice(fence.index + whole.length, next.index).trim() === '';
    return [
      {
        document,
        code,
        line: text.slice(0, fence.index).split('\n').length,
        file: /file=(\S+)/.exec(attributes)?.[1] ?? null,
        output: follows ? next[3] : null,
      },
    ];
  });
}

/** Runs a program as the documentation tells to, with the packages' sources; gives what it prints, or throws with what went wrong. */
export function run(program: { readonly file: string } | { readonly code: string }): Promise<string> {
  const args = 'file' in program ? [join(root, program.file)] : ['--input-type=module-typescript', '-'];
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      ['--conditions=source', '--disable-warning=ExperimentalWarning', ...args],
      { cwd: here, timeout: 110_000 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout.trimEnd());
        else reject(new Error(`${stderr}\n${stdout}`.trim()));
      },
    );
    child.stdin?.end('code' in program ? program.code : '');
  });
}
