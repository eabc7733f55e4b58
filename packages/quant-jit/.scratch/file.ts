import '@proj/device-native';
import { gemma2Config, parseGemma2Config } from '../src/gemma2/index.ts';
import { openModel, writeSyntheticModel } from '../src/jit/index.ts';
import fs from 'node:fs';
const base = JSON.parse(fs.readFileSync('/work/shared/conformance/gemma2/tiny-f32/config.json','utf8'));
const config = parseGemma2Config({ ...base, vocab_size: 32000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, sliding_window: 4096, query_pre_attn_scalar: 256, max_position_embeddings: 8192 });
const scheme = (process.argv[2] ?? 'q4g32') as any; const path = `/tmp/syn-${scheme}.pbz`;
if (!fs.existsSync(path)) { const t = performance.now(); await writeSyntheticModel(path, config, scheme, { kvCache: 'q8' }); console.log('written', performance.now() - t); }
for (const residence of ['mapped', 'auto', 'memory'] as const) for (const threads of [1, 2]) {
  const t0 = performance.now(); const m = await openModel(path, { residence, threads, positions: 1024, device: (process.argv[3] ?? 'auto') as any }); const t1 = performance.now();
  const s = m.sequence(); s.feed([5]); const t2 = performance.now();
  const times = []; for (let i = 0; i < 40; i++) { const t = performance.now(); s.feed([i]); times.push(performance.now() - t); }
  const tail = times.slice(20).sort((a, b) => a - b);
  console.log(residence, threads + 'T', m.choice.device?.name, 'open', (t1 - t0).toFixed(0), JSON.stringify(m.times, (k, v) => typeof v === 'number' ? Math.round(v) : v), 'first token at', (t2 - t0).toFixed(0), 'ms; tokens', times.slice(0, 3).map((x) => x.toFixed(0)).join(' '), '... median of last 20', tail[10].toFixed(1), 'ms =', (1e3 / tail[10]).toFixed(2), 'tok/s', m.settled);
  s.dispose(); m.dispose();
}
