/** Observers, fake quantisers and quantised layers: figures from PyTorch 1.13. */
import { describe, expect, it } from 'vitest';
import '@proj/autograd';
import { arange, fromArray, type Tensor } from '@proj/tensor';
import { fakeQuantizeLearnablePerTensorAffine, type QuantizedTensor } from '@proj/tensor/quantized';
import { Linear, ReLU, Sequential } from '@proj/nn';
import {
  convert,
  defaultPerChannelWeightObserver,
  DeQuantStub,
  disableObserver,
  FakeQuantize,
  HistogramObserver,
  MinMaxObserver,
  MovingAverageMinMaxObserver,
  MovingAveragePerChannelMinMaxObserver,
  PerChannelMinMaxObserver,
  prepare,
  prepareQat,
  type Quantize,
  quantizeDynamic,
  type QuantizedLinear,
  QuantStub,
} from '@proj/nn/quantization';

const floats = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  fromArray(values, shape, 'float32');
const close = (actual: Tensor, expected: readonly number[], digits = 6): void =>
  actual.toFlatArray().forEach((value, i) => expect(value).toBeCloseTo(expected[i], digits));

const weights = [0.5, -0.25, 0.75, 0.1, -0.6, 0.3, 0.2, -0.9, 0.05, 0.45, -0.35, 0.8];
function model(): Sequential {
  const first = new Linear(4, 3);
  first.loadStateDict({ weight: floats(weights, [3, 4]), bias: floats([0.1, -0.2, 0.3]) });
  const second = new Linear(3, 2);
  second.loadStateDict({ weight: floats([1, -0.5, 0.25, -0.75, 0.6, 0.4], [2, 3]), bias: floats([0.05, -0.1]) });
  return new Sequential(new QuantStub(), first, new ReLU(), second, new DeQuantStub());
}
const input = floats([0.2, -0.4, 1.3, 0.7, -1.1, 0.9, 0.3, -0.2, 0.6, 2.1, -0.8, 0.4], [3, 4]);

describe('observers', () => {
  it('remember the range, or its running average', () => {
    const all = new MinMaxObserver();
    const average = new MovingAverageMinMaxObserver({ averagingConstant: 0.1 });
    for (const batch of [floats([-1, 2]), floats([0.5, 4])]) {
      all.call(batch);
      average.call(batch);
    }
    close(all.calculateQparams().scale, [5 / 255], 7);
    expect(all.calculateQparams().zeroPoint.toArray()).toEqual([51]);
    close(average.minVal, [-0.85]);
    close(average.maxVal, [2.2]);
    expect(Object.keys(all.stateDict())).toEqual(['eps', 'min_val', 'max_val']);
  });
  it('keep a scale for each channel, and load one of any number of channels', () => {
    const observer = new PerChannelMinMaxObserver({ dtype: 'qint8', qscheme: 'per_channel_symmetric', chAxis: 1 });
    observer.call(floats([1, -2, 3, -4, 0.5, 1], [2, 3]));
    close(observer.calculateQparams().scale, [4 / 127.5, 2 / 127.5, 3 / 127.5], 7);
    const other = new PerChannelMinMaxObserver();
    other.loadStateDict(observer.stateDict());
    expect(other.minVal.toArray()).toEqual([-4, -2, 1]);
  });
  it('find the range with the least error from a histogram', () => {
    const observer = new HistogramObserver({ bins: 64, upsampleRate: 16 });
    const x = arange(200).to('float32').mul(0.05).sub(3);
    observer.call(x);
    observer.call(x.mul(x).mul(0.3).sub(2));
    const { scale, zeroPoint } = observer.calculateQparams();
    close(scale, [0.06], 3);
    expect(zeroPoint.toArray()).toEqual([50]);
    close(observer.histogram.index({ stop: 6 }), [4.6875, 4.6875, 4.6875, 3.6875, 35.6875, 20.6875], 4);
    close(observer.maxVal, [12.5469], 4);
  });
  it('refuse schemes that are not theirs', () => {
    expect(() => new MinMaxObserver({ qscheme: 'per_channel_affine' })).toThrow(/per_tensor/);
    expect(() => new MinMaxObserver({ quantMin: 3, quantMax: 9 })).toThrow(/zero/);
  });
});

describe('fake quantisers', () => {
  it('round weights with a scale for each row, and pass gradients inside the range', () => {
    const fake = new FakeQuantize({
      observer: MovingAveragePerChannelMinMaxObserver,
      quantMin: -128,
      quantMax: 127,
      dtype: 'qint8',
      qscheme: 'per_channel_symmetric',
    });
    const weight = floats(weights, [3, 4]).requiresGrad_();
    const rounded = fake.call(weight);
    rounded.mul(rounded).sum().backward();
    close(
      rounded,
      [
        0.5, -0.2470588, 0.7470588, 0.1, -0.6, 0.3035294, 0.1976471, -0.9035294, 0.0501961, 0.4517647, -0.3513725,
        0.7968627,
      ],
    );
    close(
      weight.grad as Tensor,
      [1, -0.4941176, 0, 0.2, -1.2, 0.6070588, 0.3952941, -1.8070588, 0.1003922, 0.9035294, -0.7027451, 0],
    );
    close(fake.scale, [0.0058823531, 0.0070588235, 0.0062745097], 8);
    disableObserver(fake);
    fake.call(floats([9, 9, 9], [3, 1]));
    close(fake.scale, [0.0058823531, 0.0070588235, 0.0062745097], 8);
  });
  it('learn scale and zero point', () => {
    const x = floats([-2.9452, 4.562, -2.9999, -0.0708]).requiresGrad_();
    const scale = floats([0.1]).requiresGrad_();
    const zeroPoint = floats([1.3]).requiresGrad_();
    const y = fakeQuantizeLearnablePerTensorAffine(x, scale, zeroPoint, -8, 7);
    y.mul(y).sum().backward();
    close(y, [-0.9, 0.6, -0.9, -0.1]);
    close(x.grad as Tensor, [0, 0, 0, -0.2]);
    close(scale.grad as Tensor, [39.658401], 4);
    close(zeroPoint.grad as Tensor, [0.24]);
  });
});

describe('quantised models', () => {
  it("compute PyTorch's integers and results after prepare and convert", () => {
    const prepared = prepare(model());
    close(prepared.call(input) as Tensor, [1.45375, -1.01475, -0.33875, 0.636, 0.51875, 0.65]);
    const quantised = convert(prepared);
    const layer = quantised.get(1) as QuantizedLinear;
    const hidden = layer.call((quantised.get(0) as Quantize).call(input)) as QuantizedTensor;
    expect(hidden.intRepr().toFlatArray()).toEqual([102, 0, 49, 16, 84, 56, 6, 17, 127]);
    close(layer.scale, [0.02114173211], 8);
    expect(layer.zeroPoint.item()).toBe(38);
    close(quantised.call(input) as Tensor, [1.4577757, -1.0107245, -0.3498662, 0.6414213, 0.5247992, 0.6608583]);
    expect(layer.weight.dtype).toBe('int8');
  });
  it('quantise weights row by row where the observer says so', () => {
    const prepared = prepare(model(), {
      qconfig: {
        activation: () => new MinMaxObserver({ quantMin: 0, quantMax: 127 }),
        weight: defaultPerChannelWeightObserver,
      },
    });
    prepared.call(input);
    const layer = convert(prepared).get(1) as QuantizedLinear;
    close(layer.quantizedWeight().qPerChannelScales().to('float32'), [0.0058823531, 0.0070588235, 0.0062745097], 8);
  });
  it('quantise activations when they come', () => {
    const [, layer] = [...model().children()];
    const dynamic = quantizeDynamic(new Sequential(layer));
    close(
      dynamic.call(input) as Tensor,
      [1.3507123, -0.821799, 0.2281445, -0.473421, 0.982414, 0.3875072, -0.6770708, -0.4516721, 1.8808206],
    );
    expect(Object.keys(dynamic.stateDict())).toEqual(['0.weight', '0.weight_scale', '0.weight_zero_point', '0.bias']);
  });
  it('train with rounded weights, and lose little when converted', () => {
    const trained = prepareQat(model());
    const loss = (trained.call(input) as Tensor).square().sum();
    loss.backward();
    const gradients = [...trained.parameters()].map((parameter) => parameter.grad);
    expect(gradients.every((gradient) => gradient !== null && gradient.abs().sum().item() > 0)).toBe(true);
    const before = (trained.call(input) as Tensor).toFlatArray();
    (convert(trained).call(input) as Tensor)
      .toFlatArray()
      .forEach((value, i) => expect(Math.abs(value - before[i])).toBeLessThan(0.03));
  });
  it('say what is missing', () => {
    expect(() => convert(new Sequential(new Linear(2, 2)))).toThrow(/prepare/);
    const prepared = prepare(model());
    prepared.call(input);
    expect(() => (convert(prepared).get(1) as QuantizedLinear).call(input as never)).toThrow(/QuantStub/);
  });
});
