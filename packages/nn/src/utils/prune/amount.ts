/** How much is pruned. */
import { describeValue, ProjError } from '@proj/kernel';
import { FloatScalar } from '@proj/tensor';

/** A share between 0 and 1, or a whole number of elements (or channels). As everywhere, 1 is one of them; `new FloatScalar(1)` is all. */
export type Amount = number | FloatScalar;

const cure = 'Give a share between 0 and 1, or a whole number from 0 on';
/** Refuses what is neither. */
export function requireAmount(amount: Amount): Amount {
  const value = amount instanceof FloatScalar ? amount.value : amount;
  if (typeof value !== 'number' || !(value >= 0) || (!isCount(amount) && value > 1))
    throw new ProjError('invalid-argument', `amount ${describeValue(value)} is out of range`, { op: 'prune', cure });
  return amount;
}
const isCount = (amount: Amount): amount is number => typeof amount === 'number' && Number.isInteger(amount);

/** The number among `size`. Errors: more than there are. */
export function countOf(amount: Amount, size: number): number {
  const count = isCount(amount) ? amount : roundHalfEven(Number(amount) * size);
  if (count > size)
    throw new ProjError('invalid-argument', `amount ${count} of ${size} that are left`, {
      op: 'prune',
      cure: 'Give a smaller amount, or a share between 0 and 1',
    });
  return count;
}
/** As Python rounds. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
