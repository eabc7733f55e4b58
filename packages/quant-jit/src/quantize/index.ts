/** The quantisers: 1, 1.58, 4 and 8 bits, calibration, mixes. */
export {
  ACTIVATIONS,
  type ActivationScheme,
  bitsPerWeight,
  groupColumns,
  groupCount,
  type QuantizedMatrix,
  scheme,
  type Scheme,
  type SchemeName,
  SCHEMES,
} from './scheme.ts';
export { type Calibration, dequantize, quantize, type QuantizeOptions } from './quantize.ts';
export { LINE_BYTES, packedLayout, type PackedLayout, PANEL_ROWS } from './layout.ts';
export { packedBytes, packedOffsets, packMatrix, packRows, unpackMatrix } from './pack.ts';
export { type GptqOptions, quantizeGptq } from './gptq.ts';
export { Hessian, type HessianBlock, type HessianOptions } from './hessian.ts';
export { dequantizeInput, type QuantizedActivations, quantizeInput } from './activations.ts';
export { createLut, lookUp, type Lut, LUT_FUNCTIONS, type LutFunction, type LutName } from './lut.ts';
export { signWords, xnorDot, xnorPopcountForward } from './binary.ts';
export { fakeQuantize, fakeQuantizeInput, straightThroughSign } from './straight-through.ts';
export { NativeCodeNeuron, type NativeCodeNeuronOptions } from './neuron.ts';
export { chooseSchemes, measureSensitivity, type MixLayer, type SchemeMix, type Sensitivity } from './mix.ts';
