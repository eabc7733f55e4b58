/** Tokens and text: byte tokenizer, chat, streams of tokens, sampling, generation. */
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it, vi } from 'vitest';
import {
  argmax,
  byteIds,
  byteTokenizer,
  type Decoder,
  type FinishReason,
  generate,
  generateText,
  GemmaTokenizer,
  Sampler,
  sampleToken,
  TextStream,
} from '../src/gemma2/index.ts';

const GEMMA_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
  "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}" +
  "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

describe('the byte tokenizer', () => {
  const tokenizer = byteTokenizer();
  it('has bytes as ids, whatever the text', () => {
    for (const text of ['', 'plain', '  two  spaces\n\ttab', 'café 你好 😀', '▁<0x41>']) {
      expect(tokenizer.encode(text)).toEqual([256, ...new TextEncoder().encode(text)]);
      expect([...byteIds(text)]).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
      expect(tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: true })).toBe(text);
    }
    expect([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([259, 256, 257, 258]);
  });
  it('gives U+FFFD for each byte of a run that is not UTF-8, as the reference does', () => {
    expect(tokenizer.decode([0xe4, 0xbd])).toBe('\uFFFD\uFFFD');
    expect(tokenizer.decode([0x61, 0xff])).toBe('\uFFFD\uFFFD');
    expect(tokenizer.decode([0xff, 257, 0x61])).toBe('\uFFFD<eos>a');
    expect(tokenizer.decode([0xef, 0xbb, 0xbf, 0x61])).toBe('\uFEFFa');
  });
  it('keeps no memory of texts for long', () => {
    const words = Object.getPrototypeOf(new Tokenizer(tokenizer.json, {}).model) as { clear_cache(): void };
    const emptied = vi.spyOn(words, 'clear_cache');
    for (let i = 0; i < 600; i++) expect(tokenizer.encode(`${i}`)).toEqual([256, ...new TextEncoder().encode(`${i}`)]);
    expect(emptied).toHaveBeenCalledTimes(2);
    emptied.mockRestore();
  });
  it('refuses ids that it does not have', () => {
    expect(() => tokenizer.decode([259])).toThrow(/no token 259/);
  });
});

describe('chat', () => {
  it('follows the template of the model', () => {
    const gemma = new GemmaTokenizer(byteTokenizer().json, { bos_token: '<bos>', chat_template: GEMMA_TEMPLATE });
    expect(
      gemma.renderChat([
        { role: 'user', content: ' Hi ' },
        { role: 'assistant', content: 'Ho' },
      ]),
    ).toBe('<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHo<end_of_turn>\n<start_of_turn>model\n');
    expect(() => gemma.renderChat([{ role: 'system', content: 'x' }])).toThrow(/refuses: System role not supported/);
    const named = {
      bos_token: '<bos>',
      chat_template: [{ name: 'tool', template: 't' }, null, { name: 'default', template: 'd' }],
    };
    expect(new GemmaTokenizer(byteTokenizer().json, named).renderChat([])).toBe('d');
  });
  it('begins with one <bos>', () => {
    const tokenizer = byteTokenizer();
    const ids = tokenizer.encodeChat([{ role: 'user', content: 'x' }]);
    expect(ids).toEqual([256, ...byteIds('user: x\nassistant: ')]);
  });
  it('says that a model has no template', () => {
    const plain = new GemmaTokenizer(byteTokenizer().json, {});
    expect(plain.hasChatTemplate).toBe(false);
    expect(() => plain.renderChat([])).toThrow(/no chat template/);
  });
});

describe('a stream of tokens', () => {
  it('never gives a part of a character, and gives all of the text', () => {
    const text = 'añ你😀!\u{10FFFF}é';
    const stream = new TextStream(byteTokenizer());
    const pieces = [...byteIds(text)].map((id) => stream.push(id));
    expect(pieces.join('') + stream.end()).toBe(text);
    expect(pieces.filter((piece) => piece !== '')).toEqual([...text]);
  });
  it('does not wait for what cannot come', () => {
    const stream = new TextStream(byteTokenizer());
    expect([0xbd, 0x61, 0xe4, 0xbd].map((id) => stream.push(id))).toEqual(['\uFFFD', 'a', '', '']);
    expect(stream.end()).toBe('\uFFFD\uFFFD');
    expect(stream.end()).toBe('');
  });
});

describe('sampling', () => {
  const logits = Float32Array.of(1, 3, 2, -Infinity, 3);
  /** Shares of tokens over evenly spread random numbers. */
  const shares = (options: object): number[] => {
    const counts = new Array<number>(logits.length).fill(0);
    for (let i = 0; i < 10_000; i++) counts[sampleToken(logits, (i + 0.5) / 10_000, options)] += 1e-4;
    return counts;
  };
  const expectShares = (options: object, weights: readonly number[]): void => {
    const total = weights.reduce((sum, w) => sum + w, 0);
    shares(options).forEach((share, i) => expect(share).toBeCloseTo(weights[i] / total, 3));
  };

  it('is greedy at temperature zero, the first of equals', () => {
    expect(sampleToken(logits, 0.99)).toBe(1);
    expect(argmax(logits)).toBe(1);
  });
  it('has the probabilities of the softmax', () => {
    expectShares({ temperature: 1 }, [Math.exp(1), Math.exp(3), Math.exp(2), 0, Math.exp(3)]);
    expectShares({ temperature: 2 }, [Math.exp(0.5), Math.exp(1.5), Math.exp(1), 0, Math.exp(1.5)]);
  });
  it('keeps the k most likely, the lower id among equals', () => {
    expectShares({ temperature: 1, topK: 3 }, [0, Math.exp(3), Math.exp(2), 0, Math.exp(3)]);
    expectShares({ temperature: 1, topK: 1 }, [0, 1, 0, 0, 0]);
  });
  it('keeps the fewest that reach p', () => {
    // Shares: .3995, .3995, .147, .054.
    expectShares({ temperature: 1, topP: 0.39 }, [0, 1, 0, 0, 0]);
    expectShares({ temperature: 1, topP: 0.41 }, [0, 1, 0, 0, 1]);
    expectShares({ temperature: 1, topP: 0.9 }, [0, Math.exp(3), Math.exp(2), 0, Math.exp(3)]);
    expectShares({ temperature: 1, topK: 3, topP: 0.5 }, [0, 1, 0, 0, 1]);
  });
  it('makes tokens that are there less likely', () => {
    expect(sampleToken(logits, 0, { repetitionPenalty: 1.2 }, [1])).toBe(4);
    expect(sampleToken(Float32Array.of(-1, -1.1), 0, { repetitionPenalty: 1.2 }, [0])).toBe(1);
    expect(Array.from(logits)).toEqual([1, 3, 2, -Infinity, 3]);
  });
  it('repeats itself for one seed', () => {
    const run = (seed: number): number[] => {
      const sampler = new Sampler({ temperature: 1, seed });
      return Array.from({ length: 50 }, () => sampler.next(logits));
    };
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
  });
  it('refuses options without meaning, and logits without numbers', () => {
    expect(() => new Sampler({ temperature: -1 })).toThrow(/temperature is -1/);
    expect(() => new Sampler({ topP: 0 })).toThrow(/topP is 0/);
    expect(() => new Sampler({ topK: 1.5 })).toThrow(/topK is 1.5/);
    expect(() => new Sampler({ seed: -1 })).toThrow(/seed is -1/);
    expect(() => sampleToken(Float32Array.of(Number.NaN, Number.NaN), 0)).toThrow(/no logit is a number/);
  });
});

describe('generation', () => {
  /** Predicts the byte after the last one. */
  class Counter implements Decoder {
    readonly maxLength: number;
    fed: number[][] = [];
    constructor(maxLength = 1000) {
      this.maxLength = maxLength;
    }
    reset(): void {
      this.fed = [];
    }
    feed(ids: readonly number[]): Float32Array {
      this.fed.push([...ids]);
      const logits = new Float32Array(259);
      logits[ids[ids.length - 1] + 1] = 1;
      return logits;
    }
  }
  async function all<T>(tokens: AsyncGenerator<T, FinishReason>): Promise<[T[], FinishReason]> {
    const found: T[] = [];
    for (;;) {
      const { value, done } = await tokens.next();
      if (done === true) return [found, value];
      found.push(value);
    }
  }

  it('feeds the prompt at once and then each token, until the limit', async () => {
    const decoder = new Counter();
    expect(await all(generate(decoder, [5, 6, 7], { maxNewTokens: 3 }))).toEqual([[8, 9, 10], 'length']);
    expect(decoder.fed).toEqual([[5, 6, 7], [8], [9]]);
  });
  it('ends at a stop token, which is not given', async () => {
    expect(await all(generate(new Counter(), [5], { stopIds: [8] }))).toEqual([[6, 7], 'stop']);
  });
  it('ends when the model is full, and refuses a prompt that does not fit', async () => {
    expect(await all(generate(new Counter(4), [1, 2]))).toEqual([[3, 4, 5], 'length']);
    await expect(all(generate(new Counter(4), [1, 2, 3, 4, 5]))).rejects.toThrow(
      /prompt of 5 tokens; the model holds 4/,
    );
    await expect(all(generate(new Counter(), []))).rejects.toThrow(/no tokens/);
  });
  it('ends when it is told to', async () => {
    const controller = new AbortController();
    const tokens = generate(new Counter(), [1], { signal: controller.signal });
    expect((await tokens.next()).value).toBe(2);
    controller.abort();
    expect(await tokens.next()).toEqual({ done: true, value: 'aborted' });
  });
  it('gives text in whole characters', async () => {
    const [pieces, reason] = await all(
      generateText(new Counter(), byteTokenizer(), [...byteIds('a')], { maxNewTokens: 3 }),
    );
    expect([pieces, reason]).toEqual([['b', 'c', 'd'], 'length']);
  });
  it('gives no text for rows of a padded embedding table, which are no tokens', () => {
    const stream = new TextStream(byteTokenizer());
    expect([0xc3, 300, 0xa9, 301, 97].map((id) => stream.push(id))).toEqual(['', '', 'é', '', 'a']);
    expect(stream.end()).toBe('');
  });
});
