/** Gemma 2 from a Hugging Face folder to a few bits a weight and native code. Each area has a sub-path of its own; this one gathers the names used most. */
export { distillAndBinarize } from './distill/index.ts';
export {
  type Decoder,
  Gemma2ForCausalLM,
  GemmaTokenizer,
  generate,
  generateText,
  loadGemma2,
  openCheckpoint,
  TeacherDecoder,
} from './gemma2/index.ts';
export { Mode, NativeCodeILNN, type NativeCodeILNNConfig, TILE_SIZE } from './il/index.ts';
export { CompiledNativeILNN, openModel } from './jit/index.ts';
export { corpusBleu, klDivergence, meanSquaredError, perplexity, relativeMeanSquaredError } from './metrics/index.ts';
export {
  createLut,
  dequantize,
  NativeCodeNeuron,
  quantize,
  quantizeInput,
  xnorPopcountForward,
} from './quantize/index.ts';
