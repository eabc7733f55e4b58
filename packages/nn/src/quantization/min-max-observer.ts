/** Observers of the smallest and largest element: of all, of each channel, as running averages. */
import { withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, type Tensor, where, zeros } from '@proj/tensor';
import { normalizeDim } from '@proj/tensor/graph';
import { type ObserverOptions, RANGE, UniformObserver } from './observer.ts';

/** Remembers the smallest and largest element of all inputs (`torch.ao.quantization.MinMaxObserver`). Schemes: per tensor. */
export class MinMaxObserver extends UniformObserver {
  constructor(options: ObserverOptions = {}) {
    super(options, false);
    this.refuseHalfSymmetric();
    this.registerBuffer('minVal', fromArray([Infinity], [], 'float32'));
    this.registerBuffer('maxVal', fromArray([-Infinity], [], 'float32'));
  }
  override forward(input: Tensor): Tensor {
    if (input.numel() > 0)
      noGrad(() => {
        const x = input.detach().to('float32');
        const [min, max] = this.combined(x.amin(), x.amax());
        this.minVal.copy_(min);
        this.maxVal.copy_(max);
      });
    return input;
  }
  /** The range after another input of range `min` … `max`. */
  protected combined(min: Tensor, max: Tensor): readonly [Tensor, Tensor] {
    return [this.minVal.minimum(min), this.maxVal.maximum(max)];
  }
  /** Forgets what was seen. */
  resetMinMaxVals(): void {
    noGrad(() => {
      this.minVal.fill_(Infinity);
      this.maxVal.fill_(-Infinity);
    });
  }
}

/** Options of observers that average. */
export interface MovingAverageOptions extends ObserverOptions {
  /** The weight of the newest input. Default 0.01. */
  readonly averagingConstant?: number;
}

/** `old` moved towards `now` by `constant`; `now` alone where there is no old value. */
const moved = (old: Tensor, now: Tensor, constant: number): Tensor =>
  where(old.isinf(), now, old.add(now.sub(old).mul(constant)));

/** Averages the smallest and largest element over inputs (`torch.ao.quantization.MovingAverageMinMaxObserver`). Schemes: per tensor. */
export class MovingAverageMinMaxObserver extends MinMaxObserver {
  readonly averagingConstant: number;

  constructor(options: MovingAverageOptions = {}) {
    const { averagingConstant, ...rest } = withDefaults(
      new.target.name,
      { ...RANGE, averagingConstant: 0.01 },
      options,
    );
    super(rest);
    this.averagingConstant = averagingConstant;
  }
  protected override combined(min: Tensor, max: Tensor): readonly [Tensor, Tensor] {
    return [moved(this.minVal, min, this.averagingConstant), moved(this.maxVal, max, this.averagingConstant)];
  }
}

/** Options of observers of channels. */
export interface PerChannelOptions extends ObserverOptions {
  /** The dimension of the channels. Default 0. */
  readonly chAxis?: number;
}

/** Remembers the smallest and largest element of each channel (`torch.ao.quantization.PerChannelMinMaxObserver`). Schemes: per channel. */
export class PerChannelMinMaxObserver extends UniformObserver {
  readonly chAxis: number;

  constructor(options: PerChannelOptions = {}) {
    const { chAxis, ...rest } = withDefaults(new.target.name, { ...RANGE, chAxis: 0 }, options);
    super(rest, true);
    this.refuseHalfSymmetric();
    this.chAxis = chAxis;
    this.registerBuffer('minVal', zeros([0]));
    this.registerBuffer('maxVal', zeros([0]));
  }
  override forward(input: Tensor): Tensor {
    if (input.numel() > 0)
      noGrad(() => {
        const x = input.detach().to('float32');
        const axis = normalizeDim(this.chAxis, x.ndim, 'PerChannelMinMaxObserver');
        const others = x.shape.map((_, i) => i).filter((i) => i !== axis);
        const [low, high] = others.length === 0 ? [x, x] : [x.amin(others), x.amax(others)];
        const [min, max] = this.minVal.numel() === 0 ? [low, high] : this.combined(low, high);
        this.resize(min.shape);
        this.minVal.copy_(min);
        this.maxVal.copy_(max);
      });
    return input;
  }
  /** The ranges after another input. */
  protected combined(min: Tensor, max: Tensor): readonly [Tensor, Tensor] {
    return [this.minVal.minimum(min), this.maxVal.maximum(max)];
  }
  /** Gives the state another number of channels. */
  protected resize(shape: readonly number[]): void {
    if (this.minVal.numel() === shape[0]) return;
    this.minVal = zeros([...shape]);
    this.maxVal = zeros([...shape]);
  }
  override prepareLoad(given: (name: string) => Tensor | undefined): void {
    const value = given('min_val');
    if (value !== undefined) this.resize(value.shape);
  }
  /** Forgets what was seen. */
  resetMinMaxVals(): void {
    this.resize([0]);
  }
}

/** Averages the smallest and largest element of each channel over inputs (`torch.ao.quantization.MovingAveragePerChannelMinMaxObserver`). */
export class MovingAveragePerChannelMinMaxObserver extends PerChannelMinMaxObserver {
  readonly averagingConstant: number;

  constructor(options: MovingAverageOptions & PerChannelOptions = {}) {
    const { averagingConstant, ...rest } = withDefaults(
      new.target.name,
      { ...RANGE, averagingConstant: 0.01, chAxis: 0 },
      options,
    );
    super(rest);
    this.averagingConstant = averagingConstant;
  }
  protected override combined(min: Tensor, max: Tensor): readonly [Tensor, Tensor] {
    return [moved(this.minVal, min, this.averagingConstant), moved(this.maxVal, max, this.averagingConstant)];
  }
}
