/**
 * Writes GGUF files (version 3, little-endian): a header of typed metadata, a table of tensors, then their bytes. Layout after the format's
 * specification in ggml; blocks of the quantised types after `ggml-common.h`.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';

/** The tensor types that the bench writes. */
export type GgmlType = 'F32' | 'Q4_0' | 'Q8_0' | 'TQ2_0' | 'Q1_0';

/** What the format says of a type. */
export interface GgmlLayout {
  readonly id: number;
  /** Values in a block, and its bytes. */
  readonly values: number;
  readonly bytes: number;
  /** `general.file_type` of a model whose matrices are of this type. */
  readonly fileType: number;
}

export const GGML_TYPES: Record<GgmlType, GgmlLayout> = {
  F32: { id: 0, values: 1, bytes: 4, fileType: 0 },
  Q4_0: { id: 2, values: 32, bytes: 18, fileType: 2 },
  Q8_0: { id: 8, values: 32, bytes: 34, fileType: 7 },
  TQ2_0: { id: 35, values: 256, bytes: 66, fileType: 37 },
  Q1_0: { id: 41, values: 128, bytes: 18, fileType: 40 },
};

/** A metadata value with its type. */
export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly values: readonly string[] }
  | { readonly type: 'f32s' | 'i32s'; readonly values: readonly number[] };

/** A tensor; `dims` with the fastest first, `fill` writes whole blocks from block `first` on. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  readonly dims: readonly number[];
  readonly fill: (target: Uint8Array, first: number) => void;
}

const ALIGNMENT = 32;
const VERSION = 3;
const CHUNK_BYTES = 8 << 20;
const ARRAY = 9;
const VALUE_TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;

const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** Bytes of a tensor. */
export function tensorBytes({ type, dims }: Pick<GgufTensor, 'type' | 'dims'>): number {
  const { values, bytes } = GGML_TYPES[type];
  return (dims.reduce((a, b) => a * b, 1) / values) * bytes;
}

class Header {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length);
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }
  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }
  u64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }
  scalar(type: 'u32' | 'i32' | 'f32', value: number): void {
    const at = this.#reserve(4);
    if (type === 'f32') this.#view.setFloat32(at, value, true);
    else if (type === 'i32') this.#view.setInt32(at, value, true);
    else this.#view.setUint32(at, value, true);
  }
  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.raw(bytes);
  }

  value(value: GgufValue): void {
    switch (value.type) {
      case 'u32':
      case 'i32':
      case 'f32':
        this.u32(VALUE_TYPES[value.type]);
        return this.scalar(value.type, value.value);
      case 'bool':
        this.u32(VALUE_TYPES.bool);
        return this.raw(Uint8Array.of(value.value ? 1 : 0));
      case 'string':
        this.u32(VALUE_TYPES.string);
        return this.string(value.value);
      case 'strings':
        this.#array(VALUE_TYPES.string, value.values.length);
        for (const text of value.values) this.string(text);
        return;
      case 'f32s':
      case 'i32s': {
        const type = value.type === 'f32s' ? 'f32' : 'i32';
        this.#array(VALUE_TYPES[type], value.values.length);
        for (const number of value.values) this.scalar(type, number);
        return;
      }
      default:
        value satisfies never;
    }
  }

  #array(type: number, length: number): void {
    this.u32(ARRAY);
    this.u32(type);
    this.u64(length);
  }
}

/** The bytes before the tensors, padded to where the first one starts. Exported for its test. */
export function ggufHeader(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly Pick<GgufTensor, 'name' | 'type' | 'dims'>[],
): Uint8Array {
  const header = new Header();
  header.raw(new TextEncoder().encode('GGUF'));
  header.u32(VERSION);
  header.u64(tensors.length);
  header.u64(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    header.string(key);
    header.value(value);
  }
  let offset = 0;
  for (const tensor of tensors) {
    header.string(tensor.name);
    header.u32(tensor.dims.length);
    for (const size of tensor.dims) header.u64(size);
    header.u32(GGML_TYPES[tensor.type].id);
    header.u64(offset);
    offset += align(tensorBytes(tensor));
  }
  header.raw(new Uint8Array(align(header.bytes.length) - header.bytes.length));
  return header.bytes;
}

/** Writes a file, whole or not at all, and down to the disk, so that no write is left to disturb what is measured next. */
export function writeGguf(
  path: string,
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensor[],
): void {
  const part = `${path}.part`;
  const file = openSync(part, 'w');
  try {
    writeAll(file, ggufHeader(metadata, tensors));
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (const tensor of tensors) {
      const { bytes } = GGML_TYPES[tensor.type];
      const size = tensorBytes(tensor);
      const step = Math.floor(CHUNK_BYTES / bytes) * bytes;
      for (let at = 0; at < size; at += step) {
        const chunk = buffer.subarray(0, Math.min(step, size - at));
        tensor.fill(chunk, at / bytes);
        writeAll(file, chunk);
      }
      writeAll(file, new Uint8Array(align(size) - size));
    }
    fsyncSync(file);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  renameSync(part, path);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}
