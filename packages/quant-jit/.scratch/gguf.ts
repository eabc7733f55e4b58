import '@proj/device-native';
import { openGguf, loadModel, TeacherDecoder, generateText } from '../src/gemma2/index.ts';
for (const f of ['q4', 'Q8_0', 'F16', 'BF16', 'F32', 'q6k']) {
  const c = await openGguf(`/tmp/tiny-${f}.gguf`);
  const tok = c.tokenizer(); tok.checkFits(c.config);
  let m = 0, n = 0; const std: string[] = [];
  for (const name of ['model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight', 'model.layers.1.mlp.down_proj.weight', 'model.norm.weight']) { const v = c.source.read(name); let s = 0, q = 0; for (const x of v) { s += x; q += x * x; } std.push(`${(s / v.length).toFixed(4)}±${Math.sqrt(q / v.length).toFixed(4)}`); const part = c.source.read(name, { begin: 3, end: 5 }); const row = v.length / c.source.info(name).shape[0]; for (let i = 0; i < 2 * row; i++) if (part[i] !== v[3 * row + i]) throw new Error('rows'); }
  const model = loadModel(c);
  const d = new TeacherDecoder(model, { capacity: 64 });
  const text: string[] = []; for await (const s of generateText(d, tok, tok.encode('the cat'), { maxNewTokens: 8, temperature: 1, seed: 3 })) text.push(s);
  console.log(f, std.join(' '), tok.encode('the cat  sat').join(), JSON.stringify(text.join('')), c.config.eosTokenIds);
  c.source.close();
}
