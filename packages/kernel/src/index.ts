export {
  attempt,
  attemptAsync,
  ProjError,
  toProjError,
  type ErrorCode,
  type ErrorDetails,
  type Result,
} from './errors.ts';
export { describeBytes } from './describe-bytes.ts';
export { makeFolder } from './make-folder.ts';
export { checkOptions, describeValue, nearest, unknownOption, withDefaults, type Defaults } from './options.ts';
export { requireSynchronous, runSynchronously } from './synchronous.ts';
export {
  isFloat,
  isInteger,
  isStorageOnly,
  isTile,
  isUnsigned,
  SCALARS,
  typeName,
  valueType,
  type ScalarType,
  type ValueType,
} from './ir/types.ts';
export type {
  BinaryOp,
  Block,
  Builtin,
  Carried,
  CompareOp,
  Constant,
  HorizontalOp,
  Kernel,
  Loop,
  Memory,
  Op,
  Parameter,
  ScalarParameter,
  Statement,
  UnaryOp,
  Value,
} from './ir/ir.ts';
export { isBinary, isComparison, isHorizontal, isUnary } from './ir/operations.ts';
export { buildKernel, KernelBuilder, vectorLoop, type Operand } from './ir/builder.ts';
export { printKernel } from './ir/print.ts';
export { hashKernel, hashText } from './ir/hash.ts';
export { MAX_CONSTANT_BYTES, MAX_LOCAL_BYTES, verifyKernel } from './ir/verify.ts';
export { liveValues } from './passes/dead-code.ts';
export { embedConstants } from './passes/embed-constants.ts';
export { castStorage, loadAsFloat } from './passes/lower-half.ts';
export { lowerTiles } from './passes/lower-tiles.ts';
export { coerce } from './passes/fold.ts';
export type {
  Argument,
  CompiledKernel,
  Device,
  DeviceBuffer,
  DeviceCache,
  DeviceFeatures,
  KeptKernel,
  Launch,
  Program,
} from './device/device.ts';
export {
  defaultDevice,
  deviceReport,
  getDevice,
  registerDevice,
  setDefaultDevice,
  type DeviceFactory,
  type DeviceReport,
} from './device/registry.ts';
export { codeDigest as kernelCodeDigest } from './code-digest.ts';
export { DTYPES, isDType, type DType, type DTypeInfo } from './dtypes/dtype.ts';
export {
  DTYPE_ARRAYS,
  finfo,
  iinfo,
  type ElementArray,
  type ElementArrayConstructor,
  type FloatInfo,
  type IntegerInfo,
} from './dtypes/limits.ts';
export {
  JS_ARRAYS,
  compileJs,
  renderJs,
  type JsArgument,
  type JsFunction,
  type JsOptions,
  type JsTypedArray,
} from './targets/js.ts';
export { JsBuffer, JsDevice } from './device/js-device.ts';
export { MemoryUse } from './device/memory-use.ts';
export { steadyYoungGeneration } from './device/young-generation.ts';
export { WasmBuffer, WasmDevice, type WasmDeviceOptions } from './device/wasm-device.ts';
export { renderWasm, type WasmFeatures, type WasmOptions } from './targets/wasm.ts';
export { bfloatBitsToFloat, floatToBfloatBits, floatToHalfBits, halfBitsToFloat } from './dtypes/half.ts';
export * as math from './math/index.ts';
import { JsDevice } from './device/js-device.ts';
import { registerDevice } from './device/registry.ts';
import { wasmDevice } from './device/wasm-device.ts';

registerDevice({ name: 'js', priority: 0, create: () => new JsDevice() });
registerDevice(wasmDevice);
