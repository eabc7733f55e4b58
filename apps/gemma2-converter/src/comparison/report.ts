/** A comparison for people: a table, bars for each layer, an SVG file. */
import { describeBytes } from '@proj/kernel';
import { figure, table } from '../reporting/table.ts';
import type { Comparison, ModelFigures } from './compare.ts';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function row({
  name,
  bytes,
  bitsPerWeight,
  logits,
  kl,
  topOne,
  perplexity,
  accuracy,
  bleu,
  tokensPerSecond,
}: ModelFigures): string[] {
  return [
    name,
    bytes === null ? '–' : describeBytes(bytes),
    bitsPerWeight === null ? '–' : bitsPerWeight.toFixed(2),
    figure(logits?.mse ?? null),
    figure(logits?.relative ?? null),
    figure(kl),
    percent(topOne),
    perplexity.toFixed(3),
    percent(accuracy),
    bleu.bleu.toFixed(3),
    bleu.precisions.map((p) => (Number.isNaN(p) ? '–' : p.toFixed(2))).join('/'),
    bleu.brevityPenalty.toFixed(2),
    tokensPerSecond === null ? '–' : tokensPerSecond.toFixed(0),
  ];
}

const HEAD = [
  'model',
  'size',
  'bits/weight',
  'MSE',
  'rel. MSE',
  'KL',
  'top-1',
  'perplexity',
  'next token',
  'BLEU',
  '1/2/3/4-grams',
  'brevity',
  'tokens/s',
];

/** The table of a comparison. */
export const comparisonTable = ({ teacher, students, ngram }: Comparison): string =>
  table(HEAD, [teacher, ...students, ngram].map(row));

/** What the columns are. */
export const comparisonLegend = ({ tokens, generations }: Comparison): string =>
  `MSE, KL (nats) and top-1 are of the logits against the teacher's, over ${tokens} tokens; "next token" is how often the next token of the text is predicted; ` +
  `BLEU is that of ${generations} texts written freely (words; the teacher's are the references).`;

const BAR = 30;
const DECADES = 7;

/** Relative MSE of each layer as bars, on a logarithmic scale. */
export function layerBars({ name, layers, logits }: ModelFigures): string {
  if (layers === null || logits === null) return '';
  const bar = (relative: number): string =>
    '█'.repeat(
      Math.max(0, Math.min(BAR, Math.round((BAR * (Math.log10(Math.max(relative, 1e-12)) + DECADES)) / DECADES))),
    );
  const lines = [
    ...layers.map(({ relative }, i) => [`after layer ${i}`, relative] as const),
    ['logits', logits.relative] as const,
  ];
  return [
    `${name}, relative MSE by layer (a full bar is 1, an empty one 1e-${DECADES})`,
    ...lines.map(([label, relative]) => `  ${label.padEnd(15)} ${bar(relative).padEnd(BAR)} ${figure(relative)}`),
  ].join('\n');
}
