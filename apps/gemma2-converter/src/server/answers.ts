/** One answer to a text request, streamed as server-sent events or whole, in OpenAI's forms. */
import type { ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import type { FinishReason } from '@proj/quant-jit/gemma2';

/** Which of the two interfaces is spoken. */
export type AnswerKind = 'completion' | 'chat';

/** What an answer needs to know. */
export interface AnswerSettings {
  readonly kind: AnswerKind;
  readonly model: string;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly promptTokens: number;
}

type Reason = 'stop' | 'length' | null;

/** Writes one answer. */
export class Answer {
  readonly #response: ServerResponse;
  readonly #settings: AnswerSettings;
  readonly #id: string;
  readonly #created = Math.floor(Date.now() / 1000);
  /** What is around the text of an event: made once, since there is an event for every token. */
  readonly #around: readonly [before: string, after: string];
  #text = '';

  constructor(response: ServerResponse, settings: AnswerSettings) {
    this.#response = response;
    this.#settings = settings;
    this.#id = `${settings.kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`;
    const event = eventOf(this.#chunk(this.#content(''), null));
    const at = event.lastIndexOf('""');
    this.#around = [event.slice(0, at), event.slice(at + 2)];
  }

  /** Begins a stream. */
  begin(): void {
    const { stream, kind } = this.#settings;
    if (!stream) return;
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      connection: 'keep-alive',
    });
    this.#response.flushHeaders();
    if (kind === 'chat') this.#event(this.#chunk({ role: 'assistant', content: '' }, null));
  }

  /** More text. */
  push(text: string): void {
    if (text === '') return;
    if (!this.#settings.stream) this.#text += text;
    else this.#response.write(this.#around[0] + JSON.stringify(text) + this.#around[1]);
  }

  /** The end, after the last text. */
  end(finish: FinishReason, generated: number): void {
    const reason: Reason = finish === 'stop' ? 'stop' : 'length';
    const { stream, kind, includeUsage, promptTokens } = this.#settings;
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: generated,
      total_tokens: promptTokens + generated,
    };
    if (!stream) {
      const choice =
        kind === 'chat'
          ? { index: 0, message: { role: 'assistant', content: this.#text }, logprobs: null, finish_reason: reason }
          : { index: 0, text: this.#text, logprobs: null, finish_reason: reason };
      const object = kind === 'chat' ? 'chat.completion' : 'text_completion';
      sendJson(this.#response, 200, { ...this.#head(object), choices: [choice], usage });
      return;
    }
    this.#event(this.#chunk(kind === 'chat' ? {} : '', reason));
    if (includeUsage) this.#event({ ...this.#head(this.#chunkObject), choices: [], usage });
    this.#response.end('data: [DONE]\n\n');
  }

  /** An error after the stream has begun. */
  fail(body: object): void {
    this.#event(body);
    this.#response.end('data: [DONE]\n\n');
  }

  get #chunkObject(): string {
    return this.#settings.kind === 'chat' ? 'chat.completion.chunk' : 'text_completion';
  }

  #head(object: string): object {
    return { id: this.#id, object, created: this.#created, model: this.#settings.model };
  }

  #content(text: string): string | object {
    return this.#settings.kind === 'chat' ? { content: text } : text;
  }

  #chunk(content: string | object, reason: Reason): object {
    const part = typeof content === 'string' ? { text: content } : { delta: content };
    return {
      ...this.#head(this.#chunkObject),
      choices: [{ index: 0, ...part, logprobs: null, finish_reason: reason }],
    };
  }

  #event(data: object): void {
    this.#response.write(eventOf(data));
  }
}

const eventOf = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;

/** Sends JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}
