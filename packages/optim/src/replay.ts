/** The door to captured steps: `compile` of `@proj/tensor` replays a step without running its JavaScript, counters apart. */
import { onReplay } from '@proj/tensor';

/** Runs `advance` now, and again before each replay of the step that is being captured, if one is. */
export function everyStep(advance: () => void): void {
  advance();
  onReplay(advance);
}
