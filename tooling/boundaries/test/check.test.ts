import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { checkBoundaries } from '../src/check.ts';

const trees: string[] = [];

/** A repository with these files; every package of it gets a manifest. */
function tree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'boundaries-'));
  trees.push(root);
  for (const [file, text] of Object.entries(files)) {
    const [kind, folder] = file.split('/');
    const path = join(root, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    writeFileSync(
      join(root, kind, folder, 'package.json'),
      JSON.stringify({ name: kind === 'apps' ? folder : `@proj/${folder}` }),
    );
  }
  return root;
}

afterEach(() => {
  for (const root of trees.splice(0)) rmSync(root, { recursive: true });
});

it('accepts imports that point down and packages from outside', () => {
  const root = tree({
    'packages/kernel/src/index.ts': `export * from './a.ts'`,
    'packages/kernel/src/a.ts': `import { join } from 'node:path'\nexport const a = join`,
    'packages/tensor/src/index.ts': `import { a } from '@proj/kernel'\nexport { a }`,
    'packages/nn/src/index.ts': `import type { a } from '@proj/tensor'\nexport * from '@proj/tensor/linalg'\nexport type A = typeof a`,
    'packages/device-native/src/index.ts': `import koffi from 'koffi'\nexport { koffi }`,
    'apps/trainer/src/main.ts': `import '@proj/device-native'\nimport '@proj/nn'\nimport 'app-support'`,
    'apps/app-support/src/index.ts': '',
  });
  expect(checkBoundaries(root)).toEqual([]);
});

it.each([
  ['a value import', `import { x } from '@proj/autograd'`],
  ['a sub-path', `import '@proj/autograd/rules'`],
  ['a type import', `import type { X } from '@proj/autograd'`],
  ['a re-export', `export * from '@proj/autograd'`],
  ['a dynamic import', `export const later = () => import('@proj/autograd')`],
])('refuses an import that points up: %s', (_, text) => {
  const root = tree({ 'packages/tensor/src/index.ts': text, 'packages/autograd/src/index.ts': '' });
  const problems = checkBoundaries(root);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(
    /^packages\/tensor\/src\/index\.ts → @proj\/autograd.*: @proj\/tensor \(tensors\) may not import @proj\/autograd \(differentiation\)/,
  );
});

it('refuses neighbours of one layer, concrete devices, tools, packages without a layer, and reaching into files', () => {
  const root = tree({
    'packages/nn/src/index.ts': `import '@proj/optim'`,
    'packages/optim/src/index.ts': `import '@proj/device-native'`,
    'packages/device-native/src/index.ts': `import '../../kernel/src/index.ts'`,
    'packages/kernel/src/index.ts': `import '@proj/bench'`,
    'packages/newcomer/src/index.ts': `import '@proj/kernel'`,
    'tooling/bench/src/main.ts': '',
  });
  expect(checkBoundaries(root)).toEqual([
    'packages/device-native/src/index.ts → packages/kernel/src/index.ts: import the other package by its name',
    expect.stringContaining('packages/kernel/src/index.ts → @proj/bench: @proj/bench is an app or a tool'),
    expect.stringContaining('packages/newcomer/src/index.ts → @proj/kernel: @proj/newcomer has no layer'),
    expect.stringContaining('@proj/nn (training) may not import @proj/optim (training)'),
    expect.stringContaining('@proj/optim may not import a concrete device'),
  ]);
});

it('keeps the spiking engine on the kernel alone, except for its surrogate sub-path', () => {
  const root = tree({
    'packages/snn/src/engine.ts': `import '@proj/kernel'\nimport '@proj/tensor'`,
    'packages/snn/src/surrogate/index.ts': `import '@proj/tensor'`,
    'packages/kernel/src/index.ts': '',
    'packages/tensor/src/index.ts': '',
  });
  expect(checkBoundaries(root)).toEqual([expect.stringContaining('packages/snn/src/engine.ts → @proj/tensor')]);
});

it('names the chain of an import cycle', () => {
  const root = tree({
    'packages/kernel/src/index.ts': `export * from './a.ts'`,
    'packages/kernel/src/a.ts': `import { c } from './deep/c.ts'\nexport const a = c`,
    'packages/kernel/src/deep/c.ts': `import { a } from '../a.ts'\nexport const c = a`,
  });
  expect(checkBoundaries(root)).toEqual([
    'import cycle: packages/kernel/src/a.ts → packages/kernel/src/deep/c.ts → packages/kernel/src/a.ts',
  ]);
});

it('finds a cycle through an inline type, which still loads the module, but not through import type or import()', () => {
  const cycle = (back: string): string[] =>
    checkBoundaries(
      tree({ 'packages/kernel/src/a.ts': `import './b.ts'\nexport type A = 1`, 'packages/kernel/src/b.ts': back }),
    );
  expect(cycle(`import { type A } from './a.ts'\nexport type B = A`)).toHaveLength(1);
  expect(cycle(`import type { A } from './a.ts'\nexport type B = A`)).toEqual([]);
  expect(cycle(`export type { A } from './a.ts'`)).toEqual([]);
  expect(cycle(`export const later = () => import('./a.ts')`)).toEqual([]);
});
