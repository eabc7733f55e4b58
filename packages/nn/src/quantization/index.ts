/** Quantisation of models: observers, fake quantisers, integer layers, and what turns a float model into a quantised one (`torch.ao.quantization`). */
export { Observer, type ObserverOptions, type QuantizationVectors, UniformObserver } from './observer.ts';
export {
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  type MovingAverageOptions,
  MovingAveragePerChannelMinMaxObserver,
  PerChannelMinMaxObserver,
  type PerChannelOptions,
} from './min-max-observer.ts';
export { HistogramObserver, type HistogramObserverOptions } from './histogram-observer.ts';
export {
  FixedQParamsObserver,
  type FixedQParamsOptions,
  NoopObserver,
  PlaceholderObserver,
  RecordingObserver,
} from './fixed-observers.ts';
export {
  disableFakeQuant,
  disableObserver,
  enableFakeQuant,
  enableObserver,
  FakeQuantize,
  FakeQuantizeBase,
  type FakeQuantizeOptions,
  FixedQParamsFakeQuantize,
  FusedMovingAvgObsFakeQuantize,
  type RangeObserver,
} from './fake-quantize.ts';
export {
  defaultDynamicQconfig,
  defaultPerChannelWeightObserver,
  defaultQconfig,
  defaultWeightObserver,
  getDefaultQatQconfig,
  getDefaultQconfig,
  type QatQConfig,
  type QConfig,
} from './qconfig.ts';
export { DeQuantStub, QuantizedReLU, Quantize, QuantStub } from './stubs.ts';
export { DynamicQuantizedLinear, ObservedLinear, QuantizedLinear } from './linear.ts';
export {
  convert,
  type ConvertOptions,
  prepare,
  type PrepareOptions,
  prepareQat,
  type PrepareQatOptions,
  quantizeDynamic,
} from './convert.ts';
