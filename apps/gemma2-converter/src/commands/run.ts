/** `run`: a prompt to streamed text, or a conversation. */
import { text as readAll } from 'node:stream/consumers';
import {
  type FinishReason,
  type GemmaTokenizer,
  generate,
  type GenerateOptions,
  TextStream,
} from '@proj/quant-jit/gemma2';
import type { StepModel } from '@proj/quant-jit/jit';
import { ProjError } from '@proj/kernel';
import { type OpenedModel, openConverted, prepare, recordOf, tokenizerOf } from '../model/open.ts';
import { RememberingDecoder } from '../model/remembering.ts';
import { deviceShape, flag, type Flags, readOptions } from '../options.ts';
import { converse } from './conversation.ts';
import { count, countOrZero, EXIT_INTERRUPTED, notNegative, partOfOne, say, stopSignal, userPath } from 'app-support';

const shape = {
  ...deviceShape,
  maxTokens: count.default(256),
  temperature: notNegative.default(0.8),
  topK: countOrZero.default(0),
  topP: partOfOne.default(1),
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
  const writer = new Writer(model, tokenizer, { ...options, maxNewTokens: options.maxTokens });
  if (options.chat && given === '' && process.stdin.isTTY) {
    if (!options.quiet) say(writer.opened);
    return converse(async (messages, signal) => (await writer.write(tokenizer.encodeChat(messages), signal)).text);
  }
  const ids = options.chat ? tokenizer.encodeChat([{ role: 'user', content: prompt }]) : tokenizer.encode(prompt);
  if (ids.length === 0)
    throw new ProjError('invalid-argument', 'the prompt is empty', {
      cure: 'Give a prompt as an argument or on stdin',
    });
  const { signal, release } = stopSignal('stopping');
  try {
    const { ended, times } = await writer.write(ids, signal);
    if (!options.quiet) say(`${writer.opened}; ${times}`);
    return ended === 'aborted' ? EXIT_INTERRUPTED : 0;
  } finally {
    release();
  }
}

interface Written {
  readonly text: string;
  readonly ended: FinishReason;
  /** How fast, in words. */
  readonly times: string;
}

/** Writes texts of a model to stdout. */
class Writer {
  /** What was opened and how fast, in words. */
  readonly opened: string;
  readonly #tokenizer: GemmaTokenizer;
  readonly #sequence: StepModel;
  readonly #decoder: RememberingDecoder;
  readonly #options: GenerateOptions;

  constructor(model: OpenedModel, tokenizer: GemmaTokenizer, options: GenerateOptions) {
    this.opened = `${model.deviceText}; loaded in ${model.loadMs.toFixed(1)} ms, of which ${model.compileMs.toFixed(1)} ms for code`;
    this.#tokenizer = tokenizer;
    this.#sequence = model.loaded.sequence();
    this.#decoder = new RememberingDecoder(this.#sequence);
    this.#options = { ...options, stopIds: recordOf(model).stopTokens };
  }

  async write(ids: readonly number[], signal: AbortSignal): Promise<Written> {
    const stream = new TextStream(this.#tokenizer);
    if (ids.length > 1) prepare(this.#sequence);
    const started = performance.now();
    let first = started;
    let made = 0;
    let text = '';
    const put = (piece: string): void => {
      text += piece;
      process.stdout.write(piece);
    };
    const tokens = generate(this.#decoder, ids, { ...this.#options, signal });
    for (;;) {
      const step = await tokens.next();
      if (step.done !== true) {
        if (made++ === 0) first = performance.now();
        put(stream.push(step.value));
        continue;
      }
      put(stream.end());
      process.stdout.write('\n');
      const rate = (count: number, ms: number): string => (ms > 0 ? ((1000 * count) / ms).toFixed(1) : '–');
      const times =
        `prompt ${ids.length} tokens, ${rate(ids.length, first - started)} tokens/s; ` +
        `${made} tokens, ${rate(made - 1, performance.now() - first)} tokens/s (${step.value})`;
      return { text, ended: step.value, times };
    }
  }
}
