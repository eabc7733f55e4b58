/** Which observers a model is quantised with (`torch.ao.quantization.QConfig` and its defaults). */
import { FakeQuantize } from './fake-quantize.ts';
import { PlaceholderObserver } from './fixed-observers.ts';
import { HistogramObserver } from './histogram-observer.ts';
import {
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  PerChannelMinMaxObserver,
} from './min-max-observer.ts';
import type { Observer } from './observer.ts';

/** Makers of observers: of what layers put out, and of weights. */
export interface QConfig {
  readonly activation: () => Observer | FakeQuantize;
  readonly weight: () => Observer;
}

/** Makers of fake quantisers, for training with quantisation in mind. */
export interface QatQConfig {
  readonly activation: () => FakeQuantize;
  readonly weight: () => FakeQuantize;
}

/** Weights with one scale, symmetric about zero. */
export const defaultWeightObserver = (): Observer =>
  new MinMaxObserver({ dtype: 'qint8', qscheme: 'per_tensor_symmetric' });
/** Weights with a scale for each row, symmetric about zero. */
export const defaultPerChannelWeightObserver = (): Observer =>
  new PerChannelMinMaxObserver({ dtype: 'qint8', qscheme: 'per_channel_symmetric' });

/** Smallest and largest element, half of the integers for activations. */
export const defaultQconfig: QConfig = {
  activation: () => new MinMaxObserver({ quantMin: 0, quantMax: 127 }),
  weight: defaultWeightObserver,
};
/** Histograms for activations, a scale for each row of weights. All integers are used: our sums do not overflow. */
export const getDefaultQconfig = (): QConfig => ({
  activation: () => new HistogramObserver(),
  weight: defaultPerChannelWeightObserver,
});
/** Integer weights; activations are measured when they come. */
export const defaultDynamicQconfig: QConfig = {
  activation: () => new PlaceholderObserver(),
  weight: defaultWeightObserver,
};
/** Running averages for activations, a scale for each row of weights. */
export const getDefaultQatQconfig = (): QatQConfig => ({
  activation: () => new FakeQuantize({ observer: MovingAverageMinMaxObserver, quantMin: 0, quantMax: 255 }),
  weight: () =>
    new FakeQuantize({
      observer: MovingAveragePerChannelMinMaxObserver,
      quantMin: -128,
      quantMax: 127,
      dtype: 'qint8',
      qscheme: 'per_channel_symmetric',
    }),
});
