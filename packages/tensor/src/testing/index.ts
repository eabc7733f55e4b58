/** For tests: sample calls of every row of the op table, on any device and dtype. */
import { ELEMENTWISE_SAMPLES } from './samples-elementwise.ts';
import { INDEX_SAMPLES } from './samples-index.ts';
import { REDUCE_SAMPLES } from './samples-reduce.ts';
import { SHAPE_SAMPLES } from './samples-shape.ts';
import type { OpSamples } from './sample.ts';

export { SampleMaker, type FloatOptions } from './maker.ts';
export type { Accuracy, OpSample, OpSamples } from './sample.ts';

/** The samples of each operation, by its name in the op table. */
export const opSamples: Readonly<Record<string, OpSamples>> = { ...ELEMENTWISE_SAMPLES, ...SHAPE_SAMPLES, ...REDUCE_SAMPLES, ...INDEX_SAMPLES };
