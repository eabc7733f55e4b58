/** Files of tensors: round trips, files that NumPy wrote, and every way in which a file can be wrong. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProjError } from '@proj/kernel';
import { afterAll, describe, expect, it } from 'vitest';
import { type DType, fromArray, tensor, type Tensor, zeros } from '../src/index.ts';
import {
  load,
  loadNpy,
  loadNpz,
  loadSafetensors,
  npyBytes,
  npzBytes,
  openSafetensors,
  safetensorsBytes,
  save,
  saveBytes,
  saveNpy,
  saveSafetensors,
} from '../src/io/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'proj-io-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = (name: string): string => join(folder, name);
const numpy = JSON.parse(readFileSync(new URL('fixtures/numpy.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>;
const fromNumpy = (name: string): Uint8Array => new Uint8Array(Buffer.from(numpy[name], 'base64'));

/** A file with any header, true or not. */
function forged(header: unknown, dataBytes: number, claimed?: number): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claimed ?? text.length), true);
  bytes.set(text, 8);
  return bytes;
}
const entry = (begin: number, end: number, shape = [1], dtype = 'F32'): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
function problem(fn: () => unknown): ProjError {
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(ProjError);
    return error as ProjError;
  }
  throw new Error('nothing was thrown');
}

const ALL: readonly DType[] = [
  'float32',
  'float64',
  'float16',
  'bfloat16',
  'int64',
  'int32',
  'int16',
  'int8',
  'uint8',
  'bool',
];
const sample = (dtype: DType): Tensor =>
  fromArray(
    dtype === 'bool' ? [1, 0, 1, 1, 0, 0] : dtype === 'uint8' ? [0, 1, 2, 3, 254, 255] : [0, 1, -2, 3, -4, 5],
    [2, 3],
    dtype,
  );

describe('safetensors', () => {
  it('reads what it writes, in every dtype, from bytes and from a file', () => {
    const tensors = Object.fromEntries(ALL.map((dtype) => [`layer.${dtype}`, sample(dtype)]));
    tensors['empty'] = zeros([0, 3]);
    tensors['scalar'] = tensor(2.5);
    saveSafetensors(path('all.safetensors'), tensors, { metadata: { format: 'pt' } });
    for (const loaded of [loadSafetensors(path('all.safetensors')), loadSafetensors(safetensorsBytes(tensors))]) {
      expect(Object.keys(loaded)).toEqual(Object.keys(tensors));
      for (const [name, value] of Object.entries(tensors)) {
        expect([loaded[name].dtype, loaded[name].shape]).toEqual([value.dtype, value.shape]);
        expect(loaded[name].toTypedArray()).toEqual(value.toTypedArray());
      }
    }
    const file = openSafetensors(path('all.safetensors'));
    expect(file.metadata).toEqual({ format: 'pt' });
    file.close();
    file.close();
    expect(problem(() => file.get('scalar')).message).toMatch(/closed/);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('writes the layout of the specification', () => {
    const bytes = safetensorsBytes({ a: fromArray([1, 2], [2], 'float32') });
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))).toEqual({
      a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    });
    expect([...new Float32Array(bytes.slice(8 + length).buffer)]).toEqual([1, 2]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /0 bytes are too few/],
    ['a header longer than the file', forged('{}', 0, 500), /header claims 500 bytes, the file has 2/],
    ['an absurd header', forged('{}', 0, 2 ** 50), /a header of 1125899906842624 bytes/],
    ['bad JSON', forged('{"a": ', 0), /not JSON/],
    ['a list for a header', forged([1], 0), /not an object/],
    ['an unknown dtype', forged({ a: entry(0, 4, [1], 'F7') }, 4), /"a" has the unknown dtype "F7".*Known are/],
    ['a negative size', forged({ a: entry(0, 4, [-1]) }, 4), /"a" has the shape \[-1\]/],
    ['an offset past the end', forged({ a: entry(0, 400, [100]) }, 4), /claims bytes 0 … 400, the file has 4/],
    [
      'a size that lies',
      forged({ a: entry(0, 4, [1000]) }, 4),
      /float32\[1000\] needs 4000 bytes, its data_offsets give 4/,
    ],
    ['a size beyond 2^53', forged({ a: entry(0, 4, [2 ** 40, 2 ** 40]) }, 4), /needs .* bytes/],
    ['overlapping tensors', forged({ a: entry(0, 8, [2]), b: entry(4, 12, [2]) }, 12), /"b" overlaps/],
    ['a hole', forged({ a: entry(0, 4), b: entry(8, 12) }, 12), /bytes 4 … 8 of the data belong to no tensor/],
    ['data after the tensors', forged({ a: entry(0, 4) }, 12), /end at byte 4 of the data, the file has 12/],
    ['metadata that is not text', forged({ __metadata__: { a: 1 } }, 0), /__metadata__/],
  ])('refuses %s, naming file and cure', (_, bytes, message) => {
    writeFileSync(path('bad.safetensors'), bytes);
    const error = problem(() => loadSafetensors(path('bad.safetensors')));
    expect(error.code).toBe('serialization');
    expect(error.message).toMatch(message);
    expect(error.message).toContain('bad.safetensors');
    expect(error.cure).toBeTruthy();
  });

  it('every truncation of a good file is refused', () => {
    const bytes = safetensorsBytes({ a: sample('float32'), b: sample('int8') });
    for (let length = 0; length < bytes.length; length++)
      expect(() => loadSafetensors(bytes.subarray(0, length))).toThrow(ProjError);
  });

  it('names the tensors there are when one is asked for that is not', () => {
    expect(() => openSafetensors(safetensorsBytes({ weight: tensor([1]) })).get('bias')).toThrow(
      /no tensor "bias".*weight/,
    );
  });

  it('says which file is missing', () => {
    const error = problem(() => loadSafetensors(path('missing.safetensors')));
    expect([error.code, error.message]).toEqual(['io', expect.stringMatching(/missing\.safetensors.*Check the path/)]);
  });
});

describe('npy and npz', () => {
  it('reads what NumPy wrote: Fortran order, big-endian, bool, 0-dim, float16', () => {
    expect(loadNpy(fromNumpy('fortran')).toArray()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect(loadNpy(fromNumpy('big')).toArray()).toEqual([1, -2, 300]);
    expect(loadNpy(fromNumpy('boolean')).toArray()).toEqual([true, false]);
    const scalar = loadNpy(fromNumpy('scalar'));
    expect([scalar.dtype, scalar.shape, scalar.item()]).toEqual(['float64', [], 2.5]);
    expect(loadNpy(fromNumpy('half')).toFlatArray()).toEqual([0.0999755859375, 65504]);
  });

  it('writes what it reads back, with the data at a multiple of 64 bytes', () => {
    for (const dtype of ALL.filter((d) => d !== 'bfloat16')) {
      const value = sample(dtype);
      saveNpy(path('x.npy'), value);
      const bytes = readFileSync(path('x.npy'));
      expect((bytes.length - value.numel() * value.itemsize) % 64).toBe(0);
      expect(loadNpy(path('x.npy')).toTypedArray()).toEqual(value.toTypedArray());
    }
    expect(loadNpy(npyBytes(zeros([5]))).shape).toEqual([5]);
    expect(problem(() => npyBytes(sample('bfloat16'))).message).toMatch(/no bfloat16.*safetensors/);
  });

  it('reads a compressed npz of NumPy and writes its own', () => {
    const { a, b } = loadNpz(fromNumpy('npz'));
    expect(a.toArray()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    expect([b.dtype, b.toArray()]).toEqual(['float32', [1.5, -2]]);
    for (const compressed of [false, true])
      expect(loadNpz(npzBytes({ w: sample('int32') }, { compressed }))['w'].toArray()).toEqual([
        [0, 1, -2],
        [3, -4, 5],
      ]);
  });

  it.each<[string, () => unknown, RegExp]>([
    ['a text array', () => loadNpy(fromNumpy('text')), /dtype is '<U1'/],
    ['uint32', () => loadNpy(fromNumpy('uint32')), /dtype is '<u4'.*astype/],
    ['a wrong magic string', () => loadNpy(new Uint8Array(100)), /magic/],
    ['a truncated file', () => loadNpy(fromNumpy('big').slice(0, -1)), /needs 12 bytes, the file has 11/],
    ['a truncated header', () => loadNpy(fromNumpy('big').slice(0, 40)), /header claims/],
    ['a truncated archive', () => loadNpz(fromNumpy('npz').slice(0, 200)), /archive cannot be read/],
  ])('refuses %s', (_, fn, message) => {
    const error = problem(fn);
    expect(error.code).toBe('serialization');
    expect(error.message).toMatch(message);
  });
});

describe('nested states', () => {
  it('come back as they were', () => {
    const state = {
      model: { '0.weight': sample('float32') },
      optimizer: {
        state: { 0: { step: 3, exp_avg: sample('float64') } },
        groups: [{ lr: 0.1, betas: [0.9, 0.999], on: null }],
      },
      big: 2n ** 60n,
      bad: [NaN, -Infinity, -0],
      note: 'ü',
      $odd: { $tensor: 'x' },
      map: new Map([['k', 1]]),
    };
    save(state, path('state.safetensors'));
    for (const loaded of [load(path('state.safetensors')), load(saveBytes(state))] as (typeof state)[]) {
      expect(loaded.model['0.weight'].toArray()).toEqual(state.model['0.weight'].toArray());
      expect(loaded.optimizer.state[0].exp_avg.toTypedArray()).toEqual(state.optimizer.state[0].exp_avg.toTypedArray());
      expect({ ...loaded, model: 0, optimizer: loaded.optimizer.groups }).toEqual({
        ...state,
        model: 0,
        optimizer: state.optimizer.groups,
      });
    }
    expect(Object.keys(loadSafetensors(path('state.safetensors')))).toContain('model.0.weight');
  });

  it('a flipped bit is found by the checksum', () => {
    const bytes = saveBytes({ a: sample('float32') });
    bytes[bytes.length - 3] ^= 1;
    expect(problem(() => load(bytes)).message).toMatch(/checksum is \d+, it should be \d+.*older/);
  });

  it('refuses functions', () => {
    expect(problem(() => save({ f: (() => 1) as never }, path('f'))).message).toMatch(/a function at "f"/);
  });

  it('on a full disk the old file stays and the error says so', (context) => {
    if (!existsSync('/dev/full')) context.skip('there is no /dev/full here');
    const target = path('kept.safetensors');
    save({ a: tensor([1]) }, target);
    symlinkSync('/dev/full', `${target}.tmp`);
    const error = problem(() => save({ a: tensor([2]) }, target));
    expect([error.code, error.message]).toEqual([
      'io',
      expect.stringMatching(/kept\.safetensors.*ENOSPC.*Free some space/s),
    ]);
    expect((load(target) as { a: Tensor }).a.toArray()).toEqual([1]);
    expect(existsSync(`${target}.tmp`)).toBe(false);
  });

  it('follows symbolic links, and keeps the permissions of what it replaces', () => {
    mkdirSync(path('elsewhere'));
    symlinkSync(path('elsewhere'), path('folder'));
    symlinkSync('folder/real', path('link'));
    save({ a: 1 }, path('link'));
    chmodSync(path('elsewhere/real'), 0o600);
    save({ a: 2 }, path('link'));
    expect(lstatSync(path('link')).isSymbolicLink()).toBe(true);
    expect(load(path('elsewhere/real'))).toEqual({ a: 2 });
    expect(statSync(path('elsewhere/real')).mode & 0o777).toBe(0o600);
    expect(readdirSync(path('elsewhere'))).toEqual(['real']);
    symlinkSync('circle', path('circle'));
    expect(problem(() => save({ a: 1 }, path('circle'))).message).toMatch(/too many symbolic links/);
    expect(problem(() => save({ a: 1 }, '/dev/null')).message).toMatch(/no regular file/);
    expect(problem(() => save({ a: 1 }, folder)).message).toMatch(/no regular file/);
  });

  it('says so when the folder cannot be written', () => {
    expect(problem(() => save({ a: 1 }, path('no/such/folder/x'))).message).toMatch(/cannot write .*ENOENT/);
  });
});
