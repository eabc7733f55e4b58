import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));

test.each(['js', 'wasm'])('the example of the README prints what it says on %s', (device) => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const code = /```ts\n([^]*?)```/.exec(readme)?.[1] ?? '';
  const output = /```text\n([^]*?)```/.exec(readme)?.[1];
  const run = spawnSync(process.execPath, ['--conditions=source', '--input-type=module-typescript', '-e', code], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PROJ_DEVICE: device },
  });
  expect(run.stderr).toBe('');
  expect(run.stdout).toBe(output);
});
