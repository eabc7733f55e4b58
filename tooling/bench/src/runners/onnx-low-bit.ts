/**
 * ONNX Runtime's products with quantised matrices: a chain of `MatMulNBits` of 4 or 8 bits in blocks of 32 with accuracy level 4 (activations as
 * int8, its fastest way), each with a matrix of its own, so that every weight comes from memory.
 */
import type { MatvecSpec } from '../cases.ts';
import { uniform } from '../inputs.ts';
import { assemble, node } from './onnx-models.ts';
import type { OnnxCase, Weight } from './onnx-models.ts';

const BLOCK = 32;
const INT8_ACTIVATIONS = 4;
const BITS: Partial<Record<MatvecSpec['scheme'], 4 | 8>> = { q4: 4, q8: 8 };

/** The model of a case, or undefined where ONNX Runtime has no such matrices. */
export function matvecCase({
  scheme,
  size,
  copies,
}: MatvecSpec): (OnnxCase & { readonly weightBytes: number }) | undefined {
  const bits = BITS[scheme];
  if (bits === undefined) return undefined;
  const blocks = size / BLOCK;
  const codes = balancedCodes((size * size * bits) / 8, bits);
  // Codes are unsigned with their middle as zero. The scale keeps the vector's length through the chain.
  const spread = Math.sqrt(((2 ** bits - 1) ** 2 - 1) / 12);
  const scales = new Float32Array(size * blocks).fill(1 / (spread * Math.sqrt(size)));
  const attributes = { K: size, N: size, bits, block_size: BLOCK, accuracy_level: INT8_ACTIVATIONS };
  const nodes = Array.from({ length: copies }, (_, i) =>
    node(
      'MatMulNBits',
      [i === 0 ? 'x' : `y${i}`, `codes${i}`, `scales${i}`],
      i === copies - 1 ? 'y' : `y${i + 1}`,
      attributes,
      'com.microsoft',
    ),
  );
  const weights = Array.from({ length: copies }, (_, i): Weight[] => [
    // Each another matrix: equal ones are kept once.
    { name: `codes${i}`, dims: [size, blocks, (BLOCK * bits) / 8], data: codes.with(0, 16 + (i % 240)) },
    { name: `scales${i}`, dims: [size * blocks], data: scales },
  ]).flat();
  const input = { name: 'x', dims: [1, size], data: uniform(size, 1) };
  return {
    ...assemble(nodes, [input], { name: 'y', dims: [1, size] }, weights),
    weightBytes: codes.byteLength + scales.byteLength,
  };
}

/** Random codes without the lowest, which has no counterpart above the middle: with a mean, a chain of products would grow without bound. */
function balancedCodes(length: number, bits: 4 | 8): Uint8Array {
  const codes = 2 ** bits - 1;
  const [high, low] = [uniform(length, 2), uniform(length, 3)];
  const draw = (noise: number): number => 1 + Math.floor((noise + 0.5) * codes);
  return Uint8Array.from(high, (value, i) => (bits === 8 ? draw(value) : draw(value) * 16 + draw(low[i] ?? 0)));
}
