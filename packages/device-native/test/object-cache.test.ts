/** The persistent cache: what it gives back, what it survives. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { cacheFolder, ObjectCache } from '../src/index.ts';
import { sealObject, unsealObject } from '../src/object-cache.ts';
import { random, temporaryFolder } from './support.ts';

const KEY = 'ab12cd34ef56ab12cd34ef561234';
const bytes = (length: number, seed = 1): Uint8Array => {
  const next = random(seed);
  return new Uint8Array(length).map(() => next() * 256);
};
const open = (
  folder: string,
  compiler: string | undefined = 'llvm 19',
  more: { limitBytes?: number; warn?: (message: string) => void } = {},
): ObjectCache => new ObjectCache({ folder, compiler, ...more });
const entries = (folder: string): string[] =>
  readdirSync(folder).flatMap((shard) => readdirSync(join(folder, shard)).map((name) => join(folder, shard, name)));

test('the folder follows the environment', () => {
  expect(cacheFolder({ PROJ_CACHE: 'off', PROJ_CACHE_DIR: '/x' })).toBeUndefined();
  expect(cacheFolder({ PROJ_CACHE_DIR: '/x' })).toBe('/x/objects');
  expect(cacheFolder({ XDG_CACHE_HOME: '/cache' })).toBe('/cache/proj/objects');
  expect(cacheFolder({ XDG_CACHE_HOME: 'relative' })).toContain(homedir());
});

test('what was put is got, by another process too', () => {
  const folder = temporaryFolder(onTestFinished);
  const object = bytes(1001);
  open(folder).put(KEY, object);
  expect(open(folder).get(KEY)).toEqual(object);
  expect(open(folder).get('ff'.repeat(14))).toBeUndefined();
  expect(statSync(entries(folder)[0] ?? '').mode & 0o077).toBe(0);
});

test('another compiler has other entries; without one, those of any are taken', () => {
  const folder = temporaryFolder(onTestFinished);
  open(folder, 'llvm 19').put(KEY, bytes(64, 19));
  expect(open(folder, 'llvm 20').get(KEY)).toBeUndefined();
  expect(new ObjectCache({ folder, compiler: undefined }).get(KEY)).toEqual(bytes(64, 19));
});

describe('corruption', () => {
  test('every single changed byte is noticed', () => {
    const sealed = sealObject(bytes(301));
    expect(unsealObject(sealed)).toEqual(bytes(301));
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      expect(unsealObject(changed), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < sealed.length; length++)
      expect(unsealObject(sealed.subarray(0, length)), `length ${length}`).toBeUndefined();
  });

  test.each([
    ['truncated', (path: string) => truncateSync(path, 40)],
    ['empty', (path: string) => writeFileSync(path, '')],
    ['overwritten', (path: string) => writeFileSync(path, 'no object at all, but long enough for a header')],
  ])('an entry that is %s is deleted and can be put again', (_, harm) => {
    const folder = temporaryFolder(onTestFinished);
    const cache = open(folder);
    cache.put(KEY, bytes(500));
    harm(entries(folder)[0] ?? '');
    expect(cache.get(KEY)).toBeUndefined();
    expect(entries(folder)).toEqual([]);
    cache.put(KEY, bytes(500));
    expect(cache.get(KEY)).toEqual(bytes(500));
  });
});

test('a folder that cannot be written costs one warning', () => {
  const folder = temporaryFolder(onTestFinished);
  const blocked = join(folder, 'file');
  writeFileSync(blocked, '');
  const warn = vi.fn();
  const cache = open(join(blocked, 'objects'), 'llvm 19', { warn });
  cache.put(KEY, bytes(10));
  cache.put(`00${KEY}`, bytes(10));
  expect(cache.get(KEY)).toBeUndefined();
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]?.[0]).toMatch(/PROJ_CACHE_DIR/);
});

test.skipIf(process.getuid?.() === 0)('a folder without permission costs one warning', () => {
  const folder = temporaryFolder(onTestFinished);
  chmodSync(folder, 0o500);
  onTestFinished(() => chmodSync(folder, 0o700));
  const warn = vi.fn();
  open(join(folder, 'objects'), 'llvm 19', { warn }).put(KEY, bytes(10));
  expect(warn).toHaveBeenCalledTimes(1);
});

test('pruning deletes what was used longest ago, and what killed processes left', () => {
  const folder = temporaryFolder(onTestFinished);
  const cache = open(folder, 'llvm 19', { limitBytes: 10_000 });
  for (let i = 0; i < 20; i++) {
    cache.put(`${String(i).padStart(2, '0')}${KEY}`, bytes(976, i));
    const shard = join(folder, String(i).padStart(2, '0'));
    utimesSync(join(shard, readdirSync(shard)[0] ?? ''), 1_000_000 + i, 1_000_000 + i);
  }
  mkdirSync(join(folder, 'zz'));
  const left = join(folder, 'zz', 'left.o.123.tmp');
  writeFileSync(left, 'x');
  utimesSync(left, 1_000_000, 1_000_000);
  cache.prune();
  expect(entries(folder).length).toBe(7);
  expect(cache.get(`19${KEY}`)).toEqual(bytes(976, 19));
  expect(cache.get(`12${KEY}`)).toBeUndefined();
});

test('processes that write the same entries at once never see half of one', async () => {
  const folder = temporaryFolder(onTestFinished);
  const script = join(folder, 'writer.mts');
  writeFileSync(
    script,
    `
    import { ObjectCache } from ${JSON.stringify(new URL('../src/object-cache.ts', import.meta.url).pathname)};
    const cache = new ObjectCache({ folder: ${JSON.stringify(join(folder, 'objects'))}, compiler: 'llvm' });
    const me = Number(process.argv[2]);
    for (let round = 0; round < 60; round++) for (let k = 0; k < 4; k++) {
      const key = 'k' + k + '0123456789';
      const seen = cache.get(key);
      if (seen !== undefined && !seen.every((byte) => byte === seen[0])) process.exit(3);
      cache.put(key, new Uint8Array(20_000 + me).fill(me + 1));
    }
  `,
  );
  const codes = await Promise.all(
    [0, 1, 2].map(
      (me) =>
        new Promise((resolve) =>
          spawn(process.execPath, ['--conditions=source', script, String(me)], { stdio: 'inherit' }).on(
            'exit',
            resolve,
          ),
        ),
    ),
  );
  expect(codes).toEqual([0, 0, 0]);
  const files = entries(join(folder, 'objects'));
  expect(files.length).toBe(4);
  for (const file of files) expect(unsealObject(readFileSync(file))).toBeDefined();
});
