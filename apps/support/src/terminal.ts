/** How programs talk, where the user stands, and how Ctrl-C reaches what runs. */
import { resolve } from 'node:path';

/** Exit status of what was interrupted. */
export const EXIT_INTERRUPTED = 130;
/** A result. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`);
/** What goes on. */
export const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Where the user stands: npm and pnpm change the folder before they start a script. */
export const userFolder = (): string => process.env['INIT_CWD'] || process.cwd();
/** A path that counts from where the user stands. */
export const userPath = (path: string): string => resolve(userFolder(), path);

/**
 * A signal that Ctrl-C (or SIGTERM) aborts; the second one ends the program. Both wait for what holds the thread: where that may be long and there is nothing
 * to save yet, make it later, and hand out the controller's signal until then.
 */
export function stopSignal(
  message: string,
  controller = new AbortController(),
): { readonly signal: AbortSignal; release(): void } {
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
    controller.abort();
    say(signal === 'SIGINT' ? `\n${message}; press Ctrl-C again to stop at once` : message);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release: () => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    },
  };
}
