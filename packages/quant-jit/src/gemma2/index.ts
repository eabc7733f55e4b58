/** The teacher: Gemma 2 in `@proj/nn` modules, its files, its tokenizer, sampling and generation. */
export { type CacheOptions, KeyValueCache, type LayerCache } from './cache.ts';
export {
  gemma2Config,
  type Gemma2Config,
  gemma2ConfigJson,
  type Gemma2Sizes,
  type LayerType,
  parseGemma2Config,
} from './config.ts';
export {
  type Decoder,
  type FinishReason,
  generate,
  type GenerateOptions,
  generateText,
  TextStream,
} from './generate.ts';
export { type GgufCheckpoint, openGguf } from './gguf.ts';
export {
  checkFinite,
  checkTensors,
  expectedTensors,
  type Gemma2Checkpoint,
  loadGemma2,
  loadModel,
  type LoadModelOptions,
  openHuggingFace,
} from './load.ts';
export {
  Gemma2Attention,
  Gemma2DecoderLayer,
  Gemma2ForCausalLM,
  type Gemma2ForwardOptions,
  type Gemma2Hidden,
  Gemma2Mlp,
  Gemma2Model,
  type Gemma2ModelOptions,
  type Gemma2Output,
  Gemma2RmsNorm,
  nextTokenLoss,
} from './model.ts';
export { openCheckpoint, type OpenedCheckpoint, stopTokens } from './open.ts';
export { inverseFrequencies } from './rotary.ts';
export { argmax, Sampler, sampleToken, type SamplingOptions } from './sample.ts';
export { saveHuggingFace, type SaveModelOptions } from './save.ts';
export { TeacherDecoder, type TeacherDecoderOptions } from './teacher-decoder.ts';
export type { BlockType, PlainType, RowRange, StoredType, TensorInfo, TensorSource } from './tensor-source.ts';
export { type ChatMessage, GemmaTokenizer, type TokenizerConfig } from './tokenizer.ts';
export {
  BYTE_TOKENS,
  byteIds,
  byteTokenizer,
  sentencePieceTokenizer,
  type SentencePieceVocabulary,
} from './tokenizer-files.ts';
