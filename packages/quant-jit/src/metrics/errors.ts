/** Squared errors between what a model should give and what it gives. Sums are in float64. */
import { ProjError } from '@proj/kernel';

function checkPair(op: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  if (actual.length !== expected.length || expected.length === 0)
    throw new ProjError('shape-mismatch', `${actual.length} values against ${expected.length}`, {
      op,
      cure: 'Compare equally many values, one at least',
    });
}

function squaredError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (actual[i] - expected[i]) ** 2;
  return sum;
}

/** Mean of the squared differences. */
export function meanSquaredError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  checkPair('meanSquaredError', actual, expected);
  return squaredError(actual, expected) / expected.length;
}

/** Squared error over the squares of what is expected: 0 is exact, 1 is as bad as giving zeros. Infinite when zeros are expected and not given. */
export function relativeMeanSquaredError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  checkPair('relativeMeanSquaredError', actual, expected);
  const error = squaredError(actual, expected);
  let power = 0;
  for (let i = 0; i < expected.length; i++) power += expected[i] ** 2;
  return error === 0 ? 0 : error / power;
}
