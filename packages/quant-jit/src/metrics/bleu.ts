/**
 * BLEU (Papineni, Roukos, Ward and Zhu 2002): the geometric mean of clipped n-gram precisions, times a penalty for brevity.
 *
 * - An n-gram of the candidate counts at most as often as it occurs in the one reference that has it most often.
 * - Over a corpus, matches and totals are summed over sentences before they are divided.
 * - The reference length is, for each sentence, that of the reference closest in length (the shorter one of two equally close).
 * - Orders for which the candidates have no n-gram at all (sentences shorter than n) are left out of the mean.
 * - Smoothing `add-one` adds 1 to matches and totals of the orders above 1 (Lin and Och 2004), so that a single sentence without a matching 4-gram is not 0.
 *   It applies only when a precision would be 0. `none` is the published definition.
 */
import { ProjError } from '@proj/kernel';

/** A tokenised sentence: words, or token ids. */
export type Sentence = readonly (string | number)[];

/** How precisions of 0 are treated. */
export type BleuSmoothing = 'none' | 'add-one';

/** Options of {@link corpusBleu} and {@link sentenceBleu}. */
export interface BleuOptions {
  /** Longest n-gram; 4 unless said otherwise. */
  readonly order?: number;
  /** `none` for a corpus, `add-one` for a sentence, unless said otherwise. */
  readonly smoothing?: BleuSmoothing;
}

/** BLEU and what it is made of. */
export interface Bleu {
  /** Between 0 and 1. */
  readonly bleu: number;
  /** For n = 1 … order, after smoothing; NaN where the candidates have no n-grams. */
  readonly precisions: readonly number[];
  /** Clipped matches and n-grams of the candidates, for n = 1 … order. */
  readonly matches: readonly number[];
  readonly totals: readonly number[];
  readonly brevityPenalty: number;
  readonly candidateLength: number;
  readonly referenceLength: number;
}

function ngrams(sentence: Sentence, n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= sentence.length; i++) {
    const key = JSON.stringify(sentence.slice(i, i + n));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function closestLength(candidate: Sentence, references: readonly Sentence[]): number {
  const distance = (length: number): number => Math.abs(length - candidate.length);
  return references
    .map(({ length }) => length)
    .reduce((best, length) =>
      distance(length) < distance(best) || (distance(length) === distance(best) && length < best) ? length : best,
    );
}

/** BLEU of a corpus: candidate i against the references at i. */
export function corpusBleu(
  candidates: readonly Sentence[],
  references: readonly (readonly Sentence[])[],
  { order = 4, smoothing = 'none' }: BleuOptions = {},
): Bleu {
  const op = 'corpusBleu';
  if (candidates.length !== references.length || candidates.length === 0)
    throw new ProjError('shape-mismatch', `${candidates.length} candidates and references for ${references.length}`, {
      op,
      cure: 'Give the references of each candidate, and one candidate at least',
    });
  if (!Number.isInteger(order) || order < 1) throw new ProjError('invalid-argument', `n-grams up to ${order}`, { op });
  const matches = Array.from({ length: order }, () => 0);
  const totals = Array.from({ length: order }, () => 0);
  let candidateLength = 0;
  let referenceLength = 0;
  candidates.forEach((candidate, sentence) => {
    const known = references[sentence];
    if (known.length === 0) throw new ProjError('invalid-argument', `candidate ${sentence} has no reference`, { op });
    candidateLength += candidate.length;
    referenceLength += closestLength(candidate, known);
    for (let n = 1; n <= order; n++) {
      const allowed = known.map((reference) => ngrams(reference, n));
      for (const [gram, count] of ngrams(candidate, n)) {
        totals[n - 1] += count;
        matches[n - 1] += Math.min(count, Math.max(...allowed.map((counts) => counts.get(gram) ?? 0)));
      }
    }
  });
  const smoothed = smoothing === 'add-one' && matches.some((m, i) => i > 0 && m === 0 && totals[i] > 0) ? 1 : 0;
  const precisions = matches.map((m, i) => {
    if (totals[i] === 0) return NaN;
    return i === 0 ? m / totals[i] : (m + smoothed) / (totals[i] + smoothed);
  });
  const used = precisions.filter((p) => !Number.isNaN(p));
  const brevityPenalty =
    candidateLength === 0 ? 0 : candidateLength > referenceLength ? 1 : Math.exp(1 - referenceLength / candidateLength);
  const mean = used.length === 0 ? 0 : Math.exp(used.reduce((sum, p) => sum + Math.log(p), 0) / used.length);
  return { bleu: brevityPenalty * mean, precisions, matches, totals, brevityPenalty, candidateLength, referenceLength };
}

/** BLEU of one sentence. */
export const sentenceBleu = (
  candidate: Sentence,
  references: readonly Sentence[],
  { smoothing = 'add-one', ...rest }: BleuOptions = {},
): Bleu => corpusBleu([candidate], [references], { smoothing, ...rest });
