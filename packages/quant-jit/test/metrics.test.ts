/** Metrics against hand-worked cases and the published examples of BLEU. */
import { describe, expect, it } from 'vitest';
import {
  corpusBleu,
  crossEntropy,
  klDivergence,
  meanSquaredError,
  nextTokenAccuracy,
  NgramModel,
  perplexity,
  relativeMeanSquaredError,
  sentenceBleu,
  topOneAgreement,
} from '../src/metrics/index.ts';
import { gaussian } from './gaussian.ts';

const words = (text: string): string[] => text.toLowerCase().split(' ');

describe('BLEU', () => {
  // The examples of Papineni et al. 2002, sections 2.1 and 2.2.
  const references = [
    'It is a guide to action that ensures that the military will forever heed Party commands',
    'It is the guiding principle which guarantees the military forces always being under the command of the Party',
    'It is the practical guide for the army always to heed the directions of the party',
  ].map(words);
  it('clips: "the the the the the the the" has a unigram precision of 2 / 7', () => {
    const { matches, totals } = sentenceBleu(words('the the the the the the the'), [
      words('The cat is on the mat'),
      words('There is a cat on the mat'),
    ]);
    expect([matches[0], totals[0]]).toEqual([2, 7]);
    expect([matches[1], totals[1]]).toEqual([0, 6]);
  });
  it('candidate 1 has 17 / 18 unigrams and 10 / 17 bigrams, candidate 2 has 8 / 14 and 1 / 13', () => {
    const first = sentenceBleu(
      words('It is a guide to action which ensures that the military always obeys the commands of the party'),
      references,
    );
    expect(first.matches.slice(0, 2)).toEqual([17, 10]);
    expect(first.totals.slice(0, 2)).toEqual([18, 17]);
    const second = sentenceBleu(
      words('It is to insure the troops forever hearing the activity guidebook that party direct'),
      references,
    );
    expect(second.matches.slice(0, 2)).toEqual([8, 1]);
    expect(second.totals.slice(0, 2)).toEqual([14, 13]);
    // The value that NLTK documents for candidate 1, without smoothing: 0.5045666840058485.
    expect(
      sentenceBleu(
        words('It is a guide to action which ensures that the military always obeys the commands of the party'),
        references,
        {
          smoothing: 'none',
        },
      ).bleu,
    ).toBeCloseTo(0.5045666840058485, 12);
  });
  it('brevity: exp(1 - r / c), with the closest reference', () => {
    const { brevityPenalty, referenceLength, bleu, precisions } = sentenceBleu(
      ['a', 'b', 'c', 'd'],
      [
        ['a', 'b', 'c', 'd', 'e'],
        ['x', 'y', 'z', 'a', 'b', 'c', 'd', 'e', 'f'],
      ],
    );
    expect(referenceLength).toBe(5);
    expect(brevityPenalty).toBeCloseTo(Math.exp(-0.25), 12);
    expect(precisions).toEqual([1, 1, 1, 1]);
    expect(bleu).toBeCloseTo(Math.exp(-0.25), 12);
    // Of two references equally close the shorter one counts: 3 and 5 for 4.
    expect(
      sentenceBleu(
        [1, 2, 3, 4],
        [
          [1, 2, 3, 4, 5],
          [1, 2, 3],
        ],
      ).referenceLength,
    ).toBe(3);
  });
  it('by hand: 3/4 · 1/3 · add-one', () => {
    // a b x d against a b c d: unigrams 3/4, bigrams 1/3, no trigrams (2), no 4-grams (1).
    const plain = sentenceBleu(['a', 'b', 'x', 'd'], [['a', 'b', 'c', 'd']], { smoothing: 'none' });
    expect(plain.bleu).toBe(0);
    expect(plain.precisions).toEqual([3 / 4, 1 / 3, 0, 0]);
    const smoothed = sentenceBleu(['a', 'b', 'x', 'd'], [['a', 'b', 'c', 'd']]);
    expect(smoothed.precisions).toEqual([3 / 4, 2 / 4, 1 / 3, 1 / 2]);
    expect(smoothed.bleu).toBeCloseTo((3 / 4 / 2 / 3 / 2) ** 0.25, 12);
  });
  it('of a corpus sums before it divides', () => {
    const { matches, totals, bleu } = corpusBleu(
      [
        ['a', 'b', 'c'],
        ['x', 'y', 'q', 'r', 's'],
      ],
      [[['a', 'b', 'c']], [['x', 'y', 'z', 'r', 's']]],
      { order: 2 },
    );
    expect(matches).toEqual([7, 4]);
    expect(totals).toEqual([8, 6]);
    expect(bleu).toBeCloseTo(Math.sqrt((7 / 8) * (4 / 6)), 12);
  });
  it('of anything against itself is 1, of nothing in common 0', () => {
    for (const length of [1, 2, 3, 4, 50]) {
      const text = Array.from({ length }, (_, i) => (i * 7) % 11);
      expect(sentenceBleu(text, [text]).bleu).toBe(1);
      expect(corpusBleu([text, text], [[text], [text]]).bleu).toBe(1);
    }
    expect(sentenceBleu([1, 2, 3, 4, 5], [[6, 7, 8, 9, 10]]).bleu).toBe(0);
    expect(sentenceBleu([], [[6, 7]]).bleu).toBe(0);
  });
  it('tells 1 from "1", and wants references', () => {
    expect(sentenceBleu(['1', '2'], [[1, 2]]).matches[0]).toBe(0);
    expect(() => corpusBleu([[1]], [])).toThrow(/1 candidates/);
    expect(() => corpusBleu([[1]], [[]])).toThrow(/candidate 0 has no reference/);
  });
});

describe('errors', () => {
  it('mean squared, and relative to the squares', () => {
    expect(meanSquaredError([1, 2, 5], [1, 4, 4])).toBeCloseTo(5 / 3, 12);
    expect(relativeMeanSquaredError([1, 2, 5], [1, 4, 4])).toBeCloseTo(5 / 33, 12);
    expect(relativeMeanSquaredError([0, 0], [0, 0])).toBe(0);
    expect(relativeMeanSquaredError([0, 1], [0, 0])).toBe(Infinity);
    expect(() => meanSquaredError([1], [1, 2])).toThrow(/1 values against 2/);
  });
});

describe('logits', () => {
  const logOf = (...p: number[]): number[] => p.map(Math.log);
  it('klDivergence by hand, and 0 for logits that differ by a constant', () => {
    const teacher = [...logOf(0.5, 0.5), ...logOf(0.9, 0.1)];
    const student = [...logOf(0.25, 0.75), ...logOf(0.9, 0.1).map((x) => x + 40)];
    expect(klDivergence(teacher, student, 2)).toBeCloseTo((0.5 * Math.log(2) + 0.5 * Math.log(2 / 3)) / 2, 12);
    expect(klDivergence([-Infinity, 0], [0, 0], 2)).toBeCloseTo(Math.log(2), 12);
  });
  it('perplexity of equal logits is the vocabulary; agreement and accuracy count', () => {
    expect(perplexity(new Float32Array(30), [1, 5, 9], 10)).toBeCloseTo(10, 10);
    expect(crossEntropy([1000, 0, 0, 1000], [0, 0], 2)).toBeCloseTo(500, 9);
    expect(topOneAgreement([1, 2, 3, 1], [0, 9, 1, 2], 2)).toBe(0.5);
    expect(nextTokenAccuracy([1, 2, 3, 1], [1, 1], 2)).toBe(0.5);
    expect(() => crossEntropy([1, 2], [2], 2)).toThrow(/target 2 of position 0/);
    expect(() => klDivergence([1, 2], [1, 2, 3, 4], 2)).toThrow(/4 logits against 2/);
    expect(() => perplexity([1, 2, 3], [0], 2)).toThrow(/not positions of 2/);
  });
});

describe('NgramModel', () => {
  it('bigrams by hand', () => {
    // Text a b a c a b: bigrams ^a 1, ab 2, ba 1, ac 1, ca 1. Discount: n1 = 4, n2 = 1: 4 / 6.
    const model = new NgramModel({ vocabulary: 3, order: 2 }).train([0, 1, 0, 2, 0, 1]);
    // Continuations: a after ^, b, c: 3; b after a: 1; c after a: 1. Discount of the unigrams: n1 = 2, n2 = 0: capped at .95.
    const unigram = (count: number): number => (count - 0.95 + 0.95 * 3 * (1 / 3)) / 5;
    const d = 4 / 6;
    expect(model.probability([0], 1)).toBeCloseTo((2 - d + d * 2 * unigram(1)) / 3, 12);
    expect(model.probability([0], 0)).toBeCloseTo((d * 2 * unigram(3)) / 3, 12);
    expect(model.probability([1], 0)).toBeCloseTo(1 - d + d * unigram(3), 12);
    expect(model.predict([0])).toBe(1);
  });
  it('probabilities sum to 1 after any context, seen or not', () => {
    const text = Array.from(gaussian(2000, 3), (x) => Math.abs(Math.floor(x * 3)) % 9);
    const model = new NgramModel({ vocabulary: 12, order: 4 }).train(text.slice(0, 1000)).train(text.slice(1000));
    for (const context of [[], [1], [11, 11, 11], text.slice(50, 60), [0, 11, 3]]) {
      const p = Array.from({ length: 12 }, (_, token) => model.probability(context, token));
      expect(p.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 12);
      expect(p.every((x) => x > 0)).toBe(true);
      expect(model.predict(context)).toBe(p.indexOf(Math.max(...p)));
    }
  });
  it('longer contexts help where there is structure, and evaluation agrees with the probabilities', () => {
    // Each token follows from the two before it, but for some noise.
    const ids: number[] = [1, 2];
    const noise = gaussian(6000, 9);
    while (ids.length < 6000)
      ids.push(noise[ids.length] > 1.3 ? ids.length % 7 : (ids[ids.length - 1] * 3 + ids[ids.length - 2]) % 7);
    const perplexityOf = (order: number): number =>
      new NgramModel({ vocabulary: 7, order }).train(ids.slice(0, 5000)).evaluate(ids, 5000).perplexity;
    expect(perplexityOf(3)).toBeLessThan(0.5 * perplexityOf(2));
    expect(perplexityOf(1)).toBeGreaterThan(6.5);
    const model = new NgramModel({ vocabulary: 7, order: 3 }).train(ids.slice(0, 5000));
    let logs = 0;
    let right = 0;
    for (let i = 5000; i < 6000; i++) {
      logs += Math.log(model.probability(ids.slice(0, i), ids[i]));
      if (model.predict(ids.slice(0, i)) === ids[i]) right++;
    }
    const { perplexity: found, accuracy } = model.evaluate(ids, 5000);
    expect(found).toBeCloseTo(Math.exp(-logs / 1000), 10);
    expect(accuracy).toBe(right / 1000);
    expect(accuracy).toBeGreaterThan(0.85);
  });
  it('refuses tokens beyond its vocabulary', () => {
    expect(() => new NgramModel({ vocabulary: 3 }).train([0, 3])).toThrow(/3 is no token/);
    expect(() => new NgramModel({ vocabulary: 3 }).evaluate([])).toThrow(/no token/);
  });
});
