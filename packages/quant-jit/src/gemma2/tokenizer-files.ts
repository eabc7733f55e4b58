/**
 * `tokenizer.json` files made here: the byte tokenizer of models trained without a vocabulary of their own, and the tokenizer of a GGUF file, whose sentencepiece
 * vocabulary (pieces and scores) becomes byte-pair merges in the order of the scores, as Hugging Face's converter does for Gemma.
 */
import { ProjError } from '@proj/kernel';
import { GemmaTokenizer, type TokenizerConfig } from './tokenizer.ts';

interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Found in texts whole, and part of decoded texts: not a control token. */
  readonly plain?: boolean;
}

const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;

const addedToken = ({ id, content, plain = false }: AddedToken): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: plain,
  special: !plain,
});

/** The parts that all Gemma tokenizers share. */
function tokenizerJson(
  vocabulary: Readonly<Record<string, number>>,
  merges: readonly string[],
  special: readonly AddedToken[],
  bos: AddedToken | null,
  unknown: string | null,
  spaces: boolean,
): object {
  const start = bos === null ? [] : [{ SpecialToken: { id: bos.content, type_id: 0 } }];
  const decoders = [{ type: 'ByteFallback' }, { type: 'Fuse' }];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map(addedToken),
    normalizer: spaces ? { type: 'Replace', pattern: { String: ' ' }, content: '▁' } : null,
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [...start, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [...start, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: bos === null ? {} : { [bos.content]: { id: bos.content, ids: [bos.id], tokens: [bos.content] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: spaces ? [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, ...decoders] : decoders,
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: unknown !== null,
      byte_fallback: true,
      ignore_merges: false,
      vocab: vocabulary,
      merges,
    },
  };
}

/** Ids of the special tokens of {@link byteTokenizer}; bytes are their own ids. */
export const BYTE_TOKENS = { bos: 256, eos: 257, pad: 258, vocabSize: 259 } as const;

const BYTE_CHAT_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}{{ message['role'] + ': ' + message['content'] | trim + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/** A tokenizer whose tokens are the 256 bytes of UTF-8, and <bos>, <eos>, <pad> after them. */
export function byteTokenizer(): GemmaTokenizer {
  const special: AddedToken[] = [
    { id: BYTE_TOKENS.bos, content: '<bos>' },
    { id: BYTE_TOKENS.eos, content: '<eos>' },
    { id: BYTE_TOKENS.pad, content: '<pad>' },
  ];
  const vocabulary: Record<string, number> = {};
  for (let byte = 0; byte < 256; byte++) vocabulary[byteToken(byte)] = byte;
  for (const { content, id } of special) vocabulary[content] = id;
  return new GemmaTokenizer(tokenizerJson(vocabulary, [], special, special[0], null, false), {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: '<bos>',
    eos_token: '<eos>',
    pad_token: '<pad>',
    add_bos_token: true,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    chat_template: BYTE_CHAT_TEMPLATE,
  });
}

/** Ids of a text for {@link byteTokenizer}, without special tokens: its UTF-8 bytes. */
export const byteIds = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A vocabulary as GGUF files have it. */
export interface SentencePieceVocabulary {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  /** ggml's kinds: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly types: readonly number[];
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly padId: number | null;
  readonly unknownId: number | null;
  readonly addBos: boolean;
  readonly chatTemplate: string | null;
}

/** Every way to join two pieces to a third, the best joined piece first. */
function mergesOf(tokens: readonly string[], scores: readonly number[], types: readonly number[]): string[] {
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === 1 || types[id] === 4) ids.set(token, id);
  });
  const merges: { readonly left: string; readonly right: string; readonly score: number; readonly order: number }[] =
    [];
  for (const [token, id] of ids) {
    if (types[id] !== 1) continue;
    const own = [];
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [leftId, rightId] = [ids.get(left), ids.get(right)];
      if (leftId !== undefined && rightId !== undefined)
        own.push({ left, right, score: scores[id], order: leftId * tokens.length + rightId });
    }
    merges.push(...own.sort((a, b) => a.order - b.order));
  }
  return merges.sort((a, b) => b.score - a.score).map(({ left, right }) => `${left} ${right}`);
}

/** A tokenizer from a sentencepiece vocabulary, that of the file `where`. Errors: lists of unequal length; a vocabulary without the 256 byte tokens. */
export function sentencePieceTokenizer(vocabulary: SentencePieceVocabulary, where: string): GemmaTokenizer {
  const { tokens, scores, types, bosId, eosId, padId, unknownId, addBos, chatTemplate } = vocabulary;
  const op = 'sentencePieceTokenizer';
  if (scores.length !== tokens.length || types.length !== tokens.length)
    throw new ProjError(
      'serialization',
      `${where}: ${tokens.length} tokens, ${scores.length} scores and ${types.length} kinds`,
      {
        op,
        cure: 'The file is damaged: fetch it again',
      },
    );
  const known = new Set(tokens);
  if (Array.from({ length: 256 }, (_, byte) => byteToken(byte)).some((token) => !known.has(token)))
    throw new ProjError('not-implemented', `${where}: the vocabulary has no byte tokens (<0x00> … <0xFF>)`, {
      op,
      cure: "Put the model's tokenizer.json beside the file: it is used instead",
    });
  const ids: Record<string, number> = {};
  tokens.forEach((token, id) => (ids[token] = id));
  const special = tokens.flatMap((content, id): AddedToken[] => {
    const control = types[id] === 3 || types[id] === 2;
    return control || types[id] === 4 ? [{ id, content, plain: !control }] : [];
  });
  const nameOf = (id: number | null): string | null => (id === null ? null : (tokens[id] ?? null));
  const bos = bosId === null || !addBos ? null : { id: bosId, content: tokens[bosId] };
  const config: TokenizerConfig = {
    tokenizer_class: 'GemmaTokenizer',
    bos_token: nameOf(bosId),
    eos_token: nameOf(eosId),
    pad_token: nameOf(padId),
    unk_token: nameOf(unknownId),
    clean_up_tokenization_spaces: false,
    ...(chatTemplate === null ? {} : { chat_template: chatTemplate }),
  };
  return new GemmaTokenizer(
    tokenizerJson(ids, mergesOf(tokens, scores, types), special, bos, nameOf(unknownId), true),
    config,
    where,
  );
}
