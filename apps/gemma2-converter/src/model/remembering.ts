/** A decoder that keeps what it has read: a prompt that begins like the last one is read from where it differs. */
import type { Decoder } from '@proj/quant-jit/gemma2';
import type { StepModel } from '@proj/quant-jit/jit';

/** How many tokens two texts begin with alike. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

export class RememberingDecoder implements Decoder {
  readonly #sequence: StepModel;
  readonly #tokens: number[] = [];
  #begins = true;

  constructor(sequence: StepModel) {
    this.#sequence = sequence;
  }

  get maxLength(): number {
    return this.#sequence.maxLength;
  }

  reset(): void {
    this.#begins = true;
  }

  feed(ids: readonly number[]): Float32Array {
    // The last token is always read: its logits are wanted.
    const known = this.#begins ? Math.min(commonLength(this.#tokens, ids), ids.length - 1) : 0;
    if (this.#begins) {
      this.#sequence.rewind(known);
      this.#tokens.length = known;
      this.#begins = false;
    }
    const rest = ids.slice(known);
    const logits = rest.length === 1 ? this.#sequence.feedOne(rest[0]) : this.#sequence.feed(rest);
    this.#tokens.push(...rest);
    return logits;
  }
}
