import { GemmaTokenizer } from '../src/gemma2/tokenizer.ts';
import { byteTokenizer } from '../src/gemma2/tokenizer-files.ts';
const t = GemmaTokenizer.fromFolder('/work/shared/conformance/gemma2/tiny-f32');
const b = byteTokenizer();
console.log(b.encode('<bos>user', { addSpecialTokens: false }), b.encode('<bos>user'), t.encode('<bos>user', { addSpecialTokens: false }), t.encode('<bos>user'));
console.log(JSON.stringify(b.decode([0xe4, 0xbd])), JSON.stringify(t.decode([234, 195])));
console.log((t.json as any).decoder, (b.json as any).decoder);
