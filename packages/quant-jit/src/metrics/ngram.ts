/**
 * The n-gram model that a converted model has to beat: interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999) with one discount for each
 * order, estimated as n1 / (n1 + 2 n2).
 *
 * A *context* is the run of tokens before the one predicted, kept in a trie from the newest token to the oldest. The longest contexts count how often a token
 * follows; a shorter one counts after how many different tokens to its left it does. The shortest of all falls back on equal probabilities.
 */
import { ProjError } from '@proj/kernel';

/** Options of {@link NgramModel}. */
export interface NgramOptions {
  /** Number of different tokens; ids are 0 … vocabulary - 1. */
  readonly vocabulary: number;
  /** Tokens of the longest n-gram, the predicted one included; 5 unless said otherwise. */
  readonly order?: number;
}

interface Context {
  /** By the token one further to the left. */
  readonly longer: Map<number, Context>;
  readonly counts: Map<number, number>;
  total: number;
}

const newContext = (): Context => ({ longer: new Map(), counts: new Map(), total: 0 });
/** Stands before the first token of a text. */
const START = -1;

/** An interpolated Kneser-Ney model over token ids. */
export class NgramModel {
  readonly vocabulary: number;
  readonly order: number;
  readonly #root: Context = newContext();
  #discounts: number[] | null = null;

  constructor({ vocabulary, order = 5 }: NgramOptions) {
    if (!Number.isSafeInteger(vocabulary) || vocabulary < 1 || !Number.isSafeInteger(order) || order < 1)
      throw new ProjError('invalid-argument', `${order}-grams over a vocabulary of ${vocabulary}`, {
        op: 'NgramModel',
      });
    this.vocabulary = vocabulary;
    this.order = order;
  }

  /** Counts the n-grams of a text. May be called for several texts. */
  train(ids: ArrayLike<number>): this {
    this.#discounts = null;
    const path: Context[] = [];
    for (let i = 0; i < ids.length; i++) {
      const token = this.#checked(ids[i]);
      let context = this.#root;
      path[0] = context;
      for (let k = 1; k < this.order; k++) {
        const left = i - k >= 0 ? ids[i - k] : START;
        let longer = context.longer.get(left);
        if (longer === undefined) context.longer.set(left, (longer = newContext()));
        context = path[k] = longer;
      }
      // A shorter context gains a count only when the longer one sees the token for the first time.
      for (let k = this.order - 1; k >= 0; k--) {
        const { counts } = path[k];
        const count = counts.get(token) ?? 0;
        counts.set(token, count + 1);
        path[k].total++;
        if (count > 0) break;
      }
    }
    return this;
  }

  #checked(token: number): number {
    if (!Number.isInteger(token) || token < 0 || token >= this.vocabulary)
      throw new ProjError('index-out-of-range', `${token} is no token of a vocabulary of ${this.vocabulary}`, {
        op: 'NgramModel',
      });
    return token;
  }

  /** One discount for each length of context. */
  #discountsNow(): number[] {
    if (this.#discounts !== null) return this.#discounts;
    const once = Array.from({ length: this.order }, () => 0);
    const twice = Array.from({ length: this.order }, () => 0);
    const visit = (context: Context, length: number): void => {
      for (const count of context.counts.values()) {
        if (count === 1) once[length]++;
        else if (count === 2) twice[length]++;
      }
      for (const longer of context.longer.values()) visit(longer, length + 1);
    };
    visit(this.#root, 0);
    return (this.#discounts = once.map((n, k) => (n === 0 ? 0.5 : Math.min(0.95, n / (n + 2 * twice[k])))));
  }

  /** Contexts of the token at `i` that were seen in training, from the shortest. */
  #contexts(ids: ArrayLike<number>, i: number): Context[] {
    const found = [this.#root];
    for (let k = 1; k < this.order; k++) {
      const longer = found[k - 1].longer.get(i - k >= 0 ? ids[i - k] : START);
      if (longer === undefined) break;
      found.push(longer);
    }
    return found;
  }

  #probabilityAt(contexts: readonly Context[], token: number): number {
    const discounts = this.#discountsNow();
    return contexts.reduce((shorter, { counts, total }, k) => {
      if (total === 0) return shorter;
      const count = counts.get(token) ?? 0;
      return (Math.max(0, count - discounts[k]) + discounts[k] * counts.size * shorter) / total;
    }, 1 / this.vocabulary);
  }

  /** p(token | context), the context being all of the text so far. */
  probability(context: ArrayLike<number>, token: number): number {
    return this.#probabilityAt(this.#contexts(context, context.length), this.#checked(token));
  }

  /** The most likely token after a text. */
  predict(context: ArrayLike<number>): number {
    return this.#predictAt(this.#contexts(context, context.length));
  }

  #predictAt(contexts: readonly Context[]): number {
    // A token that no context but the root has seen is at most as likely as the root's most frequent one.
    const candidates = new Set(contexts.slice(1).flatMap(({ counts }) => [...counts.keys()]));
    candidates.add(this.#mostFrequent());
    let best = 0;
    let most = -1;
    for (const token of candidates) {
      const p = this.#probabilityAt(contexts, token);
      if (p > most || (p === most && token < best)) [best, most] = [token, p];
    }
    return best;
  }

  #mostFrequent(): number {
    let best = 0;
    let most = 0;
    for (const [token, count] of this.#root.counts)
      if (count > most || (count === most && token < best)) [best, most] = [token, count];
    return best;
  }

  /** Perplexity and next-token accuracy on a text, from its token `from` on (those before are context only). */
  evaluate(ids: ArrayLike<number>, from = 0): { readonly perplexity: number; readonly accuracy: number } {
    if (ids.length <= from)
      throw new ProjError('invalid-argument', `no token after the first ${from} of ${ids.length}`, {
        op: 'NgramModel.evaluate',
      });
    let logs = 0;
    let right = 0;
    for (let i = from; i < ids.length; i++) {
      const contexts = this.#contexts(ids, i);
      logs += Math.log(this.#probabilityAt(contexts, this.#checked(ids[i])));
      if (this.#predictAt(contexts) === ids[i]) right++;
    }
    return { perplexity: Math.exp(-logs / (ids.length - from)), accuracy: right / (ids.length - from) };
  }
}
