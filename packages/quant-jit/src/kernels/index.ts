/** The kernels of converted models, in the kernel language: each is a function that gives a kernel for a shape and a device's features. */
export { gelu } from './arithmetic.ts';
export {
  type AppendShape,
  appendKernel,
  type AttentionShape,
  attentionKernel,
  cacheBytes,
  type CacheShape,
  scoreElements,
} from './attention.ts';
export { constantLinearKernel } from './constant-linear.ts';
export { controlElements, rowPosition, rowSequence, stepTokens, type StepRow, writeControl } from './control.ts';
export { dotKernel, type DotShape, scaleKernel } from './dots.ts';
export { elementwiseKernel, type ElementwiseShape, lastRowKernel, softmaxKernel } from './elementwise.ts';
export { embedKernel, type EmbedShape } from './embed.ts';
export { floatLinearKernel, type FloatLinearShape } from './float-linear.ts';
export {
  activationColumns,
  activationScales,
  activationSums,
  activationWords,
  linearKernel,
  type LinearShape,
  rowLanes,
} from './linear.ts';
export { lookUpLut, tableData } from './modes.ts';
export { angleKernel, ropeKernel, type RopeShape } from './rope.ts';
export { rowKernel, type RowShape, rowStride } from './rows.ts';
