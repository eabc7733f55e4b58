/** Text by characters: a vocabulary, and windows of a text with the next character as the target. */
import { ProjError } from '@proj/kernel';
import { fromArray, type Tensor } from '@proj/tensor';
import { readAll } from '@proj/tensor/io';
import type { Dataset } from './dataset.ts';

/** The characters of a text (by code point), numbered in their order. */
export class CharacterVocabulary {
  readonly characters: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  constructor(characters: Iterable<string>) {
    this.characters = [...new Set(characters)].toSorted((a, b) => (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0));
    this.#ids = new Map(this.characters.map((character, id) => [character, id]));
  }
  get size(): number {
    return this.characters.length;
  }
  /** Errors: a character that is not in the vocabulary. */
  encode(text: string): Uint32Array {
    return Uint32Array.from([...text], (character) => {
      const id = this.#ids.get(character);
      if (id === undefined)
        throw new ProjError(
          'data-loading',
          `the character ${JSON.stringify(character)} is not in the vocabulary of ${this.size}`,
          { op: 'CharacterVocabulary.encode', cure: 'Use characters of the training text' },
        );
      return id;
    });
  }
  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.characters[id] ?? '\uFFFD').join('');
  }
}

/** A UTF-8 file as text. Errors: missing; not UTF-8. */
export function readText(path: string | URL): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readAll('readText', path));
  } catch (error) {
    if (error instanceof ProjError) throw error;
    throw new ProjError('data-loading', `${String(path)} is not UTF-8`, {
      op: 'readText',
      cure: 'Convert it to UTF-8',
      cause: error,
    });
  }
}

/** Windows of `windowLength` ids: item i is `[ids[i …], ids[i+1 …]]`, batches are `[B, windowLength]` int64. Errors: fewer ids than a window needs. */
export class TextWindows implements Dataset<[Tensor, Tensor]> {
  readonly ids: Uint32Array;
  readonly windowLength: number;
  readonly length: number;

  constructor(ids: Uint32Array, windowLength: number) {
    if (!Number.isInteger(windowLength) || windowLength <= 0)
      throw new ProjError('invalid-argument', `windowLength is ${windowLength}`, {
        op: 'TextWindows',
        cure: 'It must be a positive integer',
      });
    if (ids.length <= windowLength)
      throw new ProjError(
        'data-loading',
        `${ids.length} characters are too few for windows of ${windowLength} and their targets`,
        { op: 'TextWindows', cure: 'Use a longer text or shorter windows' },
      );
    this.ids = ids;
    this.windowLength = windowLength;
    this.length = ids.length - windowLength;
  }

  #window(starts: ArrayLike<number>, shift: number, shape: readonly number[]): Tensor {
    const { windowLength } = this;
    const out = new Int32Array(starts.length * windowLength);
    for (let row = 0; row < starts.length; row++)
      out.set(this.ids.subarray(starts[row] + shift, starts[row] + shift + windowLength), row * windowLength);
    return fromArray(out, shape, 'int64');
  }

  at(index: number): [Tensor, Tensor] {
    const start = [index < 0 ? index + this.length : index];
    return [this.#window(start, 0, [this.windowLength]), this.#window(start, 1, [this.windowLength])];
  }
  batch(indices: ArrayLike<number>): [Tensor, Tensor] {
    const shape = [indices.length, this.windowLength];
    return [this.#window(indices, 0, shape), this.#window(indices, 1, shape)];
  }
}

/** The first `share` of the ids for training, the rest for validation. */
export function splitText(
  ids: Uint32Array,
  share = 0.9,
): { readonly train: Uint32Array; readonly validation: Uint32Array } {
  const cut = Math.floor(ids.length * share);
  return { train: ids.subarray(0, cut), validation: ids.subarray(cut) };
}
