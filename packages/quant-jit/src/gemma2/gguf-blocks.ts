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

/** Formats of 32 numbers in nibbles: 16 bytes, the first 16 numbers in their low halves. */
function nibbles(
  headBytes: number,
  number: (block: Uint8Array, at: number) => (nibble: number, index: number) => number,
): BlockFormat {
  return {
    elements: 32,
    bytes: headBytes + 16,
    decode(block, at, out, to) {
      const of = number(block, at);
      for (let i = 0; i < 16; i++) {
        const byte = block[at + headBytes + i];
        out[to + i] = of(byte & 15, i);
        out[to + 16 + i] = of(byte >> 4, i + 16);
      }
    },
  };
}

/** Bit `index` of the 32 that begin at `at`. */
const bitAt = (block: Uint8Array, at: number, index: number): number => (block[at + (index >> 3)] >> (index & 7)) & 1;

/** Scale and minimum of group `g` of Q4_K and Q5_K: six bits each, eight of both in 12 bytes; those of the last four groups are in two pieces. */
function scaleAndMinimum(block: Uint8Array, at: number, g: number): readonly [number, number] {
  if (g < 4) return [block[at + g] & 63, block[at + g + 4] & 63];
  const low = block[at + g + 4];
  return [(low & 15) | ((block[at + g - 4] >> 6) << 4), (low >> 4) | ((block[at + g] >> 6) << 4)];
}

/** Q4_K and Q5_K: 256 numbers in eight groups; two halves as scales of the groups' scales and minimums, these, then with `high` a fifth bit of each number, then nibbles. */
function eightGroups(high: boolean): BlockFormat {
  const heads = 16;
  const low = heads + (high ? 32 : 0);
  return {
    elements: 256,
    bytes: low + 128,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      const minimum = halfAt(block, at + 2);
      for (let g = 0; g < 8; g++) {
        const [factor, lowest] = scaleAndMinimum(block, at + 4, g);
        for (let i = 0; i < 32; i++) {
          const byte = block[at + low + 32 * (g >> 1) + i];
          const fifth = high ? (block[at + heads + i] >> g) & 1 : 0;
          const code = (g % 2 === 0 ? byte & 15 : byte >> 4) + 16 * fifth;
          out[to + 32 * g + i] = code * (scale * factor) - minimum * lowest;
        }
      }
    },
  };
}

/** Where number `n` of 256 has its two bits in 64 bytes (Q2_K, Q3_K): the halves of the block one after the other, in each 32 numbers to a field. */
const twoBits = (block: Uint8Array, at: number, n: number): number =>
  (block[at + 32 * (n >> 7) + (n & 31)] >> (2 * ((n >> 5) & 3))) & 3;

/** The 16 numbers that a nibble stands for in IQ4_NL and IQ4_XS. */
const CURVE = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const;

export const BLOCK_FORMATS: Record<BlockType, BlockFormat> = {
  /** A half as scale; nibbles less 8. */
  Q4_0: nibbles(2, (block, at) => {
    const scale = halfAt(block, at);
    return (nibble) => (nibble - 8) * scale;
  }),
  /** A half as scale and one as minimum; nibbles. */
  Q4_1: nibbles(4, (block, at) => {
    const [scale, minimum] = [halfAt(block, at), halfAt(block, at + 2)];
    return (nibble) => nibble * scale + minimum;
  }),
  /** A half as scale; 32 fifth bits; nibbles. Codes less 16. */
  Q5_0: nibbles(6, (block, at) => {
    const scale = halfAt(block, at);
    return (nibble, i) => (nibble + 16 * bitAt(block, at + 2, i) - 16) * scale;
  }),
  /** A half as scale and one as minimum; 32 fifth bits; nibbles. */
  Q5_1: nibbles(8, (block, at) => {
    const [scale, minimum] = [halfAt(block, at), halfAt(block, at + 2)];
    return (nibble, i) => (nibble + 16 * bitAt(block, at + 4, i)) * scale + minimum;
  }),
  /** A half as scale; 32 signed bytes. */
  Q8_0: {
    elements: 32,
    bytes: 34,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      for (let i = 0; i < 32; i++) out[to + i] = signed(block[at + 2 + i]) * scale;
    },
  },
  /** 256 numbers of two bits: 16 bytes, each scale and minimum of 16 numbers in four bits, the numbers, two halves as scales of these. */
  Q2_K: {
    elements: 256,
    bytes: 84,
    decode(block, at, out, to) {
      const scale = halfAt(block, at + 80);
      const minimum = halfAt(block, at + 82);
      for (let n = 0; n < 256; n++) {
        const both = block[at + (n >> 4)];
        out[to + n] = twoBits(block, at + 16, n) * (scale * (both & 15)) - minimum * (both >> 4);
      }
    },
  },
  /** 256 numbers of three bits less 4: 32 bytes with the high bits, 64 with the low two, 16 scales of six bits less 32 in 12 bytes, a half over all. */
  Q3_K: {
    elements: 256,
    bytes: 110,
    decode(block, at, out, to) {
      const scale = halfAt(block, at + 108);
      for (let n = 0; n < 256; n++) {
        const group = n >> 4;
        const low = block[at + 96 + (group & 7)];
        const top = (block[at + 104 + (group & 3)] >> (2 * (group >> 2))) & 3;
        const factor = ((group < 8 ? low & 15 : low >> 4) | (top << 4)) - 32;
        const third = (block[at + (n & 31)] >> (n >> 5)) & 1;
        out[to + n] = (twoBits(block, at + 32, n) + 4 * third - 4) * (scale * factor);
      }
    },
  },
  Q4_K: eightGroups(false),
  Q5_K: eightGroups(true),
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
  /** A half as scale; nibbles, numbers of {@link CURVE}. */
  IQ4_NL: nibbles(2, (block, at) => {
    const scale = halfAt(block, at);
    return (nibble) => CURVE[nibble] * scale;
  }),
  /** 256 numbers of {@link CURVE} in eight groups: a half over all, six bits less 32 as scale of each group (two in two bytes, four in four), nibbles. */
  IQ4_XS: {
    elements: 256,
    bytes: 136,
    decode(block, at, out, to) {
      const scale = halfAt(block, at);
      const high = block[at + 2] | (block[at + 3] << 8);
      for (let g = 0; g < 8; g++) {
        const low = (block[at + 4 + (g >> 1)] >> (4 * (g & 1))) & 15;
        const factor = scale * ((low | (((high >> (2 * g)) & 3) << 4)) - 32);
        for (let i = 0; i < 16; i++) {
          const byte = block[at + 8 + 16 * g + i];
          out[to + 32 * g + i] = CURVE[byte & 15] * factor;
          out[to + 32 * g + 16 + i] = CURVE[byte >> 4] * factor;
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
