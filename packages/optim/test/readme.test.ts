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
  const values = JSON.parse(stdout) as number[];
  expect(values).toHaveLength(2);
  for (const value of values) expect(Math.abs(value)).toBeLessThan(0.05);
});
