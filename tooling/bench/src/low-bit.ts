/** The models of the `decode` and `prompt` suites: the shape of Gemma 2 2B with a small vocabulary, in a few bits a weight. Weights are made up, never stored. */

/** Four, eight, 1.58 (three values) and one bit a weight; also the names of the cases. */
export const LOW_BIT_SCHEMES = ['q4', 'q8', 'q158', 'q1'] as const;
export type LowBitScheme = (typeof LOW_BIT_SCHEMES)[number];

/** The sizes that decide how much work a token is. */
export interface GemmaShape {
  readonly layers: number;
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headWidth: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly window: number;
}

/** Gemma 2 2B, but for a vocabulary of 32,000 instead of 256,000. */
export const GEMMA_2_2B: GemmaShape = {
  layers: 26,
  width: 2304,
  feedForward: 9216,
  heads: 8,
  keyValueHeads: 4,
  headWidth: 256,
  vocabulary: 32_000,
  context: 8192,
  window: 4096,
};

/** Rows and columns of the matrices of the `matvec` suite. */
export const MATVEC_SIZE = 4096;
