/** Random numbers for orders and samples: xoshiro128** (Blackman and Vigna 2018), its state filled by SplitMix32 from a seed and a stream. */
import { ProjError } from '@proj/kernel';
import { type Generator, randint } from '@proj/tensor';

const MAX_SEED = 2 ** 53;

/** A stream of random numbers: the same seed and stream give the same numbers everywhere. */
export class RandomStream {
  readonly #state = new Uint32Array(4);

  /** `stream` tells apart sequences of one seed: epochs, workers. */
  constructor(seed: number, stream = 0) {
    if (!Number.isInteger(seed) || seed < 0 || seed >= MAX_SEED)
      throw new ProjError('invalid-argument', `the seed is ${seed}`, {
        op: 'RandomStream',
        cure: 'Seeds are integers from 0 to 2^53 - 1',
      });
    let counter =
      (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32) + 1, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35);
    for (let i = 0; i < 4; i++) {
      counter = (counter + 0x9e3779b9) | 0;
      let z = counter;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.#state[i] = z ^ (z >>> 15);
    }
  }

  /** 32 random bits. */
  next(): number {
    const s = this.#state;
    const scrambled = Math.imul(s[1], 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result;
  }

  /** A number in [0, 1) with 53 random bits. */
  uniform(): number {
    return ((this.next() >>> 5) * 2 ** 26 + (this.next() >>> 6)) / 2 ** 53;
  }

  /** An integer in 0 … bound-1, each as likely as the other. */
  below(bound: number): number {
    if (bound > 2 ** 32) return Math.floor(this.uniform() * bound);
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const bits = this.next();
      if (bits < limit) return bits % bound;
    }
  }

  /** 0 … n-1 in random order (Fisher and Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    return order;
  }
}

/** How an order is made reproducible. */
export interface SeedOptions {
  /** The same seed gives the same order. */
  readonly seed?: number | null;
  /** Draws the seed when there is none (default: the generator that `manualSeed` seeds). */
  readonly generator?: Generator | null;
}

/** The seed that is given, or one from the generator. */
export const seedOf = ({ seed = null, generator = null }: SeedOptions): number =>
  seed ?? Number(randint(2 ** 31 - 1, [1], { generator }).item());
