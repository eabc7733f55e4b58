/** Writing a model as a Hugging Face folder, which transformers and {@link openHuggingFace} read. */
import { join } from 'node:path';
import { type DType, makeFolder } from '@proj/kernel';
import { fileError, saveSafetensors, writeAtomically } from '@proj/tensor/io';
import { gemma2ConfigJson } from './config.ts';
import type { Gemma2ForCausalLM } from './model.ts';
import type { GemmaTokenizer } from './tokenizer.ts';

/** What goes into the folder besides the weights. */
export interface SaveModelOptions {
  readonly tokenizer?: GemmaTokenizer;
  /** What weights are stored as (default: as they are). */
  readonly dtype?: DType;
}

/** Writes `config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's files. The configuration comes last, so that an interrupted write leaves no model. */
export function saveHuggingFace(
  folder: string,
  model: Gemma2ForCausalLM,
  { tokenizer, dtype }: SaveModelOptions = {},
): void {
  const write = (name: string, content: unknown): void =>
    writeAtomically('saveHuggingFace', join(folder, name), [
      new TextEncoder().encode(`${JSON.stringify(content, null, 2)}\n`),
    ]);
  try {
    makeFolder(folder);
  } catch (error) {
    throw fileError('saveHuggingFace', 'create', folder, error);
  }
  const { config } = model;
  tokenizer?.checkFits(config);
  const state = Object.entries(model.stateDict());
  const tensors = Object.fromEntries(
    state.map(([name, tensor]) => [name, dtype === undefined ? tensor : tensor.to(dtype)]),
  );
  saveSafetensors(join(folder, 'model.safetensors'), tensors, { metadata: { format: 'pt' } });
  if (tokenizer !== undefined) {
    write('tokenizer.json', tokenizer.json);
    write('tokenizer_config.json', tokenizer.config);
  }
  const json = gemma2ConfigJson(config);
  write('generation_config.json', {
    bos_token_id: json.bos_token_id,
    eos_token_id: json.eos_token_id,
    pad_token_id: json.pad_token_id,
  });
  write('config.json', { ...json, torch_dtype: dtype ?? model.model.embedTokens.weight.dtype, use_cache: true });
}
