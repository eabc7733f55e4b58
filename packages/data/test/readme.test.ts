/** The example of the README runs. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const example = fileURLToPath(new URL(`readme-example-${process.pid}.ts`, import.meta.url));
afterAll(() => rmSync(example, { force: true }));

it('the example of the README runs and prints what it says', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  writeFileSync(example, code);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=source', example], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout.trim().split('\n')).toEqual([
    expect.stringMatching(/^\[ 2, 2 \] \[ [01], [01] \]$/),
    expect.stringMatching(/^\[ 1, 2 \] \[ [01] \]$/),
  ]);
});
