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

/** Gives indices from the largest logit on, the lower index first among equals: a heap, since few are asked for. */
function* descending(logits: Float32Array): Generator<number, void> {
  const heap = Uint32Array.from(logits, (_, i) => i);
  let size = heap.length;
  const before = (a: number, b: number): boolean => logits[a] > logits[b] || (logits[a] === logits[b] && a < b);
  const sink = (from: number): void => {
    const item = heap[from];
    let at = from;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], item)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = item;
  };
  for (let i = (size >> 1) - 1; i >= 0; i--) sink(i);
  while (size > 0) {
    yield heap[0];
    heap[0] = heap[--size];
    sink(0);
  }
}

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
  const weight = (i: number): number => {
    const w = Math.exp((scores[i] - scores[best]) / temperature);
    return w > 0 ? w : 0; // NaN is never chosen
  };
  if (topK === 0 && topP === 1) {
    let total = 0;
    for (let i = 0; i < scores.length; i++) total += weight(i);
    let left = uniform * total;
    for (let i = 0; i < scores.length; i++) if ((left -= weight(i)) < 0) return i;
    return best;
  }
  const limit = topK === 0 ? scores.length : Math.min(topK, scores.length);
  let total = 0;
  if (topK === 0) for (let i = 0; i < scores.length; i++) total += weight(i);
  const candidates: number[] = [];
  const weights: number[] = [];
  let kept = 0;
  for (const i of descending(scores)) {
    candidates.push(i);
    weights.push(weight(i));
    kept += weights[weights.length - 1];
    if (candidates.length === limit || (topK === 0 && kept >= topP * total)) break;
  }
  if (topK > 0 && topP < 1) {
    // The share is of what top-k left.
    const wanted = topP * kept;
    let count = 0;
    for (kept = 0; count < candidates.length && kept < wanted; count++) kept += weights[count];
    candidates.length = Math.max(1, count);
  }
  let left = uniform * kept;
  for (let n = 0; n < candidates.length; n++) if ((left -= weights[n]) < 0) return candidates[n];
  return candidates[candidates.length - 1];
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
