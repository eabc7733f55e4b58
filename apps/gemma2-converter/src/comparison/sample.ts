/** What models are compared on: the end of a text, in windows, and prompts from it; the begin trains the n-gram model that all have to beat. */
import { ProjError } from '@proj/kernel';
import type { GemmaTokenizer } from '@proj/quant-jit/gemma2';

/** Sizes of a comparison, in tokens. */
export interface SampleSettings {
  /** Tokens that are measured. */
  readonly tokens: number;
  /** Texts that are generated, the tokens of each, and of their prompts. */
  readonly generations: number;
  readonly generated: number;
  readonly prompt: number;
  /** Longest window. */
  readonly window: number;
}

/** A text made ready. */
export interface TextSample {
  /** For the n-gram model. */
  readonly training: readonly number[];
  /** Each begins with <bos> where the tokenizer has it. */
  readonly windows: readonly (readonly number[])[];
  readonly prompts: readonly (readonly number[])[];
  readonly settings: SampleSettings;
}

const TRAINING_SHARE = 0.9;
/** Of the n-gram model's text; more would only take long. */
const MOST_TRAINING_CHARACTERS = 4_000_000;

/** Cuts a text. */
export function sampleText(text: string, tokenizer: GemmaTokenizer, settings: SampleSettings): TextSample {
  const start = tokenizer.bosId === null ? [] : [tokenizer.bosId];
  const border = Math.floor(TRAINING_SHARE * text.length);
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const training = encode(text.slice(Math.max(0, border - MOST_TRAINING_CHARACTERS), border));
  const held = encode(text.slice(border, border + 16 * (settings.tokens + settings.window)));
  const size = settings.window - start.length;
  const windows: number[][] = [];
  for (let at = 0; at + size <= held.length && windows.length * size < settings.tokens; at += size)
    windows.push([...start, ...held.slice(at, at + size)]);
  if (windows.length === 0)
    throw new ProjError(
      'invalid-argument',
      `--text: its last tenth has ${held.length} tokens, a window takes ${size}`,
      {
        cure: 'Give a longer text, or a smaller --window',
      },
    );
  const length = settings.prompt - start.length;
  const step = Math.max(1, Math.floor((held.length - length) / Math.max(1, settings.generations)));
  const prompts = Array.from({ length: settings.generations }, (_, i) => [
    ...start,
    ...held.slice(i * step, i * step + length),
  ]);
  return { training, windows, prompts, settings };
}
