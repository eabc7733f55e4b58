import { openGguf } from '../src/gemma2/index.ts';
let t = performance.now(); const lap = (s: string) => { console.log(s, (performance.now() - t).toFixed(0), 'ms'); t = performance.now(); };
const c = await openGguf('/tmp/tiny-256k.gguf'); lap('open');
const tok = c.tokenizer(); lap('tokenizer');
const text = 'The quick brown fox jumps over the lazy dog. '.repeat(200);
const ids = tok.encode(text); lap(`encode ${ids.length}`);
console.log(tok.decode(ids, { skipSpecialTokens: true }) === text); lap('decode');
const v = c.source.read('model.embed_tokens.weight'); lap(`dequantise ${v.length}`);
