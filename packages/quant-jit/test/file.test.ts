/** The file of a converted model: what is written is read, what is damaged is refused, what is interrupted goes on. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { ProjError } from '@proj/kernel';
import { openSafetensors } from '@proj/tensor/io';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  createModelFile,
  type ModelFilePlan,
  openModelFile,
  readModelHeader,
  readTextAttachment,
  readAttachment,
} from '../src/file/index.ts';
import { packedBytes, SCHEMES, unpackMatrix } from '../src/quantize/index.ts';
import { smallBytes, smallPlan, smallTensors } from './support/small-plan.ts';

const root = mkdtempSync(join(tmpdir(), 'model-file-'));
const child = fileURLToPath(new URL('./support/write-slowly.ts', import.meta.url));
let folder = '';
let whole = '';

async function writeModel(path: string, order = smallTensors): Promise<void> {
  const writer = await createModelFile(path, smallPlan);
  for (const tensor of order) await writer.write(tensor.name, smallBytes(tensor));
  await writer.finish();
}

beforeAll(async () => {
  process.env['PROJ_CACHE_DIR'] = join(root, 'cache');
  whole = join(root, 'whole.model');
  await writeModel(whole);
});
beforeEach(() => {
  folder = mkdtempSync(join(root, 'case-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('a written file', () => {
  it('says what is in it and where, with every part on its boundary', async () => {
    const file = await openModelFile(whole, { verify: 'always' });
    expect(file.config).toEqual(smallPlan.config);
    expect(file.il).toBe(smallPlan.il);
    expect(file.metadata['note']).toBe('small');
    expect(file.dataStart % 64).toBe(0);
    expect(file.bytes).toBe(statSync(whole).size);
    const bytes = readFileSync(whole);
    expect([...file.tensors.keys()]).toEqual(smallTensors.map(({ name }) => name));
    for (const tensor of smallTensors) {
      const record = file.tensors.get(tensor.name);
      if (record === undefined) throw new Error(tensor.name);
      expect(record.offset % 64).toBe(0);
      expect(record.scheme).toBe(SCHEMES[tensor.scheme]);
      expect([record.rows, record.columns]).toEqual([tensor.rows, tensor.columns]);
      expect(record.bytes).toBe(packedBytes(tensor.scheme, tensor.rows, tensor.columns));
      const blob = new Uint8Array(bytes.subarray(record.offset, record.offset + record.bytes));
      expect(blob).toEqual(smallBytes(tensor));
      expect(crc32(blob)).toBe(record.crc32);
      expect(unpackMatrix(blob, tensor.scheme, tensor.rows, tensor.columns).rows).toBe(tensor.rows);
    }
    expect(JSON.parse(readTextAttachment(file, 'tokenizer.json'))).toEqual({ vocabulary: ['a', 'ß', '日'] });
    expect(readTextAttachment(file, 'chat.jinja')).toBe('');
    expect([...readAttachment(file, 'raw')]).toEqual([1, 2, 3]);
    expect(() => readAttachment(file, 'none')).toThrow(/no "none".*tokenizer\.json, chat\.jinja, raw/);
  });
  it('is a safetensors file to others', () => {
    const file = openSafetensors(whole);
    const tensor = smallTensors[3];
    expect(file.bytes(tensor.name)).toEqual(smallBytes(tensor));
    expect(file.metadata['format']).toBe('proj-quant-jit');
    file.close();
  });
  it('is the same whatever the order of writing', async () => {
    const path = join(folder, 'reversed');
    await writeModel(path, smallTensors.toReversed());
    expect(readFileSync(path).equals(readFileSync(whole))).toBe(true);
    expect(readdirSync(folder)).toEqual(['reversed']);
  });
  it('stands where a symbolic link leads', async () => {
    mkdirSync(join(folder, 'disk'));
    symlinkSync(join('disk', 'real'), join(folder, 'link'));
    for (let i = 0; i < 2; i++) await writeModel(join(folder, 'link'));
    expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, 'disk', 'real')).equals(readFileSync(whole))).toBe(true);
    expect(readdirSync(join(folder, 'disk'))).toEqual(['real']);
  });
  it('has the sha256 of its header with zeros in its place', () => {
    const bytes = readFileSync(whole);
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0)));
    const { sha256 } = readModelHeader(whole);
    const zeroed = header.toString('utf8').replace(sha256, '0'.repeat(64));
    expect(createHash('sha256').update(zeroed).digest('hex')).toBe(sha256);
  });
});

/** What JSON.parse gives, to be changed at will. */
type Json = ReturnType<typeof JSON.parse>;

/** The header of a copy of the whole file, changed, with its sha256 put right. */
function withHeader(change: (header: Json) => void, rehash = true): string {
  const bytes = readFileSync(whole);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  change(header);
  header.__metadata__.sha256 = '0'.repeat(64);
  let text = JSON.stringify(header);
  text += ' '.repeat(63 - ((Buffer.byteLength(text) + 7) % 64));
  if (rehash) text = text.replace('0'.repeat(64), createHash('sha256').update(text).digest('hex'));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const path = join(folder, 'changed');
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(text), bytes.subarray(8 + length)]));
  return path;
}
const inList =
  (list: 'tensors' | 'attachments', change: (entries: Json) => void) =>
  (header: Json): void => {
    const entries = JSON.parse(header.__metadata__[list]);
    change(entries);
    header.__metadata__[list] = JSON.stringify(entries);
  };
const first = smallTensors[1].name;

describe('refused, with what and where', () => {
  it.each<[string, (header: Json) => void, RegExp]>([
    ['plain safetensors', (h) => delete h.__metadata__.format, /not a converted model/],
    ['no metadata', (h) => (h.__metadata__ = { sha256: '' }), /not a converted model/],
    ['another version', (h) => (h.__metadata__.version = '1'), /version 1, this program reads version 2/],
    ['no program', (h) => delete h.__metadata__.il, /no "il"/],
    ['metadata that is no string', (h) => (h.__metadata__.config = 3), /"config" is no string/],
    ['a configuration that is no JSON', (h) => (h.__metadata__.config = '{'), /configuration is not JSON/],
    ['an unknown scheme', inList('tensors', (t) => (t[first].scheme = 'q3')), /unknown scheme "q3"/],
    ['an inherited name as scheme', inList('tensors', (t) => (t[first].scheme = 'constructor')), /unknown scheme/],
    ['another shape', inList('tensors', (t) => (t[first].rows = 400)), /takes \d+ bytes, its blob has/],
    ['an enormous shape', inList('tensors', (t) => (t[first].rows = 2 ** 52)), /takes .* bytes, its blob has/],
    ['a negative shape', inList('tensors', (t) => (t[first].columns = -300)), /rows of -300 columns/],
    ['a checksum that is none', inList('tensors', (t) => (t[first].crc32 = 'zz')), /checksum "zz"/],
    ['a tensor without a blob', inList('tensors', (t) => (t.ghost = t[first])), /blob "ghost" is missing/],
    [
      'a blob without a tensor',
      inList('tensors', (t) => delete t[first]),
      /nothing is known about the blob "layers\.1\.weight"/,
    ],
    [
      'an attachment of another length',
      inList('attachments', (t) => (t.raw.bytes = 65)),
      /attachment "raw" of 65 bytes/,
    ],
    [
      'overlapping blobs',
      (h) => {
        h[first].data_offsets[0] -= 64;
        h[first].shape[0] += 64;
      },
      /overlaps the blob before it/,
    ],
    [
      'a hole',
      (h) => {
        h[first].data_offsets[0] += 64;
        h[first].shape[0] -= 64;
      },
      /belong to nothing/,
    ],
    ['beyond the end', (h) => (h[first].data_offsets[1] = 2 ** 40), /it is truncated/],
    ['offsets that are none', (h) => (h[first].data_offsets = [0.5, 'x']), /has the offsets/],
    ['another dtype', (h) => (h[first].dtype = 'F32'), /not u8 in whole lines/],
    ['an entry that is none', (h) => (h[first] = null), /has the offsets undefined/],
  ])('%s', async (_name, change, message) => {
    const path = withHeader(change);
    await expect(openModelFile(path)).rejects.toThrow(message);
    await expect(openModelFile(path)).rejects.toThrow(path);
    await expect(openModelFile(path)).rejects.toBeInstanceOf(ProjError);
  });
  it('a header that was changed after its sha256', () => {
    const bytes = readFileSync(whole);
    const at = bytes.indexOf('"rows');
    bytes[bytes.indexOf('4', at)] = 0x35;
    const path = join(folder, 'changed');
    writeFileSync(path, bytes);
    expect(() => readModelHeader(path)).toThrow(/does not match its sha256.*damaged/);
  });
  it('truncated anywhere', async () => {
    const bytes = readFileSync(whole);
    const path = join(folder, 'cut');
    for (const length of [0, 7, 8, 100, 4095, 4096, 12_288, bytes.length - 64, bytes.length - 1]) {
      writeFileSync(path, bytes.subarray(0, length));
      expect(() => readModelHeader(path)).toThrow(/truncated|no converted model/);
    }
    writeFileSync(path, Buffer.concat([bytes, Buffer.alloc(64)]));
    expect(() => readModelHeader(path)).toThrow(/the blobs end at byte/);
  });
  it('other files', () => {
    const path = join(folder, 'other');
    const write = (content: string | Buffer): string => (writeFileSync(path, content), path);
    expect(() => readModelHeader(write('GGUF\x03\0\0\0\0\0\0\0'))).toThrow(/GGUF file.*converted first/);
    expect(() => readModelHeader(write(Buffer.alloc(64, 0xff)))).toThrow(/header of 18446744073709551615 bytes/);
    expect(() =>
      readModelHeader(write(Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(90, 0xfe)]))),
    ).toThrow(/not text/);
    expect(() =>
      readModelHeader(write(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('[]')]))),
    ).toThrow(/not an object/);
    expect(() =>
      readModelHeader(write(Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{x')]))),
    ).toThrow(/not JSON/);
    expect(() => readModelHeader(join(folder, 'none'))).toThrow(/cannot read .*none.*Check the path/);
    expect(() => readModelHeader(folder)).toThrow(/not of a folder/);
  });
});

describe('damaged weights', () => {
  it('are found by their checksum, with the name of the tensor', async () => {
    const path = join(folder, 'flipped');
    const bytes = readFileSync(whole);
    const record = readModelHeader(whole).tensors.get(smallTensors[7].name);
    bytes[(record?.offset ?? 0) + 1234] ^= 4;
    writeFileSync(path, bytes);
    await expect(openModelFile(path)).rejects.toThrow(/tensor "layers\.7\.weight" does not match its checksum/);
    await expect(openModelFile(path, { verify: 'header' })).resolves.toMatchObject({ path });
    // A failed check leaves no stamp.
    await expect(openModelFile(path)).rejects.toThrow(/checksum/);
  });
  it('a file is read in full once; again when it changes, or when asked', async () => {
    const path = join(folder, 'copy');
    copyFileSync(whole, path);
    const reads = async (verify: 'auto' | 'always' | 'header'): Promise<number> => {
      let done = 0;
      await openModelFile(path, {
        verify,
        onProgress: ({ doneBytes, totalBytes }) => (
          (done = doneBytes),
          expect(doneBytes).toBeLessThanOrEqual(totalBytes)
        ),
      });
      return done;
    };
    const data = statSync(path).size - readModelHeader(path).dataStart;
    expect(await reads('header')).toBe(0);
    expect(await reads('auto')).toBe(data);
    expect(await reads('auto')).toBe(0);
    expect(await reads('always')).toBe(data);
    utimesSync(path, new Date(), new Date(Date.now() + 5000));
    expect(await reads('auto')).toBe(data);
    process.env['PROJ_CACHE'] = 'off';
    expect(await reads('auto')).toBe(data);
    delete process.env['PROJ_CACHE'];
  });
  it('a file that was just written is known', async () => {
    const path = join(folder, 'fresh');
    await writeModel(path);
    let read = 0;
    await openModelFile(path, { onProgress: ({ doneBytes }) => (read = doneBytes) });
    expect(read).toBe(0);
  });
});

describe('a conversion that is interrupted', () => {
  const run = (path: string, killAfterLines: number, delay = 0): Promise<string[]> =>
    new Promise((resolve) => {
      const lines: string[] = [];
      const running = spawn(process.execPath, ['--conditions=source', child, path, '3'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      running.stdout.setEncoding('utf8').on('data', (text: string) => {
        lines.push(...text.trim().split('\n'));
        if (lines.length >= killAfterLines) setTimeout(() => running.kill('SIGKILL'), delay);
      });
      running.on('close', () => resolve(lines));
    });
  it('by SIGKILL at any moment goes on, never leaves a file that loads, and ends with the same bytes', async () => {
    const path = join(folder, 'killed');
    let had = 0;
    for (const [lines, delay] of [
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 4],
    ]) {
      const output = await run(path, lines, delay);
      expect(existsSync(path)).toBe(false);
      expect(() => readModelHeader(`${path}.partial`)).toThrow(/not finished/);
      const before = Number(output[0].replace('had ', ''));
      expect(before).toBeGreaterThanOrEqual(had);
      had = before + output.length - 1;
    }
    const output = await run(path, Infinity);
    expect(output[0]).not.toBe('had 0');
    expect(output.at(-1)).toBe('finished');
    expect(readFileSync(path).equals(readFileSync(whole))).toBe(true);
    expect(readdirSync(folder)).toEqual(['killed']);
  });
  it('writes again what does not match the journal', async () => {
    const path = join(folder, 'torn');
    const writer = await createModelFile(path, smallPlan);
    for (const tensor of smallTensors.slice(0, 5)) await writer.write(tensor.name, smallBytes(tensor));
    await writer.close();
    await expect(writer.write(smallTensors[6].name, smallBytes(smallTensors[6]))).rejects.toThrow(/closed/);
    const partial = readFileSync(`${path}.partial`);
    partial[(readModelHeader(whole).tensors.get(smallTensors[2].name)?.offset ?? 0) + 5] ^= 1;
    writeFileSync(`${path}.partial`, partial);
    const again = await createModelFile(path, smallPlan);
    expect(again.pending).toEqual([smallTensors[2].name, ...smallTensors.slice(5).map(({ name }) => name)]);
    await expect(again.finish()).rejects.toThrow(/8 tensors are not written: layers\.2\.weight/);
    for (const name of again.pending)
      await again.write(name, smallBytes(smallTensors.find((t) => t.name === name) ?? smallTensors[0]));
    await again.finish();
    expect(readFileSync(path).equals(readFileSync(whole))).toBe(true);
  });
  it.each<[string, ModelFilePlan]>([
    ['another source', { ...smallPlan, source: 'fingerprint 2' }],
    ['another program', { ...smallPlan, il: 'x' }],
    ['another tokenizer', { ...smallPlan, attachments: { ...smallPlan.attachments, raw: new Uint8Array([1, 2, 4]) } }],
    ['another scheme', { ...smallPlan, tensors: smallTensors.map((t, i) => (i === 4 ? { ...t, scheme: 'q8' } : t)) }],
  ])('begins anew with %s', async (_name, plan) => {
    const path = join(folder, 'anew');
    const writer = await createModelFile(path, smallPlan);
    await writer.write(smallTensors[0].name, smallBytes(smallTensors[0]));
    await writer.close();
    const other = await createModelFile(path, plan);
    expect(other.pending.length).toBe(smallTensors.length);
    await other.discard();
    expect(readdirSync(folder)).toEqual([]);
  });
  it('begins anew when the journal is torn, or when asked', async () => {
    const path = join(folder, 'anew');
    for (const journal of ['', '{"plan":', 'null', '{}']) {
      const writer = await createModelFile(path, smallPlan);
      await writer.write(smallTensors[0].name, smallBytes(smallTensors[0]));
      await writer.close();
      writeFileSync(`${path}.partial.json`, journal);
      const other = await createModelFile(path, smallPlan);
      expect(other.pending.length).toBe(smallTensors.length);
      await other.close();
    }
    const writer = await createModelFile(path, smallPlan);
    await writer.write(smallTensors[0].name, smallBytes(smallTensors[0]));
    await writer.close();
    const other = await createModelFile(path, smallPlan, { resume: false });
    expect(other.pending.length).toBe(smallTensors.length);
    await other.close();
  });
  it('leaves the file that was there before until the new one is whole', async () => {
    const path = join(folder, 'old');
    writeFileSync(path, 'old');
    const writer = await createModelFile(path, smallPlan);
    await expect(createModelFile(path, smallPlan)).rejects.toThrow(/being written already/);
    for (const tensor of smallTensors) await writer.write(tensor.name, smallBytes(tensor));
    expect(readFileSync(path, 'utf8')).toBe('old');
    await writer.finish();
    expect(readFileSync(path).equals(readFileSync(whole))).toBe(true);
  });
  it('does not give its name to what another process put in its place', async () => {
    const path = join(folder, 'two');
    const writer = await createModelFile(path, smallPlan);
    for (const tensor of smallTensors) await writer.write(tensor.name, smallBytes(tensor));
    rmSync(`${path}.partial`);
    writeFileSync(`${path}.partial`, 'another');
    await expect(writer.finish()).rejects.toThrow(/replaced by another conversion/);
    expect(existsSync(path)).toBe(false);
    await writer.close();
  });
});

describe('a disk that does not take it', () => {
  it('too little space is noticed before anything is written', async () => {
    const plan: ModelFilePlan = {
      ...smallPlan,
      tensors: [{ name: 'w', scheme: 'q8', rows: 2 ** 24, columns: 2 ** 26 }],
    };
    await expect(createModelFile(join(folder, 'huge'), plan)).rejects.toThrow(
      /needs 1\.1\d PB, .* free.*Free some space/,
    );
    expect(readdirSync(folder)).toEqual([]);
  });
  it('a limit that is met while writing is an error with a cure, and what is written counts later', async () => {
    const path = join(folder, 'limited');
    const blocks = Math.ceil((readModelHeader(whole).dataStart + 60_000) / 1024);
    const limited = spawnSync(
      'bash',
      [
        '-c',
        `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$@"`,
        process.execPath,
        '--conditions=source',
        child,
        path,
        '0',
      ],
      { encoding: 'utf8' },
    );
    expect(limited.status).not.toBe(0);
    expect(limited.stderr).toMatch(/ProjError.*cannot write .*limited.*(EFBIG|file too large)/s);
    expect(existsSync(path)).toBe(false);
  });
  it('folders that are missing or cannot be written', async () => {
    await expect(createModelFile(join(folder, 'none', 'file'), smallPlan)).rejects.toThrow(
      /cannot write .*its folder must exist/,
    );
    const locked = join(folder, 'locked');
    mkdirSync(locked);
    chmodSync(locked, 0o500);
    if (process.getuid?.() !== 0)
      await expect(createModelFile(join(locked, 'file'), smallPlan)).rejects.toThrow(/Check the permissions/);
    chmodSync(locked, 0o700);
  });
});

describe('a plan that contradicts itself', () => {
  it.each<[Partial<ModelFilePlan>, RegExp]>([
    [{ tensors: [smallTensors[0], smallTensors[0]] }, /cannot be the name of a tensor, or not of two/],
    [{ tensors: [{ ...smallTensors[0], name: '__metadata__' }] }, /cannot be the name/],
    [{ tensors: [{ ...smallTensors[0], rows: 0 }] }, /0 rows/],
    [{ metadata: { il: 'x' } }, /"il" is taken/],
  ])('%o', async (part, message) => {
    await expect(createModelFile(join(folder, 'bad'), { ...smallPlan, ...part })).rejects.toThrow(message);
  });
  it('bytes of another size, and names that are not planned', async () => {
    const writer = await createModelFile(join(folder, 'sizes'), smallPlan);
    await expect(writer.write('nobody', new Uint8Array(64))).rejects.toThrow(/no tensor "nobody"/);
    await expect(writer.write(smallTensors[0].name, new Uint8Array(64))).rejects.toThrow(/64 bytes, \d+ were planned/);
    await writer.discard();
  });
});
