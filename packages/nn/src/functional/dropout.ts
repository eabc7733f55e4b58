/** Dropout (Srivastava et al. 2014): zeros at random, the rest scaled so that the expectation stays. */
import { ProjError, withDefaults } from '@proj/kernel';
import { rand, type Tensor, where } from '@proj/tensor';
import { softmax } from './activations.ts';
import { type InplaceOptions, type OpRow, placed, row, scalarLike } from './support.ts';

export interface DropoutOptions extends InplaceOptions {
  /** Probability of a zero (default 0.5). */
  readonly p?: number;
  readonly training?: boolean;
}

export function checkProbability(p: number, op: string): void {
  if (!(p >= 0 && p <= 1)) throw new ProjError('invalid-argument', `probability ${p} is not between 0 and 1`, { op });
}

/** Whether each element of `shape` stays. */
const kept = (like: Tensor, shape: readonly number[], p: number): Tensor =>
  rand([...shape], { dtype: 'float32', device: like.device }).ge(p);

function dropped(input: Tensor, shape: readonly number[], p: number): Tensor {
  if (p === 0) return input.mul(1);
  if (p === 1) return input.mul(0);
  return where(kept(input, shape, p), input.mul(scalarLike(input, 1 / (1 - p))), scalarLike(input, 0));
}

/** Zeroes each element with probability p and scales the others by 1 / (1 - p), while training. */
export function dropout(input: Tensor, options: DropoutOptions = {}): Tensor {
  const { p, training, inplace } = withDefaults('dropout', { p: 0.5, training: true, inplace: false }, options);
  checkProbability(p, 'dropout');
  return training ? placed(input, () => dropped(input, input.shape, p), inplace, 'dropout') : input;
}

/** One decision for each channel of each case. */
function channelDropout(op: string, input: Tensor, batched: boolean, options: DropoutOptions): Tensor {
  const { p, training, inplace } = withDefaults(op, { p: 0.5, training: true, inplace: false }, options);
  checkProbability(p, op);
  if (!training) return input;
  const lead = batched ? 2 : 1;
  return placed(
    input,
    () =>
      dropped(
        input,
        input.shape.map((size, dim) => (dim < lead ? size : 1)),
        p,
      ),
    inplace,
    op,
  );
}
/** Drops whole channels of [N, C, L] (or [C, L]). */
export function dropout1d(input: Tensor, options: DropoutOptions = {}): Tensor {
  if (input.ndim !== 2 && input.ndim !== 3)
    throw new ProjError('shape-mismatch', 'an input of 2 or 3 dimensions is needed', {
      op: 'dropout1d',
      shapes: [input.shape],
    });
  return channelDropout('dropout1d', input, input.ndim === 3, options);
}
/** Drops whole channels of [N, C, H, W]. */
export function dropout2d(input: Tensor, options: DropoutOptions = {}): Tensor {
  return channelDropout('dropout2d', input, true, options);
}
/** Drops whole channels of [N, C, D, H, W] (or [C, D, H, W]). */
export function dropout3d(input: Tensor, options: DropoutOptions = {}): Tensor {
  return channelDropout('dropout3d', input, input.ndim !== 4, options);
}

// Klambauer et al. 2017: dropped elements become -scale·alpha of SELU, and an affine map restores mean and variance.
const ALPHA_PRIME = -1.7580993408473766;
function alphaDropped(input: Tensor, shape: readonly number[], p: number): Tensor {
  if (p === 0) return input.mul(1);
  if (p === 1) return input.mul(0);
  const a = 1 / Math.sqrt((1 - p) * (1 + p * ALPHA_PRIME ** 2));
  const b = -a * p * ALPHA_PRIME;
  return where(
    kept(input, shape, p),
    input.mul(scalarLike(input, a)).add(scalarLike(input, b)),
    scalarLike(input, a * ALPHA_PRIME + b),
  );
}
/** Dropout that keeps mean and variance of {@link selu} activations (Klambauer et al. 2017). */
export function alphaDropout(input: Tensor, options: DropoutOptions = {}): Tensor {
  const { p, training, inplace } = withDefaults('alphaDropout', { p: 0.5, training: false, inplace: false }, options);
  checkProbability(p, 'alphaDropout');
  return training ? placed(input, () => alphaDropped(input, input.shape, p), inplace, 'alphaDropout') : input;
}
/** {@link alphaDropout} of whole channels. */
export function featureAlphaDropout(input: Tensor, options: DropoutOptions = {}): Tensor {
  const { p, training, inplace } = withDefaults(
    'featureAlphaDropout',
    { p: 0.5, training: false, inplace: false },
    options,
  );
  checkProbability(p, 'featureAlphaDropout');
  if (!training) return input;
  return placed(
    input,
    () =>
      alphaDropped(
        input,
        input.shape.map((size, dim) => (dim < 2 ? size : 1)),
        p,
      ),
    inplace,
    'featureAlphaDropout',
  );
}

export interface RreluOptions extends InplaceOptions {
  readonly lower?: number;
  readonly upper?: number;
  readonly training?: boolean;
}
/** A leaky relu whose slope is drawn from [lower, upper) in training, and their mean otherwise. */
export function rrelu(input: Tensor, options: RreluOptions = {}): Tensor {
  const { lower, upper, training, inplace } = withDefaults(
    'rrelu',
    { lower: 1 / 8, upper: 1 / 3, training: false, inplace: false },
    options,
  );
  if (lower > upper) throw new ProjError('invalid-argument', `lower ${lower} exceeds upper ${upper}`, { op: 'rrelu' });
  const slope = training
    ? rand([...input.shape], { dtype: 'float32', device: input.device })
        .mul(upper - lower)
        .add(lower)
        .to(input.dtype)
    : scalarLike(input, (lower + upper) / 2);
  return placed(input, () => where(input.gt(0), input, input.mul(slope)), inplace, 'rrelu');
}
/** {@link rrelu} in place. */
export const rrelu_ = (input: Tensor, options: Omit<RreluOptions, 'inplace'> = {}): Tensor =>
  rrelu(input, { ...options, inplace: true });

export interface GumbelSoftmaxOptions {
  /** Temperature. */
  readonly tau?: number;
  /** One-hot values with the gradient of the soft ones. */
  readonly hard?: boolean;
  readonly eps?: number;
  readonly dim?: number;
}
/** A differentiable draw from the categorical distribution of `logits` (Jang et al. 2017). */
export function gumbelSoftmax(logits: Tensor, options: GumbelSoftmaxOptions = {}): Tensor {
  const { tau, hard, dim } = withDefaults('gumbelSoftmax', { tau: 1, hard: false, eps: 1e-10, dim: -1 }, options);
  const uniform = rand([...logits.shape], { dtype: 'float32', device: logits.device })
    .add(2 ** -25)
    .to(logits.dtype);
  const noise = uniform.log().neg().log().neg();
  const soft = softmax(logits.add(noise).div(tau), dim);
  if (!hard) return soft;
  const value = soft.detach();
  const winner = value.eq(value.amax(dim, { keepdim: true })).to(logits.dtype);
  return winner.sub(value).add(soft);
}

const signature = 'input, p=0.5, training=True, inplace=False';
export const DROPOUT: readonly OpRow[] = [
  row('dropout', dropout, signature, { torch: ['torch.dropout'] }),
  row('dropout1d', dropout1d, signature),
  row('dropout2d', dropout2d, signature),
  row('dropout3d', dropout3d, signature),
  row('alphaDropout', alphaDropout, 'input, p=0.5, training=False, inplace=False', { torch: ['torch.alpha_dropout'] }),
  row('featureAlphaDropout', featureAlphaDropout, 'input, p=0.5, training=False, inplace=False', {
    torch: ['torch.feature_alpha_dropout'],
  }),
  row('rrelu', rrelu, 'input, lower=0.125, upper=0.3333333333333333, training=False, inplace=False', {
    torch: ['torch.rrelu'],
  }),
  row('rrelu_', rrelu_, 'input, lower=0.125, upper=0.3333333333333333, training=False'),
  row('gumbelSoftmax', gumbelSoftmax, 'logits, tau=1, hard=False, eps=1e-10, dim=-1'),
];
