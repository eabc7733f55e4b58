/** The lazy graph for the packages above: node constructors, tables of primitives, and what ties tensors to nodes. Not for users. */
export * from './build.ts';
export { conjNode } from './complex.ts';
export {
  type AnyNode,
  isComplexType,
  isDifferentiable,
  isGradEnabled,
  inPlaceOperation,
  nextNodeId,
  Node,
  sameShape,
  setGradEnabled,
  type Shape,
} from './node.ts';
export type {
  Attributes,
  BinaryPrimitive,
  CumulateOperation,
  Primitive,
  ReduceOperation,
  ScatterMode,
  UnaryPrimitive,
} from './primitives.ts';
export type { CustomOperation } from './custom.ts';
export {
  type BackwardEngine,
  type BackwardOptions,
  type GradientHook,
  gradientHooks,
  leafTensors,
  overwrittenNodes,
  retainedTensors,
  setBackwardEngine,
  Storage,
  wrap,
} from '../tensor.ts';
export { constantLike } from '../ops/elementwise.ts';
export { dilate } from '../ops/views.ts';
export {
  broadcastShapes,
  nodeOf,
  normalizeDim,
  normalizeDims,
  promotedType,
  type TensorLike,
  unify,
} from '../ops/arguments.ts';
export { matmulNodes } from '../ops/products.ts';
export { reduceDims } from '../ops/reductions.ts';
export { type OpRow, row, type RowOptions, type Sample, type SampleMaker } from '../ops/table.ts';
export { isFloatingPoint, isIntegral, isScalar, toFloat } from '../promotion.ts';
export { evaluateAlongside } from '../evaluate.ts';
export { observeWork, type WorkObserver } from '../schedule/launch-times.ts';
export { type DrawTape, withDraws } from '../ops/generator.ts';
