/** The compiler: a program of a converted model as one call into a device for each step. */
export { CompiledNativeILNN, type CompileOptions, type CompileReport } from './compiled.ts';
export { constantBytes, type ModelWeights, packConstant, packWeights, type WeightPlace } from './weights.ts';
