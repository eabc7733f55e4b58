/** The log of a run: one JSON object a line. On resuming, what was written after the checkpoint is dropped, so that steps appear once. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileError } from '@proj/tensor/io';

export interface LogEntry {
  readonly step: number;
  readonly [field: string]: number | string;
}

export class RunLog {
  readonly path: string;
  readonly #entries: LogEntry[];

  /** Opens `path` and keeps entries up to `fromStep`; 0 starts a new log. */
  constructor(path: string, fromStep: number) {
    this.path = path;
    this.#entries = fromStep > 0 && existsSync(path) ? readLog(path).filter((entry) => entry.step <= fromStep) : [];
    this.#guard(() => writeFileSync(path, this.#entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')));
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  add(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#guard(() => appendFileSync(this.path, `${JSON.stringify(entry)}\n`));
  }

  #guard(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      throw fileError('RunLog', 'write', this.path, error);
    }
  }
}

/** The entries of a log; a last line that a crash cut short is left out. */
export function readLog(path: string): LogEntry[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line): LogEntry[] => {
      try {
        return line === '' ? [] : [JSON.parse(line) as LogEntry];
      } catch {
        return [];
      }
    });
}
