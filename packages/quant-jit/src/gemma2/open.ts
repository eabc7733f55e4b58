/** One door to every kind of model file: what converters and programs open. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ProjError } from '@proj/kernel';
import type { Gemma2Config } from './config.ts';
import { readJson } from './files.ts';
import { openGguf } from './gguf.ts';
import { type Gemma2Checkpoint, openHuggingFace } from './load.ts';
import { GemmaTokenizer } from './tokenizer.ts';

/** A checkpoint with what belongs to it. */
export interface OpenedCheckpoint extends Gemma2Checkpoint {
  readonly kind: 'huggingface' | 'gguf';
  /** The model's tokenizer, checked against the configuration. Errors: it is missing, damaged, or of another model. */
  tokenizer(): GemmaTokenizer;
}

function withTokenizer(
  checkpoint: Gemma2Checkpoint,
  kind: OpenedCheckpoint['kind'],
  make: () => GemmaTokenizer,
): OpenedCheckpoint {
  return {
    ...checkpoint,
    kind,
    tokenizer: () => {
      const tokenizer = make();
      tokenizer.checkFits(checkpoint.config, `the tokenizer of ${checkpoint.path}`);
      return tokenizer;
    },
  };
}

/** Opens a Hugging Face folder or a `.gguf` file of a Gemma 2 model. A `tokenizer.json` beside a GGUF file is taken before the vocabulary inside. */
export async function openCheckpoint(path: string): Promise<OpenedCheckpoint> {
  if (!existsSync(path))
    throw new ProjError('io', `there is no file or folder ${path}`, { op: 'openCheckpoint', cure: 'Check the path' });
  if (statSync(path).isDirectory())
    return withTokenizer(openHuggingFace(path), 'huggingface', () => GemmaTokenizer.fromFolder(path));
  if (!path.endsWith('.gguf'))
    throw new ProjError('invalid-argument', `${path} is neither a folder nor a .gguf file`, {
      op: 'openCheckpoint',
      cure: 'Give the folder with config.json, or a GGUF file',
    });
  const checkpoint = await openGguf(path);
  const beside = dirname(path);
  return withTokenizer(checkpoint, 'gguf', () =>
    existsSync(join(beside, 'tokenizer.json')) ? GemmaTokenizer.fromFolder(beside) : checkpoint.tokenizer(),
  );
}

/** Tokens that end a text: those of the configuration and of `generation_config.json`, as far as the model has them, and <end_of_turn> where the tokenizer has it. */
export function stopTokens(
  { path, config }: { readonly path: string; readonly config: Gemma2Config },
  tokenizer: GemmaTokenizer | null,
): number[] {
  const ids = new Set(config.eosTokenIds);
  const generation = join(path, 'generation_config.json');
  if (existsSync(generation)) {
    const { eos_token_id: more } = (readJson(generation) ?? {}) as { readonly eos_token_id?: unknown };
    for (const id of (Array.isArray(more) ? more : [more]) as unknown[])
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < config.vocabSize) ids.add(id);
  }
  for (const id of [tokenizer?.eosId, tokenizer?.idOf('<end_of_turn>')]) if (typeof id === 'number') ids.add(id);
  return [...ids].sort((a, b) => a - b);
}
