/** Lazy tensors with PyTorch's names and semantics, compiled for the machine they run on. */
import { installComplexArithmetic } from './graph/complex.ts';
import { installMethods } from './methods.ts';

installComplexArithmetic();
installMethods();

export {
  attempt,
  attemptAsync,
  defaultDevice,
  deviceReport,
  getDevice,
  ProjError,
  setDefaultDevice,
  type Device,
  type DType,
  type Result,
} from '@proj/kernel';
export { Tensor, type NestedArray } from './tensor.ts';
export {
  ComplexScalar,
  complexScalar,
  FloatScalar,
  getDefaultDtype,
  promoteTypes,
  setDefaultDtype,
  type Scalar,
} from './promotion.ts';
export { getNumThreads, setNumThreads } from './threads.ts';
export { setPrintoptions, type PrintOptions } from './printing.ts';
export { opTable } from './op-table.ts';
export type { OpRow, Sample, SampleMaker } from './ops/table.ts';
export * from './operations.ts';
export { evaluate } from './evaluate.ts';
export { type CustomGradient, customGradients, customOutputs, defineOp, type OpDefinition } from './define-op.ts';
export { compile, onReplay, tidy, type CompileOptions } from './compile.ts';
export { keep } from './tidy.ts';
export { explain } from './explain.ts';
export { scan, type ScanOptions } from './scan.ts';
