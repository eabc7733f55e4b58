/**
 * Attention with its cache and rotary positions. The cache keeps the keys and values of every step: as floats, or as int8 with one f32 scale for each
 * position and head (scale = absmax / 127, codes rounded half to even); what is attended over is always what the cache gives back.
 */
import { ProjError } from '@proj/kernel';
import { dequantizeInput, quantizeInput } from '../../quantize/activations.ts';
import type { AttentionAttributes, CacheScheme } from '../il.ts';
import { SOFTCAP, softmaxRow } from '../modes.ts';
import { type FloatValue, floatsOf } from './values.ts';

/** Keys and values of one layer. */
export class LayerCache {
  #keys = new Float32Array(0);
  #values = new Float32Array(0);
  #width = 1;

  /** Positions that it holds. */
  get positions(): number {
    return this.#keys.length / this.#width;
  }

  append(keys: FloatValue, values: FloatValue, headDim: number, scheme: CacheScheme): void {
    this.#width = keys.columns;
    this.#keys = joined(this.#keys, cached(keys, headDim, scheme));
    this.#values = joined(this.#values, cached(values, headDim, scheme));
  }

  /** Forgets what comes after `positions`. */
  truncate(positions: number): void {
    this.#keys = this.#keys.slice(0, positions * this.#width);
    this.#values = this.#values.slice(0, positions * this.#width);
  }

  get keys(): Float32Array {
    return this.#keys;
  }

  get values(): Float32Array {
    return this.#values;
  }
}

function joined(a: Float32Array<ArrayBuffer>, b: Float32Array): Float32Array<ArrayBuffer> {
  const all = new Float32Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Rows as the cache gives them back. */
function cached({ data }: FloatValue, headDim: number, scheme: CacheScheme): Float32Array {
  switch (scheme) {
    case 'f32':
      return data;
    case 'q8':
      return dequantizeInput(quantizeInput(data, data.length / headDim, headDim, 'a8'));
    default:
      return scheme satisfies never;
  }
}

/** Attention of the queries over the layer's cache, after the step's keys and values are in it. The queries are those of the last positions. */
export function attend(q: FloatValue, cache: LayerCache, attributes: AttentionAttributes): FloatValue {
  const { heads, kv_heads: kvHeads, head_dim: dim, scale, cap, window, mode } = attributes;
  const { keys, values, positions } = cache;
  const width = kvHeads * dim;
  const result = new Float32Array(q.rows * q.columns);
  for (let row = 0; row < q.rows; row++) {
    const position = positions - q.rows + row;
    const first = window === 0 ? 0 : Math.max(0, position - window + 1);
    for (let head = 0; head < heads; head++) {
      const from = Math.floor((head * kvHeads) / heads) * dim;
      const at = row * q.columns + head * dim;
      const scores = Float32Array.from({ length: position - first + 1 }, (_, i) => {
        let dot = 0;
        for (let c = 0; c < dim; c++) dot += q.data[at + c] * keys[(first + i) * width + from + c];
        return cap === 0 ? dot * scale : SOFTCAP[mode](dot * scale, cap);
      });
      const shares = softmaxRow(scores, mode);
      for (let c = 0; c < dim; c++)
        result[at + c] = shares.reduce((sum, share, i) => sum + share * values[(first + i) * width + from + c], 0);
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
  return floatsOf(x.rows, x.columns, (row, column) => {
    const within = column % headDim;
    const angle = Math.fround((first + row) * frequencies[within % half]);
    const at = row * x.columns + column;
    const other = within < half ? -x.data[at + half] : x.data[at - half];
    return x.data[at] * Math.cos(angle) + other * Math.sin(angle);
  });
}

/** @throws ProjError `index-out-of-range` when the step does not fit the context. */
export function checkContext(position: number, tokens: number, positions: number): void {
  if (positions > 0 && position + tokens > positions)
    throw new ProjError('index-out-of-range', `${tokens} tokens after ${position} do not fit ${positions} positions`, {
      op: 'interpret',
      cure: 'Shorten the prompt, or build the program with more positions',
    });
}
