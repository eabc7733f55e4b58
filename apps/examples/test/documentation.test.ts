/** Runs the documentation: every TypeScript block of the repository's Markdown files, and the programs that it quotes. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blocksOf, codeBlocks, root, run } from './blocks.ts';

const blocks = codeBlocks();
const programs = globSync('apps/examples/src/*.ts', { cwd: root });

describe('code blocks', () => {
  it.each(
    blocks.filter(({ file }) => file === null).map((block) => [`${block.document}:${block.line}`, block] as const),
  )('%s runs', { timeout: 120_000 }, async (_, { code, output }) => {
    const printed = await run({ code });
    if (output !== null) expect(printed).toBe(output);
  });
  it.each(
    blocks.flatMap((block) =>
      block.file === null ? [] : [[`${block.document}:${block.line}`, block.file, block.code] as const],
    ),
  )('%s quotes %s', (_, file, code) => {
    expect(readFileSync(join(root, file), 'utf8')).toContain(code);
  });
  it('are found with the line, the quoted file and the output', () => {
    const text = 'a\n```ts file=x.ts\n1\n```\n\n```text\nfour\n```\n```ts\n2\n\n3\n```\nend\n```text\nno\n```\n';
    expect(blocksOf('d.md', text)).toEqual([
      { document: 'd.md', line: 2, code: '1', file: 'x.ts', output: 'four' },
      { document: 'd.md', line: 9, code: '2\n\n3', file: null, output: null },
    ]);
  });
  it('fail when they throw', async () => {
    await expect(run({ code: 'throw new Error("on purpose")' })).rejects.toThrow('on purpose');
  });
});

describe('programs', () => {
  it.each(programs)('%s runs and prints what the documentation says', { timeout: 120_000 }, async (file) => {
    const printed = await run({ file });
    let at = 0;
    for (const { output, document, line } of blocks.filter((block) => block.file === file)) {
      if (output === null) continue;
      const found = printed.indexOf(output, at);
      if (found < 0) expect.fail(`${document}:${line} says\n${output}\nthe program prints\n${printed}`);
      at = found + output.length;
    }
  });
});

describe('links', () => {
  const documents = [
    ...globSync('*.md', { cwd: root }),
    ...globSync('docs/**/*.md', { cwd: root, exclude: ['docs/api/**'] }),
    ...globSync('{packages,apps,tooling}/*/README.md', { cwd: root }),
  ];
  it.each(documents)('%s points at files that exist', (document) => {
    const text = readFileSync(join(root, document), 'utf8').replaceAll(/^```[\s\S]*?^```$/gm, '');
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target]) => target);
    // Paths in code marks count as links where they look like a file of the tree.
    const mentioned = [...text.matchAll(/`((?:packages|apps|tooling|docs)\/[\w./-]+\.\w+)`/g)].map(([, path]) => path);
    expect([
      ...targets.filter((target) => !existsSync(join(root, dirname(document), target))),
      ...mentioned.filter((path) => !existsSync(join(root, path))),
    ]).toEqual([]);
  });
});
