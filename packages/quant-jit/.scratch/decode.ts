import '@proj/device-native';
import { manualSeed } from '@proj/tensor';
import { gemma2Config, Gemma2ForCausalLM, TeacherDecoder } from '../src/gemma2/index.ts';
manualSeed(0);
const config = gemma2Config({ vocabSize: 32000, hiddenSize: 1024, intermediateSize: 4096, numHiddenLayers: 6, numAttentionHeads: 8, numKeyValueHeads: 4, headDim: 128, slidingWindow: 1024, maxPositionEmbeddings: 4096 });
const model = new Gemma2ForCausalLM(config).eval();
let n = 0; for (const p of model.parameters()) n += p.numel();
const d = new TeacherDecoder(model, { capacity: 512 });
const prompt = Array.from({ length: 100 }, (_, i) => (i * 37) % 32000);
for (let r = 0; r < 3; r++) {
  d.reset();
  let t0 = performance.now(); d.feed(prompt); const tp = performance.now() - t0;
  const ts: number[] = []; for (let i = 0; i < 24; i++) { t0 = performance.now(); d.feed([i]); ts.push(performance.now() - t0); }
  ts.sort((a, b) => a - b);
  console.log('prompt', tp.toFixed(0), 'ms; decode min', ts[0].toFixed(1), 'median', ts[12].toFixed(1), 'ms;', ((n * 4) / ts[0] / 1e6).toFixed(1), 'GB/s of', (n * 4 / 1e6).toFixed(0), 'MB');
}
