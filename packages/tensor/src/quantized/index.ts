/** Quantised tensors: integers with scale and zero point, fake quantisation for training, linear layers with integer sums. */
export { QUANTIZED_DTYPES, type QuantizationScheme, type QuantizedDType, type QuantizedDTypeInfo } from './dtypes.ts';
export { type QuantizationParameters, QuantizedTensor } from './quantized-tensor.ts';
export {
  chooseQuantizationParameters,
  dequantize,
  quantizePerChannel,
  quantizePerTensor,
  quantizePerTensorDynamic,
} from './quantize.ts';
export {
  fakeQuantizeLearnablePerChannelAffine,
  fakeQuantizeLearnablePerTensorAffine,
  fakeQuantizePerChannelAffine,
  fakeQuantizePerTensorAffine,
  type LearnableOptions,
} from './fake-quantize.ts';
export { type DynamicLinearOptions, linear, linearDynamic } from './linear.ts';
