/**
 * The teacher as a decoder: one captured program for each size of step. Prompts are padded on the right to a few sizes; the padding is overwritten by the
 * tokens that follow before any of them can see it.
 */
import { noGrad } from '@proj/autograd';
import { ProjError } from '@proj/kernel';
import { compile, fromArray, type Tensor } from '@proj/tensor';
import { KeyValueCache } from './cache.ts';
import type { Decoder } from './generate.ts';
import type { Gemma2ForCausalLM } from './model.ts';

/** Sizes of steps, the largest first. */
const STEPS = [256, 64, 16, 4, 1] as const;
/** The smallest step that takes `count` tokens, or the largest of all. */
const stepFor = (count: number): number => STEPS.findLast((size) => size >= count) ?? STEPS[0];

/** Options of {@link TeacherDecoder}. */
export interface TeacherDecoderOptions {
  /** Tokens there is room for at first (default 256). */
  readonly capacity?: number;
  /** Tokens it holds at most (default: the model's `maxPositionEmbeddings`). */
  readonly maxLength?: number;
}

/** Runs a model token by token, with a key/value cache. */
export class TeacherDecoder implements Decoder {
  readonly maxLength: number;
  readonly #model: Gemma2ForCausalLM;
  readonly #cache: KeyValueCache;
  #step: ((ids: Tensor, last: Tensor) => Tensor) | null = null;
  #stepCapacity = 0;

  constructor(model: Gemma2ForCausalLM, { capacity = 256, maxLength }: TeacherDecoderOptions = {}) {
    const { dtype, device } = model.model.embedTokens.weight;
    this.#model = model;
    this.maxLength = maxLength ?? model.config.maxPositionEmbeddings;
    this.#cache = new KeyValueCache(model.config, { dtype, device: device.name, capacity });
  }

  /** Tokens fed so far. */
  get length(): number {
    return this.#cache.length;
  }

  reset(): void {
    this.#cache.truncate(0);
  }

  feed(ids: readonly number[]): Float32Array {
    if (ids.length === 0 || this.length + ids.length > this.maxLength)
      throw new ProjError(
        'invalid-argument',
        `${ids.length} tokens after ${this.length}, of at most ${this.maxLength}`,
        {
          op: 'TeacherDecoder.feed',
          cure: 'Feed at least one token, and not more than there is room for',
        },
      );
    let logits: Tensor | null = null;
    for (let at = 0; at < ids.length;) {
      const size = stepFor(ids.length - at);
      const part = ids.slice(at, at + size);
      logits = this.#run(part, size);
      at += part.length;
    }
    const values = logits?.toTypedArray();
    return values instanceof Float32Array ? values : Float32Array.from(values ?? [], Number);
  }

  #run(part: readonly number[], size: number): Tensor {
    const cache = this.#cache;
    const { device } = cache;
    cache.reserve(size);
    if (this.#step === null || this.#stepCapacity !== cache.capacity) {
      this.#stepCapacity = cache.capacity;
      this.#step = compile((ids: Tensor, last: Tensor) =>
        noGrad(() => {
          const { lastHiddenState } = this.#model.model.call(ids, { cache });
          return this.#model.logitsOf(lastHiddenState.indexSelect(1, last)).reshape([-1]);
        }),
      );
    }
    const padded = Float64Array.from({ length: size }, (_, i) => part[i] ?? 0);
    const logits = this.#step(
      fromArray(padded, [1, size], 'int64', { device }),
      fromArray([part.length - 1], [1], 'int64', { device }),
    );
    cache.advance(part.length);
    return logits;
  }
}
