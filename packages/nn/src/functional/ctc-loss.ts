/** Connectionist temporal classification (Graves et al. 2006): the likelihood of a label sequence under all its alignments, by the forward recursion. */
import { ProjError, withDefaults } from '@proj/kernel';
import { fromArray, type Tensor, where } from '@proj/tensor';
import { type OpRow, reduceLoss, type Reduction, row, scalarLike } from './support.ts';

export interface CtcOptions {
  /** The class of no label. */
  readonly blank?: number;
  readonly reduction?: Reduction;
  /** Infinite losses (targets that do not fit) count 0. */
  readonly zeroInfinity?: boolean;
}
type Lengths = Tensor | number | readonly number[];
const numbersOf = (x: Lengths): number[] =>
  typeof x === 'number' ? [x] : Array.isArray(x) ? [...(x as readonly number[])] : (x as Tensor).toFlatArray();

/** log Σ exp of values that may all be -∞. */
function logSumExp(parts: readonly Tensor[]): Tensor {
  const zero = scalarLike(parts[0], 0);
  const largest = parts.map((part) => part.detach()).reduce((a, b) => a.maximum(b));
  const none = largest.eq(-Infinity);
  const shift = where(none, zero, largest);
  const sum = parts.map((part) => part.sub(shift).exp()).reduce((a, b) => a.add(b));
  return where(none, scalarLike(parts[0], -Infinity), where(none, scalarLike(parts[0], 1), sum).log().add(shift));
}

/**
 * The negative log-likelihood of `targets` ([N, S], or all of them in a row) given log probabilities [T, N, C] (or [T, C]). With 'mean' each loss is divided by its
 * target's length. As in PyTorch the gradient is that of normalised log probabilities.
 */
export function ctcLoss(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Lengths,
  targetLengths: Lengths,
  options: CtcOptions = {},
): Tensor {
  const { blank, reduction, zeroInfinity } = withDefaults(
    'ctcLoss',
    { blank: 0, reduction: 'mean', zeroInfinity: false },
    options,
  );
  const op = 'ctcLoss';
  if (logProbs.ndim !== 2 && logProbs.ndim !== 3)
    throw new ProjError('shape-mismatch', 'log probabilities [T, N, C] or [T, C] are needed', {
      op,
      shapes: [logProbs.shape],
    });
  const batched = logProbs.ndim === 3;
  const x = batched ? logProbs : logProbs.unsqueeze(1);
  const [steps, batch, classes] = x.shape;
  const inputs = numbersOf(inputLengths);
  const sizes = numbersOf(targetLengths);
  if (inputs.length !== batch || sizes.length !== batch)
    throw new ProjError('shape-mismatch', `${batch} input and target lengths are needed`, { op });
  if (blank < 0 || blank >= classes)
    throw new ProjError('index-out-of-range', `blank ${blank} of ${classes} classes`, { op });
  if (inputs.some((length) => length > steps || length < 0))
    throw new ProjError('invalid-argument', `input lengths must be at most ${steps}`, { op });
  const labels = targets.toFlatArray();
  const concatenated = targets.ndim === 1 && batched;
  const width = concatenated ? 0 : targets.shape[targets.ndim - 1];
  let offset = 0;
  const sequences = sizes.map((size, n) => {
    const start = concatenated ? offset : n * width;
    offset += size;
    return labels.slice(start, start + size);
  });
  const longest = Math.max(0, ...sizes);
  const states = 2 * longest + 1;
  const extended = sequences.map((sequence) =>
    Array.from({ length: states }, (_, s) =>
      s % 2 === 1 && (s - 1) / 2 < sequence.length ? sequence[(s - 1) / 2] : blank,
    ),
  );
  const table = <T extends number | boolean>(fn: (n: number, s: number) => T, dtype: 'bool' | 'int64'): Tensor =>
    fromArray(
      Array.from({ length: batch * states }, (_, i) => fn(Math.floor(i / states), i % states)),
      [batch, states],
      dtype,
      { device: x.device },
    );
  const index = table((n, s) => extended[n][s], 'int64');
  const skips = table((n, s) => s > 1 && extended[n][s] !== blank && extended[n][s] !== extended[n][s - 2], 'bool');
  const minusInfinity = scalarLike(x, -Infinity);
  const emitted = x.gather(2, index.unsqueeze(0).expand([steps, batch, states]));
  const later = (alpha: Tensor, by: number): Tensor =>
    where(
      table((_, s) => s >= by, 'bool'),
      alpha.roll(by, 1),
      minusInfinity,
    );
  let alpha = where(
    table((n, s) => s === 0 || (s === 1 && sizes[n] > 0), 'bool'),
    emitted.select(0, 0),
    minusInfinity,
  );
  for (let t = 1; t < steps; t++) {
    const next = logSumExp([alpha, later(alpha, 1), where(skips, later(alpha, 2), minusInfinity)]).add(
      emitted.select(0, t),
    );
    alpha = inputs.every((length) => t < length)
      ? next
      : where(
          table((n) => t < inputs[n], 'bool'),
          next,
          alpha,
        );
  }
  const isEnd = (n: number, s: number): boolean => s === 2 * sizes[n] || (s === 2 * sizes[n] - 1 && sizes[n] > 0);
  const ends = where(table(isEnd, 'bool'), alpha, minusInfinity);
  const likelihood = logSumExp(Array.from({ length: states }, (_, s) => ends.select(1, s)));
  const zero = scalarLike(x, 0);
  // A term of value 0 whose gradient is that of the softmax in front.
  const probabilities = x.exp();
  const inside = fromArray(
    Array.from({ length: steps * batch }, (_, i) => Math.floor(i / batch) < inputs[i % batch]),
    [steps, batch, 1],
    'bool',
    { device: x.device },
  );
  const normaliser = where(inside, probabilities.sub(probabilities.detach()), zero).sum([0, 2]);
  const raw = likelihood.neg();
  const losses = zeroInfinity ? where(raw.eq(Infinity), zero, raw.add(normaliser)) : raw.add(normaliser);
  if (reduction === 'mean')
    return losses
      .div(
        fromArray(
          sizes.map((size) => Math.max(1, size)),
          [batch],
          x.dtype,
          { device: x.device },
        ),
      )
      .mean();
  return reduceLoss(batched ? losses : losses.squeeze(0), reduction, op);
}

export const CTC: readonly OpRow[] = [
  row(
    'ctcLoss',
    ctcLoss,
    "log_probs, targets, input_lengths, target_lengths, blank=0, reduction='mean', zero_infinity=False",
    { torch: ['torch.ctc_loss'] },
  ),
];
