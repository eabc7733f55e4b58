/** Choosing the next token from logits: the largest, or at random by temperature, top-k and top-p (Holtzman et al. 2020), as transformers orders them. */
import { RandomStream } from '@proj/data';
import { ProjError } from '@proj/kernel';

/** How a token is chosen. */
export interface SamplingOptions {
  /** 0: always the most likely token (default 0). */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0: all (default). */
  readonly topK?: number;
  /** Only the most likely tokens that together reach this probability; 1: all (default). */
  readonly topP?: number;
  /** Above 1: tokens that are there already become less likely (Keskar et al. 2019). 1: no change (default). */
  readonly repetitionPenalty?: number;
  /** The same seed chooses the same tokens (default 0). */
  readonly seed?: number;
}

function check(options: Required<SamplingOptions>): void {
  const fail = (name: keyof SamplingOptions, cure: string): ProjError =>
    new ProjError('invalid-argument', `${name} is ${options[name]}`, { op: 'sample', cure });
  const { temperature, topK, topP, repetitionPenalty, seed } = options;
  if (!Number.isFinite(temperature) || temperature < 0) throw fail('temperature', 'Give 0 or a positive number');
  if (!Number.isInteger(topK) || topK < 0) throw fail('topK', 'Give 0 (all tokens) or a positive whole number');
  if (!(topP > 0 && topP <= 1)) throw fail('topP', 'Give a number above 0, up to 1');
  if (!Number.isFinite(repetitionPenalty) || repetitionPenalty <= 0)
    throw fail('repetitionPenalty', 'Give a positive number, 1 for no change');
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 53)
    throw fail('seed', 'Give a whole number from 0 to 2^53 - 1');
}

/** The index of the largest logit, the first among equals. Errors: no number is larger than any other (NaN). */
export function argmax(logits: Float32Array): number {
  let best = -1;
  let largest = -Infinity;
  for (let i = 0; i < logits.length; i++)
    if (logits[i] > largest) {
      largest = logits[i];
      best = i;
    }
  if (best < 0)
    throw new ProjError('invalid-argument', 'no logit is a number', {
      op: 'sample',
      cure: 'The model gave NaN: check its weights',
    });
  return best;
}

/** Divides the logits of tokens that are there already by the penalty, or multiplies those below zero. */
function penalise(logits: Float32Array, tokens: Iterable<number>, penalty: number): Float32Array {
  const result = logits.slice();
  for (const token of new Set(tokens))
    if (token < result.length) result[token] = result[token] > 0 ? result[token] / penalty : result[token] * penalty;
  return result;
}

/** Beyond this many, sorting everything is faster than inserting. */
const MAX_INSERTED = 2048;

/** The indices of the `count` largest scores, the largest first and the lower index first among equals. */
function largest(scores: Float32Array, count: number): number[] {
  if (count > MAX_INSERTED) return descending(scores, -Infinity).slice(0, count);
  const found: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    if (found.length === count && !(score > scores[found[count - 1]])) continue;
    let low = 0;
    for (let high = found.length; low < high;) {
      const middle = (low + high) >> 1;
      if (scores[found[middle]] >= score) low = middle + 1;
      else high = middle;
    }
    found.splice(low, 0, i);
    if (found.length > count) found.pop();
  }
  return found;
}

/** The indices of the scores of at least `least`, in the order of {@link largest}. */
function descending(scores: Float32Array, least: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < scores.length; i++) if (scores[i] >= least) found.push(i);
  return found.sort((a, b) => scores[b] - scores[a] || a - b);
}

/** Below e^-40 of the largest, a weight is less than what a sum is rounded by. */
const NEGLIGIBLE = -40;

/**
 * The token that `uniform`, a number in [0, 1), chooses; it decides nothing where the temperature is 0. `previous` are the tokens that a repetition penalty
 * looks at. The logits are not changed.
 */
export function sampleToken(
  logits: Float32Array,
  uniform: number,
  { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, seed = 0 }: SamplingOptions = {},
  previous: Iterable<number> = [],
): number {
  check({ temperature, topK, topP, repetitionPenalty, seed });
  const scores = repetitionPenalty === 1 ? logits : penalise(logits, previous, repetitionPenalty);
  const best = argmax(scores);
  if (temperature === 0 || topK === 1 || scores[best] === Infinity) return best;
  const top = scores[best];
  const weight = (i: number): number => {
    const exponent = (scores[i] - top) / temperature;
    return exponent > NEGLIGIBLE ? Math.exp(exponent) : 0; // NaN is never chosen
  };
  const sum = (candidates: readonly number[]): number => candidates.reduce((total, i) => total + weight(i), 0);
  /** The candidate that `uniform` falls on. */
  const choose = (candidates: readonly number[]): number => {
    let left = uniform * sum(candidates);
    return candidates.find((i) => (left -= weight(i)) < 0) ?? candidates[candidates.length - 1];
  };
  /** The first candidates that reach a share of `total`. */
  const shareOf = (candidates: readonly number[], total: number): number[] => {
    let kept = 0;
    const end = candidates.findIndex((i) => (kept += weight(i)) >= topP * total);
    return candidates.slice(0, end < 0 ? candidates.length : end + 1);
  };
  if (topK > 0 && topK < scores.length) {
    const candidates = largest(scores, topK);
    // The share is of what top-k left.
    return choose(topP === 1 ? candidates : shareOf(candidates, sum(candidates)));
  }
  let total = 0;
  for (let i = 0; i < scores.length; i++) total += weight(i);
  if (topP === 1) {
    let left = uniform * total;
    for (let i = 0; i < scores.length; i++) if ((left -= weight(i)) < 0) return i;
    return best;
  }
  // Few tokens make up most of the probability: only those near the largest are sorted, farther ones if these do not suffice.
  for (const reach of [4, 8, -NEGLIGIBLE]) {
    const candidates = descending(scores, top - reach * temperature);
    if (reach === -NEGLIGIBLE || sum(candidates) >= topP * total) return choose(shareOf(candidates, total));
  }
  return best;
}

/** Chooses one token after the other with random numbers from the seed. */
export class Sampler {
  readonly options: SamplingOptions;
  readonly #random: RandomStream;

  constructor(options: SamplingOptions = {}) {
    const { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
    check({ temperature, topK, topP, repetitionPenalty, seed });
    this.options = options;
    this.#random = new RandomStream(seed);
  }

  /** The next token. Each call takes one random number, also where it decides nothing. */
  next(logits: Float32Array, previous: Iterable<number> = []): number {
    return sampleToken(logits, this.#random.uniform(), this.options, previous);
  }
}
