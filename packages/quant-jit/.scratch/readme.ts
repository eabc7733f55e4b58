import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdamW } from '@proj/optim';
import {
  byteTokenizer,
  gemma2Config,
  Gemma2ForCausalLM,
  generateText,
  loadModel,
  nextTokenLoss,
  openCheckpoint,
  saveHuggingFace,
  stopTokens,
  TeacherDecoder,
} from '@proj/quant-jit/gemma2';
import { compile, fromArray, manualSeed } from '@proj/tensor';

// A small teacher learns one sentence, byte by byte.
manualSeed(0);
const tokenizer = byteTokenizer();
const sizes = { hiddenSize: 64, intermediateSize: 128, numHiddenLayers: 2, numAttentionHeads: 4, numKeyValueHeads: 2 };
const tokens = { vocabSize: 259, bosTokenId: 256, eosTokenIds: [257], padTokenId: 258 };
const model = new Gemma2ForCausalLM(gemma2Config({ ...sizes, ...tokens, slidingWindow: 16 }));
const ids = [...tokenizer.encode('To be, or not to be, that is the question.'), 257];
const batch = fromArray(ids, [1, ids.length], 'int64');
const optimizer = new AdamW(model.parameters(), { lr: 0.01 });
const step = compile(() => {
  optimizer.zeroGrad();
  const loss = nextTokenLoss(model.call(batch).logits, batch);
  loss.backward();
  optimizer.step();
  return loss;
});
for (let i = 0; i < 60; i++) step();

// It is a Hugging Face folder like any other.
const folder = join(mkdtempSync(join(tmpdir(), 'teacher-')), 'hamlet');
saveHuggingFace(folder, model, { tokenizer, dtype: 'bfloat16' });
const checkpoint = await openCheckpoint(folder);
const decoder = new TeacherDecoder(loadModel(checkpoint));
const words = checkpoint.tokenizer();
const text = generateText(decoder, words, words.encode('To be'), { stopIds: stopTokens(checkpoint, words) });
let written = '';
for await (const piece of text) written += piece;
console.log(written);
rmSync(folder, { recursive: true });
