/** NumPy's npy format (versions 1 to 3): a magic string, a header that is a Python dict, then the elements. */
import { DTYPES, type DType, ProjError } from '@proj/kernel';
import { elementCount } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';
import { type LoadOptions, tensorBytes, tensorFromBytes } from './bytes.ts';
import { ITEM_BYTES } from './elements.ts';
import { describeSource, readAll, type Source, writeAtomically } from './files.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Kind and size as NumPy writes them; null: NumPy has no such type. */
const DESCRIPTIONS: Record<DType, string | null> = {
  float64: 'f8',
  float32: 'f4',
  float16: 'f2',
  bfloat16: null,
  int64: 'i8',
  int32: 'i4',
  int16: 'i2',
  int8: 'i1',
  uint8: 'u1',
  bool: 'b1',
  complex64: 'c8',
  complex128: 'c16',
};
const DTYPE_OF = new Map(
  Object.entries(DESCRIPTIONS).flatMap(([dtype, text]): [string, DType][] =>
    text === null ? [] : [[text, dtype as DType]],
  ),
);

const corrupt = (
  where: string,
  problem: string,
  cure = 'The file is damaged or not an npy file: fetch or write it again',
): ProjError => new ProjError('serialization', `${where}: ${problem}`, { op: 'npy', cure });

interface NpyHeader {
  readonly dtype: DType;
  readonly bigEndian: boolean;
  readonly fortran: boolean;
  readonly shape: number[];
  readonly dataStart: number;
}

function readHeader(bytes: Uint8Array, where: string): NpyHeader {
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte))
    throw corrupt(where, 'it does not begin with the magic string of npy');
  const version = bytes[6];
  if (version < 1 || version > 3) throw corrupt(where, `version ${version} of the format`, 'Versions 1 to 3 are known');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw corrupt(where, `it ends at byte ${bytes.length}, inside the header`);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataStart = start + length;
  if (dataStart > bytes.length)
    throw corrupt(where, `the header claims ${length} bytes, the file has ${bytes.length - start} after byte ${start}`);
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, dataStart));
  const descr = /'descr'\s*:\s*'([<>|=])([a-zA-Z]\d+)'/.exec(text);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text);
  const shape = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text);
  if (order === null || shape === null) throw corrupt(where, `the header is ${JSON.stringify(text.trim())}`);
  const dtype = descr === null ? undefined : DTYPE_OF.get(descr[2]);
  if (descr === null || dtype === undefined) {
    const given = /'descr'\s*:\s*('[^']*'|\[.*?\])/.exec(text)?.[1] ?? 'missing';
    throw corrupt(
      where,
      `the dtype is ${given}`,
      `Known are ${[...DTYPE_OF.keys()].join(', ')}: convert with astype in NumPy`,
    );
  }
  return {
    dtype,
    bigEndian: descr[1] === '>',
    fortran: order[1] === 'True',
    shape: shape[1]
      .split(',')
      .map((size) => size.replace('L', '').trim())
      .filter((size) => size !== '')
      .map(Number),
    dataStart,
  };
}

/** A tensor from npy bytes. `where` is how errors call them. */
export function parseNpy(bytes: Uint8Array, options: LoadOptions = {}, where = describeSource(bytes)): Tensor {
  const { dtype, bigEndian, fortran, shape, dataStart } = readHeader(bytes, where);
  const needed = elementCount(shape) * ITEM_BYTES[dtype];
  const present = bytes.length - dataStart;
  if (!Number.isSafeInteger(needed) || needed !== present)
    throw corrupt(
      where,
      `${dtype}[${shape.join(', ')}] needs ${needed} bytes, the file has ${present} after its header`,
      present < needed ? 'It is truncated: fetch or write it again' : undefined,
    );
  let data = bytes.slice(dataStart);
  if (bigEndian) data = swapped(data, DTYPES[dtype].category === 'complex' ? ITEM_BYTES[dtype] / 2 : ITEM_BYTES[dtype]);
  if (!fortran || shape.length < 2) return tensorFromBytes(data, dtype, shape, options);
  return tensorFromBytes(data, dtype, shape.toReversed(), options)
    .permute(shape.map((_, i) => shape.length - 1 - i))
    .clone();
}

function swapped(data: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  for (let at = 0; at < data.length; at += size) data.subarray(at, at + size).reverse();
  return data;
}

/** A tensor from a .npy file or its bytes. Errors: truncated or corrupt; a dtype that tensors do not have. */
export const loadNpy = (source: Source, options: LoadOptions = {}): Tensor =>
  parseNpy(readAll('loadNpy', source), options, describeSource(source));

/** A tensor as npy bytes (version 1). Errors: bfloat16, which NumPy does not have. */
export function npyBytes(tensor: Tensor): Uint8Array {
  const description = DESCRIPTIONS[tensor.dtype];
  if (description === null)
    throw new ProjError('serialization', `NumPy has no ${tensor.dtype}`, {
      op: 'npy',
      cure: "Convert with .to('float32') first, or save as safetensors",
    });
  const order = ITEM_BYTES[tensor.dtype] === 1 ? '|' : '<';
  const sizes = tensor.shape.length === 1 ? `${tensor.shape[0]},` : tensor.shape.join(', ');
  const dict = `{'descr': '${order}${description}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // The data begins at a multiple of 64 bytes.
  const text = `${dict.padEnd(Math.ceil((dict.length + 11) / 64) * 64 - 11)}\n`;
  const data = tensorBytes(tensor);
  const bytes = new Uint8Array(10 + text.length + data.length);
  bytes.set([...MAGIC, 1, 0, text.length & 255, text.length >> 8]);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes.set(data, 10 + text.length);
  return bytes;
}

/** Writes a .npy file, atomically. */
export const saveNpy = (path: string | URL, tensor: Tensor): void =>
  writeAtomically('saveNpy', path, [npyBytes(tensor)]);
