/** Sequences of unequal length without padding, as torch.nn.utils.rnn. */
import { ProjError, withDefaults } from '@proj/kernel';
import { cat, fromArray, stack, Tensor, zeros } from '@proj/tensor';
import { pad } from '../functional/padding.ts';

/** All steps of sequences that are sorted by falling length: step by step, each with the sequences that are that long. */
export class PackedSequence {
  /** [total steps, ...]. */
  readonly data: Tensor;
  /** How many sequences each step has (int64). */
  readonly batchSizes: Tensor;
  /** Positions of the sorted sequences in the original order, and back; null when they came sorted. */
  readonly sortedIndices: Tensor | null;
  readonly unsortedIndices: Tensor | null;

  constructor(
    data: Tensor,
    batchSizes: Tensor,
    sortedIndices: Tensor | null = null,
    unsortedIndices: Tensor | null = null,
  ) {
    this.data = data;
    this.batchSizes = batchSizes;
    this.sortedIndices = sortedIndices;
    this.unsortedIndices = unsortedIndices;
  }
}

const integers = (values: readonly number[]): Tensor =>
  fromArray(BigInt64Array.from(values, BigInt), [values.length], 'int64');
const numbers = (values: Tensor | readonly number[]): number[] =>
  values instanceof Tensor ? values.toFlatArray() : [...values];

export interface BatchFirstOptions {
  readonly batchFirst?: boolean;
}
export interface PackOptions extends BatchFirstOptions {
  /** The sequences must come sorted by falling length (default true); otherwise they are sorted. */
  readonly enforceSorted?: boolean;
}
/** Packs padded sequences [T, N, ...] of the given lengths. */
export function packPaddedSequence(
  input: Tensor,
  lengths: Tensor | readonly number[],
  options: PackOptions = {},
): PackedSequence {
  const { batchFirst, enforceSorted } = withDefaults(
    'packPaddedSequence',
    { batchFirst: false, enforceSorted: true },
    options,
  );
  const sizes = numbers(lengths);
  let x = batchFirst ? input.transpose(0, 1) : input;
  if (sizes.length !== x.shape[1])
    throw new ProjError('shape-mismatch', `${sizes.length} lengths for a batch of ${x.shape[1]}`, {
      op: 'packPaddedSequence',
      shapes: [input.shape],
    });
  if (sizes.some((length) => length <= 0 || length > x.shape[0]))
    throw new ProjError('invalid-argument', `lengths must be between 1 and ${x.shape[0]}`, {
      op: 'packPaddedSequence',
    });
  let sorted: number[] | null = null;
  if (enforceSorted) {
    if (sizes.some((length, i) => i > 0 && length > sizes[i - 1]))
      throw new ProjError('invalid-argument', 'lengths must be sorted in falling order', {
        op: 'packPaddedSequence',
        cure: 'Give { enforceSorted: false }',
      });
  } else sorted = sizes.map((_, i) => i).sort((a, b) => sizes[b] - sizes[a]);
  if (sorted !== null) x = x.indexSelect(1, integers(sorted));
  const ordered = sorted === null ? sizes : sorted.map((i) => sizes[i]);
  const batchSizes = Array.from({ length: ordered[0] }, (_, t) => ordered.filter((length) => length > t).length);
  const data = cat(
    batchSizes.map((count, t) => x.select(0, t).narrow(0, 0, count)),
    0,
  );
  if (sorted === null) return new PackedSequence(data, integers(batchSizes));
  const order = sorted;
  return new PackedSequence(
    data,
    integers(batchSizes),
    integers(order),
    integers(order.map((_, i) => order.indexOf(i))),
  );
}

export interface PadPackedOptions extends BatchFirstOptions {
  readonly paddingValue?: number;
  readonly totalLength?: number | null;
}
/** The padded sequences [T, N, ...] and their lengths. */
export function padPackedSequence(sequence: PackedSequence, options: PadPackedOptions = {}): [Tensor, Tensor] {
  const { batchFirst, paddingValue, totalLength } = withDefaults(
    'padPackedSequence',
    { batchFirst: false, paddingValue: 0, totalLength: null },
    options,
  );
  const sizes = sequence.batchSizes.toFlatArray();
  const steps = totalLength ?? sizes.length;
  if (steps < sizes.length)
    throw new ProjError(
      'invalid-argument',
      `totalLength ${steps} is shorter than the longest sequence, ${sizes.length}`,
      { op: 'padPackedSequence' },
    );
  const batch = sizes[0] ?? 0;
  const rest = sequence.data.shape.slice(1);
  let offset = 0;
  const rows = sizes.map((count) => {
    const part = sequence.data.narrow(0, offset, count);
    offset += count;
    return pad(part, [...rest.flatMap(() => [0, 0]), 0, batch - count], { value: paddingValue });
  });
  for (let t = sizes.length; t < steps; t++)
    rows.push(zeros([batch, ...rest], { dtype: sequence.data.dtype, device: sequence.data.device }).add(paddingValue));
  let padded = stack(rows, 0);
  let lengths = integers(Array.from({ length: batch }, (_, i) => sizes.filter((count) => count > i).length));
  if (sequence.unsortedIndices !== null) {
    padded = padded.indexSelect(1, sequence.unsortedIndices);
    lengths = lengths.indexSelect(0, sequence.unsortedIndices);
  }
  return [batchFirst ? padded.transpose(0, 1) : padded, lengths];
}

/** Sequences [Tᵢ, ...] as one padded tensor [T, N, ...]. */
export function padSequence(sequences: readonly Tensor[], options: Omit<PadPackedOptions, 'totalLength'> = {}): Tensor {
  const { batchFirst, paddingValue } = withDefaults('padSequence', { batchFirst: false, paddingValue: 0 }, options);
  const longest = Math.max(...sequences.map((one) => one.shape[0]));
  const padded = sequences.map((one) =>
    pad(one, [...one.shape.slice(1).flatMap(() => [0, 0]), 0, longest - one.shape[0]], { value: paddingValue }),
  );
  return stack(padded, batchFirst ? 0 : 1);
}
/** The sequences of a padded tensor [T, N, ...]. */
export function unpadSequence(
  paddedSequences: Tensor,
  lengths: Tensor | readonly number[],
  options: BatchFirstOptions = {},
): Tensor[] {
  const { batchFirst } = withDefaults('unpadSequence', { batchFirst: false }, options);
  const x = batchFirst ? paddedSequences : paddedSequences.transpose(0, 1);
  return numbers(lengths).map((length, i) => x.select(0, i).narrow(0, 0, length));
}
/** Packs sequences [Tᵢ, ...]. */
export function packSequence(
  sequences: readonly Tensor[],
  options: Omit<PackOptions, 'batchFirst'> = {},
): PackedSequence {
  const { enforceSorted } = withDefaults('packSequence', { enforceSorted: true }, options);
  return packPaddedSequence(
    padSequence(sequences),
    sequences.map((one) => one.shape[0]),
    { enforceSorted },
  );
}
/** The sequences of a packed one. */
export function unpackSequence(packedSequences: PackedSequence): Tensor[] {
  const [padded, lengths] = padPackedSequence(packedSequences);
  return unpadSequence(padded, lengths);
}
