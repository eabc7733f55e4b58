/** What the user sees while work goes on: a bar on a terminal, a line now and then elsewhere. On stderr, so that results can be piped. */
import { ProgressBar } from 'app-support';

/** Work that goes from 0 to a total. */
export interface Progress {
  /** `detail` is what is being worked on. */
  update(done: number, detail: string): void;
  stop(): void;
}

const LINES = 10;
/** Columns for percent and detail. */
const DETAIL_WIDTH = 40;

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
  const bar = new ProgressBar({
    total,
    start,
    format: `${title} {bar} {percentage}%  {detail}`,
    textWidth: title.length + DETAIL_WIDTH,
    payload: { detail: '' },
    clear: true,
    stream,
  });
  return {
    update: (done, detail) => bar.update(done, () => ({ detail })),
    stop: () => bar.stop(),
  };
}
