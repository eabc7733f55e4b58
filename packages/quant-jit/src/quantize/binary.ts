/** Signs as bits, and their products: `Σ a_i b_i = n - 2 · popcount(a xor b)` (XNOR-Net, Rastegari et al. 2016). The oracle of the binary kernels. */
import { ProjError } from '@proj/kernel';
import { quantizeInput } from './activations.ts';

/** Words of 32 signs each: bit `8i + s` of word w is column `32w + 4s + i`, 1 for ≥ 0; bits beyond the end are 0. */
export const signWords = (values: Float32Array): Int32Array => quantizeInput(values, 1, values.length, 'a1').words;

/** Ones in a 32-bit word. */
function popcount(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The dot product of `n` signs and `n` signs, in words of {@link signWords}. */
export function xnorDot(a: Int32Array, b: Int32Array, n: number): number {
  const words = Math.ceil(n / 32);
  if (a.length < words || b.length < words)
    throw new ProjError('shape-mismatch', `${n} signs take ${words} words, not ${Math.min(a.length, b.length)}`, {
      op: 'xnorDot',
    });
  let differing = 0;
  for (let w = 0; w < words; w++) differing += popcount(a[w] ^ b[w]);
  return n - 2 * differing;
}

/** `y[r] = weightScales[r] · inputScale · Σ sign(w) sign(x)` for the rows of `weights`, `[rows][words]` of {@link signWords}. */
export function xnorPopcountForward(
  input: Float32Array,
  weights: Int32Array,
  weightScales: Float32Array,
): Float32Array {
  const { words, scales } = quantizeInput(input, 1, input.length, 'a1');
  if (weights.length !== weightScales.length * words.length)
    throw new ProjError(
      'shape-mismatch',
      `${weightScales.length} rows of ${words.length} words are not ${weights.length} words`,
      {
        op: 'xnorPopcountForward',
      },
    );
  return weightScales.map(
    (scale, r) =>
      scale * scales[0] * xnorDot(weights.subarray(r * words.length, (r + 1) * words.length), words, input.length),
  );
}
