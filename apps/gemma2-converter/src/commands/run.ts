/** `run`: a prompt to streamed text. */
import { text as readAll } from 'node:stream/consumers';
import { generate, TextStream } from '@proj/quant-jit/gemma2';
import { ProjError } from '@proj/kernel';
import { openConverted, prepare, recordOf, tokenizerOf } from '../model/open.ts';
import {
  count,
  countOrZero,
  deviceShape,
  flag,
  type Flags,
  notNegative,
  readOptions,
  share,
  userPath,
} from '../options.ts';
import { EXIT_INTERRUPTED, say, stopSignal } from './terminal.ts';

const shape = {
  ...deviceShape,
  maxTokens: count.default(256),
  temperature: notNegative.default(0.8),
  topK: countOrZero.default(0),
  topP: share.default(1),
  repetitionPenalty: notNegative.default(1),
  seed: countOrZero.default(0),
  context: count.optional(),
  chat: flag,
  quiet: flag,
} as const;

export async function runRun(file: string, promptWords: readonly string[], flags: Flags): Promise<number> {
  const options = readOptions(shape, flags);
  const given = promptWords.join(' ');
  const prompt = given === '' && !process.stdin.isTTY ? await readAll(process.stdin) : given;
  const model = await openConverted(userPath(file), {
    device: options.device,
    threads: options.threads,
    positions: options.context,
    onMessage: say,
  });
  const tokenizer = tokenizerOf(model);
  const { stopTokens } = recordOf(model);
  const ids = options.chat ? tokenizer.encodeChat([{ role: 'user', content: prompt }]) : tokenizer.encode(prompt);
  if (ids.length === 0)
    throw new ProjError('invalid-argument', 'the prompt is empty', {
      cure: 'Give a prompt as an argument or on stdin',
    });
  const decoder = model.loaded.sequence();
  if (ids.length > 1) prepare(decoder);
  const { signal, release } = stopSignal('stopping');
  const stream = new TextStream(tokenizer);
  const started = performance.now();
  let first = started;
  let made = 0;
  let ended: string;
  try {
    const tokens = generate(decoder, ids, {
      maxNewTokens: options.maxTokens,
      temperature: options.temperature,
      topK: options.topK,
      topP: options.topP,
      repetitionPenalty: options.repetitionPenalty,
      seed: options.seed,
      stopIds: stopTokens,
      signal,
    });
    for (;;) {
      const step = await tokens.next();
      if (step.done === true) {
        ended = step.value;
        break;
      }
      if (made++ === 0) first = performance.now();
      process.stdout.write(stream.push(step.value));
    }
    process.stdout.write(`${stream.end()}\n`);
  } finally {
    release();
  }
  if (!options.quiet) {
    const seconds = (performance.now() - first) / 1000;
    const rate = (tokens: number, over: number): string => (over > 0 ? (tokens / over).toFixed(1) : '–');
    say(
      `${model.deviceText}; loaded in ${model.loadMs.toFixed(1)} ms, of which ${model.compileMs.toFixed(1)} ms for code; ` +
        `prompt ${ids.length} tokens, ${rate(ids.length, (first - started) / 1000)} tokens/s; ` +
        `${made} tokens, ${rate(made - 1, seconds)} tokens/s (${ended})`,
    );
  }
  return ended === 'aborted' ? EXIT_INTERRUPTED : 0;
}
