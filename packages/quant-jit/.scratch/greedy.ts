import '@proj/device-native';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { loadGemma2, TeacherDecoder, generate, GemmaTokenizer, generateText, openGguf, loadModel, saveHuggingFace } from '../src/gemma2/index.ts';
const root = '/work/shared/conformance/gemma2/';
for (const name of ['tiny-f32', 'tiny-bf16']) {
  const model = loadGemma2(root + name);
  const tok = GemmaTokenizer.fromFolder(root + name); tok.checkFits(model.config);
  const ref = gunzipSync(readFileSync(`${root}reference_${name}.jsonl.gz`)).toString().trim().split('\n').map((l) => JSON.parse(l));
  const decoder = new TeacherDecoder(model, { capacity: 16 });
  for (const r of ref) {
    if (r.kind !== 'greedy') continue;
    const t0 = performance.now();
    const out: number[] = []; for await (const id of generate(decoder, r.input_ids, { maxNewTokens: 16 })) out.push(id);
    const ms = performance.now() - t0;
    const text: string[] = []; for await (const s of generateText(decoder, tok, r.input_ids, { maxNewTokens: 16 })) text.push(s);
    console.log(out.join() === r.new_ids.join(), tok.decode(out) === r.text, text.join('') === r.text, JSON.stringify(text.join('')), ms.toFixed(0), 'ms', decoder.length);
  }
}
