/** Metrics of next-token predictions, from logits `[positions, vocabulary]`. Logarithms are natural. */
import { ProjError } from '@proj/kernel';

function positionsOf(op: string, logits: ArrayLike<number>, vocabulary: number): number {
  const positions = logits.length / vocabulary;
  if (!Number.isSafeInteger(positions) || positions === 0)
    throw new ProjError('shape-mismatch', `${logits.length} logits are not positions of ${vocabulary} tokens`, { op });
  return positions;
}

/** log Σ exp of one position. */
function logSumExp(logits: ArrayLike<number>, begin: number, vocabulary: number): number {
  let largest = -Infinity;
  for (let v = 0; v < vocabulary; v++) if (logits[begin + v] > largest) largest = logits[begin + v];
  let sum = 0;
  for (let v = 0; v < vocabulary; v++) sum += Math.exp(logits[begin + v] - largest);
  return largest + Math.log(sum);
}

/** Index of the largest logit of one position; the first of equals. */
function argmax(logits: ArrayLike<number>, begin: number, vocabulary: number): number {
  let best = 0;
  for (let v = 1; v < vocabulary; v++) if (logits[begin + v] > logits[begin + best]) best = v;
  return best;
}

/** Mean Kullback-Leibler divergence of the student's distributions from the teacher's, Σ p_t · ln(p_t / p_s), in nats per position. */
export function klDivergence(teacher: ArrayLike<number>, student: ArrayLike<number>, vocabulary: number): number {
  const op = 'klDivergence';
  const positions = positionsOf(op, teacher, vocabulary);
  if (student.length !== teacher.length)
    throw new ProjError('shape-mismatch', `${student.length} logits against ${teacher.length}`, { op });
  let sum = 0;
  for (let p = 0; p < positions; p++) {
    const begin = p * vocabulary;
    const teacherSum = logSumExp(teacher, begin, vocabulary);
    const studentSum = logSumExp(student, begin, vocabulary);
    for (let v = begin; v < begin + vocabulary; v++) {
      const logP = teacher[v] - teacherSum;
      // A token that the teacher excludes (-Infinity) adds nothing.
      if (logP > -Infinity) sum += Math.exp(logP) * (logP - (student[v] - studentSum));
    }
  }
  return Math.max(0, sum / positions);
}

/** Part of the positions at which both give the largest logit to the same token. */
export function topOneAgreement(teacher: ArrayLike<number>, student: ArrayLike<number>, vocabulary: number): number {
  const op = 'topOneAgreement';
  const positions = positionsOf(op, teacher, vocabulary);
  if (student.length !== teacher.length)
    throw new ProjError('shape-mismatch', `${student.length} logits against ${teacher.length}`, { op });
  let same = 0;
  for (let p = 0; p < positions; p++)
    if (argmax(teacher, p * vocabulary, vocabulary) === argmax(student, p * vocabulary, vocabulary)) same++;
  return same / positions;
}

/** Mean negative log-likelihood of `targets`, one a position, in nats. */
export function crossEntropy(logits: ArrayLike<number>, targets: ArrayLike<number>, vocabulary: number): number {
  const op = 'crossEntropy';
  const positions = positionsOf(op, logits, vocabulary);
  if (targets.length !== positions)
    throw new ProjError('shape-mismatch', `${targets.length} targets for ${positions} positions`, { op });
  let sum = 0;
  for (let p = 0; p < positions; p++) {
    const target = targets[p];
    if (!Number.isInteger(target) || target < 0 || target >= vocabulary)
      throw new ProjError(
        'index-out-of-range',
        `target ${target} of position ${p} is no token of a vocabulary of ${vocabulary}`,
        { op },
      );
    sum += logSumExp(logits, p * vocabulary, vocabulary) - logits[p * vocabulary + target];
  }
  return sum / positions;
}

/** exp of the mean negative log-likelihood: among how many equally likely tokens the model is as unsure. */
export const perplexity = (logits: ArrayLike<number>, targets: ArrayLike<number>, vocabulary: number): number =>
  Math.exp(crossEntropy(logits, targets, vocabulary));

/** Part of the positions at which the largest logit is the target's. */
export function nextTokenAccuracy(logits: ArrayLike<number>, targets: ArrayLike<number>, vocabulary: number): number {
  const op = 'nextTokenAccuracy';
  const positions = positionsOf(op, logits, vocabulary);
  if (targets.length !== positions)
    throw new ProjError('shape-mismatch', `${targets.length} targets for ${positions} positions`, { op });
  let right = 0;
  for (let p = 0; p < positions; p++) if (argmax(logits, p * vocabulary, vocabulary) === targets[p]) right++;
  return right / positions;
}
