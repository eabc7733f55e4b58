import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { GemmaTokenizer } from '../src/gemma2/tokenizer.ts';
import { byteTokenizer, sentencePieceTokenizer } from '../src/gemma2/tokenizer-files.ts';
const root = '/work/shared/conformance/gemma2/';
const t = GemmaTokenizer.fromFolder(root + 'tiny-f32');
console.log(t.vocabSize, t.bosId, t.eosId, t.padId, JSON.stringify(t.renderChat([{ role: 'user', content: ' hi ' }, { role: 'assistant', content: 'yo' }])));
const j = t.json as any;
const tokens: string[] = []; for (const [k, v] of Object.entries(j.model.vocab)) tokens[v as number] = k;
const rank = new Map<string, number>(); j.model.merges.forEach((m: string, i: number) => { const k = m.split(' ').join(''); if (!rank.has(k)) rank.set(k, i); });
const special = new Set(j.added_tokens.map((a: any) => a.content));
const types = tokens.map((k) => (special.has(k) ? (k === '<unk>' ? 2 : 3) : /^<0x..>$/.test(k) ? 6 : 1));
const sp = sentencePieceTokenizer({ tokens, scores: tokens.map((k) => -(rank.get(k) ?? 1e6)), types, bosId: 2, eosId: 1, padId: 0, unknownId: 3, addBos: true, chatTemplate: null });
const b = byteTokenizer();
for (const l of gunzipSync(readFileSync(root + 'tokenizer_cases.jsonl.gz')).toString().trim().split('\n')) {
  const c = JSON.parse(l); if (c.decode_only) { for (const x of [t, sp]) if (x.decode(c.decode_only) !== c.decoded || x.decode(c.decode_only,{skipSpecialTokens:true}) !== c.decoded_skip_special) console.log("bad", c, x.decode(c.decode_only)); continue; }
  for (const [n, x] of [['hf', t], ['sp', sp]] as const) {
    if (JSON.stringify(x.encode(c.text)) !== JSON.stringify(c.ids_with_bos) || x.decode(c.ids_with_bos) !== c.decoded || x.decode(c.ids_with_bos, { skipSpecialTokens: true }) !== c.decoded_skip_special || JSON.stringify(x.tokens(c.text)) !== JSON.stringify(c.tokens)) console.log(n, 'bad', c.text, x.encode(c.text).join(), c.ids_with_bos.join());
  }
  const ids = b.encode(c.text); const want = [256, ...new TextEncoder().encode(c.text)];
  if (ids.join() !== want.join()) console.log('bytes', JSON.stringify(c.text), ids.join(), want.join());
  if (b.decode(ids, { skipSpecialTokens: true }) !== c.text) console.log('bytes decode', c.text, b.decode(ids));
}
const long = 'The quick brown fox. '.repeat(5000);
for (const x of [b, t]) { const t0 = performance.now(); const n = x.encode(long).length; console.log(n, performance.now() - t0); }
console.log(b.renderChat([{ role: 'user', content: 'x' }]), b.encodeChat([{ role: 'user', content: 'x' }]).join());
