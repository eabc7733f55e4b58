/**
 * The quantised tensor: integers with a scale and a zero point, value = (integer - zeroPoint) · scale (Jacob et al. 2018, and PyTorch's
 * `torch.quantize_per_tensor`). Integers, scales and zero points are ordinary lazy tensors, so that devices, fusion and capture need nothing new.
 */
import { type Device, ProjError } from '@proj/kernel';
import { sameShape, type Shape } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';
import type { Index } from '../ops/indexing.ts';
import { normalizeDim } from '../ops/arguments.ts';
import { QUANTIZED_DTYPES, type QuantizationScheme, type QuantizedDType } from './dtypes.ts';

/** Scale and zero point: of the whole tensor (0-dim), or of each index of `axis` (vectors). */
export interface QuantizationParameters {
  /** float64; float32 where zero points are floats. */
  readonly scale: Tensor;
  /** int64; float32 for `per_channel_affine_float_qparams`. */
  readonly zeroPoint: Tensor;
  /** Null: one scale for all. */
  readonly axis: number | null;
}

/** `vector` [C] with its elements along dimension `axis` of a tensor of `ndim` dimensions; a 0-dim tensor as it is. */
export const alongAxis = (vector: Tensor, axis: number | null, ndim: number): Tensor =>
  axis === null ? vector : vector.reshape(Array.from({ length: ndim }, (_, i) => (i === axis ? -1 : 1)));

/** Integers with scale and zero point. Made by `quantizePerTensor`, `quantizePerChannel` and `quantizePerTensorDynamic`. */
export class QuantizedTensor {
  readonly dtype: QuantizedDType;
  readonly parameters: QuantizationParameters;
  readonly #integers: Tensor;
  readonly isQuantized = true;

  /**
   * `integers` [...shape] in the dtype that stores `dtype` (int8, uint8 or int32). Errors: another dtype; scales that do not fit the axis.
   * PyTorch: `torch._make_per_tensor_quantized_tensor`, `torch._make_per_channel_quantized_tensor`.
   */
  constructor(integers: Tensor, dtype: QuantizedDType, parameters: QuantizationParameters) {
    const { stored } = QUANTIZED_DTYPES[dtype];
    if (integers.dtype !== stored)
      throw new ProjError('dtype', `${dtype} is stored in ${stored}, not in ${integers.dtype}`, {
        op: 'QuantizedTensor',
        cure: `Cast the integers to ${stored}`,
      });
    const { scale, zeroPoint, axis } = parameters;
    const wanted = axis === null ? [] : [integers.shape[axis]];
    if (!sameShape(scale.shape, wanted) || !sameShape(zeroPoint.shape, wanted))
      throw new ProjError('shape-mismatch', `scale and zero point need the shape [${wanted.join(', ')}]`, {
        op: 'QuantizedTensor',
        shapes: [scale.shape, zeroPoint.shape],
      });
    this.#integers = integers;
    this.dtype = dtype;
    this.parameters = parameters;
  }

  get shape(): Shape {
    return this.#integers.shape;
  }
  get ndim(): number {
    return this.#integers.ndim;
  }
  get device(): Device {
    return this.#integers.device;
  }
  /** The number of dimensions. */
  dim(): number {
    return this.ndim;
  }
  /** The number of elements. */
  numel(): number {
    return this.#integers.numel();
  }
  /** The shape, or its entry `dim`. */
  size(): Shape;
  size(dim: number): number;
  size(dim?: number): Shape | number {
    return dim === undefined ? this.shape : this.#integers.size(dim);
  }

  /** The integers: int8 for qint8, uint8 for quint8, int32 for qint32. */
  intRepr(): Tensor {
    return this.#integers;
  }
  /** (integer - zeroPoint) · scale, float32. */
  dequantize(): Tensor {
    const { scale, zeroPoint, axis } = this.parameters;
    const wide = this.dtype === 'qint32' || axis !== null ? 'float64' : 'float32';
    const centred = this.#integers.to(wide).sub(alongAxis(zeroPoint.to(wide), axis, this.ndim));
    return centred.to('float32').mul(alongAxis(scale.to('float32'), axis, this.ndim));
  }
  /** PyTorch's name of how scale and zero point belong to the elements. */
  qscheme(): QuantizationScheme {
    const { axis, zeroPoint } = this.parameters;
    if (axis === null) return 'per_tensor_affine';
    return zeroPoint.dtype === 'float32' ? 'per_channel_affine_float_qparams' : 'per_channel_affine';
  }

  /** The scale of a tensor that has one. Reads it. Errors: one for each channel. */
  qScale(): number {
    return this.#perTensor('qScale').scale.item();
  }
  /** The zero point of a tensor that has one. Reads it. Errors: one for each channel. */
  qZeroPoint(): number {
    return this.#perTensor('qZeroPoint').zeroPoint.item();
  }
  /** The scale of each channel, float64 [C]. Errors: one scale for all. */
  qPerChannelScales(): Tensor {
    return this.#perChannel('qPerChannelScales').scale;
  }
  /** The zero point of each channel, int64 [C]. Errors: one zero point for all. */
  qPerChannelZeroPoints(): Tensor {
    return this.#perChannel('qPerChannelZeroPoints').zeroPoint;
  }
  /** The dimension whose indices have scales of their own. Errors: one scale for all. */
  qPerChannelAxis(): number {
    return this.#perChannel('qPerChannelAxis').axis as number;
  }

  #perTensor(op: string): QuantizationParameters {
    if (this.parameters.axis !== null)
      throw new ProjError('invalid-argument', 'the tensor has a scale for each channel', {
        op,
        cure: 'Use qPerChannelScales() and qPerChannelZeroPoints()',
      });
    return this.parameters;
  }
  #perChannel(op: string): QuantizationParameters {
    if (this.parameters.axis === null)
      throw new ProjError('invalid-argument', 'the tensor has one scale for all elements', {
        op,
        cure: 'Use qScale() and qZeroPoint()',
      });
    return this.parameters;
  }

  // Movements: the integers move, the scale stays.

  #moved(move: (integers: Tensor) => Tensor, op: string): QuantizedTensor {
    return new QuantizedTensor(move(this.#integers), this.dtype, this.#perTensor(op));
  }
  /** As `Tensor.reshape`. Errors: one scale for each channel. */
  reshape(...shape: readonly (number | readonly number[])[]): QuantizedTensor {
    return this.#moved((x) => x.reshape(...shape), 'reshape');
  }
  /** As {@link reshape}. */
  view(...shape: readonly (number | readonly number[])[]): QuantizedTensor {
    return this.#moved((x) => x.reshape(...shape), 'view');
  }
  /** As `Tensor.flatten`. Errors: one scale for each channel. */
  flatten(startDim = 0, endDim = -1): QuantizedTensor {
    return this.#moved((x) => x.flatten(startDim, endDim), 'flatten');
  }
  /** As `Tensor.squeeze`. Errors: one scale for each channel. */
  squeeze(dim: number | null = null): QuantizedTensor {
    return this.#moved((x) => x.squeeze(dim), 'squeeze');
  }
  /** As `Tensor.unsqueeze`. Errors: one scale for each channel. */
  unsqueeze(dim: number): QuantizedTensor {
    return this.#moved((x) => x.unsqueeze(dim), 'unsqueeze');
  }
  /** As `Tensor.select`. Errors: one scale for each channel. */
  select(dim: number, index: number): QuantizedTensor {
    return this.#moved((x) => x.select(dim, index), 'select');
  }
  /** As `Tensor.index`: Python's brackets. Errors: one scale for each channel. */
  index(...indices: readonly Index[]): QuantizedTensor {
    return this.#moved((x) => x.index(...indices), 'index');
  }
  /** As `Tensor.permute`; scales of channels follow their dimension. */
  permute(...dims: readonly (number | readonly number[])[]): QuantizedTensor {
    const { scale, zeroPoint, axis } = this.parameters;
    const order = dims.flat().map((dim) => normalizeDim(dim, this.ndim, 'permute'));
    return new QuantizedTensor(this.#integers.permute(order), this.dtype, {
      scale,
      zeroPoint,
      axis: axis === null ? null : order.indexOf(axis),
    });
  }
  /** As `Tensor.transpose`; scales of channels follow their dimension. */
  transpose(dim0: number, dim1: number): QuantizedTensor {
    const order = this.shape.map((_, i) => i);
    const [a, b] = [normalizeDim(dim0, this.ndim, 'transpose'), normalizeDim(dim1, this.ndim, 'transpose')];
    [order[a], order[b]] = [b, a];
    return this.permute(order);
  }
  /** A matrix, transposed. */
  t(): QuantizedTensor {
    return this.ndim < 2 ? this : this.transpose(0, 1);
  }
  /** The same integers in memory of their own. */
  clone(): QuantizedTensor {
    return new QuantizedTensor(this.#integers.clone(), this.dtype, this.parameters);
  }
  /** The tensor itself: quantised tensors have no gradients. */
  detach(): QuantizedTensor {
    return this;
  }
  /** The tensor itself: its elements lie row by row. */
  contiguous(): QuantizedTensor {
    return this;
  }

  /** The largest element. Errors: one scale for each channel. */
  max(): QuantizedTensor {
    return this.#moved((x) => x.amax(), 'max');
  }
  /** The smallest element. Errors: one scale for each channel. */
  min(): QuantizedTensor {
    return this.#moved((x) => x.amin(), 'min');
  }
  /** max(x, 0) on the integers: none below the zero point. Errors: one scale for each channel. */
  relu(): QuantizedTensor {
    const { zeroPoint } = this.#perTensor('relu');
    return this.#moved((x) => x.maximum(zeroPoint.to(x.dtype)), 'relu');
  }
  /** Whether dtype, scheme, scale, zero point, shape and integers are all the same. Reads both. */
  equal(other: QuantizedTensor): boolean {
    const [a, b] = [this.parameters, other.parameters];
    return (
      this.dtype === other.dtype &&
      a.axis === b.axis &&
      sameShape(this.shape, other.shape) &&
      a.scale.equal(b.scale) &&
      a.zeroPoint.equal(b.zeroPoint) &&
      this.#integers.equal(other.intRepr())
    );
  }

  toString(): string {
    return `quantized(${this.dequantize().toString()}, dtype=${this.dtype}, scheme=${this.qscheme()})`;
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}
