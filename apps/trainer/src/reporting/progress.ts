/** What the user sees while a run goes on: a bar on a terminal, a line now and then elsewhere. */
import { ProgressBar } from 'app-support';

export interface ProgressState {
  readonly step: number;
  readonly loss: number;
  /** Items (images, characters) per second. */
  readonly rate: number;
  readonly secondsLeft: number;
}

export interface Progress {
  update(state: ProgressState): void;
  /** Prints a line of its own. */
  line(text: string): void;
  stop(): void;
}

export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return parts[0] > 0
    ? `${parts[0]}h${String(parts[1]).padStart(2, '0')}m`
    : parts[1] > 0
      ? `${parts[1]}m${String(parts[2]).padStart(2, '0')}s`
      : `${parts[2]}s`;
}
export const formatRate = (rate: number, unit: string): string =>
  `${rate >= 10_000 ? `${(rate / 1000).toFixed(1)}k` : rate.toFixed(rate < 10 ? 2 : 0)} ${unit}/s`;

/** `every`: steps between two lines where there is no terminal. */
export function createProgress(
  total: number,
  start: number,
  unit: string,
  every: number,
  stream: NodeJS.WriteStream = process.stdout,
): Progress {
  if (!stream.isTTY) {
    const print = (text: string): void => void stream.write(`${text}\n`);
    return {
      update: ({ step, loss, rate, secondsLeft }) => {
        if (step % every === 0 || step === total)
          print(
            `step ${step}/${total}  loss ${loss.toFixed(4)}  ${formatRate(rate, unit)}  ${formatSeconds(secondsLeft)} left`,
          );
      },
      line: print,
      stop: () => {},
    };
  }
  const bar = new ProgressBar({
    total,
    start,
    format: '{bar} {value}/{total}  loss {loss}  {rate}  {left} left',
    textWidth: 56,
    payload: { loss: '…', rate: '…', left: '?' },
    clear: false,
    stream,
  });
  return {
    update: ({ step, loss, rate, secondsLeft }) =>
      bar.update(step, () => ({
        loss: loss.toFixed(4),
        rate: formatRate(rate, unit),
        left: formatSeconds(secondsLeft),
      })),
    line: (text) => bar.line(text),
    stop: () => bar.stop(),
  };
}
