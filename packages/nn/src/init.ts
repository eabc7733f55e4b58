/** torch.nn.init: filling parameters in place. Each function returns the tensor it filled. */
import { ProjError, withDefaults } from '@proj/kernel';
import { noGrad } from '@proj/autograd';
import { fromArray, rand, randn, type Tensor } from '@proj/tensor';
import { constantNode, elementCount, wrap } from '@proj/tensor/graph';

export type Nonlinearity =
  | 'linear'
  | 'conv1d'
  | 'conv2d'
  | 'conv3d'
  | 'conv_transpose1d'
  | 'conv_transpose2d'
  | 'conv_transpose3d'
  | 'sigmoid'
  | 'tanh'
  | 'relu'
  | 'leaky_relu'
  | 'selu';
export type FanMode = 'fan_in' | 'fan_out' | 'fanIn' | 'fanOut';

const fill = (tensor: Tensor, value: Tensor, op: string): Tensor => noGrad(() => tensor.assign(value.node, op));
const likeOptions = (tensor: Tensor) => ({ dtype: tensor.dtype, device: tensor.device });

/** The factor that keeps variance through a nonlinearity. `param` is the slope of leaky_relu. */
export function calculateGain(nonlinearity: Nonlinearity, param: number | null = null): number {
  switch (nonlinearity) {
    case 'linear':
    case 'conv1d':
    case 'conv2d':
    case 'conv3d':
    case 'conv_transpose1d':
    case 'conv_transpose2d':
    case 'conv_transpose3d':
    case 'sigmoid':
      return 1;
    case 'tanh':
      return 5 / 3;
    case 'relu':
      return Math.SQRT2;
    case 'leaky_relu':
      return Math.sqrt(2 / (1 + (param ?? 0.01) ** 2));
    case 'selu':
      return 3 / 4;
    default:
      throw new ProjError('invalid-argument', `unknown nonlinearity "${String(nonlinearity satisfies never)}"`, {
        op: 'calculateGain',
      });
  }
}

function fans(tensor: Tensor, op: string): { fanIn: number; fanOut: number } {
  if (tensor.ndim < 2)
    throw new ProjError('shape-mismatch', 'fan in and fan out need at least 2 dimensions', {
      op,
      shapes: [tensor.shape],
    });
  const field = elementCount(tensor.shape.slice(2));
  return { fanIn: tensor.shape[1] * field, fanOut: tensor.shape[0] * field };
}

/** Uniform in [a, b). */
export function uniform_(tensor: Tensor, a = 0, b = 1): Tensor {
  return fill(
    tensor,
    rand([...tensor.shape], likeOptions(tensor))
      .mul(b - a)
      .add(a),
    'uniform_',
  );
}
/** Fills with normal numbers. */
export function normal_(tensor: Tensor, mean = 0, std = 1): Tensor {
  return fill(
    tensor,
    randn([...tensor.shape], likeOptions(tensor))
      .mul(std)
      .add(mean),
    'normal_',
  );
}
/** Normal, restricted to [a, b]: by the inverse of the distribution function. */
export function truncNormal_(tensor: Tensor, mean = 0, std = 1, a = -2, b = 2): Tensor {
  const cumulative = (x: number): number => (1 + errorFunction((x - mean) / std / Math.SQRT2)) / 2;
  const low = 2 * cumulative(a) - 1;
  const high = 2 * cumulative(b) - 1;
  const uniform = rand([...tensor.shape], likeOptions(tensor))
    .mul(high - low)
    .add(low);
  return fill(
    tensor,
    uniform
      .erfinv()
      .mul(std * Math.SQRT2)
      .add(mean)
      .clamp(a, b),
    'truncNormal_',
  );
}
/** erf to 1.2e-7 (Numerical Recipes' Chebyshev fit): enough for the limits of a distribution. */
function errorFunction(x: number): number {
  const t = 1 / (1 + Math.abs(x) / 2);
  const coefficients = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  const tail = t * Math.exp(-x * x + coefficients.reduceRight((sum, c) => sum * t + c, 0));
  return x >= 0 ? 1 - tail : tail - 1;
}
/** Fills with `val`. */
export function constant_(tensor: Tensor, val: number): Tensor {
  return fill(tensor, wrap(constantNode(tensor.device, tensor.dtype, tensor.shape, val)), 'constant_');
}
/** Fills with ones. */
export const ones_ = (tensor: Tensor): Tensor => constant_(tensor, 1);
/** Fills with zeros. */
export const zeros_ = (tensor: Tensor): Tensor => constant_(tensor, 0);
/** The identity matrix. */
export function eye_(tensor: Tensor): Tensor {
  if (tensor.ndim !== 2)
    throw new ProjError('shape-mismatch', 'a matrix is needed', { op: 'eye_', shapes: [tensor.shape] });
  const [rows, columns] = tensor.shape;
  const values = new Float64Array(rows * columns);
  for (let i = 0; i < Math.min(rows, columns); i++) values[i * columns + i] = 1;
  return fill(tensor, fromArray(values, tensor.shape, tensor.dtype, { device: tensor.device }), 'eye_');
}
/** Convolution weights that pass channels through. */
export function dirac_(tensor: Tensor, options: { groups?: number } = {}): Tensor {
  const { groups } = withDefaults('dirac_', { groups: 1 }, options);
  if (tensor.ndim < 3 || tensor.ndim > 5)
    throw new ProjError('shape-mismatch', 'a tensor of 3 to 5 dimensions is needed', {
      op: 'dirac_',
      shapes: [tensor.shape],
    });
  const [out, inputs, ...kernel] = tensor.shape;
  if (out % groups !== 0)
    throw new ProjError('invalid-argument', `${out} output channels do not divide into ${groups} groups`, {
      op: 'dirac_',
    });
  const values = new Float64Array(elementCount(tensor.shape));
  const center = kernel.reduce((at, size) => at * size + Math.floor(size / 2), 0);
  const perGroup = out / groups;
  for (let g = 0; g < groups; g++)
    for (let d = 0; d < Math.min(perGroup, inputs); d++)
      values[((g * perGroup + d) * inputs + d) * elementCount(kernel) + center] = 1;
  return fill(tensor, fromArray(values, tensor.shape, tensor.dtype, { device: tensor.device }), 'dirac_');
}
export interface GainOptions {
  readonly gain?: number;
}
/** Uniform with bound gain·√(6 / (fan in + fan out)) (Glorot and Bengio 2010). */
export function xavierUniform_(tensor: Tensor, options: GainOptions = {}): Tensor {
  const { gain } = withDefaults('xavierUniform_', { gain: 1 }, options);
  const { fanIn, fanOut } = fans(tensor, 'xavierUniform_');
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(tensor, -bound, bound);
}
/** Normal with deviation gain·√(2 / (fan in + fan out)). */
export function xavierNormal_(tensor: Tensor, options: GainOptions = {}): Tensor {
  const { gain } = withDefaults('xavierNormal_', { gain: 1 }, options);
  const { fanIn, fanOut } = fans(tensor, 'xavierNormal_');
  return normal_(tensor, 0, gain * Math.sqrt(2 / (fanIn + fanOut)));
}
export interface KaimingOptions {
  /** Slope of leaky_relu. */
  readonly a?: number;
  readonly mode?: FanMode;
  readonly nonlinearity?: Nonlinearity;
}
function kaimingDeviation(tensor: Tensor, options: KaimingOptions, op: string): number {
  const { a, mode, nonlinearity } = withDefaults(op, { a: 0, mode: 'fan_in', nonlinearity: 'leaky_relu' }, options);
  const { fanIn, fanOut } = fans(tensor, op);
  if (!['fan_in', 'fan_out', 'fanIn', 'fanOut'].includes(mode))
    throw new ProjError('invalid-argument', `mode "${mode}"`, { op, cure: "Use 'fan_in' or 'fan_out'" });
  return calculateGain(nonlinearity, a) / Math.sqrt(mode === 'fan_in' || mode === 'fanIn' ? fanIn : fanOut);
}
/** Uniform with bound gain·√(3 / fan) (He et al. 2015). */
export function kaimingUniform_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  if (elementCount(tensor.shape) === 0) return tensor;
  const bound = Math.sqrt(3) * kaimingDeviation(tensor, options, 'kaimingUniform_');
  return uniform_(tensor, -bound, bound);
}
/** Normal with deviation gain / √fan. */
export function kaimingNormal_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  if (elementCount(tensor.shape) === 0) return tensor;
  return normal_(tensor, 0, kaimingDeviation(tensor, options, 'kaimingNormal_'));
}
/** Rows (or columns, where there are more rows) that are orthonormal, times gain (Saxe et al. 2013), by modified Gram and Schmidt. */
export function orthogonal_(tensor: Tensor, options: GainOptions = {}): Tensor {
  const { gain } = withDefaults('orthogonal_', { gain: 1 }, options);
  if (tensor.ndim < 2)
    throw new ProjError('shape-mismatch', 'at least 2 dimensions are needed', {
      op: 'orthogonal_',
      shapes: [tensor.shape],
    });
  if (elementCount(tensor.shape) === 0) return tensor;
  const rows = tensor.shape[0];
  const columns = elementCount(tensor.shape) / rows;
  const [count, length] = rows < columns ? [rows, columns] : [columns, rows];
  const random = randn([count, length], { dtype: 'float64', device: tensor.device }).toFlatArray();
  const vectors = Array.from({ length: count }, (_, i) =>
    Float64Array.from(random.slice(i * length, (i + 1) * length)),
  );
  vectors.forEach((vector, i) => {
    // Twice, against the loss of orthogonality by rounding.
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < i; k++) {
        const overlap = vector.reduce((sum, x, n) => sum + x * vectors[k][n], 0);
        vector.forEach((x, n) => (vector[n] = x - overlap * vectors[k][n]));
      }
    }
    const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
    vector.forEach((x, n) => (vector[n] = (x / norm) * gain));
  });
  const values = new Float64Array(rows * columns);
  for (let i = 0; i < count; i++)
    for (let n = 0; n < length; n++) values[rows < columns ? i * columns + n : n * columns + i] = vectors[i][n];
  return fill(tensor, fromArray(values, tensor.shape, tensor.dtype, { device: tensor.device }), 'orthogonal_');
}
/** Normal columns of which the share `sparsity` is zero. */
export function sparse_(tensor: Tensor, sparsity: number, options: { std?: number } = {}): Tensor {
  const { std } = withDefaults('sparse_', { std: 0.01 }, options);
  if (tensor.ndim !== 2)
    throw new ProjError('shape-mismatch', 'a matrix is needed', { op: 'sparse_', shapes: [tensor.shape] });
  const [rows] = tensor.shape;
  const zeros = Math.ceil(sparsity * rows);
  const ranks = rand([...tensor.shape], { device: tensor.device })
    .argsort(0)
    .argsort(0);
  return fill(
    tensor,
    randn([...tensor.shape], likeOptions(tensor))
      .mul(std)
      .mul(ranks.ge(zeros)),
    'sparse_',
  );
}
