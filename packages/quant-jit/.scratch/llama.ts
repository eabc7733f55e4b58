import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { fromArray } from '@proj/tensor';
import { noGrad } from '@proj/autograd';
import { openCheckpoint, loadModel, TeacherDecoder, generate } from '../src/gemma2/index.ts';
const ref = JSON.parse(readFileSync('/tmp/llm-teacher/ref.json', 'utf8'));
for (const [f, r] of Object.entries(ref) as any) {
  const c = await openCheckpoint(f); const tok = c.tokenizer(); const model = loadModel(c); const d = new TeacherDecoder(model, { capacity: 64 });
  let bad = 0; for (const [t, ids] of r.tokens) { const mine = tok.encode(t, { addSpecialTokens: false }); if (mine.join() !== ids.join()) { bad++; console.log('TOK', JSON.stringify(t), mine.map((i) => tok.tokenOf(i)), ids.map((i: number) => tok.tokenOf(i))); } }
  let same = 0, total = 0;
  for (const [ids, o] of r.greedy) { const mine: number[] = []; for await (const x of generate(d, ids, { maxNewTokens: 12 })) mine.push(x); total += 12; let k = 0; while (k < 12 && mine[k] === o[k]) k++; same += k; if (k < o.length) { const l = noGrad(() => model.call(fromArray([...ids, ...mine.slice(0, k)], [1, ids.length + k], 'int64')).logits.select(1, -1)).toTypedArray() as Float32Array; const s = [...l].sort((a, b) => b - a); console.log('differs at', k, 'of', o.length, 'gap', (s[0] - s[1]).toFixed(4), 'ours - theirs', (l[mine[k]] - l[o[k]]).toFixed(4)); } }
  console.log(f, 'tokenisations that differ', bad, 'of', r.tokens.length, 'greedy equal', same, 'of', total);
}
