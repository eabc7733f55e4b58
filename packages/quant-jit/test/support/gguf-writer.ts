/** Writes small GGUF files (version 3): metadata, tensors as given bytes or quantised here by the formulas of ggml, rounding to the nearest. */
import { floatToBfloatBits, floatToHalfBits, halfBitsToFloat } from '@proj/kernel';

/** A value of the metadata. */
export type GgufValue = number | boolean | string | readonly string[] | Float32Array | Int32Array;
/** Types that can be written. */
export type WrittenType = 'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q8_0';

/** A tensor, its shape row by row. */
export interface WrittenTensor {
  readonly type: WrittenType;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

const TYPE_IDS: Record<WrittenType, number> = { F32: 0, F16: 1, BF16: 30, Q4_0: 2, Q8_0: 8 };

const littleEndian = (words: Uint16Array | Float32Array | BigUint64Array | Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
const u32 = (x: number): Uint8Array => littleEndian(Uint32Array.of(x));
const u64 = (x: number): Uint8Array => littleEndian(BigUint64Array.of(BigInt(x)));
const f32 = (x: number): Uint8Array => littleEndian(Float32Array.of(x));
const text = (s: string): Uint8Array[] => {
  const bytes = new TextEncoder().encode(s);
  return [u64(bytes.length), bytes];
};

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const blocks = (values: readonly number[], encode: (block: readonly number[]) => Uint8Array[]): Uint8Array =>
  concat(Array.from({ length: values.length / 32 }, (_, i) => encode(values.slice(32 * i, 32 * i + 32))).flat());

const half = (x: number): Uint8Array => littleEndian(Uint16Array.of(floatToHalfBits(x)));

const ENCODE: Record<WrittenType, (values: readonly number[]) => Uint8Array> = {
  F32: (values) => littleEndian(Float32Array.from(values)),
  F16: (values) => littleEndian(Uint16Array.from(values, floatToHalfBits)),
  BF16: (values) => littleEndian(Uint16Array.from(values, floatToBfloatBits)),
  Q8_0: (values) =>
    blocks(values, (block) => {
      const scale = halfBitsToFloat(floatToHalfBits(Math.max(...block.map(Math.abs)) / 127));
      return [half(scale), Uint8Array.from(block, (x) => (scale === 0 ? 0 : Math.round(x / scale)))];
    }),
  Q4_0: (values) =>
    blocks(values, (block) => {
      const extreme = block.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
      const scale = halfBitsToFloat(floatToHalfBits(extreme / -8));
      const nibble = (x: number): number => (scale === 0 ? 8 : Math.min(15, Math.max(0, Math.round(x / scale) + 8)));
      return [half(scale), Uint8Array.from({ length: 16 }, (_, i) => nibble(block[i]) | (nibble(block[i + 16]) << 4))];
    }),
};

function valueBytes(value: GgufValue): Uint8Array[] {
  if (typeof value === 'string') return [u32(8), ...text(value)];
  if (typeof value === 'boolean') return [u32(7), Uint8Array.of(Number(value))];
  if (typeof value === 'number') return Number.isInteger(value) ? [u32(4), u32(value)] : [u32(6), f32(value)];
  if (value instanceof Float32Array) return [u32(9), u32(6), u64(value.length), littleEndian(value)];
  if (value instanceof Int32Array) return [u32(9), u32(5), u64(value.length), littleEndian(new Uint32Array(value))];
  return [u32(9), u32(8), u64(value.length), ...value.flatMap(text)];
}

/** The bytes of a GGUF file. */
export function ggufBytes(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: Readonly<Record<string, WrittenTensor>>,
): Uint8Array {
  const align = (n: number): number => Math.ceil(n / 32) * 32;
  const data: Uint8Array[] = [];
  let offset = 0;
  const infos = Object.entries(tensors).flatMap(([name, { type, shape, values }]) => {
    const bytes = ENCODE[type](values);
    const info = [...text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(TYPE_IDS[type]), u64(offset)];
    data.push(bytes, new Uint8Array(align(bytes.length) - bytes.length));
    offset += align(bytes.length);
    return info;
  });
  const pairs = Object.entries(metadata).flatMap(([key, value]) => [...text(key), ...valueBytes(value)]);
  const head = concat([
    new TextEncoder().encode('GGUF'),
    u32(3),
    u64(Object.keys(tensors).length),
    u64(Object.keys(metadata).length),
    ...pairs,
    ...infos,
  ]);
  return concat([head, new Uint8Array(align(head.length) - head.length), ...data]);
}
