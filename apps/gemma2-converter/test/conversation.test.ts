/** Conversations at a terminal, and what a decoder remembers of them. */
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { type ChatMessage, generateText } from '@proj/quant-jit/gemma2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { converse } from '../src/commands/conversation.ts';
import { convert } from '../src/conversion/convert.ts';
import { type OpenedModel, openConverted, tokenizerOf } from '../src/model/open.ts';
import { RememberingDecoder } from '../src/model/remembering.ts';
import { temporaryFolder, writeTeacher } from './support.ts';

const { path, remove } = temporaryFolder();
let model: OpenedModel;

beforeAll(async () => {
  writeTeacher(path('teacher'));
  const options = { scheme: 'q8', calibration: 'absmax', kvCache: 'f32', mode: 'exact' } as const;
  await convert(path('teacher'), path('model.q8'), options);
  model = await openConverted(path('model.q8'));
}, 60_000);
afterAll(remove);

/** Types lines, one whenever the prompt stands there, and then `last`. */
async function typed(
  lines: readonly string[],
  last: string,
  answer: (messages: readonly ChatMessage[]) => string,
): Promise<number> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const rest = [...lines.map((line) => `${line}\r`), last];
  let shown = '';
  output.on('data', (data: Buffer) => {
    shown += data.toString();
    // Terminals other than dumb ones are told where the cursor stands.
    if (!stripVTControlCharacters(shown).endsWith('> ')) return;
    shown = '';
    input.write(rest.shift() ?? '');
  });
  return converse((messages) => Promise.resolve(answer(messages)), { input, output });
}

describe('a conversation', () => {
  it.each([
    ['Ctrl-D', '\u0004'],
    ['Ctrl-C', '\u0003'],
  ])('hands on what was said, begins anew when told, forgets what was refused, and ends with %s', async (_, end) => {
    const heard: string[][] = [];
    const status = await typed(['one', '', '  two ', 'three', 'four', '/new', 'five'], end, (messages) => {
      heard.push(messages.map(({ role, content }) => `${role}: ${content}`));
      const question = messages.at(-1)?.content;
      if (question === 'three') throw new RangeError('too long');
      return `${question}!`;
    });
    expect(status).toBe(0);
    const one = ['user: one', 'assistant: one!'];
    const two = ['user: two', 'assistant: two!'];
    expect(heard).toEqual([
      ['user: one'],
      [...one, 'user: two'],
      [...one, ...two, 'user: three'],
      [...one, ...two, 'user: four'],
      ['user: five'],
    ]);
  });
});

describe('a decoder that remembers', () => {
  it('answers as one that reads all anew, and reads less', async () => {
    const tokenizer = tokenizerOf(model);
    const [sequence, fresh] = [model.loaded.sequence(), model.loaded.sequence()];
    const read: number[] = [];
    const feed = sequence.feed.bind(sequence);
    sequence.feed = (ids) => (read.push(ids.length), feed(ids));
    const decoder = new RememberingDecoder(sequence);
    const answer = async (from: Parameters<typeof generateText>[0], prompt: readonly number[]): Promise<string> => {
      let text = '';
      for await (const piece of generateText(from, tokenizer, prompt, { maxNewTokens: 6 })) text += piece;
      return text;
    };
    const first = [2, ...tokenizer.encode('who is there', { addSpecialTokens: false })];
    const prompts = [first, [...first, 70, 71], [...first, 70, 72], first, first.slice(0, 3)];
    for (const prompt of prompts) expect(await answer(decoder, prompt)).toBe(await answer(fresh, prompt));
    const readOfPrompts = read.filter((count) => count > 1);
    expect(readOfPrompts[0]).toBe(first.length);
    expect(read.reduce((sum, count) => sum + count, 0)).toBeLessThan(
      prompts.reduce((sum, { length }) => sum + length + 5, 0) - 3 * (first.length - 3),
    );
  });
});
