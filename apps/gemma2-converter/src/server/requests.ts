/** The bodies of requests: what OpenAI's interface allows, as far as this server does it, and what is wrong with the others. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';

/** A request that is answered with an error, in OpenAI's form. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    { param = null, headers = {} }: { param?: string | null; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.headers = headers;
  }

  /** The body of the answer. */
  get body(): object {
    const type =
      this.status === 429 ? 'rate_limit_error' : this.status < 500 ? 'invalid_request_error' : 'server_error';
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }
}

const MOST_STOPS = 4;
const optional = <T extends z.ZodType>(schema: T) => schema.nullish();
/** What OpenAI has and this server does not: only values that mean "without" are taken. */
const without = (...values: unknown[]) =>
  z
    .unknown()
    .optional()
    .refine((value) => value === undefined || value === null || values.some((each) => isDeepStrictEqual(each, value)), {
      message: 'not supported by this server: leave it out',
    });

const common = {
  model: optional(z.string()),
  max_tokens: optional(z.int().min(1)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().gt(0).max(1)),
  top_k: optional(z.int().min(0)),
  repetition_penalty: optional(z.number().positive()),
  seed: optional(z.int()),
  stop: optional(
    z.union([z.string().min(1), z.array(z.string().min(1)).max(MOST_STOPS)], {
      error: `Give one text, or a list of up to ${MOST_STOPS}, none of them empty`,
    }),
  ),
  stream: optional(z.boolean()),
  stream_options: optional(
    z.strictObject({ include_usage: optional(z.boolean()), include_obfuscation: optional(z.boolean()) }),
  ),
  user: optional(z.string()),
  n: without(1),
  logprobs: without(false),
  logit_bias: without({}),
  presence_penalty: without(0),
  frequency_penalty: without(0),
} as const;

const promptSchema = z.union([z.string(), z.array(z.int().min(0)).min(1)]);

const completionSchema = z.strictObject({
  ...common,
  prompt: z.union([promptSchema, z.tuple([promptSchema])], {
    error: 'Give one text, or one list of token ids',
  }),
  echo: without(false),
  best_of: without(1),
  suffix: without(''),
});

const contentSchema = z.union(
  [z.string(), z.array(z.strictObject({ type: z.literal('text'), text: z.string() })).min(1)],
  { error: 'Give a text, or a list of parts of type "text"' },
);

/** Clients send back the messages that they were given, with all the fields that OpenAI's have. */
const messageSchema = z.strictObject({
  role: z.string().min(1),
  content: contentSchema,
  name: optional(z.string()),
  refusal: without(),
  tool_calls: without([]),
  function_call: without(),
  audio: without(),
  annotations: without([]),
});

const chatSchema = z.strictObject({
  ...common,
  max_completion_tokens: optional(z.int().min(1)),
  messages: z.array(messageSchema).min(1),
  top_logprobs: without(0),
  tools: without([]),
  tool_choice: without('none', 'auto'),
  parallel_tool_calls: without(true, false),
  functions: without([]),
  function_call: without('none', 'auto'),
  response_format: without({ type: 'text' }),
  modalities: without(['text']),
  audio: without(),
  prediction: without(),
  reasoning_effort: without('none'),
  verbosity: without('medium'),
  web_search_options: without(),
  service_tier: without('auto', 'default'),
  metadata: optional(z.record(z.string(), z.unknown())),
  store: without(false),
  prompt_cache_key: optional(z.string()),
  safety_identifier: optional(z.string()),
});

type CompletionBody = z.infer<typeof completionSchema>;
type ChatBody = z.infer<typeof chatSchema>;

/** What both kinds of requests come to. */
export interface TextRequest {
  readonly model: string | null;
  readonly prompt: string | readonly number[] | null;
  readonly messages: readonly { readonly role: string; readonly content: string }[] | null;
  readonly maxTokens: number | null;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly repetitionPenalty: number;
  readonly seed: number | null;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new RequestError(400, 'invalid_body', 'the body must be a JSON object');
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue.code === 'unrecognized_keys')
    throw new RequestError(400, 'unknown_parameter', `unknown parameter: ${[...issue.path, issue.keys[0]].join('.')}`, {
      param: [...issue.path, issue.keys[0]].join('.'),
    });
  const param = issue.path.join('.');
  throw new RequestError(400, 'invalid_parameter', `${param}: ${issue.message}`, { param });
}

/** Seeds below 0 are seeds too. */
function seedOf(seed: number | null | undefined): number | null {
  if (seed === null || seed === undefined) return null;
  return seed < 0 ? seed + 2 ** 53 : seed;
}

function shared(body: CompletionBody | ChatBody): Omit<TextRequest, 'prompt' | 'messages' | 'maxTokens'> {
  const { stop, stream, stream_options: streamOptions } = body;
  return {
    model: body.model ?? null,
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: body.top_k ?? 0,
    repetitionPenalty: body.repetition_penalty ?? 1,
    seed: seedOf(body.seed),
    stop: stop === null || stop === undefined ? [] : typeof stop === 'string' ? [stop] : stop,
    stream: stream === true,
    includeUsage: streamOptions?.include_usage === true,
  };
}

/** The body of `/v1/completions`. @throws RequestError 400 that names the parameter. */
export function parseCompletion(json: unknown): TextRequest {
  const body = parse(completionSchema, json);
  const [only] = typeof body.prompt === 'string' ? [body.prompt] : body.prompt;
  const prompt = typeof only === 'number' ? (body.prompt as readonly number[]) : only;
  return { ...shared(body), prompt, messages: null, maxTokens: body.max_tokens ?? 16 };
}

/** The body of `/v1/chat/completions`. @throws RequestError 400 that names the parameter. */
export function parseChat(json: unknown): TextRequest {
  const body = parse(chatSchema, json);
  const messages = body.messages.map(({ role, content }) => ({
    role,
    content: typeof content === 'string' ? content : content.map(({ text }) => text).join(''),
  }));
  return {
    ...shared(body),
    prompt: null,
    messages,
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null,
  };
}
