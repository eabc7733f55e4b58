/** A bar on a terminal, with lines above it. */
import { SingleBar } from 'cli-progress';

const MIN_INTERVAL_MS = 100;
const BAR = { least: 6, most: 28 } as const;

/** What the terminal of a bar can do beside drawing it. */
interface Cursor {
  cursorSave(): void;
  cursorRestore(): void;
}

/** What a bar looks like. */
export interface ProgressBarOptions {
  readonly total: number;
  readonly start: number;
  /** The line in the notation of cli-progress; `{bar}` gets what is left of the terminal's width. */
  readonly format: string;
  /** Columns that the rest of the line takes. */
  readonly textWidth: number;
  readonly payload: Readonly<Record<string, string>>;
  /** Whether the bar goes when it stops. */
  readonly clear: boolean;
  readonly stream: NodeJS.WriteStream;
}

/** Draws at most ten times a second. */
export class ProgressBar {
  readonly #bar: SingleBar;
  readonly #stream: NodeJS.WriteStream;
  readonly #total: number;
  #drawn = 0;

  constructor({ total, start, format, textWidth, payload, clear, stream }: ProgressBarOptions) {
    this.#stream = stream;
    this.#total = total;
    const room = (stream.columns ?? 80) - textWidth;
    this.#bar = new SingleBar({
      format,
      stream,
      hideCursor: true,
      clearOnComplete: clear,
      barsize: Math.max(BAR.least, Math.min(BAR.most, room)),
      etaBuffer: 1,
    });
    // When it stops, cli-progress puts the cursor back to where the bar began: on what has been printed above it since.
    const { terminal } = this.#bar as unknown as { readonly terminal: Cursor };
    terminal.cursorSave = terminal.cursorRestore = () => {};
    this.#bar.start(total, start, payload);
  }

  update(done: number, payload: () => Readonly<Record<string, string>>): void {
    const now = performance.now();
    if (now - this.#drawn < MIN_INTERVAL_MS && done < this.#total) return;
    this.#drawn = now;
    this.#bar.update(done, payload());
  }

  /** Prints a line above the bar. */
  line(text: string): void {
    this.#stream.write(`\r\x1b[K${text}\n`);
  }

  stop(): void {
    this.#bar.stop();
  }
}
