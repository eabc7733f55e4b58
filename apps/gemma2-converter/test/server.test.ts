/** The server over loopback: many at once, fair turns, clients that leave, requests that make no sense, and its end. */
import { connect } from 'node:net';
import { generateText, TextStream } from '@proj/quant-jit/gemma2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convert } from '../src/conversion/convert.ts';
import { type OpenedModel, openConverted, recordOf, tokenizerOf } from '../src/model/open.ts';
import { ModelServer } from '../src/server/server.ts';
import { StopStrings } from '../src/server/stop-strings.ts';
import { run, start, temporaryFolder, writeTeacher } from './support.ts';

const { path, remove } = temporaryFolder();
let model: OpenedModel;
let server: ModelServer;
let base: string;
/** The server's log. */
const said: string[] = [];
const JSON_TYPE = { 'content-type': 'application/json' };

beforeAll(async () => {
  writeTeacher(path('teacher'));
  await convert(path('teacher'), path('model.q8'), {
    scheme: 'q8',
    calibration: 'absmax',
    kvCache: 'f32',
    mode: 'exact',
  });
  model = await openConverted(path('model.q8'), { sequences: 4 });
  server = new ModelServer({
    modelName: 'model',
    tokenizer: tokenizerOf(model),
    stopTokens: recordOf(model).stopTokens,
    group: model.loaded.group,
    queue: 4,
    maxBody: 20_000,
    readingTimeout: 50,
    log: (line) => said.push(line),
  });
  // As if nobody read what is written.
  server.http.prependListener('request', (request, response) => {
    if (request.headers['x-reads'] === 'nothing') Object.defineProperty(response, 'writableLength', { value: 1 << 30 });
  });
  base = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
}, 60_000);
afterAll(async () => {
  await server.close(0);
  remove();
});

const post = (where: string, body: unknown, options: RequestInit = {}): Promise<Response> =>
  fetch(base + where, {
    method: 'POST',
    headers: JSON_TYPE,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...options,
  });

interface Completion {
  readonly choices: readonly [{ readonly text: string; readonly finish_reason: string }];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number };
}
interface Failure {
  readonly error: { readonly message: string; readonly param: string | null; readonly code: string };
}

/** The objects of a stream of server-sent events; the last line must be [DONE]. */
async function* events(response: Response): AsyncGenerator<{ readonly choices: readonly Record<string, unknown>[] }> {
  let text = '';
  let done = false;
  for await (const part of response.body ?? []) {
    text += Buffer.from(part).toString('latin1');
    for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
      const data = text.slice('data: '.length, at);
      text = text.slice(at + 2);
      if (data === '[DONE]') done = true;
      else yield JSON.parse(Buffer.from(data, 'latin1').toString());
    }
  }
  expect(done).toBe(true);
}

const until = async (holds: () => boolean): Promise<void> => {
  for (let i = 0; i < 400 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(holds()).toBe(true);
};

describe('answers', { timeout: 60_000 }, () => {
  it('are the same whole, streamed, and from a sequence of its own', async () => {
    const request = { prompt: 'the cat sat', max_tokens: 24, temperature: 0 };
    const whole = (await (await post('/v1/completions', request)).json()) as Completion;
    let streamed = '';
    let reason: unknown;
    for await (const { choices } of events(await post('/v1/completions', { ...request, stream: true }))) {
      streamed += String(choices[0]['text']);
      reason = choices[0]['finish_reason'] ?? reason;
    }
    expect(streamed).toBe(whole.choices[0].text);
    expect(reason).toBe(whole.choices[0].finish_reason);
    // 11 bytes and <bos>.
    expect(whole.usage.prompt_tokens).toBe(12);

    const sequence = model.loaded.sequence();
    const tokenizer = tokenizerOf(model);
    const ids: number[] = [];
    for (let next = tokenizer.encode(request.prompt); ids.length < whole.usage.completion_tokens;) {
      const logits = sequence.feed(next);
      next = [logits.indexOf(Math.max(...logits))];
      ids.push(...next);
    }
    sequence.dispose();
    const text = new TextStream(tokenizer);
    expect(ids.map((id) => text.push(id)).join('') + text.end()).toBe(whole.choices[0].text);
  });

  it('to conversations go through the chat template, and count tokens on request', async () => {
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }];
    const request = { messages, max_tokens: 8, temperature: 0, stream: true, stream_options: { include_usage: true } };
    const seen: unknown[] = [];
    let last: unknown;
    for await (const event of events(await post('/v1/chat/completions', request))) {
      seen.push(event);
      last = event;
    }
    expect(seen[0]).toMatchObject({ object: 'chat.completion.chunk', choices: [{ delta: { role: 'assistant' } }] });
    const prompt = tokenizerOf(model).encodeChat([{ role: 'user', content: 'hello' }]);
    expect(last).toMatchObject({ choices: [], usage: { prompt_tokens: prompt.length, completion_tokens: 8 } });
  });

  it('end before a stop string, also one that comes in pieces', async () => {
    const request = { prompt: 'abc', max_tokens: 40, temperature: 0 };
    const { choices } = (await (await post('/v1/completions', request)).json()) as Completion;
    const stop = choices[0].text.slice(5, 8);
    const cut = (await (await post('/v1/completions', { ...request, stop })).json()) as Completion;
    expect(cut.choices[0]).toMatchObject({
      text: choices[0].text.slice(0, choices[0].text.indexOf(stop)),
      finish_reason: 'stop',
    });
    const stops = new StopStrings(['END', 'xy']);
    expect(['a', 'E', 'N', 'x', 'x', 'EN', 'D!'].map((piece) => stops.push(piece)).join('|')).toBe('a|||EN|x|x|');
    expect(stops.stopped).toBe(true);
  });

  it('come to all the ways of saying the same', async () => {
    const request = { prompt: 'abc', max_tokens: 6, temperature: 0 };
    const textOf = async (body: object): Promise<string> => {
      const response = await post('/v1/completions', body);
      expect(response.status).toBe(200);
      return ((await response.json()) as Completion).choices[0].text;
    };
    const expected = await textOf(request);
    const ids = tokenizerOf(model).encode('abc');
    for (const prompt of [['abc'], ids, [ids]]) expect(await textOf({ ...request, prompt })).toBe(expected);
    const neutral = { n: 1, best_of: 1, logprobs: null, echo: false, suffix: '', logit_bias: {}, seed: -1, user: 'me' };
    expect(await textOf({ ...request, ...neutral, presence_penalty: 0, stream_options: null })).toBe(expected);

    const messages = [
      { role: 'user', content: 'a' },
      // What a client was given, with all the fields of OpenAI's answers.
      { role: 'assistant', content: 'b', refusal: null, tool_calls: null, function_call: null, annotations: [] },
      { role: 'user', content: 'c', name: null },
    ];
    const more = {
      tools: [],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      service_tier: 'auto',
      modalities: ['text'],
    };
    const chat = await post('/v1/chat/completions', { messages, ...more, max_completion_tokens: 2, max_tokens: null });
    expect(await chat.json()).toMatchObject({ usage: { completion_tokens: 2 } });
  });

  it('say how the server is', async () => {
    expect(await (await fetch(`${base}/health`)).json()).toMatchObject({
      status: 'ok',
      slots: 4,
      active: 0,
      waiting: 0,
    });
    expect(await (await fetch(`${base}/v1/models`)).json()).toMatchObject({ data: [{ id: 'model' }] });
    expect((await fetch(`${base}/v1/models/other`)).status).toBe(404);
    const metrics = await (await fetch(`${base}/metrics`)).text();
    expect(metrics).toMatch(/^gemma2_generated_tokens_total [1-9]\d*$/m);
    expect(metrics).toMatch(/^gemma2_slots 4$/m);
    expect(metrics).toMatch(/^gemma2_requests_total\{path="\/v1\/completions",status="200"\} [1-9]/m);
  });
});

describe('eight streams at once', { timeout: 60_000 }, () => {
  it('all come to their end, those that run in fair turns', async () => {
    const order: number[] = [];
    const texts = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const response = await post('/v1/completions', {
          prompt: `stream ${i}`,
          max_tokens: 200,
          temperature: 1.2,
          seed: i,
          stream: true,
        });
        expect(response.status).toBe(200);
        let text = '';
        for await (const { choices } of events(response)) {
          order.push(i);
          text += String(choices[0]['text']);
        }
        return text;
      }),
    );
    expect(new Set(texts).size).toBe(8);
    // While the first four run (none has ended), each has had as many turns as the others, give or take what a socket holds back.
    const ends = Array.from({ length: 8 }, (_, i) => order.lastIndexOf(i));
    const early = order.slice(0, Math.min(...ends));
    const running = new Set(early);
    const counts = [...running].map((i) => early.filter((each) => each === i).length);
    expect(running.size).toBeLessThanOrEqual(4);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThan(60);
    expect(server.scheduler.load).toEqual({ slots: 4, active: 0, waiting: 0 });
  });

  it('leave the event loop free', async () => {
    const work = Promise.all(
      Array.from({ length: 4 }, () => post('/v1/completions', { prompt: 'x', max_tokens: 200, temperature: 2 })),
    );
    await until(() => server.scheduler.load.active === 4);
    const started = performance.now();
    expect((await fetch(`${base}/health`)).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(1000);
    await work;
  });

  it('and more than slots and queue hold are told to come back', async () => {
    const controller = new AbortController();
    const held = Array.from({ length: 8 }, () =>
      post('/v1/completions', { prompt: 'y', max_tokens: 250, stream: true }, { signal: controller.signal }).catch(
        () => null,
      ),
    );
    await until(() => server.scheduler.load.waiting === 4);
    const refused = await post('/v1/completions', { prompt: 'y', max_tokens: 1 });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    controller.abort();
    await Promise.all(held);
    await until(() => server.scheduler.load.active === 0 && server.scheduler.load.waiting === 0);
    expect((await post('/v1/completions', { prompt: 'y', max_tokens: 1 })).status).toBe(200);
  });
});

describe('a prompt that begins like an earlier one', { timeout: 60_000 }, () => {
  const remembered = async (): Promise<number> =>
    Number(/^gemma2_prompt_tokens_remembered_total (\d+)/m.exec(await (await fetch(`${base}/metrics`)).text())?.[1]);
  const text = async (prompt: readonly number[]): Promise<string> => {
    const response = await post('/v1/completions', { prompt, max_tokens: 12, temperature: 0 });
    return String(((await response.json()) as Completion).choices[0].text);
  };

  it('is read from where it differs, to the same answer', async () => {
    const start = Array.from({ length: 40 }, (_, i) => 40 + ((i * 7) % 50));
    const [one, two] = [
      [...start, 60, 61],
      [...start, 70, 71, 72],
    ];
    const fresh = model.loaded.sequence();
    const alone = async (prompt: readonly number[]): Promise<string> => {
      let written = '';
      const stops = { stopIds: recordOf(model).stopTokens, maxNewTokens: 12, temperature: 0 };
      for await (const piece of generateText(fresh, tokenizerOf(model), prompt, stops)) written += piece;
      return written;
    };
    const before = await remembered();
    expect(await text(one)).toBe(await alone(one));
    const first = await remembered();
    expect(await text(two)).toBe(await alone(two));
    const second = await remembered();
    expect(second - first).toBe(40);
    // The very prompt again: all but its last token.
    expect(await text(two)).toBe(await alone(two));
    expect((await remembered()) - second).toBe(42);
    expect(first).toBeGreaterThanOrEqual(before);
    fresh.dispose();
  });
});

describe('a client that leaves', { timeout: 60_000 }, () => {
  it('frees its slot, and its place in the queue', async () => {
    const controller = new AbortController();
    const response = await post(
      '/v1/completions',
      { prompt: 'z', max_tokens: 240, stream: true, temperature: 2 },
      { signal: controller.signal },
    );
    const reader = response.body?.getReader();
    await reader?.read();
    controller.abort();
    await until(() => server.scheduler.load.active === 0);
    expect(await (await fetch(`${base}/metrics`)).text()).toMatch(/^gemma2_cancelled_total [1-9]/m);
  });

  it('or reads nothing frees it too, and one that leaves while it asks is no error', async () => {
    const headers = { ...JSON_TYPE, 'x-reads': 'nothing' };
    const request = { prompt: 'z', max_tokens: 240, stream: true, temperature: 2 };
    const stuck = await post('/v1/completions', request, { headers });
    await expect(stuck.text()).rejects.toThrow();
    await until(() => server.scheduler.load.active === 0);

    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    const head =
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n';
    const before = said.length;
    socket.write(`${head}{"prompt":`, () => setTimeout(() => socket.destroy(), 20));
    const counted = /status="499"} [1-9]/;
    for (let tries = 0; tries < 400 && !counted.test(server.metrics.text()); tries++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(server.metrics.text()).toMatch(counted);
    expect(said.slice(before)).toEqual([]);
  });
});

describe('requests that make no sense', { timeout: 60_000 }, () => {
  it.each([
    ['{"prompt": ', 400, null, /not JSON/],
    ['', 400, null, /not JSON/],
    ['[1]', 400, null, /JSON object/],
    [{}, 400, 'prompt', /one text/],
    [{ prompt: 3 }, 400, 'prompt', /one text/],
    [{ prompt: ['a', 'b'] }, 400, 'prompt', /one text/],
    [{ prompt: [99_999] }, 400, 'prompt', /no token 99999/],
    [{ prompt: 'a', temperature: 'hot' }, 400, 'temperature', /expected number/],
    [{ prompt: 'a', temperature: -1 }, 400, 'temperature', />=0/],
    [{ prompt: 'a', top_p: 0 }, 400, 'top_p', />0/],
    [{ prompt: 'a', max_tokens: 0 }, 400, 'max_tokens', />=1/],
    [{ prompt: 'a', max_tokens: 1.5 }, 400, 'max_tokens', /int/],
    [{ prompt: 'a', n: 3 }, 400, 'n', /not supported/],
    [{ prompt: 'a', stop: ['a', 'b', 'c', 'd', 'e'] }, 400, 'stop', /one text, or a list of up to 4/],
    [{ prompt: 'a', temprature: 1 }, 400, 'temprature', /unknown parameter/],
    [{ prompt: 'a', model: 'gpt' }, 404, 'model', /no model "gpt"/],
    [{ prompt: 'word '.repeat(100) }, 400, 'prompt', /501 tokens, the context holds 256/],
    [{ prompt: 'word '.repeat(3000) }, 400, 'prompt', /at least \d+ tokens, the context holds 256/],
    [{ prompt: 'x'.repeat(30_000) }, 413, null, /20000 bytes/],
  ])('%.60j is refused with a reason', async (body, status, param, message) => {
    const response = await post('/v1/completions', body);
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as Failure;
    expect(error.message).toMatch(message);
    expect(error.param).toBe(param);
  });

  it('are refused with all that hangs on them', async () => {
    const deep = `${'['.repeat(9000)}${']'.repeat(9000)}`;
    const nested = await post('/v1/completions', `{"prompt":"a","logit_bias":${deep}}`);
    expect(nested.status).toBe(400);
    expect(((await nested.json()) as Failure).error.param).toBe('logit_bias');
    const messages = Array.from({ length: 400 }, () => ({ role: 'user', content: '' }));
    const many = await post('/v1/chat/completions', { messages });
    expect(((await many.json()) as Failure).error.message).toMatch(/400 messages, the context holds 256/);
    const packed = { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } };
    expect((await post('/v1/completions', { prompt: 'a' }, packed)).status).toBe(415);
  });

  it('in conversations, paths, methods and types too', async () => {
    const chat = await post('/v1/chat/completions', { messages: [] });
    expect(chat.status).toBe(400);
    expect(((await chat.json()) as Failure).error.param).toBe('messages');
    const nested = await post('/v1/chat/completions', { messages: [{ role: 'user' }] });
    expect(((await nested.json()) as Failure).error.param).toBe('messages.0.content');
    expect((await post('/v2/completions', {})).status).toBe(404);
    const method = await fetch(`${base}/v1/completions`);
    expect(method.status).toBe(405);
    expect(method.headers.get('allow')).toBe('POST');
    expect((await fetch(`${base}/v1/completions`, { method: 'POST', body: '{}' })).status).toBe(415);
  });

  it('that are not HTTP at all do no harm', async () => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1');
    const answer = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    socket.write('nonsense\r\n\r\n');
    expect(await answer).toMatch(/^HTTP\/1\.1 400/);
    socket.destroy();
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });
});

describe('the program', { timeout: 60_000 }, () => {
  it('serves until it is told to stop, and lets what runs come to its end', async () => {
    const serving = start(['serve', path('model.q8'), '--port', '0', '--slots', '2', '--name', 'tiny']);
    const [, url] = await serving.until(/on (http:\/\/127\.0\.0\.1:\d+)\/v1/);
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: JSON.stringify({ model: 'tiny', prompt: 'the cat sat', max_tokens: 240, temperature: 0, stream: true }),
    });
    let tokens = 0;
    for await (const { choices } of events(response)) {
      if (tokens++ === 3) serving.child.kill('SIGTERM');
      expect(choices).toHaveLength(1);
    }
    expect(tokens).toBeGreaterThan(10);
    expect((await serving.done).status).toBe(0);
  });

  it('says which option is wrong, and when the port is taken', async () => {
    const wrong = await run(['serve', path('model.q8'), '--port', '99999', '--slots', 'many']);
    expect(wrong.status).toBe(2);
    expect(wrong.errors).toMatch(/--port: .*got "99999"; --slots: .*got "many"/);
    const large = await run(['serve', path('model.q8'), '--slots', '99999999']);
    expect(large.status).toBe(1);
    expect(large.errors).toMatch(
      /needs [\d.]+ TB: .* for the caches of \d+ positions in 99999999 sequences, .*; [\d.]+ GB are available/,
    );
    const taken = await run(['serve', path('model.q8'), '--slots', '1', '--port', new URL(base).port]);
    expect(taken.status).toBe(1);
    expect(taken.errors).toMatch(/cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/);
  });
});
