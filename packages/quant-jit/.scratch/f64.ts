import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { fromArray } from '@proj/tensor';
import { noGrad } from '@proj/autograd';
import { loadGemma2 } from '../src/gemma2/index.ts';
const root = '/work/shared/conformance/gemma2/';
for (const name of ['tiny-f32', 'tiny-bf16']) {
  const m32 = loadGemma2(root + name), m64 = loadGemma2(root + name, { dtype: 'float64' });
  const ref = gunzipSync(readFileSync(`${root}reference_${name}.jsonl.gz`)).toString().trim().split('\n').map((l) => JSON.parse(l));
  const diff = (a: ArrayLike<number>, b: ArrayLike<number>) => { let m = 0; for (let i = 0; i < b.length; i++) m = Math.max(m, Math.abs(Number(a[i]) - Number(b[i]))); return m.toExponential(2); };
  for (const r of ref) {
    if (r.kind !== 'hidden' && r.kind !== 'logits') continue;
    const ids = fromArray(r.input_ids, [1, r.input_ids.length], 'int64');
    const get = (m: any) => { const out = noGrad(() => m.call(ids, { outputHiddenStates: true, outputAttentions: true })) as any;
      if (r.kind === 'logits') return out.logits.toTypedArray();
      const [what, n] = r.name.split('.');
      return (what === 'embeddings' ? out.hiddenStates[0] : what === 'after_layer' ? out.hiddenStates[+n + 1] : what === 'attention_probs' ? out.attentions[+n] : out.lastHiddenState).toTypedArray(); };
    const a = get(m32), b = get(m64), c = (r.value ?? r.logits).data;
    console.log(name, r.kind, r.name ?? r.length, 'ours-f64', diff(a, b), 'ref-f64', diff(c, b), 'ours-ref', diff(a, c), 'ref dev', r.max_abs_dev_from_float64);
  }
}
