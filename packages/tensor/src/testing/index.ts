/** For tests: sample calls of every row of the op table, on any device and dtype. */
import { COMPLEX_SAMPLES, MORE_SAMPLES } from './samples-complex.ts';
import { ELEMENTWISE_SAMPLES } from './samples-elementwise.ts';
import { INDEX_SAMPLES } from './samples-index.ts';
import type { OpRow } from '../ops/table.ts';
import { LINALG_SAMPLES } from './samples-linalg.ts';
import { RANDOM_SPECIAL_SAMPLES } from './samples-random-special.ts';
import { REDUCE_SAMPLES } from './samples-reduce.ts';
import { SHAPE_SAMPLES } from './samples-shape.ts';
import type { OpSamples } from './sample.ts';

export { SampleMaker, type FloatOptions } from './maker.ts';
export type { Accuracy, OpSample, OpSamples } from './sample.ts';

const OWN_SAMPLES: Readonly<Record<string, OpSamples>> = {
  ...COMPLEX_SAMPLES,
  ...ELEMENTWISE_SAMPLES,
  ...SHAPE_SAMPLES,
  ...REDUCE_SAMPLES,
  ...INDEX_SAMPLES,
  ...RANDOM_SPECIAL_SAMPLES,
  ...LINALG_SAMPLES,
};

const SAMPLES = Object.fromEntries(
  Object.entries(OWN_SAMPLES).map(([name, { accuracy, samples }]): [string, OpSamples] => [
    name,
    { accuracy, samples: [...samples, ...(MORE_SAMPLES[name] ?? [])] },
  ]),
);

/** The samples of a row of the op table, null when it has none yet. Rows of one name are told apart by their signature. */
export const samplesOf = ({ name, signature }: OpRow): OpSamples | null =>
  SAMPLES[`${name}(${signature})`] ?? SAMPLES[name] ?? null;
/** The names under which samples are kept. */
export const sampleNames = Object.keys(SAMPLES);
