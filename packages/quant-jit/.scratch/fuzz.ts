import '@proj/device-native';
import { fromArray, manualSeed, setDefaultDevice } from '@proj/tensor';
import { noGrad } from '@proj/autograd';
import { RandomStream } from '@proj/data';
import { gemma2Config, Gemma2ForCausalLM, nextTokenLoss, TeacherDecoder } from '../src/gemma2/index.ts';
import { naiveGemma2 } from '../test/support/naive-gemma2.ts';
import { weightsOf } from '../test/support/tiny-teacher.ts';
setDefaultDevice(process.argv[2] ?? 'js');
const n = +(process.argv[3] ?? 10), r = new RandomStream(+(process.argv[4] ?? 1));
const pick = (a: number[]) => a[r.below(a.length)];
for (let i = 0; i < n; i++) {
  const kv = pick([1, 2, 3, 4]), heads = kv * pick([1, 2, 3, 4]), headDim = pick([2, 4, 6, 8, 10, 16, 32]);
  const sizes = { vocabSize: pick([5, 16, 33, 259]), hiddenSize: pick([8, 12, 24, 48, 64, 100]), intermediateSize: pick([8, 20, 64, 130]), numHiddenLayers: pick([1, 2, 3]), numAttentionHeads: heads, numKeyValueHeads: kv, headDim, queryPreAttnScalar: pick([1, 7, 16, 256]), slidingWindow: pick([1, 3, 8, 16]), attnLogitSoftcapping: pick([2, 50]), finalLogitSoftcapping: pick([3, 30]) };
  const dtype = 'float32';
  const T = pick([1, 2, 3, 8, 13, 16, 32]), B = pick([1, 1, 2, 3, 4]);
  try {
    manualSeed(i);
    const model = new Gemma2ForCausalLM(gemma2Config(sizes), { dtype });
    noGrad(() => { for (const p of model.parameters()) p.normal_(0, 0.2).realize(); });
    const ids = Array.from({ length: B * T }, () => r.below(sizes.vocabSize));
    const t = fromArray(ids, [B, T], 'int64');
    const out = model.call(t, { outputHiddenStates: i % 2 === 0, outputAttentions: i % 3 === 0, attentionMask: i % 4 === 0 ? fromArray(ids.map(() => 1), [B, T], 'int64') : null });
    const found = noGrad(() => out.logits).toTypedArray() as Float32Array;
    let worst = 0;
    for (let b = 0; b < B; b++) { const e = naiveGemma2(model.config, weightsOf(model), ids.slice(b * T, b * T + T)).logits.flat(); e.forEach((x, j) => (worst = Math.max(worst, Math.abs(x - found[b * e.length + j])))); }
    let loss = NaN;
    if (T > 1) { const l = nextTokenLoss(model.call(t).logits, t); l.backward(); loss = l.item() as number; for (const p of model.parameters()) if (!Number.isFinite(p.grad!.sum().item() as number)) throw new Error('grad'); }
    const d = new TeacherDecoder(model, { capacity: 4 }); const last = d.feed(ids.slice(0, T)); let w2 = 0; const V = sizes.vocabSize; last.forEach((x, j) => (w2 = Math.max(w2, Math.abs(x - found[(T - 1) * V + j]))));
    if (worst > 2e-4 || w2 > 2e-4) console.log('BAD', worst, w2, JSON.stringify({ ...sizes, B, T }));
  } catch (e) { console.log('THROWS', (e as Error).message.slice(0, 200), JSON.stringify({ i, ...sizes, B, T })); }
}
console.log('done');
