/** The block formats of ggml (llama.cpp, `ggml-quants.c`): how many numbers a block has, in how many bytes, and what they are. */
import { type BlockType, halfAt } from './tensor-source.ts';

/** A block format. */
export interface BlockFormat {
  /** Numbers in a block. */
  readonly elements: number;
  readonly bytes: number;
  /** Writes the numbers of the block at `at` to `out`, from `to` on. */
  decode(block: Uint8Array, at: number, out: Float32Array, to: number): void;
}

/** The byte as a signed number. */
const signed = (byte: number): number => (byte << 24) >> 24;

export const BLOCK_FORMATS: Record<BlockType, BlockFormat> = {
  /** A half as scale; 32 nibbles less 8, the first 16 in the low halves of the bytes. */
  Q4_0: {
    elements: 32,
    bytes: 18,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      for (let i = 0; i < 16; i++) {
        const byte = block[at + 2 + i];
        out[to + i] = ((byte & 15) - 8) * scale;
        out[to + 16 + i] = ((byte >> 4) - 8) * scale;
      }
    },
  },
  /** A half as scale and one as minimum; 32 nibbles. */
  Q4_1: {
    elements: 32,
    bytes: 20,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      const minimum = halfAt(block, at + 2);
      for (let i = 0; i < 16; i++) {
        const byte = block[at + 4 + i];
        out[to + i] = (byte & 15) * scale + minimum;
        out[to + 16 + i] = (byte >> 4) * scale + minimum;
      }
    },
  },
  /** A half as scale; 32 signed bytes. */
  Q8_0: {
    elements: 32,
    bytes: 34,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      for (let i = 0; i < 32; i++) out[to + i] = signed(block[at + 2 + i]) * scale;
    },
  },
  /** 256 numbers of 6 bits less 32: 128 bytes with the low four bits, 64 with the high two, 16 signed scales of 16 numbers each, a half over all. */
  Q6_K: {
    elements: 256,
    bytes: 210,
    decode(block, at, out, to) {
      const scale = halfAt(block, at + 208);
      for (let half = 0; half < 2; half++) {
        const low = at + 64 * half;
        const high = at + 128 + 32 * half;
        const scales = at + 192 + 8 * half;
        const base = to + 128 * half;
        for (let quarter = 0; quarter < 4; quarter++)
          for (let i = 0; i < 32; i++) {
            const byte = block[low + (quarter & 1) * 32 + i];
            const nibble = quarter < 2 ? byte & 15 : byte >> 4;
            const top = (block[high + i] >> (2 * quarter)) & 3;
            const factor = signed(block[scales + 2 * quarter + (i >> 4)]);
            out[base + 32 * quarter + i] = (nibble + 16 * top - 32) * (scale * factor);
          }
      }
    },
  },
};

/** The numbers of whole blocks. */
export function decodeBlocks(type: BlockType, bytes: Uint8Array): Float32Array {
  const format = BLOCK_FORMATS[type];
  const blocks = bytes.length / format.bytes;
  const out = new Float32Array(blocks * format.elements);
  for (let i = 0; i < blocks; i++) format.decode(bytes, i * format.bytes, out, i * format.elements);
  return out;
}
