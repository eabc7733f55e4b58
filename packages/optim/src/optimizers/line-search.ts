/**
 * A line search for the strong Wolfe conditions: bracket, then zoom by cubic interpolation (Nocedal and Wright, Numerical Optimization,
 * algorithms 3.5 and 3.6; the safeguards are those of minFunc, so that iterates agree with PyTorch's).
 */

/** A point on the line: step length, value, slope along the direction, gradient. */
export interface LinePoint<G> {
  readonly t: number;
  readonly f: number;
  readonly slope: number;
  readonly gradient: G;
}

const SUFFICIENT_DECREASE = 1e-4;
const CURVATURE = 0.9;
const MAX_EVALUATIONS = 25;

/** The minimum of the cubic through two points with slopes, kept within bounds. */
function cubicMinimum(
  a: LinePoint<unknown>,
  b: LinePoint<unknown>,
  low = Math.min(a.t, b.t),
  high = Math.max(a.t, b.t),
): number {
  const [left, right] = a.t <= b.t ? [a, b] : [b, a];
  const d1 = a.slope + b.slope - (3 * (a.f - b.f)) / (a.t - b.t);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (low + high) / 2;
  const d2 = Math.sqrt(square);
  const at = right.t - (right.t - left.t) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2));
  return Math.min(Math.max(at, low), high);
}

/**
 * Finds a step from `start` (t = 0) along a descent direction whose largest element is `directionNorm`. `evaluate(t)` gives the point at t.
 * Returns the best point and how often it evaluated.
 */
export function strongWolfe<G>(
  start: LinePoint<G>,
  firstStep: number,
  directionNorm: number,
  toleranceChange: number,
  evaluate: (t: number) => LinePoint<G>,
): { point: LinePoint<G>; evaluations: number } {
  const decreases = (p: LinePoint<G>): boolean => p.f <= start.f + SUFFICIENT_DECREASE * p.t * start.slope;
  const isFlat = (p: LinePoint<G>): boolean => Math.abs(p.slope) <= -CURVATURE * start.slope;

  let previous = start;
  let current = evaluate(firstStep);
  let evaluations = 1;
  let iterations = 0;
  let bracket: [LinePoint<G>, LinePoint<G>] | null = null;
  for (; iterations < MAX_EVALUATIONS; iterations++) {
    if (!decreases(current) || (iterations > 1 && current.f >= previous.f)) {
      bracket = [previous, current];
      break;
    }
    if (isFlat(current)) return { point: current, evaluations };
    if (current.slope >= 0) {
      bracket = [previous, current];
      break;
    }
    const t = cubicMinimum(previous, current, current.t + 0.01 * (current.t - previous.t), current.t * 10);
    previous = current;
    current = evaluate(t);
    evaluations++;
  }
  bracket ??= [start, current];

  let [low, high] = bracket[0].f <= bracket[1].f ? bracket : [bracket[1], bracket[0]];
  let stalled = false;
  while (iterations < MAX_EVALUATIONS) {
    const left = Math.min(low.t, high.t);
    const right = Math.max(low.t, high.t);
    if ((right - left) * directionNorm < toleranceChange) break;
    let t = cubicMinimum(low, high);
    const margin = 0.1 * (right - left);
    if (Math.min(right - t, t - left) < margin) {
      // Too near to an end: once is tolerated, then the trial moves inwards.
      if (stalled || t >= right || t <= left) {
        t = Math.abs(t - right) < Math.abs(t - left) ? right - margin : left + margin;
        stalled = false;
      } else stalled = true;
    } else stalled = false;
    const trial = evaluate(t);
    evaluations++;
    iterations++;
    if (!decreases(trial) || trial.f >= low.f) {
      high = trial;
      if (high.f < low.f) [low, high] = [high, low];
    } else {
      const done = isFlat(trial);
      if (!done && trial.slope * (high.t - low.t) >= 0) high = low;
      low = trial;
      if (done) break;
    }
  }
  return { point: low, evaluations };
}
