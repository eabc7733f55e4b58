/** The compiler: a program of a converted model as one call into a device for each step. */
export { chooseDevice, type DeviceChoice, type DeviceName, devicesHere } from './choose.ts';
export { CompiledNativeILNN, type StepModel } from './compiled.ts';
export { compileWithConstants, embedWeights, MAX_EMBEDDED_BYTES } from './constants.ts';
export type { CompileOptions, CompileReport } from './engine.ts';
export type { NextToken, SequenceGroup } from './group.ts';
export { fileConstants, InterpretedNativeILNN } from './interpreted.ts';
export { LoadedModel, type LoadTimes, openModel, type OpenModelOptions, programOfFile } from './open.ts';
export { type SequenceNeed, sequenceNeed } from './need.ts';
export { FileWeights, type Residence } from './residence.ts';
export { constantBytes, type ModelWeights, packConstant, packWeights, type WeightPlace } from './weights.ts';
export { type SyntheticOptions, writeSyntheticModel } from './synthetic.ts';
