import { mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { codeDigest } from '../src/code-digest.ts';

it('the digest of a package changes with every change of a file, and with nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'digest-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const write = (file: string, text: string): void => writeFileSync(join(folder, file), text);
  mkdirSync(join(folder, 'src/deep'), { recursive: true });
  mkdirSync(join(folder, 'test'));
  write('package.json', '{"version":"1.0.0"}');
  write('src/index.ts', 'export const a = 1;');
  write('src/deep/part.ts', 'export const b = 1;');
  const seen = new Set([codeDigest(folder)]);
  const expectAnother = (): void => {
    expect(seen).not.toContain(codeDigest(folder));
    seen.add(codeDigest(folder));
  };

  // Same size, same time.
  const when = new Date(2020, 1, 1);
  utimesSync(join(folder, 'src/deep/part.ts'), when, when);
  write('src/deep/part.ts', 'export const b = 2;');
  utimesSync(join(folder, 'src/deep/part.ts'), when, when);
  expectAnother();
  write('package.json', '{"version":"1.0.1"}');
  expectAnother();
  renameSync(join(folder, 'src/deep/part.ts'), join(folder, 'src/deep/piece.ts'));
  expectAnother();
  write('src/more.ts', '');
  expectAnother();
  // A text that moves from the end of one file to the begin of the next.
  write('src/index.ts', 'export const a = 1');
  write('src/more.ts', ';');
  expectAnother();

  const { size } = seen;
  write('test/index.test.ts', '');
  utimesSync(join(folder, 'src/index.ts'), when, when);
  expect(seen.add(codeDigest(folder)).size).toBe(size);
});
