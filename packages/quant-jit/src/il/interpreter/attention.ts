/**
 * Attention with its cache and rotary positions. The cache keeps the keys and values of every step: as floats, or as int8 with one f32 scale for each
 * position and head (scale = absmax / 127, codes rounded half to even); what is attended over is always what is in the cache.
 */
import { ProjError } from '@proj/kernel';
import { headParts, joinParts, POSITION_PARTS, shortened, sineAndCosine } from '../../arithmetic.ts';
import { quantizeInput } from '../../quantize/activations.ts';
import type { AttentionAttributes, CacheScheme } from '../il.ts';
import { SOFTCAP, softmaxWeights } from '../modes.ts';
import type { FloatValue } from './values.ts';

const { fround } = Math;

/** Rows as a cache keeps them: numbers, and what those of each head are multiplied with (floats: 1). */
interface CachedRows {
  readonly numbers: Float32Array;
  readonly scales: Float32Array;
}

/** Keys and values of one layer. */
export class LayerCache {
  #keys: CachedRows = { numbers: new Float32Array(0), scales: new Float32Array(0) };
  #values = this.#keys;
  #width = 1;
  #heads = 1;

  /** Positions that it holds. */
  get positions(): number {
    return this.#keys.numbers.length / this.#width;
  }

  append(keys: FloatValue, values: FloatValue, headDim: number, scheme: CacheScheme): void {
    this.#width = keys.columns;
    this.#heads = keys.columns / headDim;
    this.#keys = joined(this.#keys, cached(keys, headDim, scheme));
    this.#values = joined(this.#values, cached(values, headDim, scheme));
  }

  /** Forgets what comes after `positions`. */
  truncate(positions: number): void {
    const cut = ({ numbers, scales }: CachedRows): CachedRows => ({
      numbers: numbers.slice(0, positions * this.#width),
      scales: scales.slice(0, positions * this.#heads),
    });
    this.#keys = cut(this.#keys);
    this.#values = cut(this.#values);
  }

  get keys(): CachedRows {
    return this.#keys;
  }

  get values(): CachedRows {
    return this.#values;
  }
}

function joined(a: CachedRows, b: CachedRows): CachedRows {
  const join = (x: Float32Array, y: Float32Array): Float32Array => {
    const all = new Float32Array(x.length + y.length);
    all.set(x);
    all.set(y, x.length);
    return all;
  };
  return { numbers: join(a.numbers, b.numbers), scales: join(a.scales, b.scales) };
}

function cached({ data }: FloatValue, headDim: number, scheme: CacheScheme): CachedRows {
  const rows = data.length / headDim;
  switch (scheme) {
    case 'f32':
      return { numbers: data, scales: new Float32Array(rows).fill(1) };
    case 'q8': {
      const { codes, scales, paddedColumns } = quantizeInput(data, rows, headDim, 'a8');
      const at = (i: number): number => Math.floor(i / headDim) * paddedColumns + (i % headDim);
      return { numbers: Float32Array.from(data, (_, i) => codes[at(i)]), scales };
    }
    default:
      return scheme satisfies never;
  }
}

/**
 * Attention of the queries over the layer's cache, after the step's keys and values are in it. The queries are those of the last positions. Where the cache has
 * codes, queries and weights are shortened before they meet them, so that the products are exact.
 */
export function attend(q: FloatValue, cache: LayerCache, attributes: AttentionAttributes): FloatValue {
  const { heads, kv_heads: kvHeads, head_dim: dim, scale, cap, window, mode, cache: scheme } = attributes;
  const { keys, values, positions } = cache;
  const width = kvHeads * dim;
  const factorOf = scheme === 'q8' ? shortened : (x: number): number => x;
  const sums = new Float32Array(headParts(dim));
  const result = new Float32Array(q.rows * q.columns);
  for (let row = 0; row < q.rows; row++) {
    const position = positions - q.rows + row;
    const first = window === 0 ? 0 : Math.max(0, position - window + 1);
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor((head * kvHeads) / heads);
      const at = row * q.columns + head * dim;
      const query = q.data.slice(at, at + dim).map(factorOf);
      const scores = Float32Array.from({ length: position - first + 1 }, (_, i) => {
        const from = (first + i) * width + kvHead * dim;
        sums.fill(0);
        for (let c = 0; c < dim; c++) sums[c % sums.length] += fround(query[c] * keys.numbers[from + c]);
        const dot = fround(joinParts(sums) * keys.scales[(first + i) * kvHeads + kvHead]);
        const scaled = fround(dot * fround(scale));
        return cap === 0 ? scaled : SOFTCAP[mode](scaled, cap);
      });
      const { weights, factor } = softmaxWeights(scores, mode, POSITION_PARTS, first);
      const weighed = weights.map((x, i) => factorOf(fround(x * values.scales[(first + i) * kvHeads + kvHead])));
      for (let c = 0; c < dim; c++) {
        let sum = 0;
        for (let i = 0; i < weighed.length; i++)
          sum = fround(sum + fround(weighed[i] * values.numbers[(first + i) * width + kvHead * dim + c]));
        result[at + c] = fround(sum * factor);
      }
    }
  }
  return { ...q, data: result };
}

/** Angle that a position adds to pair `i` of a head, rounded to float32 step by step as the reference does. */
export function ropeFrequency(i: number, headDim: number, theta: number): number {
  return Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)));
}

/** Each row turned by its position; row 0 is at `first`. */
export function rotateRows(x: FloatValue, first: number, headDim: number, theta: number): FloatValue {
  const half = headDim / 2;
  const frequencies = Array.from({ length: half }, (_, i) => ropeFrequency(i, headDim, theta));
  const data = new Float32Array(x.data.length);
  for (let row = 0; row < x.rows; row++) {
    const turns = frequencies.map((frequency) => sineAndCosine(fround((first + row) * frequency)));
    for (let head = row * x.columns; head < (row + 1) * x.columns; head += headDim)
      turns.forEach(({ sin, cos }, i) => {
        const [low, high] = [x.data[head + i], x.data[head + half + i]];
        data[head + i] = fround(low * cos) - fround(high * sin);
        data[head + half + i] = fround(high * cos) + fround(low * sin);
      });
  }
  return { ...x, data };
}

/** @throws ProjError `index-out-of-range` when the step does not fit the context. */
export function checkContext(position: number, tokens: number, positions: number): void {
  if (positions > 0 && position + tokens > positions)
    throw new ProjError('index-out-of-range', `${tokens} tokens after ${position} do not fit ${positions} positions`, {
      op: 'interpret',
      cure: 'Shorten the prompt, or build the program with more positions',
    });
}
