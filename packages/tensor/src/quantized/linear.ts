/**
 * Linear layers on quantised tensors. The sums are sums of integers: Σ(x - zx)(w - zw) = Σxw - zw·Σx - zx·Σw + K·zx·zw (Jacob et al. 2018); floats
 * appear once per result, when it is scaled.
 */
import { ProjError, withDefaults } from '@proj/kernel';
import { zeros } from '../ops/creation.ts';
import { elementCount } from '../graph/node.ts';
import type { Tensor } from '../tensor.ts';
import { integerProduct } from './integer-product.ts';
import { quantizePerTensor, quantizePerTensorDynamic } from './quantize.ts';
import type { QuantizedTensor } from './quantized-tensor.ts';
import type { QuantizedDType } from './dtypes.ts';

interface Operand {
  readonly integers: Tensor;
  /** int32, 0-dim or a vector. */
  readonly zeroPoint: Tensor;
}

/** Bytes in the signedness that the product takes; moving them by 128 moves the zero point along. */
function signedAs(x: QuantizedTensor, stored: 'uint8' | 'int8', op: string): Operand {
  if (x.dtype === 'qint32')
    throw new ProjError('dtype', 'products of qint32 tensors', { op, cure: "Quantise to 'qint8' or 'quint8'" });
  const integers = x.intRepr();
  const zeroPoint = x.parameters.zeroPoint.to('int32');
  if (integers.dtype === stored) return { integers, zeroPoint };
  const shift = stored === 'uint8' ? 128 : -128;
  return { integers: integers.to('int32').add(shift).to(stored), zeroPoint: zeroPoint.add(shift) };
}

/** Σ(x - zx)(w - zw) in 32-bit integers, with the scale of each column: [M, N] and [] or [N]. */
function centredProduct(x: QuantizedTensor, weight: QuantizedTensor, op: string): { sums: Tensor; scale: Tensor } {
  if (weight.ndim !== 2 || x.ndim < 1 || x.shape[x.ndim - 1] !== weight.shape[1])
    throw new ProjError('shape-mismatch', 'the last dimension of the input must be that of the weight [out, in]', {
      op,
      shapes: [x.shape, weight.shape],
    });
  if (x.parameters.axis !== null || (weight.parameters.axis ?? 0) !== 0 || weight.qscheme().endsWith('float_qparams'))
    throw new ProjError('invalid-argument', 'scales of channels are possible for the rows of the weight only', {
      op,
      cure: 'Quantise the input per tensor, and the weight per tensor or per channel of axis 0 with integer zero points',
    });
  const depth = weight.shape[1];
  const rows = elementCount(x.shape.slice(0, -1));
  const left = signedAs(x, 'uint8', op);
  const right = signedAs(weight, 'int8', op);
  const scale = x.parameters.scale.to('float32').mul(weight.parameters.scale.to('float32'));
  const shape = [rows, weight.shape[0]];
  if (depth === 0 || elementCount(shape) === 0)
    return { sums: zeros(shape, { dtype: 'int32', device: x.device }), scale };
  const integers = left.integers.reshape([rows, depth]);
  const sumsOfInput = integers.to('int32').sum(1, { keepdim: true, dtype: 'int32' });
  const sumsOfWeight = right.integers.to('int32').sum(1, { dtype: 'int32' });
  const sums = integerProduct(integers, right.integers)
    .sub(sumsOfInput.mul(right.zeroPoint))
    .sub(sumsOfWeight.mul(left.zeroPoint))
    .add(right.zeroPoint.mul(left.zeroPoint).mul(depth));
  return { sums, scale };
}

function floatResult(x: QuantizedTensor, weight: QuantizedTensor, bias: Tensor | null, op: string): Tensor {
  if (bias !== null && (bias.ndim !== 1 || bias.shape[0] !== weight.shape[0]))
    throw new ProjError('shape-mismatch', 'the bias must have one element for each row of the weight', {
      op,
      shapes: [weight.shape, bias.shape],
    });
  const { sums, scale } = centredProduct(x, weight, op);
  const scaled = sums.to('float32').mul(scale);
  const result = bias === null ? scaled : scaled.add(bias.detach());
  return result.reshape([...x.shape.slice(0, -1), weight.shape[0]]);
}

/**
 * input · weightᵀ + bias on integers, quantised again with `scale` and `zeroPoint` of the result. `input` [..., K] and `weight` [N, K] are quint8 or qint8 (the
 * weight per tensor or per channel of axis 0), `bias` [N] float32 or null; the result [..., N] has the dtype of `input`. PyTorch: `torch.ops.quantized.linear`.
 * Errors: shapes that do not fit; qint32; K > 65,536.
 */
export function linear(
  input: QuantizedTensor,
  weight: QuantizedTensor,
  bias: Tensor | null,
  scale: number | Tensor,
  zeroPoint: number | Tensor,
): QuantizedTensor {
  return quantizePerTensor(floatResult(input, weight, bias, 'quantized.linear'), scale, zeroPoint, input.dtype);
}

/** Options of {@link linearDynamic}. */
export interface DynamicLinearOptions {
  /** Use half of the integers for the input, as machines need whose 16-bit sums would overflow; ours do not. */
  readonly reduceRange?: boolean;
  /** What the input is quantised to (default quint8). */
  readonly dtype?: QuantizedDType;
}

/**
 * input · weightᵀ + bias, where `input` [..., K] float32 is quantised by its own smallest and largest element first; the sums are sums of integers, the
 * result [..., N] is float32. PyTorch: `torch.ops.quantized.linear_dynamic`. Errors: as {@link linear}.
 */
export function linearDynamic(
  input: Tensor,
  weight: QuantizedTensor,
  bias: Tensor | null = null,
  options: DynamicLinearOptions = {},
): Tensor {
  const { reduceRange, dtype } = withDefaults(
    'quantized.linearDynamic',
    { reduceRange: false, dtype: 'quint8' },
    options,
  );
  return floatResult(quantizePerTensorDynamic(input, dtype, reduceRange), weight, bias, 'quantized.linearDynamic');
}
