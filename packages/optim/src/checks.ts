/** Checks of hyper-parameters: each failure names the optimiser, the hyper-parameter and the range that is allowed. */
import { ProjError } from '@proj/kernel';

export function requireRange(
  op: string,
  name: string,
  value: number,
  low: number,
  high = Infinity,
  highIncluded = false,
): void {
  if (value >= low && (value < high || (highIncluded && value === high) || (high === Infinity && value === Infinity)))
    return;
  throw new ProjError('invalid-argument', `${name} is ${value}`, {
    op,
    cure:
      high === Infinity ? `It must be at least ${low}` : `It must lie in [${low}, ${high}${highIncluded ? ']' : ')'}`,
  });
}

export function requireBetas(op: string, betas: readonly number[]): void {
  betas.forEach((beta, i) => requireRange(op, `betas[${i}]`, beta, 0, 1));
}

export function requirePositive(op: string, name: string, value: number): void {
  if (!(value > 0)) throw new ProjError('invalid-argument', `${name} is ${value}`, { op, cure: 'It must be above 0' });
}

/** A first factor of a chain: what follows divides by it. */
export function requireStartingFactor(op: string, name: string, value: number): void {
  if (!(value > 0 && value <= 1))
    throw new ProjError('invalid-argument', `${name} is ${value}`, { op, cure: 'It must lie in (0, 1]' });
}
