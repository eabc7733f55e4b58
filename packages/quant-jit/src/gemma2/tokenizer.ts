/**
 * Text to token ids and back, through `@huggingface/tokenizers`; conversations through the model's chat template and `@huggingface/jinja`. The files are those
 * of a Hugging Face folder: `tokenizer.json`, `tokenizer_config.json`, and `chat_template.jinja` where there is one.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { type Encoding, Tokenizer } from '@huggingface/tokenizers';
import { ProjError } from '@proj/kernel';
import type { Gemma2Config } from './config.ts';
import { readJson } from './files.ts';

const OP = 'gemma2 tokenizer';
/** Texts after which the library's memory of words is emptied. */
const TEXTS_KEPT = 256;

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** The parts of a `tokenizer_config.json` that are used here. */
export interface TokenizerConfig {
  readonly bos_token?: TokenName;
  readonly eos_token?: TokenName;
  readonly pad_token?: TokenName;
  readonly chat_template?: unknown;
  readonly [key: string]: unknown;
}
type TokenName = string | { readonly content?: string } | null;

const nameOf = (token: TokenName | undefined): string | null =>
  typeof token === 'string' ? token : (token?.content ?? null);

const BYTE_TOKEN = /^<0x([0-9A-F]{2})>$/;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of bytes that are not UTF-8 or contain a byte order mark; null for all others. */
function oddBytes(bytes: Uint8Array): string | null {
  try {
    const text = strict.decode(bytes);
    return text.includes('\uFEFF') ? text : null;
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
}

function templateText(template: unknown): string | null {
  if (typeof template === 'string') return template;
  // Several templates by name: the one called default.
  if (!Array.isArray(template)) return null;
  const named = template as readonly ({ readonly name?: unknown; readonly template?: unknown } | null)[];
  const chosen = named.find((each) => each?.name === 'default') ?? named[0];
  return typeof chosen?.template === 'string' ? chosen.template : null;
}

/** Ids end below this: the library makes lists as long as the largest. The largest vocabularies have some 300,000 tokens. */
const MOST_TOKENS = 1 << 22;

/**
 * Every token has an id of its own. The library makes a list of tokens by id: an id that is none, or that of another token, would leave a token out. Vocabularies
 * that are not maps are the library's to judge.
 */
function checkIds(
  json: { readonly model?: { readonly vocab?: unknown } | null; readonly added_tokens?: unknown },
  where: string,
): void {
  const ids = new Map<string, number>();
  const owners = new Map<number, string>();
  const check = (token: string, id: unknown): void => {
    const damaged = (problem: string): ProjError =>
      new ProjError('serialization', `${where}: token ${JSON.stringify(token)} has ${problem}`, {
        op: OP,
        cure: 'The file is damaged: fetch it again',
      });
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MOST_TOKENS)
      throw damaged(`the id ${JSON.stringify(id)}`);
    const known = ids.get(token);
    if (known !== undefined && known !== id) throw damaged(`the ids ${known} and ${id}`);
    const owner = owners.get(id);
    if (owner !== undefined && owner !== token)
      throw damaged(`the id ${id}, which is that of ${JSON.stringify(owner)} too`);
    ids.set(token, id);
    owners.set(id, token);
  };
  const vocabulary = json.model?.vocab;
  if (typeof vocabulary !== 'object' || vocabulary === null || Array.isArray(vocabulary)) return;
  for (const [token, id] of Object.entries(vocabulary as Readonly<Record<string, unknown>>)) check(token, id);
  if (!Array.isArray(json.added_tokens)) return;
  for (const added of json.added_tokens as readonly unknown[]) {
    const { content, id } = (added ?? {}) as { readonly content?: unknown; readonly id?: unknown };
    check(String(content), id);
  }
}

function tokenizerConfig(json: unknown, path: string): TokenizerConfig {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as TokenizerConfig;
  throw new ProjError('serialization', `${path} is not a JSON object`, { op: OP, cure: 'Fetch it again' });
}

/** A tokenizer of a Gemma 2 model. */
export class GemmaTokenizer {
  /** The content of `tokenizer.json`. */
  readonly json: object;
  /** The content of `tokenizer_config.json`. */
  readonly config: TokenizerConfig;
  /** One more than the largest token id. */
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly #tokenizer: Tokenizer;
  #encoded = 0;
  readonly #special: ReadonlySet<number>;
  readonly #chatTemplate: string | null;
  #template: Template | null = null;

  /** `where` is the file that the tokenizer is of, for messages. */
  constructor(json: object, config: TokenizerConfig = {}, where = 'tokenizer.json') {
    this.json = json;
    this.config = config;
    checkIds(json, where);
    try {
      this.#tokenizer = new Tokenizer(json, config);
      // Some of its parts are looked at when the first text comes. Small vocabularies may have no token for it.
      const { ids } = this.#tokenizer.encode('A text.');
      if (ids.length > 0) this.#tokenizer.decode(ids);
    } catch (error) {
      throw new ProjError('serialization', `${where}: the tokenizer cannot be built (${(error as Error).message})`, {
        op: OP,
        cure: 'The file is damaged, or of a kind that @huggingface/tokenizers does not know',
        cause: error,
      });
    }
    let last = -1;
    for (const id of this.#tokenizer.get_vocab().values()) last = Math.max(last, id);
    this.vocabSize = last + 1;
    const added = this.#tokenizer.get_added_tokens_decoder();
    this.#special = new Set([...added].flatMap(([id, { special }]) => (special ? [id] : [])));
    this.#chatTemplate = templateText(config.chat_template);
    const idOf = (name: string | null): number | null => (name === null ? null : this.idOf(name));
    this.bosId = idOf(nameOf(config.bos_token));
    this.eosId = idOf(nameOf(config.eos_token));
    this.padId = idOf(nameOf(config.pad_token));
  }

  /** The tokenizer of a Hugging Face folder. Errors: a file is missing or damaged, with its path. */
  static fromFolder(folder: string): GemmaTokenizer {
    const path = join(folder, 'tokenizer.json');
    if (!existsSync(path)) {
      const hasModel = existsSync(join(folder, 'tokenizer.model'));
      throw new ProjError('io', `${folder} has no tokenizer.json${hasModel ? ', only tokenizer.model' : ''}`, {
        op: OP,
        cure: 'Fetch tokenizer.json and tokenizer_config.json of the model (sentencepiece files are not read)',
      });
    }
    const json = readJson(path);
    const configPath = join(folder, 'tokenizer_config.json');
    let config = existsSync(configPath) ? tokenizerConfig(readJson(configPath), configPath) : {};
    const templatePath = join(folder, 'chat_template.jinja');
    if (existsSync(templatePath)) config = { ...config, chat_template: readFileSync(templatePath, 'utf8') };
    if (typeof json !== 'object' || json === null || !('model' in json))
      throw new ProjError('serialization', `${path} has no "model"`, { op: OP, cure: 'Fetch tokenizer.json again' });
    return new GemmaTokenizer(json, config, path);
  }

  /** Ids of a text; with the tokens that every input begins with (<bos>) unless `addSpecialTokens` is false. */
  encode(text: string, { addSpecialTokens = true }: { readonly addSpecialTokens?: boolean } = {}): number[] {
    return this.#encode(text, addSpecialTokens).ids;
  }

  /** The pieces of a text, without special tokens. */
  tokens(text: string): string[] {
    return this.#encode(text, false).tokens;
  }

  #encode(text: string, addSpecialTokens: boolean): Encoding {
    // The library keeps the tokens of 10,000 words, and to Gemma a text is one word, which seldom comes again.
    if (++this.#encoded % TEXTS_KEPT === 0) (this.#tokenizer.model as { clear_cache?(): void } | null)?.clear_cache?.();
    return this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens });
  }

  /** The text of ids. Errors: an id without a token. */
  decode(ids: readonly number[], { skipSpecialTokens = false }: { readonly skipSpecialTokens?: boolean } = {}): string {
    for (const id of ids)
      if (this.tokenOf(id) === null)
        throw new ProjError('index-out-of-range', `there is no token ${id}`, {
          op: OP,
          cure: `The vocabulary has ${this.vocabSize} tokens: is it the tokenizer of this model?`,
        });
    const kept = skipSpecialTokens ? ids.filter((id) => !this.#special.has(id)) : ids;
    if (kept.length === 0) return '';
    const runs = this.#byteRuns(kept);
    // The library replaces what is not UTF-8 as browsers do; the reference gives U+FFFD for each byte of such a run.
    if (!runs.some(({ text }) => text !== null)) return this.#tokenizer.decode([...kept]);
    return runs.map(({ ids: run, text }) => text ?? this.#tokenizer.decode(run)).join('');
  }

  /** The byte that a token stands for, null for all other tokens. */
  byteOf(id: number): number | null {
    const match = BYTE_TOKEN.exec(this.tokenOf(id) ?? '');
    return match === null ? null : Number.parseInt(match[1], 16);
  }

  /** Ids cut where bytes that the library would decode otherwise begin and end; those come with their text. */
  #byteRuns(ids: readonly number[]): { readonly ids: number[]; readonly text: string | null }[] {
    const runs: { ids: number[]; text: string | null }[] = [];
    for (let begin = 0; begin < ids.length;) {
      const bytes: number[] = [];
      let end = begin;
      for (let byte = this.byteOf(ids[end]); byte !== null; byte = end < ids.length ? this.byteOf(ids[end]) : null) {
        bytes.push(byte);
        end++;
      }
      const text = bytes.length === 0 ? null : oddBytes(Uint8Array.from(bytes));
      if (bytes.length === 0) end++;
      const last = runs.at(-1);
      if (text === null && last?.text === null) last.ids.push(...ids.slice(begin, end));
      else runs.push({ ids: ids.slice(begin, end), text });
      begin = end;
    }
    return runs;
  }

  idOf(token: string): number | null {
    return this.#tokenizer.token_to_id(token) ?? null;
  }
  tokenOf(id: number): string | null {
    return this.#tokenizer.id_to_token(id) ?? null;
  }

  /** Whether the model brings a chat template. */
  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== null;
  }

  /** A conversation as the text that the model was trained on. Errors: there is no template, or the template refuses (such as a role that it does not know). */
  renderChat(
    messages: readonly ChatMessage[],
    { addGenerationPrompt = true }: { readonly addGenerationPrompt?: boolean } = {},
  ): string {
    if (this.#chatTemplate === null)
      throw new ProjError('invalid-argument', 'the model has no chat template', {
        op: OP,
        cure: 'It is not trained for conversations: give it plain text, or add chat_template to tokenizer_config.json',
      });
    try {
      this.#template ??= new Template(this.#chatTemplate);
      return this.#template.render({
        messages,
        add_generation_prompt: addGenerationPrompt,
        bos_token: nameOf(this.config.bos_token) ?? '',
        eos_token: nameOf(this.config.eos_token) ?? '',
        pad_token: nameOf(this.config.pad_token) ?? '',
      });
    } catch (error) {
      throw new ProjError('invalid-argument', `the chat template refuses: ${(error as Error).message}`, {
        op: OP,
        cure: "Use the roles that the model knows, usually 'user' and 'assistant' in turn",
        cause: error,
      });
    }
  }

  /** Ids of a conversation. The template writes <bos> itself. */
  encodeChat(messages: readonly ChatMessage[], options: { readonly addGenerationPrompt?: boolean } = {}): number[] {
    return this.encode(this.renderChat(messages, options), { addSpecialTokens: false });
  }

  /** Checks that this is a tokenizer for models of `config`. Errors: more tokens than embeddings; another <bos> than the model's; no token where the model has a special one. */
  checkFits(config: Gemma2Config, where = 'the tokenizer'): void {
    const cure = 'Use the tokenizer.json that came with the weights';
    if (this.vocabSize > config.vocabSize)
      throw new ProjError(
        'serialization',
        `${where} has ${this.vocabSize} tokens, the model has embeddings for ${config.vocabSize} (vocab_size)`,
        { op: OP, cure },
      );
    if (this.bosId !== null && config.bosTokenId !== null && this.bosId !== config.bosTokenId)
      throw new ProjError(
        'serialization',
        `${where} begins texts with token ${this.bosId}, the model expects ${config.bosTokenId} (bos_token_id)`,
        { op: OP, cure },
      );
    const { bosTokenId, eosTokenIds, padTokenId } = config;
    const special = { bos_token_id: [bosTokenId], eos_token_id: eosTokenIds, pad_token_id: [padTokenId] };
    for (const [field, ids] of Object.entries(special))
      for (const id of ids)
        if (id !== null && this.tokenOf(id) === null)
          throw new ProjError('serialization', `${where} has no token ${id}, which the model has as ${field}`, {
            op: OP,
            cure,
          });
  }
}
