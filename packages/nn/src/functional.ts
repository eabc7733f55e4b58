/** torch.nn.functional: stateless forms of the layers, and the table that lists them. */
import { ACTIVATIONS } from './functional/activations.ts';
import { ATTENTION } from './functional/attention.ts';
import { CLASSIFICATION_LOSSES } from './functional/classification-losses.ts';
import { CONVOLUTIONS } from './functional/convolution.ts';
import { CTC } from './functional/ctc-loss.ts';
import { DISTANCES } from './functional/distances.ts';
import { DROPOUT } from './functional/dropout.ts';
import { EMBEDDING } from './functional/embedding.ts';
import { LINEAR } from './functional/linear.ts';
import { LOSSES } from './functional/losses.ts';
import { NORMALIZATION } from './functional/normalization.ts';
import { PADDING } from './functional/padding.ts';
import { POOLING } from './functional/pooling.ts';
import type { OpRow } from './functional/support.ts';
import { UNPOOLING } from './functional/unpooling.ts';
import { VISION } from './functional/vision.ts';

/** One row for each functional form, as the op table of `@proj/tensor`. */
export const functionalTable: readonly OpRow[] = [
  ...ACTIVATIONS,
  ...ATTENTION,
  ...CLASSIFICATION_LOSSES,
  ...CONVOLUTIONS,
  ...CTC,
  ...DISTANCES,
  ...DROPOUT,
  ...EMBEDDING,
  ...LINEAR,
  ...LOSSES,
  ...NORMALIZATION,
  ...PADDING,
  ...POOLING,
  ...UNPOOLING,
  ...VISION,
];

export * from './functional/activations.ts';
export * from './functional/attention.ts';
export * from './functional/classification-losses.ts';
export * from './functional/convolution.ts';
export * from './functional/distances.ts';
export {
  alphaDropout,
  dropout,
  dropout1d,
  dropout2d,
  dropout3d,
  type DropoutOptions,
  featureAlphaDropout,
  gumbelSoftmax,
  type GumbelSoftmaxOptions,
  rrelu,
  rrelu_,
  type RreluOptions,
} from './functional/dropout.ts';
export * from './functional/embedding.ts';
export * from './functional/linear.ts';
export * from './functional/losses.ts';
export {
  batchNorm,
  type BatchNormOptions,
  type EpsOptions,
  groupNorm,
  instanceNorm,
  type InstanceNormOptions,
  layerNorm,
  localResponseNorm,
  type LocalResponseNormOptions,
  normalize,
  type NormalizeOptions,
} from './functional/normalization.ts';
export { pad, type PaddingMode, type PadOptions } from './functional/padding.ts';
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
  avgPool1d,
  avgPool2d,
  avgPool3d,
  type AvgPoolOptions,
  lpPool1d,
  lpPool2d,
  type LpPoolOptions,
  maxPool1d,
  maxPool1dWithIndices,
  maxPool2d,
  maxPool2dWithIndices,
  maxPool3d,
  maxPool3dWithIndices,
  type MaxPoolOptions,
  type ReturnIndicesOptions,
} from './functional/pooling.ts';
export * from './functional/ctc-loss.ts';
export * from './functional/unpooling.ts';
export * from './functional/vision.ts';
export type { InplaceOptions, Reduction, ReductionOptions } from './functional/support.ts';
