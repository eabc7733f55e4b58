/** A conversation at the terminal: questions line by line, answers as they are written. */
import { createInterface } from 'node:readline';
import type { ChatMessage } from '@proj/quant-jit/gemma2';
import { say, stopSignal } from 'app-support';

/** Writes the answer to what was said so far to stdout, and gives it. */
export type Answer = (messages: readonly ChatMessage[], signal: AbortSignal) => Promise<string>;

/** Where questions come from and answers stand. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** The next line; null at the end of the input, or for Ctrl-C. */
function ask({ input, output }: Terminal, history: string[]): Promise<string | null> {
  return new Promise((resolve) => {
    const lines = createInterface({ input, output, terminal: true, history });
    lines.on('history', (now) => history.splice(0, Infinity, ...now));
    lines.on('SIGINT', () => lines.close());
    lines.on('close', () => resolve(null));
    lines.question('> ', (line) => {
      resolve(line);
      lines.close();
    });
  });
}

/**
 * Asks and answers until the input ends or Ctrl-C is pressed; Ctrl-C during an answer ends the answer. `/new` forgets what was said. What `answer` refuses, such as a
 * conversation that is too long, is said, and the question that led to it forgotten.
 */
export async function converse(answer: Answer, terminal: Terminal = { input: process.stdin, output: process.stderr }) {
  say('Ask, line by line. /new begins anew, Ctrl-D ends.');
  const history: string[] = [];
  let messages: ChatMessage[] = [];
  for (;;) {
    const line = (await ask(terminal, history))?.trim();
    if (line === undefined) return 0;
    if (line === '') continue;
    if (line === '/new') {
      messages = [];
      continue;
    }
    const { signal, release } = stopSignal('the answer ends here');
    const question: ChatMessage = { role: 'user', content: line };
    try {
      const text = await answer([...messages, question], signal);
      messages.push(question, { role: 'assistant', content: text });
    } catch (error) {
      say((error as Error).message);
    } finally {
      release();
    }
  }
}
