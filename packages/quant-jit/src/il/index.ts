/** IL-NN, the typed program of a converted model: builder, printer, parser, verifier, interpreter, passes. */
export { attributeRules, ATTRIBUTES } from './attributes.ts';
export { IlBuilder } from './builder.ts';
export { constantsFrom, joinFloats, joinMatrices } from './constants.ts';
export type { ConstantSource } from './constants.ts';
export { buildGemma2, type Gemma2ProgramOptions } from './gemma2.ts';
export { definitions, Mode, uses, valueTypes } from './il.ts';
export type {
  AttentionAttributes,
  AttributesOf,
  AttributeValue,
  CacheScheme,
  IlOp,
  Instruction,
  InstructionOf,
  Layout,
  Program,
  Result,
} from './il.ts';
export { Interpreter, type Observer, valuesOf } from './interpret.ts';
export { ropeFrequency } from './interpreter/attention.ts';
export type {
  ActivationValue,
  FloatValue,
  IlValue,
  SumsValue,
  TokensValue,
  WeightValue,
} from './interpreter/values.ts';
export { loadMatrix, loadRows, storeMatrix, storeRows } from './layouts.ts';
export { buildLinear, type LinearProgramOptions } from './linear-example.ts';
export {
  DATA_TABLES,
  NORM_FACTOR,
  NORMALISER,
  powerOfTwoReciprocal,
  shiftedExp,
  SOFTCAP,
  SOFTMAX_WEIGHT,
  softmaxRow,
  tableRsqrt,
} from './modes.ts';
export { NativeCodeILNN, TILE_SIZE } from './native-code-ilnn.ts';
export type { ConstantDeclaration, NativeCodeILNNConfig } from './native-code-ilnn.ts';
export { ConvertedNeuron, neuronsOf } from './neuron.ts';
export { parseText } from './parse.ts';
export { planMemory, rowBytes } from './passes/memory.ts';
export type { MemoryOptions, MemoryPlan, Place } from './passes/memory.ts';
export { chooseLayouts } from './passes/choose-layouts.ts';
export { fold } from './passes/fold.ts';
export { fuseGate } from './passes/fuse-gate.ts';
export { fuseLinear } from './passes/fuse-linear.ts';
export { fuseNorm } from './passes/fuse-norm.ts';
export { fuseRows } from './passes/fuse-rows.ts';
export { optimise, type OptimiseOptions, type PassName, PASSES } from './passes/optimise.ts';
export { sinkLast } from './passes/sink-last.ts';
export { printInstruction, printLayer, printProgram } from './print.ts';
export { resultTypes, type Rule, RULES } from './rules.ts';
export {
  ACTIVATION_GROUPS,
  activationGroups,
  dotGroupColumns,
  dotGroups,
  isActivation,
  parseType,
  sameType,
  typeText,
} from './types.ts';
export type { ActivationType, FloatType, Rows, SumsType, TokensType, ValueType, WeightType } from './types.ts';
export { verify } from './verify.ts';
