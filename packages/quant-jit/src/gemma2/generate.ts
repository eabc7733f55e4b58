/** Text from a model, token by token. What runs the model is behind {@link Decoder}, so the teacher and compiled models generate alike. */
import { ProjError } from '@proj/kernel';
import { Sampler, type SamplingOptions } from './sample.ts';
import type { GemmaTokenizer } from './tokenizer.ts';

/** A model that is fed tokens and remembers them. */
export interface Decoder {
  /** Tokens it can hold, where there is a limit. */
  readonly maxLength?: number;
  /** Forgets all tokens. */
  reset(): void;
  /** Takes more tokens (at least one) and gives the logits of the last; they may be overwritten by the next call. */
  feed(ids: readonly number[]): Float32Array | Promise<Float32Array>;
}

/** When to stop, and how tokens are chosen. */
export interface GenerateOptions extends SamplingOptions {
  /** Tokens to make at most (default 256). */
  readonly maxNewTokens?: number;
  /** Tokens that end the text; they are not given. */
  readonly stopIds?: Iterable<number>;
  readonly signal?: AbortSignal;
}

/** Why a text ended: a stop token, the limit of tokens or of the model, or the signal. */
export type FinishReason = 'stop' | 'length' | 'aborted';

/** Lets timers, sockets and signals have their turn. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const immediate = (): Promise<void> =>
  typeof setImmediate === 'function' ? new Promise((resolve) => setImmediate(resolve)) : turn();

/** The tokens that follow `prompt`, one by one; returns why they end. The decoder is reset first. */
export async function* generate(
  decoder: Decoder,
  prompt: readonly number[],
  { maxNewTokens = 256, stopIds = [], signal, ...sampling }: GenerateOptions = {},
): AsyncGenerator<number, FinishReason, void> {
  if (prompt.length === 0)
    throw new ProjError('invalid-argument', 'the prompt has no tokens', {
      op: 'generate',
      cure: 'Give at least one token, such as <bos>',
    });
  const limit = decoder.maxLength ?? Infinity;
  if (prompt.length > limit)
    throw new ProjError('invalid-argument', `a prompt of ${prompt.length} tokens; the model holds ${limit}`, {
      op: 'generate',
      cure: 'Shorten the prompt, or convert the model with a longer context',
    });
  const sampler = new Sampler(sampling);
  const stop = new Set(stopIds);
  const seen = sampling.repetitionPenalty === undefined || sampling.repetitionPenalty === 1 ? null : [...prompt];
  decoder.reset();
  let next: readonly number[] = prompt;
  let length = 0;
  for (let made = 0; ; made++) {
    if (signal?.aborted === true) return 'aborted';
    if (made >= maxNewTokens || length + next.length > limit) return 'length';
    const logits = await decoder.feed(next);
    length += next.length;
    const token = sampler.next(logits, seen ?? []);
    if (stop.has(token)) return 'stop';
    yield token;
    seen?.push(token);
    next = [token];
    await immediate();
  }
}

/** Text of tokens that come one by one. Bytes of a character are held back until it is whole. */
export class TextStream {
  readonly #tokenizer: GemmaTokenizer;
  readonly #skipSpecialTokens: boolean;
  /** Tokens whose text has not been given. */
  #waiting: number[] = [];

  constructor(tokenizer: GemmaTokenizer, { skipSpecialTokens = true }: { readonly skipSpecialTokens?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  /** The text that is certain now: often that of the token, nothing while a character is incomplete. */
  push(id: number): string {
    // Embedding tables are padded: a row without a token may be the likeliest, and has no text.
    if (this.#tokenizer.tokenOf(id) === null) return '';
    this.#waiting.push(id);
    return this.#incomplete() ? '' : this.end();
  }

  /** What is left; an incomplete character becomes U+FFFD. */
  end(): string {
    const ids = this.#waiting;
    this.#waiting = [];
    return this.#tokenizer.decode(ids, { skipSpecialTokens: this.#skipSpecialTokens });
  }

  /** Whether the last tokens are the first bytes of a UTF-8 character of which more must come. */
  #incomplete(): boolean {
    const ids = this.#waiting;
    for (let back = 1; back <= Math.min(3, ids.length); back++) {
      const byte = this.#tokenizer.byteOf(ids[ids.length - back]);
      if (byte === null) return false;
      if (byte >= 0xc2 && byte <= 0xf4) return (byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4) > back;
      if (byte < 0x80 || byte > 0xbf) return false;
    }
    return false;
  }
}

/** The text that follows a prompt, piece by piece; returns why it ends. */
export async function* generateText(
  decoder: Decoder,
  tokenizer: GemmaTokenizer,
  prompt: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<string, FinishReason, void> {
  const stream = new TextStream(tokenizer);
  const tokens = generate(decoder, prompt, options);
  for (;;) {
    const step = await tokens.next();
    const text = step.done === true ? stream.end() : stream.push(step.value);
    if (text !== '') yield text;
    if (step.done === true) return step.value;
  }
}
