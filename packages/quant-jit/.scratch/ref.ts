import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { fromArray } from '@proj/tensor';
import { noGrad } from '@proj/autograd';
import { loadGemma2, nextTokenLoss } from '../src/gemma2/index.ts';
const root = '/work/shared/conformance/gemma2/';
for (const name of ['tiny-f32', 'tiny-bf16', 'tiny-bf16-sharded']) {
  const t0 = performance.now();
  const model = loadGemma2(root + name);
  console.log(name, (performance.now() - t0).toFixed(0), 'ms');
  const ref = gunzipSync(readFileSync(`${root}reference_${name === 'tiny-f32' ? name : 'tiny-bf16'}.jsonl.gz`)).toString().trim().split('\n').map((l) => JSON.parse(l));
  const worst: Record<string, number> = {};
  const note = (k: string, a: ArrayLike<number>, b: number[]) => { let m = 0; if (a.length !== b.length) throw new Error(`${k} ${a.length} ${b.length}`); for (let i = 0; i < b.length; i++) m = Math.max(m, Math.abs(a[i] - b[i])); worst[k] = Math.max(worst[k] ?? 0, m); };
  for (const r of ref) {
    const ids = Array.isArray(r.input_ids) ? fromArray(r.input_ids, [1, r.input_ids.length], 'int64') : fromArray(r.input_ids.data, r.input_ids.shape, 'int64');
    if (r.kind === 'logits') note('logits', noGrad(() => model.call(ids).logits).toTypedArray() as Float32Array, r.logits.data);
    if (r.kind === 'hidden') {
      const out = noGrad(() => model.call(ids, { outputHiddenStates: true, outputAttentions: true }));
      const [what, n] = r.name.split('.');
      const t = what === 'embeddings' ? out.hiddenStates[0] : what === 'after_layer' ? out.hiddenStates[+n + 1] : what === 'attention_probs' ? out.attentions[+n] : out.lastHiddenState;
      note('hidden ' + what, t.toTypedArray() as Float32Array, r.value.data);
    }
    if (r.kind === 'padded_batch') {
      const out = noGrad(() => model.call(ids, { attentionMask: fromArray(r.attention_mask.data, r.attention_mask.shape, 'int64') })).logits;
      note('padded', out.select(1, -1).toTypedArray() as Float32Array, r.last_logits.data);
    }
    if (r.kind === 'loss') {
      const loss = nextTokenLoss(model.call(ids).logits, ids);
      loss.backward();
      note('loss', [loss.item() as number], [r.loss]);
      for (const [k, p] of model.namedParameters()) {
        if (r.grads[k]) note('grad', p.grad!.toTypedArray() as Float32Array, r.grads[k].data);
        const g = p.grad!.toTypedArray() as Float32Array; const s = r.grad_stats[k];
        let l2 = 0, sum = 0, mx = 0; for (const x of g) { l2 += x * x; sum += x; mx = Math.max(mx, Math.abs(x)); }
        note('l2 rel', [Math.sqrt(l2) / s.l2], [1]); note('absmax rel', [mx / s.absmax], [1]); note('sum/l2', [(sum - s.sum) / s.l2], [0]);
      }
    }
  }
  console.log(worst);
}
