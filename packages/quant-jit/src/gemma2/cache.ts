/**
 * Keys and values of the tokens seen so far. Each layer has two tensors [B, keyValueHeads, capacity, headDim] that are written in place, so a step has the
 * same shapes at every position and its program is planned once. The capacity doubles when it is reached.
 */
import { noGrad } from '@proj/autograd';
import { type DType, ProjError } from '@proj/kernel';
import { arange, cat, evaluate, fromArray, indexCopy, type Tensor, zeros } from '@proj/tensor';
import type { Gemma2Config } from './config.ts';

/** Where a cache lives and how long it may grow. */
export interface CacheOptions {
  readonly batch?: number;
  readonly dtype?: DType;
  readonly device?: string | null;
  /** Tokens there is room for at first (default 64). */
  readonly capacity?: number;
}

/** The keys and values of one layer. */
export interface LayerCache {
  readonly keys: Tensor;
  readonly values: Tensor;
}

/** A key/value cache of all layers. */
export class KeyValueCache {
  readonly config: Gemma2Config;
  readonly batch: number;
  readonly dtype: DType;
  readonly device: string | null;
  /** Tokens in the cache. */
  length = 0;
  /** `length` as data, so that programs do not depend on it. */
  readonly position: Tensor;
  #layers: LayerCache[];

  constructor(config: Gemma2Config, { batch = 1, dtype = 'float32', device = null, capacity = 64 }: CacheOptions = {}) {
    this.config = config;
    this.batch = batch;
    this.dtype = dtype;
    this.device = device;
    this.position = fromArray([0], [1], 'int64', { device });
    const shape = [batch, config.numKeyValueHeads, capacity, config.headDim];
    this.#layers = config.layerTypes.map(() => ({
      keys: zeros(shape, { dtype, device }).realize(),
      values: zeros(shape, { dtype, device }).realize(),
    }));
  }

  /** Tokens there is room for. */
  get capacity(): number {
    return this.#layers[0].keys.shape[2];
  }

  layer(index: number): LayerCache {
    return this.#layers[index];
  }

  /** Makes room for `tokens` more; the tensors of the layers may be others afterwards. */
  reserve(tokens: number): void {
    const needed = this.length + tokens;
    if (needed <= this.capacity) return;
    let capacity = this.capacity;
    while (capacity < needed) capacity *= 2;
    const grow = (old: Tensor): Tensor => {
      const [batch, heads, rows, width] = old.shape;
      const more = zeros([batch, heads, capacity - rows, width], { dtype: this.dtype, device: this.device });
      return cat([old, more], 2).realize();
    };
    this.#layers = this.#layers.map(({ keys, values }) => ({ keys: grow(keys), values: grow(values) }));
  }

  /** Writes the keys and values [B, heads, T, headDim] of new tokens of layer `index`; gives those of all rows of the cache. */
  update(index: number, keys: Tensor, values: Tensor): LayerCache {
    const rows = arange(keys.shape[2], { device: this.device }).add(this.position);
    const layer = this.#layers[index];
    noGrad(() => {
      layer.keys.copy_(indexCopy(layer.keys, 2, rows, keys));
      layer.values.copy_(indexCopy(layer.values, 2, rows, values));
    });
    return layer;
  }

  /** Says that `tokens` were written: call it once all layers are updated. */
  advance(tokens: number): void {
    this.#moveTo(this.length + tokens);
  }

  /** Forgets all tokens from the `length`-th on. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length)
      throw new ProjError('invalid-argument', `${length} of ${this.length} tokens`, {
        op: 'KeyValueCache.truncate',
        cure: 'Keep between 0 and all tokens',
      });
    this.#moveTo(length);
  }

  #moveTo(length: number): void {
    // What was built on the old position reads it before it changes.
    evaluate([this.position, ...this.#layers.flatMap(({ keys, values }) => [keys, values])]);
    this.length = length;
    noGrad(() => this.position.fill_(length).realize());
  }
}
