/** What the user sees while work goes on: a bar on a terminal, a line now and then elsewhere. On stderr, so that results can be piped. */
import { SingleBar } from 'cli-progress';

/** Work that goes from 0 to a total. */
export interface Progress {
  /** `detail` is what is being worked on. */
  update(done: number, detail: string): void;
  stop(): void;
}

const LINES = 10;
const MIN_INTERVAL_MS = 100;

/** Begins to show work of `total` units under a title. */
export function createProgress(
  title: string,
  total: number,
  stream: NodeJS.WriteStream = process.stderr,
  start = 0,
): Progress {
  if (!stream.isTTY) {
    let shown = Math.floor((LINES * start) / total);
    return {
      update: (done, detail) => {
        const part = total === 0 ? LINES : Math.floor((LINES * done) / total);
        if (part <= shown) return;
        shown = part;
        stream.write(`${title} ${Math.floor((100 * done) / Math.max(1, total))}%  ${detail}\n`);
      },
      stop: () => {},
    };
  }
  const bar = new SingleBar({
    format: `${title} {bar} {percentage}%  {detail}`,
    stream,
    hideCursor: true,
    clearOnComplete: true,
    barsize: 28,
  });
  bar.start(total, start, { detail: '' });
  let last = 0;
  return {
    update: (done, detail) => {
      const now = performance.now();
      if (now - last < MIN_INTERVAL_MS && done < total) return;
      last = now;
      bar.update(done, { detail });
    },
    stop: () => bar.stop(),
  };
}
