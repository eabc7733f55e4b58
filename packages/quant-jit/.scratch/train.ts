import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { compile, evaluate, fromArray, manualSeed, type Tensor } from '@proj/tensor';
import { AdamW } from '@proj/optim';
import { crossEntropy } from '@proj/nn/functional';
import { gemma2Config, Gemma2ForCausalLM, byteIds, BYTE_TOKENS } from '../src/gemma2/index.ts';
manualSeed(0);
const config = gemma2Config({ vocabSize: 259, hiddenSize: 256, intermediateSize: 768, numHiddenLayers: 4, numAttentionHeads: 4, numKeyValueHeads: 2, headDim: 64, slidingWindow: 64, maxPositionEmbeddings: 256, bosTokenId: 256, eosTokenIds: [257], padTokenId: 258 });
const model = new Gemma2ForCausalLM(config).train();
let n = 0; for (const p of model.parameters()) n += p.numel(); console.log('parameters', n);
const text = byteIds(readFileSync('/work/shared/data/tinyshakespeare/input.txt', 'utf8'));
const opt = new AdamW(model.parameters(), { lr: 1e-3 });
const B = 16, T = 128;
const step = compile((x: Tensor, y: Tensor) => { opt.zeroGrad(); const loss = crossEntropy(model.call(x).logits.reshape([-1, 259]), y.reshape([-1])); loss.backward(); opt.step(); return loss; });
let t0 = performance.now();
for (let i = 0; i < +(process.argv[2] ?? 12); i++) {
  const x = new Float64Array(B * T), y = new Float64Array(B * T);
  for (let b = 0; b < B; b++) { const at = Math.floor(Math.random() * (text.length - T - 1)); for (let t = 0; t < T; t++) { x[b * T + t] = text[at + t]; y[b * T + t] = text[at + t + 1]; } }
  const loss = step(fromArray(x, [B, T], 'int64'), fromArray(y, [B, T], 'int64'));
  if (i % 4 === 3 || i < 3) { console.log(i, (loss.item() as number).toFixed(3), ((performance.now() - t0)).toFixed(0)); } t0 = performance.now();
}
