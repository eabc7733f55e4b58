/** The HTTP server: OpenAI's interface for texts and conversations, health, and metrics. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { ProjError, steadyYoungGeneration, toProjError } from '@proj/kernel';
import { type GemmaTokenizer, TextStream } from '@proj/quant-jit/gemma2';
import type { SequenceGroup } from '@proj/quant-jit/jit';
import { Answer, type AnswerKind, sendJson } from './answers.ts';
import { Gauge, ServerMetrics } from './metrics.ts';
import { parseChat, parseCompletion, RequestError, type TextRequest } from './requests.ts';
import { Scheduler, type Ticket } from './scheduler.ts';
import { StopStrings } from './stop-strings.ts';

/** What is served, and how much of it at once. */
export interface ServerSettings {
  readonly modelName: string;
  readonly tokenizer: GemmaTokenizer;
  readonly stopTokens: readonly number[];
  /** A sequence for each request that runs at the same time. */
  readonly group: SequenceGroup;
  /** Requests that may wait. */
  readonly queue: number;
  /** Largest body of a request, in bytes. */
  readonly maxBody: number;
  /** Milliseconds after which a client that reads nothing is given up (default: a minute). */
  readonly readingTimeout?: number;
  readonly log?: (line: string) => void;
}

/** Bytes that may wait for a reader before its job misses turns. */
const MOST_UNREAD = 1 << 18;
/** How long a reader may leave that unread, and how long a request may take to arrive, in milliseconds. */
const READING_TIMEOUT = 60_000;
const REQUEST_TIMEOUT = 30_000;
const RETRY_SECONDS = 1;
const MODEL_PATH = '/v1/models/';

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly handle: Handler;
}

/** Serves one model. */
export class ModelServer {
  readonly scheduler: Scheduler;
  readonly metrics: ServerMetrics;
  readonly http: Server;
  readonly #settings: ServerSettings;
  readonly #started = Math.floor(Date.now() / 1000);
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #longestToken: number;
  #closing = false;
  #seed = 0;

  constructor(settings: ServerSettings) {
    this.#settings = settings;
    this.#longestToken = longestToken(settings.tokenizer);
    this.scheduler = new Scheduler(settings.group, settings.queue, {
      onStep: (seconds, promptTokens) => {
        steadyYoungGeneration();
        this.metrics.step.observe(seconds);
        if (promptTokens > 0) this.metrics.promptTokens.add(promptTokens);
      },
      onRemembered: (tokens) => this.metrics.rememberedTokens.add(tokens),
    });
    this.metrics = new ServerMetrics([
      new Gauge('gemma2_slots', 'Sequences that can run at once.', () => this.scheduler.load.slots),
      new Gauge('gemma2_slots_active', 'Sequences that run.', () => this.scheduler.load.active),
      new Gauge('gemma2_queue_length', 'Requests that wait.', () => this.scheduler.load.waiting),
      new Gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss()),
      new Gauge('process_start_time_seconds', 'When the server began.', () => this.#started),
    ]);
    this.#routes = new Map<string, Route>([
      ['/health', { method: 'GET', handle: (_, response) => this.#health(response) }],
      ['/metrics', { method: 'GET', handle: (_, response) => this.#sendMetrics(response) }],
      ['/v1/models', { method: 'GET', handle: (_, response) => this.#models(response) }],
      [
        '/v1/completions',
        { method: 'POST', handle: (request, response) => this.#text('completion', request, response) },
      ],
      [
        '/v1/chat/completions',
        { method: 'POST', handle: (request, response) => this.#text('chat', request, response) },
      ],
    ]);
    this.http = createServer((request, response) => void this.#answer(request, response));
    this.http.requestTimeout = REQUEST_TIMEOUT;
    this.http.headersTimeout = REQUEST_TIMEOUT;
  }

  /** Begins to listen; gives the port. @throws ProjError `io` when the address is taken or not ours. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.http.once('error', (error) =>
        reject(
          new ProjError('io', `cannot listen on ${host}:${port}: ${error.message}`, {
            cure: 'Choose another --port or --host',
            cause: error,
          }),
        ),
      );
      this.http.listen(port, host, () => {
        const address = this.http.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Takes no more requests, lets those that run come to an end for `graceMs`, then ends them. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.http.close(() => resolve()));
    this.http.closeIdleConnections();
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, graceMs)));
    await Promise.race([this.scheduler.whenIdle(), patience]);
    clearTimeout(timer);
    this.scheduler.abortAll();
    // Answers that were just ended have a moment to leave.
    await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 200))]);
    this.http.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0];
    // Whatever clients make up, there are as many labels as paths.
    const label = this.#routes.has(path) ? path : path.startsWith(MODEL_PATH) ? `${MODEL_PATH}{model}` : 'other';
    response.on('close', () => this.metrics.requests.add(1, { path: label, status: statusOf(response) }));
    try {
      await this.#route(path, request)(request, response);
    } catch (error) {
      this.#fail(response, error);
    }
  }

  #route(path: string, { method }: IncomingMessage): Handler {
    const route: Route | undefined = path.startsWith(MODEL_PATH)
      ? { method: 'GET', handle: (_, response) => this.#model(decodeName(path), response) }
      : this.#routes.get(path);
    if (route === undefined)
      throw new RequestError(
        404,
        'unknown_path',
        `there is no ${path}; there are ${[...this.#routes.keys()].join(', ')}`,
      );
    if (method !== route.method && !(method === 'HEAD' && route.method === 'GET'))
      throw new RequestError(405, 'method_not_allowed', `${path} takes ${route.method}, not ${method}`, {
        headers: { allow: route.method },
      });
    return route.handle;
  }

  #fail(response: ServerResponse, error: unknown): void {
    // Whoever left in the middle of a request hears no answer.
    if (response.closed) return;
    const known =
      error instanceof RequestError ? error : new RequestError(500, 'internal_error', toProjError(error).message);
    if (known.status >= 500) this.#settings.log?.(`error: ${known.message}`);
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    // What is left of the body is not read.
    const headers: Record<string, string> = known.status === 413 ? { connection: 'close' } : {};
    sendJson(response, known.status, known.body, { ...headers, ...known.headers });
  }

  #health(response: ServerResponse): void {
    const { load } = this.scheduler;
    sendJson(response, this.#closing ? 503 : 200, { status: this.#closing ? 'closing' : 'ok', ...load });
  }

  #sendMetrics(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(this.metrics.text());
  }

  get #modelObject(): object {
    return { id: this.#settings.modelName, object: 'model', created: this.#started, owned_by: 'local' };
  }

  #models(response: ServerResponse): void {
    sendJson(response, 200, { object: 'list', data: [this.#modelObject] });
  }

  #model(name: string, response: ServerResponse): void {
    this.#checkModel(name);
    sendJson(response, 200, this.#modelObject);
  }

  #checkModel(name: string | null): void {
    if (name !== null && name !== this.#settings.modelName)
      throw new RequestError(
        404,
        'model_not_found',
        `there is no model "${name}"; there is "${this.#settings.modelName}"`,
        {
          param: 'model',
        },
      );
  }

  async #text(kind: AnswerKind, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const arrived = performance.now();
    const body = await readJson(request, this.#settings.maxBody);
    const wanted = kind === 'chat' ? parseChat(body) : parseCompletion(body);
    this.#checkModel(wanted.model);
    const prompt = this.#promptOf(wanted);
    const room = this.scheduler.maxLength - prompt.length;
    if (this.#closing) throw new RequestError(503, 'closing', 'the server is closing');
    const answer = new Answer(response, {
      kind,
      model: this.#settings.modelName,
      stream: wanted.stream,
      includeUsage: wanted.includeUsage,
      promptTokens: prompt.length,
    });
    const { tokenizer, stopTokens, readingTimeout = READING_TIMEOUT, log } = this.#settings;
    const { metrics } = this;
    const stream = new TextStream(tokenizer);
    const stops = new StopStrings(wanted.stop);
    let made = 0;
    let ended = false;
    let unreadSince: number | null = null;
    const ready = (): boolean => {
      if (response.writableLength < MOST_UNREAD) {
        unreadSince = null;
        return true;
      }
      unreadSince ??= performance.now();
      if (performance.now() - unreadSince > readingTimeout) response.destroy();
      return false;
    };
    const ticket: Ticket | null = this.scheduler.submit({
      prompt,
      maxNewTokens: Math.min(wanted.maxTokens ?? room, room),
      stopIds: new Set(stopTokens),
      temperature: wanted.temperature,
      topP: wanted.topP,
      topK: wanted.topK,
      repetitionPenalty: wanted.repetitionPenalty,
      seed: wanted.seed ?? this.#seed++,
      ready,
      onToken: (id) => {
        if (made++ === 0) metrics.firstToken.observe((performance.now() - arrived) / 1000);
        metrics.generatedTokens.add();
        answer.push(stops.push(stream.push(id)));
        return stops.stopped;
      },
      onEnd: (reason) => {
        ended = true;
        answer.push(stops.push(stream.end()) + stops.end());
        answer.end(stops.stopped ? 'stop' : reason, made);
      },
      onError: (error) => {
        ended = true;
        log?.(`error: ${error.message}`);
        const failure = new RequestError(500, 'internal_error', error.message);
        if (response.headersSent) answer.fail(failure.body);
        else this.#fail(response, failure);
      },
    });
    if (ticket === null)
      throw new RequestError(
        429,
        'queue_full',
        `${this.scheduler.load.waiting} requests wait already: try again later`,
        {
          headers: { 'retry-after': String(RETRY_SECONDS) },
        },
      );
    response.on('close', () => {
      if (ended) return;
      ended = true;
      ticket.cancel();
      metrics.cancelled.add();
    });
    answer.begin();
  }

  /** The tokens of a prompt, checked. */
  #promptOf({ prompt, messages }: TextRequest): readonly number[] {
    const { tokenizer } = this.#settings;
    const ids = this.#encode(prompt, messages);
    const unknown = ids.find((id) => tokenizer.tokenOf(id) === null);
    if (unknown !== undefined)
      throw new RequestError(400, 'invalid_parameter', `prompt: there is no token ${unknown}`, { param: 'prompt' });
    if (ids.length === 0)
      throw new RequestError(400, 'invalid_parameter', 'the prompt has no tokens', { param: 'prompt' });
    const longest = this.scheduler.maxLength;
    if (ids.length >= longest) throw this.#tooLong(`${ids.length} tokens`, messages === null ? 'prompt' : 'messages');
    return ids;
  }

  #tooLong(size: string, param: string): RequestError {
    return new RequestError(
      400,
      'context_length_exceeded',
      `the prompt has ${size}, the context holds ${this.scheduler.maxLength}, the answer included`,
      { param },
    );
  }

  #encode(prompt: TextRequest['prompt'], messages: TextRequest['messages']): readonly number[] {
    const { tokenizer } = this.#settings;
    if (messages === null) return typeof prompt === 'string' ? this.#tokens(prompt, 'prompt', true) : (prompt ?? []);
    const longest = this.scheduler.maxLength;
    if (messages.length > longest) throw this.#tooLong(`${messages.length} messages`, 'messages');
    let text: string;
    try {
      text = tokenizer.renderChat(messages);
    } catch (error) {
      throw new RequestError(400, 'invalid_messages', toProjError(error).message, { param: 'messages' });
    }
    // The template writes <bos> itself.
    return this.#tokens(text, 'messages', false);
  }

  /** The tokens of a text. One that cannot fit is not tokenised: that would keep all others waiting. */
  #tokens(text: string, param: string, addSpecialTokens: boolean): readonly number[] {
    const fewest = Math.ceil(text.length / this.#longestToken);
    if (fewest > this.scheduler.maxLength) throw this.#tooLong(`at least ${fewest} tokens`, param);
    return this.#settings.tokenizer.encode(text, { addSpecialTokens });
  }
}

/** What was answered; 499, as others have it, where the client left before. */
const statusOf = ({ headersSent, statusCode }: ServerResponse): string => (headersSent ? String(statusCode) : '499');

/** Characters of the longest token. */
function longestToken(tokenizer: GemmaTokenizer): number {
  let longest = 1;
  for (let id = 0; id < tokenizer.vocabSize; id++) longest = Math.max(longest, tokenizer.tokenOf(id)?.length ?? 0);
  return longest;
}

function decodeName(path: string): string {
  try {
    return decodeURIComponent(path.slice(MODEL_PATH.length));
  } catch {
    throw new RequestError(400, 'invalid_path', `${path} is not well encoded`);
  }
}

/** The JSON body of a request. @throws RequestError 413, 415 or 400. */
async function readJson(request: IncomingMessage, most: number): Promise<unknown> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json\b/i.test(type))
    throw new RequestError(415, 'unsupported_media_type', 'send JSON with "content-type: application/json"');
  if (!/^(identity)?$/i.test(request.headers['content-encoding'] ?? ''))
    throw new RequestError(415, 'unsupported_encoding', 'send the body as it is, without "content-encoding"');
  const tooLarge = (): RequestError => new RequestError(413, 'body_too_large', `the body is larger than ${most} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > most) throw tooLarge();
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > most) throw tooLarge();
    parts.push(part);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new RequestError(400, 'invalid_json', 'the body is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RequestError(400, 'invalid_json', `the body is not JSON: ${(error as Error).message}`);
  }
}
