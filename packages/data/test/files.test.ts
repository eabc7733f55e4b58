/** IDX files, MNIST folders and texts: good ones and broken ones. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ProjError } from '@proj/kernel';
import { afterAll, describe, expect, it } from 'vitest';
import {
  CharacterVocabulary,
  DataLoader,
  loadIdx,
  MNIST,
  readIdx,
  readText,
  splitText,
  TextWindows,
} from '../src/index.ts';
import type { Tensor } from '@proj/tensor';

const folder = mkdtempSync(join(tmpdir(), 'proj-data-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);
const idx = (type: number, shape: number[], data: number[]): Buffer => {
  const sizes = Buffer.alloc(4 * shape.length);
  shape.forEach((size, i) => sizes.writeUInt32BE(size, 4 * i));
  return Buffer.concat([Buffer.from([0, 0, type, shape.length]), sizes, Buffer.from(data)]);
};

describe('IDX', () => {
  it('reads every element type, big-endian, compressed or not', () => {
    expect(loadIdx(idx(8, [2, 2], [1, 2, 3, 255])).toArray()).toEqual([
      [1, 2],
      [3, 255],
    ]);
    expect(loadIdx(gzipSync(idx(9, [2], [1, 255]))).toArray()).toEqual([1, -1]);
    expect(loadIdx(idx(0x0b, [2], [1, 0, 255, 254])).toArray()).toEqual([256, -2]);
    expect(loadIdx(idx(0x0c, [1], [0, 1, 0, 0])).toArray()).toEqual([65536]);
    expect(loadIdx(idx(0x0d, [1], [0x3f, 0xc0, 0, 0])).toArray()).toEqual([1.5]);
    const { dtype, data } = readIdx(idx(0x0e, [1], [0xc0, 4, 0, 0, 0, 0, 0, 0]));
    expect([dtype, [...data]]).toEqual(['float64', [-2.5]]);
  });

  const good = idx(8, [2, 3], [1, 2, 3, 4, 5, 6]);
  it.each<[string, Buffer, RegExp]>([
    [
      'a truncated body',
      good.subarray(0, 15),
      /bad\.idx: it ends at byte 15, but \[2, 3\] uint8 from byte 12 need 18.*truncated/,
    ],
    ['truncated sizes', good.subarray(0, 9), /ends at byte 9, inside the 2 sizes/],
    ['a truncated magic number', good.subarray(0, 2), /ends at byte 2/],
    ['bytes too many', Buffer.concat([good, Buffer.from([0])]), /1 bytes too many from byte 18/],
    ['another kind of file', Buffer.from('hello world'), /bytes 0 and 1 are 104 and 101/],
    ['an unknown element type', idx(0x55, [1], [1]), /byte 2 is the unknown element type 0x55.*0x08 \(uint8\)/],
    ['damaged gzip', gzipSync(good).subarray(0, 20), /gzip data of 20 bytes are damaged/],
  ])('refuses %s, naming file and offset', (_, bytes, message) => {
    writeFileSync(path('bad.idx'), bytes);
    let caught: unknown;
    try {
      readIdx(path('bad.idx'));
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(ProjError);
    expect(caught).toMatchObject({ code: 'data-loading', message: expect.stringMatching(message) as string });
  });
});

describe('MNIST folders', () => {
  it('are read with labels, normalised', () => {
    writeFileSync(path('t10k-images-idx3-ubyte'), idx(8, [2, 1, 2], [0, 255, 51, 0]));
    writeFileSync(path('t10k-labels-idx1-ubyte.gz'), gzipSync(idx(8, [2], [7, 3])));
    const test = new MNIST(folder, { train: false });
    const [images, labels] = test.batch([1, 0]);
    expect([images.shape, labels.dtype, labels.toArray()]).toEqual([[2, 1, 1, 2], 'int64', [3, 7]]);
    [(0.2 - 0.1307) / 0.3081, -0.1307 / 0.3081, -0.1307 / 0.3081, (1 - 0.1307) / 0.3081].forEach((wanted, i) =>
      expect(images.toFlatArray()[i]).toBeCloseTo(wanted, 5),
    );
    expect(test.at(0)[1]).toBe(7);
    expect(new MNIST(folder, { train: false, normalize: false }).at(1)[0].toArray()).toEqual([[[Math.fround(0.2), 0]]]);
  });

  it('say what is missing or does not fit', () => {
    expect(() => new MNIST(folder)).toThrow(/no train-images-idx3-ubyte .*--data or PROJ_DATA/);
    writeFileSync(path('train-images-idx3-ubyte'), idx(8, [2, 1, 2], [0, 255, 51, 0]));
    writeFileSync(path('train-labels-idx1-ubyte'), idx(8, [1], [7]));
    expect(() => new MNIST(folder)).toThrow(/train-labels-idx1-ubyte: 1 labels for 2 images/);
  });

  const data = process.env['PROJ_DATA'] ?? new URL('../../../../shared/data', import.meta.url).pathname;
  it.skipIf(!existsSync(`${data}/mnist`))('holds 60,000 and 10,000 digits, as published', () => {
    const train = new MNIST(data);
    const test = new MNIST(data, { train: false });
    expect([train.length, test.length, train.imageShape]).toEqual([60_000, 10_000, [1, 28, 28]]);
    const counts = new Array<number>(10).fill(0);
    for (const label of train.labels) counts[label]++;
    expect(counts).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    const [first] = new DataLoader<[Tensor, Tensor]>(test, { batchSize: 1000 });
    expect(first[0].shape).toEqual([1000, 1, 28, 28]);
  });
});

describe('text', () => {
  it('becomes ids and back, by code point', () => {
    const vocabulary = new CharacterVocabulary('hello 🙂');
    expect(vocabulary.characters).toEqual([' ', 'e', 'h', 'l', 'o', '🙂']);
    expect(vocabulary.decode(vocabulary.encode('hole 🙂'))).toBe('hole 🙂');
    expect(() => vocabulary.encode('x')).toThrow(/"x" is not in the vocabulary of 6/);
  });

  it('gives windows with the next characters as targets', () => {
    const windows = new TextWindows(Uint32Array.from([5, 6, 7, 8, 9]), 3);
    expect(windows.length).toBe(2);
    expect(windows.batch([1, 0]).map((t) => t.toArray())).toEqual([
      [
        [6, 7, 8],
        [5, 6, 7],
      ],
      [
        [7, 8, 9],
        [6, 7, 8],
      ],
    ]);
    expect(windows.at(-1).map((t) => t.toArray())).toEqual([
      [6, 7, 8],
      [7, 8, 9],
    ]);
    expect(() => new TextWindows(new Uint32Array(3), 3)).toThrow(/3 characters are too few/);
    const { train, validation } = splitText(Uint32Array.from({ length: 10 }, (_, i) => i));
    expect([train.length, [...validation]]).toEqual([9, [9]]);
  });

  it('files that are missing or not UTF-8 are named', () => {
    expect(() => readText(path('none.txt'))).toThrow(/none\.txt/);
    writeFileSync(path('latin.txt'), Buffer.from([0xff, 0xfe, 0x41]));
    expect(() => readText(path('latin.txt'))).toThrow(/latin\.txt is not UTF-8/);
    expect(readFileSync(path('latin.txt')).length).toBe(3);
  });
});
