/** Folders are made with those above them, and refused where there can be none. */
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '@proj/kernel';
import { afterAll, describe, expect, it } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'proj-folder-'));
afterAll(() => rmSync(root, { recursive: true }));

describe('makeFolder', () => {
  it('makes what is missing, with the mode that was asked for, and leaves what is there', () => {
    const deep = join(root, 'a', 'b', 'c');
    makeFolder(deep, 0o700);
    expect(statSync(deep).mode & 0o777).toBe(0o700);
    writeFileSync(join(deep, 'kept'), '1');
    makeFolder(deep);
    expect(existsSync(join(deep, 'kept'))).toBe(true);
  });
  it('follows links to folders', () => {
    symlinkSync(root, join(root, 'link'));
    makeFolder(join(root, 'link', 'behind'));
    expect(statSync(join(root, 'behind')).isDirectory()).toBe(true);
  });
  it('refuses files, and what would be inside them', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    expect(() => makeFolder(file)).toThrow(/EEXIST/);
    expect(() => makeFolder(join(file, 'inside', 'it'))).toThrow(/ENOTDIR/);
    symlinkSync(join(root, 'nowhere'), join(root, 'dangling'));
    expect(() => makeFolder(join(root, 'dangling'))).toThrow(/EEXIST/);
  });
  it.runIf(process.platform === 'linux')('refuses, and returns from, places that take no folders', () => {
    expect(() => makeFolder('/proc/proj-run')).toThrow(
      'cannot make the folder /proc/proj-run: /proc takes no new folders',
    );
    expect(() => makeFolder('/proc/proj-run/a/b')).toThrow('/proc takes no new folders');
  });
});
