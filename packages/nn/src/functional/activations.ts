/**
 * Activation functions, as torch.nn.functional. Those with a threshold are written so that both branches stay finite. Those of several steps are computed
 * again in the backward pass (`checkpoint`): that is cheaper than keeping the steps.
 */
import { type DType, ProjError, withDefaults } from '@proj/kernel';
import { checkpoint } from '@proj/autograd';
import { hardshrink, prelu, type Tensor, where } from '@proj/tensor';
import { castNode, expandNode, normalizeDim, reduceDims, unaryNode, wrap } from '@proj/tensor/graph';
import { filledLike, type InplaceOptions, type OpRow, placed, row, scalarLike } from './support.ts';

export { hardshrink, prelu };

const constant = scalarLike;

/** max(0, x). */
export function relu(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('relu', { inplace: false }, options);
  return placed(input, () => wrap(unaryNode('relu', input.node)), inplace, 'relu');
}
/** x limited to [0, 6]. */
export function relu6(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('relu6', { inplace: false }, options);
  return placed(input, () => hardtanh(input, { minVal: 0, maxVal: 6 }), inplace, 'relu6');
}
export interface LeakyReluOptions extends InplaceOptions {
  readonly negativeSlope?: number;
}
/** x where it is positive, negativeSlope · x elsewhere. */
export function leakyRelu(input: Tensor, options: LeakyReluOptions = {}): Tensor {
  const { negativeSlope, inplace } = withDefaults('leakyRelu', { negativeSlope: 0.01, inplace: false }, options);
  return placed(
    input,
    () => where(input.gt(0), input, input.mul(constant(input, negativeSlope))),
    inplace,
    'leakyRelu',
  );
}
export interface ThresholdOptions extends InplaceOptions {}
/** input where it exceeds `threshold`, `value` elsewhere. */
export function threshold(input: Tensor, threshold: number, value: number, options: ThresholdOptions = {}): Tensor {
  const { inplace } = withDefaults('threshold', { inplace: false }, options);
  return placed(
    input,
    () => where(input.le(threshold), filledLike(input, input.shape, value), input),
    inplace,
    'threshold',
  );
}
export interface HardtanhOptions extends InplaceOptions {
  readonly minVal?: number;
  readonly maxVal?: number;
}
/** x limited to [minVal, maxVal]. */
export function hardtanh(input: Tensor, options: HardtanhOptions = {}): Tensor {
  const { minVal, maxVal, inplace } = withDefaults('hardtanh', { minVal: -1, maxVal: 1, inplace: false }, options);
  if (input.dtype === 'bool') throw new ProjError('dtype', 'bool inputs are not supported', { op: 'hardtanh' });
  const low = filledLike(input, input.shape, minVal);
  const high = filledLike(input, input.shape, maxVal);
  const limited = (): Tensor => {
    const raised = where(input.le(low), low, input);
    return where(raised.ge(high), high, raised);
  };
  return placed(input, limited, inplace, 'hardtanh');
}
/** (x + 3) / 6, limited to [0, 1]. */
export function hardsigmoid(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('hardsigmoid', { inplace: false }, options);
  return placed(input, () => hardtanh(input.add(3), { minVal: 0, maxVal: 6 }).div(6), inplace, 'hardsigmoid');
}
/** x · hardsigmoid(x) (Howard et al. 2019). */
export function hardswish(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('hardswish', { inplace: false }, options);
  return placed(input, () => input.mul(hardtanh(input.add(3), { minVal: 0, maxVal: 6 })).div(6), inplace, 'hardswish');
}
/** scale·x for x > 0 and scale·alpha·(exp(x·inputScale) - 1) elsewhere. */
function exponentialUnit(input: Tensor, alpha: number, scale: number, inputScale: number): Tensor {
  const positive = input.gt(0);
  const negativePart = where(positive, constant(input, 0), input)
    .mul(constant(input, inputScale))
    .expm1()
    .mul(constant(input, alpha * scale));
  return where(positive, scale === 1 ? input : input.mul(constant(input, scale)), negativePart);
}
export interface AlphaOptions extends InplaceOptions {
  readonly alpha?: number;
}
/** x where it is positive, alpha · (e^x - 1) elsewhere (Clevert et al. 2016). */
export function elu(input: Tensor, options: AlphaOptions = {}): Tensor {
  const { alpha, inplace } = withDefaults('elu', { alpha: 1, inplace: false }, options);
  return placed(input, () => exponentialUnit(input, alpha, 1, 1), inplace, 'elu');
}
/** max(0, x) + min(0, alpha · (e^(x/alpha) - 1)). */
export function celu(input: Tensor, options: AlphaOptions = {}): Tensor {
  const { alpha, inplace } = withDefaults('celu', { alpha: 1, inplace: false }, options);
  if (alpha === 0) throw new ProjError('invalid-argument', 'alpha cannot be 0', { op: 'celu' });
  return placed(input, () => exponentialUnit(input, alpha, 1, 1 / alpha), inplace, 'celu');
}
// Klambauer et al. 2017.
const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;
/** Scaled {@link elu} that keeps mean and variance (Klambauer et al. 2017). */
export function selu(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('selu', { inplace: false }, options);
  return placed(input, () => exponentialUnit(input, SELU_ALPHA, SELU_SCALE, 1), inplace, 'selu');
}
export interface GeluOptions {
  /** 'tanh' for the approximation by tanh. */
  readonly approximate?: 'none' | 'tanh';
}
/** x · Φ(x), with the distribution function Φ of the normal distribution, or its tanh form (Hendrycks and Gimpel 2016). */
export function gelu(input: Tensor, options: GeluOptions = {}): Tensor {
  const { approximate } = withDefaults('gelu', { approximate: 'none' }, options);
  switch (approximate) {
    case 'none':
      return checkpoint((x) => x.mul(constant(x, 0.5)).mul(x.mul(constant(x, Math.SQRT1_2)).erf().add(1)), input);
    case 'tanh':
      return checkpoint((x) => {
        const inner = x
          .mul(x)
          .mul(x)
          .mul(constant(x, 0.044715))
          .add(x)
          .mul(constant(x, Math.sqrt(2 / Math.PI)));
        return x.mul(constant(x, 0.5)).mul(inner.tanh().add(1));
      }, input);
    default:
      throw new ProjError('invalid-argument', `approximate "${String(approximate satisfies never)}"`, {
        op: 'gelu',
        cure: "Use 'none' or 'tanh'",
      });
  }
}
/** x · sigmoid(x). */
export function silu(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('silu', { inplace: false }, options);
  return placed(input, () => input.mul(input.sigmoid()), inplace, 'silu');
}
/** x · tanh(softplus(x)). */
export function mish(input: Tensor, options: InplaceOptions = {}): Tensor {
  const { inplace } = withDefaults('mish', { inplace: false }, options);
  return placed(input, () => input.mul(softplus(input).tanh()), inplace, 'mish');
}
export interface SoftplusOptions {
  readonly beta?: number;
  /** Linear where beta·x exceeds it. */
  readonly threshold?: number;
}
/** ln(1 + e^(beta·x)) / beta; x itself where beta·x is above `threshold`. */
export function softplus(input: Tensor, options: SoftplusOptions = {}): Tensor {
  const { beta, threshold } = withDefaults('softplus', { beta: 1, threshold: 20 }, options);
  const scaled = beta === 1 ? input : input.mul(constant(input, beta));
  const linear = scaled.gt(threshold);
  const curved = where(linear, constant(input, 0), scaled).exp().log1p();
  return where(linear, input, beta === 1 ? curved : curved.div(constant(input, beta)));
}
/** x / (1 + |x|). */
export function softsign(input: Tensor): Tensor {
  return input.div(input.abs().add(1));
}
/** x - tanh(x). */
export function tanhshrink(input: Tensor): Tensor {
  return input.sub(input.tanh());
}
export interface LambdaOptions {
  readonly lambd?: number;
}
/** x moved towards 0 by lambd, 0 within lambd of it. */
export function softshrink(input: Tensor, options: LambdaOptions = {}): Tensor {
  const { lambd } = withDefaults('softshrink', { lambd: 0.5 }, options);
  if (lambd < 0) throw new ProjError('invalid-argument', `lambd ${lambd} is negative`, { op: 'softshrink' });
  const zero = filledLike(input, input.shape, 0);
  return where(
    input.gt(lambd),
    input.sub(constant(input, lambd)),
    where(input.lt(-lambd), input.add(constant(input, lambd)), zero),
  );
}
/** log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)). */
export function logsigmoid(input: Tensor): Tensor {
  const negative = input.lt(0);
  return where(negative, input, constant(input, 0)).sub(where(negative, input, input.neg()).exp().log1p());
}
/** 1 / (1 + e^-x). */
export function sigmoid(input: Tensor): Tensor {
  return input.sigmoid();
}
/** Hyperbolic tangent. */
export function tanh(input: Tensor): Tensor {
  return input.tanh();
}
/** The first half times the sigmoid of the second, along `dim`. */
export function glu(input: Tensor, dim: number = -1): Tensor {
  if (input.ndim === 0) throw new ProjError('shape-mismatch', 'a 0-dim tensor has no halves', { op: 'glu' });
  const at = normalizeDim(dim, input.ndim, 'glu');
  const size = input.shape[at];
  if (size % 2 !== 0)
    throw new ProjError('shape-mismatch', `dimension ${dim} of ${size} cannot be halved`, {
      op: 'glu',
      shapes: [input.shape],
    });
  return input.narrow(at, 0, size / 2).mul(input.narrow(at, size / 2, size / 2).sigmoid());
}

export interface SoftmaxOptions {
  readonly dtype?: DType | null;
}

/** PyTorch's choice when no dim is given: 0 for 0, 1 and 3 dimensions, else 1. */
const implicitDim = (ndim: number): number => (ndim === 0 || ndim === 1 || ndim === 3 ? 0 : 1);

/** x - max(x) along `dim`, with no gradient through the maximum, which cancels. */
function shifted(
  input: Tensor,
  dim: number | null | undefined,
  dtype: DType | null,
  op: string,
): { x: Tensor; dims: number[] } {
  const at = normalizeDim(dim ?? implicitDim(input.ndim), input.ndim, op);
  const x = dtype === null ? input : wrap(castNode(input.node, dtype));
  if (!/float/.test(x.dtype))
    throw new ProjError('dtype', `${op} of ${x.dtype}`, { op, cure: 'Cast to a float dtype, or give dtype' });
  const dims = input.ndim === 0 ? [] : [at];
  if (x.numel() === 0 || input.ndim === 0) return { x: input.ndim === 0 ? x.sub(x.detach()) : x, dims };
  return { x: x.sub(wrap(expandNode(reduceDims('max', x.detach().node, dims, true), x.shape))), dims };
}
/** exp(x) / Σ exp(x) along `dim`. */
export function softmax(input: Tensor, dim?: number | null, options: SoftmaxOptions = {}): Tensor {
  const { dtype } = withDefaults('softmax', { dtype: null }, options);
  const { x, dims } = shifted(input, dim, dtype, 'softmax');
  const e = x.exp();
  // One division a row, not one an element.
  return e.mul(wrap(reduceDims('sum', e.node, dims, true)).reciprocal());
}
/** {@link softmax} of -x. */
export function softmin(input: Tensor, dim?: number | null, options: SoftmaxOptions = {}): Tensor {
  return softmax(input.neg(), dim, options);
}
/** x - log Σ exp(x) along `dim`. */
export function logSoftmax(input: Tensor, dim?: number | null, options: SoftmaxOptions = {}): Tensor {
  const { dtype } = withDefaults('logSoftmax', { dtype: null }, options);
  const { x, dims } = shifted(input, dim, dtype, 'logSoftmax');
  return x.sub(wrap(reduceDims('sum', x.exp().node, dims, true)).log());
}

// The forms that write into their input.
/** {@link relu} in place. */
export const relu_ = (input: Tensor): Tensor => relu(input, { inplace: true });
/** {@link elu} in place. */
export const elu_ = (input: Tensor, options: Omit<AlphaOptions, 'inplace'> = {}): Tensor =>
  elu(input, { ...options, inplace: true });
/** {@link celu} in place. */
export const celu_ = (input: Tensor, options: Omit<AlphaOptions, 'inplace'> = {}): Tensor =>
  celu(input, { ...options, inplace: true });
/** {@link selu} in place. */
export const selu_ = (input: Tensor): Tensor => selu(input, { inplace: true });
/** {@link leakyRelu} in place. */
export const leakyRelu_ = (input: Tensor, options: Omit<LeakyReluOptions, 'inplace'> = {}): Tensor =>
  leakyRelu(input, { ...options, inplace: true });
/** {@link hardtanh} in place. */
export const hardtanh_ = (input: Tensor, options: Omit<HardtanhOptions, 'inplace'> = {}): Tensor =>
  hardtanh(input, { ...options, inplace: true });
/** {@link threshold} in place. */
export const threshold_ = (input: Tensor, limit: number, value: number): Tensor =>
  threshold(input, limit, value, { inplace: true });

export const ACTIVATIONS: readonly OpRow[] = [
  row('relu_', relu_, 'input'),
  row('elu_', elu_, 'input, alpha=1.0'),
  row('celu_', celu_, 'input, alpha=1.0'),
  row('selu_', selu_, 'input'),
  row('leakyRelu_', leakyRelu_, 'input, negative_slope=0.01'),
  row('hardtanh_', hardtanh_, 'input, min_val=-1.0, max_val=1.0'),
  row('threshold_', threshold_, 'input, threshold, value'),
  row('relu', relu, 'input, inplace=False'),
  row('relu6', relu6, 'input, inplace=False'),
  row('leakyRelu', leakyRelu, 'input, negative_slope=0.01, inplace=False'),
  row('threshold', threshold, 'input, threshold, value, inplace=False', { torch: ['torch.threshold'] }),
  row('hardtanh', hardtanh, 'input, min_val=-1.0, max_val=1.0, inplace=False'),
  row('hardsigmoid', hardsigmoid, 'input, inplace=False'),
  row('hardswish', hardswish, 'input, inplace=False'),
  row('elu', elu, 'input, alpha=1.0, inplace=False'),
  row('celu', celu, 'input, alpha=1.0, inplace=False', { torch: ['torch.celu'] }),
  row('selu', selu, 'input, inplace=False', { torch: ['torch.selu'] }),
  row('prelu', prelu, 'input, weight'),
  row('gelu', gelu, "input, *, approximate='none'"),
  row('silu', silu, 'input, inplace=False'),
  row('mish', mish, 'input, inplace=False'),
  row('softplus', softplus, 'input, beta=1, threshold=20'),
  row('softsign', softsign, 'input'),
  row('tanhshrink', tanhshrink, 'input'),
  row('softshrink', softshrink, 'input, lambd=0.5'),
  row('hardshrink', hardshrink, 'input, lambd=0.5'),
  row('logsigmoid', logsigmoid, 'input'),
  row('glu', glu, 'input, dim=-1'),
  row('softmax', softmax, 'input, dim=None, _stacklevel=3, dtype=None'),
  row('softmin', softmin, 'input, dim=None, _stacklevel=3, dtype=None'),
  row('logSoftmax', logSoftmax, 'input, dim=None, _stacklevel=3, dtype=None'),
  row('sigmoid', sigmoid, 'input'),
  row('tanh', tanh, 'input'),
];
